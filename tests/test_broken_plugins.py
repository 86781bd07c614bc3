"""A plugin that fails is a row that says why, and costs nobody but itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kerasx import LossSpec, PluginError, hookimpl
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

# Each is the code of a plugin that does something wrong, and what its row has to say.
BROKEN = {
    "raises at import": ("raise RuntimeError('boom at import')", "RuntimeError: boom at import"),
    "is no Python": ("def f(:", "SyntaxError"),
    "imports what is not there": ("import kerasx_no_such_module", "kerasx_no_such_module"),
    "exits at import": ("import sys; sys.exit('gone')", "gone"),
    "raises over several lines": ("raise RuntimeError('first\\nsecond')", "RuntimeError: first"),
    "raises what cannot be printed": (
        """
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no text")
        raise Mute()
        """,
        "Mute",
    ),
    "raises in a hook": (
        """
        from kerasx import hookimpl
        @hookimpl
        def kerasx_losses():
            raise ZeroDivisionError("boom in hook")
        """,
        "ZeroDivisionError: boom in hook",
    ),
    "exits in a hook": (
        """
        import sys
        from kerasx import hookimpl
        @hookimpl
        def kerasx_losses():
            sys.exit("hook gone")
        """,
        "hook gone",
    ),
    "is a generator that raises midway": (
        """
        from kerasx import LossSpec, hookimpl
        @hookimpl
        def kerasx_losses():
            yield LossSpec("half-way", "Comes before the error.", "builtins:abs")
            raise ZeroDivisionError("boom midway")
        """,
        "ZeroDivisionError: boom midway",
    ),
    "returns another hook's specs": (
        """
        from kerasx import MetricSpec, hookimpl
        @hookimpl
        def kerasx_losses():
            return [MetricSpec("half-way", "A metric.", "builtins:abs")]
        """,
        "LossSpec",
    ),
    "returns nothing": (
        """
        from kerasx import hookimpl
        @hookimpl
        def kerasx_losses():
            pass
        """,
        "TypeError",
    ),
    "names an unknown hook": (
        """
        from kerasx import hookimpl
        @hookimpl
        def kerasx_loses():
            return []
        """,
        "kerasx_losses",
    ),
    "has a hook with arguments": (
        """
        from kerasx import hookimpl
        @hookimpl
        def kerasx_losses(registry):
            return []
        """,
        "registry",
    ),
    "registers one name twice": (
        """
        from kerasx import LossSpec, hookimpl
        @hookimpl
        def kerasx_losses():
            return [LossSpec("half-way", text, "builtins:abs") for text in "ab"]
        """,
        "half-way",
    ),
    "makes a spec with a wrong name": (ONE_LOSS.format(name="half way"), "half way"),
}


def row(registry: Registry, name: str) -> Plugin:
    found = [plugin for plugin in registry.plugins if plugin.name == name]
    assert len(found) == 1, f"{name}: {registry.plugins}"
    return found[0]


def install_good(install_plugin: InstallPlugin) -> None:
    install_plugin(
        "kerasx-good", {"kerasx_good/__init__.py": GOOD, "kerasx_good/losses.py": LOSSES}, version="1.2"
    )


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_a_row_and_costs_nobody_else_anything(
    install_plugin: InstallPlugin, fault: str
) -> None:
    code, expected = BROKEN[fault]
    healthy = {plugin.name: plugin.provides for plugin in Registry().plugins if plugin.status == "active"}
    install_good(install_plugin)
    install_plugin("kerasx-bad", code)
    registry = Registry()
    bad = row(registry, "bad")
    assert bad.status == "broken"
    assert (bad.distribution, bad.version) == ("kerasx-bad", "1.0")
    assert bad.specs == ()
    assert bad.error is not None
    assert expected in bad.error
    assert "\n" not in bad.error
    assert bad.details is not None
    assert "Traceback" in bad.details
    others = {plugin.name: plugin.provides for plugin in registry.plugins if plugin.name != "bad"}
    assert others == {**healthy, "good": {"loss": ["quartic"], "metric": ["drift"]}}
    assert all(plugin.status == "active" for plugin in registry.plugins if plugin.name != "bad")
    assert registry.get("loss", "quartic").plugin.name == "good"
    assert registry.find("loss", "half-way") is None
    with pytest.raises(PluginError, match="broken") as raised:
        registry.get("strategy", "bad")
    assert raised.value.exit_code == 3
    assert raised.value.details == bad.details


def test_an_entry_point_that_leads_nowhere_is_a_broken_row(install_plugin: InstallPlugin) -> None:
    install_plugin("kerasx-stray", "", entry_point="stray = kerasx_stray:attribute")
    install_plugin("kerasx-lost", "", entry_point="lost = kerasx_nowhere")
    registry = Registry()
    assert row(registry, "stray").status == row(registry, "lost").status == "broken"
    assert "attribute" in str(row(registry, "stray").error)
    assert "kerasx_nowhere" in str(row(registry, "lost").error)


@pytest.mark.parametrize("code", [RAISES.format(name="code"), "import sys; sys.exit(7)"])
def test_an_implementation_that_cannot_be_imported_is_the_plugins_error(
    install_plugin: InstallPlugin, code: str
) -> None:
    install_plugin("kerasx-good", {"kerasx_good/__init__.py": GOOD, "kerasx_good/losses.py": code})
    registry = Registry()
    assert row(registry, "good").status == "active", "listing does not import the implementation"
    with pytest.raises(PluginError, match=r"kerasx-good 1\.0") as raised:
        registry.load(registry.get("loss", "quartic"))
    assert "kerasx_good.losses:quartic" in str(raised.value)
    assert "Traceback" in str(raised.value.details)


def test_a_broken_object_is_refused_at_once() -> None:
    """Whoever hands a plugin over has asked for it by doing so."""

    class Bad:
        @hookimpl
        def kerasx_losses(self) -> list[LossSpec]:
            raise ZeroDivisionError("boom in object")

    with pytest.raises(PluginError, match=r"Bad.*boom in object"):
        _ = Registry(plugins=[Bad()]).plugins
