"""All planted deviations and all programs of the corpus, explained; their twins are not accused."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus import Program, explained_in_a_process, programs
from deviating import plain_experiment, planted_experiment
from deviations import DEVIATIONS

import kerasx

# They need a process each: TensorFlow's collectives keep the shapes of the first.
ON_DEVICES = [each for each in programs() if each.keras.devices]
PROGRAMS = [each for each in programs() if not each.keras.devices]


@pytest.mark.parametrize("name", DEVIATIONS)
def test_every_planted_deviation_is_named(name: str) -> None:
    deviation = DEVIATIONS[name]
    found = kerasx.Engine().explain(plain_experiment(deviation.setting), planted_experiment(deviation))
    assert (*found.causes, *(["unknown"] if found.unexplained else [])) == (deviation.cause,)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_program_is_explained_by_its_causes_and_no_other(program: Program) -> None:
    found = kerasx.Engine().explain(program.keras, program.odd)
    named = [*found.causes, *(["unknown"] if found.unexplained else [])]
    assert sorted(named) == sorted(program.causes)


@pytest.mark.parametrize(
    "program", [each for each in PROGRAMS if each.twin], ids=lambda program: program.name
)
def test_no_twin_is_accused(program: Program) -> None:
    found = kerasx.Engine().explain(program.keras, program.twin)
    assert found.agrees
    assert found.findings == ()


@pytest.mark.parametrize("program", ON_DEVICES, ids=lambda program: program.name)
def test_what_only_several_devices_show_is_named(program: Program, tmp_path: Path) -> None:
    found = explained_in_a_process(program.keras, program.odd, tmp_path)
    assert [each["cause"] for each in found["findings"] if each["verified"]] == list(program.causes)
    assert program.twin is not None
    assert explained_in_a_process(program.keras, program.twin, tmp_path)["findings"] == []
