"""What embedding code hands to an engine: objects used again, compiled models, steps that fail at once."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

STRATEGIES = ("compiled-fit", "custom-step", "gradient-tape")
GENERATOR = np.random.default_rng(2)
X = GENERATOR.normal(size=(24, 5)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int64")
DATA = ((X, Y), (X[:10], Y[:10]))


def classifier() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])


def crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


FIELDS: dict[str, Any] = {
    "model": classifier,
    "dataset": DATA,
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "batch_size": 10,
    "epochs": 2,
    "seed": 6,
    "execution": "eager",
    "strategy": "gradient-tape",
}


@pytest.fixture
def engine(tmp_path: Path) -> kerasx.Engine:
    return kerasx.Engine(runs=tmp_path / "runs")


def attempt(train: Callable[[], kerasx.Run]) -> tuple[kerasx.Run | None, str]:
    """The run, or what the refusal says."""
    try:
        return train(), ""
    except kerasx.UsageError as error:
        return None, str(error)


def raising(model: keras.Model, data: Any) -> Any:
    raise ArithmeticError("on purpose")


def step(model: keras.Model, data: Any) -> Any:
    return kerasx.train_step(model, data)


class Strategy(kerasx.StepStrategy):
    def train(self, task: kerasx.TrainingTask) -> dict[str, list[float]]:
        return kerasx.run_fit(task)


@pytest.mark.parametrize(
    "values",
    [
        {"strategy": Strategy()},
        {"strategy": Strategy},
        {"strategy": step},
        {"metrics": (keras.metrics.SparseTopKCategoricalAccuracy(1, name="top"), "accuracy")},
        {"optimizer": keras.optimizers.Adam(0.01)},
        {"callbacks": (keras.callbacks.Callback(),)},
        {"loss": crossentropy()},
        {"model": classifier()},
    ],
    ids=["strategy", "strategy class", "step", "metric", "optimizer", "callback", "loss", "model"],
)
def test_a_run_with_one_object_can_be_evaluated(values: dict[str, Any], engine: kerasx.Engine) -> None:
    """Whatever was an object, the model on disk gives the results that the run ended with."""
    run = engine.train(**{**FIELDS, **values})
    assert engine.evaluate(run, dataset=DATA) == pytest.approx(run.evaluation, rel=1e-6)
    assert engine.evaluate(str(run.directory), dataset=DATA) == pytest.approx(run.evaluation, rel=1e-6)
    assert np.array_equal(engine.predict(run, X), run.model.predict(X, batch_size=10, verbose=0))


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": keras.optimizers.Adam(0.01)},
        {"loss": crossentropy()},
        {"metrics": (keras.metrics.SparseTopKCategoricalAccuracy(1, name="top"),)},
        {"callbacks": (keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)),)},
    ],
    ids=["optimizer", "loss", "metric", "callback"],
)
def test_an_experiment_with_an_object_gives_one_digest_each_time(
    values: dict[str, Any], engine: kerasx.Engine
) -> None:
    """The object was used before, by another run: that must not show."""
    declared = kerasx.Experiment.parse({**FIELDS, **values})
    first, again = engine.train(declared), engine.train(declared)
    assert (again.weights_digest, again.history) == (first.weights_digest, first.history)
    assert again.steps == first.steps == 6


def pretrained() -> keras.Model:
    model = classifier()
    model.compile(keras.optimizers.SGD(0.01), crossentropy(), run_eagerly=True)
    model.fit(X, Y, batch_size=6, verbose=0)
    assert int(model.optimizer.iterations) == 4
    return model


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_model_that_was_trained_before_brings_no_steps_into_the_count(
    strategy: str, engine: kerasx.Engine
) -> None:
    run = engine.train(model=pretrained(), dataset=DATA, batch_size=10, epochs=2, strategy=strategy)
    assert run.steps == 6
    assert int(run.model.optimizer.iterations) == 10


def test_a_step_that_raises_at_once_leaves_nothing_of_a_model_trained_before(engine: kerasx.Engine) -> None:
    with pytest.raises(kerasx.UsageError, match=r"on the first batch.*on purpose"):
        engine.train(model=pretrained(), dataset=DATA, strategy=raising)
    assert list(engine.runs.iterdir()) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_training_goes_on_where_a_compiled_model_stands(strategy: str, engine: kerasx.Engine) -> None:
    """With its momentum and its iterations, as `fit` would."""

    def compiled() -> keras.Model:
        random.seed(1)
        model = classifier()
        model.compile(
            keras.optimizers.SGD(0.05, momentum=0.9), crossentropy(), metrics=["accuracy"], run_eagerly=True
        )
        model.fit(X, Y, batch_size=10, shuffle=False, verbose=0)
        return model

    state = random.getstate()
    script = compiled()
    order = kerasx.batch_order(6, 0, len(X))
    script.fit(X[order], Y[order], batch_size=10, epochs=1, shuffle=False, verbose=0)
    run = engine.train(model=compiled(), dataset=DATA, batch_size=10, epochs=1, seed=6, strategy=strategy)
    random.setstate(state)
    assert run.execution == "eager"
    assert run.weights_digest == kerasx.weights_digest(script)


def test_options_override_one_part_of_a_compiled_model(engine: kerasx.Engine) -> None:
    """What is not overridden stays: loss weights, the metrics that weights go into, clipping."""

    def compiled() -> keras.Model:
        inputs = keras.Input((5,))
        model = keras.Model(
            inputs, [keras.layers.Dense(2, name="kind")(inputs), keras.layers.Dense(1, name="size")(inputs)]
        )
        model.compile(
            keras.optimizers.SGD(0.01, clipnorm=0.5),
            [crossentropy(), "mse"],
            loss_weights=[1.0, 0.25],
            weighted_metrics=[["accuracy"], ["mae"]],
            run_eagerly=True,
        )
        return model

    data = (X, [Y, X[:, :1]])
    fields = {"dataset": data, "epochs": 1, "batch_size": 10, "seed": 6, "strategy": "gradient-tape"}
    plain = engine.train(**fields, model=compiled())
    assert set(plain.history) >= {"loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"}
    values = {name: numbers[0] for name, numbers in plain.history.items()}
    assert values["loss"] == pytest.approx(values["kind_loss"] + 0.25 * values["size_loss"], rel=1e-6)

    adam = engine.train(**fields, model=compiled(), optimizer="adam")
    assert isinstance(adam.model.optimizer, keras.optimizers.Adam)
    assert set(adam.history) == set(plain.history)

    faster = engine.train(**fields, model=compiled(), learning_rate=0.5)
    assert float(faster.model.optimizer.learning_rate) == 0.5
    assert faster.model.optimizer.clipnorm == 0.5


def test_a_rate_in_place_of_a_schedule_is_taken_or_refused(engine: kerasx.Engine) -> None:
    """A compiled model's optimizer may follow a schedule, which Keras does not let anybody replace."""
    model = classifier()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model.compile(keras.optimizers.SGD(schedule), crossentropy(), run_eagerly=True)
    run, said = attempt(lambda: engine.train(model=model, dataset=DATA, epochs=1, learning_rate=0.5))
    if run is None:
        assert "learning" in said
        assert list(engine.runs.iterdir()) == []
    else:
        assert float(run.model.optimizer.learning_rate) == 0.5


