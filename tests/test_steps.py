"""The step: kerasx's own against Keras's, and steps, loops and strategies that users bring."""

from __future__ import annotations

import random
import warnings
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
GENERATOR = np.random.default_rng(1)
X = GENERATOR.normal(size=(22, 4)).astype("float32")
Y = GENERATOR.integers(0, 3, size=22)
WEIGHTS = GENERATOR.uniform(0, 2, size=22).astype("float32")
TARGETS = GENERATOR.normal(size=(22, 2)).astype("float32")


@pytest.fixture(autouse=True)
def untouched_random() -> Iterator[None]:
    """Models are built twice, from one seed of Python's `random`."""
    state = random.getstate()
    yield
    random.setstate(state)


def crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(model: keras.Model, **values: Any) -> keras.Model:
    fields = {
        "optimizer": keras.optimizers.Adam(0.01),
        "loss": crossentropy(),
        "metrics": ["accuracy"],
        "run_eagerly": True,
    }
    model.compile(**{**fields, **values})
    return model


def classifier(*hidden: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(3)])


def weighted() -> tuple[keras.Model, Any]:
    model = compiled(
        classifier(), weighted_metrics=[keras.metrics.SparseCategoricalCrossentropy(from_logits=True)]
    )
    return model, (X, Y, WEIGHTS)


def regularized() -> tuple[keras.Model, Any]:
    layer = keras.layers.Dense(5, "relu", kernel_regularizer="l2", activity_regularizer="l1")
    return compiled(classifier(layer)), (X, Y)


class Penalty(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(inputs)))
        return inputs


def added_loss() -> tuple[keras.Model, Any]:
    return compiled(classifier(keras.layers.Dense(5), Penalty())), (X, Y)


def added_loss_alone() -> tuple[keras.Model, Any]:
    """An experiment without labels, as of an autoencoder."""
    model = classifier(keras.layers.Dense(5), Penalty())
    return compiled(model, loss=None, metrics=None), (X,)


def moving_state() -> tuple[keras.Model, Any]:
    layers = keras.layers.Dense(6), keras.layers.BatchNormalization(), keras.layers.Dropout(0.4)
    return compiled(classifier(*layers)), (X, Y)


def several_outputs() -> tuple[keras.Model, Any]:
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    x = keras.layers.Dense(5, "relu")(keras.layers.Concatenate()([left, right]))
    outputs = {
        "kind": keras.layers.Dense(3, name="kind")(x),
        "size": keras.layers.Dense(2, name="size")(x),
    }
    model = compiled(
        keras.Model({"left": left, "right": right}, outputs),
        loss={"kind": crossentropy(), "size": "mse"},
        loss_weights={"kind": 0.3, "size": 2.0},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
    )
    return model, ({"left": X, "right": X[::-1].copy()}, {"kind": Y, "size": TARGETS})


def frozen_layer() -> tuple[keras.Model, Any]:
    layer = keras.layers.Dense(5, "relu")
    layer.trainable = False
    return compiled(classifier(layer)), (X, Y)


def nothing_trainable() -> tuple[keras.Model, Any]:
    model = classifier(keras.layers.Dense(5), keras.layers.Dropout(0.5))
    model.trainable = False
    return compiled(model), (X, Y)


def averaged_weights() -> tuple[keras.Model, Any]:
    optimizer = keras.optimizers.SGD(
        0.1,
        momentum=0.9,
        nesterov=True,
        global_clipnorm=0.1,
        weight_decay=0.01,
        use_ema=True,
        ema_momentum=0.5,
    )
    return compiled(classifier(), optimizer=optimizer), (X, Y)


def scaled_loss() -> tuple[keras.Model, Any]:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=256.0)
    return compiled(classifier(), optimizer=optimizer), (X, Y)


