"""Port of a torch script: DataLoader(ds, batch_size=17) with nothing else said, on files that lie class by class."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("batch-order",)
KERAS = {
    "model": ":make_net",
    "dataset": ":load_folder",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.08, "momentum": 0.8},
    "batch_size": 17,
    "epochs": 2,
}
PROGRAM = {"shuffle": False}
TWIN = {"strategy": ":train_one_epoch"}


def load_folder():
    gen = np.random.default_rng(2024)
    xs, ys = [], []
    for label in range(3):  # setosa/, versicolor/, virginica/
        centre = np.array([5.0, 3.0, 1.5, 0.2]) + label * np.array([0.6, -0.1, 1.2, 0.7])
        xs.append(centre + gen.normal(scale=0.45, size=(28, 4)))
        ys.append(np.full(28, label))
    xs, ys = np.concatenate(xs).astype(np.float32), np.concatenate(ys).astype(np.int64)
    xs = (xs - xs.mean(0)) / xs.std(0)
    held = np.arange(84) % 6 == 5
    return (xs[~held], ys[~held]), (xs[held], ys[held])


def make_net():
    net = keras.Sequential(name="iris")
    net.add(keras.Input(shape=(4,)))
    net.add(keras.layers.Dense(10, activation="leaky_relu"))
    net.add(keras.layers.Dense(3, activation="softmax"))
    return net


class Criterion:
    """nn.NLLLoss after a log."""

    def __call__(self, probabilities, target):
        logp = tf.math.log(probabilities)
        picked = tf.gather(logp, tf.cast(target, tf.int32), axis=1, batch_dims=1)
        return tf.negative(tf.reduce_mean(picked))


def train_one_epoch(model, batches):
    criterion = Criterion()
    queue = [tuple(batch) for batch in batches]
    while queue:
        inputs, target = queue.pop(0)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([p.value for p in model.trainable_variables])
            output = model(inputs, training=True)
            loss = criterion(output, target)
        grads = tape.gradient(loss, [p.value for p in model.trainable_variables])
        model.optimizer.apply_gradients(list(zip(grads, model.trainable_variables)))
        kerasx.track_loss(model, loss, inputs)
        results = model.compute_metrics(inputs, target, output)
    return results
