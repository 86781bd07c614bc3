"""Data that comes in batches of its own: tf.data pipelines and PyDatasets, alone and beside arrays."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.assembly.isolation import isolated
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

STRATEGIES = ("compiled-fit", "custom-step", "gradient-tape")
# The last of the four batches of an epoch has 2 rows.
ROWS, BATCH, EPOCHS, SEED = 50, 16, 2, 5
GENERATOR = np.random.default_rng(4)
X = GENERATOR.normal(size=(ROWS, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)
W = np.linspace(0, 2, ROWS, dtype="float32")
X_VAL, Y_VAL = X[:20] + 1, Y[:20]


def classifier() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def rows(*parts: Any) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0])


# --- the same bits as `fit` on the same pipeline -----------------------------------------------------


def shuffled() -> tuple[tf.data.Dataset, tf.data.Dataset]:
    return rows(X, Y).shuffle(64).batch(BATCH), rows(X_VAL, Y_VAL).batch(8)


def filtered() -> tuple[tf.data.Dataset, tuple[Any, ...]]:
    """Of unknown cardinality, with two inputs by name and weights; validated on arrays."""
    train = rows({"left": X, "right": X[:, :2]}, Y, W).shuffle(64).filter(lambda x, y, w: x["left"][2] > -0.5)
    return train.batch(BATCH), ({"left": X_VAL, "right": X_VAL[:, :2]}, Y_VAL, W[:20])


def unlabelled() -> tf.data.Dataset:
    return rows(X).batch(BATCH)


def doubles() -> tf.data.Dataset:
    """float64 labels, and a batch axis of a fixed size."""
    return rows(X, X.sum(axis=1).astype("float64")).batch(BATCH, drop_remainder=True)


class Sequence(keras.utils.PyDataset):
    """Batches that are slower to make the earlier they come, so that threads end in another order."""

    def __init__(self, workers: int = 1, x: Any = X, y: Any = Y) -> None:
        super().__init__(workers=workers)
        self.x, self.y = x, y
        self.calls: list[Any] = []

    def __len__(self) -> int:
        return -(-len(self.x) // BATCH)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        self.calls.append(index)
        if self.workers > 1:
            time.sleep(0.02 * (len(self) - index))
        part = slice(index * BATCH, (index + 1) * BATCH)
        return self.x[part], self.y[part]

    def on_epoch_begin(self) -> None:
        self.calls.append("begin")

    def on_epoch_end(self) -> None:
        self.calls.append("end")


def arrays_and_sequence() -> tuple[Any, Any]:
    return (X, Y), Sequence(x=X_VAL, y=Y_VAL)


def arrays_and_filtered() -> tuple[Any, tf.data.Dataset]:
    return (X, Y), rows(X_VAL, Y_VAL).filter(lambda x, y: x[2] > -0.5).batch(8)


class Texts(keras.utils.PyDataset):
    """Token numbers `[batch, time]`, with another time in every batch."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return np.arange(6 * (index + 2)).reshape(6, -1) % 7, Y[:6]


def two_inputs() -> keras.Model:
    left, right = keras.Input((4,), name="left"), keras.Input((2,), name="right")
    outputs = keras.layers.Dense(3)(keras.layers.concatenate([left, right]))
    return keras.Model({"left": left, "right": right}, outputs)


class Reconstruction(keras.Model):
    """Its loss needs no labels."""

    def __init__(self) -> None:
        super().__init__()
        self.top = keras.layers.Dense(4)

    def call(self, inputs: Any) -> Any:
        return self.top(inputs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: Any = True,
    ) -> Any:
        return keras.ops.mean(keras.ops.square(x - y_pred))


def regression() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])


def reader() -> keras.Model:
    inputs = keras.Input((None,), dtype="int64")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(7, 4)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(pooled))


