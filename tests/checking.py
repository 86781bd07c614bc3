"""Checks of the steps in checked.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import checked

import kerasx

MINE = f"{Path(checked.__file__)}:"


def check(name: str, *scenarios: str, **options: Any) -> kerasx.Check:
    if "loss" not in options and name in ("GuideModel", "Keras2", "sharpness_aware", "mixed_precision"):
        # They leave it to the model: which it is need not be found out.
        options["loss"] = {"name": "sparse_categorical_crossentropy", "from_logits": True}
    return kerasx.Engine().check(MINE + name, scenarios=scenarios, **options)


def verdicts(found: kerasx.Check) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {each.name: (each.verdict, each.causes) for each in found.scenarios}
