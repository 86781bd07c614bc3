"""Nothing that is read runs code, names are shown as text, and code that is named is told of first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tomli_w
from bad_files import CANARY, Canary, archive
from bad_inputs import BASE, MINE, train_once

from kerasx import Engine, Experiment, UsageError
from kerasx.cli.options import parse_settings
from kerasx.data.sources import load_npz
from kerasx.parity.check.result import Check, Checked
from kerasx.parity.explain.finding import Explanation, Finding
from kerasx.parity.explain.replay import written
from kerasx.parity.result import Comparison, Pair, Side
from kerasx.parity.storage import load_trace
from kerasx.runs.report import write_report

# Texts that somebody's reader of data or templates would run.
EVIL = (
    f"__import__('os').system('touch {CANARY}')",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    "{{ cycler.__init__.__globals__.os.system('touch " + CANARY + "') }}",
    f"!!python/object/apply:os.system ['touch {CANARY}']",
    "os:system",
    "builtins:exec",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a user's file in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    return train_once(tmp_path_factory.mktemp("trained"))


def refused(ask: Callable[[], object]) -> str:
    """What is said where something is refused, after which nothing was run."""
    with pytest.raises(UsageError) as raised:
        ask()
    assert not Path(CANARY).exists()
    return str(raised.value)


def poisoned() -> keras.Model:
    """A model in whose file there is code of Python's."""
    run = keras.layers.Lambda(lambda x: (open("canary", "w").close(), x)[1], output_shape=(4,))
    model = keras.Sequential([keras.Input((4,)), run, keras.layers.Dense(3)])
    Path(CANARY).unlink(missing_ok=True)  # making it may run it
    return model


def test_the_canary_sings(here: Path) -> None:
    """What the tests below look for is there where something is run."""
    np.load(save(here / "own.npz", archive(x=np.array([Canary()], object))), allow_pickle=True)["x"]
    assert Path(CANARY).exists()
    Path(CANARY).unlink()
    poisoned().save("own.keras")
    keras.models.load_model("own.keras", safe_mode=False)(np.zeros((1, 4)))
    assert Path(CANARY).exists()


def save(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_data_runs_no_code(here: Path) -> None:
    """Neither as data to train on, nor as rows to predict from, nor by what its arrays are called."""
    own = save(here / "own.npz", archive(x_train=np.array([Canary()], object), y_train=np.zeros(1)))
    assert "never loaded" in refused(lambda: load_npz(own))
    assert "never loaded" in refused(lambda: Engine().train(**{**BASE, "dataset": "own.npz"}))
    for text in EVIL:
        save(own, archive(**{f"x_train_{text.replace('/', '-')}": np.zeros((3, 4)), "y_train": np.zeros(3)}))
        refused(lambda: Engine().train(**{**BASE, "dataset": "own.npz", "model": "mlp"}))


def test_a_saved_model_runs_no_code(here: Path, trained: Path) -> None:
    """As a model to train, as initial weights, and in the place of a run's model."""
    poisoned().save("own.keras")
    assert "lambda" in refused(lambda: Engine().train(**{**BASE, "model": "own.keras"}))
    assert "do not fit" in refused(lambda: Engine().train(**{**BASE, "initial_weights": "own.keras"}))
    shutil.copytree(trained, here / "runs" / "trained")
    shutil.copy("own.keras", "runs/trained/model.keras")
    # The code that built the run's model, which the run names, takes the file's place; its weights do not.
    for ask in (
        lambda: Engine().evaluate("trained"),
        lambda: Engine().predict("trained", np.zeros((2, 4), "float32")),
        lambda: Engine().export("trained", "other.keras"),
    ):
        assert "weights" in refused(ask)


@pytest.mark.parametrize("text", EVIL)
def test_configuration_runs_no_code(here: Path, text: str) -> None:
    """Whatever a value says, it is a name that nobody has; references are followed where names are alone."""
    for field in ("precision", "initial_weights", "execution", "labels", "epochs", "seed", "class_weight"):
        (here / "e.toml").write_text(tomli_w.dumps({**BASE, field: text}))
        refused(lambda: Engine().train(Experiment.from_toml("e.toml")))
        values = {**BASE, **parse_settings([f"{field}={text}"])}
        with pytest.raises(UsageError):
            Engine().train(**values)
        assert not Path(CANARY).exists()


def test_what_an_explanation_says_runs_no_code(here: Path) -> None:
    """Its causes are those of the catalogue, with parameters of known types."""
    for text in EVIL:
        for deviation in ({"kind": text}, {"kind": "weights", "weights": text}, text, {text: text}):
            Path("again.json").write_text(json.dumps({"findings": [{"deviations": [deviation]}]}))
            assert "again.json" in refused(lambda: written(Path("again.json")))
            assert "again.json" in refused(
                lambda: Engine().explain("custom-step", again="again.json", **BASE)
            )


def test_a_trace_runs_no_code(here: Path) -> None:
    folder = here / "trace"
    folder.mkdir()
    state = {"names": ["a"], "own": [], "values": [{"array": "a0", "dtype": "float32"}]}
    described = {
        "format": 1,
        "name": EVIL[0],
        "about": {},
        "slipped": [],
        "steps": [],
        "states": [state],
        "noise": [],
    }
    (folder / "trace.json").write_text(json.dumps(described))
    save(folder / "arrays.npz", archive(a0=np.array([Canary()], object)))
    assert "Object arrays" in refused(lambda: load_trace(folder))
    save(folder / "arrays.npz", archive(a0=np.zeros(3)))
    for text in EVIL:
        state["values"] = [{"array": "a0", "dtype": text}]
        (folder / "trace.json").write_text(json.dumps(described))
        assert "damaged" in refused(lambda: load_trace(folder))


NAMES = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "{{ 7 * 7 }}",
    "</pre><b>",
)


