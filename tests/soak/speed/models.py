"""Five kinds of model to measure speed with: `kerasx bench --experiment tests/soak/speed/KIND.toml`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

CLASSES = 10
WORDS, LENGTH = 1000, 40


def images(rows: int = 6400) -> Any:
    return _split(_random().random((rows, 28, 28, 1), "float32"))


def vectors(rows: int = 12800) -> Any:
    return _split(_random().random((rows, 784), "float32"))


def sentences(rows: int = 6400) -> Any:
    """Words and after them zeros, as many as are missing to the full length."""
    random = _random()
    x = random.integers(1, WORDS, (rows, LENGTH), "int32")
    x[np.arange(LENGTH) >= random.integers(5, LENGTH + 1, (rows, 1))] = 0
    return _split(x)


def convolution(signature: Any) -> keras.Model:
    def block(x: Any, filters: int) -> Any:
        return layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, use_bias=False)(x)))

    image = keras.Input((28, 28, 1))
    x = block(layers.MaxPooling2D()(block(image, 16)), 32)
    return keras.Model(image, layers.Dense(CLASSES, "softmax")(layers.GlobalAveragePooling2D()(x)))


def lstm(signature: Any) -> keras.Model:
    words = keras.Input((LENGTH,), dtype="int32")
    x = layers.LSTM(48)(layers.Embedding(WORDS, 32, mask_zero=True)(words))
    return keras.Model(words, layers.Dense(CLASSES, "softmax")(x))


def transformer(signature: Any) -> keras.Model:
    words = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(WORDS, 48)(words)
    for _ in range(2):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 12)(x, x))
        x = layers.LayerNormalization()(x + layers.Dense(48)(layers.Dense(96, "gelu")(x)))
    return keras.Model(words, layers.Dense(CLASSES, "softmax")(layers.GlobalAveragePooling1D()(x)))


def wide(signature: Any) -> keras.Model:
    """Bound by arithmetic: five million parameters."""
    vector = keras.Input((784,))
    x = layers.Dense(2048, "relu")(layers.Dense(2048, "relu")(vector))
    return keras.Model(vector, layers.Dense(CLASSES, "softmax")(x))


def augmented(signature: Any) -> keras.Model:
    image = keras.Input((28, 28, 1))
    x = layers.RandomTranslation(0.1, 0.1)(layers.RandomFlip("horizontal")(image))
    x = layers.MaxPooling2D()(layers.Conv2D(8, 3, activation="relu")(x))
    x = layers.Dense(64, "relu")(layers.Dropout(0.3)(layers.Flatten()(x)))
    return keras.Model(image, layers.Dense(CLASSES, "softmax")(layers.Dropout(0.3)(x)))


def _random() -> np.random.Generator:
    return np.random.default_rng(0)


def _split(x: Any) -> Any:
    """Nine tenths to train on; the labels are there to be learnt by heart."""
    y = _random().integers(0, CLASSES, len(x))
    end = len(x) * 9 // 10
    return (x[:end], y[:end]), (x[end:], y[end:])
