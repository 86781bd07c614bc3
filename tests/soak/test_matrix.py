"""Equal bits, everywhere: every case of the matrix, by three strategies and a plain Keras script.

Takes about half an hour on two processors, and is left out of `pytest` for that. It is run by

    uv run pytest tests/soak/test_matrix.py
"""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from matrix import (
    CONSTANT,
    SHORT_LAST,
    STRATEGIES,
    Training,
    data_of,
    drift,
    experiment,
    plain,
    same_weights,
)
from matrix_cases import CASES, of_table

import kerasx

AWAKE = [name for name, case in CASES.items() if case.without]
UNJITTED = [name for name, case in CASES.items() if not case.keeps_jit]


def rows_of(name: str, jit: bool) -> tuple[int, int | None]:
    case = CASES[name]
    return CONSTANT if case.constant or (jit and not case.short_jit) else SHORT_LAST


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Training:
    return Training(CASES, rows_of, tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "jit"])
@pytest.mark.parametrize("name", CASES)
def test_three_strategies_and_a_plain_script_end_with_the_same_bits(
    name: str, jit: bool, train: Training
) -> None:
    script = train.plain(name, jit=jit)
    assert script.jit == (jit and CASES[name].keeps_jit)
    assert all(len(values) == 2 for values in script.history.values())
    assert {f"val_{key}" for key in script.evaluation} <= set(script.history)
    outcomes = {strategy: train(name, strategy, jit=jit) for strategy in STRATEGIES}

    assert {strategy: each.digest for strategy, each in outcomes.items()} == dict.fromkeys(
        STRATEGIES, script.digest
    )
    for strategy, each in outcomes.items():
        assert each.history == script.history, strategy
        assert each.evaluation == script.evaluation, strategy
        assert each.steps == script.steps, strategy
        assert each.optimizer_digest == script.optimizer_digest, strategy
        assert each == script, strategy


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "jit"])
@pytest.mark.parametrize("name", CASES)
def test_fused_steps_end_with_the_same_bits(name: str, jit: bool, train: Training) -> None:
    if jit and not CASES[name].keeps_jit:
        pytest.skip("Keras leaves jit out, and the case without jit shows the rest")
    script = train.plain(name, jit=jit)
    for strategy in STRATEGIES:
        fused = train(name, strategy, execution="fused", jit=jit)
        assert fused.digest == script.digest, strategy
        assert fused.optimizer_digest == script.optimizer_digest, strategy
        assert fused.steps == script.steps, strategy
        assert fused == script, strategy


@pytest.mark.parametrize("name", CASES)
def test_eager_execution_has_bits_of_its_own_close_to_those_of_graphs(name: str, train: Training) -> None:
    graph, script = train(name, "gradient-tape"), train.plain(name, execution="eager")
    for strategy in STRATEGIES:
        eager = train(name, strategy, execution="eager")
        assert eager == script, strategy
        assert drift(eager, graph) <= CASES[name].drift, strategy
        assert eager.history["loss"] == pytest.approx(graph.history["loss"], rel=max(1e-5, CASES[name].drift))
        assert eager.steps == graph.steps


@pytest.mark.parametrize("name", CASES)
def test_every_case_trains(name: str, train: Training) -> None:
    """Equal digests of models that stood still would prove nothing."""
    for jit in (False, True):
        losses = train.plain(name, jit=jit).history["loss"]
        assert losses[1] < losses[0], jit


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "jit"])
def test_no_two_cases_are_the_same(jit: bool, train: Training) -> None:
    assert len({train.plain(name, jit=jit).digest for name in CASES}) == len(CASES)


@pytest.mark.parametrize("name", AWAKE)
def test_the_feature_of_a_case_is_awake(name: str, train: Training) -> None:
    """Without it the same initial weights train to other numbers, or the case would cover nothing."""
    script = train.plain(name)
    for number, other in enumerate(CASES[name].variants):
        without = plain(other, data_of(other, rows_of(name, False)))
        assert script.initial is None or without.initial is None or same_weights(script, without), number
        assert (script.history, script.evaluation) != (without.history, without.evaluation), number


@pytest.mark.parametrize("name", UNJITTED)
def test_a_layer_that_xla_cannot_compile_leaves_jit_out_and_says_so(name: str, train: Training) -> None:
    """As `fit` does by itself: the bits are those of the graph without jit, of the same rows."""
    case = CASES[name]
    without = plain(case, train.data(name, jit=True))
    for strategy in STRATEGIES:
        run = train(name, strategy, jit=True)
        assert not run.jit
        assert any("jit_compile=False" in note for note in run.notes), strategy
        assert run == without, strategy


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_optimizer_object_trains_each_time_as_it_was_handed_over(strategy: str, tmp_path: Path) -> None:
    """Here with variables that are left out of weight decay, which no config of the optimizer says."""

    def optimizer() -> keras.optimizers.Optimizer:
        made = keras.optimizers.AdamW(0.02, weight_decay=0.5)
        made.exclude_from_weight_decay(var_names=["kernel"])
        return made

    case = of_table("weight decay of some variables", optimizer=optimizer)
    data = data_of(case, (64, None))
    declared = experiment(case, data, strategy=strategy, execution="eager")
    engine = kerasx.Engine(runs=tmp_path)
    digests = [engine.train(declared).weights_digest for _ in range(2)]
    assert digests == [plain(case, data, execution="eager").digest] * 2
