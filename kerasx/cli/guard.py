"""Turns what goes wrong into one message and an exit code."""

from __future__ import annotations

import contextlib
import functools
import inspect
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from kerasx.cli import _interrupted
from kerasx.errors import Interrupted, KerasxError
from kerasx.signals import interrupt

# What systems call an internal fault (EX_SOFTWARE of sysexits.h).
FAULT = 70

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--debug` and the exit codes of kerasx."""

    @functools.wraps(function)
    def command(*args: Any, debug: bool = False, **kwargs: Any) -> Any:
        # What a user's step or a callback prints is no result.
        from kerasx.cli import output

        stack = contextlib.ExitStack()
        if kwargs.get("json"):
            stack.enter_context(output.results_alone())
        with stack, _signals():
            try:
                return function(*args, **kwargs)
            except KerasxError as error:
                _show(error, debug)
                raise typer.Exit(error.exit_code) from None
            except KeyboardInterrupt as error:
                code = error.exit_code if isinstance(error, Interrupted) else 128 + signal.SIGINT
                typer.secho("Interrupted.", err=True)
                if resumes := getattr(error, "resumes", None):
                    typer.echo(f"To go on: {resumes}", err=True)
                raise typer.Exit(code) from None
            except Exception as error:
                if type(error).__module__.partition(".")[0] in ("typer", "click"):
                    raise  # its own: what ends a command, or what is wrong with its options
                # Python's own code for it is 1, by which two trainings differ.
                traceback.print_exc()
                typer.echo("This is a fault of kerasx, or of a library beneath it.", err=True)
                raise typer.Exit(FAULT) from None

    add_parameter(command, "debug", Debug, False)
    return command


def add_parameter(command: Any, name: str, annotation: Any, default: object) -> None:
    """Give a wrapping function one more parameter, for typer to read."""
    # eval_str: an explicit signature is taken as it stands, its annotations no longer evaluated.
    signature = inspect.signature(command, eval_str=True)
    parameter = inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
    parameters = [*signature.parameters.values(), parameter]
    command.__signature__ = signature.replace(parameters=parameters)
    command.__annotations__ = {each.name: each.annotation for each in parameters}


def _show(error: KerasxError, debug: bool) -> None:
    if debug:
        typer.echo(error.details or "".join(traceback.format_exception(error)), err=True)
    typer.echo(f"{typer.style('Error:', fg='red', bold=True)} {error}", err=True)
    for line in error.lines:
        typer.echo(f"    {line}", err=True)
    if not debug and error.details:
        typer.echo("(--debug shows the traceback.)", err=True)


@contextmanager
def _signals() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C, so that the run can record how it ended."""

    previous = signal.signal(signal.SIGTERM, interrupt)
    is_early = signal.getsignal(signal.SIGINT) is _interrupted
    if is_early:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
        if is_early:
            signal.signal(signal.SIGINT, _interrupted)
        sys.stdout.flush()
