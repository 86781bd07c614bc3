"""Finds plugins and loads each on its own, so that a broken one costs nobody anything but itself."""

from __future__ import annotations

import importlib.metadata
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pluggy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from kerasx import builtins, hookspecs
from kerasx.errors import PluginError, one_line, suggestion
from kerasx.specs import SPEC_TYPES, Spec

ENTRY_POINT_GROUP = "kerasx"

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
    def called(self) -> set[str]:
        """What it may be called: its entry point, its distribution, and that without our prefix."""
        names = {self.name}
        if self.distribution is not None:
            canonical = canonicalize_name(self.distribution)
            names |= {self.distribution, canonical, canonical.removeprefix("kerasx-")}
        return names

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


def discover(objects: Sequence[object], disabled: Iterable[str]) -> list[Plugin]:
    """The core's own plugin, the installed ones by name, and those handed over.

    Args:
        objects: Modules or other objects with hook implementations.
        disabled: Entry-point or distribution names of installed plugins that are not to be imported.

    Raises:
        PluginError: One that was handed over is broken: whoever hands a plugin over has asked for it.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    core = Plugin("builtins", "kerasx", importlib.metadata.version("kerasx"))
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return [
        _registered(manager, core, builtins),
        *(
            _load(manager, point, frozenset(disabled))
            for point in sorted(points, key=lambda point: point.name)
        ),
        *(_handed_over(manager, plugin) for plugin in objects),
    ]


def _load(
    manager: pluggy.PluginManager, point: importlib.metadata.EntryPoint, disabled: frozenset[str]
) -> Plugin:
    distribution = point.dist
    plugin = Plugin(
        point.name,
        distribution.name if distribution is not None else None,
        distribution.version if distribution is not None else None,
    )
    if not {canonicalize_name(name) for name in disabled}.isdisjoint(map(canonicalize_name, plugin.called)):
        return replace(plugin, status="disabled")
    if distribution is not None and (mismatch := _version_mismatch(distribution)) is not None:
        return replace(plugin, status="broken", error=mismatch)
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:
        return _broken(plugin, error)
    return _registered(manager, plugin, loaded)


def _handed_over(manager: pluggy.PluginManager, plugin: object) -> Plugin:
    name = getattr(plugin, "__name__", None) or type(plugin).__name__
    record = _registered(manager, Plugin(name, None, None), plugin)
    if record.status == "broken":
        raise PluginError(f"The plugin `{name}` is broken: {record.error}", details=record.details)
    return record


def _registered(manager: pluggy.PluginManager, plugin: Plugin, implementation: object) -> Plugin:
    """Register one plugin and take its specs at once.

    Each plugin is called on its own: in a common call one that raises would take the results of
    all others with it, and a generator would raise only after the call had returned.
    """
    try:
        # Distributions may repeat entry-point names, and objects their own.
        owner = plugin.distribution or f"object {id(implementation)}"
        unique = f"{owner}:{plugin.name}"
        manager.register(implementation, name=unique)
        _refuse_unknown_hooks(manager, implementation)
        specs = tuple(
            _checked(spec, kind)
            for kind, hook in hookspecs.HOOKS.items()
            for caller in (getattr(manager.hook, hook),)
            for each in caller.get_hookimpls()
            if each.plugin is implementation
            for spec in each.function()
        )
        _refuse_repeated_names(specs)
    except (Exception, SystemExit) as error:
        if manager.is_registered(implementation):
            manager.unregister(implementation)
        return _broken(plugin, error)
    return replace(plugin, specs=specs)


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
        error=one_line(error),
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
