"""Keras's callbacks see from every strategy what they see from a plain `model.fit`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402

STRATEGIES = ("compiled-fit", "custom-step", "gradient-tape")
# The last of the five batches of an epoch has 3 rows, the last of validation's two 4.
ROWS, VALIDATION_ROWS, BATCH, SEED = 35, 12, 8, 5
Callbacks = Callable[[], list[keras.callbacks.Callback]]


def sequential() -> keras.Model:
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)]
    )


def functional() -> keras.Model:
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(8, activation="relu")(inputs)))


@keras.saving.register_keras_serializable(package="kerasx-tests")
class Subclassed(keras.Model):
    def __init__(self, units: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.hidden = keras.layers.Dense(units, activation="relu")
        self.top = keras.layers.Dense(3)

    def call(self, inputs: Any) -> Any:
        return self.top(self.hidden(inputs))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@pytest.fixture(scope="module")
def data() -> Any:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS + VALIDATION_ROWS, 6)).astype("float32")
    y = (x @ generator.normal(size=(6, 3))).argmax(axis=1)
    return (x[:ROWS], y[:ROWS]), (x[ROWS:], y[ROWS:])


@pytest.fixture(autouse=True)
def untouched_random() -> Iterator[None]:
    """The plain scripts seed Python's `random` as scripts do."""
    state = random.getstate()
    yield
    random.setstate(state)


class InOrder(keras.utils.PyDataset):
    """Batches in the order of epoch `number`, for a script that knows nothing else of kerasx."""

    def __init__(self, arrays: tuple[Any, ...]) -> None:
        super().__init__()
        self.arrays, self.number = arrays, 0

    def set_epoch(self, epoch: int, logs: Any = None) -> None:
        self.number = epoch

    def __len__(self) -> int:
        return -(-len(self.arrays[0]) // BATCH)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        order = kerasx.batch_order(SEED, self.number, len(self.arrays[0]))
        rows = order[index * BATCH : (index + 1) * BATCH]
        return tuple(array[rows] for array in self.arrays)


def plain(
    data: Any,
    callbacks: list[keras.callbacks.Callback],
    *,
    epochs: int = 2,
    execution: str = "eager",
    build: Callable[[], keras.Model] = sequential,
) -> keras.Model:
    """What a script without kerasx does; its history is `model.history.history`."""
    random.seed(SEED)
    model = build()
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        run_eagerly=execution == "eager",
        jit_compile=False,
    )
    batches = InOrder(data[0])
    model.fit(
        batches,
        epochs=epochs,
        shuffle=False,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=batches.set_epoch), *callbacks],
        validation_data=data[1],
        validation_batch_size=BATCH,
        verbose=0,
    )
    return model


def experiment(data: Any, strategy: str, callbacks: list[keras.callbacks.Callback], **values: Any) -> Any:
    fields = {
        "model": sequential,
        "dataset": data[0] if data[1] is None else data,
        "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
        "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        "epochs": 2,
        "batch_size": BATCH,
        "seed": SEED,
        "strategy": strategy,
        "execution": "eager",
        "callbacks": tuple(callbacks),
    }
    if values.get("execution") == "graph":
        fields["jit"] = False
    return kerasx.Experiment.parse({**fields, **values})


