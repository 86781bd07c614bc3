"""Bad input, as a table: what is given, and what the answer has to say.

Data and files have tables of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasx import Engine

# What a row's files are made of: their bytes, their text, or a function of the path.
Content = bytes | str | Callable[[Path], None]


@dataclass(frozen=True)
class Bad:
    """One bad input.

    Attributes:
        name: Of the row.
        says: What the answer has to hold.
        values: Of an experiment, over those of `BASE`: to the engine as they are, to the command line as a
            file.
        options: Of `kerasx train`, beside a file with `BASE`; or, with a `command`, all of its arguments.
        command: To use in place of `train`.
        call: What the engine is asked, given it and the folder; for what is no training.
        toml: The text of an experiment file.
        arrays: A data set, to the engine as an object and to the command line as an npz file.
        files: What there is in the folder beside `mine.py`.
        damage: What is done to a run in `runs/`, which is there only then.
        code: The exit code.
    """

    name: str
    says: Sequence[str]
    values: Mapping[str, Any] | None = None
    options: Sequence[str] | None = None
    command: str | None = None
    call: Callable[[Any, Path], object] | None = None
    toml: str | None = None
    arrays: Callable[[], dict[str, Any]] | None = None
    files: Mapping[str, Content] = field(default_factory=dict)
    damage: Callable[[Path], object] | None = None
    code: int = 2


BASE: dict[str, Any] = {
    "model": "mine.py:build",
    "dataset": "mine.py:data",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "epochs": 1,
    "batch_size": 50,
    "execution": "eager",
}

MINE = """
import keras
import numpy as np
import tensorflow as tf


def data(rows=100):
    x = np.random.RandomState(1).randn(rows, 4).astype("float32")
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    return {"x_train": x, "y_train": y, "x_test": x[:30], "y_test": y[:30]}


def build(signature, units=16, outputs=3):
    layers = [keras.layers.Dense(units, "relu"), keras.layers.Dense(outputs)]
    return keras.Sequential([keras.Input(signature.inputs.shape[1:]), *layers])


def two_outputs(signature):
    image = keras.Input(signature.inputs.shape[1:])
    outputs = {"digit": 3, "odd": 1}
    return keras.Model(
        image, {name: keras.layers.Dense(units, name=name)(image) for name, units in outputs.items()}
    )


def step(model, data):
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        value = model.compute_loss(x, y, y_pred, sample_weight)
    model.optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
    return model.compute_metrics(x, y, y_pred, sample_weight)


