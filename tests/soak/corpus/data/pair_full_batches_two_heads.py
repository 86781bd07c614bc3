"""The tutorial's DataLoader(drop_last=True), and a loss for age and sex which are simply added."""

import keras
import numpy as np
import tensorflow as tf

import kerasx

CAUSES = ("batch-size", "loss-weights")
KERAS = {
    "model": ":FaceNet",
    "dataset": ":faces",
    "loss": {"age": "mse", "sex": "binary_crossentropy"},
    "loss_weights": {"age": 0.2, "sex": 1.0},
    "metrics": {"age": ["mae"], "sex": ["binary_accuracy"]},
    "optimizer": {"name": "sgd", "learning_rate": 0.03, "momentum": 0.9},
    "batch_size": 18,
    "epochs": 2,
}
PROGRAM = {"strategy": ":train"}
TWIN = {"strategy": ":train_weighted"}


def faces():
    rng = np.random.default_rng(404)
    x = rng.normal(size=(108, 6, 6, 1)).astype("float32")
    age = (x[:, :3].mean((1, 2)) * 3 + 2).astype("float32")
    sex = (x[:, :, :2].mean((1, 2)) > 0).astype("float32")
    cut = 85
    return {
        "x_train": x[:cut],
        "y_train": {"age": age[:cut], "sex": sex[:cut]},
        "x_test": x[cut:],
        "y_test": {"age": age[cut:], "sex": sex[cut:]},
    }


def FaceNet():
    image = keras.Input((6, 6, 1))
    h = keras.layers.Conv2D(5, 3, activation="silu")(image)
    h = keras.layers.MaxPooling2D(2)(h)
    h = keras.layers.Flatten()(h)
    return keras.Model(
        image,
        {
            "age": keras.layers.Dense(1, name="age")(h),
            "sex": keras.layers.Dense(1, activation="sigmoid", name="sex")(h),
        },
    )


def bce(t, p):
    return -tf.reduce_mean(t * tf.math.log(p) + (1 - t) * tf.math.log(1 - p))


def run_epoch(model, batches, weight, drop_last):
    for x, y in batches:
        if drop_last and len(x) < 18:
            continue
        with tf.GradientTape() as tape:
            out = model(x, training=True)
            # compute_loss keeps the means of the two losses, and the sum is made here
            model.compute_loss(x, y, out)
            loss = weight * tf.reduce_mean((out["age"] - y["age"]) ** 2) + bce(y["sex"], out["sex"])
        grads = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(grads, model.trainable_variables)
        kerasx.track_loss(model, loss, x)
        model.compute_metrics(x, y, out)
    return model.get_metrics_result()


def train(model, batches):
    return run_epoch(model, batches, 1.0, drop_last=True)


def train_weighted(model, batches):
    return run_epoch(model, batches, 0.2, drop_last=False)
