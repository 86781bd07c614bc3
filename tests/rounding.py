"""One training in two executions, with XLA and without, which rounding tells apart and nothing else."""

from __future__ import annotations

from typing import Any

import kerasx
from kerasx.startup import start_tensorflow

start_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

ROWS = 200


def dense(features: int = 12) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((features,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(16, "tanh"),
            layers.Dense(5),
        ]
    )


def normalized() -> keras.Model:
    # A bias before batch normalization has no gradient but rounding.
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(24),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("relu"),
            layers.Dense(5, kernel_regularizer=keras.regularizers.L2(0.01)),
        ]
    )


def convolutional() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Reshape((6, 2, 1)),
            layers.Conv2D(8, 2, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
        ]
    )


def recurrent() -> keras.Model:
    return keras.Sequential([keras.Input((12,)), layers.Reshape((4, 3)), layers.LSTM(8), layers.Dense(5)])


def attentive() -> keras.Model:
    inputs = keras.Input((12,))
    hidden = layers.Dense(8)(layers.Reshape((4, 3))(inputs))
    hidden = layers.LayerNormalization()(hidden + layers.MultiHeadAttention(2, 4)(hidden, hidden))
    return keras.Model(inputs, layers.Dense(5)(layers.Flatten()(hidden)))


def dropping() -> keras.Model:
    return keras.Sequential(
        [keras.Input((12,)), layers.Dense(24, "relu"), layers.Dropout(0.3), layers.Dense(5)]
    )


MODELS = {each.__name__: each for each in (dense, normalized, convolutional, recurrent, attentive, dropping)}
OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"name": "sgd", "learning_rate": 0.1},
    {"name": "adam", "learning_rate": 0.01},
    {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    {"name": "rmsprop", "learning_rate": 0.005},
)
VARIED: tuple[dict[str, tuple[Any, ...]], ...] = (
    {"execution": ("eager", "graph")},
    {"jit": (False, True)},
    {"strategy": ("compiled-fit", "gradient-tape"), "execution": ("graph", "eager")},
)


def rows(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 12)).astype("float32")
    return x, np.argmax(x[:, :5] + 0.5 * rng.normal(size=(ROWS, 5)), axis=1)


def false_alarms(name: str, seed: int, vary: dict[str, tuple[Any, ...]]) -> list[str]:
    """What is said of trainings that are taken to differ."""
    x, y = rows(seed)
    result = kerasx.Engine().compare(
        model=MODELS[name],
        dataset=((x[:160], y[:160]), (x[160:], y[160:])),
        loss={"name": "sparse_categorical_crossentropy", "from_logits": True},
        metrics=["accuracy"],
        optimizer=OPTIMIZERS[(seed + VARIED.index(vary)) % len(OPTIMIZERS)],
        strategy="custom-step",
        epochs=4,
        batch_size=12,
        seed=seed,
        vary=vary,
    )
    alarms = []
    for pair in result.pairs:
        first = pair.first_difference
        # XLA draws other masks, which is to be said, and to be all.
        is_drawn = name == "dropping" and first is not None and first.quantity == "random numbers"
        if not pair.agrees and not is_drawn:
            alarms.append(f"{vary}: {pair.said} {first}")
    return alarms
