"""Puts the commands together: the core's own and those that plugins offer."""

from __future__ import annotations

import functools
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from kerasx.errors import KerasxError, PluginError, one_line
from kerasx.registry import Registration, Registry


class PluginCommand(TyperCommand):
    """A plugin's command, whose code is imported when it is run, not when help lists it."""

    def __init__(self, name: str, registry: Registry, registration: Registration) -> None:
        super().__init__(name=name, help=registration.spec.summary, callback=lambda: None)
        self._registry = registry

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        """Hand over to the real command."""
        from kerasx.cli.guard import guarded

        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(name=self.name)(guarded(guarded(self._function)()))
        command: Any = typer.main.get_command(app)
        return command.make_context(info_name, args, parent=parent, **extra)

    def _function(self) -> Any:
        """The plugin's function, whose errors become errors of the plugin."""
        registration = self._registry.get("command", str(self.name))
        function = self._registry.load(registration)
        whose = f"The command `{self.name}` of {registration.plugin.origin}"
        if not callable(function):
            raise PluginError(f"{whose} is {type(function).__name__}, and cannot be called.")

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except (KerasxError, typer.Exit):
                raise
            except Exception as error:
                raise PluginError(
                    f"{whose} failed: {one_line(error)}", details=traceback.format_exc()
                ) from error

        return run


class Commands(TyperGroup):
    """The core's commands, then the plugins'; a name of the core's is never a plugin's."""

    def _plugin_commands(self) -> dict[str, PluginCommand]:
        registry = Registry()
        return {
            each.spec.name: PluginCommand(each.spec.name, registry, each)
            for each in registry.registrations("command")
            if each.spec.name not in self.commands
        }

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of help."""
        return [*super().list_commands(ctx), *sorted(self._plugin_commands())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name."""
        return super().get_command(ctx, cmd_name) or self._plugin_commands().get(cmd_name)


def build_app() -> typer.Typer:
    """The whole command line."""
    from kerasx.cli.bench import bench
    from kerasx.cli.check import check
    from kerasx.cli.compare import compare
    from kerasx.cli.evaluate import evaluate
    from kerasx.cli.explain import explain
    from kerasx.cli.export import export
    from kerasx.cli.plugins import plugins
    from kerasx.cli.predict import predict
    from kerasx.cli.reproduce import reproduce
    from kerasx.cli.runs import runs
    from kerasx.cli.trace import trace
    from kerasx.cli.train import train

    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Train one Keras experiment by interchangeable step strategies.",
    )
    app.callback()(_root)
    for command in (train, evaluate, predict, export, compare, explain, check, trace, reproduce, bench):
        app.command()(command)
    app.add_typer(runs, name="runs")
    app.add_typer(plugins, name="plugins")
    return app


def _show_version(asked: bool) -> None:
    if asked:
        import kerasx

        typer.echo(f"kerasx {kerasx.__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
