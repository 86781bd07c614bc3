"""Trainings that become non-finite are found within the call, and told of by step, quantity and layer."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasx

EXECUTIONS = [
    ("custom-step", "fused", True),
    ("gradient-tape", "fused", False),
    ("gradient-tape", "graph", False),
    ("compiled-fit", "fused", False),
    ("compiled-fit", "eager", False),
]
# One fused with jit and one of another strategy, of what the execution hardly matters to.
SAMPLE = EXECUTIONS[::3]
BAD_ROW = 77
BATCH = 16


class Root(keras.layers.Layer):
    """A root, whose gradient at 0 is infinite."""

    def call(self, x: Any) -> Any:
        return tf.sqrt(tf.nn.relu(x))


def rows() -> dict[str, Any]:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 4)).astype("float32")
    return {"x_train": x[:150], "y_train": x[:150, :1] * 2, "x_test": x[150:], "y_test": x[150:, :1] * 2}


def network(middle: keras.layers.Layer) -> Any:
    def build() -> keras.Model:
        inputs = keras.Input((4,))
        hidden = middle(keras.layers.Dense(8, name="first")(inputs))
        return keras.Model(inputs, keras.layers.Dense(1, name="last")(hidden))

    return build


def failure(tmp_path: Path, execution: tuple[str, str, bool], **values: Any) -> tuple[str, Path]:
    strategy, mode, jit = execution
    engine = kerasx.Engine(runs=tmp_path / "runs")
    with pytest.raises(kerasx.NonFiniteError) as raised:
        engine.train(
            **{
                "loss": "mse",
                "metrics": [],
                "optimizer": "sgd",
                "epochs": 3,
                "batch_size": BATCH,
                "shuffle": False,
                "strategy": strategy,
                "execution": mode,
                "jit": jit,
                "dataset": rows(),
                **values,
            }
        )
    assert raised.value.exit_code == 4
    (run,) = engine.list_runs()
    assert run.summary["status"] == "non-finite"
    assert run.summary["reason"].endswith(str(raised.value))
    return str(raised.value), run.path


@pytest.mark.parametrize("execution", EXECUTIONS, ids=str)
def test_an_overflow_is_told_by_step_and_layer(tmp_path: Path, execution: tuple[str, str, bool]) -> None:
    """One row is far too large for an exponential: the step that has it, whatever the execution."""
    data = rows()
    data["x_train"][BAD_ROW] = 1e4
    growing = network(keras.layers.Activation("exponential", name="growing"))
    said, folder = failure(tmp_path, execution, model=growing, dataset=data, learning_rate=1e-6)
    step = BAD_ROW // BATCH + 1
    assert f"in step {step} of epoch 1, the output of the layer `growing` was the first" in said
    saved = np.load(folder / "non-finite.npz", allow_pickle=False)
    assert BAD_ROW in saved["rows"]
    np.testing.assert_array_equal(saved["x"], data["x_train"][saved["rows"]])
    np.testing.assert_array_equal(saved["y"], data["y_train"][saved["rows"]])


@pytest.mark.parametrize("execution", EXECUTIONS[2:], ids=str)
def test_a_gradient_is_told_by_its_variable(tmp_path: Path, execution: tuple[str, str, bool]) -> None:
    """The loss of that step is finite; XLA, which computes 0 times infinity otherwise, is left out."""
    said, _ = failure(tmp_path, execution, model=network(Root(name="root")), learning_rate=1e-3)
    assert "in step 1 of epoch 1, the gradient of `first/kernel` is not finite, of a finite loss" in said


def test_a_later_epoch_is_told_and_the_state_before_it_is_kept(tmp_path: Path) -> None:
    """By a schedule that makes the rate absurd within the second epoch."""

    class Absurd(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self.model.optimizer.learning_rate = 1e25

    growing = network(keras.layers.Activation("exponential", name="growing"))
    said, folder = failure(tmp_path, EXECUTIONS[0], model=growing, learning_rate=1e-3, callbacks=[Absurd()])
    assert "of epoch 2" in said
    assert (folder / "checkpoints" / "000001-000000000.safetensors").is_file()
    assert json.loads((folder / "summary.json").read_text())["resume"]


def test_steps_that_loss_scaling_leaves_out_are_no_fault(tmp_path: Path) -> None:
    """The scale begins so large that the first gradients overflow."""

    def build() -> keras.Model:
        model = network(keras.layers.Activation("relu"))()
        scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3), initial_scale=2.0**60)
        model.compile(scaled, "mse")
        return model

    run = kerasx.Engine(runs=tmp_path / "runs").train(
        model=build, dataset=rows(), precision="mixed_float16", epochs=4, strategy="gradient-tape"
    )
    assert all(np.isfinite(run.history["loss"]))
    scale = run.model.optimizer.dynamic_scale
    assert float(keras.ops.convert_to_numpy(scale)) < 2.0**60


class Mask(keras.layers.Layer):
    """A mask of minus infinity, of which nothing is ever trained."""

    def build(self, shape: Any) -> None:
        minus_infinity = keras.initializers.Constant(-np.inf)
        self.mask = self.add_weight(shape=shape[1:], initializer=minus_infinity, trainable=False, name="mask")

    def call(self, x: Any) -> Any:
        return tf.where(x > 1e9, self.mask, x)


@pytest.mark.parametrize("execution", SAMPLE, ids=str)
def test_what_is_infinite_from_the_start_is_meant_to_be(
    tmp_path: Path, execution: tuple[str, str, bool]
) -> None:
    """It ends no run, and checkpoints are kept; what else becomes so is still found."""
    strategy, mode, jit = execution
    values: dict[str, Any] = {
        "model": network(Mask(name="mask")),
        "dataset": rows(),
        "loss": "mse",
        "metrics": [],
        "learning_rate": 1e-3,
        "batch_size": BATCH,
        "strategy": strategy,
        "execution": mode,
        "jit": jit,
    }
    run = kerasx.Engine(runs=tmp_path / "kept").train(**values, epochs=2)
    assert len(list(run.directory.glob("checkpoints/*.safetensors"))) == 2
    said, _ = failure(tmp_path, execution, model=network(Breaks(name="breaks")))
    assert "breaks" in said


class Breaks(Mask):
    """Such a mask, of which another weight becomes no number after some steps."""

    def build(self, shape: Any) -> None:
        super().build(shape)
        zeros: dict[str, Any] = {"initializer": "zeros", "trainable": False}
        self.count = self.add_weight(shape=(), name="count", **zeros)
        self.broken = self.add_weight(shape=(), name="broken", **zeros)

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.count.assign_add(1.0)
            self.broken.assign(tf.where(self.count == 3.0, np.nan, self.broken))
        return super().call(x)


@pytest.mark.parametrize(
    "execution",
    [
        ("custom-step", "fused", False),
        ("custom-step", "graph", True),
        ("gradient-tape", "graph", False),
        ("compiled-fit", "graph", False),
        ("compiled-fit", "eager", False),
    ],
    ids=str,
)
def test_a_weight_off_the_loss_is_found_within_its_call(
    tmp_path: Path, execution: tuple[str, str, bool]
) -> None:
    """So that no later loss tells of it, and no callback of a later call."""
    heard: list[int] = []

    class Ends(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            heard.append(batch)

    values: dict[str, Any] = {"callbacks": [Ends()], "learning_rate": 1e-3}
    fused = execution[1] == "fused"
    if fused:
        values["steps_per_call"] = 2
    said, _ = failure(tmp_path, execution, model=network(Breaks(name="breaks")), **values)
    assert "in step 3 of epoch 1, `breaks/broken` holds values that are not finite" in said
    assert max(heard) <= (3 if fused else 2)


class Late(keras.layers.Layer):
    """Makes a variable in each of its first steps, as Python may when eager; the fifth is no number."""

    def __init__(self) -> None:
        super().__init__(name="late")
        self.made = SimpleNamespace(variables=[])  # which Keras does not look into

    def call(self, x: Any, training: bool = False) -> Any:
        made = self.made.variables
        if training and tf.executing_eagerly() and len(made) < 5:
            value = np.nan if len(made) == 4 else 1.0
            made.append(keras.Variable(value, trainable=False, name=f"late_{len(made) + 1}"))
        return x

    @property
    def variables(self) -> list[keras.Variable]:
        return [*super().variables, *self.made.variables]


def test_a_variable_that_a_step_makes_is_looked_at(tmp_path: Path) -> None:
    """It has yet to be known of, which takes longer than to look at it."""
    said, _ = failure(tmp_path, EXECUTIONS[-1], model=network(Late()), learning_rate=1e-3)
    assert "`late/late_5` holds values that are not finite after step 5 of epoch 1" in said


class Fragile(keras.layers.Layer):
    """Passes on what it gets; its gradient is no number where that is large."""

    def call(self, x: Any) -> Any:
        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def passed(values: Any) -> Any:
            is_large = tf.reduce_any(tf.abs(values) > 1e4)
            return tf.clip_by_value(values, -9.0, 9.0), lambda gradient: tf.where(is_large, np.nan, gradient)

        return passed(x)


@pytest.mark.parametrize("execution", SAMPLE, ids=str)
def test_a_gradient_that_is_accumulated_is_told_in_its_step(
    tmp_path: Path, execution: tuple[str, str, bool]
) -> None:
    """And not in the step that updates the weights."""
    data = rows()
    data["x_train"][BATCH] = 1e6  # in the second batch
    values: dict[str, Any] = {"optimizer": {"name": "sgd", "gradient_accumulation_steps": 4}}
    fragile = network(Fragile(name="fragile"))
    said, folder = failure(tmp_path, execution, model=fragile, dataset=data, learning_rate=1e-3, **values)
    assert "in step 2 of epoch 1, the gradient of `first/kernel` is not finite" in said
    assert BATCH in np.load(folder / "non-finite.npz", allow_pickle=False)["rows"]


class Extreme(keras.layers.Layer):
    """A weight of large numbers, one of which becomes infinite in the third step if asked to."""

    def __init__(self, dtype: str, *, breaks: bool) -> None:
        super().__init__()
        self._of = dtype
        self._breaks = breaks

    def build(self, shape: Any) -> None:
        zeros: dict[str, Any] = {"initializer": "zeros", "trainable": False}
        self.count = self.add_weight(shape=(), name="count", **zeros)
        large = 6e4 if self._of == "float16" else 3e38

        def fill(shape: Any, dtype: Any) -> Any:
            return tf.cast(tf.fill(shape, large), dtype)

        values: dict[str, Any] = {"initializer": fill, "trainable": False, "autocast": False}
        self.large = self.add_weight(shape=(9,), dtype=self._of, name="large", **values)

    def call(self, x: Any, training: bool = False) -> Any:
        if training and self._breaks:
            self.count.assign_add(1.0)
            third = tf.range(9) == tf.where(self.count == 3.0, 4, -1)
            self.large.assign(tf.where(third, tf.cast(-np.inf, self._of), self.large.value))
        return x


@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64"])
def test_weights_of_which_the_sum_overflows_are_finite(tmp_path: Path, dtype: str) -> None:
    """In whatever type they are; one that is not is found."""
    values: dict[str, Any] = {"loss": "mse", "metrics": [], "learning_rate": 1e-3, "execution": "graph"}
    engine = kerasx.Engine(runs=tmp_path / "kept")
    run = engine.train(model=network(Extreme(dtype, breaks=False)), dataset=rows(), **values)
    assert np.all(np.isfinite(run.history["loss"]))
    execution = ("gradient-tape", "graph", False)
    said, _ = failure(tmp_path, execution, model=network(Extreme(dtype, breaks=True)), learning_rate=1e-3)
    assert "in step 3 of epoch 1" in said
    assert "/large` holds values that are not finite" in said


def shuffled(seed: int, bad: float = 1e4) -> tuple[tf.data.Dataset, int]:
    """A pipeline with another order each time, and the step whose batch has the bad row."""
    data = rows()
    data["x_train"][BAD_ROW] = bad

    def pipeline() -> tf.data.Dataset:
        slices = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"]))
        return slices.shuffle(150, seed=seed).batch(BATCH)

    steps = (step for step, (x, _) in enumerate(pipeline(), start=1) if np.abs(x).max() > 1e3)
    return pipeline(), next(steps)


@pytest.mark.parametrize("execution", SAMPLE, ids=str)
def test_of_a_pipeline_that_shuffles_nothing_wrong_is_told(
    tmp_path: Path, execution: tuple[str, str, bool]
) -> None:
    """Its steps cannot be taken again: what the first pass knew is said, and its last rows are kept."""
    pipeline, step = shuffled(seed=4)
    growing = network(keras.layers.Activation("exponential", name="growing"))
    said, folder = failure(tmp_path, execution, model=growing, dataset=pipeline, learning_rate=1e-6, epochs=1)
    assert "The pipeline hands out other batches each time" in said
    if execution[1] == "graph":
        assert f"after step {step} of epoch 1" in said
    assert "growing" not in said
    is_in_fit = execution[0] == "compiled-fit"
    assert (folder / "non-finite.npz").exists() == (not is_in_fit)  # Keras sees its batches alone
    if not is_in_fit:
        saved = np.load(folder / "non-finite.npz", allow_pickle=False)
        assert np.abs(saved[f"step_{step}_x"]).max() == 1e4


@pytest.mark.parametrize("mode", ["graph", "fused"])
def test_a_batch_of_a_pipeline_that_shuffles_is_told_where_it_is_at_fault_itself(
    tmp_path: Path, mode: str
) -> None:
    pipeline, step = shuffled(seed=4, bad=np.inf)
    model, execution = network(keras.layers.Activation("tanh")), ("gradient-tape", mode, False)
    said, folder = failure(tmp_path, execution, model=model, dataset=pipeline, epochs=1)
    assert f"In step {step} of epoch 1, `x` of the batch holds values that are not finite" in said
    saved = np.load(folder / "non-finite.npz", allow_pickle=False)
    assert len(saved[f"step_{step}_x"]) == len(saved[f"step_{step}_y"]) == BATCH
    assert np.isinf(saved[f"step_{step}_x"]).any()


@pytest.mark.parametrize("execution", SAMPLE, ids=str)
def test_a_pipeline_of_one_order_is_gone_through_again(
    tmp_path: Path, execution: tuple[str, str, bool]
) -> None:
    data = rows()
    data["x_train"][BAD_ROW] = 1e4
    pipeline = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"])).batch(BATCH)
    growing = network(keras.layers.Activation("exponential", name="growing"))
    said, folder = failure(tmp_path, execution, model=growing, dataset=pipeline, learning_rate=1e-6)
    assert f"in step {BAD_ROW // BATCH + 1} of epoch 1, the output of the layer `growing`" in said
    saved = np.load(folder / "non-finite.npz", allow_pickle=False)
    assert np.abs(saved["x"]).max() == 1e4


class Filled(keras.layers.Layer):
    """Missing values are 0."""

    def call(self, x: Any) -> Any:
        return tf.where(tf.math.is_nan(x), 0.0, x)


def filling() -> keras.Model:
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(8, activation="exponential", name="growing")(Filled()(inputs))
    return keras.Model(inputs, keras.layers.Dense(1, name="last")(hidden))


@pytest.mark.parametrize("shuffles", [False, True])
def test_missing_values_that_are_filled_are_not_at_fault(tmp_path: Path, shuffles: bool) -> None:
    data = rows()
    data["x_train"][:: BATCH if not shuffles else 50, 2] = np.nan
    slices = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"]))
    pipeline = (slices.shuffle(150, seed=1) if shuffles else slices).batch(BATCH)
    execution = ("gradient-tape", "graph", False)
    said, _ = failure(tmp_path, execution, model=filling, dataset=pipeline, learning_rate=1e3, epochs=1)
    assert "of the batch" not in said
    assert ("growing" in said) != shuffles


@pytest.mark.parametrize("bad", [None, "y"])
def test_missing_labels_are_at_fault_where_the_loss_does_not_pass_over_them(
    tmp_path: Path, bad: str | None
) -> None:
    data = rows()
    data["y_train"][::BATCH] = np.nan

    def passing_over(y: Any, y_pred: Any) -> Any:
        return tf.reduce_mean(tf.square(tf.where(tf.math.is_nan(y), 0.0, y) - y_pred), -1)

    pipeline = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"])).batch(BATCH)
    said, _ = failure(
        tmp_path,
        ("gradient-tape", "graph", False),
        model=network(keras.layers.Activation("tanh")),
        dataset=pipeline,
        loss="mse" if bad else passing_over,
        learning_rate=0.01 if bad else 1e30,
        epochs=1,
    )
    assert ("`y` of the batch holds values that are not finite" in said) == (bad == "y")


class Masked(keras.layers.Layer):
    """Logits that are none are infinite, of which softmax makes 0."""

    def call(self, x: Any) -> Any:
        return tf.where(tf.range(3) > 1, -np.inf, x)


def test_a_layer_of_which_the_next_makes_something_finite_is_not_at_fault(tmp_path: Path) -> None:
    data = rows()
    data["y_train"][:] = 0
    data["y_train"][BAD_ROW] = 5.0

    def masked() -> keras.Model:
        layers = [keras.Input((4,)), keras.layers.Dense(3), Masked(name="masked"), keras.layers.Softmax()]
        return keras.Sequential(layers)

    def odd(y: Any, y_pred: Any) -> Any:
        return tf.reduce_mean(tf.square(y_pred), -1) + 1 / tf.cast(tf.reduce_max(y) < 4.0, tf.float32)

    execution = ("gradient-tape", "graph", False)
    said, _ = failure(tmp_path, execution, model=masked, dataset=data, loss=odd, learning_rate=1e-4)
    assert (
        f"in step {BAD_ROW // BATCH + 1} of epoch 1, the loss `odd` is not finite, of finite outputs" in said
    )


def test_sparse_batches_are_looked_at_and_kept(tmp_path: Path) -> None:
    data = rows()
    data["x_train"][BAD_ROW] = 1e4
    slices = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"])).batch(BATCH)
    pipeline = slices.map(lambda x, y: (tf.sparse.from_dense(x), y))

    def growing() -> keras.Model:
        dense = keras.layers.Dense(8, activation="exponential", name="growing")
        return keras.Sequential([keras.Input((4,), sparse=True), dense, keras.layers.Dense(1)])

    execution = ("gradient-tape", "graph", False)
    said, folder = failure(tmp_path, execution, model=growing, dataset=pipeline, learning_rate=1e-6)
    assert f"in step {BAD_ROW // BATCH + 1} of epoch 1, the output of the layer `sequential" in said
    assert "growing" in said
    assert np.abs(np.load(folder / "non-finite.npz", allow_pickle=False)["x"]).max() == 1e4


class Collects(keras.callbacks.Callback):
    """Collects garbage before the first step."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        gc.collect()


