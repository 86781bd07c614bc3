"""Turns the deviations that explain a side into findings, each with what proves it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import keras

from kerasx.parity.explain.catalogue import CAUSES
from kerasx.parity.explain.finding import Evidence, Finding
from kerasx.parity.explain.outcome import Deviations, Outcome
from kerasx.parity.explain.search import Search
from kerasx.parity.explain.target import named, number
from kerasx.parity.explain.words import change_for, consequences, factor_of, sentence
from kerasx.parity.judge import Difference, differences
from kerasx.parity.reference.deviation import Deviation
from kerasx.parity.reference.of_metrics import OfReport
from kerasx.parity.reference.of_report import LastLogs, LossDiscarded
from kerasx.parity.verdict import affected, stages
from kerasx.plain import shown_value

_RIVALS = 5


def findings_of(search: Search, outcome: Outcome, side: str, affects: str) -> tuple[Finding, ...]:
    """The causes of a set that reproduces a side, in the order of the catalogue.

    Args:
        search: That found it.
        outcome: The set.
        side: The name of the side.
        affects: Whether the side's differences are ones of the training, or of the report alone.
    """
    whole = search.outcome(outcome.deviations, outcome.ignored, whole=True)
    plain = search.outcome((), whole=True)
    evidence = _evidence(search, plain, whole)
    findings = []
    causes = dict.fromkeys(each.cause for each in outcome.deviations)
    for cause in causes:
        own = [each for each in outcome.deviations if each.cause == cause]
        rest = tuple(each for each in outcome.deviations if each.cause != cause)
        without = search.outcome(rest, outcome.ignored)
        left = None if without.first is None else told_left(without.first)
        findings.append(
            Finding(
                cause,
                "report" if isinstance(own[0], OfReport) else CAUSES[cause].stage,
                side,
                sentence(side, own, _criterion(search.bench.model)) + _last_batch(search, own),
                _affects(search, whole, rest, affects),
                factor_of(own),
                *change_for(cause, own),
                consequences(cause, _affects(search, whole, rest, affects), search.bench.model.optimizer),
                tuple({"kind": getattr(each, "kind", cause), **each.model_dump(mode="json")} for each in own),
                whole.matches,
                left,
                _rivals(search, outcome, own, rest),
                evidence,
            )
        )
    order = {name: place for place, name in enumerate(CAUSES)}
    return tuple(sorted(findings, key=lambda each: order[each.cause]))


def _last_batch(search: Search, own: Sequence[Deviation]) -> str:
    """What the last batch returned as its loss, where that is what somebody looks at or loses."""
    looked_at = next((each for each in own if isinstance(each, LastLogs | LossDiscarded)), None)
    if looked_at is None:
        return ""
    kind, prefix = ("evaluation", "val_") if looked_at.scope == "evaluation" else ("training", "")
    steps = [step for step in search.target.records if step.kind == kind and step.epoch == 0]
    inputs = (
        next((v for v in named(steps[-1], "inputs of the first forward pass").values()), None)
        if steps
        else None
    )
    returned = number(steps[-1], f"returned {prefix}loss") if steps else None
    if inputs is None or returned is None:
        return ""
    return f" The last batch that was traced, of {len(inputs)} rows, returned {returned:.6g}."


def _affects(search: Search, whole: Outcome, rest: Deviations, affects: str) -> str:
    """Whether one cause alone changes the training, beside the others."""
    if affects == "report":
        return affects
    without = search.outcome(rest, whole=True)
    found = differences(without.trace, whole.trace, search.target.noise)
    return affected([each for each in found if each.beyond and each.decides])


def _evidence(search: Search, plain: Outcome, whole: Outcome) -> tuple[Evidence, ...]:
    """Stage by stage what differs, and what is left of it once the causes are in the reference."""
    before = differences(plain.trace, search.target.steps.trace, search.target.noise)
    after = differences(whole.trace, search.target.steps.trace, search.noise(whole.deviations))
    beyond = [each for each in before if each.beyond]
    if not beyond:
        return ()
    first = next((each for each in beyond if each.decides), beyond[0])
    place = (first.epoch, first.step, first.kind)
    here = [each for each in beyond if (each.epoch, each.step, each.kind) == place]
    left = {(each.epoch, each.step, each.kind, each.quantity): each for each in after}
    rows = []
    for stage, each in stages(here).items():
        remains = left.get((*place, each.quantity))
        rows.append(
            Evidence(
                stage,
                each.quantity,
                each.a,
                each.b,
                each.relative,
                0.0 if remains is None else remains.relative,
                each.noise,
            )
        )
    return tuple(rows)


def _rivals(
    search: Search, outcome: Outcome, own: Sequence[Deviation], rest: Deviations
) -> tuple[tuple[str, str], ...]:
    """Other causes that were tried in the place of one, with what they left different."""
    found: dict[str, str] = {}
    for tried in search.runs:
        others = [each for each in tried.deviations if each not in rest]
        causes = {each.cause for each in others}
        if len(causes) != 1 or tried.first is None or causes <= {each.cause for each in own}:
            continue
        if any(each not in tried.deviations for each in rest):
            continue
        found.setdefault(causes.pop(), told_left(tried.first))
    return tuple(itertools.islice(found.items(), _RIVALS))


def told_left(difference: Difference) -> str:
    """What is different, in words."""
    where = f"epoch {difference.epoch}" + ("" if difference.step is None else f", step {difference.step}")
    return (
        f"{difference.quantity} ({difference.stage}, {where}) is {shown_value(difference.a)} in the reference"
        f" and {shown_value(difference.b)} in the side"
    )


def apart(named: Sequence[tuple[Finding, ...]]) -> str:
    """What would tell sets of causes apart that explain the same."""
    causes = [" with ".join(f"`{each.cause}`" for each in findings) for findings in named]
    said = f"{' and '.join(causes)} explain this data equally well."
    flat = {each.cause for findings in named for each in findings}
    wanted = []
    if "loss-batch-divisor" in flat:
        wanted.append("a batch with fewer rows")
    if flat & {"sample-weight", "weight-normalization"}:
        wanted.append("sample weights that are not all 1")
    if "mask" in flat:
        wanted.append("rows with padding")
    if flat & {"metric-label-format", "metric-resolution"}:
        wanted.append("labels of more classes")
    wanted = wanted or ["other rows, more of them, or a short last batch"]
    return f"{said} Data that tells them apart: {', '.join(wanted)}."


def _criterion(model: keras.Model) -> str:
    """What a model's loss is called."""
    loss = model.loss
    if isinstance(loss, str):
        return f"`{loss}`"
    return (
        f"`{getattr(loss, 'name', None) or getattr(loss, '__name__', 'the loss')}`"
        if not isinstance(loss, dict | list | tuple)
        else "the losses"
    )
