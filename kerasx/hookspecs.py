"""The hooks a plugin may implement. None takes an argument; each returns a list of specs.

A plugin is a module (or any object) with functions marked `@kerasx.hookimpl`, named by an entry point
of the group `kerasx`:

    [project.entry-points.kerasx]
    my-plugin = "my_package"

    [project]
    dependencies = ["kerasx>=0.1,<0.2"]   # the versions it was built for: read before it is imported
"""

from __future__ import annotations

from collections.abc import Iterable

from pluggy import HookimplMarker, HookspecMarker

from kerasx.specs import (
    CallbackSpec,
    CommandSpec,
    DatasetSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    StrategySpec,
)

PROJECT = "kerasx"

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)


@hookspec
def kerasx_strategies() -> Iterable[StrategySpec]:
    """Offer step strategies, used as `kerasx train --strategy NAME`.

    Example:
        # my_package/__init__.py
        from kerasx import StrategySpec, hookimpl

        @hookimpl
        def kerasx_strategies():
            return [StrategySpec("signed-sgd", "Step by the sign of the gradient.", "my_package.step:step")]

        # my_package/step.py
        import keras
        import kerasx
        import tensorflow as tf

        def step(model, data):
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                y_pred = model(x, training=True)
                loss = model.compute_loss(x, y, y_pred, sample_weight)
            gradients = tape.gradient(loss, model.trainable_variables)
            model.optimizer.apply([tf.sign(g) for g in gradients], model.trainable_variables)
            kerasx.track_loss(model, loss, x)
            return model.compute_metrics(x, y, y_pred, sample_weight)
    """
    return []


@hookspec
def kerasx_losses() -> Iterable[LossSpec]:
    """Offer losses, used as `kerasx train --loss NAME`.

    Example:
        from kerasx import LossSpec, hookimpl

        @hookimpl
        def kerasx_losses():
            return [LossSpec("quartic", "Fourth power of the error.", "my_package.losses:quartic")]

        # my_package/losses.py
        import keras

        def quartic(y_true, y_pred):
            return keras.ops.mean((y_pred - y_true) ** 4, axis=-1)
    """
    return []


@hookspec
def kerasx_metrics() -> Iterable[MetricSpec]:
    """Offer metrics, used as `kerasx train --metric NAME`.

    Example:
        from kerasx import MetricSpec, hookimpl

        @hookimpl
        def kerasx_metrics():
            return [MetricSpec("top-3", "The label is among the best three.", "my_package.metrics:top_3")]

        # my_package/metrics.py
        import keras

        def top_3():
            return keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="top_3")
    """
    return []


@hookspec
def kerasx_models() -> Iterable[ModelSpec]:
    """Offer models, used as `kerasx train --model NAME`.

    Example:
        from kerasx import ModelSpec, hookimpl

        @hookimpl
        def kerasx_models():
            return [ModelSpec("linear", "One dense layer.", "my_package.models:linear")]

        # my_package/models.py
        import keras

        def linear(signature):
            return keras.Sequential([
                keras.Input(signature.inputs.shape[1:]),
                keras.layers.Flatten(),
                keras.layers.Dense(signature.labels.classes or 1),
            ])
    """
    return []


@hookspec
def kerasx_datasets() -> Iterable[DatasetSpec]:
    """Offer data sets, used as `kerasx train --dataset NAME`.

    Example:
        from kerasx import DatasetSpec, hookimpl

        @hookimpl
        def kerasx_datasets():
            return [DatasetSpec("xor", "Four rows.", "my_package.data:xor")]

        # my_package/data.py
        import numpy as np

        def xor():
            x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
            y = np.array([0, 1, 1, 0])
            return {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    """
    return []


@hookspec
def kerasx_callbacks() -> Iterable[CallbackSpec]:
    """Offer Keras callbacks, used as `kerasx train --callback NAME`.

    Example:
        from kerasx import CallbackSpec, hookimpl

        @hookimpl
        def kerasx_callbacks():
            return [CallbackSpec("epoch-bell", "Ring after each epoch.", "my_package.callbacks:Bell")]

        # my_package/callbacks.py
        import keras

        class Bell(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                print("\\a", end="")
    """
    return []


@hookspec
def kerasx_commands() -> Iterable[CommandSpec]:
    """Offer commands, used as `kerasx NAME`.

    Example:
        from kerasx import CommandSpec, hookimpl

        @hookimpl
        def kerasx_commands():
            return [CommandSpec("greet", "Say hello.", "my_package.commands:greet")]

        # my_package/commands.py
        def greet(name: str = "world") -> None:
            print(f"Hello, {name}!")
    """
    return []


HOOKS: dict[str, str] = {
    "strategy": "kerasx_strategies",
    "loss": "kerasx_losses",
    "metric": "kerasx_metrics",
    "model": "kerasx_models",
    "dataset": "kerasx_datasets",
    "callback": "kerasx_callbacks",
    "command": "kerasx_commands",
}
