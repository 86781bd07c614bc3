"""Losses, metrics and optimizers: what they compute, how they are named, and when they are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from kerasx.assembly.keras_names import KerasNames  # noqa: E402
from kerasx.builtins.losses import SumSquaredError  # noqa: E402
from kerasx.builtins.metrics import accuracy  # noqa: E402
from kerasx.data.signature import Signature, TensorInfo, label_info  # noqa: E402

RNG = np.random.RandomState(5)
X = RNG.randn(48, 6).astype("float32")
CLASSES = RNG.randint(0, 3, 48)


def dense(units: int) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(units)])


def train(runs: Path, **values: Any) -> kerasx.Run:
    # Without XLA, which would take its time to compile each of them.
    fields = {
        "model": lambda: dense(3),
        "dataset": ((X, CLASSES), (X, CLASSES)),
        "epochs": 1,
        "jit": False,
    }
    return kerasx.Engine(runs=runs).train(**{**fields, **values})


# --- sum-squared-error -------------------------------------------------------------------------------


@given(
    rows=st.integers(1, 40),
    outputs=st.integers(2, 12),
    seed=st.integers(0, 2**32 - 1),
    weighted=st.booleans(),
    form=st.sampled_from(["numbers", "column", "one-hot"]),
)
def test_the_loss_and_its_gradient_are_those_of_the_formula(
    rows: int, outputs: int, seed: int, weighted: bool, form: str
) -> None:
    """Summed over the outputs, divided by the rows there are; weights multiply each row's sum."""
    random = np.random.RandomState(seed)
    predictions = random.randn(rows, outputs).astype("float32")
    numbers = random.randint(0, outputs, rows)
    weights = random.uniform(0, 3, rows).astype("float32") if weighted else None
    one_hot = np.eye(outputs, dtype="float32")[numbers]
    labels = {"numbers": numbers, "column": numbers[:, None], "one-hot": one_hot}[form]

    y_pred = tf.Variable(predictions)
    with tf.GradientTape() as tape:
        loss = SumSquaredError()(labels, y_pred, sample_weight=weights)
    factor = np.ones(rows) if weights is None else weights.astype("float64")
    error = predictions.astype("float64") - one_hot
    assert float(loss) == pytest.approx((error**2).sum(1) @ factor / rows, rel=2e-5)
    np.testing.assert_allclose(
        tape.gradient(loss, y_pred).numpy(), 2 * error * factor[:, None] / rows, rtol=2e-5, atol=1e-6
    )


def test_the_loss_is_mse_times_the_outputs() -> None:
    """The article's ten."""
    labels, predictions = RNG.randn(32, 10).astype("float32"), RNG.randn(32, 10).astype("float32")
    ratio = SumSquaredError()(labels, predictions) / keras.losses.MeanSquaredError()(labels, predictions)
    assert float(ratio) == pytest.approx(10, rel=1e-6)