class Base(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.drop = keras.layers.Dropout(0.5)
        self.top = keras.layers.Dense(3)


class WithoutTraining(Base):
    """Its `call` takes no `training`, so that Keras trains it without dropout."""

    def call(self, inputs: Any) -> Any:
        return self.top(self.drop(inputs))


class WithTraining(Base):
    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.top(self.drop(inputs, training=training))


class OldLoss(WithTraining):
    """As it was written before Keras 3.3 added `training`."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> Any:
        loss = super().compute_loss(x, y, y_pred, sample_weight)
        return loss + 0.1 * keras.ops.mean(keras.ops.square(y_pred))


class PositionalLoss(WithTraining):
    """Keras passes the first four by position, so that they may have any name."""

    def compute_loss(
        self, inputs: Any, labels: Any, outputs: Any, weights: Any, training: bool = True
    ) -> Any:
        factor = 2.0 if training else 3.0
        return factor * super().compute_loss(inputs, labels, outputs, weights, training)


class NewLoss(WithTraining):
    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        factor = 2.0 if training else 3.0
        return factor * super().compute_loss(x, y, y_pred, sample_weight, training)


class OwnMetrics(WithTraining):
    """Replaces `compute_metrics`, and reports one value more."""

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        results = super().compute_metrics(x, y, y_pred, sample_weight)
        return {**results, "largest": keras.ops.max(y_pred)}


class OwnTrackers(WithTraining):
    """Lists trackers of its own, as Keras's guide to custom steps does, and leaves the step to others."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.tracker]


def subclass(kind: type[keras.Model]) -> Callable[[], tuple[keras.Model, Any]]:
    def make() -> tuple[keras.Model, Any]:
        model = kind()
        model(X[:1])
        return compiled(model), (X, Y, WEIGHTS)

    return make


MODELS: dict[str, Callable[[], tuple[keras.Model, Any]]] = {
    each.__name__: each
    for each in (
        weighted,
        regularized,
        added_loss,
        added_loss_alone,
        moving_state,
        several_outputs,
        frozen_layer,
        nothing_trainable,
        averaged_weights,
        scaled_loss,
    )
} | {
    each.__name__: subclass(each)
    for each in (WithoutTraining, WithTraining, OldLoss, PositionalLoss, NewLoss, OwnMetrics, OwnTrackers)
}


def made(name: str) -> tuple[keras.Model, Any]:
    random.seed(8)
    return MODELS[name]()


def batches(data: Any) -> list[Any]:
    """Batches of 8, 8 and 6 rows."""
    return [
        keras.tree.map_structure(
            lambda part, first=first: keras.ops.convert_to_tensor(part[first : first + 8]), data
        )
        for first in range(0, 22, 8)
    ]


def state(model: keras.Model) -> list[Any]:
    """Everything a step changes, as bytes: weights, optimizer, metrics (Keras's own tracker among them)."""
    variables = [*model.variables, *model.optimizer.variables, *keras.Model.metrics_variables.fget(model)]
    trackers = [v for metric in keras.Model.metrics.fget(model) for v in metric.variables]
    return [keras.ops.convert_to_numpy(variable).tobytes() for variable in (*variables, *trackers)]


def numbers(logs: Any) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}


@pytest.mark.parametrize("name", MODELS)
def test_train_step_is_that_of_keras(name: str) -> None:
    """Three steps, the last on a short batch: the same logs, weights, optimizer and metrics, bit by bit."""
    own, data = made(name)
    theirs, _ = made(name)
    before = state(own)
    assert before == state(theirs)
    for batch in batches(data):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The model does not have any trainable weights")
            expected = numbers(theirs.train_step(batch))
        assert numbers(kerasx.train_step(own, batch)) == expected
        assert state(own) == state(theirs)
    assert state(own) != before


@pytest.mark.parametrize("name", MODELS)
def test_test_step_is_that_of_keras(name: str) -> None:
    """Nothing is trained, no state moves, and the same is reported."""
    own, data = made(name)
    theirs, _ = made(name)
    weights = kerasx.weights_digest(own)
    for batch in batches(data):
        expected = numbers(theirs.test_step(batch))
        assert numbers(kerasx.test_step(own, batch)) == expected
        assert state(own) == state(theirs)
    assert kerasx.weights_digest(own) == weights


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])


