"""`kerasx plugins`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kerasx.cli.guard import guarded
from kerasx.cli.output import Json, console, print_json, table

plugins = typer.Typer(no_args_is_help=True, help="List and show what is installed.")


@plugins.command("list")
@guarded
def list_plugins(json: Json = False) -> None:
    """List the plugins, broken and disabled ones included."""
    from kerasx.registry import Registry

    found = Registry().plugins
    if json:
        print_json([_row(plugin) for plugin in found])
        return
    shown = table("plugin", "distribution", "version", "status", "provides")
    for plugin in found:
        provides = "\n".join(f"{kind} {', '.join(names)}" for kind, names in plugin.provides.items())
        shown.add_row(
            plugin.name,
            plugin.distribution or "",
            plugin.version or "",
            plugin.status,
            plugin.error if plugin.status == "broken" else provides,
        )
    console().print(shown)


@plugins.command("show")
@guarded
def show_plugin(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A plugin, its distribution, or a name it provides.")
    ],
    json: Json = False,
) -> None:
    """Show one plugin and what it provides, with the options each takes."""
    from kerasx.engine import Engine

    engine = Engine()
    plugin = engine.registry.plugin(name)
    options = engine.options_of(plugin)
    if json:
        rows = [{"kind": kind, "name": each, "options": rows} for (kind, each), rows in options.items()]
        print_json(_row(plugin) | {"details": plugin.details, "options": rows})
        return
    out = console()
    version = f" {plugin.version}" if plugin.version else ""
    out.print(f"{plugin.name} ({plugin.distribution or 'not installed'}{version}): {plugin.status}")
    if plugin.error:
        out.print(f"\n{plugin.details or plugin.error}")
    for spec in plugin.specs:
        out.print(f"\n{spec.kind} {spec.name}\n  {spec.summary}\n  {spec.implementation}")
        for option in options.get((spec.kind, spec.name), []):
            if "error" in option:
                out.print(f"  {option['error']}")
                continue
            default = f" = {option['default']!r}" if "default" in option else ""
            out.print(f"  {option['name']}: {option['type']}{default}")
            if option["description"]:
                out.print(f"      {option['description']}")


def _row(plugin: Any) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": plugin.status,
        "provides": plugin.provides,
        "error": plugin.error,
    }
