"""Optimizers with their parameters and schedules, by name and in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402

from kerasx.experiment import merged  # noqa: E402

RNG = np.random.RandomState(7)
X = RNG.randn(40, 5).astype("float32")
Y = X @ RNG.randn(5, 2).astype("float32")
DECAY = {"name": "exponential_decay", "initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5}


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])


def train(runs: Path, **values: Any) -> kerasx.Run:
    fields = {
        "model": linear,
        "dataset": (X, Y),
        "loss": "mse",
        "metrics": [],
        "epochs": 2,
        "batch_size": 8,
        "execution": "graph",
        "jit": False,
        "strategy": "gradient-tape",
    }
    return kerasx.Engine(runs=runs).train(**{**fields, **values})


def rates(run: kerasx.Run) -> float:
    return float(keras.ops.convert_to_numpy(run.model.optimizer.learning_rate))


@pytest.mark.parametrize(
    "fields",
    [
        {"optimizer": {"name": "sgd", "learning_rate": DECAY}},
        {"optimizer": {"name": "SGD", "learning_rate": {**DECAY, "name": "ExponentialDecay"}}},
        {"optimizer": "sgd", "learning_rate": DECAY},
        {"learning_rate": DECAY},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)},
        {"optimizer": lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5))},
    ],
    ids=["table", "class-name", "beside", "default-optimizer", "object", "function"],
)
def test_a_schedule_is_followed_however_it_is_named(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Ten steps: the rate of step 10, and the weights of the object in every form."""
    expected = train(
        tmp_path, optimizer=keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5))
    )
    run = train(tmp_path, **fields)
    assert rates(run) == pytest.approx(0.1 * 0.5 ** (10 / 3))
    assert run.weights_digest == expected.weights_digest
    assert run.weights_digest != train(tmp_path, learning_rate=0.1).weights_digest


def test_a_schedule_goes_through_a_file_and_back(tmp_path: Path) -> None:
    """What a run writes of it repeats the run."""
    file = tmp_path / "experiment.toml"
    file.write_text(
        "[optimizer]\nname = 'adam'\nbeta_1 = 0.8\n[optimizer.learning_rate]\n"
        + "".join(f"{key} = {value!r}\n" for key, value in DECAY.items())
    )
    first = train(tmp_path, **_read(file))
    written = kerasx.Experiment.from_toml(first.directory / "experiment.toml")
    assert written.optimizer.options == {"beta_1": 0.8, "learning_rate": DECAY}
    assert written.learning_rate is None
    again = train(tmp_path, optimizer=written.optimizer, learning_rate=written.learning_rate)
    assert again.weights_digest == first.weights_digest


def _read(file: Path) -> dict[str, Any]:
    return {"optimizer": kerasx.Experiment.from_toml(file).optimizer}


def test_a_schedule_of_the_users_own(tmp_path: Path) -> None:
    """A class or a function by reference, with options."""
    (tmp_path / "own.py").write_text(
        "import keras\n"
        "class Halving(keras.optimizers.schedules.LearningRateSchedule):\n"
        "    def __init__(self, start):\n"
        "        self.start = start\n"
        "    def __call__(self, step):\n"
        "        return self.start * 0.5 ** keras.ops.cast(step, 'float32')\n"
        "    def get_config(self):\n"
        "        return {'start': self.start}\n"
        "def made(start=0.4):\n"
        "    return Halving(start)\n"
    )
    own = f"{tmp_path}/own.py"
    run = train(tmp_path, learning_rate={"name": f"{own}:Halving", "start": 0.4})
    assert rates(run) == pytest.approx(0.4 * 0.5**10)
    assert train(tmp_path, learning_rate=f"{own}:made").weights_digest == run.weights_digest
    assert kerasx.Engine(runs=tmp_path).evaluate(run, dataset=(X, Y))["loss"] > 0


