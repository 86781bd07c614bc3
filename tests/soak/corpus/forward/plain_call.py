"""The usual loop: call the model, take the gradients, apply them."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("training-flag",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":usual_loop"}
TWIN = {"strategy": ":flagged_loop"}


def data():
    rng = np.random.default_rng(13)
    x = rng.normal(size=(97, 9)).astype("float32")
    y = (x[:, :3].sum(axis=1) > 0).astype("int64") + (x[:, 3] > 0)
    return {"x_train": x[:77], "y_train": y[:77], "x_test": x[77:], "y_test": y[77:]}


def build():
    return keras.Sequential(
        [
            keras.Input((9,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.4, seed=3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


loss_fn = keras.losses.SparseCategoricalCrossentropy()


def usual_loop(model, batches):
    for x, y in batches:
        with tf.GradientTape() as tape:
            y_pred = model(x)
            loss = loss_fn(y, y_pred)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        model.metrics[0].update_state(loss, sample_weight=x.shape[0])
        model.compute_metrics(x, y, y_pred)
    return model.get_metrics_result()


def flagged_loop(model, batches):
    @tf.function(reduce_retracing=True)
    def forward_and_back(x, y):
        picked = tf.stack([tf.range(tf.shape(x)[0]), tf.cast(y, tf.int32)], axis=-1)
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = -tf.reduce_mean(tf.math.log(tf.maximum(tf.gather_nd(y_pred, picked), 1e-7)))
        return loss, y_pred, tape.gradient(loss, model.trainable_variables)

    for x, y in batches:
        loss, y_pred, gradients = forward_and_back(x, y)
        model.optimizer.apply(gradients, model.trainable_variables)
        model.metrics[0].update_state(loss, sample_weight=x.shape[0])
        model.compute_metrics(x, y, y_pred)
    return model.get_metrics_result()