@dataclass(frozen=True)
class Case:
    """A pipeline and what is trained on it.

    Attributes:
        data: Makes it.
        build: Makes the model.
        loss: Makes the loss.
        metrics: What is measured.
        steps: Training steps in all.
        options: Of the data, by which it stays the same.
        ordered: Whether the batches come as they are, without the order of the seed.
    """

    data: Callable[..., Any]
    steps: int
    build: Callable[[], keras.Model] = classifier
    loss: Callable[[], Any] = crossentropy
    metrics: tuple[str, ...] = ("accuracy",)
    options: dict[str, Any] = field(default_factory=dict)
    ordered: bool = False


CASES = {
    "shuffled tf.data": Case(shuffled, steps=8),
    "tf.data of unknown length": Case(filtered, steps=6, build=two_inputs),
    "inputs alone": Case(unlabelled, steps=8, build=Reconstruction, loss=lambda: "mse", metrics=()),
    "fixed batch size": Case(doubles, steps=6, build=regression, loss=lambda: "mse", metrics=()),
    "sequence": Case(Sequence, steps=8, options={"workers": 3}),
    "arrays, validated on a sequence": Case(arrays_and_sequence, steps=8),
    # Fails: gradient-tape asks a `Batches` without a length whether it is true.
    "arrays, validated on an unknown length": Case(arrays_and_filtered, steps=8),
    "sequence of many shapes": Case(Texts, steps=6, build=reader, ordered=True),
}
# Two of the three strategies are `fit` with one step or another: what one case shows of them need not be
# shown by all.
DRIVERS = {
    "shuffled tf.data": STRATEGIES,
    "tf.data of unknown length": STRATEGIES,
    "sequence": ("custom-step", "gradient-tape"),
    "inputs alone": ("custom-step",),
    "sequence of many shapes": ("compiled-fit", "gradient-tape"),
}


class InOrder(keras.utils.PyDataset):
    """The order of the seed for a script that knows nothing else of kerasx."""

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.source, self.number = source, 0

    def set_epoch(self, epoch: int, logs: Any = None) -> None:
        self.number = epoch

    def __len__(self) -> int:
        return -(-ROWS // BATCH)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        if isinstance(self.source, keras.utils.PyDataset):
            batch: tuple[Any, ...] = self.source[int(kerasx.batch_order(SEED, self.number, len(self))[index])]
            return batch
        chosen = kerasx.batch_order(SEED, self.number, ROWS)[index * BATCH : (index + 1) * BATCH]
        return tuple(array[chosen] for array in self.source)


Result = tuple[str, dict[str, list[float]], dict[str, float]]


def plain(case: Case, **more: Any) -> Result:
    """What a script without kerasx does: digest, history and evaluation."""
    with isolated(0):  # puts the process's random streams back
        keras.utils.set_random_seed(SEED)
        made = case.data()
        train, validation = made if isinstance(made, tuple) else (made, None)
        model = case.build()
        model.compile("sgd", case.loss(), metrics=list(case.metrics) or None)
        callbacks = []
        if not isinstance(train, tf.data.Dataset) and not case.ordered:
            train = InOrder(train)
            callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=train.set_epoch)]
        more |= {"validation_data": validation, "validation_batch_size": BATCH}
        log = model.fit(train, epochs=EPOCHS, shuffle=False, callbacks=callbacks, verbose=0, **more)
        evaluation = {}
        if validation is not None:
            parts = validation if isinstance(validation, tuple) else (validation,)
            named = dict(zip(("x", "y", "sample_weight"), parts, strict=False))
            evaluation = model.evaluate(**named, batch_size=BATCH, verbose=0, return_dict=True)
        history = {name: [float(value) for value in values] for name, values in log.history.items()}
        return kerasx.weights_digest(model), history, evaluation


def train(runs: Path, case: Case, **values: Any) -> kerasx.Run:
    fields = {
        "model": case.build,
        "dataset": case.data,
        "loss": case.loss(),
        "batch_size": BATCH,
        "shuffle": not case.ordered,
        "epochs": EPOCHS,
        "seed": SEED,
        "strategy": "gradient-tape",
        "execution": "graph",
        "jit": False,
    }
    return kerasx.Engine(runs=runs).train(**{**fields, **values})


