"""The callback: what TensorBoard itself reads in the run directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402

X = np.random.RandomState(0).randn(64, 3).astype("float32")
DATA = {"x_train": X, "y_train": (X[:, 0] > 0).astype("int64"), "x_test": X, "y_test": np.ones(64, "int64")}


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


@pytest.mark.parametrize("strategy", ["compiled-fit", "custom-step", "gradient-tape"])
def test_scalars_graph_and_histograms_are_in_the_run_directory(tmp_path: Path, strategy: str) -> None:
    """From every strategy, with the values of the run's history."""
    run = kerasx.Engine(runs=tmp_path).train(
        dataset=DATA, loss="sum-squared-error", epochs=2, strategy=strategy, callbacks=["tensorboard"]
    )
    train = events(run.directory / "tensorboard" / "train")
    validation = events(run.directory / "tensorboard" / "validation")
    values = {}
    for name, accumulator in (("loss", train), ("val_loss", validation)):
        tensors = accumulator.Tensors("epoch_loss")
        values[name] = [
            float(np.frombuffer(each.tensor_proto.tensor_content, "float32")[0])
            if each.tensor_proto.tensor_content
            else each.tensor_proto.float_val[0]
            for each in tensors
        ]
        assert values[name] == pytest.approx(run.history[name], rel=1e-6)
    assert any("kernel" in tag and "histogram" in tag for tag in train.Tags()["tensors"])
    assert train.Tags()["graph"] or "keras" in train.Tags()["tensors"]


def test_options_reach_keras(tmp_path: Path) -> None:
    """Histograms can be left out; an unknown option is refused with the nearest."""
    fields = {"dataset": DATA, "loss": "sum-squared-error", "epochs": 1}
    engine = kerasx.Engine(runs=tmp_path)
    run = engine.train(**fields, callbacks=[{"name": "tensorboard", "histogram_freq": 0}])
    tags = events(run.directory / "tensorboard" / "train").Tags()["tensors"]
    assert not [tag for tag in tags if "histogram" in tag]
    with pytest.raises(kerasx.UsageError, match="histogram_freq"):
        engine.train(**fields, callbacks=[{"name": "tensorboard", "histogram_frequency": 0}])


def test_a_dry_run_logs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept, no log either."""
    monkeypatch.chdir(tmp_path)
    kerasx.Engine(runs=tmp_path).dry_run(dataset=DATA, loss="sum-squared-error", callbacks=["tensorboard"])
    assert list(tmp_path.iterdir()) == []