def test_a_report_shows_names_as_text(here: Path, trained: Path) -> None:
    """Of metrics, notes, plugins, commands, paths and of the experiment."""
    run = here / "runs" / "trained"
    shutil.copytree(trained, run)
    summary = json.loads((run / "summary.json").read_text())
    values = {name: [0.5] for name in NAMES}
    summary.update(
        history=values,
        evaluation=dict.fromkeys(NAMES, 0.5),
        notes=list(NAMES),
        strategy=NAMES[0],
        status=NAMES[1],
    )
    summary.update(execution=NAMES[2], weights_digest=NAMES[0], seconds=NAMES[1], steps_per_second=NAMES[2])
    (run / "summary.json").write_text(json.dumps(summary))
    environment = json.loads((run / "environment.json").read_text())
    answers = [{"kind": name, "name": name, "answered_by": name} for name in NAMES]
    environment.update(plugins=answers, versions=dict.fromkeys(NAMES, NAMES[0]), command=list(NAMES))
    environment.update(
        dict.fromkeys(("processor", "platform", "git_commit", "dtype_policy", "data_digest"), NAMES[1])
    )
    (run / "environment.json").write_text(json.dumps(environment))
    (run / "experiment.toml").write_text(f"model = '{NAMES[4]}'\n")
    write_report(Engine().run_directory("trained"))
    page = (run / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;/pre&gt;&lt;b&gt;" in page
    for markup in ("<script", "<img", "<svg onload", "</pre><b>", "http:", "https:"):
        assert markup not in page
    assert "{{ 7 * 7 }}" in page


def test_notebooks_show_names_as_text() -> None:
    name = NAMES[0]
    side = Side(name, Experiment(), name, True, {}, {name: 0.5}, 1.0, 1, name)
    pair = Pair(name, name, name, name, said=name)
    finding = Finding(name, name, name, name, name, None, name, name, name, (), True, name)
    explanation = Explanation(name, name, name, name, (finding,), unexplained=True)
    check = Check(name, name, name, (Checked(name, name, name, (name,), name),))
    for shown in (Comparison((side,), (pair,)), explanation, check):
        page = shown._repr_html_()
        assert "&lt;script&gt;" in page
        assert "<script" not in page


class Told:
    """A reporter that keeps its notes in a file, which the user's code writes into, too."""

    def note(self, text: str) -> None:
        with open("order", "a") as file:
            file.write(f"note: {text}\n")

    __call__ = note

    def callbacks(self, steps: int | None) -> list[Any]:
        return []


RECORDING = MINE + '\nopen("order", "a").write("code ran\\n")\nraise RuntimeError("on purpose")\n'


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine, told: engine.train(reporter=told, **BASE),
        lambda engine, told: engine.dry_run(reporter=told, **BASE),
        lambda engine, told: engine.train(
            reporter=told, dataset="mine.py:data", loss="mse", strategy="mine.py:step"
        ),
        lambda engine, told: engine.evaluate("trained", reporter=told),
        lambda engine, told: engine.evaluate("trained", dataset="mine.py:data", reporter=told),
        lambda engine, told: engine.compare("mine.py:step", "custom-step", told=told, **BASE),
        lambda engine, told: engine.explain("mine.py:step", told=told, **BASE),
        lambda engine, told: engine.check("mine.py:step", told=told),
        lambda engine, told: engine.trace("mine.py:step", "trace", told=told, **BASE),
    ],
    ids=[
        "train",
        "dry run",
        "train with a step",
        "evaluate",
        "evaluate on data",
        "compare",
        "explain",
        "check",
        "trace",
    ],
)
def test_code_is_told_of_before_it_runs(ask: Callable[[Any, Any], object], here: Path, trained: Path) -> None:
    """By the reference that names it, be it in an option, in a file or in a run that is used again."""
    shutil.copytree(trained, here / "runs" / "trained")
    environment = json.loads((here / "runs/trained/environment.json").read_text())
    environment["working_directory"] = str(here)
    (here / "runs/trained/environment.json").write_text(json.dumps(environment))
    (here / "mine.py").write_text(RECORDING)
    with pytest.raises(UsageError, match="on purpose"):
        ask(Engine(), Told())
    first, *_ = lines = (here / "order").read_text().splitlines()
    assert first.startswith("note: code by reference: ")
    assert "mine.py:" in first
    assert "code ran" in lines


def test_no_code_runs_that_is_not_named(here: Path) -> None:
    """A file beside an experiment, a module of the name of a plugin or of an option: nothing is imported."""
    for name in (
        "sitecustomize.py",
        "mlp.py",
        "mnist.py",
        "kerasx_mine.py",
        "own.py",
        "conftest.py",
        "sgd.py",
    ):
        (here / name).write_text(f"open({CANARY!r}, 'w')\n")
    Engine().dry_run(**{**BASE, "model": {"name": "mlp", "hidden": [4]}, "optimizer": "sgd"})
    assert not Path(CANARY).exists()
