"""Equal digests: three strategies and a plain Keras script train one experiment to the same bits.

This is a sample; `soak/test_matrix.py` has the rest of the cases, and jit for all of them.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matrix import SHORT_LAST, STRATEGIES, Training, drift, experiment, plain
from matrix_cases import CASES

import kerasx

# With what is in the history of each but `loss`.
GRAPH_CASES = {
    "mlp": {"accuracy"},
    "dropout": {"accuracy"},
    "convolution": {"accuracy"},
    "own-step": {"accuracy"},
    "averaged-weights": {"accuracy"},
    "loss-scaling": {"accuracy"},
    "class-weights": {"accuracy"},
    "masked-gru": {"accuracy"},
    "several-weighted": {
        "kind_loss",
        "size_loss",
        "kind_accuracy",
        "size_mae",
        "kind_weighted_accuracy",
        "size_weighted_mae",
    },
    "accumulation": {"accuracy"},
    "own-metrics": {"distance"},
}
# What others have a sample of.
LONG = ("own-step", "class-weights", "own-metrics")
JIT_CASES = ("mlp", "dropout", "augmented")
FUSED_CASES = (("convolution", False), ("masked-gru", False), ("accumulation", False), ("dropout", True))
EAGER_CASES = ("mlp", "dropout", "convolution")
# Validation traces the step of evaluation twice more, so that only these are validated, without jit.
VALIDATED = ("mlp", "convolution", "averaged-weights", "class-weights")
# With jit few rows in batches of one size, but for one case.
JIT_ROWS = {"mlp": 45}


def rows_of(name: str, jit: bool) -> tuple[int, int | None]:
    if jit:
        return JIT_ROWS.get(name, 64), None
    return SHORT_LAST if name in VALIDATED else (SHORT_LAST[0], None)


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Training:
    return Training(CASES, rows_of, tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    ("name", "jit"),
    [
        *(pytest.param(name, False, marks=[pytest.mark.soak] * (name in LONG)) for name in GRAPH_CASES),
        *((name, True) for name in JIT_CASES),
    ],
    ids=[*GRAPH_CASES, *(f"{name}-jit" for name in JIT_CASES)],
)
def test_three_strategies_and_a_plain_script_end_with_the_same_bits(
    name: str, jit: bool, train: Training
) -> None:
    script = train.plain(name, jit=jit)
    outcomes = {strategy: train(name, strategy, jit=jit) for strategy in STRATEGIES}

    assert {strategy: each.digest for strategy, each in outcomes.items()} == dict.fromkeys(
        STRATEGIES, script.digest
    )
    if name in GRAPH_CASES:
        expected = {"loss", *GRAPH_CASES[name]}
        if name in VALIDATED and not jit:
            expected |= {f"val_{key}" for key in expected}
        assert set(script.history) == expected
    for strategy, each in outcomes.items():
        assert each.history == script.history, strategy
        assert each.evaluation == script.evaluation, strategy
        assert each.steps == script.steps, strategy
        # The state of the optimizer and jit too.
        assert each == script, strategy


def test_a_layer_that_xla_cannot_compile_leaves_jit_out_and_says_so(train: Training) -> None:
    """As `fit` does by itself: the bits are those of the graph without jit."""
    for strategy in STRATEGIES:
        run = train("augmented", strategy, jit=True)
        assert not run.jit
        assert any("jit_compile" in note for note in run.notes), strategy


@pytest.mark.parametrize(("name", "jit"), FUSED_CASES)
def test_fused_steps_end_with_the_same_bits(name: str, jit: bool, train: Training) -> None:
    for strategy in ("custom-step", "gradient-tape"):
        assert train(name, strategy, execution="fused", jit=jit) == train.plain(name, jit=jit), strategy


@pytest.mark.parametrize("name", EAGER_CASES)
def test_eager_execution_agrees_with_graph(name: str, train: Training) -> None:
    graph = train(name, "gradient-tape")
    for strategy in STRATEGIES:
        eager = train(name, strategy, execution="eager")
        assert drift(eager, graph) <= CASES[name].drift, strategy
        assert eager.history["loss"] == pytest.approx(graph.history["loss"], rel=1e-5)
        assert eager.steps == graph.steps
    assert len({train(name, strategy, execution="eager").digest for strategy in STRATEGIES}) == 1


def test_the_cases_train_at_all(train: Training) -> None:
    """Equal digests of models that stood still, or that all came out alike, would prove nothing."""
    for name in GRAPH_CASES:
        losses = train(name, "gradient-tape").history["loss"]
        assert losses[1] < losses[0], name
    assert len({train(name, "gradient-tape").digest for name in GRAPH_CASES}) == len(GRAPH_CASES)


def test_jit_changes_dropout_so_that_bits_are_compared_within_one_setting(
    train: Training, tmp_path: Path
) -> None:
    data = train.data("dropout", jit=True)
    declared = experiment(CASES["dropout"], data, strategy="gradient-tape")
    without = kerasx.Engine(runs=tmp_path).train(declared)
    assert without.weights_digest != train("dropout", "gradient-tape", jit=True).digest


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_experiment_twice_has_one_digest_and_another_seed_another(
    strategy: str, tmp_path: Path, train: Training
) -> None:
    first = train("dropout", strategy)
    random.random()  # a process that has drawn something else meanwhile
    declared = experiment(CASES["dropout"], train.data("dropout"), strategy=strategy)
    engine = kerasx.Engine(runs=tmp_path)
    again = engine.train(declared)
    other = engine.train(declared, seed=declared.seed + 1)

    assert (again.weights_digest, again.history) == (first.digest, first.history)
    assert other.weights_digest != first.digest


def test_weighted_float64_rows_train_to_the_bits_of_fit(tmp_path: Path, train: Training) -> None:
    (x, y), (x_val, y_val) = train.data("mlp")
    weights = np.linspace(0, 2, len(x))
    data: Any = (
        (x.astype("float64"), y.astype("uint8"), weights),
        (x_val.astype("float64"), y_val.astype("uint8")),
    )
    script = plain(CASES["mlp"], data)
    for strategy in STRATEGIES:
        run = kerasx.Engine(runs=tmp_path).train(experiment(CASES["mlp"], data, strategy=strategy))
        assert (run.weights_digest, run.history) == (script.digest, script.history), strategy
    # The weights have to make a difference.
    assert script.digest != train("mlp", "gradient-tape").digest


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_final_evaluation_is_that_of_the_averaged_weights(strategy: str, train: Training) -> None:
    """An optimizer that averages weights changes them after the last validation."""
    outcome = train("averaged-weights", strategy)
    assert outcome.evaluation["loss"] != outcome.history["val_loss"][-1]
    assert train("mlp", strategy).evaluation["loss"] == train("mlp", strategy).history["val_loss"][-1]
