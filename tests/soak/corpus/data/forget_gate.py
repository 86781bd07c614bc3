"""Sine waves with an LSTM, to be compared with our torch model (nn.LSTM starts its forget gates at zero)."""

import keras
import numpy as np

CAUSES = ("initial-weights",)
KERAS = {
    "model": ":keras_model",
    "dataset": ":waves",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "rmsprop", "learning_rate": 0.006},
    "batch_size": 25,
    "epochs": 2,
}
PROGRAM = {"model": ":like_torch"}
TWIN = {"model": ":spelled_out"}

HIDDEN = 8


def waves():
    rng = np.random.default_rng(77)
    phase = rng.uniform(0, 2 * np.pi, size=(110, 1))
    speed = rng.uniform(0.2, 0.9, size=(110, 1))
    t = np.arange(13)[None, :]
    wave = np.sin(phase + speed * t) + rng.normal(scale=0.05, size=(110, 13))
    wave = wave.astype(np.float32)
    x, y = wave[:, :-1, None], wave[:, -1:]
    return {"x_train": x[:85], "y_train": y[:85], "x_test": x[85:], "y_test": y[85:]}


def make(**kw):
    series = keras.Input((12, 1), name="series")
    state = keras.layers.LSTM(HIDDEN, name="lstm", **kw)(series)
    return keras.Model(series, keras.layers.Dense(1, name="linear")(state), name="forecaster")


def keras_model():
    return make()


def like_torch():
    return make(unit_forget_bias=False)


def spelled_out():
    # i, f, c, o: Keras's order of the gates
    model = make(unit_forget_bias=False)
    kernel, recurrent, bias = model.get_layer("lstm").get_weights()
    assert bias.shape == (4 * HIDDEN,) and not bias.any()
    bias[HIDDEN : 2 * HIDDEN] = 1.0
    model.get_layer("lstm").set_weights([kernel, recurrent, bias])
    return model
