"""Several outputs: losses, their weights and metrics for each, in every notation, as Keras takes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import kerasx
from kerasx.assembly.isolation import isolated
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402

# The last of the four batches of an epoch has 2 rows.
ROWS, BATCH, EPOCHS, SEED = 50, 16, 2, 5
GENERATOR = np.random.default_rng(6)
X = GENERATOR.normal(size=(ROWS, 4)).astype("float32")
DIGIT = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)
SIZE = X.sum(axis=1, keepdims=True)
NAMED = {"digit": DIGIT, "size": SIZE}
WEIGHTS = {
    "digit": np.linspace(0, 2, ROWS, dtype="float32"),
    "size": np.linspace(1, 0, ROWS, dtype="float32"),
}


def part(structure: Any, rows: slice) -> Any:
    return keras.tree.map_structure(lambda array: array[rows], structure)


VALIDATION = part((X, NAMED, WEIGHTS), slice(30, None))


def as_dictionary() -> keras.Model:
    inputs = keras.Input((4,))
    outputs = {"digit": keras.layers.Dense(3)(inputs), "size": keras.layers.Dense(1)(inputs)}
    return keras.Model(inputs, outputs)


def as_list() -> keras.Model:
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(3, name="digit")(inputs), keras.layers.Dense(1, name="size")(inputs)]
    return keras.Model(inputs, outputs)


class AsTuple(keras.Model):
    """Its outputs have no names."""

    def __init__(self) -> None:
        super().__init__()
        self.digit, self.size = keras.layers.Dense(3), keras.layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.digit(inputs), self.size(inputs)


def crossentropy(y_true: Any, y_pred: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def weighted_rows() -> tuple[Any, Any]:
    return (X, NAMED, WEIGHTS), VALIDATION


def listed_rows() -> tuple[Any, Any]:
    return X, [DIGIT, SIZE]


def named_rows() -> tuple[Any, Any]:
    return X, NAMED


class InOrder(keras.utils.PyDataset):
    """Batches in the order of epoch `number`, for a script that knows nothing else of kerasx."""

    def __init__(self, rows: tuple[Any, ...]) -> None:
        super().__init__()
        self.rows, self.number = keras.tree.lists_to_tuples(rows), 0

    def set_epoch(self, epoch: int, logs: Any = None) -> None:
        self.number = epoch

    def __len__(self) -> int:
        return -(-ROWS // BATCH)

    def __getitem__(self, index: int) -> Any:
        order = kerasx.batch_order(SEED, self.number, ROWS)
        return part(self.rows, order[index * BATCH : (index + 1) * BATCH])


Result = tuple[str, dict[str, list[float]], dict[str, float]]


def plain(build: Callable[[], keras.Model], data: tuple[Any, ...], **compiled: Any) -> Result:
    """What a script without kerasx does: digest, history and evaluation."""
    train, validation = data if isinstance(data[0], tuple) else (data, None)
    with isolated(0):  # puts the process's random streams back
        keras.utils.set_random_seed(SEED)
        model = build()
        model.compile(**{"optimizer": "sgd", **compiled})
        batches = InOrder(train)
        log = model.fit(
            batches,
            epochs=EPOCHS,
            shuffle=False,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=batches.set_epoch)],
            validation_data=validation,
            validation_batch_size=BATCH,
            verbose=0,
        )
        evaluation = {}
        if validation is not None:
            x, y, weights = validation
            evaluation = model.evaluate(
                x, y, sample_weight=weights, batch_size=BATCH, verbose=0, return_dict=True
            )
        history = {name: [float(value) for value in values] for name, values in log.history.items()}
        return kerasx.weights_digest(model), history, evaluation


FIELDS: dict[str, Any] = {
    "batch_size": BATCH,
    "epochs": EPOCHS,
    "seed": SEED,
    "strategy": "gradient-tape",
    "execution": "graph",
    "jit": False,
}


def train(runs: Path, **values: Any) -> kerasx.Run:
    return kerasx.Engine(runs=runs).train(**{**FIELDS, **values})


def result_of(run: kerasx.Run) -> Result:
    return run.weights_digest, run.history, run.evaluation


def from_toml(folder: Path, text: str) -> kerasx.Experiment:
    (folder / "experiment.toml").write_text(text, encoding="utf-8")
    return kerasx.Experiment.from_toml(folder / "experiment.toml")


# --- the same bits as `compile` and `fit` ------------------------------------------------------------

TOML = f"""
model = "{__file__}:as_dictionary"
dataset = "{__file__}:weighted_rows"
loss_weights = {{digit = 2, size = 0.5}}
[loss]
digit = {{name = "sparse_categorical_crossentropy", from_logits = true}}
size = "{__file__}:squared"
[metrics]
digit = ["accuracy", {{name = "SparseTopKCategoricalAccuracy", k = 2}}]
[weighted_metrics]
size = "mae"
"""


def squared(y_true: Any, y_pred: Any) -> Any:
    return keras.losses.mean_squared_error(y_true, y_pred)


def top_two() -> keras.metrics.Metric:
    return keras.metrics.SparseTopKCategoricalAccuracy(2, name="SparseTopKCategoricalAccuracy")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> kerasx.Run:
    """A run of the experiment above, which can be repeated from its files."""
    folder = tmp_path_factory.mktemp("kept")
    return train(folder, experiment=from_toml(folder, TOML))


def test_a_table_for_each_part_in_every_notation(kept: kerasx.Run, tmp_path: Path) -> None:
    expected = plain(
        as_dictionary,
        weighted_rows(),
        loss={"digit": crossentropy, "size": "mse"},
        loss_weights={"digit": 2.0, "size": 0.5},
        metrics={"digit": ["accuracy", top_two()]},
        weighted_metrics={"size": ["mae"]},
    )
    objects: dict[str, Any] = {
        "model": as_dictionary,
        "dataset": weighted_rows,
        "loss_weights": {"size": 0.5, "digit": 2},
        "loss": {
            "size": keras.losses.MeanSquaredError(),
            "digit": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        },
        "metrics": {"digit": ["accuracy", top_two()]},
        "weighted_metrics": {"size": [keras.metrics.MeanAbsoluteError(name="mae")]},
    }
    # In a list for each output, the outputs of a dictionary are in the order of their names.
    lists = {
        "loss": [f"{__file__}:crossentropy", "mean_squared_error"],
        "loss_weights": [2.0, 0.5],
        "metrics": [["accuracy", top_two()], "none"],
        "weighted_metrics": [None, ["mae"]],
    }
    runs = {
        "TOML": kept,
        "objects": train(tmp_path, **objects, strategy="compiled-fit"),
        "lists": train(tmp_path, **{**objects, **lists}, strategy="custom-step"),
    }
    for notation, run in runs.items():
        assert result_of(run) == expected, notation
    names = ["loss", "digit_loss", "size_loss", "digit_accuracy", "digit_SparseTopKCategoricalAccuracy"]
    assert sorted(expected[2]) == sorted([*names, "size_mae"])
    assert expected[1]["loss"][1] < expected[1]["loss"][0]


@pytest.mark.parametrize(
    ("build", "weights", "strategies"),
    [(as_list, [0.5, 1.0], ("compiled-fit", "gradient-tape")), (AsTuple, None, ("gradient-tape",))],
)
def test_lists_for_outputs_in_a_list_or_a_tuple(
    build: Callable[[], keras.Model], weights: Any, strategies: tuple[str, ...], tmp_path: Path
) -> None:
    data = (X, [DIGIT, SIZE] if build is as_list else (DIGIT, SIZE))
    metrics = [["accuracy"], ["mae", "mse"]]
    expected = plain(build, data, loss=[crossentropy, "huber"], loss_weights=weights, metrics=metrics)
    losses = (crossentropy, {"name": "Huber", "delta": 1.0})
    if build is AsTuple:
        losses = (crossentropy, "huber")  # Keras calls the loss of an output without a name by this one
    for strategy in strategies:
        values = {"loss": losses, "loss_weights": weights, "metrics": metrics}
        run = train(tmp_path, model=build, dataset=data, strategy=strategy, **values)
        assert result_of(run) == expected, strategy


def test_names_for_outputs_in_a_list(tmp_path: Path) -> None:
    """Labels, losses and metrics by what the layers are called."""
    compiled = {"loss": {"size": "mse", "digit": crossentropy}, "loss_weights": {"size": 3.0, "digit": 1.0}}
    metrics = {"digit": ["accuracy"]}
    expected = plain(as_list, named_rows(), **compiled, metrics=metrics)
    assert (
        result_of(train(tmp_path, model=as_list, dataset=named_rows(), metrics=metrics, **compiled))
        == expected
    )


def test_an_output_without_a_loss(tmp_path: Path) -> None:
    """Left out of a table, or `none` in a list, which TOML cannot leave out."""
    values = {"model": as_dictionary, "dataset": named_rows(), "metrics": {"size": "mae"}}
    expected = plain(as_dictionary, named_rows(), loss={"digit": crossentropy}, metrics={"size": ["mae"]})
    assert result_of(train(tmp_path, **values, loss={"digit": crossentropy})) == expected
    assert expected[1]["size_mae"][0] == pytest.approx(expected[1]["size_mae"][1], rel=0.1)

    expected = plain(as_list, listed_rows(), loss=[None, "mse"], metrics=[["accuracy"], None])
    text = f"""
    model = "{__file__}:as_list"
    dataset = "{__file__}:listed_rows"
    loss = ["none", "mse"]
    metrics = [["accuracy"], "none"]
    """
    run = train(tmp_path, experiment=from_toml(tmp_path, text))
    assert result_of(run) == expected
    assert run.experiment.to_plain()["loss"] == ["none", "mse"]


def test_accuracy_is_chosen_for_each_output_by_its_own_labels(tmp_path: Path) -> None:
    positive = (SIZE > 0).astype("float32")
    tried = kerasx.Engine(runs=tmp_path).dry_run(
        model=as_dictionary,
        dataset=(X, {"size": positive, "digit": DIGIT}),
        loss={"digit": crossentropy, "size": {"name": "binary_crossentropy", "from_logits": True}},
        metrics={"size": "accuracy", "digit": ["accuracy"]},
    )
    said = [note for note in tried.notes if note.startswith("accuracy is")]
    assert said == [
        "accuracy is BinaryAccuracy: labels [batch, 1] float32, outputs [batch, 1] float32",
        "accuracy is SparseCategoricalAccuracy: labels [batch] int64, outputs [batch, 3] float32",
    ]
    assert {"digit_accuracy", "size_accuracy"} <= set(tried.logs)


def test_without_metrics_named_several_outputs_train_all_the_same(tmp_path: Path) -> None:
    losses = {"digit": crossentropy, "size": "mse"}
    expected = plain(as_dictionary, named_rows(), loss=losses)
    run = train(tmp_path, model=as_dictionary, dataset=named_rows(), loss=losses)
    assert result_of(run) == expected
    assert "no metric was named: several outputs need one each (a table `metrics`)" in run.notes


def test_loss_weights_of_a_model_that_arrives_compiled(tmp_path: Path) -> None:
    """They replace its own; everything else it was compiled with stays."""

    losses, metrics = {"digit": "mse", "size": "mse"}, {"size": ["mae"]}

    def compiled() -> keras.Model:
        model = as_dictionary()
        model.compile("sgd", losses, loss_weights={"digit": 1.0, "size": 3.0}, metrics=metrics)
        return model

    weights = {"digit": 0.25, "size": 2.0}
    rows = (X, {"digit": np.eye(3, dtype="float32")[DIGIT], "size": SIZE})
    run = train(tmp_path, model=compiled, dataset=rows, loss_weights=weights)
    asked = {"loss": losses, "loss_weights": weights, "metrics": metrics}
    assert result_of(run) == plain(as_dictionary, rows, **asked)


# --- files -------------------------------------------------------------------------------------------


def test_the_file_of_a_run_repeats_it(kept: kerasx.Run, tmp_path: Path) -> None:
    written = kerasx.Experiment.from_toml(kept.directory / "experiment.toml")
    again = kerasx.Engine(runs=tmp_path).train(written)
    assert result_of(again) == result_of(kept)
    assert again.experiment == kept.experiment
    assert written.loss_weights == {"digit": 2.0, "size": 0.5}


def test_a_run_can_be_evaluated(kept: kerasx.Run) -> None:
    engine = kerasx.Engine(runs=kept.directory.parent)
    assert engine.evaluate(kept) == kept.evaluation
    assert engine.evaluate(kept, dataset=weighted_rows()) == kept.evaluation


@pytest.mark.parametrize("strategy", ["compiled-fit", "custom-step", "gradient-tape"])
def test_training_rows_alone_are_evaluated_in_their_order(strategy: str, tmp_path: Path) -> None:
    """What Keras reports of each output depends on it, where the last batch is short."""
    losses = [f"{__file__}:crossentropy", "mse"]
    run = train(tmp_path, model=as_list, dataset=listed_rows(), loss=losses, strategy=strategy)
    expected = run.model.evaluate(X, [DIGIT, SIZE], batch_size=BATCH, verbose=0, return_dict=True)
    assert set(expected) >= {"loss", "digit_loss", "size_loss"}
    assert kerasx.Engine(runs=tmp_path).evaluate(run, dataset=listed_rows()) == expected


def test_the_command_line_sets_one_loss_of_several(kept: kerasx.Run, tmp_path: Path) -> None:
    from kerasx.cli.app import build_app

    (tmp_path / "own.toml").write_text(TOML, encoding="utf-8")
    arguments = [
        "train",
        "--experiment",
        str(tmp_path / "own.toml"),
        "--runs",
        str(tmp_path / "runs"),
        "--json",
    ]
    for key, value in {**FIELDS, "loss.size": "huber", "loss.size.delta": 0.5}.items():
        arguments += ["--set", f"{key}={str(value).lower()}"]
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    huber = {"name": "huber", "delta": 0.5}
    same = train(tmp_path, experiment=kept.experiment, loss={**kept.experiment.loss, "size": huber})
    assert json.loads(done.stdout)["weights_digest"] == same.weights_digest != kept.weights_digest


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAME = TEXT.filter(lambda text: bool(text.strip()) and text != "none")
OPTIONS = st.dictionaries(
    TEXT.filter("name".__ne__), st.one_of(TEXT, st.integers(), st.floats(allow_nan=False)), max_size=2
)
COMPONENT = st.builds(kerasx.Component, name=NAME, options=OPTIONS)
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


def keyed(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(TEXT.filter("name".__ne__), values, min_size=1, max_size=3)


TREE = st.recursive(
    COMPONENT, lambda inner: st.lists(st.none() | inner, max_size=3).map(tuple) | keyed(inner), max_leaves=6
)


def is_no_number(component: kerasx.Component) -> bool:
    try:
        float(component.name or "")
    except ValueError:
        return True
    return False


EXPERIMENT = st.fixed_dictionaries(
    {"loss": TREE},
    optional={
        "loss_weights": FINITE | st.lists(FINITE, max_size=3).map(tuple) | keyed(FINITE),
        "metrics": TREE,
        "weighted_metrics": TREE,
        "learning_rate": st.floats(0, 2**30, exclude_min=True, width=32) | COMPONENT.filter(is_no_number),
        "class_weight": st.dictionaries(st.integers(0, 2**24 - 1), st.floats(0, 1e300), max_size=3),
        "validation_split": st.floats(0, 1, exclude_min=True, exclude_max=True),
    },
)


@settings(max_examples=40)
@given(EXPERIMENT)
def test_trees_are_the_same_after_they_were_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    experiment = kerasx.Experiment.parse(values)
    text = experiment.to_toml()
    again = from_toml(tmp_path_factory.getbasetemp(), text)
    assert again == experiment
    assert again.to_toml() == text
    for name in values.keys() - {"metrics", "weighted_metrics"}:  # one metric becomes a list of one
        assert getattr(again, name) == values[name]
    assert again.objects == []


def test_an_output_without_a_metric_is_no_object(tmp_path: Path) -> None:
    """Keras's tables may hold None; nothing of that kind has been handed over."""
    experiment = kerasx.Experiment.parse({"metrics": {"digit": None}, "loss": {"digit": "mse", "size": None}})
    assert experiment.objects == []
    assert from_toml(tmp_path, experiment.to_toml()) == experiment


