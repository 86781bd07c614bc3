"""Plugins are found, kept apart, disabled and bounded; what they claim by name is answered or refused."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from kerasx import LossSpec, PluginError, UsageError, hookimpl
from kerasx.discovery import Plugin
from kerasx.registry import Registry

InstallPlugin = Callable[..., Path]

GOOD = """
    from kerasx import LossSpec, MetricSpec, hookimpl

    @hookimpl
    def kerasx_losses():
        return [LossSpec("quartic", "Fourth power.", "kerasx_good.losses:quartic")]

    @hookimpl
    def kerasx_metrics():
        yield MetricSpec("drift", "How far.", "kerasx_good.losses:quartic")
"""
LOSSES = "def quartic(y_true, y_pred): return (y_pred - y_true) ** 4"
ONE_LOSS = """
    from kerasx import LossSpec, hookimpl

    @hookimpl
    def kerasx_losses():
        return [LossSpec("{name}", "A loss.", "builtins:abs")]
"""
RAISES = "raise RuntimeError('no {name} today')"


def row(registry: Registry, name: str) -> Plugin:
    found = [plugin for plugin in registry.plugins if plugin.name == name]
    assert len(found) == 1, f"{name}: {registry.plugins}"
    return found[0]


def install_good(install_plugin: InstallPlugin) -> None:
    install_plugin(
        "kerasx-good", {"kerasx_good/__init__.py": GOOD, "kerasx_good/losses.py": LOSSES}, version="1.2"
    )


def test_an_installed_plugin_is_found_with_its_distribution_and_version(
    install_plugin: InstallPlugin,
) -> None:
    install_good(install_plugin)
    registry = Registry()
    plugin = row(registry, "good")
    assert (plugin.distribution, plugin.version, plugin.status) == ("kerasx-good", "1.2", "active")
    assert plugin.provides == {"loss": ["quartic"], "metric": ["drift"]}
    assert "quartic" in registry.names("loss")
    assert "quartic" not in registry.names("metric")
    found = registry.get("loss", "quartic")
    assert found.plugin == plugin
    assert "kerasx_good.losses" not in sys.modules, "the implementation is imported when it is asked for"
    assert registry.load(found)(1, 3) == 16


def test_two_plugins_that_claim_one_name_are_both_named_when_it_is_used(
    install_plugin: InstallPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin("kerasx-left", ONE_LOSS.format(name="common-name"))
    install_plugin("kerasx-right", ONE_LOSS.format(name="common-name"), version="2.0")
    install_plugin("kerasx-shadow", ONE_LOSS.format(name="sum-squared-error"))
    install_good(install_plugin)
    registry = Registry()
    assert {row(registry, name).status for name in ("left", "right", "shadow", "good")} == {"active"}
    assert registry.names("loss") == ["common-name", "quartic", "sum-squared-error"]
    assert registry.get("loss", "quartic").plugin.name == "good"
    assert registry.find("metric", "common-name") is None, "names are claimed by kind"
    with pytest.raises(PluginError, match=r"kerasx-left 1.0 and kerasx-right 2.0") as raised:
        registry.get("loss", "common-name")
    assert raised.value.exit_code == 3
    with pytest.raises(PluginError, match=r"kerasx .* and kerasx-shadow 1.0"):
        registry.get("loss", "sum-squared-error")
    monkeypatch.setenv("KERASX_DISABLE_PLUGINS", "left")
    assert Registry().get("loss", "common-name").plugin.distribution == "kerasx-right"


@pytest.mark.parametrize("by", ["bell", "acme-noise", "other, bell ,,"])
def test_a_disabled_plugin_is_not_imported(
    install_plugin: InstallPlugin, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Neither its code nor a fault in it can show: not by entry-point nor by distribution name."""
    install_plugin("acme-noise", RAISES.format(name="noise"), entry_point="bell = acme_noise")
    install_good(install_plugin)
    assert row(Registry(), "bell").status == "broken", "the marker: were it imported, it would raise"
    monkeypatch.setenv("KERASX_DISABLE_PLUGINS", by)
    for registry in (Registry(), Registry(disabled=[each.strip() for each in by.split(",")])):
        plugin = row(registry, "bell")
        assert (plugin.status, plugin.error, plugin.provides) == ("disabled", None, {})
        assert plugin.distribution == "acme-noise"
        assert row(registry, "good").status == "active"
    assert row(Registry(disabled=[]), "bell").status == "broken"


