"""Finds plugins and keeps them apart, so that a broken one costs nobody anything but itself."""

from __future__ import annotations

import importlib.metadata
import os
import traceback
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pluggy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from kerasx import hookspecs
from kerasx.errors import PluginError, UsageError, suggestion
from kerasx.references import import_string
from kerasx.specs import SPEC_TYPES, Spec

ENTRY_POINT_GROUP = "kerasx"
DISABLE_VARIABLE = "KERASX_DISABLE_PLUGINS"

Status = Literal["active", "disabled", "broken"]


@dataclass(frozen=True)
class Plugin:
    """One plugin as `kerasx plugins list` shows it.

    Attributes:
        name: Of the entry point; `builtins` for the core, the object's own name for one handed over.
        distribution: The installed distribution it came in; None for one handed over.
        version: Of that distribution.
        status: `active`, `disabled` or `broken`.
        error: Why it is broken, in one line.
        details: The traceback, where there is one.
        specs: What it provides.
    """

    name: str
    distribution: str | None
    version: str | None
    status: Status = "active"
    error: str | None = None
    details: str | None = None
    specs: tuple[Spec, ...] = field(default=(), repr=False)

    @property
    def provides(self) -> dict[str, list[str]]:
        """The names it provides, by kind."""
        names: dict[str, list[str]] = {}
        for spec in self.specs:
            names.setdefault(spec.kind, []).append(spec.name)
        return names

    @property
    def origin(self) -> str:
        """The plugin as messages name it."""
        if self.distribution is None:
            return f"the plugin `{self.name}`"
        return f"{self.distribution} {self.version}"


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
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._plugins: list[Plugin] | None = None

    @property
    def plugins(self) -> list[Plugin]:
        """Every plugin found, broken and disabled ones included, in order of discovery."""
        if self._plugins is None:
            self._plugins = [self._load_builtins(), *self._load_installed(), *self._load_objects()]
        return self._plugins

    def plugin(self, name: str) -> Plugin:
        """The plugin of a name, of a distribution, or of something it provides.

        Raises:
            UsageError: There is none; the message offers the nearest.
        """
        named = [plugin for plugin in self.plugins if name in _names_of(plugin)]
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
            if plugin.status == "broken" and name in _names_of(plugin):
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
        except Exception as error:
            spec, plugin = registration.spec, registration.plugin
            raise PluginError(
                f"The {spec.kind} `{spec.name}` of {plugin.origin} cannot be imported from `{target}`:"
                f" {type(error).__name__}: {error}",
                details=traceback.format_exc(),
            ) from error

    def _load_builtins(self) -> Plugin:
        from kerasx import builtins

        plugin = Plugin("builtins", "kerasx", importlib.metadata.version("kerasx"))
        return self._registered(plugin, builtins)

    def _load_installed(self) -> list[Plugin]:
        points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        return [self._load_entry_point(point) for point in sorted(points, key=lambda each: each.name)]

    def _load_entry_point(self, point: importlib.metadata.EntryPoint) -> Plugin:
        distribution = point.dist
        plugin = Plugin(
            point.name,
            distribution.name if distribution is not None else None,
            distribution.version if distribution is not None else None,
        )
        if not self._disabled.isdisjoint(_names_of(plugin)):
            return replace(plugin, status="disabled")
        if distribution is not None and (mismatch := _version_mismatch(distribution)) is not None:
            return replace(plugin, status="broken", error=mismatch)
        try:
            loaded = point.load()
        except (Exception, SystemExit) as error:
            return _broken(plugin, error)
        return self._registered(plugin, loaded)

    def _load_objects(self) -> list[Plugin]:
        loaded = []
        for plugin in self._objects:
            name = getattr(plugin, "__name__", None) or type(plugin).__name__
            record = self._registered(Plugin(name, None, None), plugin)
            if record.status == "broken":
                # Whoever hands a plugin over has asked for it by doing so.
                raise PluginError(f"The plugin `{name}` is broken: {record.error}", details=record.details)
            loaded.append(record)
        return loaded

    def _registered(self, plugin: Plugin, implementation: object) -> Plugin:
        """Register one plugin and take its specs at once.

        Each plugin is called on its own: in a common call one that raises would take the results of
        all others with it, and a generator would raise only after the call had returned.
        """
        try:
            # Distributions may repeat entry-point names; pluggy's own name for an object is unique.
            unique = plugin.distribution and f"{plugin.distribution}:{plugin.name}"
            self._manager.register(implementation, name=unique)
            _refuse_unknown_hooks(self._manager, implementation)
            specs = tuple(
                _checked(spec, kind)
                for kind, hook in hookspecs.HOOKS.items()
                for caller in (getattr(self._manager.hook, hook),)
                for each in caller.get_hookimpls()
                if each.plugin is implementation
                for spec in each.function()
            )
            _refuse_repeated_names(specs)
        except (Exception, SystemExit) as error:
            if self._manager.is_registered(implementation):
                self._manager.unregister(implementation)
            return _broken(plugin, error)
        return replace(plugin, specs=specs)


def _disabled_by_environment() -> list[str]:
    return [name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",") if name.strip()]


def _names_of(plugin: Plugin) -> set[str]:
    """What a plugin may be called: its entry point, its distribution, and that without our prefix."""
    names = {plugin.name}
    if plugin.distribution is not None:
        canonical = canonicalize_name(plugin.distribution)
        names |= {plugin.distribution, canonical, canonical.removeprefix("kerasx-")}
    return names


def _version_mismatch(distribution: importlib.metadata.Distribution) -> str | None:
    """Why the installed kerasx is not one that the distribution was built for, or None."""
    version = importlib.metadata.version("kerasx")
    for text in distribution.requires or []:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) != "kerasx":
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            return (
                f"{distribution.name} {distribution.version} was built for kerasx"
                f" {requirement.specifier}, and this is kerasx {version}"
            )
    return None


def _broken(plugin: Plugin, error: BaseException) -> Plugin:
    return replace(
        plugin,
        status="broken",
        error=f"{type(error).__name__}: {error}",
        details="".join(traceback.format_exception(error)),
    )


def _refuse_unknown_hooks(manager: pluggy.PluginManager, implementation: object) -> None:
    for name in dir(implementation):
        options = manager.parse_hookimpl_opts(implementation, name)
        hook = None if options is None else options.get("specname") or name
        if hook is not None and hook not in hookspecs.HOOKS.values():
            raise ValueError(
                f"there is no hook `{hook}`. {suggestion(hook, hookspecs.HOOKS.values(), what='hooks')}"
            )


def _checked(spec: object, kind: str) -> Spec:
    expected = SPEC_TYPES[kind]
    if not isinstance(spec, expected):
        raise TypeError(f"{hookspecs.HOOKS[kind]} has to return {expected.__name__} objects, not {spec!r}")
    return spec


def _refuse_repeated_names(specs: tuple[Spec, ...]) -> None:
    seen: set[tuple[str, str]] = set()
    for spec in specs:
        if (spec.kind, spec.name) in seen:
            raise ValueError(f"it registers the {spec.kind} `{spec.name}` twice")
        seen.add((spec.kind, spec.name))
