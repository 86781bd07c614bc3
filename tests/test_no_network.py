"""Nothing is ever sent anywhere, nor fetched from anywhere."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bad_inputs import BASE, MINE

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("kerasx/**/*.py"), *ROOT.glob("plugins/*/kerasx_*/**/*.py")])
# What speaks to others, by Python's own modules and by those that TensorFlow brings along.
SPEAKERS = (
    "socket",
    "socketserver",
    "ssl",
    "http",
    "urllib",
    "urllib3",
    "requests",
    "httpx",
    "aiohttp",
    "ftplib",
    "smtplib",
    "poplib",
    "imaplib",
    "xmlrpc",
    "webbrowser",
    "grpc",
)
# Python asks its hooks before it connects or looks a name up, whoever wants to; no code can go round them.
SITE = """
import sys


def heard(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg") or event.startswith(
        ("socket.getaddrinfo", "socket.gethostby", "urllib.", "http.", "ftplib.", "smtplib.")
    ):
        with open("heard", "a") as file:
            file.write(f"{event} {arguments}\\n")
        raise RuntimeError(f"no network: {event}")


sys.addaudithook(heard)
"""
PROGRAM = """
import sys
from kerasx.cli.app import build_app

for command in (
    ["train", "--experiment", "e.toml", "--quiet"],
    ["train", "--epochs", "1", "--dry-run", "--quiet"],
    ["evaluate", "last"],
    ["predict", "last", "--input", "rows.npz", "--output", "out.npz"],
    ["export", "last", "own.keras"],
    ["compare", "custom-step", "compiled-fit", "--experiment", "e.toml", "--quiet"],
    ["plugins", "list"],
    ["runs", "show", "last"],
):
    code = build_app()(command, standalone_mode=False)
    assert not code, (command, code)
print("all done")
"""


def test_no_module_speaks_to_others() -> None:
    """Neither as it is imported nor in a function; nor does one fetch files through Keras."""
    assert len(SOURCES) > 150
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            elif isinstance(node, ast.Attribute | ast.Name):
                called = node.attr if isinstance(node, ast.Attribute) else node.id
                assert called not in ("get_file", "import_hub", "urlopen"), f"{path}: {called}"
            for name in names:
                assert name.partition(".")[0] not in SPEAKERS, f"{path} imports {name}"


@pytest.mark.parametrize("apart", [False, True], ids=["heard", "without network"])
def test_a_training_is_kept_to_itself(tmp_path: Path, apart: bool) -> None:
    """Train, evaluate, predict, export and compare: nothing tries to connect, and nothing misses it.

    Without network, what TensorFlow's own libraries might try would be refused by the system.
    """
    command = [sys.executable, "-c", PROGRAM]
    if apart:
        unshare = shutil.which("unshare")
        flags = ["-n"] if unshare and can([unshare, "-n"]) else ["-rn"]
        if unshare is None or not can([unshare, *flags]):
            pytest.skip("a process without network cannot be made here")
        command = [unshare, *flags, *command]
    else:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    import numpy as np
    import tomli_w

    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "e.toml").write_text(tomli_w.dumps(BASE))
    np.savez(tmp_path / "rows.npz", x=np.zeros((3, 4), "float32"))
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment(tmp_path), timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all done\n")
    assert not (tmp_path / "heard").exists()


def environment(folder: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(folder / "site")}


def can(command: list[str]) -> bool:
    return subprocess.run([*command, "true"], capture_output=True).returncode == 0


def test_the_hook_hears(tmp_path: Path) -> None:
    """What the test above relies on: a look-up and a connection are heard."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    for attempt in ("socket.getaddrinfo('localhost', 80)", "socket.socket().connect(('127.0.0.1', 9))"):
        done = subprocess.run(
            [sys.executable, "-c", f"import socket; {attempt}"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(tmp_path),
        )
        assert done.returncode == 1
        assert "no network" in done.stderr
    assert len((tmp_path / "heard").read_text().splitlines()) == 2
