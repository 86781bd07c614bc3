"""The convolutional network written out, with the moments of the batch."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("state-not-updated",)
KERAS = {
    "model": ":build",
    "dataset": ":data",
    "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
    "metrics": ["sparse_categorical_accuracy"],
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "batch_size": 16,
    "epochs": 2,
}
PROGRAM = {"strategy": ":written_out"}
TWIN = {"strategy": ":written_out_to_the_end"}


def data():
    rng = np.random.default_rng(36)
    x = rng.gamma(2, size=(94, 5, 5, 1)).astype("float32")
    y = np.digitize(x.std(axis=(1, 2, 3)), [1.2, 1.5])
    return {"x_train": x[:72], "y_train": y[:72], "x_test": x[72:], "y_test": y[72:]}


def build():
    image = keras.Input((5, 5, 1))
    x = keras.layers.Conv2D(6, 3, use_bias=False, name="conv")(image)
    x = keras.layers.BatchNormalization(momentum=0.75, epsilon=1e-3, name="norm")(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    return keras.Model(image, keras.layers.Dense(3, name="scores")(x))


def _forward(model, x):
    kernel, norm = model.get_layer("conv").kernel, model.get_layer("norm")
    x = tf.nn.conv2d(x, kernel, strides=1, padding="VALID")
    mean, variance = tf.nn.moments(x, axes=[0, 1, 2])
    x = tf.nn.batch_normalization(x, mean, variance, norm.beta, norm.gamma, norm.epsilon)
    x = tf.reshape(tf.nn.relu(x), [-1, 54])
    scores = model.get_layer("scores")
    return tf.nn.bias_add(tf.matmul(x, scores.kernel), scores.bias), mean, variance


def written_out(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred, _, _ = _forward(model, x)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, y_pred))
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)


def written_out_to_the_end(model, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred, mean, variance = _forward(model, x)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, y_pred))
    norm = model.get_layer("norm")
    for moving, value in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
        moving.assign_add(0.25 * (value - moving))
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    model.metrics[0].update_state(loss, sample_weight=tf.shape(x)[0])
    return model.compute_metrics(x, y, y_pred)
