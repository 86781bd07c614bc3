"""What goes wrong while a run is trained ends it with a reason, and leaves what it had."""

from __future__ import annotations

import dataclasses
import errno
import json
import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from killing import killed
from resuming import EPOCHS, STEPS, experiment, outcome, rows

import kerasx
from kerasx import compiled, garbage
from kerasx.assembly.reductions import without_single_reductions
from kerasx.assembly.stacks import shared_stacks
from kerasx.files import overwrite_text


@pytest.fixture
def engine(tmp_path: Path) -> kerasx.Engine:
    return kerasx.Engine(runs=tmp_path / "runs")


def test_a_kill_changes_no_bit(tmp_path: Path) -> None:
    """A sample of tests/soak/test_kill.py."""
    found = killed(tmp_path, seed=3, kills=2, execution=("gradient-tape", "graph", False))
    assert found.kills
    assert found.got == found.expected


class Raises(keras.callbacks.Callback):
    """Raises in a later epoch."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error: BaseException | None = error

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1 and self._error is not None:
            error, self._error = self._error, None
            raise error


@pytest.mark.soak
@pytest.mark.parametrize("error", [ValueError("of a callback"), MemoryError("no more")], ids=repr)
def test_what_a_callback_raises_ends_the_run_with_its_reason(
    engine: kerasx.Engine, error: BaseException
) -> None:
    values: dict[str, Any] = {}
    whole = outcome(engine.train(experiment(**values)))
    before = {run.path for run in engine.list_runs()}
    callbacks = [each.value for each in experiment().callbacks]
    with pytest.raises(kerasx.UsageError, match=str(error)):
        engine.train(experiment(**values, callbacks=[*callbacks, Raises(error)]))
    (directory,) = {run.path for run in engine.list_runs()} - before
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert str(error) in summary["reason"]
    assert summary["steps"] == STEPS
    mended = Raises(error)
    mended._error = None
    callbacks = [each.value for each in experiment().callbacks]
    run = engine.train(experiment(**values, callbacks=[*callbacks, mended]), resume=directory)
    assert outcome(run) == whole


def test_a_process_that_can_map_little_more_is_told_of(
    engine: kerasx.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XLA would end it with SIGSEGV.

    Here at a share of what Linux allows that is 1,000 mappings above those that this process holds: once
    there are 2,000 more, whatever is let go of.
    """
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    count = _mappings()
    monkeypatch.setattr(compiled, "_SHARE", (count + 1000) / limit)
    values: dict[str, Any] = {"execution": "fused", "epochs": 1, "callbacks": []}
    protections = (mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE)  # neighbours of one kind would be joined
    engine.train(experiment(jit=True, **values))
    held = [mmap.mmap(-1, mmap.PAGESIZE, prot=protections[number % 2]) for number in range(count + 2000)]
    try:
        with pytest.raises(kerasx.UsageError, match=r"of the \d+ that Linux allows \(vm.max_map_count\)"):
            engine.train(experiment(jit=True, **values))
        assert not [each for each in engine.list_runs() if each.summary["status"] == "running"]
        engine.train(experiment(jit=False, **values))
    finally:
        for each in held:
            each.close()


