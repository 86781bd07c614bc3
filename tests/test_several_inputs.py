"""Several inputs: in files, mappings and structures, from training to prediction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402

from kerasx.data.sources import dataset_from_npz  # noqa: E402

STRATEGIES = ("compiled-fit", "custom-step", "gradient-tape")
RNG = np.random.RandomState(2)
IMAGE = RNG.randn(40, 3, 2).astype("float32")
HOUR = RNG.randint(0, 24, (40, 1)).astype("int64")
Y = (IMAGE.sum(axis=(1, 2)) + HOUR[:, 0] / 24).astype("float32")[:, None]
W = np.linspace(0, 2, 40).astype("float32")
PARTS = {"x_train_image": IMAGE, "x_train_hour": HOUR, "y_train": Y}


def inputs() -> tuple[Any, Any, Any]:
    image, hour = keras.Input((3, 2), name="image"), keras.Input((1,), name="hour", dtype="int64")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(24, 2)(hour))
    return (
        image,
        hour,
        keras.layers.Dense(1)(keras.layers.concatenate([keras.layers.Flatten()(image), embedded])),
    )


def of_dictionary() -> keras.Model:
    image, hour, outputs = inputs()
    return keras.Model({"image": image, "hour": hour}, outputs)


def of_list() -> keras.Model:
    image, hour, outputs = inputs()
    return keras.Model([image, hour], outputs)


@keras.saving.register_keras_serializable("several-inputs")
class Pair(keras.Model):
    """Takes a tuple."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flat, self.out = keras.layers.Flatten(), keras.layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        image, hour = inputs
        return self.out(keras.ops.concatenate([self.flat(image), keras.ops.cast(hour, "float32")], axis=-1))


def train(runs: Path, **values: Any) -> kerasx.Run:
    fields = {"loss": "mse", "metrics": ["mae"], "epochs": 2, "execution": "graph", "jit": False}
    return kerasx.Engine(runs=runs).train(**{**fields, **values})


def fit(build: Callable[[], keras.Model], x: Any, y: Any = Y, **more: Any) -> tuple[str, dict[str, Any]]:
    keras.utils.set_random_seed(0)
    model = build()
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=False)
    log = model.fit(x, y, batch_size=32, epochs=2, shuffle=False, verbose=0, **more)
    return kerasx.weights_digest(model), log.history


@pytest.mark.parametrize(
    ("build", "x"),
    [
        (of_dictionary, {"image": IMAGE, "hour": HOUR}),
        (of_list, [IMAGE, HOUR]),
        (of_list, (IMAGE, HOUR)),
        (of_list, {"image": IMAGE, "hour": HOUR}),
        (Pair, (IMAGE, HOUR)),
    ],
    ids=["dictionary", "list", "tuple", "list-by-name", "subclassed"],
)
def test_structures_of_inputs_train_as_in_fit(tmp_path: Path, build: Any, x: Any) -> None:
    expected = fit(build, x)
    for strategy in STRATEGIES:
        run = train(tmp_path, model=build, dataset=(x, Y), strategy=strategy, shuffle=False)
        assert (run.weights_digest, run.history) == expected, strategy
    outputs = kerasx.Engine(runs=tmp_path).predict(run, x)
    assert np.array_equal(outputs, run.model.predict(x, verbose=0))
    again = kerasx.Engine(runs=tmp_path).evaluate(run, dataset=(x, Y))
    assert again["loss"] == pytest.approx(np.square(outputs - Y).mean(), rel=1e-5)


def test_an_npz_file_names_its_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained, validated, weighed, evaluated, predicted and exported from files alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "import keras\n"
        "def build():\n"
        "    image, hour = keras.Input((3, 2), name='image'), keras.Input((1,), name='hour')\n"
        "    flat = keras.layers.concatenate([keras.layers.Flatten()(image), hour])\n"
        "    return keras.Model({'image': image, 'hour': hour}, keras.layers.Dense(1)(flat))\n"
    )
    test = {"x_test_image": IMAGE[:8], "x_test_hour": HOUR[:8], "y_test": Y[:8], "sample_weight_test": W[:8]}
    np.savez("data.npz", **PARTS, **test, sample_weight_train=W)
    engine = kerasx.Engine(runs=tmp_path / "runs")
    run = train(tmp_path / "runs", model="own.py:build", dataset="data.npz", learning_rate=0.001)
    assert engine.evaluate(run) == run.evaluation
    np.savez("rows.npz", image=IMAGE[:5], hour=HOUR[:5])
    assert engine.predict_file(run, Path("rows.npz"), Path("out.npz")) == {"predictions": (5, 1)}
    with np.load("out.npz") as written:
        expected = run.model.predict({"image": IMAGE[:5], "hour": HOUR[:5]}, verbose=0)
        assert np.array_equal(written["predictions"], expected)
    engine.export(run, "whole.keras")
    reloaded = train(tmp_path / "runs", model="whole.keras", dataset="data.npz", learning_rate=0.001)
    assert reloaded.history["loss"][0] < run.history["loss"][0]
    np.savez("unweighted.npz", **PARTS)
    without = train(tmp_path / "runs", model="own.py:build", dataset="unweighted.npz", learning_rate=0.001)
    assert without.weights_digest != run.weights_digest


