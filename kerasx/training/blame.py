"""Whose code raised during training: the user's, a plugin's, or Keras on the user's data."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from pathlib import Path

from kerasx.errors import KerasxError, PluginError, UsageError, one_line
from kerasx.training.resolve import Resolver

_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
_CORE = str(Path(__file__).parent.parent)


def training_error(error: Exception, resolver: Resolver, *, steps_taken: int) -> KerasxError:
    """The error to raise in place of what came out of a strategy.

    Args:
        error: What was raised.
        resolver: Knows which plugins took part.
        steps_taken: Training steps before it.
    """
    when = "on the first batch" if steps_taken == 0 else f"after {steps_taken} steps"
    details = "".join(traceback.format_exception(error))
    frames = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    for registration in resolver.registrations:
        target = registration.spec.implementation
        package = sys.modules.get(str(target).partition(":")[0].partition(".")[0])
        folder = Path(package.__file__).parent if package is not None and package.__file__ else None
        if folder is not None and str(folder) != _CORE and frames and frames[-1].is_relative_to(folder):
            return PluginError(
                f"The {registration.spec.kind} `{registration.spec.name}` of {registration.plugin.origin}"
                f" failed {when}: {one_line(error)}",
                details=details,
            )
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_LIBRARIES, _CORE, "<"))
        and not any(part.startswith("kerasx_") for part in Path(frame.filename).parts[-2:-1])
    ]
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return UsageError(f"Training failed {when}: {one_line(error)}{place}", details=details)