@pytest.fixture(scope="module")
def compiling(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """In a process of its own, beside which no other test has pipelines and threads."""
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "compiling.py", tmp_path_factory.mktemp("runs")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_what_trainings_before_compiled_is_let_go_of(compiling: dict[str, Any]) -> None:
    """By what TensorFlow has no function for; a function of the user's goes on as before."""
    first, *later = compiling["trained"]
    assert max(later) - first < 200, compiling  # each has some 500
    assert compiling["same"] == [True]


def test_nothing_is_let_go_of_while_it_may_be_executed(compiling: dict[str, Any]) -> None:
    """By another thread, or by a pipeline, in threads that Python knows nothing of."""
    for beside in ("beside a thread", "beside a pipeline"):
        without, held = compiling[beside]
        assert held > without, compiling
    without, held = compiling["beside who waits"]
    assert held <= without + 10, compiling


@pytest.mark.parametrize("strategy", ["compiled-fit", "custom-step", "gradient-tape"])
def test_what_a_training_traced_goes_with_it(compiling: dict[str, Any], strategy: str) -> None:
    """TensorFlow would keep the graphs of those through `fit`, for a gradient of what one replica reduces."""
    there_were, there_are = compiling[strategy]
    assert there_were > 0
    assert there_are == 0


def test_the_data_of_a_training_goes_with_it(compiling: dict[str, Any]) -> None:
    """TensorFlow would hold what a pipeline calls in Python, and Python leaves circles for long."""
    assert not any(compiling["held"].values()), compiling["held"]
    _, second, *_, last = compiling["resident"]
    assert last < 1.05 * second, compiling["resident"]  # the data of one is more


def test_stacks_of_operations_are_whole_and_shared(compiling: dict[str, Any]) -> None:
    """All calls within kerasx, none of the program around, where a training begins at another line."""
    calls = compiling["calls"]
    within = calls[calls.index("train") :]
    assert calls != within
    assert compiling["stack"][: len(within)] == within
    assert compiling["shared"]


def test_stacks_name_the_file_of_code_that_another_file_has_too() -> None:
    """As copies of a script have: code is equal to them."""
    import tensorflow as tf

    def made(name: str) -> list[str]:
        space: dict[str, Any] = {"tf": tf}
        exec(compile("def made():\n    return tf.constant(0.0)\n", name, "exec"), space)
        return [each.filename for each in space["made"]().op.traceback]

    def both() -> list[list[str]]:
        with shared_stacks(), tf.Graph().as_default():
            return [made(name) for name in ("first.py", "second.py")]

    # As if kerasx called it: calls around that are left out.
    space: dict[str, Any] = {}
    file = Path(kerasx.__file__).with_name("made.py")
    exec(compile("def calls(function):\n    return function()\n", str(file), "exec"), space)
    first, second = space["calls"](both)
    assert first[0] == second[0] == str(file)
    assert "first.py" in first
    assert "second.py" in second


def test_what_one_replica_reduces_is_a_value_of_its_own() -> None:
    """And not the variable that it was read from."""
    import tensorflow as tf

    def step(variable: Any) -> Any:
        context = tf.distribute.get_replica_context()
        total = context.all_reduce("SUM", variable)
        variable.assign_add(1.0)
        with pytest.raises(ValueError, match="MOST"):
            context.all_reduce("MOST", variable)
        return total, context.all_reduce(tf.distribute.ReduceOp.MEAN, 2.0)

    with without_single_reductions():
        total, constant = tf.distribute.get_strategy().run(step, args=(tf.Variable(3.0),))
    assert float(total) == 3.0
    assert constant.dtype == tf.float32


def test_garbage_is_collected_where_it_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with the least that the process has held since the last time."""

    class Circle:
        def __init__(self) -> None:
            self.itself = self

    sizes = iter([300.0, 100.0, 104.0, 106.0, 101.0])
    monkeypatch.setattr(garbage, "_held", 0.0)
    monkeypatch.setattr(garbage, "_resident", lambda: next(sizes))
    circle = weakref.ref(Circle())
    for left in (True, True, True, False):
        garbage.collect_garbage()
        assert (circle() is not None) == left


def _mappings() -> int:
    return len(Path("/proc/self/maps").read_bytes().splitlines())


@pytest.mark.parametrize("execution", ["fused", "graph"])
def test_a_pipeline_that_raises_at_some_row(engine: kerasx.Engine, execution: str) -> None:
    """In the second epoch, far into the data."""
    import tensorflow as tf

    data = rows()
    count = {"rows": 0}

    def each() -> Any:
        for x, y in zip(data["x_train"], data["y_train"], strict=True):
            count["rows"] += 1
            if count["rows"] == 400:
                raise OSError("the disk of row 400 is gone")
            yield x, y

    specs = (tf.TensorSpec([8], tf.float32), tf.TensorSpec([], tf.int64))
    pipeline = tf.data.Dataset.from_generator(each, output_signature=specs).batch(16)
    values = {"dataset": pipeline, "callbacks": [], "epochs": 5, "execution": execution, "jit": False}
    with pytest.raises(kerasx.UsageError, match="the disk of row 400 is gone"):
        engine.train(experiment(**values))
    (run,) = engine.list_runs()
    assert run.summary["status"] == "failed"
    assert "the disk of row 400 is gone" in run.summary["reason"]
    assert list((run.path / "checkpoints").glob("*.safetensors"))


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from kerasx.cli import main
sys.exit(main())
"""


def test_a_full_disk_is_told_of_and_the_older_state_is_whole(tmp_path: Path) -> None:
    """By a limit to the size of files, under which the first checkpoints fit and the next does not."""
    (tmp_path / "mine.py").write_text(
        "import keras, resource\n"
        "def build():\n"
        "    layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation='softmax')]\n"
        "    return keras.Sequential([keras.Input((28, 28)), *layers])\n"
        "class Fills(keras.callbacks.Callback):\n"
        "    def on_epoch_begin(self, epoch, logs=None):\n"
        "        if epoch == 2 and resource.getrlimit(resource.RLIMIT_FSIZE)[0] > 0:\n"
        "            resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))\n"
    )
    options = [
        "train", "--model", "mine.py:build", "--callback", "mine.py:Fills", "--epochs", "4",
        "--loss", "sparse_categorical_crossentropy", "--batch-size", "2000", "--runs", "runs",
    ]  # fmt: skip
    limit = str(10**9)
    done = _run(tmp_path, LIMITED, [limit, *options])
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    # That of the epoch before may still have been on its way.
    assert (run / "checkpoints" / "000001-000000000.safetensors").is_file()
    assert not list(run.rglob(".tmp-*"))
    # With room again it goes on, and ends as if nothing had been.
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text().replace("epoch == 2", "epoch == 99"))
    done = _run(tmp_path, LIMITED, [limit, "train", "--resume", "last", "--runs", "runs", "--json"])
    assert done.returncode == 0, done.stderr
    whole = _run(tmp_path, LIMITED, [limit, *options, "--json"])
    assert json.loads(done.stdout)["weights_digest"] == json.loads(whole.stdout)["weights_digest"]


