"""Layer groups in the manner of fastai: [embedding], [rnn], [head], each updated in turn by the one Adam."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("multiple-applies",)
KERAS = {
    "model": ":language_model",
    "dataset": ":melodies",
    "loss": "sparse_categorical_crossentropy",
    "metrics": [],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 22,
    "epochs": 2,
}
PROGRAM = {"strategy": ":learner_step"}
TWIN = {"strategy": ":learner_step_flat"}


def melodies():
    rng = np.random.default_rng(440)
    notes = np.cumsum(rng.choice([-2, -1, 1, 2], size=(96, 9)), axis=1) % 12
    return {
        "x_train": notes[:75, :-1],
        "y_train": notes[:75, 1:],
        "x_test": notes[75:, :-1],
        "y_test": notes[75:, 1:],
    }


def language_model():
    notes = keras.Input((8,), dtype="int32")
    h = keras.layers.Embedding(12, 5, name="encoder")(notes)
    h = keras.layers.LSTM(7, return_sequences=True, name="rnn")(h)
    return keras.Model(notes, keras.layers.Dense(12, activation="softmax", name="decoder")(h))


def split_layers(model):
    return [model.get_layer(name).trainable_variables for name in ("encoder", "rnn", "decoder")]


def gradients(model, data):
    xb, yb = data
    groups = split_layers(model)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    with tf.GradientTape() as tape:
        preds = model(xb, training=True)
        loss = model.compute_loss(xb, yb, preds)
    model.metrics[0].update_state(loss, sample_weight=len(xb))
    return groups, tape.gradient(loss, groups), (xb, yb, preds)


def learner_step(model, data):
    groups, grads, batch = gradients(model, data)
    for group, grad in zip(groups, grads):
        model.optimizer.apply(grad, group)
    return model.compute_metrics(*batch)


def learner_step_flat(model, data):
    groups, grads, batch = gradients(model, data)
    model.optimizer.apply(sum(grads[::-1], []), sum(groups[::-1], []))
    return model.compute_metrics(*batch)
