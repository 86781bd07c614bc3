"""The command line: what it prints where, its exit codes, and that bad input gets an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from kerasx.cli.app import build_app

MINE = """
import keras
import numpy as np
import tensorflow as tf


def data():
    x = np.random.RandomState(1).randn(100, 4).astype("float32")
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    return {"x_train": x, "y_train": y, "x_test": x[:30], "y_test": y[:30]}


def build(signature, units=16):
    return keras.Sequential(
        [keras.Input(signature.inputs.shape[1:]), keras.layers.Dense(units, "relu"), keras.layers.Dense(3)]
    )


def loss(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def mean_output(y_true, y_pred):
    return keras.ops.mean(y_pred, axis=-1)


def step(model, data):
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        value = model.compute_loss(x, y, y_pred, sample_weight)
    model.optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(value, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred, sample_weight)


def printing_step(model, data):
    print("from the step")
    return step(model, data)


def failing_step(model, data):
    raise RuntimeError("on purpose")


def failing_data():
    return {}["x_train"]


number = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a user's file in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASX_RUNS", raising=False)
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def kerasx(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), arguments, env={"COLUMNS": "200"})


SMALL = ("--model", "mine.py:build", "--dataset", "mine.py:data", "--loss", "mine.py:loss", "--epochs", "2")


def test_own_functions_as_model_data_loss_metric_and_step_in_one_command(here: Path) -> None:
    """Every part by reference; JSON has the fields of the design and nothing else is on stdout."""
    result = kerasx(
        "train", *SMALL, "--metric", "mine.py:mean_output", "--strategy", "mine.py:step", "--json"
    )
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert set(shown) == {
        "run",
        "strategy",
        "execution",
        "jit",
        "history",
        "evaluation",
        "seconds",
        "steps_per_second",
        "weights_digest",
    }
    assert shown["strategy"] == "mine.py:step"
    assert set(shown["history"]) == {"loss", "mean_output", "val_loss", "val_mean_output"}
    assert all(len(values) == 2 for values in shown["history"].values())
    assert "step: mine.py:step" in result.stderr
    assert Path(shown["run"]).parent == Path("runs")


def test_json_is_one_document_whatever_a_step_prints(here: Path) -> None:
    """What user code prints goes to standard error."""
    result = kerasx("train", *SMALL, "--strategy", "mine.py:printing_step", "--execution", "eager", "--json")
    assert json.loads(result.stdout)["strategy"] == "mine.py:printing_step"
    assert "from the step" in result.stderr


def test_npz_data_then_evaluate_predict_and_export(here: Path) -> None:
    """A user's npz trains; the run is then evaluated, predicted from and exported."""
    rows = np.random.RandomState(0).randn(64, 4).astype("float32")
    labels = (rows[:, 0] > 0).astype("int64")
    np.savez(here / "own.npz", x_train=rows, y_train=labels, x_test=rows[:20], y_test=labels[:20])
    np.savez(here / "rows.npz", x=rows[:5])
    trained = kerasx(
        "train", "--dataset", "own.npz", "--loss", "sum-squared-error", "--epochs", "1", "--json", "--quiet"
    )
    assert trained.exit_code == 0, trained.stderr
    assert trained.stderr == ""
    run = json.loads(trained.stdout)

    evaluated = kerasx("evaluate", "last", "--json")
    assert json.loads(evaluated.stdout)["evaluation"] == run["evaluation"]

    predicted = kerasx(
        "predict", Path(run["run"]).name, "--input", "rows.npz", "--output", "out.npz", "--json"
    )
    assert json.loads(predicted.stdout) == {"output": "out.npz", "arrays": {"predictions": [5, 2]}}
    assert np.load(here / "out.npz")["predictions"].shape == (5, 2)
    again = kerasx("predict", "last", "--input", "rows.npz", "--output", "out.npz")
    assert again.exit_code == 2
    assert "out.npz" in again.stderr

    for target in ("model.keras", "model.weights.h5"):
        assert kerasx("export", "last", target).exit_code == 0
        assert (here / target).is_file()
    assert kerasx("export", "last", "saved", "--format", "saved-model").exit_code == 0
    assert (here / "saved" / "saved_model.pb").is_file()


def test_options_go_before_the_file_and_the_file_before_the_defaults(here: Path) -> None:
    """Precedence shows in the dry run's experiment; options of a component add to the file's."""
    (here / "e.toml").write_text(
        'model = "mine.py:build"\ndataset = "mine.py:data"\nloss = "mine.py:loss"\n'
        "epochs = 7\nbatch_size = 5\n"
        '[optimizer]\nname = "sgd"\nmomentum = 0.5\n'
    )
    result = kerasx(
        "train",
        "--experiment",
        "e.toml",
        "--epochs",
        "3",
        "--set",
        "optimizer.nesterov=true",
        "--dry-run",
        "--json",
    )
    assert result.exit_code == 0, result.stderr
    experiment = json.loads(result.stdout)["experiment"]
    assert experiment["epochs"] == 3
    assert experiment["batch_size"] == 5
    assert experiment["seed"] == 0
    assert experiment["optimizer"] == {"name": "sgd", "momentum": 0.5, "nesterov": True}
    assert experiment["learning_rate"] == 0.01
    assert not (here / "runs").exists()