class Recorder(keras.callbacks.Callback):
    """Writes down every event: its name, its arguments, and the weights there were."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[Any, ...]] = []

    def record(self, name: str, *arguments: Any, logs: Any) -> None:
        values = None if logs is None else {key: float(value) for key, value in logs.items()}
        steps = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        self.events.append((name, *arguments, values, steps, kerasx.weights_digest(self.model)))

    @property
    def names(self) -> list[Any]:
        return [event[:-3] for event in self.events]

    def on_train_begin(self, logs: Any = None) -> None:
        self.record("train begin", logs=logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.record("train end", logs=logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.record("epoch begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.record("epoch end", epoch, logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.record("batch begin", batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.record("batch end", batch, logs=logs)

    def on_test_begin(self, logs: Any = None) -> None:
        self.record("test begin", logs=logs)

    def on_test_end(self, logs: Any = None) -> None:
        self.record("test end", logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.record("test batch begin", batch, logs=logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.record("test batch end", batch, logs=logs)

    def on_predict_begin(self, logs: Any = None) -> None:
        self.record("predict begin", logs=logs)

    def on_predict_end(self, logs: Any = None) -> None:
        self.record("predict end", logs=logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.record("predict batch begin", batch, logs=logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.record("predict batch end", batch, logs=logs)


@pytest.mark.parametrize("execution", ["graph", "eager"])
def test_every_event_comes_in_the_order_and_with_the_logs_of_fit(
    execution: str, data: Any, tmp_path: Path
) -> None:
    script = Recorder()
    plain(data, [script], execution=execution)
    epoch = [
        *(event for batch in range(5) for event in (("batch begin", batch), ("batch end", batch))),
        ("test begin",),
        *(event for batch in range(2) for event in (("test batch begin", batch), ("test batch end", batch))),
        ("test end",),
    ]
    assert script.names == [
        ("train begin",),
        *(event for number in range(2) for event in (("epoch begin", number), *epoch, ("epoch end", number))),
        ("train end",),
    ]
    for strategy in STRATEGIES:
        recorder = Recorder()
        kerasx.Engine(runs=tmp_path).train(experiment(data, strategy, [recorder], execution=execution))
        assert recorder.names == script.names, strategy
        assert recorder.events == script.events, strategy
        assert recorder.params == script.params, strategy


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_validation_no_test_event_comes(strategy: str, data: Any, tmp_path: Path) -> None:
    recorder = Recorder()
    kerasx.Engine(runs=tmp_path).train(experiment((data[0], None), strategy, [recorder], epochs=1))
    assert [name for name, *_ in recorder.names] == [
        "train begin",
        "epoch begin",
        *["batch begin", "batch end"] * 5,
        "epoch end",
        "train end",
    ]
    assert set(recorder.events[-1][1]) == {"loss", "accuracy"}


class Stop(Recorder):
    """Asks for the end at one event."""

    def __init__(self, at: tuple[Any, ...], attribute: str = "stop_training") -> None:
        super().__init__()
        self.at, self.attribute = at, attribute

    def record(self, name: str, *arguments: Any, logs: Any) -> None:
        super().record(name, *arguments, logs=logs)
        if (name, *arguments) == self.at:
            setattr(self.model, self.attribute, True)


@pytest.mark.parametrize(
    ("at", "attribute", "events"),
    [
        (("batch end", 2), "stop_training", 1 + 1 + 2 * 3 + 6 + 1 + 1),
        (("epoch end", 0), "stop_training", 1 + 1 + 2 * 5 + 6 + 1 + 1),
        (("train begin",), "stop_training", 1 + 1 + 2 * 1 + 6 + 1 + 1),
        (("test end",), "stop_training", 1 + 1 + 2 * 5 + 6 + 1 + 1),
        (("test batch end", 0), "stop_evaluating", 1 + 2 * (1 + 2 * 5 + 4 + 1) + 1),
    ],
    ids=["mid-epoch", "epoch-end", "train-begin", "validation-end", "mid-validation"],
)
def test_a_callback_that_asks_for_the_end_gets_it_where_fit_gives_it(
    at: tuple[Any, ...], attribute: str, events: int, data: Any, tmp_path: Path
) -> None:
    script = Stop(at, attribute)
    model = plain(data, [script])
    assert len(script.events) == events
    for strategy in STRATEGIES:
        recorder = Stop(at, attribute)
        run = kerasx.Engine(runs=tmp_path).train(experiment(data, strategy, [recorder]))
        assert recorder.names == script.names, strategy
        assert recorder.events == script.events, strategy
        assert run.weights_digest == kerasx.weights_digest(model), strategy
        assert len(run.history["loss"]) == len(model.history.history["loss"]), strategy


def test_early_stopping_and_a_falling_rate_are_those_of_fit(data: Any, tmp_path: Path) -> None:
    """In the graph, where a rate could have been baked into the step."""

    def callbacks() -> list[keras.callbacks.Callback]:
        # A loss that should rise falls from the first epoch on: the rate is cut at once, and the end comes
        # with the weights of the first epoch.
        return [
            keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, mode="max"),
            keras.callbacks.EarlyStopping("val_loss", patience=2, mode="max", restore_best_weights=True),
        ]

    recorder = Recorder()
    model = plain(data, [recorder, *callbacks()], epochs=6, execution="graph")
    script = model.history.history
    assert len(script["loss"]) == 3
    assert script["learning_rate"] == pytest.approx([0.1, 0.1, 0.01])
    first = next(event for event in recorder.events if event[:2] == ("epoch end", 0))
    assert kerasx.weights_digest(model) == first[-1]
    for strategy in STRATEGIES:
        run = kerasx.Engine(runs=tmp_path).train(
            experiment(data, strategy, callbacks(), epochs=6, execution="graph")
        )
        assert run.history == {name: [float(v) for v in values] for name, values in script.items()}, strategy
        assert run.weights_digest == kerasx.weights_digest(model), strategy


def test_a_schedule_and_a_log_are_those_of_fit(data: Any, tmp_path: Path) -> None:
    def callbacks(log: Path) -> list[keras.callbacks.Callback]:
        return [
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
            keras.callbacks.CSVLogger(log),
        ]

    model = plain(data, callbacks(tmp_path / "script.csv"), execution="graph")
    script = {name: [float(v) for v in values] for name, values in model.history.history.items()}
    assert script["learning_rate"] == pytest.approx([0.05, 0.025])
    text = (tmp_path / "script.csv").read_text()
    assert text.startswith("epoch,accuracy,learning_rate,loss,val_accuracy,val_loss\n0,")
    assert len(text.splitlines()) == 3
    for strategy in STRATEGIES:
        log = tmp_path / f"{strategy}.csv"
        run = kerasx.Engine(runs=tmp_path / "runs").train(
            experiment(data, strategy, callbacks(log), execution="graph")
        )
        assert run.history == script, strategy
        assert run.weights_digest == kerasx.weights_digest(model), strategy
        assert log.read_text() == text, strategy


@pytest.mark.soak
@pytest.mark.parametrize(("build", "frequency"), [(sequential, "epoch"), (functional, 3), (Subclassed, 3)])
def test_checkpoints_written_meanwhile_can_be_loaded_and_trained_on(
    build: Callable[[], keras.Model], frequency: Any, data: Any, tmp_path: Path
) -> None:
    def callbacks(folder: str) -> list[keras.callbacks.Callback]:
        name = "{epoch}.keras" if frequency == "epoch" else "{epoch}-{batch}.keras"
        return [keras.callbacks.ModelCheckpoint(str(tmp_path / folder / name), save_freq=frequency)]

    plain(data, callbacks("script"), build=build)
    written = sorted(path.name for path in (tmp_path / "script").iterdir())
    expected = ["1.keras", "2.keras"] if frequency == "epoch" else ["1-3.keras", "2-1.keras", "2-4.keras"]
    assert written == expected
    script = {name: keras.models.load_model(tmp_path / "script" / name) for name in written}
    for strategy in STRATEGIES:
        run = kerasx.Engine(runs=tmp_path / "runs").train(
            experiment(data, strategy, callbacks(strategy), model=build)
        )
        assert sorted(path.name for path in (tmp_path / strategy).iterdir()) == written, strategy
        for name in written:
            loaded = keras.models.load_model(tmp_path / strategy / name)
            assert type(loaded) is type(script[name]) is type(run.model)
            assert kerasx.weights_digest(loaded) == kerasx.weights_digest(script[name]), (strategy, name)
            pairs = zip(loaded.optimizer.variables, script[name].optimizer.variables, strict=True)
            assert all(np.array_equal(*pair) for pair in pairs), (strategy, name)
        assert loaded.compiled
        assert "train_step" not in vars(loaded)
        if frequency == "epoch":
            assert kerasx.weights_digest(loaded) == run.weights_digest
        loaded.run_eagerly = True
        loaded.fit(*data[0], epochs=1, batch_size=BATCH, verbose=0)
        assert kerasx.weights_digest(loaded) != kerasx.weights_digest(script[name])


class Interrupt(keras.callbacks.Callback):
    """A process that ends in its second epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_backup_and_restore_goes_on_where_a_run_was_interrupted(
    strategy: str, data: Any, tmp_path: Path
) -> None:
    def backup() -> keras.callbacks.Callback:
        return keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))

    engine = kerasx.Engine(runs=tmp_path / "runs")
    whole = engine.train(experiment(data, strategy, [], epochs=3))
    with pytest.raises(KeyboardInterrupt):
        engine.train(experiment(data, strategy, [backup(), Interrupt()], epochs=3))
    recorder = Recorder()
    resumed = engine.train(experiment(data, strategy, [backup(), recorder], epochs=3))

    epochs = [epoch for name, *arguments in recorder.names if name == "epoch begin" for epoch in arguments]
    assert epochs == [1, 2]
    assert resumed.history == {name: values[1:] for name, values in whole.history.items()}
    assert resumed.weights_digest == whole.weights_digest


