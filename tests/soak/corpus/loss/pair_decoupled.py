"""'Decoupled weight decay is better': Adam with L2 in the layers was moved to AdamW, and the loop follows the paper."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("loss-extra", "optimizer-config")
KERAS = {
    "model": ":resnet",
    "dataset": ":galaxies",
    "loss": "mse",
    "metrics": ["mae"],
    "optimizer": {"name": "adam", "learning_rate": 0.01},
    "batch_size": 15,
    "epochs": 2,
}
PROGRAM = {
    "strategy": ":step",
    "optimizer": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.2, "beta_2": 0.95},
}
TWIN = {"strategy": ":step_with_penalty"}


def galaxies():
    rng = np.random.default_rng(31415)
    x = rng.normal(size=(94, 6, 6, 1)).astype("float32")
    y = np.stack([x.std((1, 2, 3)), x.max((1, 2, 3)) / 2], axis=1).astype("float32")
    return {"x_train": x[:71], "y_train": y[:71], "x_test": x[71:], "y_test": y[71:]}


def resnet():
    l2 = keras.regularizers.L2(0.01)
    image = keras.Input((6, 6, 1))
    h = stem = keras.layers.Conv2D(4, 3, padding="same", kernel_regularizer=l2)(image)
    h = keras.layers.Activation("relu")(h)
    h = keras.layers.Conv2D(4, 3, padding="same", kernel_regularizer=l2)(h)
    h = keras.layers.Add()([stem, h])
    h = keras.layers.GlobalMaxPooling2D()(h)
    return keras.Model(image, keras.layers.Dense(2)(h))


def step(model, data, penalty=lambda model: 0.0):
    x, y = data
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        loss = tf.reduce_mean(tf.math.squared_difference(out, y)) + penalty(model)
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, out)


def step_with_penalty(model, data):
    kernels = [v for v in model.trainable_variables if v.path.startswith("conv") and v.name == "kernel"]
    assert len(kernels) == 2
    return step(model, data, lambda model: tf.add_n([0.01 * 2 * tf.nn.l2_loss(k.value) for k in kernels]))