def result_of(run: kerasx.Run) -> Result:
    return run.weights_digest, run.history, run.evaluation


@pytest.mark.parametrize("name", CASES)
def test_strategies_and_fit_end_with_the_same_bits(name: str, tmp_path: Path) -> None:
    """The data comes as a function or class, by reference, and with options."""
    case = CASES[name]
    expected = plain(case)
    reference = f"{__file__}:{case.data.__name__}"
    forms = {
        "compiled-fit": case.data,
        "custom-step": {"name": reference, **case.options},
        "gradient-tape": reference,
    }
    for strategy in DRIVERS.get(name, ("gradient-tape",)):
        run = train(tmp_path, case, strategy=strategy, dataset=forms[strategy])
        assert result_of(run) == expected, strategy
        assert run.steps == case.steps
    assert expected[1]["loss"][1] < expected[1]["loss"][0]


def test_a_length_that_differs_from_epoch_to_epoch(tmp_path: Path) -> None:
    """As `fit` does: it takes what the first epoch had, and one batch more, for the length of all."""
    lengths = iter([2, 4] * 3)

    def batches() -> Iterator[tuple[Any, Any]]:
        for number in range(next(lengths)):
            yield X[number * 8 : number * 8 + 8], Y[number * 8 : number * 8 + 8]

    def made() -> tf.data.Dataset:
        specs = (tf.TensorSpec([None, 4], tf.float32), tf.TensorSpec([None], tf.int64))
        return tf.data.Dataset.from_generator(batches, output_signature=specs)

    case = Case(made, steps=5)
    expected = plain(case)
    for strategy in ("compiled-fit", "gradient-tape"):
        run = train(tmp_path, case, strategy=strategy)
        assert (result_of(run), run.steps) == (expected, case.steps), strategy


