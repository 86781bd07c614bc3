"""A step as a TensorFlow function of its own, around which loops are made."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasx.errors import one_line
from kerasx.training.binding import operations_of, stateful_draws, traced
from kerasx.training.execution import CannotExecute

# Operations that look at values, and that XLA leaves out.
_LOOKING_AT_VALUES = {"Assert", "CheckNumerics", "CheckNumericsV2"}


class TracedStep:
    """A step that loops call, traced outside of them, where variables can be created.

    It stays a function of its own inside a loop: inlined, some models lose the bits that they have in `fit`.

    Args:
        step: A function of a batch.
        signature: Structure of `tf.TensorSpec` of a batch.
        jit: Whether XLA is to compile it.

    Attributes:
        function: The step as a TensorFlow function.
        outputs: What it returns, with specs in the place of tensors.
        draws: As of `BoundStep`.
        loop_jit: Whether XLA is to compile the loop around it as well. Not of convolutions: within a loop it
            compiles those for a CPU without its library of kernels, several times slower and to other bits.

    Raises:
        CannotExecute: It cannot be traced, or with jit would not do what it does without.
    """

    def __init__(self, step: Callable[[Any], Any], signature: Any, jit: bool) -> None:
        _check(signature, jit)
        self._signature = signature
        # Told of XLA too: traced for it, the loops of recurrent layers are other ones, which it can compile.
        self.function = tf.function(
            step, input_signature=[signature], jit_compile=jit or None, autograph=False
        )
        concrete = traced(self.function)
        self.outputs = concrete.structured_outputs
        operations = operations_of(concrete)
        self.draws = stateful_draws(concrete)
        if jit and self.draws:
            raise CannotExecute(
                "jit", f"it draws from tf.random ({', '.join(self.draws)}), whose seed XLA ignores"
            )
        if jit and operations & _LOOKING_AT_VALUES and (looking := sorted(_checks(concrete.graph))):
            raise CannotExecute("jit", f"it checks values ({', '.join(looking)}), which XLA leaves out")
        self.loop_jit = jit and not any("Conv" in name for name in operations)

    def check_xla(self, size: int) -> None:
        """See that XLA can translate the step for batches of so many rows.

        Raises:
            CannotExecute: It cannot.
        """
        specs = tf.nest.flatten(self._signature)
        leaves = [tf.zeros([spec.shape[0] or size, *spec.shape[1:]], spec.dtype) for spec in specs]
        batch = tf.nest.pack_sequence_as(self._signature, leaves)
        try:
            self.function.experimental_get_compiler_ir(batch)(stage="hlo")
        except (tf.errors.OpError, ValueError) as error:
            raise CannotExecute("jit", refusal(error)) from error


def refusal(error: BaseException) -> str:
    """Why XLA refuses, in a few words: the operations that it lacks, where that is it."""
    lacking = sorted(set(re.findall(r"No registered '(\w+)' OpKernel for XLA", str(error))))
    return f"it lacks {', '.join(lacking)}" if lacking else one_line(error)


def _checks(graph: Any) -> set[str]:
    """The operations by which a step looks at values in the user's own code, and not in Keras's.

    Keras's layers have some of their own (recurrent ones of masks), without which they do the same.
    """
    in_functions = {
        function.signature.name: {node.op for node in function.node_def} & _LOOKING_AT_VALUES
        for function in graph.as_graph_def().library.function
    }
    found: set[str] = set()
    for operation in graph.get_operations():
        types = {operation.type} & _LOOKING_AT_VALUES
        if operation.type in ("If", "StatelessIf"):  # an assertion's own
            for branch in ("then_branch", "else_branch"):
                types |= in_functions.get(operation.get_attr(branch).name, set())
        if types and not _is_keras_own(operation):
            found |= types
    return found


def _is_keras_own(operation: Any) -> bool:
    """Whether the innermost call that is not TensorFlow's was Keras's."""
    packages = [Path(package.__file__).parent for package in (tf, keras)]
    for frame in reversed(list(operation.traceback or ())):
        file = Path(frame.filename)
        if not file.is_relative_to(packages[0]):
            return file.is_relative_to(packages[1])
    return True


def _check(signature: Any, jit: bool) -> None:
    """See that batches can be put in a table."""
    for spec in tf.nest.flatten(signature):
        if not isinstance(spec, tf.TensorSpec):
            raise CannotExecute("fused", f"its batches hold a {type(spec).__name__.removesuffix('Spec')}")
        if not spec.shape.rank:
            raise CannotExecute("fused", f"its batches hold a tensor that has no rows: {spec.shape}")
        if jit and None in spec.shape.as_list()[1:]:
            raise CannotExecute("jit", f"the shapes of its batches change: {spec.shape}")
