"""The measurement: every contestant in a process of its own, in alternation, round after round."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kerasx.bench.contestants import FIT, Contestant, chosen, contestants
from kerasx.bench.worker import Job, write_job
from kerasx.errors import UsageError
from kerasx.experiment import Experiment
from kerasx.runs.environment import machine

# The first epoch of a process is set aside: it compiles, and fills caches.
LEAST_EPOCHS = 2


@dataclass
class Row:
    """What was measured of one contestant.

    Attributes:
        contestant: Which.
        rounds: What each of its processes wrote.
        bits: `identical` to `fit` on the same batches at the same jit, or `differ`; None where batches are
            not the same.
        drift: The largest difference between its weights and those of `fit`, where the bits differ.
        error: Why it could not be measured.
    """

    contestant: Contestant
    rounds: list[dict[str, Any]] = field(default_factory=list)
    bits: str | None = None
    drift: float | None = None
    error: str | None = None

    @property
    def epoch_seconds(self) -> float | None:
        """The median over rounds of the median of all epochs but the first, validation included.

        Of all rows, where it was measured on some.
        """
        return self._median(lambda each: statistics.median(each["epochs"][1:]) / each.get("share", 1.0))

    @property
    def compile_seconds(self) -> float | None:
        """What was prepared, and what the first epoch took more than the others."""

        def compiled(each: dict[str, Any]) -> float:
            first, *others = each["epochs"]
            return float(each.get("compile_seconds", 0.0) + max(0.0, first - statistics.median(others)))

        return self._median(compiled)

    @property
    def peak_bytes(self) -> float | None:
        """Memory of the process at its peak."""
        return self._median(lambda each: each["peak_bytes"])

    @property
    def process_seconds(self) -> float | None:
        """From the start of the process to its end."""
        return self._median(lambda each: each["process_seconds"])

    def _median(self, value: Callable[[dict[str, Any]], float]) -> float | None:
        return statistics.median(map(value, self.rounds)) if self.rounds else None


@dataclass
class Report:
    """Everything that was measured.

    Attributes:
        experiment: The declaration.
        machine: Processor, memory, versions.
        survey: What an epoch is: its steps and operations, and the rate of matrix products.
        rows: The contestants.
    """

    experiment: Experiment
    machine: dict[str, Any]
    survey: dict[str, Any]
    rows: list[Row]

    @property
    def floor_seconds(self) -> float | None:
        """How long an epoch's arithmetic takes at the rate of large matrix products."""
        operations = self.survey["operations"]
        return None if operations is None else float(operations / self.survey["rate"])

    def ratio(self, row: Row) -> float | None:
        """How many times faster than `model.fit` an epoch is."""
        fit = next((each.epoch_seconds for each in self.rows if each.contestant == FIT), None)
        return fit / row.epoch_seconds if fit and row.epoch_seconds else None

    def to_dict(self) -> dict[str, Any]:
        """The report as `kerasx bench --json` prints it."""
        steps = self.survey["steps"]
        return {
            "machine": self.machine,
            "experiment": self.experiment.to_plain(),
            "steps_per_epoch": steps,
            "operations_per_epoch": self.survey["operations"],
            "matrix_product_rate": self.survey["rate"],
            "floor_seconds": self.floor_seconds,
            "rows": [
                {
                    "name": row.contestant.name,
                    "strategy": row.contestant.strategy,
                    "execution": row.contestant.execution,
                    "jit": row.contestant.jit,
                    "share": row.contestant.share,
                    "compile_seconds": row.compile_seconds,
                    "epoch_seconds": row.epoch_seconds,
                    "steps_per_second": steps / row.epoch_seconds if steps and row.epoch_seconds else None,
                    "ratio": self.ratio(row),
                    "peak_bytes": row.peak_bytes,
                    "process_seconds": row.process_seconds,
                    "bits": row.bits,
                    "drift": row.drift,
                    "error": row.error,
                    "rounds": [each["epochs"] for each in row.rounds],
                }
                for row in self.rows
            ],
        }