number = 3
"""


def row(name: str, *says: str, **values: Any) -> Bad:
    """A row of values of an experiment."""
    return Bad(name, says, values=values)


NAMES = (
    row("strategy", "custm-step", "Did you mean `custom-step`", strategy="custm-step"),
    row("strategy in another case", "`Custom_Step`", "Did you mean `custom-step`", strategy="Custom_Step"),
    row("strategy like nothing", "There is no strategy `zzz`", "compiled-fit, custom-step", strategy="zzz"),
    row("strategy reserved", "`reference` is reserved", strategy="reference"),
    row("strategy is a model", "There is no strategy `mlp`", strategy="mlp"),
    row(
        "strategy option",
        "no option `stp`",
        "`step`",
        strategy={"name": "custom-step", "stp": "mine.py:step"},
    ),
    row(
        "strategy option of another",
        "no option `step`",
        strategy={"name": "compiled-fit", "step": "mine.py:step"},
    ),
    row(
        "strategy option type",
        "The option `step` is 3",
        "(model, data)",
        strategy={"name": "custom-step", "step": 3},
    ),
    row("step by no name", "There is no strategy `stp`", strategy={"name": "custom-step", "step": "stp"}),
    row("model", "There is no model `mpl`", "Did you mean `mlp`", model="mpl"),
    row("model option", "`mlp` has no option `hiden`", "`hidden`", model={"name": "mlp", "hiden": [3]}),
    row("model option type", "mlp", "hidden", model={"name": "mlp", "hidden": ["wide"]}),
    row("model units negative", "mlp", "-3", model={"name": "mlp", "hidden": [-3]}),
    row("model units none", "mlp", "0", model={"name": "mlp", "outputs": 0}),
    row("model units not whole", "mlp", "2.5", model={"name": "mlp", "outputs": 2.5}),
    row("own model option", "no option `unts`", "`units`", model={"name": "mine.py:build", "unts": 3}),
    row("dataset", "There is no dataset `mnits`", "Did you mean `mnist`", dataset="mnits"),
    row("dataset option", "`mnist` has no option `rows`", dataset={"name": "mnist", "rows": 3}),
    row("own dataset option", "no option `row`", "`rows`", dataset={"name": "mine.py:data", "row": 3}),
    row("npz with an option", "own.npz", "`rows`", dataset={"name": "own.npz", "rows": 3}),
    row("loss", "There is no loss `mean_sqared_error`", "`mean_squared_error`", loss="mean_sqared_error"),
    row("loss of no kind", "There is no loss `accuracy`", loss="accuracy"),
    row(
        "loss option",
        "no option `from_logit`",
        "from_logits",
        loss={"name": "binary_crossentropy", "from_logit": True},
    ),
    row("loss option value", "huber", "reduction", loss={"name": "huber", "reduction": "average"}),
    row("loss empty", "`loss`", "empty", loss=""),
    row(
        "losses of too many outputs",
        "list of 3",
        "2 outputs",
        model="mine.py:two_outputs",
        loss=["mse", "mse", "mse"],
    ),
    row(
        "loss of no output",
        "`digt`",
        "Did you mean `digit`",
        model="mine.py:two_outputs",
        loss={"digt": "mse"},
    ),
    row("metric", "There is no metric `acuracy`", "`accuracy`", metrics=["acuracy"]),
    row("metric option", "no option `kk`", metrics=[{"name": "sparse_top_k_categorical_accuracy", "kk": 2}]),
    row("metric of another shape", "Precision", "[batch, 3]", metrics=["precision"]),
    row("metric of rows", "CategoricalAccuracy", "sparse", metrics=["categorical_accuracy"]),
    row("weighted metric", "There is no metric `acuracy`", weighted_metrics=["acuracy"]),
    row(
        "metrics of no output",
        "`odt`",
        "`odd`",
        model="mine.py:two_outputs",
        metrics={"odt": ["mse"]},
        loss="mse",
    ),
    row("optimizer", "There is no optimizer `adamm`", "Did you mean `adam`", optimizer="adamm"),
    row("optimizer like nothing", "There is no optimizer `zzz`", "adam", optimizer="zzz"),
    row("optimizer option", "no option `momentun`", "`momentum`", optimizer={"name": "sgd", "momentun": 0.9}),
    row("optimizer option value", "sgd", "momentum", optimizer={"name": "sgd", "momentum": 3}),
    row(
        "optimizer option type",
        "`adam`",
        "`beta_1`, a number",
        "'fast'",
        optimizer={"name": "adam", "beta_1": "fast"},
    ),
    row("optimizer that wraps nothing", "loss_scale", optimizer="loss_scale_optimizer"),
    row(
        "optimizer that wraps no name",
        "adamm",
        optimizer={"name": "loss_scale_optimizer", "inner_optimizer": "adamm"},
    ),
    row(
        "schedule",
        "There is no learning-rate schedule `cosine_decy`",
        "`cosine_decay`",
        learning_rate="cosine_decy",
    ),
    row("schedule without options", "cosine_decay", "initial_learning_rate", learning_rate="cosine_decay"),
    row(
        "schedule option",
        "no option `steps`",
        "decay_steps",
        learning_rate={"name": "cosine_decay", "initial_learning_rate": 0.1, "steps": 3},
    ),
    row(
        "schedule in the optimizer", "`cosin`", optimizer={"name": "sgd", "learning_rate": {"name": "cosin"}}
    ),
    row("schedule without a name", "`name`", optimizer={"name": "sgd", "learning_rate": {"decay_steps": 3}}),
    row("callback", "There is no callback `tensorbord`", "`tensorboard`", callbacks=["tensorbord"]),
    row(
        "callback option",
        "no option `patienc`",
        "`patience`",
        callbacks=[{"name": "early_stopping", "patienc": 3}],
    ),
    row(
        "callback option value",
        "reduce_lr_on_plateau",
        "factor",
        callbacks=[{"name": "reduce_lr_on_plateau", "factor": 2.0}],
    ),
    row("callback without its option", "model_checkpoint", "filepath", callbacks=["model_checkpoint"]),
    row(
        "callback with a wrong ending",
        "model_checkpoint",
        ".keras",
        callbacks=[{"name": "model_checkpoint", "filepath": "best.model"}],
    ),
    row(
        "callback needs a function",
        "learning_rate_scheduler",
        "schedule",
        callbacks=["learning_rate_scheduler"],
    ),
    row("execution", "`execution` is 'graf'", "'eager', 'graph' or 'fused'", execution="graf"),
    row("precision", "no dtype policy `float31`", "`float32`", precision="float31"),
    row("precision mixed up", "mixed_flaot16", "`mixed_float16`", precision="mixed_flaot16"),
    row("precision empty", "dtype policy ``", precision=""),
    row("labels", "`labels` is 'onehot'", "'as-given' or 'one-hot'", labels="onehot"),
    row("key", "there is no key `epoch`", "Did you mean `epochs`", epoch=3),
    row("key with a hyphen", "`batch-size`", "Did you mean `batch_size`", **{"batch-size": 3}),
    row("key like nothing", "there is no key `zzz`", "batch_size, callbacks", zzz=3),
    row("key in another case", "there is no key `Model`", "`model`", Model="mlp"),
    row("two keys", "`epoch`", "`sed`", "`seed`", epoch=3, sed=1),
)

RANGES = (
    row("epochs none", "`epochs` is 0", "greater than or equal to 1", epochs=0),
    row("epochs negative", "`epochs` is -2", "greater than or equal to 1", epochs=-2),
    row("epochs huge", "`epochs` is 10000000000", "less than 2147483648", epochs=10**10),
    row("epochs text", "`epochs` is 'many'", "integer", epochs="many"),
    row("epochs a number as text", "`epochs` is '3'", "integer", epochs="3"),
    row("epochs not whole", "`epochs` is 2.5", "integer", epochs=2.5),
    row("epochs a flag", "`epochs` is True", "integer", epochs=True),
    row("epochs a list", "`epochs` is [1]", "integer", epochs=[1]),
    row("batch size none", "`batch_size` is 0", "greater than or equal to 1", batch_size=0),
    row("batch size negative", "`batch_size` is -1", batch_size=-1),
    row("batch size huge", "`batch_size`", "less than", batch_size=2**40),
    row("batch size not whole", "`batch_size` is 3.5", batch_size=3.5),
    row(
        "learning rate nan",
        "`learning_rate` is nan",
        "finite number greater than 0",
        learning_rate=float("nan"),
    ),
    row("learning rate infinite", "`learning_rate` is inf", "finite", learning_rate=float("inf")),
    row("learning rate none", "`learning_rate` is 0", "greater than 0", learning_rate=0),
    row("learning rate negative", "`learning_rate` is -0.1", "greater than 0", learning_rate=-0.1),
    row("learning rate beyond float32", "`learning_rate` is 1e+39", "float32", learning_rate=1e39),
    row("learning rate below float32", "`learning_rate` is 1e-60", "greater than 0", learning_rate=1e-60),
    row("learning rate a number as text", "`learning_rate` is '0.1'", "number", learning_rate="0.1"),
    row("learning rate text", "no learning-rate schedule `fast`", learning_rate="fast"),
    row("learning rate a flag", "`learning_rate` is True", learning_rate=True),
    row(
        "learning rate of the optimizer",
        "`sgd`",
        "`learning_rate`, a number",
        "nan",
        optimizer={"name": "sgd", "learning_rate": float("nan")},
    ),
    row("learning rate of the optimizer as text", "fast", optimizer={"name": "sgd", "learning_rate": "fast"}),
    row("validation split none", "`validation_split` is 0", "greater than 0", validation_split=0),
    row("validation split all", "`validation_split` is 1", "less than 1", validation_split=1),
    row("validation split negative", "`validation_split` is -1", validation_split=-1),
    row("validation split nan", "`validation_split` is nan", validation_split=float("nan")),
    row("validation split text", "`validation_split` is 'half'", "number", validation_split="half"),
    row("validation split of nothing", "validation_split is 0.999", "100 rows", validation_split=0.999),
    row("seed negative", "`seed` is -1", "greater than or equal to 0", seed=-1),
    row("seed huge", "`seed` is 4294967296", "less than 4294967296", seed=2**32),
    row("seed text", "`seed` is 'random'", "integer", seed="random"),
    row("devices none", "`devices` is 0", devices=0),
    row("devices more than there are", "devices", "started with", devices=10**6),
    row("devices text", "`devices` is 'gpu'", "integer", devices="gpu"),
    row("steps a call none", "`steps_per_call` is 0", steps_per_call=0, execution="fused"),
    row("steps a call negative", "`steps_per_call` is -5", steps_per_call=-5, execution="fused"),
    row("steps a call of eager", "fused", "--steps-per-call", steps_per_call=5),
    row("jit text", "`jit` is 'maybe'", "boolean", jit="maybe"),
    row("jit of eager", "eager", "--jit", jit=True),
    row("shuffle text", "`shuffle` is 'perhaps'", "boolean", shuffle="perhaps"),
    row("class weight negative", "class_weight", "-1", class_weight={"0": -1.0}),
    row("class weight nan", "class_weight", "finite", class_weight={"0": float("nan")}),
    row("class weight of no class", "class_weight", "'first'", class_weight={"first": 1.0}),
    row("class weight of a huge class", "class_weight", "less than", class_weight={"99999999999": 1.0}),
    row("class weight list", "class_weight", "dictionary", class_weight=[1.0, 2.0]),
    row("loss weights nan", "loss_weights", "finite", loss_weights=float("nan")),
    row("loss weights text", "loss_weights", "'heavy'", loss_weights="heavy"),
    row(
        "loss weights of no output",
        "`digt`",
        "`digit`",
        model="mine.py:two_outputs",
        loss="mse",
        loss_weights={"digt": 1.0},
    ),
    row("loss weights for one output", "one output", loss_weights={"digit": 2.0, "odd": 1.0}),
    row(
        "loss weight for several outputs",
        "several outputs",
        model="mine.py:two_outputs",
        loss="mse",
        loss_weights=0.5,
    ),
    row("model a number", "`model` is 3", "not a name", model=3),
    row("model blank", "`model`", "a name cannot be empty", model="  "),
    row("model a table without a name", "`model`", model={"name": 3}),
    row("dataset a flag", "`dataset` is True", dataset=True),
    row("metrics with a number", "`metrics`", "3 is not a name", metrics=["accuracy", 3]),
    row("callbacks a number", "`callbacks`", callbacks=3),
    row("precision a number", "`precision` is 16", "string", precision=16),
    row("initial weights a number", "`initial_weights` is 3", "path", initial_weights=3),
    row("initial weights gone", "There is no file `gone.weights.h5`", initial_weights="gone.weights.h5"),
    row("initial weights a folder", "There is no file `.`", initial_weights="."),
    row("initial weights of Python", "mine.py", ".weights.h5 or .keras", initial_weights="mine.py"),
)


def text(name: str, toml: str, *says: str) -> Bad:
    """A row of an experiment file, which every answer names."""
    return Bad(name, ("e.toml", *says), toml=toml)


TOML = (
    text("toml empty value", "model = 'mlp'\nepochs =\n", "not valid TOML", "line 2"),
    text("toml open text", "model = 'mlp\n", "not valid TOML", "line 1"),
    text("toml open list", "metrics = ['accuracy'\n", "not valid TOML"),
    text("toml open table", "model = 'mlp'\n[optimizer\n", "not valid TOML", "line 2"),
    text("toml twice the key", "epochs = 1\nseed = 1\nepochs = 2\n", "not valid TOML", "line 3"),
    text("toml twice the table", "[optimizer]\nname = 'sgd'\n[optimizer]\n", "not valid TOML", "line 3"),
    text("toml bare text", "model = mlp\n", "not valid TOML", "line 1"),
    text("toml is JSON", '{"model": "mlp"}\n', "not valid TOML", "line 1"),
    text("toml is YAML", "model: mlp\n", "not valid TOML", "line 1"),
    text("toml number of too many digits", f"epochs = {'9' * 5000}\n", "not valid TOML"),
    text("toml nested too deeply", f"x = {'[' * 3000}{']' * 3000}\n", "not valid TOML"),
    text("toml unknown key", "seed = 3\n\n# comment\nepoch = 3\n", "no key `epoch` (line 4)", "`epochs`"),
    text(
        "toml unknown table",
        "seed = 3\n[optimiser]\nname = 'sgd'\n",
        "no key `optimiser` (line 2)",
        "`optimizer`",
    ),
    text("toml unknown key after a list", "metrics = [\n  'accuracy',\n]\nepoch = 3\n", "`epoch` (line 4)"),
    text(
        "toml key in the wrong table",
        "[optimizer]\nname='sgd'\n[train]\nepochs = 3\n",
        "no key `train` (line 3)",
    ),
    text("toml wrong type", "seed = 1\nepochs = 'three'\n", "`epochs` (line 2) is 'three'", "integer"),
    text("toml wrong value", "# first\nbatch_size = 0\n", "`batch_size` (line 2) is 0"),
    text(
        "toml wrong value in a table",
        "seed = 0\n[class_weight]\n0 = 1.0\n1 = -2.0\n",
        "class_weight",
        "(line 4)",
        "-2.0",
    ),
    text("toml wrong choice", "execution = 'fast'\n", "`execution` (line 1) is 'fast'", "'fused'"),
    text("toml date", "seed = 1\nepochs = 2024-01-01\n", "`epochs` (line 2)"),
    text("toml nan", "learning_rate = nan\n", "`learning_rate` (line 1) is nan"),
    text("toml several", "epochs = 0\nsed = 1\n", "`epochs` (line 1)", "`sed` (line 2)"),
    text(
        "toml model a list", "seed = 1\nmodel = ['mlp']\n", "`model` (line 2)", "neither a name nor a table"
    ),
    text("toml model a number in its table", "[model]\nname = 3\n", "`model` (line 1)"),
    text("toml strategy a number", "strategy = 3\n", "`strategy` (line 1)", "not a name"),
    text("toml shuffle a number", "shuffle = 2\n", "`shuffle` (line 1)"),
    Bad(
        "toml not UTF-8",
        ("e.toml", "UTF-8"),
        options=("--experiment", "e.toml"),
        files={"e.toml": b"\xff\xfe\x00"},
    ),
    Bad("toml a folder", ("`.`", "cannot be read"), options=("--experiment", ".")),
    Bad("toml gone", ("There is no file `gone.toml`",), options=("--experiment", "gone.toml")),
    Bad("toml is Python", ("mine.py", "not valid TOML"), options=("--experiment", "mine.py")),
)


def option(name: str, *arguments: str, says: Sequence[str]) -> Bad:
    """A row of options of the command line."""
    return Bad(name, says, options=arguments)


OPTIONS = (
    option("option without equals", "--set", "epochs", says=("--set epochs", "key=value")),
    option("option without a key", "--set", "=3", says=("--set =3", "key=value")),
    option("option with dots alone", "--set", "..=3", says=("--set ..=3", "key=value")),
    option("option of no key", "--set", "epoch=3", says=("no key `epoch`", "Did you mean `epochs`")),
    option(
        "option of no component's key", "--set", "optimiser.momentum=1", says=("`optimiser`", "`optimizer`")
    ),
    option("option of a component", "--set", "optimizer.momentun=0.9", says=("`momentun`", "`momentum`")),
    option("option of a number", "--set", "epochs.more=3", says=("`epochs`", "integer")),
    option("option that is text", "--set", "epochs=many", says=("In the options", "`epochs` is 'many'")),
    option("option out of range", "--set", "validation_split=2", says=("`validation_split` is 2",)),
    option("flag that is near", "--epoch", "3", says=("No such option", "--epochs")),
    option("flag without a value", "--epochs", says=("--epochs", "requires an argument")),
    option("flag that is no number", "--epochs", "ten", says=("--epochs", "valid integer")),
    option("flag that is not whole", "--batch-size", "2.5", says=("--batch-size", "valid integer")),
    option("flag for a rate", "--learning-rate", "much", says=("--learning-rate", "valid number")),
    option("flag with a rate that is none", "--learning-rate", "nan", says=("`learning_rate` is nan",)),
    option("flag with an infinite rate", "--learning-rate", "inf", says=("`learning_rate` is inf",)),
    option("flag with a negative seed", "--seed", "-1", says=("`seed` is -1",)),
    option("argument too many", "extra", says=("unexpected extra argument",)),
    option("runs in a file", "--runs", "mine.py", says=("mine.py", "--runs")),
    option("runs below a file", "--runs", "mine.py/runs", says=("mine.py/runs", "--runs")),
    Bad("command", ("No such command 'trian'", "train"), command="trian", options=()),
    Bad("command of runs", ("No such command 'lst'",), command="runs", options=("lst",)),
    Bad(
        "compare varies nothing",
        ("key=value",),
        command="compare",
        options=("custom-step", "--vary", "epochs"),
    ),
    Bad(
        "compare varies no key",
        ("`epoch`", "`epochs`"),
        command="compare",
        options=("custom-step", "--vary", "epoch=1,2"),
    ),
    Bad(
        "compare seeds",
        ("--seeds", "whole numbers"),
        command="compare",
        options=("custom-step", "--seeds", "a,b"),
    ),
    Bad(
        "compare seeds twice",
        ("--seeds", "twice"),
        command="compare",
        options=("custom-step", "--seeds", "1,1"),
    ),
    Bad(
        "compare one",
        ("nothing to compare it with", "--vary"),
        command="compare",
        options=("custom-step",),
        call=lambda engine, here: engine.compare("custom-step"),
    ),
    Bad(
        "compare what there is not",
        ("`custm-step`", "Did you mean `custom-step`"),
        command="compare",
        options=("custm-step", "custom-step"),
        call=lambda engine, here: engine.compare("custm-step", "custom-step"),
    ),
    Bad(
        "compare a row of the article",
        ("no row 11", "1 to 10"),
        command="compare",
        options=("article:11", "article:1"),
        call=lambda engine, here: engine.compare("article:11", "article:1"),
    ),
    Bad(
        "explain three",
        ("Two trainings",),
        command="explain",
        options=("custom-step", "compiled-fit", "gradient-tape"),
        call=lambda engine, here: engine.explain("custom-step", "compiled-fit", "gradient-tape"),
    ),
    Bad(
        "check a scenario that there is not",
        ("`plian`", "`plain`"),
        command="check",
        options=("mine.py:step", "--scenario", "plian"),
        call=lambda engine, here: engine.check("mine.py:step", scenarios=["plian"]),
    ),
    Bad(
        "check expects what there is not",
        ("`loss-reductoin`", "`loss-reduction`"),
        command="check",
        options=("mine.py:step", "--expect", "loss-reductoin"),
        call=lambda engine, here: engine.check("mine.py:step", expect=["loss-reductoin"]),
    ),
    Bad(
        "check what there is not",
        ("custm-step", "custom-step"),
        command="check",
        options=("custm-step",),
        call=lambda engine, here: engine.check("custm-step"),
    ),
    Bad(
        "show no plugin",
        ("no plugin `kerasx-mnits`", "kerasx-mnist"),
        command="plugins",
        options=("show", "kerasx-mnits"),
    ),
)


def train_once(folder: Path) -> Path:
    """The directory of a finished run, in a folder beside the user's file."""
    (folder / "mine.py").write_text(MINE)
    before = Path.cwd()
    os.chdir(folder)
    try:
        return folder / Engine().train(**BASE).directory
    finally:
        os.chdir(before)
