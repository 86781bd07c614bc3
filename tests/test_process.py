"""What only whole processes show: what is imported, what TensorFlow says, signals, terminals."""

from __future__ import annotations

import functools
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEAVY = ("tensorflow", "keras", "numpy", "h5py")
DATA = """
import numpy as np


def data():
    x = np.random.RandomState(1).randn(320, 4).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    return {"x_train": x, "y_train": y, "x_test": x[:32], "y_test": y[:32]}
"""
TRAIN = ("train", "--dataset", "data.py:data", "--loss", "sum-squared-error", "--set", "model.hidden=[4]")


def start(arguments: tuple[str, ...], folder: Path, **more: Any) -> subprocess.Popen[str]:
    # Without the variables that a user does not have: kerasx alone has to keep TensorFlow quiet.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "KERAS"))}
    return subprocess.Popen(
        [sys.executable, "-m", "kerasx", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        # What runs in a shell's background ignores Ctrl-C, and would hand that down.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        **more,
    )


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    process = start(arguments, folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a user's data in it."""
    (tmp_path / "data.py").write_text(DATA)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "light"),
    [
        (["--help"], HEAVY),
        (["train", "--help"], HEAVY),
        (["plugins", "list"], HEAVY),
        (["plugins", "list", "--json"], HEAVY),
        (["--version"], HEAVY),
        (["runs", "list"], ("tensorflow", "keras")),
    ],
    ids=" ".join,
)
def test_light_commands_import_nothing_heavy(
    arguments: list[str], light: tuple[str, ...], install_plugin: Callable[..., Path], tmp_path: Path
) -> None:
    """Help and listings import no TensorFlow, with all plugins installed and a broken one among them."""
    install_plugin("kerasx-broken", "raise RuntimeError('on purpose')")
    program = (
        "import sys, json\nfrom kerasx.cli import main\n"
        f"sys.argv = ['kerasx', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    modules = json.loads(done.stderr.splitlines()[-1])
    assert [name for name in light if name in modules] == []
    assert done.stdout


def test_completion_imports_nothing_heavy(tmp_path: Path) -> None:
    """The shell's completion asks on every key."""
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print([n for n in ('tensorflow', 'keras') if n in sys.modules]))\n"
        "from kerasx.cli import main\n"
        "sys.argv = ['kerasx']\n"
        "main()\n"
    )
    environment = {
        **os.environ,
        "_KERASX_COMPLETE": "complete_bash",
        "COMP_WORDS": "kerasx tr",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert "train" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_import_kerasx_is_light() -> None:
    """`import kerasx` imports neither TensorFlow nor Keras, and names are there when used."""
    program = (
        "import sys, kerasx\n"
        "print([n for n in ('tensorflow', 'keras', 'numpy', 'pydantic') if n in sys.modules])\n"
        "kerasx.Experiment, kerasx.Engine\n"
        "print([n for n in ('tensorflow', 'keras') if n in sys.modules])\n"
        "assert all(getattr(kerasx, name) is not None for name in kerasx.__all__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]
    assert done.stderr == ""


def test_every_public_name_is_typed_and_documented() -> None:
    """What `__all__` promises is importable under type checking too, and has a docstring."""
    import kerasx

    for name in kerasx.__all__:
        if name not in ("Logs", "Step", "hookimpl"):
            assert getattr(kerasx, name).__doc__, name


def test_tensorflow_is_never_heard(folder: Path) -> None:
    """On standard error stand kerasx's own lines only; on standard output one JSON document."""
    done = run(*TRAIN, "--epochs", "2", "--jit", "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["jit"] is True
    own = ("code by reference: ", "accuracy is ", "step: ", "epoch ")
    assert [line for line in done.stderr.splitlines() if not line.startswith(own)] == []
    assert sum(line.startswith("epoch ") for line in done.stderr.splitlines()) == 2


def test_another_backend_is_refused(folder: Path) -> None:
    """KERAS_BACKEND set to something else is answered, not crashed on."""
    done = subprocess.run(
        [sys.executable, "-m", "kerasx", *TRAIN],
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "KERAS_BACKEND" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_training_and_the_run_says_so(folder: Path, number: int, code: int) -> None:
    """Exit code 128 more than the signal, and a summary that says interrupted."""
    more = ("--epochs", "100000", "--runs", "my runs")
    process = start((*TRAIN, *more), folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(folder.glob("my runs/*/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    (summary,) = folder.glob("my runs/*/summary.json")
    assert json.loads(summary.read_text())["status"] == "interrupted"
    assert f"To go on: kerasx train --resume '{summary.parent.relative_to(folder)}'" in err
    assert list(summary.parent.glob("checkpoints/*.safetensors"))


SLOW = """
import time
from pathlib import Path

import keras


class Slow(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        Path("slow").touch()
        time.sleep(60)
"""


def test_a_second_interrupt_does_not_wait_for_the_step(folder: Path) -> None:
    """The first one waits for a callback that sleeps for a minute; the second ends at once."""
    (folder / "slow.py").write_text(SLOW)
    options = ("--execution", "eager", "--callback", "slow.py:Slow")
    process = start((*TRAIN, *options), folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (folder / "slow").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=50)
    assert process.returncode == 130
    assert time.monotonic() - begun < 20
    assert "once more ends at once" in err
    assert "Traceback" not in err


EARLY = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["AT"]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
from kerasx.cli import main
main()
"""


@pytest.mark.parametrize("module", ["typer", "kerasx.cli.train", "kerasx.cli.reporter", "kerasx.engine"])
def test_an_interrupt_while_modules_are_imported(folder: Path, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY, *TRAIN],
        cwd=folder,
        env={**os.environ, "AT": module},
        capture_output=True,
        text=True,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")


def test_a_terminal_gets_a_live_display(folder: Path) -> None:
    """On a terminal a bar moves with epochs, steps, time left, loss and metrics; lines stay behind it."""
    leader, follower = pty.openpty()
    process = start((*TRAIN, "--epochs", "60"), folder, stdout=follower, stderr=follower)
    os.close(follower)
    shown = b""
    while True:
        readable, _, _ = select.select([leader], [], [], 60)
        try:
            piece = os.read(leader, 65536) if readable else b""
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert "━" in text
    assert "/600" in text
    assert "epoch 60/60" in text
    assert "val_loss" in text
    assert "weights" in text