def measure(
    experiment: Experiment,
    *,
    rounds: int = 3,
    only: Sequence[str] = (),
    told: Callable[[str], None] = lambda text: None,
) -> Report:
    """Measure an experiment.

    Args:
        experiment: What is trained; its strategy, execution and jit are those of each row.
        rounds: How often each is measured.
        only: Beginnings of the names of rows; all where there are none.
        told: Told what is being measured.

    Raises:
        UsageError: The experiment cannot be measured, or there is no such row.
    """
    if experiment.epochs < LEAST_EPOCHS:
        raise UsageError(f"The first epoch is not counted: give at least {LEAST_EPOCHS} epochs.")
    if experiment.objects:
        raise UsageError(
            "Each row is measured in a process of its own, to which no object can be handed over: name"
            f" {', '.join(experiment.objects)} by reference."
        )
    with tempfile.TemporaryDirectory() as folder:
        return _measure(experiment, rounds, only, told, Path(folder))


def _measure(
    experiment: Experiment, rounds: int, only: Sequence[str], told: Callable[[str], None], folder: Path
) -> Report:
    file = folder / "experiment.toml"
    file.write_text(experiment.to_toml(), encoding="utf-8")
    told("looking at the experiment")
    survey = _process("survey", file, experiment.epochs, folder / "survey")
    if "error" in survey:
        raise UsageError(survey["error"])
    everybody = contestants(survey["strategies"], has_plain_network=survey["has_plain_network"])
    rows = [Row(each) for each in chosen(everybody, only)]
    references: dict[bool, dict[str, Any]] = {}

    def reference(jit: bool) -> dict[str, Any]:
        if jit not in references:
            told(f"model.fit on the same batches{' with jit' if jit else ''}, for the bits")
            who = Contestant("reference", jit=jit)
            place = folder / f"reference-{jit}"
            references[jit] = _process("reference", file, experiment.epochs, place, who)
            references[jit]["weights"] = place / "weights.npz"
            if "error" in references[jit]:
                told(f"no bits to compare with: {references[jit]['error']}")
        return references[jit]

    for number in range(rounds):
        for row in rows:
            if row.error is not None:
                continue
            told(f"round {number + 1} of {rounds}: {row.contestant.name}")
            place = folder / row.contestant.name.replace(" ", "-")
            result = _process("train", file, experiment.epochs, place, row.contestant)
            if "error" in result:
                row.error = result["error"]
                continue
            row.rounds.append(result)
            if row.contestant.same_batches and row.contestant.share == 1:
                jit = bool(result.get("jit", row.contestant.jit))
                _compare(row, result, place / "weights.npz", reference(jit))
    return Report(experiment, machine(), survey, rows)


def _process(
    what: str, file: Path, epochs: int, place: Path, who: Contestant | None = None
) -> dict[str, Any]:
    """What a process wrote, which does one job; `error` where it could not."""
    place.mkdir(exist_ok=True)
    job, result = place / "job.json", place / "result.json"
    result.unlink(missing_ok=True)
    write_job(Job(what, str(file), str(file.parent), epochs, None if who is None else who.to_dict()), job)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "kerasx.bench.worker", str(job)],
        capture_output=True,
        text=True,
        # Whatever a plugin or a user's model prints is not to be mixed with the table.
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
    )
    seconds = time.perf_counter() - started
    if not result.exists():
        lines = done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"]
        return {"error": lines[-1]}
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return {**found, "process_seconds": seconds}


def _compare(row: Row, result: dict[str, Any], weights: Path, reference: dict[str, Any]) -> None:
    """Set a row's weights beside those of `fit`."""
    if "digest" not in reference:
        return
    if result["digest"] == reference["digest"]:
        row.bits = row.bits or "identical"  # in every round, or not at all
        return
    row.bits = "differ"
    with np.load(weights) as own, np.load(reference["weights"]) as other:
        pairs = [(own[name].astype("float64"), other[name].astype("float64")) for name in own.files]
    row.drift = max(row.drift or 0.0, *(float(np.abs(a - b).max(initial=0.0)) for a, b in pairs))
