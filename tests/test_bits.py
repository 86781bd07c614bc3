"""Equal digests: three strategies and a plain Keras script train one experiment to the same bits."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from kerasx_mnist.data import read_idx  # noqa: E402

from kerasx.builtins.losses import SumSquaredError  # noqa: E402

STRATEGIES = ("compiled-fit", "custom-step", "gradient-tape")
# The last of the four batches of an epoch has 13 rows, the last of validation's 6.
ROWS, VALIDATION_ROWS, BATCH, EPOCHS, SEED = 109, 38, 32, 2, 3


def crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def mlp() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((14, 14)),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def dropout() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((14, 14)),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10),
        ]
    )


def convolution() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((14, 14)),
            keras.layers.Reshape((14, 14, 1)),
            keras.layers.Conv2D(6, 3, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )


def lstm() -> keras.Model:
    return keras.Sequential([keras.Input((14, 14)), keras.layers.LSTM(12), keras.layers.Dense(10)])


class Subclassed(keras.Model):
    """Layers made in the constructor, and weights only when the first batch is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = keras.layers.Flatten()
        self.hidden = keras.layers.Dense(24, kernel_regularizer=keras.regularizers.L2(0.01))
        self.top = keras.layers.Dense(10)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.top(keras.ops.relu(self.hidden(self.flat(inputs))))


class OwnStep(Subclassed):
    """Doubles its gradients, which no other step does."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, None, training=True)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply([g * 2 for g in gradients], self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=tf.shape(x)[0])
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


def own_step() -> keras.Model:
    return OwnStep()


@dataclass(frozen=True)
class Case:
    """A model with what it is trained by.

    Attributes:
        build: Makes the model.
        loss: Makes the loss object.
        optimizer: As an experiment has it: name and options.
        drift: Bound of the largest |difference| between weights of eager and of graph execution:
            about four times what was measured; None leaves the case out there.
        jit_rows: Rows to train on with jit; None leaves the case out there. XLA compiles the step for
            each size of batch, which takes seconds, so that only the quick ones have a short batch.
        precision: A dtype policy.
        validated: Whether it is validated and evaluated, which traces the step of evaluation twice more.
    """

    build: Callable[[], keras.Model]
    loss: Callable[[], keras.losses.Loss] = crossentropy
    optimizer: dict[str, Any] = field(default_factory=lambda: dict(MOMENTUM))
    drift: float | None = None
    jit_rows: int | None = None
    precision: str | None = None
    validated: bool = False


MOMENTUM = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}
ADAM = {"name": "adam", "learning_rate": 0.01}
AVERAGING = {"name": "sgd", "learning_rate": 0.05, "use_ema": True, "ema_momentum": 0.9}
PLAIN = {"name": "sgd", "learning_rate": 0.01}
CASES = {
    "mlp": Case(mlp, SumSquaredError, PLAIN, drift=1e-6, jit_rows=45, validated=True),
    "dropout": Case(dropout, optimizer=ADAM, drift=1e-5, jit_rows=64),
    "convolution": Case(convolution, drift=1e-5, jit_rows=64, validated=True),
    "lstm": Case(lstm, drift=1e-5, jit_rows=64),
    "subclassed": Case(Subclassed),
    "own-step": Case(own_step, jit_rows=64),  # a subclassed model too
    "averaged-weights": Case(mlp, optimizer=AVERAGING, validated=True),
    "loss-scaling": Case(mlp, SumSquaredError, PLAIN, precision="mixed_float16"),
}
EAGER_CASES = [name for name, case in CASES.items() if case.drift is not None]
JIT_CASES = [name for name, case in CASES.items() if case.jit_rows is not None]


@dataclass(frozen=True)
class Outcome:
    """What is compared: the digest, the weights behind it, every epoch's logs and the final evaluation."""

    digest: str
    weights: list[np.ndarray[Any, Any]]
    history: dict[str, list[float]]
    steps: int
    evaluation: dict[str, float]


