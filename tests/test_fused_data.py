"""What the default execution makes of data and steps that XLA treats otherwise than TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from kerasx.data import chunks, codes  # noqa: E402
from kerasx.data.batches import training_batches, validation_batches  # noqa: E402
from kerasx.data.chunks import Chunks  # noqa: E402
from kerasx.data.streams import Stream, as_stream  # noqa: E402

RANDOM = np.random.RandomState(0)
X = RANDOM.randn(70, 6, 6, 1).astype("float32")
Y = RANDOM.randint(0, 3, 70)
LOSS = "sparse_categorical_crossentropy"
STRATEGIES = ("custom-step", "gradient-tape")


def train(folder: Path, **values: Any) -> kerasx.Run:
    fields = {"dataset": (X, Y), "loss": LOSS, "epochs": 2, "metrics": (), "model": flat, **values}
    return kerasx.Engine(runs=folder).train(**fields)


def flat(signature: Any) -> keras.Model:
    return keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    )


def convolution(signature: Any) -> keras.Model:
    image = keras.Input((6, 6, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(image))
    return keras.Model(image, keras.layers.Dense(3, "softmax")(x))


class Noise(keras.layers.Layer):
    """Draws from TensorFlow's stateful stream."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        return inputs + tf.random.normal(tf.shape(inputs)) if training else inputs


def noisy(signature: Any) -> keras.Model:
    image = keras.Input((6, 6, 1))
    flattened = keras.layers.Flatten()(image)
    return keras.Model(image, keras.layers.Dense(3, "softmax")(Noise()(flattened)))


def sentences() -> tf.data.Dataset:
    """Batches of words, each filled up to its own longest sentence."""
    lengths = [3, 5, 4, 5, 2, 7, 4, 3, 6, 5]

    def rows() -> Any:
        for number, length in enumerate(lengths * 3):
            yield np.arange(1, length + 1), number % 3

    words = tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int64)
    return tf.data.Dataset.from_generator(rows, output_signature=words).padded_batch(4)


def reader(signature: Any) -> keras.Model:
    words = keras.Input((None,), dtype="int64")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(9, 4)(words))
    return keras.Model(words, keras.layers.Dense(3, "softmax")(x))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_batches_of_changing_length_are_fused_without_jit(strategy: str, tmp_path: Path) -> None:
    """XLA would compile the step for each length."""
    values: dict[str, Any] = {"dataset": sentences, "model": reader, "strategy": strategy}
    run = train(tmp_path, **values)
    assert (run.execution, run.jit) == ("fused", False)
    assert any("XLA" in note and "shapes" in note for note in run.notes)
    graph = train(tmp_path, **values, execution="graph")
    assert (run.weights_digest, run.history) == (graph.weights_digest, graph.history)


@pytest.mark.soak
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_seeds_of_tf_random_hold_by_default(strategy: str, tmp_path: Path) -> None:
    """XLA ignores them: two runs of one experiment would end with different weights."""
    first, second = (train(tmp_path, model=noisy, strategy=strategy) for _ in range(2))
    assert (first.execution, first.jit) == ("fused", False)
    assert any("tf.random" in note for note in first.notes)
    assert first.weights_digest == second.weights_digest
    assert first.weights_digest != train(tmp_path, model=noisy, strategy=strategy, seed=1).weights_digest
    graph = train(tmp_path, model=noisy, strategy=strategy, execution="graph")
    assert first.weights_digest == graph.weights_digest


@pytest.mark.parametrize("jit", [False, True])
def test_predictions_are_those_of_keras(jit: bool, tmp_path: Path) -> None:
    """Also of the short last batch, and of convolutions, which XLA compiles otherwise in a loop.

    To the bit without XLA; with it, `predict` is traced for the size of the first batch and kerasx's step for
    any, which may differ in the last bit.
    """
    engine = kerasx.Engine(runs=tmp_path)
    run = train(tmp_path, model=convolution, execution="fused", jit=jit, batch_size=16)
    run.model.jit_compile = jit
    run.model.make_predict_function(force=True)
    expected = run.model.predict(X, batch_size=16, verbose=0)
    predicted = engine.predict(run, X)
    assert predicted.shape == (70, 3)
    assert np.abs(predicted - expected).max() <= (np.finfo("float32").eps if jit else 0)


