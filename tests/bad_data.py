"""Bad data as arrays, against model and loss; and odd data that is trained on and told of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from bad_inputs import Bad

ROWS = 40
X = np.random.RandomState(0).randn(ROWS, 4).astype("float32")
Y = np.arange(ROWS) % 3


def changed(array: Any, at: Any, value: Any) -> Any:
    """A copy with a value in one place or several."""
    copy = np.array(array)
    copy[at] = value
    return copy


def train(x: Any = X, y: Any = Y, **more: Any) -> Callable[[], dict[str, Any]]:
    """Data to train on alone."""
    return lambda: {"x_train": x, "y_train": y, **more}


def row(name: str, arrays: Callable[[], dict[str, Any]], *says: str, **values: Any) -> Bad:
    """A row of arrays, and what else the experiment says."""
    return Bad(name, says, arrays=arrays, values=values)


REGRESSION = {"loss": "mse", "model": {"name": "mine.py:build", "outputs": 1}}
T = X[:, 0]
CLEAN = "leave those rows out"

NOT_FINITE = (
    row(
        "x nan",
        train(changed(X, (7, 2), np.nan)),
        "`x_train` holds 1 value that is not finite (1 NaN)",
        "row 7",
        CLEAN,
    ),
    row(
        "x infinite",
        train(changed(X, ([3, 9], 0), np.inf)),
        "`x_train` holds 2 values",
        "(2 infinite)",
        "row 3",
    ),
    row("x negative infinite", train(changed(X, 5, -np.inf)), "4 values", "(4 infinite)", "row 5"),
    row("x nan everywhere", train(X * np.nan), "160 values", "(160 NaN)", "row 0"),
    row(
        "x nan and infinite",
        train(changed(changed(X, (8, 1), np.nan), (6, 1), np.inf)),
        "(1 NaN, 1 infinite)",
        "row 6",
    ),
    row("x nan as float64", train(changed(X.astype("float64"), (39, 3), np.nan)), "`x_train`", "row 39"),
    row("x infinite as float16", train(changed(X.astype("float16"), (2, 0), np.inf)), "`x_train`", "row 2"),
    row("x nan in a huge batch", train(changed(X, 9, np.nan)), "`x_train`", "row 9", batch_size=2**31 - 1),
    row(
        "x nan to validate on",
        train(x_test=changed(X, (4, 0), np.nan), y_test=Y),
        "`x_test` holds 1 value",
        "row 4",
    ),
    row(
        "y nan",
        train(y=changed(T, 11, np.nan)),
        "`y_train` holds 1 value",
        "(1 NaN)",
        "row 11",
        CLEAN,
        **REGRESSION,
    ),
    row(
        "y infinite",
        train(y=changed(T, [1, 2, 3], np.inf)),
        "3 values",
        "(3 infinite)",
        "row 1",
        **REGRESSION,
    ),
    row("y nan classes", train(y=changed(Y.astype("float32"), 20, np.nan)), "`y_train`", "row 20"),
    row(
        "y nan classes with an accuracy",
        train(y=changed(Y.astype("float32"), 20, np.nan)),
        "`y_train`",
        "row 20",
        metrics=["accuracy"],
    ),
    row("y nan for mlp", train(y=changed(T, 12, np.nan)), "`y_train`", "row 12", model="mlp", loss="mae"),
    row(
        "y nan to validate on",
        train(y=T, x_test=X, y_test=changed(T, 30, np.nan)),
        "`y_test`",
        "row 30",
        **REGRESSION,
    ),
    row(
        "x and y nan", train(changed(X, 1, np.nan), changed(T, 2, np.nan)), "`y_train`", "row 2", **REGRESSION
    ),
    row(
        "weights nan",
        train(sample_weight_train=changed(np.ones(ROWS), 5, np.nan)),
        "`sample_weight_train`",
        "row 5",
    ),
    row(
        "x nan of one of several",
        train({"a": X, "b": changed(X, (17, 1), np.nan)}),
        "`x_train['b']`",
        "row 17",
        model="two.py:build",
    ),
    row(
        "y nan of one of several",
        train(y={"digit": Y, "odd": changed(T, 18, np.nan)}),
        "`y_train['odd']`",
        "row 18",
        model="mine.py:two_outputs",
        loss={"digit": "sparse_categorical_crossentropy", "odd": "mse"},
    ),
)

LABELS = (
    row("labels above", train(y=Y + 1), "go from 1 to 3", "3 outputs", "classes 0 to 2"),
    row("labels far above", train(y=changed(Y, 3, 900)), "to 900", "classes 0 to 2"),
    row("labels negative", train(y=Y - 1), "go from -1 to 1", "classes 0 to 2"),
    row("labels not whole", train(y=Y + 0.5), "0.5 to 2.5", "class numbers"),
    row("labels above to validate on", train(x_test=X, y_test=Y + 3), "to 5", "classes 0 to 2"),
    row("labels text", train(y=np.array(list("abc") * 13 + ["a"])), "labels are text", "class numbers"),
    row("labels complex", train(y=Y + 1j), "real numbers", "complex128"),
    row("labels in columns", train(y=np.stack([Y, Y], axis=1)), "[batch, 2]", "class numbers"),
    row(
        "labels one-hot for a sparse loss",
        train(y=np.eye(3, dtype="float32")[Y]),
        "categorical_crossentropy",
        "one-hot",
    ),
    row(
        "labels for another number of outputs",
        train(y=np.eye(5)[Y]),
        "[batch, 5]",
        "[batch, 3]",
        loss="categorical_crossentropy",
    ),
    row(
        "labels of classes for one output",
        train(),
        "one output",
        "binary_crossentropy",
        model={"name": "mine.py:build", "outputs": 1},
    ),
    row(
        "labels of one class for one output",
        train(y=np.zeros(ROWS, int)),
        "one output",
        "binary_crossentropy",
        model="mlp",
        loss={"name": "sparse_categorical_crossentropy", "from_logits": True},
    ),
    row(
        "labels of one class as rows of one",
        train(y=np.ones((ROWS, 1), "float32")),
        "one output",
        model="mlp",
        loss="categorical_crossentropy",
    ),
    row(
        "labels binary from one",
        train(y=Y % 2 + 1),
        "from 0 to 1",
        "from 1 to 2",
        model={"name": "mine.py:build", "outputs": 1},
        loss="binary_crossentropy",
    ),
    row(
        "labels binary negative",
        train(y=Y % 2 * 2 - 1),
        "from 0 to 1",
        "from -1 to 1",
        model={"name": "mine.py:build", "outputs": 1},
        loss="binary_crossentropy",
    ),
    row(
        "labels percent",
        train(y=np.eye(3)[Y] * 100),
        "from 0 to 1",
        "to 100",
        loss="categorical_crossentropy",
    ),
    row("labels counts negative", train(y=Y - 1.0), "from 0", "at -1", **{**REGRESSION, "loss": "poisson"}),
    row("labels beyond one-hot", train(y=Y + 4), "up to 6", "classes 0 to 2", loss="mse", labels="one-hot"),
    row("labels not for one-hot", train(y=T), "one-hot", "float32", loss="mse", labels="one-hot"),
    row("labels no accuracy", train(y=T), "`accuracy`", "regression", **REGRESSION, metrics=["accuracy"]),
    row(
        "labels with class weights",
        train(y=T),
        "class_weight",
        "class numbers",
        **REGRESSION,
        class_weight={"0": 2.0},
    ),
    row(
        "weights beside class weights",
        train(sample_weight_train=np.ones(ROWS)),
        "class_weight",
        "sample weights",
        class_weight={"0": 2.0},
    ),
)

SHAPES = (
    row("y shorter", train(y=Y[:30]), "different numbers of rows", "(40, 4), (30,)"),
    row("y longer", train(x=X[:10]), "different numbers of rows", "(10, 4), (40,)"),
    row("validation shorter", train(x_test=X, y_test=Y[:5]), "validation", "different numbers of rows"),
    row("weights shorter", train(sample_weight_train=np.ones(3)), "different numbers of rows", "(3,)"),
    row("weights in columns", train(sample_weight_train=np.ones((ROWS, 4))), "weights", "(40, 4)"),
    row("weights of nothing", train(sample_weight_test=np.ones(3)), "sample_weight_test", "x_test"),
    row("no rows", train(X[:0], Y[:0]), "no training rows"),
    row("no rows to validate on", train(x_test=X[:0], y_test=Y[:0]), "no validation rows"),
    row("no y", lambda: {"x_train": X}, "no `y_train`", "It has: x_train"),
    row("no x", lambda: {"y_train": Y}, "no `x_train`"),
    row("no arrays of these names", lambda: {"x": X, "y": Y}, "no `x_train`", "It has: x, y"),
    row("an array too many", train(z_train=X), "`z_train` that means nothing"),
    row("an array misspelt", train(x_tset=X), "`x_tset` that means nothing"),
    row("x_test alone", train(x_test=X), "only one of x_test and y_test"),
    row("x a single number", train(x=np.float32(3)), "single value", "rows"),
    row("y a single number", train(y=np.int64(1)), "single value"),
    row(
        "x of columns for another model",
        train(),
        "does not fit the model",
        "[batch, 4]",
        model="image.py:build",
    ),
    row("x without columns", train(x=T), "does not fit the model", "[batch]", model="image.py:build"),
    row(
        "validation of other columns",
        train(x_test=X[:, :2], y_test=Y),
        "does not fit the model",
        "[batch, 2]",
    ),
    row("validation of another rank", train(x_test=X[:, None], y_test=Y), "validation", "rank"),
    row("validation of other labels", train(x_test=X, y_test=np.eye(3)[Y]), "validation", "rank"),
    row("x complex", train(x=X * 1j), "does not fit the model", "complex64", "real numbers"),
    row("x text", train(x=np.array([["a"] * 4] * ROWS)), "does not fit the model", "string"),
    row(
        "x dates",
        train(x=np.array(["2024-01-01"] * ROWS, "datetime64[D]")[:, None]),
        "datetime64",
        "astype('float32')",
    ),
    row("x structured", train(x=np.zeros(ROWS, [("a", "f4"), ("b", "f4")])), "Keras does not know", "astype"),
    row("x longdouble", train(x=X.astype("longdouble")), "Keras does not know"),
    row("y dates", train(y=np.array(["2024-01-01"] * ROWS, "datetime64[D]")), "datetime64", "numbers"),
    row("several inputs for a builder of one", train({"a": X, "b": X}), "mine.py:build", "line 15"),
    row("several inputs for mlp", train({"a": X, "b": X}), "`mlp` takes one input", model="mlp"),
    row(
        "labels of no output",
        train(y={"digt": Y, "odd": Y}),
        "`digt`",
        "`digit`",
        model="mine.py:two_outputs",
        loss="mse",
    ),
    row("several inputs of several lengths", train({"a": X, "b": X[:9]}), "different numbers of rows"),
    row("y of other shape", train(y=X), "different shapes", "[batch, 4]", "[batch, 3]", loss="mse"),
    row("one row to split", train(X[:1], Y[:1]), "validation_split is 0.5", "1 rows", validation_split=0.5),
)

TWO = """
import keras


