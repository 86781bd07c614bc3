"""The wheels of all distributions are whole, and work where nothing else of kerasx is."""

from __future__ import annotations

import configparser
import email
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECTS = {
    tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]: folder
    for folder in (ROOT, *sorted((ROOT / "plugins").iterdir()))
    if (folder / "pyproject.toml").is_file()
}
PLUGINS = {
    "kerasx-compiled-fit": {"strategy": ["compiled-fit"]},
    "kerasx-custom-step": {"strategy": ["custom-step"]},
    "kerasx-gradient-tape": {"strategy": ["gradient-tape"]},
    "kerasx-mnist": {"dataset": ["mnist"]},
    "kerasx-tensorboard": {"callback": ["tensorboard"]},
}
EVERYTHING = """
import importlib, importlib.metadata, json, sys

names = [d.name for d in importlib.metadata.distributions() if d.name.startswith("kerasx")]
modules = []
for name in names:
    for file in importlib.metadata.files(name):
        if file.suffix == ".py" and file.stem != "__main__":
            modules.append(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
import kerasx
kerasx.Engine, kerasx.TrainingTask  # starts TensorFlow as kerasx does
homes = {importlib.import_module(module).__file__ for module in modules}

import numpy as np
from kerasx_mnist.data import mnist

x, y = np.random.default_rng(0).random((20, 4), "float32"), np.arange(20) % 3
digests = [
    kerasx.Engine(runs=sys.argv[1]).train(
        strategy=strategy, model={"name": "mlp", "hidden": [5]}, dataset=((x, y), (x, y)),
        loss="sum-squared-error", epochs=1, batch_size=8, execution="graph", jit=False,
    ).weights_digest
    for strategy in ("gradient-tape", "compiled-fit", "custom-step")
]
shapes = {key: [*value.shape, str(value.dtype)] for key, value in mnist().items()}
print(json.dumps({"modules": modules, "homes": sorted(homes), "digests": digests, "shapes": shapes}))
"""


def clean_environment() -> dict[str, str]:
    """The environment without what points Python or uv at this checkout."""
    dropped = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "UV_PROJECT", "KERASX_DISABLE_PLUGINS")
    return {key: value for key, value in os.environ.items() if not key.startswith(dropped)}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def uv() -> str:
    found = os.environ.get("UV") or shutil.which("uv")
    if not found:
        pytest.skip("the wheels of the workspace are built by uv, which is not here")
    return found


