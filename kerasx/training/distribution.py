"""Several devices: the same step on each, with a part of every batch."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from kerasx.errors import UsageError


def distribution_scope(devices: int | None) -> contextlib.AbstractContextManager[Any]:
    """The scope to build and compile a model in that trains on `devices` devices.

    GPUs are taken where there are enough, and else the CPU is divided into logical devices, which
    TensorFlow does only before it has started to compute.

    Args:
        devices: How many; None or 1 for no distribution.

    Raises:
        UsageError: There are not so many.
    """
    if devices is None or devices == 1:
        return contextlib.nullcontext()
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")] if _has_gpus(devices) else []
    names = gpus[:devices] or _logical_cpus(devices)
    scope: contextlib.AbstractContextManager[Any] = _mirrored(tuple(names)).scope()
    return scope


@functools.cache
def _mirrored(names: tuple[str, ...]) -> tf.distribute.Strategy:
    """One strategy for all trainings: TensorFlow takes the reductions of another for those of the first."""
    return tf.distribute.MirroredStrategy(list(names))


def claim_devices(devices: Iterable[int | None]) -> None:
    """Have as many devices as any of several trainings needs, before the first of them is begun.

    TensorFlow divides a processor only before it has started to compute.

    Args:
        devices: How many each needs; None or 1 for no distribution.

    Raises:
        UsageError: There are not so many.
    """
    with distribution_scope(max(each or 1 for each in devices)):
        pass


def is_distributed(model: keras.Model) -> bool:
    """Whether the model trains on more than one device."""
    return bool(model.distribute_strategy.num_replicas_in_sync > 1)


def distributed_batches(model: keras.Model, dataset: tf.data.Dataset) -> Any:
    """The batches, each divided among the model's devices."""
    if not is_distributed(model):
        return dataset
    return model.distribute_strategy.experimental_distribute_dataset(dataset)


def build_optimizer(model: keras.Model) -> None:
    """Have an optimizer make its variables before the first step, of which they would be made within."""
    if model.optimizer is None or model.optimizer.built or not model.trainable_variables:
        return
    with model.distribute_strategy.scope():
        model.optimizer.build(model.trainable_variables)


def on_each_replica(model: keras.Model, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The step on every device, its logs averaged, as `fit` does."""
    distribution = model.distribute_strategy

    def replicated(data: Any) -> Any:
        logs = distribution.run(step, args=(data,))
        return keras.tree.map_structure(lambda value: distribution.reduce("MEAN", value, axis=None), logs)

    return replicated


def _has_gpus(devices: int) -> bool:
    return len(tf.config.list_physical_devices("GPU")) >= devices


def _logical_cpus(devices: int) -> list[str]:
    processor = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(processor) is None:
        with contextlib.suppress(RuntimeError):  # it has started: the count below tells
            tf.config.set_logical_device_configuration(
                processor, [tf.config.LogicalDeviceConfiguration()] * devices
            )
    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    if len(names) < devices:
        raise UsageError(
            f"{devices} devices were asked for, and TensorFlow has started with {len(names)}: devices have to"
            " be asked for by the first run of a process."
        )
    return names[:devices]