def test_predictions_draw_as_often_as_there_are_batches(tmp_path: Path) -> None:
    """No batch is gone through that is not there: whatever keeps state would see it."""

    class Counting(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, inputs: Any) -> Any:
            self.seen.assign_add(1.0)
            return inputs * 0 + self.seen

    from kerasx.data.arrays import Arrays
    from kerasx.training.execution import Execution
    from kerasx.training.prediction import run_prediction

    model = keras.Sequential([keras.Input((1,)), Counting()])
    for jit in (False, True):
        model.layers[-1].seen.assign(0.0)
        rows = validation_batches(Arrays(np.zeros((70, 1), "float32")), 1)
        outputs = run_prediction(model, rows, Execution("fused", jit))
        assert outputs.ravel().tolist() == list(range(1, 71)), jit
        assert float(model.layers[-1].seen) == 70, jit


def test_the_probe_of_a_pipeline_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """How large its batches are is not known before it runs."""
    monkeypatch.setattr(chunks, "BUFFER", 4096)
    rows = tf.data.Dataset.from_tensor_slices((np.zeros((5000, 10), "float32"), np.zeros(5000)))
    for batched, known in ((rows.batch(50), 0), (rows.batch(50, drop_remainder=True), 1)):
        stream = as_stream(batched, "the data")
        assert stream is not None
        samples = list(Chunks(training_batches(stream, 32, 0), 64).samples())
        assert len(samples) == known
        assert all(sample.table[0][0].shape == (100, 10) for sample in samples)


def test_jit_that_is_asked_for_is_kept_where_steps_cannot_be_fused(tmp_path: Path) -> None:
    """Graph stands in for fused, but nothing for jit."""

    def per_row(model: keras.Model, data: Any) -> Any:
        return {**kerasx.train_step(model, data), "rows": tf.reduce_sum(data[0], axis=(1, 2, 3))}

    run = train(tmp_path, strategy=per_row, jit=True, dataset=(X[:64], Y[:64]))
    assert (run.execution, run.jit) == ("graph", True)
    with pytest.raises(kerasx.UsageError, match=r"tf\.random.*leave --jit out"):
        train(tmp_path, model=noisy, jit=True)


def test_a_recorded_fused_run_can_be_trained_as_a_graph(tmp_path: Path) -> None:
    """The steps a call that its file records are of the execution that is replaced."""
    run = train(tmp_path)
    recorded = kerasx.Experiment.from_toml(run.directory / "experiment.toml")
    assert recorded.steps_per_call == 64
    again = train(tmp_path, execution="graph", jit=False, steps_per_call=None)
    changed = recorded.with_values(execution="graph", jit=False, dataset=(X, Y), model=flat)
    assert kerasx.Engine(runs=tmp_path).train(changed).weights_digest == again.weights_digest


class Scaled(keras.Model):
    """Of rows and of one number for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(3, "softmax")

    def call(self, inputs: Any) -> Any:
        rows, scale = inputs
        return self.dense(self.flatten(rows) * scale)


def scaled_rows() -> Stream:
    scales = np.linspace(0.5, 1, 10, dtype="float32")
    batches = tf.data.Dataset.from_tensor_slices(((X.reshape(10, 7, 6, 6, 1), scales), Y.reshape(10, 7)))
    return Stream(batches, batches.element_spec, 10)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_batch_with_a_number_that_has_no_rows_is_executed_as_a_graph(strategy: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"model": Scaled, "dataset": scaled_rows, "strategy": strategy}
    run = train(tmp_path, **values)
    assert run.execution == "graph"
    (note,) = (note for note in run.notes if "the execution is graph" in note)
    assert "no rows" in note
    graph = train(tmp_path, **values, execution="graph")
    assert (run.weights_digest, run.history) == (graph.weights_digest, graph.history)
    with pytest.raises(kerasx.UsageError, match="--execution graph"):
        train(tmp_path, **values, execution="fused")


@pytest.mark.parametrize("by", ["itself", "a view"])
def test_an_array_that_was_changed_between_two_runs_is_trained_as_it_is_now(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read-only in both: whether an array can be written to says nothing of what was done meanwhile."""
    monkeypatch.setattr(codes, "WORTHWHILE", 0)
    images = (RANDOM.randint(256, size=X.shape) / 255).astype("float32")
    view = images[:]
    values: dict[str, Any] = {"dataset": (images, Y), "strategy": "gradient-tape", "jit": False}
    images.flags.writeable = False
    first = train(tmp_path, **values, execution="fused")
    if by == "itself":
        images.flags.writeable = True
        images[:35] = 1 - images[:35]
        images.flags.writeable = False
    else:
        view[:35] = 1 - view[:35]
    second = train(tmp_path, **values, execution="fused")
    assert second.weights_digest != first.weights_digest
    assert second.weights_digest == train(tmp_path, **values, execution="graph").weights_digest