@pytest.mark.parametrize("loss", ["mse", keras.losses.mean_squared_error, keras.losses.MeanSquaredError()])
@pytest.mark.parametrize("arrives", ["compiled", "handed over"])
def test_class_numbers_are_never_compared_with_outputs_by_broadcasting(
    loss: Any, arrives: str, engine: kerasx.Engine
) -> None:
    """Two rows a batch against two outputs: Keras would compare a row's class with another row's output."""
    random_state = random.getstate()
    random.seed(6)
    model = classifier()
    random.setstate(random_state)
    fields: dict[str, Any] = {**FIELDS, "batch_size": 2, "model": model, "epochs": 1, "metrics": ()}
    if arrives == "compiled":
        model.compile(keras.optimizers.SGD(0.01), loss)
        del fields["metrics"]
        fields["loss"] = None
    else:
        fields["loss"] = loss
    one_hot = np.eye(2, dtype="float32")
    encoded = ((X, one_hot[Y]), (X[:10], one_hot[Y[:10]]))
    right = engine.train(
        **{**FIELDS, **fields, "model": classifier, "dataset": encoded, "loss": "mse", "metrics": ()}
    )
    run, said = attempt(lambda: engine.train(**fields))
    if run is None:
        assert "label" in said
    else:
        assert run.weights_digest == right.weights_digest


