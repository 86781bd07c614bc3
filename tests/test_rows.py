"""Which rows are trained on, in which order and with which weight: as `fit` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402

RNG = np.random.RandomState(3)
ROWS = 70
X = RNG.randn(ROWS, 4).astype("float32")
NUMBERS = RNG.randint(0, 3, ROWS)
ONE_HOT = np.eye(3, dtype="float32")[NUMBERS]
BINARY = (NUMBERS > 1).astype("float32")[:, None]
WEIGHTS = {0: 2.0, 2: 0.25}
SPARSE = {"name": "sparse_categorical_crossentropy", "from_logits": True}


def model(units: int = 3) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])


def train(runs: Path, **values: Any) -> kerasx.Run:
    fields = {
        "model": model,
        "dataset": (X, NUMBERS),
        "loss": SPARSE,
        "epochs": 2,
        "shuffle": False,
        "execution": "graph",
        "jit": False,
    }
    return kerasx.Engine(runs=runs).train(**{**fields, **values})


def fit(y: Any, loss: Any, units: int = 3, **more: Any) -> tuple[str, dict[str, list[float]]]:
    keras.utils.set_random_seed(0)
    plain = model(units)
    plain.compile("sgd", loss, metrics=["accuracy"], jit_compile=False)
    history = plain.fit(X, y, batch_size=32, epochs=2, shuffle=False, verbose=0, **more)
    return kerasx.weights_digest(plain), history.history


@pytest.mark.parametrize("strategy", ["compiled-fit", "custom-step", "gradient-tape"])
@pytest.mark.parametrize(
    ("labels", "loss", "units"),
    [
        (NUMBERS, keras.losses.SparseCategoricalCrossentropy(from_logits=True), 3),
        (NUMBERS[:, None].astype("uint8"), keras.losses.SparseCategoricalCrossentropy(from_logits=True), 3),
        (ONE_HOT, keras.losses.CategoricalCrossentropy(from_logits=True), 3),
        (BINARY, keras.losses.BinaryCrossentropy(from_logits=True), 1),
    ],
    ids=["numbers", "column", "one-hot", "binary"],
)
def test_class_weights_are_those_of_fit(
    tmp_path: Path, strategy: str, labels: Any, loss: Any, units: int
) -> None:
    """One digest and history with `fit(class_weight=...)`, in which every class has to be named."""
    named = {0: 2.0, 1: 1.0, 2: 0.25}
    run = train(
        tmp_path,
        strategy=strategy,
        model=lambda: model(units),
        dataset=(X, labels),
        loss=loss,
        class_weight=named,
    )
    assert (run.weights_digest, run.history) == fit(labels, loss, units, class_weight=named)
    assert run.weights_digest != fit(labels, loss, units)[0]


def test_class_weights_are_those_of_the_rows(tmp_path: Path) -> None:
    """A class that is not named weighs 1; validation is not weighted; encoded labels keep their weights."""
    data = ((X, NUMBERS), (X, NUMBERS))
    run = train(tmp_path, dataset=data, class_weight=WEIGHTS)
    rows = np.array([WEIGHTS.get(number, 1.0) for number in NUMBERS])
    same = train(tmp_path, dataset=((X, NUMBERS, rows), (X, NUMBERS)))
    assert (run.weights_digest, run.history) == (same.weights_digest, same.history)
    again = kerasx.Engine(runs=tmp_path).evaluate(run, dataset=(X, NUMBERS))
    assert again == run.evaluation
    encoded = train(tmp_path, loss="mse", class_weight=WEIGHTS)
    assert encoded.weights_digest == train(tmp_path, dataset=(X, NUMBERS, rows), loss="mse").weights_digest


def test_class_weights_in_a_file(tmp_path: Path) -> None:
    """TOML's keys are text; what a run writes repeats it."""
    file = tmp_path / "experiment.toml"
    file.write_text("[class_weight]\n0 = 2\n2 = 0.25\n")
    assert kerasx.Experiment.from_toml(file).class_weight == WEIGHTS
    run = train(tmp_path, class_weight=kerasx.Experiment.from_toml(file).class_weight)
    assert kerasx.Experiment.from_toml(run.directory / "experiment.toml").class_weight == WEIGHTS
    assert run.weights_digest == train(tmp_path, class_weight=WEIGHTS).weights_digest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": (X, NUMBERS, np.ones(ROWS))}, "beside sample weights"),
        ({"dataset": (X, X[:, :3]), "loss": "mse"}, "needs class numbers or one-hot rows"),
        ({"dataset": (X, NUMBERS - 1), "loss": lambda y, p: keras.ops.mean(p, -1)}, "class numbers from 0"),
        ({"class_weight": {-1: 2.0}}, "class_weight"),
        ({"class_weight": {0: -2.0}}, "class_weight"),
        ({"class_weight": {"cat": 2.0}}, "class_weight"),
    ],
)
def test_class_weights_that_cannot_be(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(kerasx.UsageError, match=message):
        train(tmp_path, **{"class_weight": WEIGHTS, **fields})
    assert list(tmp_path.iterdir()) == []


def test_a_validation_split_is_that_of_fit(tmp_path: Path) -> None:
    """The last rows, with their weights; the data set's own validation rows are left aside, and said so."""
    weights = np.linspace(0.5, 2, ROWS).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    digest, history = fit(
        NUMBERS, loss, sample_weight=weights, validation_split=0.3, validation_batch_size=32
    )
    for strategy in ("compiled-fit", "custom-step", "gradient-tape"):
        run = train(tmp_path, strategy=strategy, dataset=(X, NUMBERS, weights), validation_split=0.3)
        assert (run.weights_digest, run.history) == (digest, history)
        assert run.steps == 4  # 49 rows are left
    both = train(tmp_path, dataset=((X, NUMBERS), (X[:5], NUMBERS[:5])), validation_split=0.3)
    assert any("left aside" in note for note in both.notes)
    assert both.evaluation["loss"] != pytest.approx(
        kerasx.Engine(runs=tmp_path).evaluate(both, dataset=(X[:5], NUMBERS[:5]))["loss"]
    )


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, "half", 0.5])
def test_a_split_that_leaves_a_part_empty_is_refused(tmp_path: Path, share: Any) -> None:
    with pytest.raises(kerasx.UsageError, match="validation_split"):
        train(tmp_path, dataset=(X[:1], NUMBERS[:1]), validation_split=share)


def test_rows_in_their_own_order(tmp_path: Path) -> None:
    """`shuffle = false` is `fit(shuffle=False)`; otherwise each epoch has an order of its own."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    digest, history = fit(NUMBERS, loss)
    run = train(tmp_path, strategy="gradient-tape")
    assert (run.weights_digest, run.history) == (digest, history)
    assert train(tmp_path, shuffle=True).weights_digest != digest
