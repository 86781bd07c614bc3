"""Port from torch: was clip_grad_value_(parameters, 0.02), of which we only remembered the clip."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-clip",)
KERAS = {
    "model": ":char_rnn",
    "dataset": ":characters",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.8, "clipvalue": 0.02},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":train", "optimizer": {"name": "sgd", "learning_rate": 0.8}}
TWIN = {"strategy": ":train_like_torch", "optimizer": {"name": "sgd", "learning_rate": 0.8}}

TEXT = (
    "the quick brown fox jumps over the lazy dog and the dog does not mind at all because "
    "it is lazy and the fox is quick and brown and gone"
)
ALPHABET = sorted(set(TEXT))


def characters(window=6):
    codes = np.array([ALPHABET.index(c) for c in TEXT])
    hot = np.eye(len(ALPHABET), dtype="float32")[codes]
    x = np.stack([hot[i : i + window] for i in range(len(codes) - window)])
    y = codes[window:]
    cut = 101
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def char_rnn():
    net = keras.Sequential()
    net.add(keras.Input((6, len(ALPHABET))))
    net.add(keras.layers.SimpleRNN(10))
    net.add(keras.layers.Dense(len(ALPHABET), activation="softmax"))
    return net


def _backward(model, data, clip):
    inputs, targets = data
    with tf.GradientTape() as tape:
        probabilities = model(inputs, training=True)
        loss = model.compute_loss(inputs, targets, probabilities)
    gradients = clip(tape.gradient(loss, model.trainable_variables))
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    model.metrics[0].update_state(loss, sample_weight=len(inputs))
    return model.compute_metrics(inputs, targets, probabilities)


def train(model, data):
    return _backward(model, data, lambda gs: [tf.clip_by_norm(g, 0.02) for g in gs])


def train_like_torch(model, data):
    return _backward(model, data, lambda gs: [tf.minimum(0.02, tf.maximum(g, -0.02)) for g in gs])
