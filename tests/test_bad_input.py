"""Bad input gets one answer: what is wrong, where, and what to do; nothing is left behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from bad_data import DATA, NOTED, OBJECTS, X, Y, changed
from bad_files import FILES, MODELS, PLUGINS, REFERENCES, RUNS
from bad_inputs import BASE, MINE, NAMES, OPTIONS, RANGES, TOML, Bad, train_once
from typer.testing import CliRunner

from kerasx import Engine, Experiment, PluginError, UsageError
from kerasx.cli.app import build_app
from kerasx.errors import KerasxError, NonFiniteError

ROWS = (*NAMES, *RANGES, *TOML, *OPTIONS, *DATA, *OBJECTS, *FILES, *REFERENCES, *MODELS, *RUNS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, in a folder of its own beside the user's file."""
    return train_once(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a user's file in it, from which code of its own is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASX_RUNS", raising=False)
    (tmp_path / "mine.py").write_text(MINE)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def prepared(bad: Bad, here: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """The files of a row, as they were before."""
    for name, content in bad.files.items():
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str | bytes):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        else:
            content(path)
    if bad.damage is not None:
        shutil.copytree(request.getfixturevalue("trained"), here / "runs" / "trained")
        bad.damage(here / "runs" / "trained")
    if bad.toml is not None:
        (here / "e.toml").write_text(bad.toml)
    return found(here)


def found(here: Path) -> dict[str, str]:
    """What there is in a folder: files by their digest, folders; an empty `runs` is nothing."""
    return {
        str(path.relative_to(here)): "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(here.rglob("*"))
        if "__pycache__" not in path.parts and not (path == here / "runs" and not any(path.iterdir()))
    }


def ids(bad: Bad) -> str:
    return bad.name


def asked(bad: Bad, here: Path) -> Any:
    """Ask the engine for what a row gives."""
    engine = Engine()
    if bad.call is not None:
        return bad.call(engine, here)
    if bad.toml is not None:
        return engine.train(Experiment.from_toml("e.toml"))
    values = {**BASE, **(bad.values or {})}
    if bad.arrays is not None:
        values["dataset"] = bad.arrays()
    return engine.train(**values)


@pytest.mark.parametrize(
    "bad", [bad for bad in ROWS if bad.call or bad.toml or bad.values is not None or bad.arrays], ids=ids
)
def test_the_engine_answers(bad: Bad, here: Path, request: pytest.FixtureRequest) -> None:
    """An error of kerasx's own, with its exit code; in one line, however many its cause has."""
    before = prepared(bad, here, request)
    with pytest.raises(KerasxError) as raised:
        asked(bad, here)
    assert raised.value.exit_code == bad.code, raised.value
    said = str(raised.value)
    for expected in bad.says:
        assert expected in said
    assert "\n" not in said.strip()
    assert len(said) < 1200
    assert found(here) == before


def arguments(bad: Bad, here: Path) -> list[str]:
    """The row as a command line."""
    if bad.command is not None:
        return [bad.command, *(bad.options or ())]
    if bad.toml is not None:
        return ["train", "--experiment", "e.toml"]
    options = list(bad.options or ())
    values = {**BASE, **(bad.values or {})}
    if bad.arrays is not None:
        np.savez(here / "own.npz", **flat(bad.arrays()))  # type: ignore[arg-type]
        values["dataset"] = "own.npz"
    if "--experiment" not in options:
        (here / "base.toml").write_text(tomli_w.dumps(values))
        options = ["--experiment", "base.toml", *options]
    return ["train", *options]


def flat(arrays: dict[str, Any]) -> dict[str, Any]:
    """Structures by name, as an npz file has them."""
    result: dict[str, Any] = {}
    for key, value in arrays.items():
        parts = (
            {f"{key}_{name}": part for name, part in value.items()}
            if isinstance(value, dict)
            else {key: value}
        )
        result.update(parts)
    return result


@pytest.mark.parametrize(
    "bad",
    [bad for bad in ROWS if bad.command or bad.toml or bad.values is not None or bad.arrays or bad.options],
    ids=ids,
)
def test_the_command_line_answers(bad: Bad, here: Path, request: pytest.FixtureRequest) -> None:
    """The exit code, the answer on standard error and nothing else, no traceback, nothing left behind."""
    prepared(bad, here, request)
    command = arguments(bad, here)
    before = found(here)
    result = CliRunner().invoke(build_app(), command, env={"COLUMNS": "300"})
    assert result.exit_code == bad.code, result.stderr
    # Of a file that was written here the lines do not matter.
    said = result.stderr + re.sub(r" \(line \d+\)", "", result.stderr)
    for expected in bad.says:
        assert expected in said
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert found(here) == before


@pytest.mark.parametrize(
    ("files", "values", "says"), [row[1:] for row in PLUGINS], ids=[row[0] for row in PLUGINS]
)
def test_plugins_that_fail_are_named(
    files: dict[str, str],
    values: dict[str, Any],
    says: tuple[str, ...],
    here: Path,
    install_plugin: Callable[..., Path],
) -> None:
    """With exit code 3, the distribution and its version."""
    install_plugin("kerasx-bad", files, version="1.2")
    (here / "e.toml").write_text(tomli_w.dumps({**BASE, **values}))
    before = found(here)
    with pytest.raises(PluginError) as raised:
        Engine().train(**{**BASE, **values})
    result = CliRunner().invoke(build_app(), ["train", "--experiment", "e.toml"])
    assert result.exit_code == raised.value.exit_code == 3
    for expected in (*says, "kerasx-bad 1.2"):
        assert expected in str(raised.value)
        assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert found(here) == before


@pytest.mark.parametrize("noted", NOTED, ids=ids)
def test_what_can_be_trained_on_is_told(noted: Bad, here: Path) -> None:
    """Odd data that Keras can train on is trained on, and the run says what is odd about it."""
    assert noted.arrays is not None
    run = Engine().train(**{**BASE, "dataset": noted.arrays(), **(noted.values or {})})
    said = "\n".join(run.notes)
    for expected in noted.says:
        assert expected in said


class Notes:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    def callbacks(self, steps: int | None) -> list[Any]:
        return []


def test_a_step_of_ones_own_may_deal_with_what_is_not_finite(here: Path) -> None:
    """It is told of, and trained on; where that makes training non-finite, that is said as ever."""
    notes = Notes()
    dataset = {"x_train": changed(X, (7, 2), np.nan), "y_train": Y}
    with pytest.raises(NonFiniteError):
        Engine().train(**{**BASE, "dataset": dataset, "strategy": "mine.py:step"}, reporter=notes)
    assert any(
        "`x_train` holds 1 value" in note and "the step is left to deal" in note for note in notes.said
    )


def test_predictions_of_what_is_not_finite_are_told_of(here: Path, trained: Path) -> None:
    """The other rows are predicted as they are without it."""
    notes = Notes()
    outputs = Engine().predict(trained, changed(X, (7, 2), np.inf), reporter=notes)
    assert any(
        "`x` holds 1 value that is not finite (1 infinite), the first in row 7" in n for n in notes.said
    )
    assert np.isfinite(np.delete(outputs, 7, axis=0)).all()


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, who may write anywhere; anybody else stays who he is."""
    if os.geteuid():
        yield
        return
    nobody = 65534
    os.setresgid(nobody, nobody, 0)
    os.setresuid(nobody, nobody, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


def test_folders_without_permission(here: Path, trained: Path) -> None:
    """What cannot be written to is said before time is spent."""
    import kerasx.runs.use  # noqa: F401 - while the modules can be read

    shutil.copytree(trained, here / "mine" / "trained")
    (here / "runs").mkdir(mode=0o555)
    here.chmod(0o755)
    with as_nobody():
        with pytest.raises(UsageError, match=r"runs.*--runs"):
            Engine().train(**BASE)
        with pytest.raises(UsageError, match="can be written to"):
            Engine(runs="mine").export("trained", "runs/own.keras")


def test_there_are_enough_rows() -> None:
    """And each is named once."""
    assert len({bad.name for bad in ROWS}) == len(ROWS) >= 170


@pytest.mark.parametrize(
    ("environment", "command", "says"),
    [
        ({"KERAS_BACKEND": "jax"}, ["train"], ("`jax`", "KERAS_BACKEND=tensorflow")),
        ({"KERAS_BACKEND": "torch"}, ["evaluate", "last"], ("`torch`", "KERAS_BACKEND=tensorflow")),
        ({"KERAS_BACKEND": "nonsense"}, ["compare", "custom-step", "compiled-fit"], ("`nonsense`",)),
        (
            {"KERAS_BACKEND": "TensorFlow"},
            ["predict", "last", "--input", "a", "--output", "b"],
            ("`TensorFlow`",),
        ),
        ({"KERAS_BACKEND": "numpy"}, ["train", "--dry-run"], ("`numpy`", "Unset it")),
        ({}, ["train", "--strategy", "custm-step"], ("custm-step", "custom-step")),
        ({}, ["train", "--experiment", "gone.toml"], ("gone.toml",)),
        ({}, ["train", "--dataset", "mine.py:dta"], ("`dta`", "`data`")),
        ({}, ["runs", "show", "nothing"], ("`nothing`",)),
        ({"KERASX_RUNS": "mine.py"}, ["train"], ("mine.py",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_whole_processes_answer(
    environment: dict[str, str], command: list[str], says: tuple[str, ...], here: Path, trained: Path
) -> None:
    """What only a process shows: the environment, and that nothing is printed as it ends."""
    shutil.copytree(trained, here / "runs" / "trained")
    before = found(here)
    own = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "KERAS"))}
    done = subprocess.run(
        [sys.executable, "-m", "kerasx", *command], capture_output=True, text=True, env={**own, **environment}
    )
    assert done.returncode == 2, done.stderr
    for expected in says:
        assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert found(here) == before
