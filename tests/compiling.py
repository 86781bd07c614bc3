"""A process that traces and compiles, lets go of it or must not, and prints what it holds each time."""

from __future__ import annotations

import gc
import json
import os
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
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from resuming import experiment, network, rows  # noqa: E402

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
        stack = x.op.traceback
        self.stacks.append((stack, [each.name for each in stack]))
        return x


def noting() -> keras.Model:
    Notes.graphs, Notes.stacks, Notes.calls = [], [], []
    return keras.Sequential([keras.Input((8,)), Notes(), *network().layers])


def traced(engine: kerasx.Engine, found: dict[str, Any]) -> None:
    """Of each strategy: how many graphs there were and are; whether another training has the same stacks."""
    for strategy in ("compiled-fit", "custom-step", "gradient-tape"):
        values: dict[str, Any] = {"model": noting, "epochs": 1, "callbacks": [], "strategy": strategy}
        engine.train(experiment(execution="graph", **values))
        gc.collect()
        found[strategy] = [len(Notes.graphs), sum(each() is not None for each in Notes.graphs)]
    (first, names), calls = Notes.stacks[-1], Notes.calls[-1]
    engine.train(experiment(execution="graph", **values))  # at another line
    found["shared"] = Notes.stacks[-1][0] is first
    found["stack"], found["calls"] = names, calls


class Sequence(keras.utils.PyDataset):
    """Batches of some rows."""

    def __init__(self, x: Any, y: Any) -> None:
        super().__init__()
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x) // 16

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        batch = slice(16 * index, 16 * index + 16)
        return self.x[batch], self.y[batch]


def held(engine: kerasx.Engine) -> dict[str, bool]:
    """Whether the data of a training is held when it has ended, as arrays and as a sequence."""
    found: dict[str, bool] = {}
    for execution in ("graph", "fused"):
        for kind in ("arrays", "sequence"):
            arrays = rows()
            x, y = arrays["x_train"], arrays["y_train"]
            data: Any = Sequence(x, y) if kind == "sequence" else arrays
            reference = weakref.ref(data if kind == "sequence" else x)
            engine.train(experiment(dataset=data, execution=execution, epochs=1, callbacks=[]))
            del arrays, x, y, data
            gc.collect()
            found[f"{kind}, {execution}"] = reference() is not None
    return found


def resident(engine: kerasx.Engine) -> list[int]:
    """Memory after each of some trainings on 80 MB, in bytes."""
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(2500, 8000)).astype("float32")
        data = {"x_train": x, "y_train": x[:, :3].argmax(axis=1)}
        values: dict[str, Any] = {"epochs": 1, "callbacks": [], "batch_size": 500, "model": "mlp"}
        engine.train(experiment(dataset=data, execution="graph", **values))
        del x, data
        found.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    return found


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
    found["held"] = held(engine)
    found["resident"] = resident(engine)

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