FIELDS: dict[str, Any] = {
    "model": linear,
    "dataset": ((X, TARGETS), (X[:6], TARGETS[:6])),
    "loss": "mse",
    "metrics": (),
    "learning_rate": 0.05,
    "batch_size": 8,
    "epochs": 2,
    "seed": 4,
    "execution": "eager",
}


@pytest.fixture
def engine(tmp_path: Path) -> kerasx.Engine:
    return kerasx.Engine(runs=tmp_path / "runs")


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> kerasx.Run:
    """The experiment trained by kerasx's own step."""
    return kerasx.Engine(runs=tmp_path_factory.mktemp("runs")).train(**FIELDS, strategy="gradient-tape")


OWN = '''
import keras
import tensorflow as tf

import kerasx

seen = []


def same(model, data):
    return kerasx.train_step(model, data)


def same_test(model, data):
    return {name: value + 1.0 for name, value in kerasx.test_step(model, data).items()}


def marked_test(model, data):
    return {**kerasx.test_step(model, data), "marked": 2.0}


def by_hand(model, data):
    """Without kerasx, as anybody writes it."""
    x, y = data
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x, training=True) - y))
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    return {"mine": loss}


def assigning(model, data):
    """Without the optimizer."""
    x, y = data
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x) - y))
    for variable, gradient in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables)):
        variable.assign_sub(0.05 * gradient)
    return {"mine": loss}


def failing(model, data):
    """Without the optimizer, until it raises in the second epoch."""
    seen.append(None)
    if len(seen) == 5:
        raise ArithmeticError("the fifth step")
    return assigning(model, data)


class Steps:
    """An object that is called."""

    def __call__(self, model, data):
        return kerasx.train_step(model, data)


called = Steps()


def loop(model, batches):
    for batch in batches:
        seen.append(batch[0].numpy())
        kerasx.train_step(model, batch)


def loop_with_logs(model, batches):
    for batch in batches:
        logs = kerasx.train_step(model, batch)
    return {"last": logs["loss"]}


def loop_of_numbers(model, batches):
    return [1.0]


def nothing(model, data):
    kerasx.train_step(model, data)


def number(model, data):
    return kerasx.train_step(model, data)["loss"]


def model_alone(model):
    return {}


def three(model, data, rate):
    return {}


def keyword(model, data, *, rate):
    return {}


def optional(model, data, rate=0.1, *more, **others):
    return kerasx.train_step(model, data)


four = 4


class Twice(kerasx.StepStrategy):
    """Calls the step twice on each batch, or as often as the option says."""

    class options_type(kerasx.StrategyOptions):
        times: int = 2

    capabilities = kerasx.Capabilities(executions=("eager",), jit=False)

    def train(self, task):
        def step(model, data):
            for _ in range(self.options.times):
                logs = kerasx.train_step(model, data)
            return logs

        train = task.bind(step, task.batches)
        test = task.bind(kerasx.test_step, task.validation)
        return kerasx.run_epochs(
            task, lambda callbacks, epoch: kerasx.run_batches(train, epoch, callbacks), test
        )
'''


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], str]:
    """References into a user's file."""
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return lambda name: f"{path}:{name}"


@pytest.mark.parametrize("name", ["same", "called", "optional"])
def test_a_step_by_reference_is_a_strategy(
    name: str, engine: kerasx.Engine, own: Callable[[str], str], standard: kerasx.Run
) -> None:
    run = engine.train(**FIELDS, strategy=own(name))
    assert run.weights_digest == standard.weights_digest
    assert run.history == standard.history
    assert f"step: {own(name)}" in run.notes


@pytest.mark.parametrize("strategy", ["custom-step", "gradient-tape"])
def test_steps_by_reference_are_options_of_a_strategy(
    strategy: str, engine: kerasx.Engine, own: Callable[[str], str], standard: kerasx.Run
) -> None:
    options = {"name": strategy, "step": own("by_hand"), "test_step": own("marked_test")}
    run = engine.train(**FIELDS, strategy=options)
    # Its logs are not those of the metrics, so Keras reports the last step's own.
    assert set(run.history) == {"mine", "val_loss", "val_marked"}
    assert run.history["val_marked"] == [2.0, 2.0]
    assert run.evaluation["marked"] == 2.0
    expected = standard.model.trainable_variables
    for variable, other in zip(run.model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable, other, rtol=1e-5)
    assert f"step: {own('by_hand')}" in run.notes

    named_test = engine.train(**FIELDS, strategy={"name": strategy, "test_step": own("same_test")})
    assert named_test.weights_digest == standard.weights_digest
    assert named_test.history["loss"] == standard.history["loss"]
    # Named as the metrics are, its values are thrown away and theirs are reported, as Keras does it.
    assert named_test.history["val_loss"] == standard.history["val_loss"]


