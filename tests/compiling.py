"""A process that traces and compiles, lets go of it or must not, and prints what it holds each time."""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
import traceback
import weakref
from pathlib import Path
from typing import Any

from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from resuming import experiment, network  # noqa: E402

import kerasx  # noqa: E402
from kerasx.compiled import drop_compiled  # noqa: E402


@tf.function(jit_compile=True)
def own(values: tf.Tensor) -> tf.Tensor:
    for _ in range(20):
        values = tf.tanh(values @ values)
    return values


class Notes(keras.layers.Layer):
    """Notes the graphs that it is traced in, and what is known of where its operation was made."""

    graphs: list[weakref.ref[Any]]
    stacks: list[Any]
    calls: list[list[str]]

    def call(self, x: Any) -> Any:
        if tf.executing_eagerly() or not hasattr(x, "graph"):
            return x
        self.graphs.append(weakref.ref(x.graph))
        self.calls.append([each.name for each in traceback.extract_stack()])
        x = tf.identity(x)
        self.stacks.append(x.op.traceback)
        return x


def noting() -> keras.Model:
    Notes.graphs, Notes.stacks, Notes.calls = [], [], []
    return keras.Sequential([keras.Input((8,)), Notes(), *network().layers])


def traced(engine: kerasx.Engine, found: dict[str, Any]) -> None:
    """Of each strategy: how many graphs there were and are; whether another training has the same stacks."""
    for strategy in ("compiled-fit", "custom-step", "gradient-tape"):
        values: dict[str, Any] = {"model": noting, "epochs": 1, "callbacks": [], "strategy": strategy}
        engine.train(experiment(execution="fused", **values))
        gc.collect()
        there_were, there_are = len(Notes.graphs), sum(each() is not None for each in Notes.graphs)
        engine.train(experiment(execution="graph", **values))
        gc.collect()
        there_were += len(Notes.graphs)
        there_are += sum(each() is not None for each in Notes.graphs)
        (first, *_), calls = Notes.stacks, Notes.calls[0]
        engine.train(experiment(execution="graph", **values))  # at another line
        found[strategy] = {
            "graphs": [there_were, there_are],
            "shared": Notes.stacks[0] is first,
            "stack": [each.name for each in first],
            "calls": calls,
        }


def mappings() -> int:
    return len(Path("/proc/self/maps").read_bytes().splitlines())


def main(runs: str) -> None:
    engine, values = kerasx.Engine(runs=runs), tf.reshape(tf.range(64.0) / 64.0, (8, 8))
    found: dict[str, Any] = {}
    before = own(values).numpy().tobytes()
    trained = found["trained"] = []
    for seed in range(3):
        engine.train(experiment(execution="fused", jit=True, epochs=1, callbacks=[], seed=seed))
        trained.append(mappings())
    found["same"] = [own(values).numpy().tobytes() == before]
    traced(engine, found)

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
