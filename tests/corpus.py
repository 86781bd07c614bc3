"""Loads the programs of tests/soak/corpus as experiments."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasx import Experiment

FOLDER = Path(__file__).parent / "soak" / "corpus"


@dataclass(frozen=True)
class Program:
    """One program and the Keras training that it is taken for.

    Attributes:
        name: Its folder and file.
        causes: What makes it differ.
        keras: The Keras training.
        odd: The program.
        twin: The same mathematics as the Keras training, written differently; None where there is none.
    """

    name: str
    causes: tuple[str, ...]
    keras: Experiment
    odd: Experiment
    twin: Experiment | None


def programs(*folders: str) -> list[Program]:
    """The programs of some folders, of all where none is named."""
    files = sorted(FOLDER.glob("*/*.py"))
    return [load(file) for file in files if not folders or file.parent.name in folders]


def load(file: Path) -> Program:
    """One program; its code is read, and not run."""
    values = _constants(file)
    keras = {"execution": "eager", "jit": False, "strategy": "custom-step", **values["KERAS"]}

    def experiment(**replaced: Any) -> Experiment:
        return Experiment(**_within(file, {**keras, **replaced}))

    twin = values.get("TWIN")
    return Program(
        f"{file.parent.name}/{file.stem}",
        tuple(values["CAUSES"]),
        experiment(),
        experiment(**values["PROGRAM"]),
        None if twin is None else experiment(**twin),
    )


def explained_in_a_process(a: Experiment, b: Experiment, folder: Path) -> dict[str, Any]:
    """What `kerasx explain --json` prints of two experiments."""
    files = [folder / "a.toml", folder / "b.toml"]
    for file, experiment in zip(files, (a, b), strict=True):
        file.write_text(experiment.to_toml(), encoding="utf-8")
    command = [sys.executable, "-m", "kerasx", "explain", *map(str, files), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode in (0, 1), result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _constants(file: Path) -> dict[str, Any]:
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in ("CAUSES", "KERAS", "PROGRAM", "TWIN"):
                found[name] = ast.literal_eval(node.value)
    return found


def _within(file: Path, value: Any) -> Any:
    if isinstance(value, str) and value.startswith(":"):
        return f"{file}{value}"
    if isinstance(value, Mapping):
        return {key: _within(file, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_within(file, each) for each in value]
    return value
