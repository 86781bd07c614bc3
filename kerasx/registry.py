"""What is registered by which plugin, and who answers to a name."""

from __future__ import annotations

import os
import traceback
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kerasx.discovery import Plugin, discover
from kerasx.errors import PluginError, UsageError, one_line, suggestion
from kerasx.references import import_string
from kerasx.specs import Spec

DISABLE_VARIABLE = "KERASX_DISABLE_PLUGINS"


@dataclass(frozen=True)
class Registration:
    """A spec and the plugin that provides it."""

    spec: Spec
    plugin: Plugin


class Registry:
    """The plugins of one engine: the core's own, the installed ones, and those handed over as objects.

    Nothing is imported before it is needed: constructing costs nothing, the first look-up loads the
    entry points, each on its own.

    Args:
        plugins: Modules or other objects with hook implementations, used without installation.
        disabled: Entry-point or distribution names to leave out; None reads `KERASX_DISABLE_PLUGINS`.
    """

    def __init__(self, plugins: Sequence[object] = (), *, disabled: Collection[str] | None = None) -> None:
        self._objects = tuple(plugins)
        self._disabled = frozenset(_disabled_by_environment() if disabled is None else disabled)
        self._plugins: list[Plugin] | None = None

    @property
    def plugins(self) -> list[Plugin]:
        """Every plugin found, broken and disabled ones included, in order of discovery."""
        if self._plugins is None:
            self._plugins = discover(self._objects, self._disabled)
        return self._plugins

    def plugin(self, name: str) -> Plugin:
        """The plugin of a name, of a distribution, or of something it provides.

        Raises:
            UsageError: There is none; the message offers the nearest.
        """
        named = [plugin for plugin in self.plugins if name in plugin.called]
        providers = [plugin for plugin in self.plugins if any(spec.name == name for spec in plugin.specs)]
        if found := named or providers:
            return found[0]
        known = {each for plugin in self.plugins for each in (plugin.name, plugin.distribution) if each}
        raise UsageError(f"There is no plugin `{name}`. {suggestion(name, known, what='plugins')}")

    def names(self, kind: str) -> list[str]:
        """The registered names of a kind, sorted."""
        return sorted({spec.name for plugin in self.plugins for spec in plugin.specs if spec.kind == kind})

    def registrations(self, kind: str) -> list[Registration]:
        """Everything registered of a kind, in order of discovery."""
        return [
            Registration(spec, plugin)
            for plugin in self.plugins
            for spec in plugin.specs
            if spec.kind == kind
        ]

    def find(self, kind: str, name: str) -> Registration | None:
        """The registration of `name`, or None where no plugin claims it.

        Raises:
            PluginError: Two plugins claim the name, or the plugin that should provide it is broken.
        """
        found = [each for each in self.registrations(kind) if each.spec.name == name]
        if len(found) > 1:
            origins = " and ".join(each.plugin.origin for each in found)
            raise PluginError(
                f"The {kind} `{name}` is registered by {origins}. Uninstall one of them, or set"
                f" {DISABLE_VARIABLE} to the name of the plugin to leave out."
            )
        if found:
            return found[0]
        for plugin in self.plugins:
            if plugin.status == "broken" and name in plugin.called:
                raise PluginError(
                    f"The plugin `{plugin.name}` ({plugin.origin}) is broken: {plugin.error}",
                    details=plugin.details,
                )
        return None

    def get(self, kind: str, name: str, *, also: Iterable[str] = ()) -> Registration:
        """The registration of `name`.

        Args:
            kind: `strategy`, `loss`, `metric`, `model`, `dataset`, `callback` or `command`.
            name: The registered name.
            also: Names that would have been accepted too, offered when `name` is unknown.

        Raises:
            UsageError: Nothing of that kind has the name; the message offers the nearest.
            PluginError: As `find`.
        """
        if (found := self.find(kind, name)) is not None:
            return found
        raise self.unknown(kind, name, also=also)

    def unknown(self, kind: str, name: str, *, also: Iterable[str] = ()) -> UsageError:
        """The error for a name that nothing answers to."""
        plural = {"loss": "losses", "strategy": "strategies"}.get(kind, f"{kind}s")
        message = f"There is no {kind} `{name}`. {suggestion(name, [*self.names(kind), *also], what=plural)}"
        idle = [plugin for plugin in self.plugins if plugin.status != "active"]
        if idle:
            rows = ", ".join(f"`{plugin.name}` is {plugin.status}" for plugin in idle)
            message += f" ({rows}: see `kerasx plugins list`.)"
        return UsageError(message)

    def load(self, registration: Registration) -> Any:
        """The implementation that a registration names.

        Raises:
            PluginError: Importing it failed.
        """
        target = registration.spec.implementation
        if not isinstance(target, str):
            return target
        try:
            return import_string(target)
        except (Exception, SystemExit) as error:
            spec, plugin = registration.spec, registration.plugin
            raise PluginError(
                f"The {spec.kind} `{spec.name}` of {plugin.origin} cannot be imported from `{target}`:"
                f" {one_line(error)}",
                details=traceback.format_exc(),
            ) from error


def _disabled_by_environment() -> list[str]:
    return [name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",") if name.strip()]
