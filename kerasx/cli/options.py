"""The options of every command that takes an experiment."""

from __future__ import annotations

import functools
import inspect
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from kerasx.errors import UsageError, suggestion

_PANEL = "Experiment"


def _option(flag: str, help: str, **more: Any) -> Any:
    return typer.Option(flag, help=help, rich_help_panel=_PANEL, show_default=False, **more)


# Field of the experiment (or None), parameter, type. Defaults stand in the help text only: an option
# that was not given must not override the file.
_OPTIONS: dict[str, Any] = {
    "experiment": Annotated[Path | None, _option("--experiment", "TOML file to start from.")],
    "strategy": Annotated[
        str | None,
        _option(
            "--strategy",
            "Registered strategy, or a step, loop or class by reference. (Default: custom-step.)",
        ),
    ],
    "model": Annotated[
        str | None, _option("--model", "Registered model, reference or .keras file. (Default: mlp.)")
    ],
    "dataset": Annotated[
        str | None, _option("--dataset", "Registered data set, reference or .npz file. (Default: mnist.)")
    ],
    "loss": Annotated[
        str | None,
        _option(
            "--loss", "Registered or Keras loss, or reference. (Default: sum-squared-error for mlp on mnist.)"
        ),
    ],
    "metric": Annotated[
        list[str] | None,
        _option("--metric", "Registered or Keras metric, or reference; repeatable. (Default: accuracy.)"),
    ],
    "optimizer": Annotated[
        str | None, _option("--optimizer", "Keras optimizer or reference. (Default: sgd.)")
    ],
    "learning_rate": Annotated[
        float | None, _option("--learning-rate", "Learning rate. (Default: the optimizer's: 0.01.)")
    ],
    "epochs": Annotated[int | None, _option("--epochs", "Passes over the data. (Default: 10.)")],
    "batch_size": Annotated[int | None, _option("--batch-size", "Rows a batch. (Default: 32.)")],
    "seed": Annotated[
        int | None, _option("--seed", "Of weights, batch order and random streams. (Default: 0.)")
    ],
    "execution": Annotated[
        str | None, _option("--execution", "eager, graph or fused. (Default: the strategy's.)")
    ],
    "jit": Annotated[
        bool | None, _option("--jit/--no-jit", "Compile the step with XLA. (Default: the strategy's.)")
    ],
    "steps_per_call": Annotated[
        int | None,
        _option(
            "--steps-per-call",
            "Steps between two batch events of callbacks. (Default: a tenth of an epoch, or 64.)",
        ),
    ],
    "precision": Annotated[str | None, _option("--precision", "Keras dtype policy, such as mixed_float16.")],
    "devices": Annotated[int | None, _option("--devices", "Train on so many devices. (Default: 1.)")],
    "initial_weights": Annotated[
        Path | None, _option("--initial-weights", "Start from a .weights.h5 or .keras file.")
    ],
    "callback": Annotated[
        list[str] | None, _option("--callback", "Registered or Keras callback, or reference; repeatable.")
    ],
    "set": Annotated[
        list[str] | None,
        _option(
            "--set",
            "key=value for the rest, such as optimizer.momentum=0.9 or validation_split=0.1.",
            metavar="KEY=VALUE",
        ),
    ],
}
_FIELDS = {"metric": "metrics", "callback": "callbacks"}


def takes_experiment(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the experiment options and pass it the experiment as its first argument.

    What options say goes before what the file says, and that before the defaults.
    """

    @functools.wraps(function)
    def command(**kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in _OPTIONS}
        return function(_experiment(given), **kwargs)

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    command.__signature__ = inspect.Signature([*added, *keyword_only])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*added, *keyword_only]}
    return command


def _experiment(given: dict[str, Any]) -> Any:
    from kerasx.experiment import Experiment, merged
    from kerasx.tables import read_toml

    file: Path | None = given.pop("experiment")
    settings = parse_settings(given.pop("set") or [])
    options = {_FIELDS.get(name, name): value for name, value in given.items() if value is not None}
    values: dict[str, Any] = {}
    if file is not None:
        Experiment.from_toml(file)  # so that its own mistakes are laid at its door
        values = merged({}, read_toml(file))
    return Experiment.parse_plain(merged(merged(values, options), settings), source="the options")


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """`key=value` texts as a table; `a.b=1` sets an option of the component `a`, at any depth.

    Values are read as TOML (numbers, booleans, lists, tables); anything else is text.

    Raises:
        UsageError: A text has no `=`, or names a key that experiments do not have.
    """
    from kerasx.experiment import Experiment

    result: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        *above, last = parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts):
            raise UsageError(f"--set {setting}: write key=value, or component.option=value.")
        if parts[0] not in Experiment.model_fields:
            raise UsageError(
                f"--set {setting}: there is no key `{parts[0]}`."
                f" {suggestion(parts[0], Experiment.model_fields, what='keys')}"
            )
        table = result
        for part in above:
            below = table.setdefault(part, {})
            if not isinstance(below, dict):
                table[part] = below = {"name": below}
            table = below
        value, below = toml_value(text), table.get(last)
        table[last] = {**below, "name": value} if isinstance(below, dict) else value
    return result


def toml_value(text: str) -> Any:
    """A value as TOML has it, or else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text.strip()