Pair = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def digits() -> tuple[Pair, Pair]:
    x = read_idx("train-images-idx3-ubyte")[: ROWS + VALIDATION_ROWS, ::2, ::2].astype("float32") / 255
    y = read_idx("train-labels-idx1-ubyte")[: ROWS + VALIDATION_ROWS].astype("int64")
    return (x[:ROWS], y[:ROWS]), (x[ROWS:], y[ROWS:])


@pytest.fixture(autouse=True)
def untouched_random() -> Iterator[None]:
    """The plain scripts seed Python's `random` as scripts do."""
    state = random.getstate()
    policy = keras.config.dtype_policy()
    yield
    random.setstate(state)
    keras.config.set_dtype_policy(policy)


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


def plain(case: Case, data: tuple[Any, Any], *, jit: bool = False) -> Outcome:
    """What a script without kerasx does."""
    if case.precision is not None:
        keras.config.set_dtype_policy(case.precision)
    random.seed(SEED)
    model = case.build()
    options = {key: value for key, value in case.optimizer.items() if key != "name"}
    optimizer = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[case.optimizer["name"]](
        **options
    )
    model.compile(optimizer, case.loss(), metrics=["accuracy"], jit_compile=jit)
    batches = InOrder(data[0])
    history = model.fit(
        batches,
        epochs=EPOCHS,
        shuffle=False,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=batches.set_epoch)],
        validation_data=data[1],
        validation_batch_size=BATCH,
        verbose=0,
    )
    evaluation = {}
    if data[1] is not None:
        evaluation = model.evaluate(*data[1], batch_size=BATCH, verbose=0, return_dict=True)
    return outcome_of(model, history.history, EPOCHS * len(batches), evaluation)


def outcome_of(
    model: keras.Model, history: dict[str, list[Any]], steps: int, evaluation: dict[str, float]
) -> Outcome:
    return Outcome(
        kerasx.weights_digest(model),
        [keras.ops.convert_to_numpy(variable) for variable in model.variables],
        {name: [float(value) for value in values] for name, values in history.items()},
        steps,
        evaluation,
    )


def experiment(case: Case, data: tuple[Any, Any], **values: Any) -> kerasx.Experiment:
    fields = {
        "model": case.build,
        "dataset": data[0] if data[1] is None else data,
        "loss": case.loss(),
        "metrics": ("accuracy",),
        "optimizer": case.optimizer,
        "precision": case.precision,
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "seed": SEED,
        "execution": "graph",
        "jit": False,
    }
    return kerasx.Experiment.parse({**fields, **values})


def rows_of(name: str, digits: tuple[Pair, Pair], jit: bool = False) -> tuple[Pair, Pair | None]:
    (x, y), rows = digits[0], CASES[name].jit_rows if jit else ROWS
    return (x[:rows], y[:rows]), digits[1] if CASES[name].validated and not jit else None


@pytest.fixture(scope="module")
def train(digits: tuple[Pair, Pair], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Outcome]:
    """Trains a case once for each combination, however many tests look at it."""
    engine = kerasx.Engine(runs=tmp_path_factory.mktemp("runs"))
    done: dict[tuple[Any, ...], Outcome] = {}

    def trained(name: str, strategy: str, execution: str = "graph", jit: bool = False) -> Outcome:
        key = (name, strategy, execution, jit)
        if key not in done:
            data = rows_of(name, digits, jit)
            declared = experiment(CASES[name], data, strategy=strategy, execution=execution, jit=jit)
            run = engine.train(declared)
            done[key] = outcome_of(run.model, run.history, run.steps, run.evaluation)
            assert run.weights_digest == done[key].digest
            assert (run.execution, run.jit) == (execution, jit)
        return done[key]

    return trained


@pytest.mark.parametrize(
    ("name", "jit"),
    [*((name, False) for name in CASES), *((name, True) for name in JIT_CASES)],
    ids=[*CASES, *(f"{name}-jit" for name in JIT_CASES)],
)
def test_three_strategies_and_a_plain_script_end_with_the_same_bits(
    name: str, jit: bool, train: Callable[..., Outcome], digits: tuple[Pair, Pair]
) -> None:
    script = plain(CASES[name], rows_of(name, digits, jit), jit=jit)
    outcomes = {strategy: train(name, strategy, jit=jit) for strategy in STRATEGIES}

    assert {strategy: each.digest for strategy, each in outcomes.items()} == dict.fromkeys(
        STRATEGIES, script.digest
    )
    expected = ["loss", "accuracy"]
    if CASES[name].validated and not jit:
        expected += ["val_loss", "val_accuracy"]
    assert sorted(script.history) == sorted(expected)
    for strategy, each in outcomes.items():
        assert each.history == script.history, strategy
        assert each.evaluation == script.evaluation, strategy
        assert each.steps == script.steps, strategy


