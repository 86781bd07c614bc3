"""The declaration: what it takes, what it refuses, and that its file says the same again."""

from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kerasx import Component, Experiment, UsageError
from kerasx.experiment import merged

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAME = TEXT.filter(str.strip)
SCALAR = st.one_of(TEXT, st.integers(), st.booleans(), st.floats(allow_nan=False))
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
COMPONENT = st.builds(
    Component, name=NAME, options=st.dictionaries(TEXT.filter("name".__ne__), VALUE, max_size=3)
)
EXPERIMENT = st.builds(
    Experiment,
    model=COMPONENT,
    dataset=COMPONENT,
    loss=st.none() | COMPONENT,
    metrics=st.none() | st.lists(COMPONENT, max_size=3).map(tuple),
    optimizer=st.none() | COMPONENT,
    learning_rate=st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False, width=32),
    epochs=st.integers(1, 10**9),
    batch_size=st.integers(1, 10**9),
    seed=st.integers(0, 2**32 - 1),
    strategy=COMPONENT,
    execution=st.sampled_from([None, "eager", "graph"]),
    jit=st.sampled_from([None, True, False]),
    precision=st.none() | st.just("mixed_float16"),
    labels=st.sampled_from(["as-given", "one-hot"]),
    callbacks=st.lists(COMPONENT, max_size=2).map(tuple),
    initial_weights=st.none() | st.just(Path("folder/some.weights.h5")),
)


def refused(values: dict[str, Any]) -> str:
    """The message of the `UsageError` that these values raise."""
    with pytest.raises(UsageError) as raised:
        Experiment.parse(values, source="`my.toml`")
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith("In `my.toml`, ")
    return str(raised.value)


def read(folder: Path, text: str) -> Experiment:
    file = folder / "experiment.toml"
    file.write_text(text, encoding="utf-8", newline="")
    return Experiment.from_toml(file)


def test_the_defaults_are_the_articles_experiment() -> None:
    experiment = Experiment()
    parts = (experiment.model, experiment.dataset, experiment.strategy)
    assert [part.described for part in parts] == ["mlp", "mnist", "custom-step"]
    assert (experiment.epochs, experiment.batch_size, experiment.seed) == (10, 32, 0)
    assert experiment.loss is experiment.metrics is experiment.optimizer is experiment.learning_rate is None


@given(EXPERIMENT)
def test_an_experiment_is_the_same_after_it_was_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, experiment: Experiment
) -> None:
    text = experiment.to_toml()
    again = read(tmp_path_factory.getbasetemp(), text)
    assert again == experiment
    assert again.to_toml() == text
    assert again.objects == []
    assert not text.startswith("#")
    assert Experiment.parse(experiment.to_plain()) == experiment


def test_an_option_called_name_does_not_rename_its_component() -> None:
    """A table has one `name`: that of the component. Such an option is refused, or survives."""
    with contextlib.suppress(ValidationError):
        experiment = Experiment(optimizer=Component(name="adam", options={"name": "my_adam"}))
        assert Experiment.parse(experiment.to_plain()).optimizer == experiment.optimizer


def test_options_that_toml_can_hold_keep_their_types(tmp_path: Path) -> None:
    """TOML's own dates, and NumPy's numbers as plain ones."""
    experiment = read(tmp_path, "model = {name = 'own', since = 1979-05-27}")
    assert read(tmp_path, experiment.to_toml()) == experiment
    options = {"rate": np.float32(0.5), "units": np.int64(3), "sizes": (np.int32(1), 2), "flag": np.True_}
    again = read(tmp_path, Experiment.parse({"model": {"name": "own", **options}}).to_toml())
    assert again.model.options == {"rate": 0.5, "units": 3, "sizes": [1, 2], "flag": True}


def test_a_component_is_a_name_a_table_or_an_object(tmp_path: Path) -> None:
    experiment = read(
        tmp_path,
        """
        model = "path/own.py:build"
        metrics = ["accuracy", {name = "top-3", k = 3}]
        optimizer = {name = "adam", beta_1 = 0.8}
        [dataset]
        name = "own.npz"
        [strategy]
        name = "custom-step"
        step = {deep = [1, 2]}
        """,
    )
    assert experiment.model == Component(name="path/own.py:build")
    assert experiment.metrics == (Component(name="accuracy"), Component(name="top-3", options={"k": 3}))
    assert experiment.optimizer == Component(name="adam", options={"beta_1": 0.8})
    assert experiment.dataset == Component(name="own.npz")
    assert experiment.strategy.options == {"step": {"deep": [1, 2]}}


def test_a_table_without_a_name_sets_options_of_the_default(tmp_path: Path) -> None:
    experiment = read(tmp_path, "model = {hidden = [32]}\noptimizer = {momentum = 0.9}")
    assert experiment.model == Component(name="mlp", options={"hidden": [32]})
    assert experiment.optimizer == Component(name="sgd", options={"momentum": 0.9})
    assert Experiment().model.options == {}