@pytest.mark.parametrize(
    "requires",
    [["kerasx>=9"], ["numpy", "Kerasx[all] <0.0.1"], ["kerasx>=9; python_version >= '3'"], ["KERASX==0.0.7"]],
)
def test_a_plugin_built_for_another_kerasx_says_so_and_is_not_imported(
    install_plugin: InstallPlugin, requires: list[str]
) -> None:
    install_plugin("kerasx-later", RAISES.format(name="later"), requires=requires)
    plugin = row(Registry(), "later")
    assert plugin.status == "broken"
    assert plugin.details is None
    bound = requires[-1].split(";")[0].lower().removeprefix("kerasx").removeprefix("[all]").strip()
    for part in ("kerasx-later 1.0", bound, importlib.metadata.version("kerasx")):
        assert part in str(plugin.error)
    with pytest.raises(PluginError, match="built for"):
        Registry().get("loss", "later")


@pytest.mark.parametrize(
    "requires",
    [
        [],
        ["kerasx"],
        ["kerasx>=9; python_version < '3'"],
        ["kerasx>=9; extra == 'next'"],
        ["kerasx-later>=9", "a broken line !!", "kerasx>=0.1"],
    ],
)
def test_bounds_that_do_not_apply_are_no_bounds(install_plugin: InstallPlugin, requires: list[str]) -> None:
    install_plugin("kerasx-now", ONE_LOSS.format(name="now"), requires=requires)
    assert row(Registry(), "now").status == "active"


def test_an_unknown_name_is_answered_with_the_nearest(install_plugin: InstallPlugin) -> None:
    install_plugin("kerasx-bad", RAISES.format(name="bad"))
    registry = Registry()
    with pytest.raises(UsageError, match=r"sum-square-error.*Did you mean `sum-squared-error`") as raised:
        registry.get("loss", "sum-square-error")
    assert raised.value.exit_code == 2
    assert "`bad` is broken" in str(raised.value), "the name may be one that the broken plugin provides"
    with pytest.raises(UsageError, match="`huber`"):
        registry.get("loss", "hubert", also=["huber"])
    with pytest.raises(UsageError, match=r"The losses are: .*sum-squared-error"):
        registry.get("loss", "zzzzzzzz")


class Handed:
    """A plugin that is an object."""

    def __init__(self, name: str, implementation: object = abs) -> None:
        self.spec = LossSpec(name, "Handed over.", implementation)

    @hookimpl
    def kerasx_losses(self) -> list[LossSpec]:
        return [self.spec]


def test_plugins_are_handed_over_as_objects_and_seen_by_their_registry_only() -> None:
    module = types.ModuleType("handed_module")
    module.kerasx_losses = hookimpl(lambda: [LossSpec("third", "Of a module.", round)])  # type: ignore[attr-defined]
    registry = Registry(plugins=[Handed("first"), Handed("second", max), module])
    assert registry.names("loss") == ["first", "second", "sum-squared-error", "third"]
    assert [registry.load(registry.get("loss", name)) for name in ("first", "second", "third")] == [
        abs,
        max,
        round,
    ]
    plugin = registry.get("loss", "third").plugin
    assert (plugin.name, plugin.distribution, plugin.status) == ("handed_module", None, "active")
    other = Registry(plugins=[Handed("second", min)])
    assert other.names("loss") == ["second", "sum-squared-error"]
    assert other.load(other.get("loss", "second")) is min
    assert registry.load(registry.get("loss", "second")) is max
    assert Registry().names("loss") == ["sum-squared-error"]


def test_two_modules_of_one_name_can_be_handed_over() -> None:
    """Files loaded by path, in a notebook say, often share a module name."""
    modules = [types.ModuleType("plugin"), types.ModuleType("plugin")]
    for module, name in zip(modules, ("first", "second"), strict=True):
        module.kerasx_losses = hookimpl(lambda name=name: [LossSpec(name, "", abs)])  # type: ignore[attr-defined]
    assert Registry(plugins=modules).names("loss") == ["first", "second", "sum-squared-error"]


def test_another_process_lists_plugins_without_tensorflow_and_without_the_disabled(
    install_plugin: InstallPlugin, tmp_path: Path
) -> None:
    marker = tmp_path / "imported"
    install_good(install_plugin)
    install_plugin("kerasx-bad", RAISES.format(name="bad"))
    install_plugin("kerasx-off", f"open({str(marker)!r}, 'w').close()")
    listing = """
import json, sys
from kerasx import Experiment
from kerasx.registry import Registry
rows = [(p.name, p.status) for p in Registry().plugins]
Experiment()
heavy = {"tensorflow", "keras", "kerasx_good.losses"}
print(json.dumps({"rows": rows, "heavy": sorted(heavy & set(sys.modules))}))
"""

    def listed(disabled: str) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, "-c", listing],
            env={**os.environ, "KERASX_DISABLE_PLUGINS": disabled},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    answer = listed("kerasx-off,mnist")
    assert isinstance(answer["rows"], list)
    statuses = dict(answer["rows"])
    assert answer["heavy"] == []
    assert not marker.exists()
    assert (statuses["good"], statuses["bad"], statuses["off"]) == ("active", "broken", "disabled")
    listed("")
    assert marker.exists()
