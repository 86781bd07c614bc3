"""Meta-learning code base: gradients are always taken on a copy of the network ('fast weights')."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("state-not-updated",)
KERAS = {
    "model": ":Learner",
    "dataset": ":omniglot",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.005},
    "batch_size": 15,
    "epochs": 2,
}
PROGRAM = {"strategy": ":outer_step"}
TWIN = {"strategy": ":outer_step_with_statistics"}


def omniglot():
    rng = np.random.default_rng(1623)
    kind = rng.integers(0, 4, size=88)
    glyphs = (rng.random((4, 7, 7)) > 0.6) * 2.0
    x = (glyphs[kind] + 0.7 * rng.normal(size=(88, 7, 7))).astype("float32")[..., None]
    return (x[:67], kind[:67]), (x[67:], kind[67:])


def Learner():
    image = keras.Input((7, 7, 1))
    h = keras.layers.Conv2D(6, 3, use_bias=False)(image)
    h = keras.layers.BatchNormalization(momentum=0.85)(h)
    h = keras.layers.ReLU()(h)
    h = keras.layers.Flatten()(h)
    return keras.Model(image, keras.layers.Dense(4, activation="softmax")(h))


copies = {}


def fast_copy(model):
    if id(model) not in copies:
        copies[id(model)] = keras.models.clone_model(model)
    fast = copies[id(model)]
    fast.set_weights(model.get_weights())
    return fast


def outer_step(model, data):
    x, y = data
    fast = fast_copy(model)
    with tf.GradientTape() as tape:
        y_pred = fast(x, training=True)
        loss = model.compute_loss(x, y, y_pred)
    grads = tape.gradient(loss, fast.trainable_variables)
    model.optimizer.apply_gradients(zip(grads, model.trainable_variables))
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def outer_step_with_statistics(model, data):
    logs = outer_step(model, data)
    for ours, theirs in zip(model.non_trainable_variables, fast_weights_of(model)):
        ours.assign(theirs)
    return logs


def fast_weights_of(model):
    return copies[id(model)].non_trainable_variables