def build(signature):
    inputs = {name: keras.Input(info.shape[1:], name=name) for name, info in signature.inputs.items()}
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Concatenate()(list(inputs.values()))))
"""
IMAGE = """
import keras


def build(signature):
    return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
"""


def with_files(bad: Bad) -> Bad:
    """The row with the files that its model is in."""
    from dataclasses import replace

    return replace(bad, files={"two.py": TWO, "image.py": IMAGE})


DATA = tuple(with_files(bad) for bad in (*NOT_FINITE, *LABELS, *SHAPES))


def engine(name: str, make: Callable[[], dict[str, Any]], *says: str) -> Bad:
    """A row of objects that code hands over."""
    from bad_inputs import BASE

    return Bad(name, says, call=lambda engine, here: engine.train(**{**BASE, **make()}))


def _pipeline(change: Callable[[Any], Any]) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        import tensorflow as tf

        return {"dataset": change(tf.data.Dataset.from_tensor_slices((X, Y)))}

    return make


def _sequence(**methods: Any) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        import keras

        return {"dataset": type("Mine", (keras.utils.PyDataset,), methods)()}

    return make


def _raising(self: Any, number: int) -> Any:
    raise KeyError("row 3")


class _Unreadable:
    shape = (ROWS,)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("no array today")


OBJECTS = (
    engine("object no data", lambda: {"dataset": object()}, "object", "no data"),
    engine("object one array", lambda: {"dataset": X}, "ndarray", "no data"),
    engine("object four arrays", lambda: {"dataset": (X, Y, Y, Y)}, "tuple", "no data"),
    engine("object lists of numbers", lambda: {"dataset": ([1.0, 2.0], [0, 1])}, "single value"),
    engine(
        "object of objects",
        lambda: {"dataset": (np.array([{}] * 3), Y[:3])},
        "Python objects",
        "numbers or text",
    ),
    engine("object ragged", lambda: {"dataset": (np.array([[1], [1, 2]], object), Y[:2])}, "Python objects"),
    engine("object unreadable", lambda: {"dataset": (_Unreadable(), Y)}, "no array today"),
    engine("pipeline not batched", _pipeline(lambda rows: rows), ".batch(32)"),
    engine("pipeline without end", _pipeline(lambda rows: rows.batch(8).repeat()), "never ends", ".take("),
    engine("pipeline empty", _pipeline(lambda rows: rows.batch(8).take(0)), "is empty"),
    engine(
        "pipeline empty unseen", _pipeline(lambda rows: rows.filter(lambda x, y: False).batch(8)), "no batch"
    ),
    engine(
        "pipeline of four parts",
        _pipeline(lambda rows: rows.batch(8).map(lambda x, y: (x, y, y, y))),
        "4 parts",
    ),
    engine(
        "pipeline of other rows to validate on",
        _pipeline(lambda rows: (rows.batch(8), rows.batch(8).map(lambda x, y: (x[:, :2], y)))),
        "does not fit the model",
        "[batch, 2]",
    ),
    engine(
        "pipeline to split",
        lambda: {**_pipeline(lambda rows: rows.batch(8))(), "validation_split": 0.5},
        "validation_split",
        "two pipelines",
    ),
    engine("sequence without length", _sequence(__getitem__=_raising), "__len__"),
    engine("sequence empty", _sequence(__len__=lambda self: 0, __getitem__=_raising), "is empty"),
    engine(
        "sequence that raises",
        _sequence(__len__=lambda self: 3, __getitem__=_raising),
        "KeyError",
        "row 3",
        "bad_data.py",
    ),
    engine("model no model", lambda: {"model": object()}, "object", "keras.Model"),
    engine("model a list", lambda: {"model": [1, 2]}, "list", "keras.Model"),
    engine("strategy no strategy", lambda: {"strategy": object()}, "object", "(model, data)"),
    engine("strategy without parameters", lambda: {"strategy": dict}, "(model, data)"),
    engine("loss no loss", lambda: {"loss": 3}, "`loss`", "3"),
    engine("optimizer no optimizer", lambda: {"optimizer": object()}, "object", "optimizer"),
    engine("callback no callback", lambda: {"callbacks": [object()]}, "object", "not a callback"),
    engine("rate no rate", lambda: {"learning_rate": [0.1]}, "rate"),
    engine("field unknown", lambda: {"epoch": 3}, "`epoch`", "`epochs`"),
)


def _own_loss(y_true: Any, y_pred: Any) -> Any:
    import keras

    known = keras.ops.isfinite(y_true)
    return keras.ops.square(keras.ops.where(known, y_true, 0.0) - y_pred) * keras.ops.cast(known, "float32")


# What these say are notes of a run that is made.
NOTED = (
    row("batch larger than the data", train(), "batch_size is 50", "40 rows"),
    row("one class", train(y=np.full(ROWS, 2)), "all labels to train on are the same (2)"),
    row(
        "one class as one-hot rows", train(y=np.eye(3)[np.full(ROWS, 1)]), "the same ([0. 1. 0.])", loss="mse"
    ),
    row("one value", train(y=np.full(ROWS, 0.5)), "the same (0.5)", **REGRESSION),
    row(
        "missing labels for a loss that leaves them out",
        train(y=changed(T[:, None], 3, np.nan)),
        "`y_train` holds 1 value that is not finite (1 NaN), the first in row 3",
        "the model is left to deal with",
        **{**REGRESSION, "loss": _own_loss},
    ),
    row(
        "ignored class",
        train(y=changed(Y, 3, 255)),
        loss={"name": "sparse_categorical_crossentropy", "ignore_class": 255},
    ),
)