@pytest.mark.parametrize(
    ("labels", "outputs"), [((8,), (8,)), ((8, 1), (8, 1)), ((8,), (8, 1)), ((8, 1), (8,))]
)
def test_a_single_output_is_not_broadcast(labels: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    """[b] against [b, 1] is b errors, not b times b."""
    y, p = RNG.randn(8).astype("float32"), RNG.randn(8).astype("float32")
    loss = SumSquaredError()(y.reshape(labels), p.reshape(outputs))
    assert float(loss) == pytest.approx(float(((y - p) ** 2).mean()), rel=1e-5)


def test_the_loss_survives_saving() -> None:
    """It is Keras-serializable, with its options."""
    loss = keras.losses.deserialize(keras.losses.serialize(SumSquaredError(name="mine")))
    assert isinstance(loss, SumSquaredError)
    assert loss.name == "mine"


# --- accuracy ----------------------------------------------------------------------------------------


def signature(labels: np.ndarray[Any, Any], outputs: tuple[int | None, ...]) -> Signature:
    return Signature(TensorInfo((None, 6), "float32"), label_info(labels), TensorInfo(outputs, "float32"))


@pytest.mark.parametrize(
    ("labels", "outputs", "meter"),
    [
        (np.array([0, 2, 1]), (None, 3), "SparseCategoricalAccuracy"),
        (np.array([[0], [2], [1]]), (None, 3), "SparseCategoricalAccuracy"),
        (np.array([0.0, 2.0, 1.0], "float32"), (None, 3), "SparseCategoricalAccuracy"),
        (np.eye(3, dtype="float32"), (None, 3), "CategoricalAccuracy"),
        (np.eye(3, dtype="int32"), (None, 3), "CategoricalAccuracy"),
        (np.array([0, 1, 1]), (None, 1), "BinaryAccuracy"),
        (np.array([[0], [1], [1]]), (None, 1), "BinaryAccuracy"),
        (np.array([True, False]), (None, 1), "BinaryAccuracy"),
        (np.array([0, 1]), (None,), "BinaryAccuracy"),
        (np.array([[0, 1, 2], [2, 1, 0]]), (None, 3, 5), "SparseCategoricalAccuracy"),
        (np.eye(4)[np.array([[0, 1], [2, 3]])], (None, 2, 4), "CategoricalAccuracy"),
    ],
)
def test_accuracy_becomes_the_meter_that_fits(
    labels: np.ndarray[Any, Any], outputs: tuple[int | None, ...], meter: str
) -> None:
    """By values as well as by shapes."""
    assert type(accuracy(signature(labels, outputs))).__name__ == meter


@pytest.mark.parametrize(
    ("labels", "outputs", "said"),
    [
        (np.array([0.5, 1.5]), (None, 1), "regression"),
        (np.array([0, 1, 2]), (None, 1), "from 0 to 2"),
        (np.array([0, 1, 2]), (None,), "from 0 to 2"),
        (np.array([0, 5]), (None, 3), "classes 0 to 2"),
        (np.array([-1, 1]), (None, 3), "-1"),
        (np.array([[0.2, 0.8], [0.5, 0.5]]), (None, 2), "does not fit"),
        (np.eye(3), (None, 4), "does not fit"),
        (np.eye(3), (None, 1), "does not fit"),
    ],
)
def test_accuracy_is_refused_where_nothing_fits(
    labels: np.ndarray[Any, Any], outputs: tuple[int | None, ...], said: str
) -> None:
    """With labels and outputs named."""
    with pytest.raises(kerasx.UsageError, match=said):
        accuracy(signature(labels, outputs))


def test_the_meter_is_said_and_recorded_or_left_out(tmp_path: Path) -> None:
    """Unasked, accuracy is measured where it fits; asked for, it is refused where it does not."""
    run = train(tmp_path, loss="sparse_categorical_crossentropy")
    expected = "accuracy is SparseCategoricalAccuracy: labels [batch] int64, outputs [batch, 3] float32"
    assert expected in run.notes
    regression = {"model": lambda: dense(1), "dataset": (X, X[:, 0]), "loss": "mse"}
    assert set(train(tmp_path, **regression).history) == {"loss"}
    with pytest.raises(kerasx.UsageError, match="accuracy"):
        train(tmp_path, **regression, metrics=["accuracy"])


# --- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mse", keras.losses.MeanSquaredError),
        ("MSE", keras.losses.MeanSquaredError),
        ("mean_squared_error", keras.losses.MeanSquaredError),
        ("mean-squared-error", keras.losses.MeanSquaredError),
        ("MeanSquaredError", keras.losses.MeanSquaredError),
        ("kl_divergence", keras.losses.KLDivergence),
        ("huber", keras.losses.Huber),
        ("no_such_loss", None),
        ("", None),
    ],
)
def test_keras_names_in_any_spelling(name: str, expected: type | None) -> None:
    """Long, short, snake, kebab and camel."""
    assert KerasNames(keras.losses, keras.losses.Loss).find(name) is expected


@pytest.mark.parametrize(
    ("module", "base"),
    [
        (keras.losses, keras.losses.Loss),
        (keras.metrics, keras.metrics.Metric),
        (keras.optimizers, keras.optimizers.Optimizer),
    ],
)
def test_every_name_that_is_offered_is_found(module: Any, base: type) -> None:
    """What an error message offers can be typed in."""
    names = KerasNames(module, base)
    assert len(names.names()) > 8
    assert [name for name in names.names() if names.find(name) is None] == []


def test_options_of_keras_classes_are_checked(tmp_path: Path) -> None:
    """A wrong one is named with the nearest, a wrong value with what Keras says."""
    with pytest.raises(kerasx.UsageError, match="`delta`"):
        train(tmp_path, loss={"name": "huber", "detla": 2.0})
    with pytest.raises(kerasx.UsageError, match="sgd"):
        train(tmp_path, loss="huber", optimizer={"name": "sgd", "momentum": 7})
    run = train(tmp_path, loss={"name": "huber", "delta": 2.0}, optimizer={"name": "sgd", "momentum": 0.5})
    assert run.experiment.to_plain()["loss"] == {"name": "huber", "delta": 2.0}
    assert float(run.model.optimizer.momentum) == 0.5


def test_a_keras_metric_is_called_what_it_was_called(tmp_path: Path) -> None:
    """`mae` in the options is `mae` in the logs, as in Keras."""
    run = train(tmp_path, loss="mse", metrics=["mae", "MeanAbsoluteError", "accuracy"])
    assert set(run.history) >= {"mae", "MeanAbsoluteError", "accuracy"}


OWN = """
import keras


class Scaled(keras.losses.Loss):
    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def scaled(y_true, y_pred, factor=1.0):
    return factor * keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def factory(signature, factor=1.0):
    assert signature.outputs.shape[-1] == 3
    return Scaled(factor)


instance = Scaled(2.0)
"""