def test_dry_run_says_who_answered_and_keeps_nothing(here: Path) -> None:
    """The resolved experiment, a model summary, who answered for what, one batch."""
    result = kerasx("train", *SMALL, "--dry-run", "--strategy", "gradient-tape")
    assert result.exit_code == 0, result.stderr
    for expected in (
        'strategy = "gradient-tape"',
        "(Dense)",
        "kerasx-gradient-tape",
        "import reference",
    ):
        assert expected in result.stdout
    assert "one batch trained: " in result.stdout
    assert not (here / "runs").exists()


def test_dry_run_does_not_go_on_with_a_run(here: Path) -> None:
    result = kerasx("train", *SMALL, "--dry-run", "--resume", "last")
    assert result.exit_code == 2
    assert "Leave one of them out" in result.stderr


def test_initial_weights_are_where_training_starts(here: Path) -> None:
    """With a learning rate near nothing the digest after a run is that of the weights it started from."""
    first = json.loads(kerasx("train", *SMALL, "--json").stdout)
    kerasx("export", "last", "w.weights.h5")
    same = kerasx(
        "train",
        *SMALL,
        "--seed",
        "5",
        "--initial-weights",
        "w.weights.h5",
        "--learning-rate",
        "1e-30",
        "--json",
    )
    assert json.loads(same.stdout)["weights_digest"] == first["weights_digest"]


def test_runs_list_and_show(here: Path) -> None:
    """What was kept is listed, and shown with its experiment, environment and end."""
    assert "no runs" in kerasx("runs", "list").stdout
    run = json.loads(kerasx("train", *SMALL, "--json").stdout)
    listed = json.loads(kerasx("runs", "list", "--json").stdout)
    assert [row["weights_digest"] for row in listed] == [run["weights_digest"]]
    shown = json.loads(kerasx("runs", "show", "last", "--json").stdout)
    assert shown["experiment"]["model"] == "mine.py:build"
    assert shown["summary"]["status"] == "finished"
    assert shown["environment"]["versions"]["keras"]
    text = kerasx("runs", "show", "last").stdout
    assert run["weights_digest"] in text
    assert "finished" in text


BAD: list[tuple[tuple[str, ...], int, tuple[str, ...]]] = [
    (("--strategy", "custm-step"), 2, ("custm-step", "custom-step")),
    (("--strategy", "reference"), 2, ("reserved",)),
    (("--strategy", "mine.py:number"), 2, ("mine.py:number", "int")),
    (("--strategy", "mine.py:stp"), 2, ("stp", "step")),
    (("--strategy", "mine.py:data"), 2, ("(model, data)",)),
    (("--strategy", "mine.py:failing_step"), 2, ("on purpose", "first batch", "mine.py")),
    (("--strategy", "compiled-fit", "--set", "strategy.step=mine.py:step"), 2, ("step", "compiled-fit")),
    (("--model", "mpl"), 2, ("mpl", "mlp")),
    (("--model", "mine.py:number"), 2, ("int", "keras.Model")),
    (("--model", "mine.py:data"), 2, ("dict", "keras.Model")),
    (("--model", "gone.keras"), 2, ("gone.keras",)),
    (("--set", "model.unts=3"), 2, ("unts", "units")),
    (("--dataset", "mnits"), 2, ("mnits", "mnist")),
    (("--dataset", "gone.npz"), 2, ("gone.npz",)),
    (("--dataset", "mine.py:failing_data"), 2, ("KeyError", "x_train", "line")),
    (("--dataset", "gone.py:data"), 2, ("gone.py",)),
    (("--dataset", "no_such_package:data"), 2, ("no_such_package",)),
    (("--loss", "mean_sqared_error"), 2, ("mean_squared_error",)),
    (("--loss", "mine.py:number"), 2, ("int",)),
    (("--metric", "acuracy"), 2, ("acuracy", "accuracy")),
    (("--optimizer", "adamm"), 2, ("adamm", "adam")),
    (("--set", "optimizer.momentun=0.9"), 2, ("momentun", "momentum")),
    (("--learning-rate", "-1"), 2, ("learning_rate", "greater than 0")),
    (("--learning-rate", "much"), 2, ("Invalid value for '--learning-rate'",)),
    (("--epochs", "0"), 2, ("epochs", "0")),
    (("--batch-size", "0"), 2, ("batch_size", "0")),
    (("--seed", "-1"), 2, ("seed", "-1")),
    (("--execution", "graf"), 2, ("graf", "graph")),
    (("--execution", "eager", "--jit"), 2, ("eager", "jit")),
    (("--precision", "float31"), 2, ("float31", "float32")),
    (("--callback", "tensorbord"), 2, ("tensorbord", "tensorboard")),
    (("--callback", "mine.py:number"), 2, ("int",)),
    (("--initial-weights", "gone.weights.h5"), 2, ("gone.weights.h5",)),
    (("--experiment", "gone.toml"), 2, ("gone.toml",)),
    (("--experiment", "mine.py"), 2, ("mine.py", "TOML")),
    (("--set", "epochs"), 2, ("epochs", "key=value")),
    (("--set", "epoch=3"), 2, ("epoch", "epochs")),
    (("--set", "epochs=many"), 2, ("epochs", "many")),
    (("--epoch", "3"), 2, ("--epochs",)),
    (("--runs", "mine.py"), 2, ("mine.py",)),
    (("--devices", "0"), 2, ("devices",)),
]