@pytest.mark.parametrize("whole", [True, False], ids=["model.keras", "weights alone"])
def test_a_disk_that_is_full_when_the_model_is_saved(tmp_path: Path, whole: bool) -> None:
    """HDF5 would end the process there; as errors of the system it is one, with the way to go on."""
    (tmp_path / "mine.py").write_text(
        "import keras, pathlib, resource, time\n"
        "class Own(keras.layers.Dense):\n"
        "    def get_config(self):\n"
        f"        return super().get_config() if {whole} else 1 / 0\n"
        "def build():\n"
        "    return keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), Own(10)])\n"
        "class Fills(keras.callbacks.Callback):\n"
        "    def on_train_end(self, logs=None):\n"
        # The last checkpoint is written meanwhile, and has its room.
        "        for _ in range(600):\n"
        "            if list(pathlib.Path('runs').glob('*/checkpoints/000001-*.safetensors')):\n"
        "                break\n"
        "            time.sleep(0.1)\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))\n"
    )
    options = [
        "train", "--model", "mine.py:build", "--callback", "mine.py:Fills", "--epochs", "1",
        "--loss", "sum-squared-error", "--batch-size", "2000", "--runs", "runs",
    ]  # fmt: skip
    done = _run(tmp_path, LIMITED, [str(10**9), *options])
    assert done.returncode == 2, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    name = "model.keras" if whole else "model.weights.h5"
    expected = f"{name}` cannot be written: File too large. Make room, then: kerasx train --resume runs/"
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((run / "summary.json").read_text())["status"] == "failed"
    assert not list(run.rglob(".tmp-*"))
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text().replace("(9000", "(10**9"))
    done = _run(tmp_path, LIMITED, [str(10**9), "train", "--resume", "last", "--runs", "runs"])
    assert done.returncode == 0, done.stderr
    assert (run / name).is_file()


class FillsTheDisk(keras.callbacks.Callback):
    """From the second epoch on there is no room for any new file, nor for a longer one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._monkeypatch = monkeypatch

    def get_state(self) -> None:
        """Nothing is remembered."""

    def set_state(self, state: None) -> None:
        """Nothing was."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            self._monkeypatch.setattr(tempfile, "mkstemp", _no_room)
            self._monkeypatch.setattr(os, "write", lambda descriptor, data: 0)


