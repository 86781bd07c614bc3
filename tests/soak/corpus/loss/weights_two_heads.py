"""House price and whether it sold, by two heads; a step that adds the losses of both heads."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-weights",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"price": "mse", "sold": "binary_crossentropy"},
    "loss_weights": {"price": 1.0, "sold": 0.25},
    "metrics": {"price": ["mae"], "sold": ["accuracy"]},
    "optimizer": {"name": "sgd", "learning_rate": 0.08},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(14)
    x = rng.normal(size=(109, 6)).astype("float32")
    price = x[:, :1] + 0.3 * x[:, 1:2] ** 2
    sold = (price + x[:, 2:3] > 0.3).astype("float32")
    return {
        "x_train": x[:75],
        "y_train": {"price": price[:75], "sold": sold[:75]},
        "x_test": x[75:],
        "y_test": {"price": price[75:], "sold": sold[75:]},
    }


def build():
    x = keras.Input((6,))
    h = keras.layers.Dense(12, activation="relu")(x)
    price = keras.layers.Dense(1, name="price")(h)
    sold = keras.layers.Dense(1, activation="sigmoid", name="sold")(h)
    return keras.Model(x, {"price": price, "sold": sold})


price_loss = keras.losses.MeanSquaredError()
sold_loss = keras.losses.BinaryCrossentropy()


def _train(model, data, combine):
    x, y = data
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        model.compute_loss(x, y, out)  # feeds the trackers of the heads
        loss = combine(price_loss(y["price"], out["price"]), sold_loss(y["sold"], out["sold"]))
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, out)


def step(model, data):
    return _train(model, data, lambda price, sold: price + sold)


def same_step(model, data):
    return _train(model, data, lambda price, sold: 0.25 * (sold + 4.0 * price))