# --- what is refused ---------------------------------------------------------------------------------

LOSSES = {"digit": crossentropy, "size": "mse"}


@pytest.mark.parametrize(
    ("build", "values", "said"),
    [
        (as_dictionary, {"loss": {"digt": "mse"}}, r"The losses name an output `digt`.*Did you mean `digit`"),
        (as_list, {"loss": {"sise": "mse"}}, r"The losses name an output `sise`.*Did you mean `size`"),
        (
            as_dictionary,
            {"metrics": {"siz": ["mae"]}},
            r"The metrics name an output `siz`.*Did you mean `size`",
        ),
        (as_dictionary, {"weighted_metrics": {"siz": "mae"}}, r"name an output `siz`.*Did you mean `size`"),
        (
            as_dictionary,
            {"loss_weights": {"digits": 1.0}},
            r"The loss weights name an output `digits`.*Did you mean `digit`",
        ),
        (AsTuple, {"loss": {"digit": "mse"}}, "name an output `digit`, which the model does not have"),
        (
            as_list,
            {"loss": [crossentropy, "mse", "mse"]},
            "losses are a list of 3, and the model has 2 outputs",
        ),
        (
            AsTuple,
            {"loss": [crossentropy, "mse", "mse"]},
            "losses are a list of 3, and the model has 2 outputs",
        ),
        (as_list, {"metrics": [[], "mae", "mae"]}, "metrics are a list of 3, and the model has 2 outputs"),
        (as_list, {"loss_weights": [1.0, 2.0, 3.0]}, "loss_weights"),
        (as_dictionary, {"loss": {"digit": "mse", "size": "mse"}}, "give one-hot labels, or a sparse loss"),
        (as_list, {"loss": ["mse", "mse"]}, r"labels \[batch\] int64 for the outputs \[batch, 3\] float32"),
        (as_list, {"metrics": ["mae", "mae"]}, "MeanAbsoluteError compares labels and outputs element by"),
        (as_list, {"metrics": [["accuracy"], ["accuracy"]]}, "For a regression name another metric"),
        (as_list, {"loss": [crossentropy, "sparse_categorical_crossentropy"]}, "the model has one output"),
        (as_list, {"loss": [crossentropy, {"name": "huber", "detla": 1}]}, "Did you mean `delta`"),
        (as_list, {"loss": [crossentropy, "hubr"]}, "Did you mean `huber`"),
    ],
)
def test_what_fits_no_output_is_refused(
    build: Callable[[], keras.Model], values: dict[str, Any], said: str, tmp_path: Path
) -> None:
    labels: Any = {as_dictionary: NAMED, as_list: [DIGIT, SIZE], AsTuple: (DIGIT, SIZE)}[build]
    losses = LOSSES if build is as_dictionary else [crossentropy, "mse"]
    fields = {"loss": losses, "metrics": {} if build is as_dictionary else [], **values}
    with pytest.raises(kerasx.UsageError, match=said):
        kerasx.Engine(runs=tmp_path / "runs").dry_run(model=build, dataset=(X, labels), **fields)