@pytest.mark.parametrize(("arguments", "code", "said"), BAD, ids=[" ".join(row[0]) for row in BAD])
def test_bad_input_gets_one_answer(
    here: Path, arguments: tuple[str, ...], code: int, said: tuple[str, ...]
) -> None:
    """Exit code, what and where, the nearest valid names, no traceback, nothing left behind."""
    result = kerasx("train", *SMALL, *arguments)
    assert result.exit_code == code, result.stderr
    for expected in said:
        assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert not (here / "runs").exists() or not any((here / "runs").iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "nosuchrun"),
        ("predict", "nosuchrun", "--input", "a.npz", "--output", "b.npz"),
        ("export", "nosuchrun", "m.keras"),
        ("runs", "show", "nosuchrun"),
        ("plugins", "show", "nosuchplugin"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_unknown_runs_and_plugins(here: Path, arguments: tuple[str, ...]) -> None:
    """A run or plugin that is not there is named."""
    result = kerasx(*arguments)
    assert result.exit_code == 2
    assert "nosuch" in result.stderr


def test_the_loss_has_to_be_named_for_other_models_and_data(here: Path) -> None:
    """The article's loss is a default for the article's job only."""
    result = kerasx("train", "--model", "mine.py:build", "--dataset", "mine.py:data")
    assert result.exit_code == 2
    assert "--loss" in result.stderr


def test_debug_shows_the_traceback(here: Path) -> None:
    """With --debug the user's own frames are there."""
    result = kerasx("train", *SMALL, "--dataset", "mine.py:failing_data", "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "failing_data" in result.stderr


def test_a_non_finite_training_ends_with_4(here: Path) -> None:
    """The loss that is not finite is named, and the run says so."""
    result = kerasx("train", *SMALL, "--loss", "sum-squared-error", "--learning-rate", "1e30")
    assert result.exit_code == 4
    assert "non-finite" in result.stderr
    listed = json.loads(kerasx("runs", "list", "--json").stdout)
    assert [row["status"] for row in listed] == ["non-finite"]


def test_a_plugin_that_fails_ends_with_3(here: Path, install_plugin: Any) -> None:
    """Asked for by name, a plugin whose code cannot be imported is named with its distribution."""
    install_plugin(
        "kerasx-late",
        """
        from kerasx import LossSpec, hookimpl

        @hookimpl
        def kerasx_losses():
            return [LossSpec("late", "Cannot be imported.", "kerasx_late.gone:loss")]
        """,
    )
    result = kerasx("train", *SMALL, "--loss", "late")
    assert result.exit_code == 3
    assert "kerasx-late 1.0" in result.stderr
    assert "Traceback" not in result.stderr
    assert not any((here / "runs").iterdir())


def test_a_plugins_command(here: Path, install_plugin: Any) -> None:
    """A command of a plugin is listed, runs with typed parameters, and is imported only then."""
    install_plugin(
        "kerasx-greeting",
        {
            "kerasx_greeting/__init__.py": """
            from kerasx import CommandSpec, hookimpl

            @hookimpl
            def kerasx_commands():
                return [CommandSpec("greet", "Say hello.", "kerasx_greeting.command:greet")]
            """,
            "kerasx_greeting/command.py": """
            import kerasx

            def greet(name: str = "world", times: int = 1) -> None:
                if times < 1:
                    raise kerasx.UsageError("times has to be 1 or more")
                print(f"Hello, {name}! " * times)
            """,
        },
    )
    assert "Say hello." in kerasx("--help").stdout
    assert kerasx("greet", "--name", "you", "--times", "2").stdout.strip() == "Hello, you! Hello, you!"
    refused = kerasx("greet", "--times", "0")
    assert (refused.exit_code, "1 or more" in refused.stderr) == (2, True)


def test_version() -> None:
    """The installed version."""
    assert kerasx("--version").stdout == "kerasx 0.1.0\n"


def test_a_fault_of_kerasx_itself_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 says that two trainings differ."""

    def fails(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("kerasx.engine.Engine.compare", fails)
    result = kerasx("compare", "compiled-fit", "custom-step")
    assert result.exit_code == 70
    assert "ZeroDivisionError: on purpose" in result.stderr
    assert "a fault of kerasx" in result.stderr
    assert result.stdout == ""