def test_a_step_of_ones_own_gives_the_same_bits_in_the_graph_of_any_strategy(
    engine: kerasx.Engine, own: Callable[[str], str]
) -> None:
    fields = {**FIELDS, "execution": "graph", "jit": False}
    strategies = [
        own("by_hand"),
        {"name": "custom-step", "step": own("by_hand")},
        {"name": "gradient-tape", "step": own("by_hand")},
    ]
    runs = [engine.train(**fields, strategy=strategy) for strategy in strategies]
    assert len({run.weights_digest for run in runs}) == 1
    assert runs[0].history == runs[1].history == runs[2].history


def test_a_step_of_ones_own_is_given_no_metric_that_nobody_named(
    engine: kerasx.Engine, own: Callable[[str], str]
) -> None:
    """Labels and outputs fit an accuracy, which the step would not update."""
    classes = np.eye(2, dtype="float32")[Y % 2]
    fields = {**FIELDS, "metrics": None, "dataset": ((X, classes), (X[:6], classes[:6]))}
    run = engine.train(**fields, strategy=own("by_hand"))
    assert set(run.history) == {"mine", "val_loss"}
    assert any(note.startswith("no metric was named") for note in run.notes)


def test_a_step_that_never_touches_the_optimizer_is_counted(
    engine: kerasx.Engine, own: Callable[[str], str]
) -> None:
    run = engine.train(**FIELDS, strategy=own("assigning"))
    assert run.steps == 6


def test_a_step_that_raises_late_leaves_a_failed_run(
    engine: kerasx.Engine, own: Callable[[str], str]
) -> None:
    with pytest.raises(kerasx.UsageError, match=r"after 4 steps.*the fifth step.*own\.py, line \d+"):
        engine.train(**FIELDS, strategy=own("failing"))
    (directory,) = engine.runs.iterdir()
    summary = kerasx.Engine(runs=engine.runs).run_directory(directory).summary
    assert (summary["status"], summary["steps"]) == ("failed", 4)


def test_a_loop_over_an_epoch_is_a_strategy(
    engine: kerasx.Engine, own: Callable[[str], str], standard: kerasx.Run, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN.replace("seen = []", f"import keras as _k; seen = _k.{HANDLE} = []"))
    try:
        run = engine.train(**FIELDS, strategy=own("loop"))
        seen = getattr(keras, HANDLE)
    finally:
        delattr(keras, HANDLE)
    assert run.weights_digest == standard.weights_digest
    assert run.history == standard.history
    assert run.evaluation == standard.evaluation
    assert [len(rows) for rows in seen] == [8, 8, 6] * 2
    order = [kerasx.batch_order(FIELDS["seed"], epoch, len(X)) for epoch in range(2)]
    assert np.array_equal(np.concatenate(seen), X[np.concatenate(order)])


HANDLE = "rows_that_the_loop_has_seen"


def test_what_a_loop_returns_is_reported(engine: kerasx.Engine, own: Callable[[str], str]) -> None:
    run = engine.train(**FIELDS, strategy=own("loop_with_logs"))
    assert set(run.history) == {"last", "val_loss"}
    with pytest.raises(kerasx.UsageError, match="dictionary of logs, not list"):
        engine.train(**FIELDS, strategy=own("loop_of_numbers"))
    with pytest.raises(kerasx.UsageError, match="jit"):
        engine.train(**{**FIELDS, "execution": "graph", "jit": True}, strategy=own("loop"))