def test_garbage_that_dies_before_the_first_step_does_not_hide_where_it_fails(tmp_path: Path) -> None:
    """What training began with is known by the variables that there were."""
    data = rows()
    data["x_train"][0] = 1e4
    built = network(keras.layers.Activation("exponential", name="growing"))

    def wasteful() -> keras.Model:
        garbage: list[Any] = [tf.Variable(0.0)]
        garbage.append(garbage)
        return built()

    gc.disable()
    try:
        execution = ("gradient-tape", "graph", False)
        said, _ = failure(tmp_path, execution, model=wasteful, dataset=data, callbacks=[Collects()])
    finally:
        gc.enable()
    assert "in step 1 of epoch 1, the output of the layer `growing`" in said


class Finder(keras.callbacks.Callback):
    """Makes the learning rate larger with each call, as one that looks for the best does."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = 1e-3

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.rate *= 1e4
        self.model.optimizer.learning_rate = self.rate


@pytest.mark.parametrize("execution", SAMPLE, ids=str)
def test_learning_rates_that_callbacks_set_are_set_again(
    tmp_path: Path, execution: tuple[str, str, bool]
) -> None:
    values: dict[str, Any] = {"callbacks": [Finder()], "learning_rate": 1e-3}
    if execution[1] == "fused":
        values["steps_per_call"] = 2
    said, folder = failure(tmp_path, execution, model=network(keras.layers.Activation("relu")), **values)
    assert "became non-finite in step " in said
    assert (folder / "non-finite.npz").exists()


class Overwrites(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            kernel = self.model.get_layer("first").kernel
            kernel.assign(kernel * np.nan)


def test_weights_that_a_callback_makes_non_finite_are_no_fault_of_a_step(tmp_path: Path) -> None:
    execution = ("custom-step", "fused", False)
    relu = network(keras.layers.Activation("relu"))
    said, folder = failure(tmp_path, execution, model=relu, callbacks=[Overwrites()], learning_rate=1e-3)
    assert "Taken again, its steps stay finite: what made it so is beside them, as in a callback" in said
    assert "learning rate" not in said
    assert not (folder / "non-finite.npz").exists()


@pytest.mark.parametrize("execution", SAMPLE, ids=str)
def test_validation_is_told_by_batch_and_layer(tmp_path: Path, execution: tuple[str, str, bool]) -> None:
    data = rows()
    data["x_test"][20] = 1e4
    growing = network(keras.layers.Activation("exponential", name="growing"))
    said, folder = failure(tmp_path, execution, model=growing, dataset=data, learning_rate=1e-6)
    assert "in batch 2 of the validation after epoch 1, the output of the layer `growing`" in said
    saved = np.load(folder / "non-finite.npz", allow_pickle=False)
    assert saved["rows"].tolist() == list(range(16, 32))
    np.testing.assert_array_equal(saved["x"], data["x_test"][16:32])