def test_names_become_dictionaries(tmp_path: Path) -> None:
    labels = {"y_train_a": Y, "y_train_b_c": HOUR, "sample_weight_train_a": W, "sample_weight_train_b_c": W}
    np.savez(tmp_path / "data.npz", x_train=IMAGE, **labels)
    train = dataset_from_npz(tmp_path / "data.npz").train
    assert isinstance(train, kerasx.Arrays)
    assert np.array_equal(train.x, IMAGE)
    assert sorted(train.y) == sorted(train.sample_weight) == ["a", "b_c"]
    assert np.array_equal(train.y["b_c"], HOUR)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({**PARTS, "x_train": IMAGE}, "both `x_train` and `x_train_image`: name every part, or none"),
        ({"x_train": IMAGE, **PARTS}, "both `x_train` and `x_train_image`: name every part, or none"),
        ({"x_train_image": IMAGE, "y_train": Y[:9]}, "different numbers of rows"),
        ({**PARTS, "x_tset_image": IMAGE}, "has an array `x_tset_image` that means nothing here"),
        ({**PARTS, "x_test_image": IMAGE, "y_test": Y}, "another structure or rank"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused(tmp_path: Path, arrays: Any, said: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(kerasx.UsageError, match=said):
        train(tmp_path / "runs", model=of_dictionary, dataset=f"{tmp_path}/data.npz")


@pytest.mark.parametrize(
    "x",
    [{"image": IMAGE}, {"image": IMAGE, "our": HOUR}, [IMAGE], IMAGE],
    ids=["one", "name", "list", "array"],
)
def test_inputs_that_the_model_does_not_have_are_refused(tmp_path: Path, x: Any) -> None:
    with pytest.raises(kerasx.UsageError, match="does not fit the model"):
        train(tmp_path / "runs", model=of_dictionary, dataset=(x, Y))
    run = train(tmp_path / "runs", model=of_dictionary, dataset=({"image": IMAGE, "hour": HOUR}, Y), epochs=1)
    with pytest.raises(kerasx.UsageError, match="does not fit the model"):
        kerasx.Engine(runs=tmp_path / "runs").predict(run, x)


# Fails: `as_dataset` compares dictionaries by their text.
def test_the_order_in_which_names_are_given_means_nothing(tmp_path: Path) -> None:
    train_rows, backwards = {"image": IMAGE, "hour": HOUR}, {"hour": HOUR[:8], "image": IMAGE[:8]}
    fields = {"model": of_dictionary, "loss": "mse", "metrics": ["mae"]}
    engine = kerasx.Engine(runs=tmp_path)
    logs = [
        engine.dry_run(**fields, dataset=((train_rows, Y), (validation, Y[:8]))).logs
        for validation in (backwards, dict(reversed(backwards.items())))
    ]
    assert logs[0] == logs[1]
    assert set(logs[0]) == {"loss", "mae", "val_loss", "val_mae"}


# Fails: `predict_file` takes `x` alone.
def test_an_input_may_be_called_x(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with an array `x` among others holds one array for each input, not `x` alone."""
    monkeypatch.chdir(tmp_path)

    def build() -> keras.Model:
        x, z = keras.Input((1,), name="x"), keras.Input((1,), name="z")
        return keras.Model({"x": x, "z": z}, keras.layers.Dense(1)(keras.layers.concatenate([x, z])))

    parts = {"x": Y, "z": Y + 1}
    run = train(tmp_path / "runs", model=build, dataset=(parts, Y), epochs=1)
    np.savez("rows.npz", **parts)
    engine = kerasx.Engine(runs=tmp_path / "runs")
    assert engine.predict_file(run, Path("rows.npz"), Path("out.npz")) == {"predictions": (40, 1)}
    with np.load("out.npz") as written:
        assert np.array_equal(written["predictions"], engine.predict(run, parts))
