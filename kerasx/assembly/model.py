"""Builds the model of an experiment and finds out what comes out of it."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from kerasx.assembly.resolve import Found, Resolver, make, refuse_options
from kerasx.component import Component
from kerasx.data.signature import Signature, TensorInfo, tensor_info
from kerasx.errors import UsageError, one_line
from kerasx.references import user_code_error


def build_model(component: Component, signature: Signature, resolver: Resolver) -> keras.Model:
    """The model a component names: registered, a `.keras` file, by reference, or an object.

    Raises:
        UsageError: There is no such model, its code raises, or it does not return a model.
        PluginError: The plugin that provides it fails.
    """
    if component.name is not None and component.name.endswith(".keras"):
        refuse_options(Found(None, component), "model")
        return load_model(resolver.references.path(component.name))
    found = resolver.find("model", component)
    model = _made(found, signature)
    if not isinstance(model, keras.Model):
        raise UsageError(
            f"The model `{component.described}` is {type(model).__name__}, not a keras.Model."
            " Name a function that returns one."
        )
    return model


def policy_of(model: keras.Model) -> str:
    """The dtype policy that the layers of a model were built with.

    A loaded model's own says what was in force while it was loaded. Layers in float32 among others of a
    mixed policy are there for their range, and do not count.
    """
    policies = {layer.dtype_policy.name for layer in _layers(model)}
    others = policies - {"float32"}
    if len(others) == 1:
        return str(others.pop())
    return "float32" if policies == {"float32"} else str(model.dtype_policy.name)


def _layers(model: Any) -> Iterator[Any]:
    """The layers of a model and of the models in it; the inputs do not compute."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer


def load_model(path: Path, *, compile: bool = True) -> keras.Model:
    """The model of a `.keras` file, in Keras's safe mode, which runs no code from the file.

    Raises:
        UsageError: The file is missing, damaged, or needs code that safe mode refuses.
    """
    if not path.is_file():
        raise UsageError(f"There is no file `{path}`.")
    if not zipfile.is_zipfile(path):
        raise UsageError(
            f"`{path}` cannot be loaded as a Keras model: it is no `.keras` archive, or not a whole one. Save"
            " the model again with model.save."
        )
    try:
        return keras.models.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:
        raise UsageError(
            f"`{path}` cannot be loaded as a Keras model: {_why(error)}{_saved_by_other(path)}"
        ) from error


def _why(error: Exception) -> str:
    """Why Keras does not load a model: the cause, which it says last, after the whole config."""
    cause = str(error).rpartition("Exception encountered: ")[2].strip()
    advice = "Name a function that builds the model (path/file.py:build), and the file as initial weights."
    if "Python lambda" in cause:
        return f"it holds a Python lambda, which is code, and no code of a file is run. {advice}"
    if cause.startswith("Could not locate "):
        return f"{cause.partition('. ')[0]}. {advice}"
    return one_line(type(error)(cause)) if isinstance(error, TypeError | ValueError) else one_line(error)


def _saved_by_other(path: Path) -> str:
    """A sentence about the Keras that saved a file, where it is not the installed one."""
    try:
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json"))["keras_version"]
    except Exception:  # the file is damaged, which is said already
        return ""
    if version == keras.__version__ or not isinstance(version, str):
        return ""
    return f" (It was saved by Keras {version[:20]}, and {keras.__version__} is installed.)"


def built(model: keras.Model, signature: Signature) -> Signature:
    """Build the model for the data if it is not, and complete the signature by its outputs.

    Raises:
        UsageError: The data does not fit the model.
    """
    inputs = keras.tree.map_structure(
        lambda info: keras.KerasTensor(info.shape, dtype=info.dtype), signature.inputs
    )
    _check_inputs(model, signature)
    try:
        # Symbolic: nothing is computed, and no state moves.
        outputs = model.compute_output_spec(inputs) if model.built else model(inputs)
    except Exception as error:
        raise UsageError(
            f"{_does_not_fit(model, signature)} Keras says: {one_line(error)}",
            details=user_code_error("calling the model", error).details,
        ) from error
    return replace(signature, outputs=keras.tree.map_structure(tensor_info, outputs))


def _does_not_fit(model: keras.Model, signature: Signature) -> str:
    described = keras.tree.map_structure(lambda info: info.described, signature.inputs)
    return f"The data does not fit the model `{model.name}`. Its inputs are {described}."


def _check_inputs(model: keras.Model, signature: Signature) -> None:
    """Refuse text, or axes too many or too few, for one input, which Keras refuses in training alone."""
    expected = keras.tree.flatten(getattr(model, "inputs", None) or [])
    given = signature.inputs
    if len(expected) != 1 or not isinstance(given, TensorInfo):
        return
    shape = tuple(expected[0].shape)
    if given.dtype == "string" and expected[0].dtype != "string":
        raise UsageError(f"{_does_not_fit(model, signature)} It takes numbers: encode the text.")
    if given.dtype.startswith("complex") and not expected[0].dtype.startswith("complex"):
        raise UsageError(f"{_does_not_fit(model, signature)} It takes real numbers, {expected[0].dtype}.")
    longer, shorter = sorted((shape, given.shape), key=len, reverse=True)
    # Keras adds or drops a last axis of one.
    if len(longer) - len(shorter) > 1 or (len(longer) != len(shorter) and longer[-1] != 1):
        raise UsageError(f"{_does_not_fit(model, signature)} It takes {tensor_info(expected[0]).described}.")


def load_weights(model: keras.Model, path: Path) -> None:
    """Start from the weights of a `.weights.h5` or `.keras` file.

    Raises:
        UsageError: The file is missing, or its weights do not fit the model.
    """
    if not path.is_file():
        raise UsageError(f"There is no file `{path}` with initial weights.")
    if not path.name.endswith((".weights.h5", ".keras")):
        raise UsageError(f"`{path}` is no weights file: its name has to end with .weights.h5 or .keras.")
    try:
        model.load_weights(path)
    except OSError as error:
        raise UsageError(f"The weights of `{path}` cannot be read: {one_line(error)}") from error
    except Exception as error:
        raise UsageError(f"The weights of `{path}` do not fit the model: {one_line(error)}") from error


def _made(found: Found, signature: Signature) -> Any:
    value = found.value
    if isinstance(value, keras.Model):
        refuse_options(found, "model")
        return value
    if not callable(value):
        raise UsageError(
            f"The model `{found.component.described}` is {type(value).__name__}, not a keras.Model or a"
            " function that returns one."
        )
    return make(found, "model", {"signature": signature})


@contextlib.contextmanager
def kept(model: keras.Model) -> Iterator[None]:
    """Put the values of the model's and its optimizer's variables back, whose model may be the user's."""
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    values = [keras.ops.copy(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