@pytest.mark.parametrize("name", EAGER_CASES)
def test_eager_execution_agrees_with_graph(name: str, train: Callable[..., Outcome]) -> None:
    graph = train(name, "gradient-tape")
    for strategy in STRATEGIES:
        eager = train(name, strategy, execution="eager")
        assert len(eager.weights) == len(graph.weights)
        moved = max(float(np.abs(a - b).max()) for a, b in zip(eager.weights, graph.weights, strict=True))
        assert moved <= (CASES[name].drift or 0.0), f"{strategy}: {moved}"
        assert eager.history["loss"] == pytest.approx(graph.history["loss"], rel=1e-5)
        assert eager.steps == graph.steps
    assert len({train(name, strategy, execution="eager").digest for strategy in STRATEGIES}) == 1


def test_the_cases_train_at_all(train: Callable[..., Outcome]) -> None:
    """Equal digests of models that stood still would prove nothing."""
    for name in CASES:
        history = train(name, "gradient-tape").history
        assert history["loss"][1] < history["loss"][0], name
    digests = {train(name, "gradient-tape").digest for name in CASES}
    assert len(digests) == len(CASES)


def test_jit_changes_dropout_so_that_bits_are_compared_within_one_setting(
    train: Callable[..., Outcome],
) -> None:
    assert train("dropout", "gradient-tape").digest != train("dropout", "gradient-tape", jit=True).digest


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_experiment_twice_has_one_digest_and_another_seed_another(
    strategy: str, tmp_path: Path, digits: tuple[Pair, Pair], train: Callable[..., Outcome]
) -> None:
    first = train("dropout", strategy)
    random.random()  # a process that has drawn something else meanwhile
    declared = experiment(CASES["dropout"], rows_of("dropout", digits), strategy=strategy)
    engine = kerasx.Engine(runs=tmp_path)
    again = engine.train(declared)
    other = engine.train(declared, seed=SEED + 1)

    assert (again.weights_digest, again.history) == (first.digest, first.history)
    assert other.weights_digest != first.digest


def test_weighted_float64_rows_train_to_the_bits_of_fit(tmp_path: Path, digits: tuple[Pair, Pair]) -> None:
    (x, y), (x_val, y_val) = digits
    weights = np.linspace(0, 2, ROWS)
    data = (
        (x.astype("float64"), y.astype("uint8"), weights),
        (x_val.astype("float64"), y_val.astype("uint8")),
    )
    script = plain(CASES["mlp"], data)
    for strategy in STRATEGIES:
        run = kerasx.Engine(runs=tmp_path).train(experiment(CASES["mlp"], data, strategy=strategy))
        assert (run.weights_digest, run.history) == (script.digest, script.history), strategy


def test_rows_are_weighted_at_all(
    tmp_path: Path, digits: tuple[Pair, Pair], train: Callable[..., Outcome]
) -> None:
    """The weights of the test above have to make a difference."""
    data = ((*digits[0], np.linspace(0, 2, ROWS)), digits[1])
    run = kerasx.Engine(runs=tmp_path).train(experiment(CASES["mlp"], data, strategy="gradient-tape"))
    assert run.weights_digest != train("mlp", "gradient-tape").digest


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_final_evaluation_is_that_of_the_averaged_weights(
    strategy: str, train: Callable[..., Outcome]
) -> None:
    """An optimizer that averages weights changes them after the last validation."""
    outcome = train("averaged-weights", strategy)
    assert outcome.evaluation["loss"] != outcome.history["val_loss"][-1]
    assert train("mlp", strategy).evaluation["loss"] == train("mlp", strategy).history["val_loss"][-1]
