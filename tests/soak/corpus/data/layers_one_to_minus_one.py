"""Research code: collects the parameters block by block, as the optimizer of our lab expects a plain list."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("trainable-set",)
KERAS = {
    "model": ":build_mlp",
    "dataset": ":make_moons",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "adamax", "learning_rate": 0.03},
    "batch_size": 24,
    "epochs": 2,
}
PROGRAM = {"strategy": ":update"}
TWIN = {"strategy": ":update_all"}


def make_moons(n=64, noise=0.1):
    rng = np.random.default_rng(8)
    a = np.pi * rng.random(n)
    upper = np.c_[np.cos(a), np.sin(a)]
    lower = np.c_[1 - np.cos(a), 0.5 - np.sin(a)]
    x = (np.r_[upper, lower] + rng.normal(scale=noise, size=(2 * n, 2))).astype("float32")
    y = np.r_[np.zeros(n), np.ones(n)].astype("float32")[:, None]
    mix = rng.permutation(2 * n)
    x, y = x[mix], y[mix]
    return (x[:100], y[:100]), (x[100:], y[100:])


def build_mlp(widths=(9, 6)):
    h = inp = keras.Input((2,))
    for i, width in enumerate(widths):
        h = keras.layers.Dense(width, activation="gelu", name=f"block{i}")(h)
    out = keras.layers.Dense(1, activation="sigmoid", name="out")(h)
    return keras.Model(inp, out)


def parameters(blocks):
    found = []
    for block in blocks:
        found.extend(block.trainable_variables)
    return found


def one_update(model, data, theta):
    x, y = data
    with tf.GradientTape() as tape:
        p = model(x, training=True)
        nll = model.compute_loss(x=x, y=y, y_pred=p)
    model.optimizer.apply(tape.gradient(nll, theta), theta)
    model.metrics[0].update_state(nll, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, p)


def update(model, data):
    # the first layer is the input
    return one_update(model, data, parameters(model.layers[1:-1]))


def update_all(model, data):
    return one_update(model, data, parameters(model.layers[:0:-1])[::1])
