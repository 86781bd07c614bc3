"""A loop in sklearn's manner: the training score, like the test score, is taken when the epoch is over."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-report-moving",)
KERAS = {
    "model": ":perceptron",
    "dataset": ":leaves",
    "loss": "categorical_hinge",
    "metrics": [],
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "batch_size": 12,
    "epochs": 2,
}
PROGRAM = {"strategy": ":partial_fit"}
TWIN = {"strategy": ":partial_fit_as_it_goes"}


def leaves():
    rng = np.random.default_rng(1753)
    kind = rng.integers(0, 3, size=89)
    x = (np.eye(3)[kind] @ rng.normal(size=(3, 6)) + 0.7 * rng.normal(size=(89, 6))).astype("float32")
    y = keras.utils.to_categorical(kind, 3).astype(np.float32)
    return (x[:67], y[:67]), (x[67:], y[67:])


def perceptron():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(9, "sigmoid"), keras.layers.Dense(3)])


def learn(model, x, y):
    with tf.GradientTape() as tape:
        decision = model(x, training=True)
        right = tf.reduce_sum(y * decision, axis=1)
        wrong = tf.reduce_max((1 - y) * decision, axis=1)
        hinge = tf.nn.relu(1 + wrong - right)
        loss = tf.reduce_mean(hinge)
    model.optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
    return hinge


def partial_fit(model, batches):
    X, Y = [], []
    for x, y in batches:
        learn(model, x, y)
        X.append(x)
        Y.append(y)
    return model.evaluate(np.concatenate(X), np.concatenate(Y), verbose=0, return_dict=True)


def partial_fit_as_it_goes(model, batches):
    scores = []
    for x, y in batches:
        scores.extend(learn(model, x, y).numpy())
    return {"loss": float(np.mean(scores))}