@pytest.fixture(scope="session")
def wheels(uv: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of the workspace by distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    run(uv, "build", "-q", "--all-packages", "--wheel", "-o", folder, cwd=ROOT)
    return {path.name.split("-")[0].replace("_", "-"): path for path in folder.glob("*.whl")}


@pytest.fixture(scope="session")
def scripts(uv: str, wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of executables of a new virtual environment with the wheels and what they depend on.

    The dependencies' versions are those of this process's environment, which uv has at hand.
    """
    home = tmp_path_factory.mktemp("environment")
    pins = {
        f"{each.name}=={each.version}\n"
        for each in importlib.metadata.distributions()
        if each.name not in PROJECTS
    }
    (home / "pins.txt").write_text("".join(sorted(pins)), encoding="utf-8")
    run(uv, "venv", "-q", "--python", sys.executable, "venv", cwd=home)
    scripts = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    install = (uv, "pip", "install", "-q", "--python", scripts / "python", "--constraint", "pins.txt")
    run(*install, *wheels.values(), cwd=home)
    yield scripts
    shutil.rmtree(home)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def described(files: dict[str, bytes]) -> Message:
    (metadata,) = [text for name, text in files.items() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(metadata)


def test_every_project_of_the_workspace_has_a_wheel(wheels: dict[str, Path]) -> None:
    assert sorted(PROJECTS) == sorted(["kerasx", *PLUGINS])
    assert sorted(wheels) == sorted(PROJECTS)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_holds_its_whole_package_and_nothing_else(wheels: dict[str, Path], name: str) -> None:
    """A module that an ignore rule keeps out of the wheel is missed by users only."""
    package = name.replace("-", "_")
    source = PROJECTS[name] / package
    expected = {
        path.relative_to(source.parent).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files = contents(wheels[name])
    assert {file for file in files if ".dist-info/" not in file} == expected
    assert f"{package}/py.typed" in files
    licences = {file: text for file, text in files.items() if ".dist-info/licenses/" in file}
    assert (ROOT / "LICENSE").read_bytes() in licences.values()
    metadata = described(files)
    assert metadata["Version"] == importlib.metadata.version("kerasx")
    assert "Apache-2.0" in metadata["License-Expression"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"]
    assert str(metadata.get_payload()).strip(), "the README is the long description"


def test_the_wheel_of_mnist_holds_the_files_and_their_licence(wheels: dict[str, Path]) -> None:
    files = contents(wheels["kerasx-mnist"])
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        assert files[f"kerasx_mnist/files/{part}-ubyte.gz"].startswith(b"\x1f\x8b")
    (licence,) = [text for file, text in files.items() if file.endswith("licenses/LICENSE-MNIST.md")]
    assert b"CC" in licence or b"Creative Commons" in licence
    assert files["kerasx_mnist/files/LICENSE.md"].strip()


def test_the_entry_points_are_those_of_the_design(wheels: dict[str, Path]) -> None:
    for name, wheel in wheels.items():
        (text,) = [text for file, text in contents(wheel).items() if file.endswith("entry_points.txt")]
        parser = configparser.ConfigParser()
        parser.read_string(text.decode())
        points = {section: dict(parser[section]) for section in parser.sections()}
        if name == "kerasx":
            assert points == {"console_scripts": {"kerasx": "kerasx.cli:main"}}
        else:
            assert points == {"kerasx": {name.removeprefix("kerasx-"): name.replace("-", "_")}}


def test_dependencies_are_bounded_and_the_core_depends_on_no_plugin(wheels: dict[str, Path]) -> None:
    for name, wheel in wheels.items():
        found = [Requirement(text) for text in described(contents(wheel)).get_all("Requires-Dist") or []]
        bounds = {each.name: {part.operator for part in each.specifier} for each in found}
        for bounded in {"tensorflow", "keras", "pluggy", "typer", "pydantic", "kerasx"} & set(bounds):
            assert bounds[bounded] == {">=", "<"}, f"{name} needs {bounded}"
        if name == "kerasx":
            assert not {each for each in bounds if each.startswith("kerasx")}
        else:
            (core,) = [each for each in found if each.name == "kerasx"]
            assert core.specifier.contains(importlib.metadata.version("kerasx"))
            assert not set(bounds) & set(PLUGINS), "plugins do not need each other"


def test_the_command_line_works_from_the_wheels_alone(scripts: Path, tmp_path: Path) -> None:
    help_text = run(scripts / "kerasx", "--help", cwd=tmp_path)
    assert all(
        command in help_text for command in ("train", "evaluate", "predict", "export", "plugins", "runs")
    )
    rows: list[dict[str, Any]] = json.loads(
        run(scripts / "kerasx", "plugins", "list", "--json", cwd=tmp_path)
    )
    assert {row["status"] for row in rows} == {"active"}
    assert {row["error"] for row in rows} == {None}
    assert {row["version"] for row in rows} == {importlib.metadata.version("kerasx")}
    assert {row["distribution"]: row["provides"] for row in rows if row["name"] != "builtins"} == PLUGINS
    assert list(tmp_path.iterdir()) == []


def test_everything_imports_and_trains_from_the_wheels_alone(scripts: Path, tmp_path: Path) -> None:
    """Every module, the data inside its distribution, and the three strategies to the same bits."""
    done = json.loads(run(scripts / "python", "-I", "-c", EVERYTHING, tmp_path / "runs", cwd=tmp_path))
    assert {"kerasx.engine", "kerasx.runs.directory", "kerasx_mnist.data"} <= set(done["modules"])
    assert len(done["homes"]) == len(done["modules"])
    assert all(Path(home).is_relative_to(scripts.parent) for home in done["homes"])
    assert len(done["digests"]) == 3
    assert len(set(done["digests"])) == 1
    assert done["shapes"] == {
        "x_train": [60000, 28, 28, "float32"],
        "y_train": [60000, "int64"],
        "x_test": [10000, 28, 28, "float32"],
        "y_test": [10000, "int64"],
    }
