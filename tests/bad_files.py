"""Bad files: npz archives, code by reference, saved models, run directories."""

from __future__ import annotations

import functools
import io
import json
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bad_data import X, Y
from bad_inputs import BASE, MINE, Bad

CANARY = "canary"


class Canary:
    """What unpickling it would do is seen: a file of that name is there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (CANARY, "w"))


def archive(**arrays: Any) -> bytes:
    """An npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(compression: int = zipfile.ZIP_STORED, **entries: bytes) -> bytes:
    """A zip file, of npy entries as they are given."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zip_file:
        for name, content in entries.items():
            zip_file.writestr(f"{name}.npy", content)
    return file.getvalue()


def header(shape: tuple[int, ...], dtype: str = "<f4", body: bytes = b"") -> bytes:
    """An npy file that claims a shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + body


def claiming(size: int) -> bytes:
    """An npz whose directory of entries claims that many bytes too."""
    content = zipped(x_train=header((size // 4,)), y_train=header((size // 4,)))
    return content.replace((128).to_bytes(4, "little"), (min(size, 2**32 - 2)).to_bytes(4, "little"))


GOOD = archive(x_train=X, y_train=Y)
TWO_COLUMNS = archive(x_train=X[:, :2], y_train=Y)


def npz(name: str, content: bytes, *says: str) -> Bad:
    """A row of an npz file."""
    return Bad(name, ("own.npz", *says), values={"dataset": "own.npz"}, files={"own.npz": content})


FILES = (
    npz("npz empty", b"", "cannot be read as npz", "numpy.savez"),
    npz("npz of zeros", b"\0" * 500, "cannot be read as npz"),
    npz("npz is CSV", b"x_train,y_train\n1,2\n", "cannot be read as npz", "numpy.savez"),
    npz("npz cut short", GOOD[: len(GOOD) // 2], "cannot be read as npz"),
    npz("npz cut at its end", GOOD[:-10], "cannot be read as npz"),
    npz("npz without a beginning", GOOD[100:], "own.npz"),
    npz("npz with changed bytes", GOOD[:200] + bytes(40) + GOOD[240:], "cannot be read as npz"),
    npz(
        "npz pickled",
        archive(x_train=np.array([Canary()] * 3, object), y_train=Y[:3]),
        "Python objects",
        "never loaded",
    ),
    npz("npz is a pickle", pickle.dumps(Canary()), "Python objects", "never loaded"),
    npz(
        "npz is one array",
        (lambda file: (np.save(file, X), file.getvalue())[1])(io.BytesIO()),
        "without a name",
    ),
    npz("npz of no arrays", zipped(), "no `x_train`", "It has: nothing"),
    npz("npz of text", zipped(x_train=b"no array", y_train=b"none"), "own.npz"),
    npz(
        "npz claims a huge array",
        zipped(x_train=header((10**12,)), y_train=header((3,), "<i8", bytes(24))),
        "`x_train`",
        "4 TB",
    ),
    npz("npz claims more than any number", zipped(x_train=header((2**62, 2**62))), "`x_train`", "TB"),
    npz(
        "npz claims a little more",
        zipped(x_train=header((50, 4), body=bytes(40))),
        "`x_train` claims 800 bytes",
        "168",
    ),
    npz("npz claims in its directory too", claiming(2**40), "`x_train`", "claims"),
    npz("npz claims a negative size", zipped(x_train=header((-3,))), "own.npz"),
    npz(
        "npz larger than the memory",
        zipped(zipfile.ZIP_DEFLATED, x_train=header((10**13,), body=bytes(10**6))),
        "claims 40 TB",
    ),
    npz("npz with a dtype that is code", zipped(x_train=header((3,), "__import__('os')")), "own.npz"),
    npz("npz of both names", archive(x_train=X, x_train_a=X, y_train=Y), "both `x_train` and `x_train_a`"),
    Bad("npz gone", ("There is no file `gone.npz`",), values={"dataset": "gone.npz"}),
    Bad(
        "npz near",
        ("`digts.npz`", "Did you mean `digits.npz`"),
        values={"dataset": "digts.npz"},
        files={"digits.npz": GOOD},
    ),
    Bad(
        "npz a folder",
        ("There is no file `folder.npz`",),
        values={"dataset": "folder.npz"},
        files={"folder.npz/x": b""},
    ),
    Bad("npz in no folder", ("There is no file `a/b/c.npz`",), values={"dataset": "a/b/c.npz"}),
)


def ref(
    name: str, says: tuple[str, ...], values: dict[str, Any], code: str = "", file: str = "own.py"
) -> Bad:
    """A row of a reference, to a file of its own."""
    return Bad(name, says, values=values, files={file: code} if code else {})


STEP = "def step(model, data):\n    "
DATA_OF = "def data():\n    "
MODEL_OF = "import keras\n\n\ndef build(signature):\n    "

OWN_CALL = """import keras


class build(keras.Model):
    def call(self, x):
        raise ValueError("on purpose")
"""
OWN_CALLBACK = """import keras


class Mine(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        raise ValueError("on purpose")
"""

REFERENCES = (
    ref("reference file", ("no file `mien.py`", "Did you mean `mine.py`"), {"model": "mien.py:build"}),
    ref("reference file in no folder", ("no file `a/own.py`",), {"model": "a/own.py:build"}),
    ref("reference no Python", ("`own.txt`", ".py"), {"model": "./own.txt:build"}, "x = 1", "own.txt"),
    ref(
        "reference a folder",
        ("no file `folder.py`",),
        {"model": "folder.py:build"},
        "x = 1",
        "folder.py/own.py",
    ),
    ref("reference attribute", ("no `biuld` in it", "`build`"), {"model": "mine.py:biuld"}),
    ref("reference attribute of an attribute", ("no `more` in it",), {"model": "mine.py:build.more"}),
    ref("reference without an attribute", ("There is no model `mine.py:`",), {"model": "mine.py:"}),
    ref("reference without a module", ("There is no model `:build`",), {"model": ":build"}),
    ref("reference is a path alone", ("There is no model `mine.py`",), {"model": "mine.py"}),
    ref(
        "reference module", ("no module `no_such_package`", "installed"), {"dataset": "no_such_package:data"}
    ),
    ref("reference module of a package", ("no module `json.nothing`",), {"dataset": "json.nothing:data"}),
    ref("reference relative", ("`.own`",), {"dataset": ".own:data"}),
    ref("reference with a NUL", ("not a path",), {"model": "a\0b.py:build"}),
    ref("code syntax", ("SyntaxError", "own.py, line 1"), {"model": "own.py:build"}, "def build(:\n"),
    ref("code indentation", ("IndentationError", "line 2"), {"model": "own.py:build"}, "if True:\nx = 1\n"),
    ref("code bytes", ("own.py",), {"model": "own.py:build"}, "value = 1\0\n"),
    ref(
        "code raises on import",
        ("ValueError: on purpose", "line 2"),
        {"model": "own.py:build"},
        "\nraise ValueError('on purpose')\n",
    ),
    ref(
        "code exits on import",
        ("SystemExit", "gone"),
        {"model": "own.py:build"},
        "import sys\nsys.exit('gone')\n",
    ),
    ref("code exits with 0", ("SystemExit",), {"model": "own.py:build"}, "import sys\nsys.exit(0)\n"),
    ref(
        "code imports what there is not",
        ("kerasx_no_such", "line 1"),
        {"loss": "own.py:loss"},
        "import kerasx_no_such\n",
    ),
    ref("code recurses", ("RecursionError",), {"model": "own.py:build"}, "def f(): f()\nf()\n"),
    ref("model reference to a number", ("int", "keras.Model"), {"model": "mine.py:number"}),
    ref(
        "model takes nothing and returns nothing",
        ("NoneType", "keras.Model"),
        {"model": "own.py:build"},
        "def build():\n    pass\n",
    ),
    ref(
        "model returns text", ("str", "keras.Model"), {"model": "own.py:build"}, MODEL_OF + "return 'model'\n"
    ),
    ref(
        "model returns a layer",
        ("Dense", "keras.Model"),
        {"model": "own.py:build"},
        MODEL_OF + "return keras.layers.Dense(3)\n",
    ),
    ref(
        "model takes more",
        ("missing", "width"),
        {"model": "own.py:build"},
        "def build(signature, width):\n    pass\n",
    ),
    ref(
        "model raises",
        ("ZeroDivisionError", "own.py, line 5"),
        {"model": "own.py:build"},
        MODEL_OF + "1 / 0\n",
    ),
    ref("model exits", ("SystemExit",), {"model": "own.py:build"}, MODEL_OF + "raise SystemExit\n"),
    ref(
        "model raises when called",
        ("does not fit the model", "on purpose"),
        {"model": "own.py:build"},
        OWN_CALL,
    ),
    ref(
        "data raises",
        ("KeyError", "own.py, line 2"),
        {"dataset": "own.py:data"},
        DATA_OF + "return {}['x_train']\n",
    ),
    ref("data returns nothing", ("NoneType", "no data"), {"dataset": "own.py:data"}, DATA_OF + "pass\n"),
    ref("data returns text", ("str", "no data"), {"dataset": "own.py:data"}, DATA_OF + "return 'rows.csv'\n"),
    ref(
        "data returns an empty table", ("no `x_train`",), {"dataset": "own.py:data"}, DATA_OF + "return {}\n"
    ),
    ref("data a number", ("int", "no data"), {"dataset": "mine.py:number"}),
    ref("data takes more", ("missing", "path"), {"dataset": "own.py:data"}, "def data(path):\n    pass\n"),
    ref("loss a number", ("int", "cannot be called"), {"loss": "mine.py:number"}),
    ref(
        "loss raises",
        ("on purpose", "own.py, line 2"),
        {"loss": "own.py:loss"},
        "def loss(y_true, y_pred):\n    raise ValueError('on purpose')\n",
    ),
    ref(
        "loss returns nothing",
        ("first batch",),
        {"loss": "own.py:loss"},
        "def loss(y_true, y_pred):\n    pass\n",
    ),
    ref(
        "loss returns text",
        ("first batch",),
        {"loss": "own.py:loss"},
        "def loss(y_true, y_pred):\n    return 'low'\n",
    ),
    ref("loss takes one", ("loss",), {"loss": "own.py:loss"}, "def loss(y_true):\n    return y_true\n"),
    ref("loss takes three", ("loss",), {"loss": "own.py:loss"}, "def loss(a, b, c):\n    return a\n"),
    ref("metric a number", ("int", "cannot be called"), {"metrics": ["mine.py:number"]}),
    ref(
        "metric raises",
        ("on purpose",),
        {"metrics": ["own.py:far"]},
        "def far(y_true, y_pred):\n    raise ValueError('on purpose')\n",
    ),
    ref("optimizer a number", ("int", "optimizer"), {"optimizer": "mine.py:number"}),
    ref("optimizer returns nothing", ("NoneType",), {"optimizer": "own.py:make"}, "def make():\n    pass\n"),
    ref("callback a number", ("int", "not a callback"), {"callbacks": ["mine.py:number"]}),
    ref(
        "callback returns nothing",
        ("NoneType", "not a callback"),
        {"callbacks": ["own.py:make"]},
        "def make():\n    pass\n",
    ),
    ref(
        "callback raises",
        ("on purpose", "own.py, line 6"),
        {"callbacks": ["own.py:Mine"]},
        OWN_CALLBACK,
    ),
    ref("strategy a number", ("int", "(model, data)"), {"strategy": "mine.py:number"}),
    ref("strategy a class", ("type", "StepStrategy"), {"strategy": "own.py:Mine"}, "class Mine:\n    pass\n"),
    ref(
        "strategy takes nothing",
        ("takes ()", "(model, data)"),
        {"strategy": "own.py:step"},
        "def step():\n    pass\n",
    ),
    ref(
        "strategy takes three",
        ("takes (model, x, y)",),
        {"strategy": "own.py:step"},
        "def step(model, x, y):\n    pass\n",
    ),
    ref("strategy with options", ("takes no options",), {"strategy": {"name": "mine.py:step", "rate": 3}}),
    ref(
        "step raises",
        ("RuntimeError: on purpose", "own.py, line 2"),
        {"strategy": "own.py:step"},
        STEP + "raise RuntimeError('on purpose')\n",
    ),
    ref(
        "step returns nothing",
        ("dictionary of logs", "NoneType"),
        {"strategy": "own.py:step"},
        STEP + "pass\n",
    ),
    ref(
        "step returns a number",
        ("dictionary of logs", "float"),
        {"strategy": "own.py:step"},
        STEP + "return 0.5\n",
    ),
    ref(
        "step is a loop",
        ("loop over batches",),
        {"strategy": {"name": "custom-step", "step": "own.py:loop"}},
        "def loop(model, batches):\n    pass\n",
    ),
    ref(
        "loop returns a number",
        ("dictionary of logs", "float"),
        {"strategy": "own.py:loop"},
        "def loop(model, batches):\n    return 0.5\n",
    ),
    ref(
        "loop raises",
        ("on purpose", "own.py, line 2"),
        {"strategy": "own.py:loop"},
        "def loop(model, batches):\n    raise ValueError('on purpose')\n",
    ),
    ref(
        "schedule raises",
        ("on purpose",),
        {"callbacks": [{"name": "learning_rate_scheduler", "schedule": "own.py:rate"}]},
        "def rate(epoch):\n    raise ValueError('on purpose')\n",
    ),
)


@functools.cache
def saved(kind: str = "plain") -> bytes:
    """A `.keras` file."""
    import keras

    layers = [keras.Input((4,)), keras.layers.Dense(3)]
    if kind == "lambda":
        layers.append(keras.layers.Lambda(lambda x: x * 2))
    if kind == "own":
        layers.append(type("Mine", (keras.layers.Layer,), {"call": lambda self, x: x})())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        keras.Sequential(layers).save(path)
        return path.read_bytes()


def edited(
    change: Callable[[dict[str, Any]], object], name: str = "config.json", *, of: bytes | None = None
) -> bytes:
    """A `.keras` file with another config."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(of or saved())) as source, zipfile.ZipFile(result, "w") as target:
        for entry in source.namelist():
            content = source.read(entry)
            if entry == name:
                described = json.loads(content)
                change(described)
                content = json.dumps(described).encode()
            target.writestr(entry, content)
    return result.getvalue()


def layer(**values: Any) -> Callable[[dict[str, Any]], object]:
    """Another description of the last layer."""
    return lambda config: config["config"]["layers"][-1].update(values)


def later() -> bytes:
    """A `.keras` file as a Keras may save it that is yet to come."""
    file = edited(lambda metadata: metadata.update(keras_version="9.1.0"), "metadata.json")
    return edited(layer(config={"units": 3, "of_keras_9": True}), of=file)


def without(name: str) -> bytes:
    """A `.keras` file that lacks a part."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved())) as source, zipfile.ZipFile(result, "w") as target:
        for entry in source.namelist():
            if entry != name:
                target.writestr(entry, source.read(entry))
    return result.getvalue()


LOADED = "cannot be loaded as a Keras model"


def keras_file(name: str, make: Callable[[], bytes], *says: str, **values: Any) -> Bad:
    """A row of a saved model."""
    return Bad(
        name,
        ("`own.keras`", *says) if LOADED in says else says,
        values={"model": "own.keras", **values},
        files={"own.keras": lambda path: path.write_bytes(make()) and None, "two.npz": TWO_COLUMNS},
    )


def weights_file(name: str, make: Callable[[], bytes], *says: str) -> Bad:
    """A row of initial weights."""
    return Bad(
        name,
        ("own.weights.h5", *says),
        values={"initial_weights": "own.weights.h5"},
        files={"own.weights.h5": lambda path: path.write_bytes(make()) and None},
    )


MODELS = (
    keras_file("keras file empty", lambda: b"", LOADED),
    keras_file("keras file no zip", lambda: b"not a model" * 50, LOADED),
    keras_file("keras file cut short", lambda: saved()[: len(saved()) // 2], LOADED),
    keras_file("keras file with changed bytes", lambda: saved()[:300] + bytes(200) + saved()[500:], LOADED),
    keras_file("keras file without config", lambda: without("config.json"), LOADED),
    keras_file("keras file without weights", lambda: without("model.weights.h5"), LOADED),
    keras_file("keras file of a later Keras", later, LOADED, "of_keras_9", "saved by Keras 9.1.0"),
    keras_file("keras file is npz", lambda: GOOD, LOADED),
    keras_file("keras file with a lambda", lambda: saved("lambda"), LOADED, "no code of a file is run"),
    keras_file("keras file with an own layer", lambda: saved("own"), LOADED, "Mine"),
    keras_file("keras file of no class", lambda: edited(layer(class_name="Danse")), LOADED, "Danse"),
    keras_file(
        "keras file of a class elsewhere",
        lambda: edited(layer(module="subprocess", class_name="Popen")),
        LOADED,
        "Popen",
    ),
    keras_file(
        "keras file of a function elsewhere",
        lambda: edited(layer(module="os", class_name="function", config="system", registered_name="system")),
        LOADED,
    ),
    keras_file("keras file with other shapes", lambda: edited(layer(config={"units": 7})), LOADED),
    keras_file("keras file of nothing", lambda: edited(lambda config: config.clear()), LOADED),
    keras_file("keras file for other data", saved, "does not fit the model", "[batch, 2]", dataset="two.npz"),
    keras_file("keras file with options", saved, "`units`", model={"name": "own.keras", "units": 3}),
    keras_file(
        "keras file in another precision", saved, "float32", "mixed_float16", precision="mixed_float16"
    ),
    Bad("keras file gone", ("There is no file `gone.keras`",), values={"model": "gone.keras"}),
    weights_file("weights empty", lambda: b"", "cannot be read"),
    weights_file("weights no h5", lambda: b"weights" * 100, "cannot be read"),
    weights_file("weights of another kind", lambda: GOOD, "cannot be read"),
    Bad(
        "weights of another model",
        ("own.keras", "do not fit the model"),
        values={"initial_weights": "own.keras"},
        files={"own.keras": lambda path: path.write_bytes(saved()) and None},
    ),
)


def run(
    name: str,
    damage: Callable[[Path], object],
    *says: str,
    command: str = "evaluate",
    more: tuple[str, ...] = (),
    of: str = "trained",
    files: dict[str, Any] | None = None,
) -> Bad:
    """A row of a run directory."""
    calls: dict[str, Callable[[Any, Path], object]] = {
        "evaluate": lambda engine, here: engine.evaluate(of, dataset=more[1] if more else None),
        "predict": lambda engine, here: engine.predict_file(of, Path(more[1]), Path(more[3])),
        "export": lambda engine, here: engine.export(of, more[0], format=more[2] if len(more) > 1 else None),
    }
    options = ("show", of) if command == "runs" else (of, *more)
    return Bad(
        name,
        says,
        command=command,
        options=options,
        damage=damage,
        call=calls.get(command),
        files=files or {},
    )


def nothing(run: Path) -> None:
    """Leave the run as it is."""


def remove(name: str) -> Callable[[Path], object]:
    """Take a file away."""
    return lambda run: (run / name).unlink()


def write(name: str, content: str) -> Callable[[Path], object]:
    """Put something else in the place of a file."""
    return lambda run: (run / name).write_text(content)


def cut(name: str) -> Callable[[Path], object]:
    """Cut a file short, and what could stand in for it: the code that built the model."""

    def damage(run: Path) -> None:
        (run / name).write_bytes((run / name).read_bytes()[:500])
        text = (run / "experiment.toml").read_text()
        (run / "experiment.toml").write_text(text.replace("mine.py:build", "gone.py:build"))

    return damage


PREDICT = ("--input", "rows.npz", "--output", "out.npz")
ROWS = {"rows.npz": archive(x=X)}
RUNS = (
    run("run gone", nothing, "There is no run `nothing`", "trained", of="nothing"),
    run("run near", nothing, "no run `trainde`", "Did you mean `trained`", of="trainde"),
    run("run a file", nothing, "`mine.py` is no run directory", of="mine.py"),
    run(
        "run a foreign folder",
        nothing,
        "`folder` is no run directory",
        "experiment.toml",
        of="folder",
        files={"folder/x": b""},
    ),
    run("run the folder of runs", nothing, "`runs` is no run directory", of="runs"),
    run("run without an experiment", remove("experiment.toml"), "trained", of="runs/trained"),
    run("run without a summary", remove("summary.json"), "summary.json", command="runs"),
    run("run without an environment", remove("environment.json"), "environment.json"),
    run("run without a model", remove("model.keras"), "has no model", "finished"),
    run(
        "run with a damaged experiment",
        write("experiment.toml", "epochs = \n"),
        "experiment.toml",
        "not valid TOML",
        "line 1",
    ),
    run(
        "run with an experiment of other keys",
        write("experiment.toml", "epoch = 3\n"),
        "`epoch` (line 1)",
        "`epochs`",
    ),
    run(
        "run with a damaged summary",
        write("summary.json", '{"status": '),
        "summary.json",
        "damaged",
        command="runs",
    ),
    run(
        "run with a summary of another kind",
        write("summary.json", "[1, 2]"),
        "summary.json",
        "no JSON object",
        command="runs",
    ),
    run(
        "run with a summary nested too deeply",
        write("summary.json", "[" * 100000),
        "summary.json",
        "damaged",
        command="runs",
    ),
    run("run with a damaged environment", write("environment.json", "\0"), "environment.json", "damaged"),
    run(
        "run with an environment of another kind",
        write("environment.json", "3"),
        "environment.json",
        "damaged",
    ),
    run(
        "run with sources of another kind",
        write("environment.json", '{"sources": 3}'),
        "environment.json",
        "damaged",
    ),
    run(
        "run with a history of another kind",
        write("summary.json", '{"history": [1]}'),
        "`history` is [1]",
        command="runs",
    ),
    run(
        "run with versions of another kind",
        write("environment.json", '{"versions": "all"}'),
        "`versions`",
        command="runs",
    ),
    run("run with a damaged model", cut("model.keras"), "gone.py"),
    run(
        "run with a model that is empty",
        cut("model.keras"),
        "gone.py",
        command="predict",
        more=PREDICT,
        files=ROWS,
    ),
    run("evaluate on no data", nothing, "no dataset `mnits`", "`mnist`", more=("--dataset", "mnits")),
    run(
        "evaluate on other data",
        nothing,
        "does not fit the model",
        more=("--dataset", "two.npz"),
        files={"two.npz": TWO_COLUMNS},
    ),
    run("predict of nothing", nothing, "no file `rows.npz`", command="predict", more=PREDICT),
    run(
        "predict of damaged rows",
        nothing,
        "rows.npz",
        command="predict",
        more=PREDICT,
        files={"rows.npz": GOOD[:300]},
    ),
    run(
        "predict of other rows",
        nothing,
        "does not fit",
        command="predict",
        more=PREDICT,
        files={"rows.npz": archive(x=X[:, :2])},
    ),
    run(
        "predict of no rows",
        nothing,
        "no input rows",
        command="predict",
        more=PREDICT,
        files={"rows.npz": archive(x=X[:0])},
    ),
    run(
        "predict of text",
        nothing,
        "does not fit",
        command="predict",
        more=PREDICT,
        files={"rows.npz": archive(x=np.array([["a"] * 4]))},
    ),
    run(
        "predict of several arrays",
        nothing,
        "does not fit",
        command="predict",
        more=PREDICT,
        files={"rows.npz": archive(a=X, b=X)},
    ),
    run(
        "predict into what there is",
        nothing,
        "`out.npz` exists",
        command="predict",
        more=PREDICT,
        files={**ROWS, "out.npz": b"mine"},
    ),
    run(
        "predict into another ending",
        nothing,
        ".npz",
        "`out.csv`",
        command="predict",
        more=(*PREDICT[:3], "out.csv"),
        files=ROWS,
    ),
    run(
        "predict into no folder",
        nothing,
        "no folder `gone`",
        command="predict",
        more=(*PREDICT[:3], "gone/out.npz"),
        files=ROWS,
    ),
    run(
        "predict below a file",
        nothing,
        "mine.py",
        command="predict",
        more=(*PREDICT[:3], "mine.py/out.npz"),
        files=ROWS,
    ),
    run("export to no ending", nothing, "names no format", "--format", command="export", more=("model",)),
    run(
        "export to no format",
        nothing,
        "no format `onx`",
        command="export",
        more=("model.onnx", "--format", "onx"),
    ),
    run(
        "export to another ending",
        nothing,
        ".weights.h5",
        command="export",
        more=("model.keras", "--format", "weights"),
    ),
    run(
        "export over a file",
        nothing,
        "`model.keras` exists",
        command="export",
        more=("model.keras",),
        files={"model.keras": b"mine"},
    ),
    run("export to no folder", nothing, "no folder `gone`", command="export", more=("gone/model.keras",)),
    run("export below a file", nothing, "mine.py", command="export", more=("mine.py/model.keras",)),
)

PLUGIN = """
from kerasx import {spec}, hookimpl


@hookimpl
def kerasx_{hook}():
    return [{spec}("mine", "Fails.", "{target}")]
"""
OWN = """
def raises(*args, **kwargs):
    raise RuntimeError("on purpose")


def step(model, data):
    raise RuntimeError("on purpose")


def loss(y_true, y_pred):
    raise RuntimeError("on purpose")


number = 3
"""


def plugin(spec: str, hook: str, target: str) -> dict[str, str]:
    """The files of a plugin that offers one thing called `mine`."""
    code = PLUGIN.format(spec=spec, hook=hook, target=f"kerasx_bad.{target}")
    return {"kerasx_bad/__init__.py": code, "kerasx_bad/own.py": OWN}


# Plugins that fail when they are asked for: what they are, what asks for them, and what the answer says.
PLUGINS: tuple[tuple[str, dict[str, str], dict[str, Any], tuple[str, ...]], ...] = (
    ("module", plugin("LossSpec", "losses", "gone:loss"), {"loss": "mine"}, ("`mine`", "kerasx_bad.gone")),
    ("attribute", plugin("LossSpec", "losses", "own:gone"), {"loss": "mine"}, ("`mine`", "gone")),
    ("data", plugin("DatasetSpec", "datasets", "own:raises"), {"dataset": "mine"}, ("`mine`", "on purpose")),
    ("model", plugin("ModelSpec", "models", "own:raises"), {"model": "mine"}, ("`mine`", "on purpose")),
    (
        "callback",
        plugin("CallbackSpec", "callbacks", "own:raises"),
        {"callbacks": ["mine"]},
        ("`mine`", "on purpose"),
    ),
    (
        "step",
        plugin("StrategySpec", "strategies", "own:step"),
        {"strategy": "mine"},
        ("`mine`", "on purpose", "own.py"),
    ),
    ("loss", plugin("LossSpec", "losses", "own:loss"), {"loss": "mine"}, ("`mine`", "on purpose", "own.py")),
    (
        "import",
        {"kerasx_bad/__init__.py": "raise RuntimeError('on purpose')"},
        {"loss": "bad"},
        ("`bad`", "broken"),
    ),
    (
        "collision",
        plugin("LossSpec", "losses", "own:loss")
        | {
            "kerasx_bad/__init__.py": PLUGIN.format(
                spec="LossSpec", hook="losses", target="kerasx_bad.own:loss"
            ).replace('"mine"', '"sum-squared-error"')
        },
        {"loss": "sum-squared-error"},
        ("`sum-squared-error`", "kerasx-bad", "KERASX_DISABLE_PLUGINS"),
    ),
)
__all__ = ["BASE", "FILES", "MINE", "MODELS", "PLUGINS", "REFERENCES", "RUNS"]
