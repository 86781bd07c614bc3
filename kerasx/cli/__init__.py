"""The command line: one thin file a command; heavy imports stand inside the functions."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from kerasx.cli.app import build_app

    build_app()()
