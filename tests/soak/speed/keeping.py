"""What share of a training goes to checkpoints and to looking for non-finite values.

`python tests/soak/speed/keeping.py`: MNIST, three epochs (eagerly one), each strategy in each execution.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections import Counter
from typing import Any

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

from kerasx.checkpoint.keeper import CheckpointKeeper  # noqa: E402
from kerasx.training.finite import FiniteWatch  # noqa: E402

EVENTS = ("epoch_begin", "step_end", "epoch_end", "evaluation_begin", "evaluation_step_end", "evaluation_end")
spent: Counter[str] = Counter()


def timed(kind: type, event: str) -> None:
    original = getattr(kind, event)

    @functools.wraps(original)
    def method(self: Any, *arguments: Any) -> None:
        started = time.perf_counter()
        original(self, *arguments)
        spent[kind.__name__] += time.perf_counter() - started  # type: ignore[assignment]

    setattr(kind, event, method)


def main() -> None:
    for event in EVENTS:
        timed(CheckpointKeeper, event)
        timed(FiniteWatch, event)
    with tempfile.TemporaryDirectory() as folder:
        engine = kerasx.Engine(runs=folder)
        for strategy in ("compiled-fit", "custom-step", "gradient-tape"):
            for execution in ("fused", "graph", "eager"):
                spent.clear()
                run = engine.train(
                    model="mlp",
                    dataset="mnist",
                    loss="sum-squared-error",
                    metrics=["accuracy"],
                    strategy=strategy,
                    execution=execution,
                    epochs=1 if execution == "eager" else 3,
                )
                shares = ", ".join(
                    f"{name} {100 * each / run.seconds:.2f} % of {run.seconds:.1f} s"
                    for name, each in sorted(spent.items())
                )
                print(f"{strategy} {execution}: {shares}", flush=True)


if __name__ == "__main__":
    main()