def test_weights_that_are_not_finite_are_an_error(engine: kerasx.Engine) -> None:
    """The losses were finite; what the last step left behind is not."""

    def poisoning(model: keras.Model, data: Any) -> Any:
        logs = kerasx.train_step(model, data)
        model.trainable_variables[0].assign(model.trainable_variables[0] * float("inf"))
        return logs

    fields = {**FIELDS, "dataset": (X, Y), "batch_size": len(X), "epochs": 1, "strategy": poisoning}
    with pytest.raises(kerasx.NonFiniteError, match="kernel"):
        engine.train(**fields)
    (directory,) = engine.runs.iterdir()
    assert json.loads((directory / "summary.json").read_text())["status"] == "non-finite"


def test_a_dry_run_leaves_a_model_as_it_was(engine: kerasx.Engine) -> None:
    """It keeps nothing: not the weights of its one batch either, in a model that was handed over."""
    model = classifier()
    before = kerasx.weights_digest(model)
    engine.dry_run(**{**FIELDS, "model": model})
    assert kerasx.weights_digest(model) == before


class Nested(keras.callbacks.Callback):
    """Trains with another engine in the middle of a run."""

    def __init__(self, train: Callable[[], Any]) -> None:
        super().__init__()
        self.train, self.runs = train, []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.runs.append(self.train())