@pytest.mark.parametrize("text", ['model = ["mlp"]', "[model]\nname = 3", "strategy = [1, 2]"])
def test_a_file_never_yields_objects(tmp_path: Path, text: str) -> None:
    """What is no component is refused where it stands, not carried on as if somebody had handed it over."""
    key = text.strip("[").split("]")[0].split(" ")[0]
    with pytest.raises(UsageError, match=f"`{key}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("epoch", "epochs"),
        ("batch-size", "batch_size"),
        ("learning_rat", "learning_rate"),
        ("Model", "model"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(key: str, near: str) -> None:
    message = refused({key: 3})
    assert f"there is no key `{key}`. Did you mean `{near}`" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", "3"),
        ("epochs", True),
        ("batch_size", 0),
        ("seed", -1),
        ("seed", 2**32),
        ("learning_rate", "0.1"),
        ("learning_rate", 0),
        ("learning_rate", -0.1),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", True),
        ("execution", "fast"),
        ("jit", "maybe"),
        ("jit", 3),
        ("labels", "onehot"),
        ("precision", 16),
        ("initial_weights", 3),
        ("model", 3),
        ("model", True),
        ("model", ""),
        ("strategy", "  "),
        ("dataset", None),
    ],
)
def test_a_wrong_value_is_named_with_its_key(key: str, value: object) -> None:
    message = refused({key: value})
    assert f"`{key}" in message
    assert repr(value) in message


def test_every_wrong_field_is_named_at_once() -> None:
    message = refused({"epochs": 0, "sed": 1, "metrics": ["accuracy", 3]})
    for part in ("`epochs` is 0", "`sed`. Did you mean `seed`", "`metrics` is", "3 is not a name"):
        assert part in message


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        Experiment.from_toml(tmp_path / "nothing.toml")
    with pytest.raises(UsageError, match="cannot be read"):
        Experiment.from_toml(tmp_path)
    for content in (b"epochs = ", b"epochs = 1\nepochs = 2", b"\xff\xfe", b"model = 'mlp"):
        (tmp_path / "wrong.toml").write_bytes(content)
        with pytest.raises(UsageError, match=r"wrong\.toml.*not valid TOML"):
            Experiment.from_toml(tmp_path / "wrong.toml")
    (tmp_path / "key.toml").write_text("epoch = 3")
    with pytest.raises(UsageError, match=r"In `.*key\.toml`, there is no key `epoch`"):
        Experiment.from_toml(tmp_path / "key.toml")


class Odd:
    """An object that no file can describe."""


def test_objects_are_noted_and_the_file_says_that_it_is_not_whole() -> None:
    odd = Odd()
    experiment = Experiment.parse({"model": odd, "metrics": ["accuracy", odd], "optimizer": "adam"})
    assert experiment.objects == ["model", "metrics"]
    assert experiment.model.value is odd
    assert experiment.model.described == "<Odd object>"
    heading, _, rest = experiment.to_toml().partition("\n")
    assert heading.startswith("#")
    assert "model, metrics" in heading
    assert tomllib.loads(rest)["metrics"] == ["accuracy", "<Odd object>"]
    assert Experiment().objects == []


def test_an_object_among_options_is_noted_too() -> None:
    """A learning-rate schedule, say: the file cannot hold it either."""
    experiment = Experiment.parse({"optimizer": {"name": "adam", "learning_rate": Odd()}})
    assert experiment.objects == ["optimizer"]
    assert experiment.to_toml().startswith("# Not re-runnable")


def test_options_lie_over_a_file() -> None:
    """A table without a name adds its options to what is below; all else replaces; nothing is mutated."""
    base = {
        "optimizer": {"name": "adam", "beta_1": 0.8},
        "epochs": 3,
        "metrics": ["accuracy"],
        "model": "own",
    }
    kept = {key: dict(value) if isinstance(value, dict) else value for key, value in base.items()}
    assert merged(base, {}) == base
    assert merged(base, {"epochs": 5, "seed": 1}) == {**base, "epochs": 5, "seed": 1}
    assert merged(base, {"metrics": ["mse"]})["metrics"] == ["mse"]
    both = {"name": "adam", "beta_1": 0.9, "beta_2": 0.7}
    assert merged(base, {"optimizer": {"beta_1": 0.9, "beta_2": 0.7}})["optimizer"] == both
    other = {"name": "sgd", "momentum": 0.9}
    assert merged(base, {"optimizer": other})["optimizer"] == other
    assert merged(base, {"optimizer": "rmsprop"})["optimizer"] == "rmsprop"
    assert merged(base, {"model": {"depth": 2}})["model"] == {"name": "own", "depth": 2}
    assert merged({}, {"model": {"hidden": [8]}})["model"] == {"name": "mlp", "hidden": [8]}
    assert merged({}, {"optimizer": {"momentum": 0.9}})["optimizer"] == other
    assert base == kept


def test_an_experiment_is_frozen_and_replaced_field_by_field() -> None:
    experiment = Experiment(epochs=3, model="own")
    for target, name in ((experiment, "epochs"), (experiment.model, "name")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(target, name, 5)
    changed = experiment.with_values(epochs=5, seed=7)
    assert (changed.epochs, changed.seed, changed.model.name) == (5, 7, "own")
    assert (experiment.epochs, experiment.seed) == (3, 0)
    with pytest.raises(UsageError, match="`epoch`"):
        experiment.with_values(epoch=5)


def test_one_name_stands_for_a_list_of_one() -> None:
    assert Experiment.parse({"metrics": "accuracy"}) == Experiment.parse({"metrics": ["accuracy"]})
