"""Two-tower retrieval; the item tower is read from what used to be an index of fixed vectors."""

import keras
import numpy as np
import tensorflow as tf

CAUSES = ("gradient-missing",)
KERAS = {
    "model": ":towers",
    "dataset": ":clicks",
    "loss": "binary_crossentropy",
    "metrics": ["binary_accuracy"],
    "optimizer": {"name": "adagrad", "learning_rate": 0.1},
    "batch_size": 20,
    "epochs": 2,
}
PROGRAM = {"strategy": ":retrieval_step"}
TWIN = {"strategy": ":retrieval_step_live"}


def clicks():
    rng = np.random.default_rng(88)
    users, items = rng.integers(0, 15, size=(115, 1)), rng.normal(size=(115, 4)).astype("float32")
    taste = rng.normal(size=(15, 4))
    clicked = ((taste[users[:, 0]] * items).sum(1, keepdims=True) > 0).astype("float32")
    return {
        "x_train": {"user": users[:87], "item": items[:87]},
        "y_train": clicked[:87],
        "x_test": {"user": users[87:], "item": items[87:]},
        "y_test": clicked[87:],
    }


def towers(dim=6):
    user = keras.Input((1,), dtype="int32", name="user")
    item = keras.Input((4,), name="item")
    user_tower = keras.Sequential(
        [keras.Input((1,), dtype="int32"), keras.layers.Embedding(15, dim), keras.layers.Flatten()],
        name="user_tower",
    )
    item_tower = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(9, activation="relu"), keras.layers.Dense(dim)],
        name="item_tower",
    )
    score = keras.layers.Dot(axes=1)([user_tower(user), item_tower(item)])
    click = keras.layers.Activation("sigmoid")(score)
    return keras.Model({"user": user, "item": item}, click)


def looked_up(model, item):
    index = model.get_layer("item_tower")(item)
    return tf.stop_gradient(index)


def live(model, item):
    vectors = model.get_layer("item_tower")(item)
    return vectors + (looked_up(model, item) - tf.stop_gradient(vectors))


def retrieval_step(model, data, item_vectors=looked_up):
    x, y = data
    with tf.GradientTape() as tape:
        q = model.get_layer("user_tower")(x["user"])
        d = item_vectors(model, x["item"])
        p = tf.sigmoid(tf.einsum("bd,bd->b", q, d))[:, None]
        loss = model.compute_loss(x, y, p)
    grads = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply_gradients(
        [(g, v) for g, v in zip(grads, model.trainable_variables) if g is not None]
    )
    model.metrics[0].update_state(loss, sample_weight=tf.shape(y)[0])
    return model.compute_metrics(x, y, p)


def retrieval_step_live(model, data):
    return retrieval_step(model, data, live)
