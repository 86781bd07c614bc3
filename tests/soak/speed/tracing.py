"""How many times longer a training takes while it is traced: `python tests/soak/speed/tracing.py`.

The article's network and optimizer on one epoch of 150 batches, eagerly, in alternation; medians of five.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

from kerasx.parity.first_steps import take_steps  # noqa: E402
from kerasx.parity.naming import side_of  # noqa: E402
from kerasx.parity.training import train_side  # noqa: E402


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    rng = np.random.default_rng(0)
    rows = {
        "x_train": rng.integers(0, 256, (4800, 28, 28), np.uint8),
        "y_train": rng.integers(0, 10, 4800),
    }
    experiment = kerasx.Experiment(
        model="mlp",
        dataset=rows,
        loss="sum-squared-error",
        metrics=["accuracy"],
        epochs=1,
        execution="eager",
        jit=False,
    )
    engine = kerasx.Engine()
    side = side_of("custom-step", experiment, engine.registry, engine.runs)

    def trained() -> None:
        train_side(side, engine.registry)

    def traced() -> None:
        take_steps(side, engine.registry, observes=True, epochs=1, whole=1000)

    trained(), traced()
    plain, watched = zip(*((seconds(trained), seconds(traced)) for _ in range(5)), strict=True)
    a, b = statistics.median(plain), statistics.median(watched)
    print(f"eager training {a:.2f} s, traced {b:.2f} s: {b / a:.2f} times")


if __name__ == "__main__":
    main()
