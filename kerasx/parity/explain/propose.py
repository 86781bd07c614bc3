"""What to try, by the stage of the first difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kerasx.parity.explain import of_data, of_forward, of_loss, of_report, of_update
from kerasx.parity.explain.outcome import Deviations, Outcome
from kerasx.parity.explain.search import Search

_BY_STAGE = {
    "data": (of_data.data,),
    "initial-state": (of_data.initial_state,),
    "forward": (of_forward.forward,),
    "loss": (of_forward.unseen_forward, of_loss.losses),
    "gradient": (of_update.gradient, of_loss.losses),
    "update": (of_update.update,),
    "state": (of_forward.state,),
    "report": (of_report.report,),
}


def propose(search: Search, here: Outcome) -> Iterator[Sequence[Deviations]]:
    """Sets of deviations that may lead further than those one has, in ranks.

    Args:
        search: With the reference and the side.
        here: How far one has come.
    """
    assert here.first is not None
    if here.progress[0] < 0:
        return
    if here.first.kind == "evaluation":
        yield _widened(here.deviations)
    for each in _BY_STAGE[here.first.stage]:
        yield from each(search, here)


def _widened(deviations: Deviations) -> list[Deviations]:
    """What is otherwise in training may be so in the evaluation too."""
    found = [
        tuple(
            each.model_copy(update={"scope": "both"}) if each.scope == "training" else each
            for each in deviations
        )
    ]
    for place, each in enumerate(deviations):
        if each.scope == "training":
            wide = each.model_copy(update={"scope": "both"})
            found.append((*deviations[:place], wide, *deviations[place + 1 :]))
    return found