@pytest.mark.parametrize("strategy", ["custom-step", "gradient-tape"])
def test_a_run_inside_a_run_disturbs_neither(strategy: str, tmp_path: Path) -> None:
    def dropout() -> keras.Model:
        return keras.Sequential([keras.Input((5,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)])

    fields = {**FIELDS, "strategy": strategy, "model": dropout}
    outer, inner = kerasx.Engine(runs=tmp_path / "outer"), kerasx.Engine(runs=tmp_path / "inner")
    alone = outer.train(**fields)
    other = {**fields, "seed": 1, "precision": "mixed_bfloat16"}
    other_alone = inner.train(**other)
    nested = Nested(lambda: inner.train(**other))
    around = outer.train(**fields, callbacks=(nested,))
    assert (around.weights_digest, around.history) == (alone.weights_digest, alone.history)
    assert [run.weights_digest for run in nested.runs] == [other_alone.weights_digest] * 2
    assert keras.config.dtype_policy().name == "float32"


def test_runs_in_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each has seeds, initial weights and a dtype policy of the whole process."""
    policies = {1: "float32", 2: "mixed_bfloat16", 3: "float64"}

    def train(seed: int) -> str:
        fields = {**FIELDS, "seed": seed, "epochs": 1, "precision": policies[seed]}
        return kerasx.Engine(runs=tmp_path).train(**fields).weights_digest

    alone = {seed: train(seed) for seed in policies}
    together: dict[int, str] = {}
    threads = [
        threading.Thread(target=lambda seed=seed: together.update({seed: train(seed)})) for seed in policies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
    assert keras.config.dtype_policy().name == "float32"


def test_random_streams_of_the_process_go_on_as_if_nothing_had_run(engine: kerasx.Engine) -> None:
    def draws(between: Callable[[], Any]) -> list[Any]:
        tf.random.set_seed(5)
        np.random.seed(5)
        random.seed(5)
        drawn = [tf.random.uniform([]).numpy(), np.random.rand(), random.random()]
        between()
        return [*drawn, np.random.rand(), random.random()]

    def failing() -> None:
        with pytest.raises(kerasx.UsageError):
            engine.train(**{**FIELDS, "loss": "nosuch"})

    states = random.getstate(), np.random.get_state()
    undisturbed = draws(lambda: None)
    assert draws(lambda: engine.train(**FIELDS)) == undisturbed
    assert draws(failing) == undisturbed
    random.setstate(states[0])
    np.random.set_state(states[1])


class Broken:
    @kerasx.hookimpl
    def kerasx_losses(self) -> list[kerasx.LossSpec]:
        return [kerasx.LossSpec("broken", "Raises.", self.loss)]

    @kerasx.hookimpl
    def kerasx_strategies(self) -> list[kerasx.StrategySpec]:
        return [kerasx.StrategySpec("raising", "Raises.", raising)]

    @staticmethod
    def loss(y_true: Any, y_pred: Any) -> Any:
        raise ArithmeticError("on purpose")


@pytest.mark.parametrize("values", [{"loss": "broken"}, {"strategy": "raising"}])
def test_a_plugin_handed_over_that_fails_leaves_nothing(values: dict[str, str], tmp_path: Path) -> None:
    engine = kerasx.Engine(plugins=[Broken()], runs=tmp_path)
    with pytest.raises(kerasx.KerasxError, match="on purpose"):
        engine.train(**{**FIELDS, **values})
    assert list(tmp_path.iterdir()) == []


def test_inputs_by_name_are_trained_evaluated_and_predicted(engine: kerasx.Engine) -> None:
    def build() -> keras.Model:
        left, right = keras.Input((5,), name="left"), keras.Input((5,), name="right")
        return keras.Model(
            {"left": left, "right": right}, keras.layers.Dense(2)(keras.layers.Subtract()([left, right]))
        )

    rows = {"left": X, "right": X[::-1].copy()}
    head = {name: array[:10] for name, array in rows.items()}
    data = ((rows, Y), (head, Y[:10]))
    described = kerasx.Dataset(kerasx.Arrays(rows, Y), kerasx.Arrays(head, Y[:10]))
    run = engine.train(**{**FIELDS, "model": build, "dataset": described})
    assert np.array_equal(engine.predict(run, head), run.model.predict(head, batch_size=10, verbose=0))
    assert engine.evaluate(run, dataset=described) == pytest.approx(run.evaluation)
    again = engine.train(**{**FIELDS, "model": build, "dataset": data})
    assert again.weights_digest == run.weights_digest


def test_an_experiment_full_of_references_is_repeated_by_its_file(
    engine: kerasx.Engine, tmp_path: Path
) -> None:
    """Trained again from its file alone, with references and options in every place."""
    np.savez(tmp_path / "own.npz", x_train=X, y_train=Y, x_test=X[:10], y_test=Y[:10])
    (tmp_path / "own.py").write_text(
        "import keras\n\n\n"
        "def build(signature, units=3):\n"
        "    return keras.Sequential([keras.Input(signature.inputs.shape[1:]),\n"
        "        keras.layers.Dense(units, 'tanh'), keras.layers.Dropout(0.5), keras.layers.Dense(2)])\n\n\n"
        "def distance(y_true, y_pred):\n"
        "    y_true = keras.ops.cast(y_true, y_pred.dtype)\n"
        "    return keras.ops.mean(keras.ops.abs(y_pred - y_true), axis=-1)\n\n\n"
        "class Halve(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        self.model.optimizer.learning_rate = self.model.optimizer.learning_rate / 2\n"
    )
    own = f"{tmp_path}/own.py"
    run = engine.train(
        model={"name": f"{own}:build", "units": 6},
        dataset=f"{tmp_path}/own.npz",
        loss=f"{own}:distance",
        metrics=[f"{own}:distance", {"name": "mean_absolute_error"}],
        labels="one-hot",
        optimizer={"name": "rmsprop", "rho": 0.8},
        learning_rate=0.02,
        callbacks=[f"{own}:Halve"],
        batch_size=7,
        epochs=2,
        seed=12,
        strategy="custom-step",
        execution="eager",
        precision="float64",
    )
    path = run.directory / "experiment.toml"
    assert "objects" not in path.read_text()
    again = engine.train(kerasx.Experiment.from_toml(path))
    assert (again.weights_digest, again.history) == (run.weights_digest, run.history)
    assert again.experiment == run.experiment
    assert (again.directory / "experiment.toml").read_bytes() == path.read_bytes()
    loaded = keras.models.load_model(run.directory / "model.keras", compile=False)
    for variable, own_variable in zip(loaded.variables, run.model.variables, strict=True):
        # Keras does not write down where the streams of dropout stand.
        assert "seed" in variable.path or np.array_equal(variable, own_variable), variable.path
    assert engine.evaluate(run) == pytest.approx(run.evaluation)
