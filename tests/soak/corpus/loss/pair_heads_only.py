"""Two heads on a shared trunk that is thought to be good enough; only the heads are fitted."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-weights", "trainable-set")
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"size": "mae", "type": "sparse_categorical_crossentropy"},
    "loss_weights": {"size": 0.3, "type": 1.5},
    "metrics": {"size": ["mse"], "type": ["accuracy"]},
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "batch_size": 17,
    "epochs": 2,
}
PROGRAM = {"strategy": ":step"}
TWIN = {"strategy": ":same_step"}


def data():
    rng = np.random.default_rng(106)
    x = rng.normal(size=(92, 5)).astype("float32")
    y = {"size": np.abs(x[:, :1]) + x[:, 1:2], "type": x[:, 2:].argmax(axis=1).astype("int64")}
    return {
        "x_train": x[:66],
        "y_train": {name: each[:66] for name, each in y.items()},
        "x_test": x[66:],
        "y_test": {name: each[66:] for name, each in y.items()},
    }


def build():
    x = keras.Input((5,))
    h = keras.layers.Dense(11, activation="relu", name="trunk")(x)
    size = keras.layers.Dense(1, name="size")(h)
    kind = keras.layers.Dense(3, activation="softmax", name="type")(h)
    return keras.Model(x, {"size": size, "type": kind})


def _train(model, data, weights, factors):
    x, y = data
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        model.compute_loss(x, y, out)  # the heads' own losses are reported
        size = tf.reduce_mean(tf.abs(y["size"] - out["size"]))
        kind = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y["type"], out["type"]))
        loss = factors[0] * size + factors[1] * kind
    model.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, out)


def step(model, data):
    model.optimizer.build(model.trainable_variables)
    heads = [*model.get_layer("size").trainable_variables, *model.get_layer("type").trainable_variables]
    return _train(model, data, heads, (1.0, 1.0))


def same_step(model, data):
    model.optimizer.build(model.trainable_variables)
    layers = [model.get_layer(name) for name in ("type", "trunk", "size")]
    return _train(model, data, [v for layer in layers for v in layer.trainable_variables], (0.3, 1.5))
