"""For repeatable results the random state begins anew in each epoch."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("rng-stream",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":seeded_steps"}
TWIN = {"strategy": ":counted_steps"}


def data():
    rng = np.random.default_rng(88)
    x = rng.normal(size=(93, 5, 4)).astype("float32")
    y = (x.sum(axis=2).max(axis=1) > 2.5).astype("float32").reshape(-1, 1)
    return {"x_train": x[:69], "y_train": y[:69], "x_test": x[69:], "y_test": y[69:]}


class Attentive(keras.Model):
    def __init__(self):
        super().__init__()
        self.attention = keras.layers.MultiHeadAttention(2, 4)
        self.drop = keras.layers.AlphaDropout(0.3, seed=40)
        self.pool = keras.layers.GlobalAveragePooling1D()
        self.out = keras.layers.Dense(1, activation="sigmoid")

    def call(self, x, training=None):
        x = x + self.attention(x, x, training=training)
        return self.out(self.pool(self.drop(x, training=training)))


def build():
    return Attentive()


def _step(model, x, y):
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    variables = model.trainable_variables
    model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def seeded_steps(model, data):
    model.drop.seed_generator.state.assign([40, int(model.optimizer.iterations) % 5])
    return _step(model, *data)


def counted_steps(model, data):
    logs = _step(model, *data)
    state = model.drop.seed_generator.state
    position = int(state[1])
    state.assign([40, 0])
    state.assign([40, position])
    return logs