class Curious(keras.callbacks.Callback):
    """Evaluates and predicts at the end of each epoch, and in the middle of one."""

    def __init__(self, x: Any, y: Any) -> None:
        super().__init__()
        self.x, self.y = x, y
        self.found: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.found.append(self.model.evaluate(self.x, self.y, verbose=0, return_dict=True))
        self.found.append(self.model.predict(self.x, verbose=0).tolist())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 1:
            self.found.append(self.model.evaluate(self.x, self.y, verbose=0, return_dict=True))


def test_a_callback_may_use_the_model(data: Any, tmp_path: Path) -> None:
    script = Curious(*data[1])
    model = plain(data, [script], epochs=1)
    assert len(script.found) == 3
    history = {name: [float(v) for v in values] for name, values in model.history.history.items()}
    for strategy in STRATEGIES:
        curious = Curious(*data[1])
        run = kerasx.Engine(runs=tmp_path).train(experiment(data, strategy, [curious], epochs=1))
        assert curious.found == script.found, strategy
        # An evaluation in the middle of an epoch resets the metrics there: in every strategy as in `fit`.
        assert run.history == history, strategy


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_callbacks_are_called_in_the_order_given(strategy: str, data: Any, tmp_path: Path) -> None:
    heard: list[str] = []

    class Named(keras.callbacks.Callback):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            heard.append(self.name)
            logs["added"] = 1.0  # later callbacks see it, and so does the history

    callbacks = [Named("first"), Named("second")]
    run = kerasx.Engine(runs=tmp_path).train(experiment(data, strategy, callbacks))
    assert heard == ["first", "second"] * 2
    assert run.history["added"] == [1.0, 1.0]