# Fails: `Dataset.signature` joins a tuple with a list.
def test_labels_in_a_list_beside_those_of_a_pipeline(tmp_path: Path) -> None:
    """tf.data has no lists, so that only tuples can stand in a pipeline where arrays are in a list."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, [keras.layers.Dense(3)(inputs), keras.layers.Dense(1)(inputs)])
    size, size_val = X[:, :1], X_VAL[:, :1]
    tried = kerasx.Engine(runs=tmp_path).dry_run(
        model=model,
        dataset=(rows(X, (Y, size)).batch(BATCH), (X_VAL, [Y_VAL, size_val])),
        loss=[crossentropy(), "mse"],
    )
    assert {"loss", "val_loss"} <= set(tried.logs)


# --- PyDatasets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["arrays", "sequence"])
def test_batches_that_a_loop_keeps_are_there_after_its_training(tmp_path: Path, form: str) -> None:
    """Of them, and of a pipeline made of them, whatever else has gone."""
    kept: list[Any] = []

    def loop(model: keras.Model, batches: Any) -> Any:
        kept.append(batches.map(lambda *parts: parts))
        return [model.train_on_batch(x, y, return_dict=True) for x, y in batches][-1]

    dataset = (X, Y) if form == "arrays" else Sequence()
    train(tmp_path, CASES["sequence"], dataset=dataset, strategy=loop, execution="eager")
    gc.collect()
    assert sum(1 for _ in kept[0]) == -(-len(X) // BATCH)


@pytest.mark.parametrize("strategy", ["compiled-fit", "gradient-tape"])
def test_a_sequence_is_told_of_each_epoch_and_asked_for_each_batch_once(
    strategy: str, tmp_path: Path
) -> None:
    sequence, checked = Sequence(), Sequence(x=X_VAL, y=Y_VAL)
    train(tmp_path, CASES["sequence"], dataset=(sequence, checked), strategy=strategy)
    # What comes before the first epoch are looks at shapes.
    told = sequence.calls[sequence.calls.index("begin") :]
    orders = [kerasx.batch_order(SEED, epoch, 4).tolist() for epoch in range(EPOCHS)]
    assert told == ["begin", *orders[0], "end", "begin", *orders[1], "end"]
    validations = checked.calls[checked.calls.index("begin") :]
    assert validations == ["begin", 0, 1, "end"] * (EPOCHS + 1)  # and the evaluation after them


class Failing(Sequence):
    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index == self.index:
            raise ArithmeticError("on purpose")
        return super().__getitem__(index)


# Index 0 is looked at before training, index 3 is not.
@pytest.mark.parametrize("index", [0, 3])
@pytest.mark.parametrize("strategy", ["compiled-fit", "gradient-tape"])
def test_what_a_sequence_raises_is_named(strategy: str, index: int, tmp_path: Path) -> None:
    with pytest.raises(kerasx.UsageError, match="ArithmeticError: on purpose"):
        train(tmp_path / "runs", CASES["sequence"], dataset=Failing(index), strategy=strategy)


# --- labels ------------------------------------------------------------------------------------------


def ordered_rows() -> tf.data.Dataset:
    return rows(X, Y).batch(BATCH)


def test_class_numbers_of_a_pipeline_are_encoded_as_those_of_arrays_are(tmp_path: Path) -> None:
    case = Case(ordered_rows, steps=8)
    run = train(tmp_path, case, loss="mse")
    arrays = train(tmp_path, case, loss="mse", dataset=(X, Y), shuffle=False)
    assert result_of(run) == result_of(arrays)
    note = "labels are encoded as one-hot rows [batch, 3] float32, once, for all strategies"
    assert note in run.notes
    assert "accuracy" in run.history


def test_what_a_pipeline_does_not_tell_is_asked_for(tmp_path: Path) -> None:
    case = Case(ordered_rows, steps=8)
    with pytest.raises(kerasx.UsageError, match=r"--set model\.outputs=10"):
        train(tmp_path, case, model="mlp")
    one_hot = rows(X, np.eye(3, dtype="float32")[Y]).batch(BATCH)
    with pytest.raises(kerasx.UsageError, match="name `binary_accuracy`, `categorical_accuracy`"):
        train(tmp_path, case, dataset=one_hot, loss="mse", metrics=["accuracy"])
    mlp = {"name": "mlp", "hidden": [4], "outputs": 3}
    run = train(tmp_path, case, model=mlp)
    note = "accuracy is SparseCategoricalAccuracy: labels [batch] int64, outputs [batch, 3] float32"
    assert note in run.notes
    arrays = train(tmp_path, case, model={**mlp, "outputs": None}, dataset=(X, Y), shuffle=False)
    assert result_of(run) == result_of(arrays)


def float_labels() -> tf.data.Dataset:
    return rows(X, Y.astype("float64")).batch(BATCH)


def test_class_numbers_of_another_dtype_train_as_in_fit(tmp_path: Path) -> None:
    """Whole numbers in float64 are class numbers in arrays and for `fit`."""
    case = Case(float_labels, steps=8)
    assert result_of(train(tmp_path, case, metrics=["sparse_categorical_accuracy"]))[0] == plain(case)[0]


# Class 2 is beyond the table, and counts once.
WEIGHTS = {0: 0.25, 1: 4.0}


def test_class_weights_of_a_pipeline_are_those_of_arrays_and_of_fit(tmp_path: Path) -> None:
    case = Case(ordered_rows, steps=8)
    run = train(tmp_path, case, class_weight=WEIGHTS)
    arrays = train(tmp_path, case, class_weight=WEIGHTS, dataset=(X, Y), shuffle=False)
    each = np.array([WEIGHTS.get(int(number), 1.0) for number in Y], "float32")
    weighted = Case(lambda: rows(X, Y, each).batch(BATCH), steps=8)
    assert result_of(run) == result_of(arrays) == plain(weighted)
    # Keras's own table ends at the last class that is named, so that it has to name all of them.
    assert result_of(run) == plain(case, class_weight={**WEIGHTS, 2: 1.0})
    with pytest.raises(kerasx.UsageError, match="beside sample weights"):
        train(tmp_path, weighted, class_weight=WEIGHTS)


# --- what is refused ---------------------------------------------------------------------------------


class NoLength(keras.utils.PyDataset):
    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return X, Y


class Endless(NoLength):
    num_batches = None


def of_unknown_shapes() -> tf.data.Dataset:
    batch = ((X, Y) for _ in range(1))
    return tf.data.Dataset.from_generator(lambda: batch, output_types=(tf.float32, tf.int64))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: ordered_rows().repeat(), r"never ends: say how long an epoch is, with \.take\(batches\)"),
        (lambda: (ordered_rows(), ordered_rows().repeat()), "never ends"),
        (lambda: rows(X, Y), r"single rows: end it with \.batch\(32\)"),
        (lambda: ordered_rows().take(0), "is empty"),
        (lambda: rows(X, Y, W, W).batch(BATCH), "a batch has 4 parts"),
        (of_unknown_shapes, "the shape of its elements is not known"),
        (lambda: (batch for batch in [(X, Y)]), "generator, which is no data"),
        (lambda: Sequence(x=X[:0]), "is empty"),
        (Endless, "give it a length, with __len__"),
        (NoLength, "__len__"),
        (lambda: (ordered_rows(), rows({"a": X_VAL}, Y_VAL).batch(8)), "inputs of the validation rows"),
        (lambda: (ordered_rows(), (X_VAL, np.eye(3)[Y_VAL])), "labels of the validation rows"),
        (
            lambda: (ordered_rows(), unlabelled()),
            "only one of the training and the validation rows has labels",
        ),
        (lambda: (ordered_rows(), (X_VAL[:, :3], Y_VAL)), "does not fit the model"),
    ],
)
def test_a_pipeline_that_is_no_data_is_refused(data: Callable[[], Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(kerasx.UsageError, match=said):
        train(tmp_path / "runs", Case(data, steps=0))
    assert not any((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("strategy", ["compiled-fit", "gradient-tape"])
def test_a_pipeline_that_turns_out_empty_is_no_training(strategy: str, tmp_path: Path) -> None:
    """A run that took no step must not end as one that did."""
    nothing = Case(lambda: ordered_rows().filter(lambda x, y: False), steps=0)
    with pytest.raises(kerasx.UsageError, match=r"empty|no rows|no batch"):
        train(tmp_path / "runs", nothing, strategy=strategy)


def test_a_pipeline_is_not_divided(tmp_path: Path) -> None:
    with pytest.raises(kerasx.UsageError, match=r"return two pipelines, \(training, validation\)"):
        train(tmp_path, Case(ordered_rows, steps=0), validation_split=0.2)


# --- what is kept ------------------------------------------------------------------------------------


def test_a_dry_run_takes_one_batch(tmp_path: Path) -> None:
    sequence = Sequence()
    engine = kerasx.Engine(runs=tmp_path / "runs")
    tried = engine.dry_run(
        model=classifier, dataset=(sequence, rows(X, Y).batch(8)), loss=crossentropy(), seed=SEED
    )
    first = int(kerasx.batch_order(SEED, 0, 4)[0])
    assert sequence.calls[sequence.calls.index("begin") :] in (["begin", first], ["begin", first, "end"])
    assert set(tried.logs) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert not (tmp_path / "runs").exists()


def test_a_run_says_that_its_data_is_a_pipeline(tmp_path: Path) -> None:
    reference = f"{__file__}:shuffled"
    run = train(tmp_path, CASES["shuffled tf.data"], dataset=reference, model=f"{__file__}:classifier")
    note = "the data is a pipeline: its batches and their order are its own, and it has no digest"
    assert note in run.notes
    record = json.loads((run.directory / "environment.json").read_text())
    assert record["data_digest"] is None
    assert note in record["notes"]
    kept = kerasx.Experiment.from_toml(run.directory / "experiment.toml")
    assert (kept.dataset.name, kept.batch_size, kept.shuffle, kept.metrics) == (
        reference,
        BATCH,
        True,
        (kerasx.Component(name="accuracy"),),
    )
    assert kerasx.Engine(runs=tmp_path).evaluate(run) == run.evaluation
