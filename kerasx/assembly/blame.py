"""Whose code raised during training: the user's, a plugin's, or Keras on the user's data."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from pathlib import Path

from kerasx.assembly.resolve import Resolver
from kerasx.errors import KerasxError, PluginError, UsageError, one_line
from kerasx.references import own_lines
from kerasx.registry import Registration

# Of Keras, on a metric that was given nothing.
UNBUILT = "metric has not yet been built"

_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))
_BACKENDS = tuple(Path(sysconfig.get_path("purelib"), name) for name in ("keras", "tensorflow"))
_CORE = Path(__file__).parent.parent
# What stands between a user's call of Keras and Keras while a training is traced.
_SEAMS = _CORE / "training" / "seams.py"


def training_error(
    error: Exception, resolver: Resolver, what: str, *, stepped: bool | None = None
) -> KerasxError:
    """The error to raise in place of what came out of a strategy.

    The innermost frame that is neither Keras's nor another library's tells whose code it was: a
    plugin's, the user's, or kerasx's own, which then called Keras with what does not fit.

    Args:
        error: What was raised.
        resolver: Knows which plugins took part.
        what: What went wrong, to begin the message with: `Training failed on the first batch`.
        stepped: Whether any step was taken before; None where that is not known.
    """
    details = "".join(traceback.format_exception(error))
    if "OptionalFromValue" in str(error):
        # As TensorFlow puts it where `fit` hands on the logs of a step.
        return UsageError(
            f"{what}: the step returned no logs at all, which `fit` cannot hand on."
            " End it with `return model.compute_metrics(x, y, y_pred, sample_weight)`.",
            details=details,
        )
    plugins = {folder: each for each in resolver.registrations if (folder := _folder(each)) is not None}
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        file = Path(frame.filename)
        for folder, registration in plugins.items():
            if file.is_relative_to(folder):
                spec = registration.spec
                return PluginError(
                    f"{what}, in the {spec.kind} `{spec.name}` of {registration.plugin.origin}:"
                    f" {one_line(error)} ({file.name}, line {frame.lineno})",
                    details=details,
                )
        if file == _SEAMS or file.name == "contextlib.py":
            continue
        if file.is_relative_to(_CORE):
            break
        if _is_own(file):
            return UsageError(
                f"{what}: {one_line(error)} ({file}, line {frame.lineno})",
                details=details,
                lines=own_lines(each for each in frames if _is_own(Path(each.filename))),
            )
    if UNBUILT in str(error):
        # As Keras puts it where an epoch ends before it has begun, or metrics were left aside in it.
        none = "the pipeline handed out no batch"
        unmeasured = (
            "a metric was given nothing; end the step with"
            " `return model.compute_metrics(x, y, y_pred, sample_weight)`"
        )
        said = f"{none}, or {unmeasured}" if stepped is None else unmeasured if stepped else none
        return UsageError(f"{what}: {said}.", details=details)
    return UsageError(f"{what}: {one_line(error)}", details=details)


def _is_own(file: Path) -> bool:
    """Whether a file is a user's."""
    return file.is_absolute() and not any(file.is_relative_to(folder) for folder in (*_LIBRARIES, _CORE))


def is_of_library(error: BaseException | None) -> bool:
    """Whether a library refused what it was asked for; not whether code of a user raised by itself.

    Keras and TensorFlow leave their own frames out of tracebacks, so that the user's call may be the last.
    """
    frames = [] if error is None else traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    if any(Path(frames[-1].filename).is_relative_to(folder) for folder in _BACKENDS):
        return True
    return not (frames[-1].line or "").startswith(("raise ", "assert "))


def _folder(registration: Registration) -> Path | None:
    """The folder of a plugin's package; None for the core's own and for objects handed over."""
    target = registration.spec.implementation
    package = sys.modules.get(target.partition(":")[0].partition(".")[0]) if isinstance(target, str) else None
    file = getattr(package, "__file__", None)
    folder = None if file is None else Path(file).parent if hasattr(package, "__path__") else Path(file)
    return None if folder == _CORE else folder
