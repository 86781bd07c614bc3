"""All layers of a model, at any depth."""

from __future__ import annotations

import keras


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """A model, its layers, and those within them, each after what it is in.

    Keras's public `layers` are a model's own, not those within its layers (attention has a dropout layer):
    hence its private walk over all of them, here only.
    """
    return list(model._flatten_layers())
