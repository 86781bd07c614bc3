"""The command line: one thin file a command; heavy imports stand inside the functions."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        # Until a command has begun, which has more to say (kerasx.cli.guard).
        signal.signal(signal.SIGINT, _interrupted)
    try:
        from kerasx.cli.app import build_app

        build_app()()
    finally:
        if signal.getsignal(signal.SIGINT) is _interrupted:
            signal.signal(signal.SIGINT, handler)


def _interrupted(number: int, frame: object) -> None:
    """End at once: nothing has been begun."""
    os.write(2, b"Interrupted.\n")  # printing is not for handlers: it may be what was interrupted
    raise SystemExit(128 + number)