def test_a_strategy_class_by_reference_takes_its_options(
    engine: kerasx.Engine, own: Callable[[str], str], standard: kerasx.Run
) -> None:
    once = engine.train(**FIELDS, strategy={"name": own("Twice"), "times": 1})
    twice = engine.train(**FIELDS, strategy=own("Twice"))
    assert (once.weights_digest, once.history) == (standard.weights_digest, standard.history)
    assert once.steps == 6
    assert twice.weights_digest != once.weights_digest
    with pytest.raises(kerasx.UsageError, match=r"no option `time`.*`times`"):
        engine.train(**FIELDS, strategy={"name": own("Twice"), "time": 1})
    with pytest.raises(kerasx.UsageError, match=r"`times`.*'often'"):
        engine.train(**FIELDS, strategy={"name": own("Twice"), "times": "often"})
    with pytest.raises(kerasx.UsageError, match="no execution `graph`"):
        engine.train(**{**FIELDS, "execution": "graph"}, strategy=own("Twice"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model_alone", r"takes \(model\)"),
        ("three", r"takes \(model, data, rate\)"),
        ("keyword", r"takes \(model, data, rate\)"),
        ("four", "is int"),
        ("Steps", "is type"),
        ("sam", "Did you mean `same`"),
    ],
)
def test_what_is_no_step_is_refused_before_anything_is_made(
    name: str, said: str, engine: kerasx.Engine, own: Callable[[str], str]
) -> None:
    """With the form that a step has."""
    with pytest.raises(kerasx.UsageError, match=said) as caught:
        engine.train(**FIELDS, strategy=own(name))
    if name != "sam":
        assert "(model, data)" in str(caught.value)
    assert list(engine.runs.iterdir()) == []
    with pytest.raises(kerasx.UsageError):
        engine.train(**FIELDS, strategy={"name": "gradient-tape", "step": own(name)})


@pytest.mark.parametrize("strategy", ["custom-step", "gradient-tape"])
@pytest.mark.parametrize("name", ["nothing", "number"])
def test_a_step_that_returns_no_logs_is_refused(
    strategy: str, name: str, engine: kerasx.Engine, own: Callable[[str], str]
) -> None:
    with pytest.raises(kerasx.UsageError, match="logs"):
        engine.train(**FIELDS, strategy={"name": strategy, "step": own(name)})


class OwnSteps(keras.Sequential):
    """Steps of its own, with a mark in the logs."""

    def train_step(self, data: Any) -> Any:
        return {**super().train_step(data), "own": 1.0}

    def test_step(self, data: Any) -> Any:
        return {**super().test_step(data), "own": 2.0}


def with_own_steps() -> keras.Model:
    return OwnSteps([keras.Input((4,)), keras.layers.Dense(2)])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_calls_the_models_own_steps(strategy: str, engine: kerasx.Engine) -> None:
    run = engine.train(**{**FIELDS, "model": with_own_steps}, strategy=strategy)
    assert run.history["own"] == [1.0, 1.0]
    assert run.history["val_own"] == [2.0, 2.0]
    assert run.evaluation["own"] == 2.0
    assert "step: the model's own, OwnSteps.train_step" in run.notes


@pytest.mark.parametrize("strategy", ["custom-step", "gradient-tape"])
def test_a_named_step_goes_before_the_models_own(
    strategy: str, engine: kerasx.Engine, own: Callable[[str], str], standard: kerasx.Run
) -> None:
    fields = {**FIELDS, "model": with_own_steps}
    run = engine.train(**fields, strategy={"name": strategy, "step": own("same")})
    assert "own" not in run.history
    assert run.history["loss"] == standard.history["loss"]
    assert run.weights_digest == standard.weights_digest
    # Evaluation was not named, and stays the model's.
    assert run.history["val_own"] == [2.0, 2.0]
    assert f"step: {own('same')}" in run.notes


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_own_or_named_steps_it_is_the_strategys(
    strategy: str, engine: kerasx.Engine, standard: kerasx.Run
) -> None:
    run = engine.train(**FIELDS, strategy=strategy)
    assert f"step: that of {strategy}" in run.notes
    assert (run.weights_digest, run.history) == (standard.weights_digest, standard.history)
