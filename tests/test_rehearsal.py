"""A rehearsal reports what a whole run of the reference reports, for every deviation of the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from corpus import FOLDER, load

import kerasx
from kerasx.experiment import Experiment
from kerasx.parity.naming import named
from kerasx.parity.reference.bench import Bench, bench_of
from kerasx.parity.reference.deviation import At, Deviation
from kerasx.parity.reference.of_forward import ExtraForward, TrainingFlag
from kerasx.parity.reference.of_metrics import Measured, NotReset, ResetWithin
from kerasx.parity.reference.of_report import (
    LastLogs,
    LossDiscarded,
    LossMoving,
    LossUnweighted,
    MetricMissing,
    MetricsMoving,
    OtherLossReported,
    ResetEachStep,
)
from kerasx.parity.reference.rehearsal import rehearsed

NAME = "categorical_accuracy"
OF_REPORT: tuple[Deviation, ...] = (
    Measured(metric=NAME, labels="argmax", predictions="argmax"),
    Measured(metric=NAME, becomes="BinaryAccuracy", predictions="softmax"),
    Measured(metric=NAME, becomes="BinaryAccuracy", scope="evaluation"),
    NotReset(),
    NotReset(metrics=(NAME,)),
    ResetWithin(step=2),
    ResetWithin(step=3, every=True),
    ResetEachStep(),
    ResetEachStep(metrics=("loss",)),
    ResetEachStep(scope="both"),
    LossUnweighted(),
    LossDiscarded(tracked=True),
    LossDiscarded(returned=False),
    MetricMissing(names=(NAME,)),
    LastLogs(left_out=(NAME,)),
    OtherLossReported(what="mean-output"),
    OtherLossReported(what="without-extras", weighted=False),
)
# In the run that a rehearsal takes losses and outputs from.
BEFORE: tuple[tuple[Deviation, ...], ...] = (
    (),
    (TrainingFlag(training=False),),
    (ExtraForward(place="after", training=False, used=True, keeps_state=True),),
)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    program = load(FOLDER / "report" / "ids_for_the_metric.py")
    registry = kerasx.Engine().registry
    side = named([program.keras], Experiment(), registry, Path("runs"))[0]
    with bench_of(side, registry) as made:
        yield made


@pytest.mark.parametrize("before", BEFORE, ids=lambda each: each[0].kind if each else "plain")
def test_a_rehearsal_reports_what_a_run_does(bench: Bench, before: tuple[Deviation, ...]) -> None:
    _, memory = bench.trace(before)
    compared = 0
    for deviation in OF_REPORT[:: 5 if before else 1]:
        deviations = (*before, deviation)
        trace, _ = bench.trace(deviations)
        for place, step in enumerate(trace.steps):
            kind = "evaluation" if step.kind == "evaluation" else "training"
            at = At(bench.model, kind, step.epoch)
            if "update" in {each.stage for each in step.records.values()} and step.kind == "epoch":
                continue  # what the training came to, of which nothing is reported
            if (place % 5 and step.kind != "epoch") or not deviation.is_rehearsed(at):
                continue
            told = rehearsed(bench.model, deviations, memory, step, place).records
            ran = {name: record for name, record in step.records.items() if name in told}
            assert set(told) == {
                name
                for name, record in step.records.items()
                if name.startswith(("returned", "reported", "epoch's"))
                and not name.startswith(("epoch's names", "epoch's val_"))
            }
            for name, record in told.items():
                assert record.role == ran[name].role
                assert record.value == pytest.approx(ran[name].value, nan_ok=True) or (
                    str(record.value) == str(ran[name].value)
                ), (deviation, place, name)
                compared += 1
    assert compared > (20 if before else 200)


def test_what_takes_the_model_as_it_then_was_is_not_rehearsed(bench: Bench) -> None:
    for deviation in (LossMoving(), MetricsMoving(), ResetWithin(step=2, evaluates=True), *BEFORE[1]):
        assert not deviation.is_rehearsed(At(bench.model))
    assert not NotReset().is_rehearsed(At(bench.model, epoch=1))
    assert not NotReset(scope="evaluation").is_rehearsed(At(bench.model, "evaluation"))