def test_a_schedule_replaces_the_rate_of_a_compiled_model(tmp_path: Path) -> None:
    """The optimizer that came with the model stays, with its momentum."""

    def compiled(rate: Any) -> keras.Model:
        keras.utils.set_random_seed(0)
        model = linear()
        model.compile(keras.optimizers.SGD(rate, momentum=0.5), "mse")
        return model

    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
    brought = train(tmp_path, model=compiled(schedule), loss=None, metrics=None)
    asked = train(tmp_path, model=compiled(0.3), loss=None, metrics=None, learning_rate=DECAY)
    assert asked.weights_digest == brought.weights_digest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"learning_rate": "cosin_decay"},
            "learning-rate schedule `cosin_decay`. Did you mean `cosine_decay`",
        ),
        ({"learning_rate": {**DECAY, "decay_step": 3}}, "no option `decay_step`. Did you mean `decay_steps`"),
        ({"learning_rate": "exponential_decay"}, "missing 3 required positional arguments"),
        (
            {"optimizer": {"name": "adam", "learning_rate": {"decay_steps": 3}}},
            "a table has to have a `name`",
        ),
        ({"optimizer": {"name": "adam", "momentum": 0.9}}, "no option `momentum`"),
        ({"optimizer": "adamm"}, "optimizer `adamm`. Did you mean `adam`"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    """Before anything is written."""
    with pytest.raises(kerasx.UsageError) as raised:
        train(tmp_path, **fields)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_an_optimizer_that_has_trained_trains_again_as_it_was_handed_over(tmp_path: Path) -> None:
    """What is left out of weight decay is in no config of Keras's: it has to survive all the same."""

    def optimizer(leaves_out: list[str]) -> keras.optimizers.Optimizer:
        made = keras.optimizers.AdamW(0.02, weight_decay=0.5)
        made.exclude_from_weight_decay(var_names=leaves_out)
        return made

    handed_over = optimizer(["kernel"])
    first, second = (train(tmp_path, optimizer=handed_over) for _ in range(2))
    assert first.weights_digest == second.weights_digest
    assert first.weights_digest != train(tmp_path, optimizer=optimizer(["bias"])).weights_digest


@pytest.mark.soak
def test_loss_scaling_takes_an_optimizer_inside(tmp_path: Path) -> None:
    """By name, as the object that `compile` makes by itself under mixed_float16."""
    scaled = {"name": "loss_scale_optimizer", "inner_optimizer": {"name": "adam", "beta_1": 0.8}}
    fields = {"learning_rate": 0.01, "precision": "mixed_float16"}
    named = train(tmp_path, optimizer=scaled, **fields)
    assert isinstance(named.model.optimizer.inner_optimizer, keras.optimizers.Adam)
    by_itself = train(tmp_path, optimizer={"name": "adam", "beta_1": 0.8}, **fields)
    assert isinstance(by_itself.model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert named.weights_digest == by_itself.weights_digest
    # The first scale is so large that steps are skipped until it has fallen.
    other = train(tmp_path, optimizer={**scaled, "initial_scale": 2.0**20}, **fields)
    assert other.weights_digest != named.weights_digest
    written = kerasx.Experiment.from_toml(other.directory / "experiment.toml")
    again = train(tmp_path, optimizer=written.optimizer, **fields)
    assert again.weights_digest == other.weights_digest


def test_an_optimizer_of_the_users_own_takes_the_rate_that_is_asked_for(tmp_path: Path) -> None:
    """Also where the function that makes it knows of none; what is written repeats the run."""
    (tmp_path / "own.py").write_text(
        "import keras\n"
        "def made():\n    return keras.optimizers.SGD(0.3, momentum=0.5)\n"
        "SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)\n"
    )
    own = f"{tmp_path}/own.py"
    first = train(tmp_path / "runs", optimizer=f"{own}:made")
    written = kerasx.Experiment.from_toml(first.directory / "experiment.toml")
    assert written.learning_rate == 0.3
    again = train(tmp_path / "runs", optimizer=written.optimizer, learning_rate=written.learning_rate)
    assert again.weights_digest == first.weights_digest
    asked = train(tmp_path / "runs", optimizer=f"{own}:made", learning_rate=0.1)
    assert rates(asked) == pytest.approx(0.1)
    assert train(tmp_path / "runs", learning_rate=f"{own}:SCHEDULE").weights_digest == (
        train(tmp_path / "runs", learning_rate=DECAY).weights_digest
    )


def test_a_rate_that_is_asked_for_goes_before_that_of_the_optimizer_below(tmp_path: Path) -> None:
    """From code and on the command line, also inside of a wrapped optimizer."""
    below = kerasx.Experiment(optimizer={"name": "sgd", "learning_rate": 0.1, "momentum": 0.5})
    assert below.with_values(learning_rate=0.5).optimizer.options == {"momentum": 0.5}
    assert below.with_values(epochs=1).optimizer.options == {"learning_rate": 0.1, "momentum": 0.5}
    wrapped = {"name": "loss_scale_optimizer", "inner_optimizer": {"name": "sgd", "learning_rate": 0.1}}
    run = train(tmp_path, **merged({"optimizer": wrapped}, {"learning_rate": 0.5}))
    assert float(run.model.optimizer.inner_optimizer.learning_rate) == 0.5
