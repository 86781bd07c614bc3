"""A process that compiles, lets go of it or must not, and prints how many mappings it holds each time."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from kerasx.startup import start_tensorflow

start_tensorflow()

import tensorflow as tf  # noqa: E402
from resuming import experiment  # noqa: E402

import kerasx  # noqa: E402
from kerasx.compiled import drop_compiled  # noqa: E402


@tf.function(jit_compile=True)
def own(values: tf.Tensor) -> tf.Tensor:
    for _ in range(20):
        values = tf.tanh(values @ values)
    return values


def mappings() -> int:
    return len(Path("/proc/self/maps").read_bytes().splitlines())


def main(runs: str) -> None:
    engine, values = kerasx.Engine(runs=runs), tf.reshape(tf.range(64.0) / 64.0, (8, 8))
    found: dict[str, list[int]] = {}
    before = own(values).numpy().tobytes()
    trained = found["trained"] = []
    for seed in range(3):
        engine.train(experiment(execution="fused", jit=True, epochs=1, callbacks=[], seed=seed))
        trained.append(mappings())
    found["same"] = [own(values).numpy().tobytes() == before]

    drop_compiled()
    without = mappings()
    is_over = threading.Event()

    def execute() -> None:
        while not is_over.is_set():
            own(values)

    thread = threading.Thread(target=execute)
    thread.start()
    until = time.monotonic() + 60.0
    while mappings() == without and time.monotonic() < until:
        time.sleep(0.1)
    for _ in range(20):
        drop_compiled()
    found["beside a thread"] = [without, mappings()]
    is_over.set()
    thread.join()

    ahead = iter(tf.data.Dataset.range(10**9).map(lambda _: own(values), num_parallel_calls=2).prefetch(1000))
    next(ahead)
    drop_compiled()
    found["beside a pipeline"] = [without, mappings()]
    del ahead
    waiting = threading.Thread(target=threading.Event().wait, daemon=True)
    waiting.start()
    drop_compiled()
    found["beside who waits"] = [without, mappings()]
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
