"""Compares every deviation of a setting, and every harmless twin, with Keras's own step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deviations import BATCH_SIZE, CORRECT, DEVIATIONS, SETTINGS, Deviation, adam

from kerasx import Experiment, Pair, Side
from kerasx.parity.lockstep import Lockstep
from kerasx.parity.sides import Named
from kerasx.parity.verdict import judged
from kerasx.registry import Registry

# Of 77 rows and batches of 16 the short last one, which deviations call the step after three full ones.
SHORT = {3: 4}


def pairs(setting: str, optimizer: str, only: Callable[[str], bool] = lambda name: True) -> dict[str, Pair]:
    """By name, the verdicts on the deviations and twins of a setting beside the same without them.

    Args:
        setting: Key into `SETTINGS`.
        optimizer: `own`, that of the setting, or `adam`.
        only: Which of them.
    """
    plants = {name: each for name, each in DEVIATIONS.items() if each.setting == setting and only(name)}
    twins = {name: each for name, each in CORRECT.items() if name.startswith(f"{setting}/") and only(name)}
    sides = [
        Named("keras", _experiment(setting, optimizer)),
        *(Named(name, _experiment(setting, optimizer, **_planted(each))) for name, each in plants.items()),
        *(Named(name, _experiment(setting, optimizer, strategy=step)) for name, step in twins.items()),
    ]
    lockstep = Lockstep(sides, Registry(), lambda text: None)
    ends = [Side(each.name, each.experiment, "eager", False, {}, {}, 0.0, 0, each.name) for each in sides]
    return {
        side.name: judged(ends[0], ends[number], lockstep.pair(0, number) or ())
        for number, side in enumerate(sides)
        if number
    }


def is_seen(deviation: Deviation, pair: Pair) -> str | None:
    """What is wrong with the verdict on a deviation; None where it is seen where it should be."""
    first = pair.first_difference
    if pair.verdict != "diverged" or first is None:
        return f"{deviation.name} is {pair.verdict}"
    seen = (first.stage, pair.affects)
    step = first.step if deviation.step is None else SHORT.get(deviation.step, deviation.step)
    if seen != (deviation.stage, deviation.affects) or first.step != step:
        return f"{deviation.name} is seen at {seen}, step {first.step}: {first}"
    return None


def plain_experiment(setting: str) -> Experiment:
    """The training of a setting without a deviation."""
    return _experiment(setting, "own")


def planted_experiment(deviation: Deviation) -> Experiment:
    """The same with one."""
    return _experiment(deviation.setting, "own", **_planted(deviation))


def _experiment(setting: str, optimizer: str, **values: Any) -> Experiment:
    made = SETTINGS[setting]
    rows = made.rows()
    fields: dict[str, Any] = {
        "model": made.build,
        "dataset": (rows, rows),
        "loss": made.loss(),
        "metrics": made.metrics(),
        "optimizer": adam() if optimizer == "adam" else made.optimizer(),
        "batch_size": BATCH_SIZE,
        "shuffle": False,
        "precision": made.precision,
        "execution": "eager",
        "jit": False,
        "strategy": "custom-step",
        **made.extras,
    }
    return Experiment(**{**fields, **values})


def _planted(deviation: Deviation) -> dict[str, Any]:
    if deviation.kind == "model":
        return {"model": deviation.plant}
    if deviation.kind == "test_step":
        return {"strategy": {"name": "custom-step", "test_step": deviation.plant}}
    return {"strategy": deviation.plant}
