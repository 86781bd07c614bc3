"""One measurement in a process of its own: `python -m kerasx.bench.worker JOB.json`.

Reads a `Job` and writes what came out beside it, as `result.json`.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kerasx.bench.contestants import Contestant
from kerasx.bench.timer import EpochTimer
from kerasx.errors import KerasxError, one_line
from kerasx.startup import start_tensorflow

PLAIN_NETWORK = "network.npz"


@dataclass(frozen=True)
class Job:
    """What a process is to do.

    Attributes:
        what: `survey` the experiment, `train` as a contestant, or train as a `reference` for the bits.
        experiment: Path of the experiment's file.
        folder: Where files are exchanged.
        epochs: How many to train.
        contestant: As whom; of a reference only `jit` counts.
    """

    what: str
    experiment: str
    folder: str
    epochs: int
    contestant: dict[str, Any] | None = None

    def run(self, path: Path) -> dict[str, Any]:
        """Do it, in this process; the job was read from `path`."""
        who = Contestant(**(self.contestant or {"name": self.what}))
        if who.peer in ("jax_scan", "torch_eager"):
            return self._foreign(who)
        start_tensorflow()
        from kerasx.bench import training

        declared = training.declared(self.experiment, self.epochs)
        weights = path.with_name("weights.npz")
        if self.what == "survey":
            return training.survey(declared, Path(self.folder) / PLAIN_NETWORK)
        if self.what == "reference":
            return training.reference(declared, bool(who.jit), weights)
        if who.peer is not None:
            return training.peer(declared, who, weights)
        with tempfile.TemporaryDirectory() as runs:
            return training.kerasx_run(declared, who, runs, weights)

    def _foreign(self, who: Contestant) -> dict[str, Any]:
        import numpy as np

        from kerasx.bench import foreign

        with np.load(Path(self.folder) / PLAIN_NETWORK) as archive:
            arrays = {name: archive[name] for name in archive.files}
        timer = EpochTimer()
        size, rate = int(arrays.pop("batch_size")), float(arrays.pop("rate"))
        getattr(foreign, str(who.peer))(arrays, size, self.epochs, rate, timer)
        return {"epochs": timer.seconds}


def write_job(job: Job, path: Path) -> None:
    """Write a job for a process to read."""
    path.write_text(json.dumps(asdict(job)), encoding="utf-8")


def main(path: Path) -> None:
    """Do the job that is written in a file."""
    job = Job(**json.loads(path.read_text(encoding="utf-8")))
    try:
        result = job.run(path)
    except KerasxError as error:
        result = {"error": str(error)}
    except Exception as error:  # a row that fails is a row that says so
        result = {"error": one_line(error)}
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    result["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    path.with_name("result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
