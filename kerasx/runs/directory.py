"""Run directories: making one, finding one, reading what it says."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kerasx.errors import UsageError, one_line, suggestion
from kerasx.experiment import Experiment
from kerasx.files import overwrite_text, to_json, write_text

EXPERIMENT = "experiment.toml"
ENVIRONMENT = "environment.json"
SUMMARY = "summary.json"
METRICS = "metrics.jsonl"
HISTORY = "history.csv"
LOG = "train.log"
CHECKPOINTS = "checkpoints"
REPORT = "report.html"
MODEL = "model.keras"
WEIGHTS = "model.weights.h5"

# Of what kind entries of summary and environment are that others rely on; each may be missing.
_KINDS: dict[str, type] = {
    "status": str,
    "strategy": str,
    "reason": str,
    "evaluation": dict,
    "history": dict,
    "notes": list,
    "sources": dict,
    "versions": dict,
    "plugins": list,
}


# What to do where one of them is missing or damaged.
_WITHOUT = {
    SUMMARY: 'Write {"status": "failed"} into it, and the run can be gone on with.',
    ENVIRONMENT: "Without it the run cannot be gone on with: train a new one, with --experiment and its"
    f" {EXPERIMENT}.",
}


@dataclass(frozen=True)
class RunDirectory:
    """One run on disk.

    Attributes:
        path: Its folder.
    """

    path: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def experiment(self) -> Experiment:
        """The experiment that was run.

        Raises:
            UsageError: The file is missing or damaged.
        """
        return Experiment.from_toml(self.path / EXPERIMENT)

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, plugins and the machine that it ran with."""
        return self._json(ENVIRONMENT)

    @property
    def working_directory(self) -> Path | None:
        """Where it was started, which its relative paths start from; None where that is gone."""
        path = Path(str(self.environment.get("working_directory", "")))
        try:
            return path if path.is_dir() else None
        except ValueError:  # it can be no path
            return None

    @property
    def summary(self) -> dict[str, Any]:
        """Status and, when it has ended, results."""
        return self._json(SUMMARY)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Replace the summary; in its place, where there is no room for a second file.

        Raises:
            OSError: It cannot be written.
        """
        text = to_json(summary, indent=2) + "\n"
        try:
            write_text(self.path / SUMMARY, text)
        except OSError:
            if not (self.path / SUMMARY).is_file():
                raise
            overwrite_text(self.path / SUMMARY, text)

    def remove(self) -> None:
        """Take the folder away, for a run that never took a step."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _json(self, name: str) -> dict[str, Any]:
        damaged, advice = f"`{self.path / name}` is damaged", _WITHOUT[name]
        try:
            value = json.loads((self.path / name).read_text(encoding="utf-8"))
        except OSError as error:
            said = f"`{self.path}` has no readable {name}: {error.strerror}."
            raise UsageError(f"{said} {advice}") from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{damaged}: {one_line(error)}. {advice}") from error
        if not isinstance(value, dict):
            raise UsageError(f"{damaged}: it is no JSON object. {advice}")
        for key, kind in _KINDS.items():
            if not isinstance(value.get(key), kind | None):
                raise UsageError(f"{damaged}: its `{key}` is {value[key]!r:.60}. {advice}")
        return value


def check_runs_folder(runs: Path) -> None:
    """See that run directories can be made, before time is spent on anything else.

    Raises:
        UsageError: The path is a file, or cannot be written to.
    """
    try:
        runs.mkdir(parents=True, exist_ok=True)
        probe = runs / f".probe-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"Runs cannot be kept in `{runs}`: {error.strerror}. Choose another folder with --runs."
        ) from error


def create_run(runs: Path, strategy: str) -> RunDirectory:
    """A new run directory, named by time, strategy and four random digits.

    Raises:
        UsageError: The folder cannot be written to.
    """
    runs.mkdir(parents=True, exist_ok=True)
    label = re.sub(r"[^A-Za-z0-9-]+", "-", Path(strategy.replace(":", "-")).name).strip("-") or "run"
    while True:
        path = runs / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{label}-{secrets.token_hex(2)}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"`{path}` cannot be made: {error.strerror}.") from error
        return RunDirectory(path)


def list_runs(runs: Path) -> list[RunDirectory]:
    """The runs of a folder, oldest first."""
    if not runs.is_dir():
        return []
    found = [RunDirectory(path) for path in runs.iterdir() if (path / EXPERIMENT).is_file()]
    return sorted(found, key=lambda run: run.name)


def find_run(name: str, runs: Path) -> RunDirectory:
    """The run of a path, a name, the beginning of a name, or `last`.

    Raises:
        UsageError: No run answers to it, or several do.
    """
    path = Path(name)
    if (path / EXPERIMENT).is_file():
        return RunDirectory(path)
    known = list_runs(runs)
    if name == "last" and known:
        return known[-1]
    found = [run for run in known if run.name == name] or [run for run in known if run.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"`{name}` begins several runs: {', '.join(run.name for run in found)}.")
    if path.exists():
        raise UsageError(f"`{name}` is no run directory: it has no {EXPERIMENT}.")
    raise UsageError(
        f"There is no run `{name}` in `{runs}`. {suggestion(name, [run.name for run in known], what='runs')}"
    )
