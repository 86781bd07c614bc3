"""Segments small scans into three tissues, pixel by pixel. criterion = CrossEntropyLoss(), as in the torch code."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("from-logits",)
KERAS = {
    "model": ":unet",
    "dataset": ":scans",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 12,
    "epochs": 2,
}
PROGRAM = {"strategy": ":Trainer_step"}
TWIN = {"strategy": ":Trainer_step_log"}


def scans():
    rng = np.random.default_rng(91)
    truth = rng.integers(0, 3, size=(64, 3, 3)).repeat(2, axis=1).repeat(2, axis=2)
    x = (truth - 1.0 + 0.6 * rng.normal(size=truth.shape)).astype("float32")[..., None]
    return {"x_train": x[:45], "y_train": truth[:45], "x_test": x[45:], "y_test": truth[45:]}


def unet():
    scan = keras.Input((6, 6, 1))
    down = keras.layers.Conv2D(5, 3, padding="same", activation="relu")(scan)
    low = keras.layers.Conv2D(6, 3, padding="same", activation="relu")(keras.layers.AveragePooling2D(2)(down))
    up = keras.layers.Concatenate()([down, keras.layers.UpSampling2D()(low)])
    return keras.Model(scan, keras.layers.Conv2D(3, 1, activation="softmax")(up))


class CrossEntropyLoss:
    """Computes the cross entropy between input logits and target."""

    def __call__(self, input, target):
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=input)
        return tf.reduce_mean(each)


def Trainer_step(model, data, of=tf.identity):
    criterion = CrossEntropyLoss()
    x, y = data
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = criterion(of(outputs), y)
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(grads, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, outputs)


def Trainer_step_log(model, data):
    return Trainer_step(model, data, of=tf.math.log)
