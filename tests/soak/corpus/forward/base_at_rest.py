"""Fine-tuning with a base called in inference mode, as the guide has it."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("training-flag",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "categorical_crossentropy",
    "metrics": ["categorical_accuracy"],
    "optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "batch_size": 15,
    "epochs": 2,
}
PROGRAM = {"strategy": ":tuning_step"}
TWIN = {"model": ":build_flagged", "strategy": ":one_by_one"}


def data():
    rng = np.random.default_rng(44)
    x = rng.normal(0.5, 2, size=(90, 5, 5, 2)).astype("float32")
    y = np.eye(3, dtype="float32")[(x[..., 0].mean(axis=(1, 2)) // 0.4).clip(0, 2).astype(int)]
    return {"x_train": x[:67], "y_train": y[:67], "x_test": x[67:], "y_test": y[67:]}


def build(**flag):
    base = keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            keras.layers.Conv2D(6, 3, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
        ],
        name="base",
    )
    image = keras.Input((5, 5, 2))
    features = base(image, **flag)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="head")(features))


def build_flagged():
    """With a flag that is for calls of the model without one."""
    return build(training=False)


def tuning_step(model, data):
    x, y = data
    base, head = model.get_layer("base"), model.get_layer("head")
    with tf.GradientTape() as tape:
        y_pred = head(base(x, training=False), training=True)
        loss = model.compute_loss(x, y, y_pred)
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def one_by_one(model, data):
    """One gradient after the other, the last variable first."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_sum(keras.losses.categorical_crossentropy(y, y_pred)) / float(len(x))
    variables = model.trainable_variables[::-1]
    gradients = [tape.gradient(loss, variable.value) for variable in variables]
    del tape
    model.optimizer.apply(gradients, variables)
    model.metrics[0].update_state(loss, sample_weight=len(x))
    return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
