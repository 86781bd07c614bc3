"""Trains one case by a plain Keras script and by kerasx, so that their bits can be compared.

`test_bits` does it with a sample of `matrix_cases.CASES`, `soak/test_matrix` with all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
from keras import tree  # noqa: E402

from kerasx.assembly.isolation import isolated  # noqa: E402

STRATEGIES = ("compiled-fit", "custom-step", "gradient-tape")
BATCH, EPOCHS, SEED = 32, 2, 3
# Rows to train on and to validate on: the last of the four batches has 13 rows, the last of validation's 6.
SHORT_LAST = (109, 38)
# XLA compiles the step for each size of batch, which takes seconds; a stateful layer has one size for good.
CONSTANT = (128, 32)

Data = tuple[Any, Any]


@dataclass(frozen=True)
class Case:
    """A model with what it is trained by. What holds state is made anew for each run, by a function.

    Attributes:
        covers: The features that this case is there for.
        build: Makes the model.
        rows: Makes `(x,)`, `(x, y)` or `(x, y, sample_weight)` with all rows there may be.
        loss: Makes the loss, or a structure of losses.
        optimizer: As an experiment has it, name and options, or makes the object.
        metrics: Makes the metrics.
        loss_weights: As `compile` has them.
        weighted_metrics: Makes the weighted metrics.
        compile_options: What else `compile` is given, of a model that arrives compiled.
        class_weight: As `fit` has it.
        precision: A dtype policy.
        arrives_compiled: Whether kerasx is given a model that is compiled, not loss, optimizer and metrics.
        constant: Whether all batches have to have one size.
        short_jit: Whether the last batch is short with jit too.
        keeps_jit: False where Keras leaves jit out by itself.
        drift: Bound of the largest |difference| between weights of eager and of graph execution: about
            four times what was measured.
        without: Fields of the same case without its feature, to show that it makes a difference; a tuple
            where it has several.
    """

    covers: str
    build: Callable[[], keras.Model]
    rows: Callable[[], tuple[Any, ...]]
    loss: Callable[[], Any]
    optimizer: Mapping[str, Any] | Callable[[], Any]
    metrics: Callable[[], Any] = lambda: ["accuracy"]
    loss_weights: Any = None
    weighted_metrics: Callable[[], Any] = lambda: None
    compile_options: dict[str, Any] = field(default_factory=dict)
    class_weight: dict[int, float] | None = None
    precision: str | None = None
    arrives_compiled: bool = False
    constant: bool = False
    short_jit: bool = False
    keeps_jit: bool = True
    drift: float = 1e-6
    without: dict[str, Any] | tuple[dict[str, Any], ...] = ()

    @property
    def variants(self) -> list[Case]:
        """The case without its features, one at a time."""
        variants = (self.without,) if isinstance(self.without, dict) else self.without
        return [replace(self, **fields) for fields in variants]


@dataclass(frozen=True)
class Outcome:
    """What is compared, and the weights behind the digest, before and after."""

    digest: str
    optimizer_digest: str
    history: dict[str, list[float]]
    evaluation: dict[str, float]
    steps: int
    weights: list[np.ndarray[Any, Any]] = field(compare=False)
    jit: bool = False
    notes: tuple[str, ...] = field(default=(), compare=False)
    initial: list[np.ndarray[Any, Any]] | None = field(default=None, compare=False)


def data_of(case: Case, rows: tuple[int, int | None]) -> Data:
    """The first rows to train on, and from where those end the most that there may be to validate on."""
    training, validation = rows
    everything = case.rows()
    first = tree.map_structure(lambda array: array[:training], everything)
    if validation is None:
        return first, None
    return first, tree.map_structure(lambda array: array[-validation:], everything)


class InOrder(keras.utils.PyDataset):
    """Batches in the order of epoch `number`, for a script that knows nothing else of kerasx."""

    def __init__(self, arrays: tuple[Any, ...]) -> None:
        super().__init__()
        self.arrays, self.number = arrays, 0
        self.rows = len(tree.flatten(arrays)[0])

    def set_epoch(self, epoch: int, logs: Any = None) -> None:
        self.number = epoch

    def __len__(self) -> int:
        return -(-self.rows // BATCH)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        order = kerasx.batch_order(SEED, self.number, self.rows)
        rows = order[index * BATCH : (index + 1) * BATCH]
        # tf.data, on which Keras puts a PyDataset, has no lists: as for arrays, tuples stand for them.
        return tree.lists_to_tuples(tree.map_structure(lambda array: array[rows], self.arrays))


def plain(case: Case, data: Data, *, execution: str = "graph", jit: bool = False) -> Outcome:
    """What a script without kerasx does; what it changes in the process is put back."""
    # Another seed: the script's own has to be the one that counts.
    with isolated(SEED + 1):
        return _script(case, data, execution, jit)


def _script(case: Case, data: Data, execution: str, jit: bool) -> Outcome:
    if case.precision is not None:
        keras.config.set_dtype_policy(case.precision)
    keras.utils.set_random_seed(SEED)
    model = case.build()
    model.compile(**_compiled_with(case), run_eagerly=execution == "eager", jit_compile=jit)
    initial = _values(model.weights) if model.built else None
    batches = InOrder(data[0])
    history = model.fit(
        batches,
        epochs=EPOCHS,
        shuffle=False,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=batches.set_epoch)],
        class_weight=case.class_weight,
        validation_data=data[1],
        validation_batch_size=BATCH,
        verbose=0,
    )
    evaluation = {}
    if data[1] is not None:
        rows = dict(zip(("x", "y", "sample_weight"), data[1], strict=False))
        evaluation = model.evaluate(**rows, batch_size=BATCH, verbose=0, return_dict=True)
    return _outcome(
        model,
        history.history,
        evaluation,
        EPOCHS * len(batches),
        jit=bool(model.jit_compile),
        initial=initial,
    )


def experiment(case: Case, data: Data, **values: Any) -> kerasx.Experiment:
    """The same for kerasx."""
    fields = {
        "model": _compiling(case) if case.arrives_compiled else case.build,
        "dataset": data[0] if data[1] is None else data,
        "precision": case.precision,
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "seed": SEED,
        "execution": "graph",
        "jit": False,
    }
    if not case.arrives_compiled:
        metrics = case.metrics()
        fields.update(
            loss=case.loss(),
            loss_weights=case.loss_weights,
            # None would have kerasx look for an accuracy that fits.
            metrics=() if metrics is None else metrics,
            weighted_metrics=case.weighted_metrics(),
            optimizer=case.optimizer() if callable(case.optimizer) else dict(case.optimizer),
        )
    if case.class_weight is not None:
        fields["class_weight"] = case.class_weight
    return kerasx.Experiment.parse({**fields, **values})


def run_outcome(run: kerasx.Run) -> Outcome:
    return _outcome(run.model, run.history, run.evaluation, run.steps, jit=run.jit, notes=run.notes)


class Training:
    """Trains a case once for each combination, however many tests look at it.

    Args:
        cases: By name.
        rows_of: The numbers of rows of a case with or without jit.
        runs: A folder.
    """

    def __init__(
        self, cases: Mapping[str, Case], rows_of: Callable[[str, bool], tuple[int, int | None]], runs: Path
    ) -> None:
        self._cases, self._rows_of = cases, rows_of
        self._engine = kerasx.Engine(runs=runs)
        self._done: dict[tuple[Any, ...], Outcome] = {}

    def data(self, name: str, jit: bool = False) -> Data:
        return data_of(self._cases[name], self._rows_of(name, jit))

    def plain(self, name: str, execution: str = "graph", jit: bool = False) -> Outcome:
        key = (name, None, execution, jit)
        if key not in self._done:
            self._done[key] = plain(self._cases[name], self.data(name, jit), execution=execution, jit=jit)
        return self._done[key]

    def __call__(self, name: str, strategy: str, execution: str = "graph", jit: bool = False) -> Outcome:
        key = (name, strategy, execution, jit)
        if key not in self._done:
            case = self._cases[name]
            declared = experiment(case, self.data(name, jit), strategy=strategy, execution=execution, jit=jit)
            run = self._engine.train(declared)
            self._done[key] = run_outcome(run)
            if run.weights_digest != self._done[key].digest:
                raise AssertionError(f"{key}: the run says {run.weights_digest}")
            if (run.execution, run.jit) != (execution, jit and case.keeps_jit):
                raise AssertionError(f"{key}: the run was {run.execution}, jit {run.jit}")
        return self._done[key]


def drift(one: Outcome, other: Outcome) -> float:
    """The largest |difference| between weights."""
    pairs = zip(one.weights, other.weights, strict=True)
    return max(float(np.abs(a.astype("float64") - b.astype("float64")).max()) for a, b in pairs)


def same_weights(one: Outcome, other: Outcome) -> bool:
    """Whether two scripts started from the same weights, where both have as many."""
    pairs = list(zip(one.initial or [], other.initial or [], strict=False))
    return all(np.array_equal(a, b) for a, b in pairs if a.dtype == b.dtype and a.shape == b.shape)


def _compiled_with(case: Case) -> dict[str, Any]:
    optimizer = case.optimizer
    if callable(optimizer):
        made = optimizer()
    else:
        options = {key: value for key, value in optimizer.items() if key != "name"}
        made = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[optimizer["name"]](**options)
    return {
        "optimizer": made,
        "loss": case.loss(),
        "loss_weights": case.loss_weights,
        "metrics": case.metrics(),
        "weighted_metrics": case.weighted_metrics(),
        **case.compile_options,
    }


def _compiling(case: Case) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        model = case.build()
        model.compile(**_compiled_with(case))
        return model

    return build


def _values(variables: Any) -> list[np.ndarray[Any, Any]]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _outcome(
    model: keras.Model,
    history: Mapping[str, list[Any]],
    evaluation: dict[str, float],
    steps: int,
    **more: Any,
) -> Outcome:
    # Slots, averages, accumulated gradients and the scale of the loss: a next epoch would start from them.
    state = hashlib.sha256()
    for value in _values(model.optimizer.variables):
        state.update(value.tobytes())
    return Outcome(
        kerasx.weights_digest(model),
        state.hexdigest(),
        {name: [float(value) for value in values] for name, values in history.items()},
        evaluation,
        steps,
        _values(model.variables),
        **more,
    )
