"""What a run ran with: versions, plugins, command, commit, processor."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any


def environment_record(
    plugins: list[dict[str, Any]], command: list[str] | None, **more: Any
) -> dict[str, Any]:
    """Everything outside the experiment that a run depends on.

    Args:
        plugins: Those that took part, with distribution, version and options.
        command: The command line; None for an engine used from code.
        more: Further entries.
    """
    return {
        "versions": versions(),
        "plugins": plugins,
        "command": command,
        "working_directory": str(Path.cwd()),
        "git_commit": git_commit(),
        "platform": platform.platform(),
        "processor": processor(),
        "python_executable": sys.executable,
        **more,
    }


def machine() -> dict[str, Any]:
    """What a measurement was made on."""
    return {
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "versions": {**versions(), **{name: _version(name) for name in ("jax", "torch")}},
    }


def versions() -> dict[str, str | None]:
    """Of Python and of what the bits depend on."""
    names = ("kerasx", "tensorflow", "keras", "numpy")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def git_commit() -> str | None:
    """The commit checked out in the working directory, marked `-dirty` if files differ; None without git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


def processor() -> str:
    """The processor's name, as Linux knows it, or what Python can tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
