"""What steps do beside what they part in, which must not be taken for it; and what is said of that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparing import FIELDS, working_in
from hypothesis import example, given
from hypothesis import strategies as st

import kerasx
from kerasx.plain import shown_apart
from kerasx.startup import start_tensorflow

start_tensorflow()

MINE = '''
import keras
import numpy as np
import tensorflow as tf


def data():
    x = np.random.default_rng(3).normal(size=(40, 6)).astype("float32")
    return {"x_train": x, "y_train": x[:, :2].copy()}


class Counted(keras.layers.Layer):
    """Has a variable that is not trained."""

    def build(self, shape):
        self.count = self.add_weight(shape=(), trainable=False, name="count")

    def call(self, x):
        return x


def build():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), Counted(), keras.layers.Dense(2)])


def trained(model, data, scale=1.0, first=lambda model, x: model, variables=lambda model: model.variables):
    x, y = data
    network = first(model, x)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=y, y_pred=network(x, training=True), training=True) * scale
    gradients = tape.gradient(loss, variables(network))
    pairs = [(each, own) for each, own in zip(gradients, variables(model)) if each is not None]
    model.optimizer.apply(*zip(*pairs))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.get_metrics_result()


def warmed_up(model, x):
    model(x[:2])
    return model


def cloned(model, x):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone


def doubled_after_warming_up(model, data):
    return trained(model, data, 2.0, warmed_up)


def doubled_of_all_variables(model, data):
    return trained(model, data, 2.0)


def nearly(model, data):
    return trained(model, data, 1.0000001)


def drawing(model, data):
    x, y = data
    return trained(model, (x + tf.random.normal((6,)), y))


def silent(model, data):
    trained(model, data)
    return {"own": 0.0}


def step_of_a_clone(model, data):
    return trained(model, data, first=cloned, variables=lambda model: model.trainable_variables)
'''


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with working_in(tmp_path_factory.mktemp("here"), MINE) as folder:
        yield folder


def compared(*names: Any, **values: Any) -> kerasx.Comparison:
    return kerasx.Engine().compare(*names, **{**FIELDS, **values})


@pytest.fixture(scope="module")
def doubled(here: Path) -> kerasx.Comparison:
    """A clone leads, so that what it does is held against itself too."""
    steps = ("step_of_a_clone", "doubled_after_warming_up", "doubled_of_all_variables")
    names = [f"mine.py:{step}" for step in steps]
    return kerasx.Engine().compare(names[0], "custom-step", *names[1:], **FIELDS)


@pytest.mark.parametrize("step", ["doubled_after_warming_up", "doubled_of_all_variables"])
@pytest.mark.parametrize("other", ["custom-step", "mine.py:step_of_a_clone"])
def test_steps_part_where_they_differ_in_what_is_trained(
    doubled: kerasx.Comparison, step: str, other: str
) -> None:
    """Not in a forward pass that comes to nothing, nor in variables of which there is no gradient, nor in the
    names that Keras gives to the layers of a clone."""
    (pair,) = [each for each in doubled.pairs if (each.a, each.b) == (other, f"mine.py:{step}")]
    first = pair.first_difference
    assert first is not None
    assert (first.stage, first.quantity, first.step) == ("loss", "loss", 0)
    assert first.ratio == pytest.approx(0.5)


def test_a_clone_that_is_made_anew_in_each_step_repeats_itself(doubled: kerasx.Comparison) -> None:
    assert doubled.pairs[0].verdict == "identical"
    assert not [note for note in doubled.notes if "does not repeat itself" in note]


def test_a_stream_that_is_another_one_in_a_graph_is_told() -> None:
    result = compared("mine.py:drawing", vary={"execution": ["eager", "graph"]})
    assert not result.agrees
    assert [note for note in result.notes if "TensorFlow's own stream" in note]


def test_noise_in_what_the_leading_side_lacks_is_measured() -> None:
    """The one that leads reports no loss."""
    result = compared("mine.py:silent", "custom-step", "mine.py:nearly")
    (pair,) = [each for each in result.pairs if (each.a, each.b) == ("custom-step", "mine.py:nearly")]
    assert pair.verdict == "equivalent"
    reported = [each for each in pair.differences if each.quantity == "returned loss"]
    assert reported
    assert all(each.noise for each in reported)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
@example(0.0, -0.0)
def test_values_that_differ_are_never_shown_alike(a: float, b: float) -> None:
    """By their bits: 0 and -0 are told apart, too."""
    ours, theirs = shown_apart(a, b)
    assert (ours != theirs) == (np.float64(a).tobytes() != np.float64(b).tobytes())


@pytest.mark.parametrize(("a", "b", "shown"), [(1.0979, 1.0981, ("1.0979", "1.0981")), (1, 2, ("1", "2"))])
def test_four_digits_are_shown_where_they_are_enough(a: float, b: float, shown: tuple[str, str]) -> None:
    assert shown_apart(a, b) == shown


# --- Beside a trace -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(here: Path) -> Path:
    return kerasx.Engine().trace("custom-step", here / "kept", **FIELDS)


def test_a_strategy_beside_a_trace_trains_its_experiment(kept: Path) -> None:
    (pair,) = kerasx.Engine().compare(kept, "gradient-tape").pairs
    assert pair.verdict == "identical"


def test_experiments_that_differ_beside_a_trace_are_said_to(kept: Path) -> None:
    result = compared(kept, "custom-step", batch_size=8)
    assert not result.agrees
    assert any("other values of batch_size" in note for note in result.notes)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seeds": (0, 1)}, "seeds"),
        ({"vary": {"seed": [0, 1]}}, "varied"),
        ({"traces": "more"}, "traced"),
    ],
)
def test_what_cannot_be_done_with_a_trace_is_refused(kept: Path, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(kerasx.UsageError, match=f"is a trace, of steps that were taken: .*{said}"):
        kerasx.Engine().compare(kept, "custom-step", **FIELDS, **asked)
