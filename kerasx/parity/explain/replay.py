"""Reads the causes of an explanation that was printed as JSON, so that its proof can be run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kerasx.errors import UsageError
from kerasx.parity.reference import (
    of_criterion,
    of_data,
    of_forward,
    of_gradient,
    of_loss,
    of_metrics,
    of_report,
    of_update,
)
from kerasx.parity.reference.deviation import Deviation


def _kinds() -> Iterator[tuple[str, type[Deviation]]]:
    for module in (of_criterion, of_data, of_forward, of_gradient, of_loss, of_metrics, of_report, of_update):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Deviation) and "kind" in value.model_fields:
                yield value.model_fields["kind"].default, value


KINDS: dict[str, type[Deviation]] = dict(_kinds())


def written(path: Path) -> tuple[Deviation, ...]:
    """The deviations of an explanation, as `kerasx explain --json` prints it.

    Raises:
        UsageError: The file is missing or holds no explanation.
    """
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        deviations = [each for finding in found["findings"] for each in finding.get("deviations", [])]
        return tuple(KINDS[each["kind"]].model_validate(each) for each in deviations)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError) as error:
        raise UsageError(f"`{path}` is no explanation as `kerasx explain --json` prints it.") from error