@pytest.mark.parametrize("name", ["Scaled", "scaled", "factory"])
def test_own_losses_as_class_function_and_factory(tmp_path: Path, name: str) -> None:
    """All forms by reference, with options; twice the loss is twice the loss."""
    (tmp_path / "own.py").write_text(OWN)
    reference = f"{tmp_path}/own.py:{name}"
    fields = {"learning_rate": 1e-30}
    once = train(tmp_path, loss=reference, **fields).history["loss"][0]
    twice = train(tmp_path, loss={"name": reference, "factor": 2.0}, **fields).history["loss"][0]
    instance = train(tmp_path, loss=f"{tmp_path}/own.py:instance", **fields).history["loss"][0]
    assert twice == pytest.approx(2 * once, rel=1e-6)
    assert instance == twice
    with pytest.raises(kerasx.UsageError, match=r"no option `facto`\. Did you mean `factor`"):
        train(tmp_path, loss={"name": reference, "facto": 1})


# --- labels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", ["mse", "mae", "huber", "categorical_crossentropy", keras.losses.KLDivergence()]
)
def test_class_numbers_are_encoded_for_losses_that_compare_elements(tmp_path: Path, loss: Any) -> None:
    """Once, said, and as if the labels had been one-hot from the start."""
    run = train(tmp_path, loss=loss)
    assert any("one-hot" in note for note in run.notes)
    one_hot = np.eye(3, dtype="float32")[CLASSES]
    same = train(tmp_path, loss=loss, dataset=((X, one_hot), (X, one_hot)))
    assert not any("one-hot" in note for note in same.notes)
    assert run.weights_digest == same.weights_digest


@pytest.mark.parametrize("loss", ["sum-squared-error", "sparse_categorical_crossentropy"])
def test_other_losses_get_the_labels_as_they_are(tmp_path: Path, loss: str) -> None:
    """Class numbers stay class numbers."""
    run = train(tmp_path, loss=loss)
    assert not any("one-hot" in note for note in run.notes)


def test_labels_are_encoded_on_request(tmp_path: Path) -> None:
    """`labels = "one-hot"` for any loss; not for labels that are no classes."""
    run = train(tmp_path, loss="sum-squared-error", labels="one-hot")
    assert any("one-hot" in note for note in run.notes)
    assert run.weights_digest == train(tmp_path, loss="sum-squared-error").weights_digest
    with pytest.raises(kerasx.UsageError, match="class numbers"):
        train(tmp_path, loss="mse", labels="one-hot", dataset=(X, X[:, :3]))


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("mse", RNG.randn(48, 2).astype("float32")),
        ("sum-squared-error", RNG.randn(48).astype("float32")),
        ("sum-squared-error", RNG.randn(48, 4).astype("float32")),
        ("sum-squared-error", CLASSES + 1),
        ("sparse_categorical_crossentropy", CLASSES + 1),
        ("mse", CLASSES + 1),
    ],
)
def test_labels_that_do_not_fit_the_outputs_are_refused(
    tmp_path: Path, loss: str, labels: np.ndarray[Any, Any]
) -> None:
    """Keras and TensorFlow would broadcast them, or count past the last class, and return a number."""
    with pytest.raises(kerasx.UsageError):
        train(tmp_path / "runs", loss=loss, dataset=(X, labels))
    assert not any((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"loss": "mse", "metrics": ["sparse_categorical_accuracy"]},
            "takes class numbers, and the labels are",
        ),
        ({"metrics": ["categorical_accuracy"]}, "compares labels and outputs element by element"),
        ({"metrics": ["precision"]}, "compares labels and outputs element by element"),
        ({"metrics": ["f1_score"]}, "compares labels and outputs element by element"),
    ],
)
def test_a_metric_that_labels_do_not_fit_is_refused(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    """Keras answers with a number, or for some sizes of batch."""
    loss = {"name": "sparse_categorical_crossentropy", "from_logits": True}
    with pytest.raises(kerasx.UsageError, match=said):
        train(tmp_path, **{"loss": loss, **fields})
    assert list(tmp_path.iterdir()) == []


def test_one_loss_for_several_outputs_is_checked_for_each(tmp_path: Path) -> None:
    """An elementwise one would broadcast a column of class numbers against the outputs."""

    def two() -> keras.Model:
        inputs = keras.Input((6,))
        return keras.Model(inputs, {name: keras.layers.Dense(3, name=name)(inputs) for name in "ab"})

    labels = dict.fromkeys("ab", CLASSES[:, None])
    with pytest.raises(kerasx.UsageError, match="give one-hot labels, or a sparse loss"):
        train(tmp_path, model=two, dataset=(X, labels), loss="mse")
    with pytest.raises(kerasx.UsageError, match=r"The labels name an output `bb`.*Did you mean `b`"):
        train(tmp_path, model=two, dataset=(X, {"a": CLASSES, "bb": CLASSES}), loss="mse")
    rows = {name: np.eye(3, dtype="float32")[CLASSES] for name in "ab"}
    assert train(tmp_path, model=two, dataset=(X, rows), loss="mse").history["loss"][0] > 0
    with pytest.raises(kerasx.UsageError, match="give `loss_weights` one weight for each"):
        train(tmp_path, model=two, dataset=(X, rows), loss="mse", loss_weights=2.0)
    with pytest.raises(kerasx.UsageError, match="give `loss_weights` as a number"):
        train(tmp_path, loss="mse", loss_weights={"x": 2.0})