def _no_room(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_in_the_record_and_says_how_to_go_on(
    engine: kerasx.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(kerasx.UsageError) as raised:
        engine.train(experiment(callbacks=[FillsTheDisk(patched)]))
    (run,) = engine.list_runs()
    assert run.summary["status"] == "failed"
    assert "No space left on device" in run.summary["reason"]
    assert f"{run.path}" in str(raised.value)
    assert f"Make room, then: kerasx train --resume {run.path}" in str(raised.value)
    rows = (run.path / "metrics.jsonl").read_text()
    assert len(rows.splitlines()) == 1
    assert rows.endswith("\n")


def test_a_file_is_overwritten_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.json"
    path.write_text("what was there before")
    overwrite_text(path, "shorter")
    assert path.read_text() == "shorter"
    written = os.pwrite

    def full(descriptor: int, data: bytes, place: int) -> int:
        if place + len(data) > 20:
            _no_room()
        return written(descriptor, data, place)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match=r"some\.json"):
        overwrite_text(path, "far longer than what there is room for")
    assert path.read_text() == "shorter"


def _run(folder: Path, code: str, options: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *options], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_a_run_that_cannot_be_written_to_is_told_of(engine: kerasx.Engine) -> None:
    run = engine.train(experiment(callbacks=[], epochs=1))
    kept = run.directory / "checkpoints"
    kept.rename(run.directory / "aside")
    kept.write_text("a file in its place")
    with pytest.raises(kerasx.UsageError, match="cannot be written to"):
        engine.train(experiment(callbacks=[], epochs=2), resume=run)
    kept.unlink()
    (run.directory / "aside").rename(kept)
    if os.geteuid():  # root may write anywhere
        kept.chmod(0o500)
        try:
            with pytest.raises(kerasx.UsageError, match="cannot be written to"):
                engine.train(experiment(callbacks=[], epochs=2), resume=run)
        finally:
            kept.chmod(0o700)
    assert engine.train(experiment(callbacks=[], epochs=2), resume=run).steps == 2 * STEPS


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> kerasx.Run:
    engine = kerasx.Engine(runs=tmp_path_factory.mktemp("runs"))
    return engine.train(experiment(callbacks=[], epochs=2))


@pytest.fixture
def run(engine: kerasx.Engine, finished: kerasx.Run) -> kerasx.Run:
    """A run of its own, as if it had been trained here."""
    folder = engine.runs / finished.directory.name
    shutil.copytree(finished.directory, folder)
    return dataclasses.replace(finished, directory=folder)


def test_a_file_that_is_a_folder_is_told_of_by_its_own_path(engine: kerasx.Engine, run: kerasx.Run) -> None:
    (run.directory / "metrics.jsonl").unlink()
    (run.directory / "metrics.jsonl").mkdir()
    expected = f"`{run.directory}/metrics.jsonl` cannot be written: Is a directory. Make it possible"
    with pytest.raises(kerasx.UsageError, match=re.escape(expected)) as raised:
        engine.train(experiment(callbacks=[], epochs=3), resume=run.directory)
    assert str(raised.value).endswith(f"then: kerasx train --resume {run.directory}")
    (run.directory / "metrics.jsonl").rmdir()
    assert engine.train(experiment(callbacks=[], epochs=3), resume=run.directory).steps == 3 * STEPS


def test_a_checkpoint_that_cannot_be_read_leaves_the_one_before(
    engine: kerasx.Engine, run: kerasx.Run
) -> None:
    newest = max(run.directory.glob("checkpoints/*.safetensors"))
    newest.unlink()
    newest.mkdir()
    again = engine.train(experiment(callbacks=[], epochs=3), resume=run.directory)
    assert any(f"the checkpoint {newest.name} cannot be read" in note for note in again.notes)
    assert any("at the beginning of epoch 2" in note for note in again.notes)
    assert again.steps == 3 * STEPS


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{")], ids=["gone", "cut"])
def test_a_missing_summary_or_environment_says_what_to_do(
    engine: kerasx.Engine, run: kerasx.Run, damage: Callable[[Path], Any]
) -> None:
    damage(run.directory / "summary.json")
    with pytest.raises(kerasx.UsageError, match=r'Write \{"status": "failed"\} into it, and the run'):
        engine.train(experiment(callbacks=[], epochs=3), resume=run.directory)
    (run.directory / "summary.json").write_text('{"status": "failed"}')
    assert engine.train(experiment(callbacks=[], epochs=3), resume=run.directory).steps == 3 * STEPS
    damage(run.directory / "environment.json")
    with pytest.raises(kerasx.UsageError, match="cannot be gone on with: train a new one, with --experiment"):
        engine.train(experiment(callbacks=[], epochs=4), resume=run.directory)


class SignalAtEnd(keras.callbacks.Callback):
    """Sends SIGTERM when training has ended, and goes on for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = self.returned = False

    def get_state(self) -> None:
        """Nothing is remembered."""

    def set_state(self, state: None) -> None:
        """Nothing was."""

    def on_train_end(self, logs: Any = None) -> None:
        if not self.sent:
            self.sent = True
            os.kill(os.getpid(), signal.SIGTERM)
            self.returned = True


@pytest.mark.soak
@pytest.mark.parametrize("strategy", ["gradient-tape", "compiled-fit"])
def test_a_signal_after_the_last_epoch_ends_at_once(engine: kerasx.Engine, strategy: str) -> None:
    """There is no next step to wait for."""
    callback = SignalAtEnd()
    with pytest.raises(kerasx.Interrupted):
        engine.train(experiment(strategy=strategy, callbacks=[callback]))
    assert not callback.returned
    (run,) = engine.list_runs()
    assert run.summary["status"] == "interrupted"
    again = engine.train(experiment(strategy=strategy, callbacks=[callback]), resume=run.path)
    assert again.steps == EPOCHS * STEPS
    assert outcome(again) == outcome(engine.train(experiment(strategy=strategy, callbacks=[callback])))


@pytest.mark.soak
def test_two_trainings_in_one_folder_at_a_time(engine: kerasx.Engine) -> None:
    """In threads of one process, as in two processes of the same second."""
    whole = outcome(engine.train(experiment(callbacks=[])))
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(engine.train(experiment(callbacks=[]))))
        for _ in range(2)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [outcome(run) for run in found] == [whole, whole]
    assert len({run.directory for run in found}) == 2
