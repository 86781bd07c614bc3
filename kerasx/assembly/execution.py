"""Settles how steps are executed: what was asked for, and what stands in where that is not possible."""

from __future__ import annotations

import time
from dataclasses import replace

import keras

from kerasx.assembly.choose import ChosenStrategy
from kerasx.assembly.compiling import set_execution
from kerasx.assembly.isolation import is_nested
from kerasx.compiled import drop_compiled
from kerasx.errors import UsageError
from kerasx.experiment import Experiment
from kerasx.startup import start_xla
from kerasx.training.distribution import is_distributed
from kerasx.training.execution import CannotExecute, Execution, default_steps_per_call
from kerasx.training.task import TrainingTask

_CANNOT = {
    "jit": "XLA cannot compile the step",
    "fused": "steps cannot be fused",
    "graph": "the step cannot be traced as a graph",
}
_INSTEAD = {
    "jit": "leave --jit out",
    "fused": "use --execution graph",
    "graph": "use --execution eager",
}


def executions(
    experiment: Experiment, chosen: ChosenStrategy, model: keras.Model, steps: int | None, *, trains: bool
) -> list[Execution]:
    """The executions that the experiment, the strategy and a compiled model agree on, first choice first.

    Args:
        experiment: What it leaves open is chosen here.
        chosen: The strategy.
        model: Built; compiled if it arrived so.
        steps: Batches an epoch; None where a pipeline does not tell.
        trains: Whether there will be training; where a trained model is evaluated, what was recorded is
            the first choice and no more.

    Raises:
        UsageError: The strategy does not offer what is asked for, or eager execution is to be compiled.
    """
    capabilities = chosen.strategy.capabilities
    brought = "eager" if model.compiled and model.run_eagerly else None
    several = (experiment.devices or 1) > 1 or is_distributed(model)
    offered = [each for each in capabilities.executions if not (several and each == "fused")]
    mode = experiment.execution or brought or (offered or capabilities.executions)[0]
    _check(experiment, chosen, model, mode)
    brought_steps = model.steps_per_execution
    if mode != "fused":
        asked_steps = experiment.steps_per_call or brought_steps
        # Keras's own rule, which is off on a CPU, where nothing is asked for.
        jit = bool(model.jit_compile) if experiment.jit is None else experiment.jit
        return [Execution(mode, jit and mode != "eager" and capabilities.jit, asked_steps)]

    per_call = experiment.steps_per_call or (
        brought_steps if brought_steps > 1 else default_steps_per_call(steps)
    )
    if experiment.jit is not None:
        jits = [experiment.jit]
    else:
        jits = [True, False] if offered[0] == "fused" else [bool(model.jit_compile)]
    found = [Execution("fused", jit and capabilities.jit, per_call) for jit in jits]
    if not trains and found[0].jit:
        found.append(replace(found[0], jit=False))
    if not trains or experiment.execution is None:
        asked = bool(experiment.jit) and trains
        # What was asked for is not left out in silence.
        others = [each for each in ("graph", "eager") if each in offered and not (asked and each == "eager")]
        found += [Execution(each, asked, brought_steps) for each in others]
    return list(dict.fromkeys(found))


def prepare(
    task: TrainingTask, chosen: ChosenStrategy, choices: list[Execution], *, trains: bool
) -> tuple[list[str], float]:
    """Have the strategy trace and compile in the first execution in which it can.

    Only what is fused is prepared, or stands in for it: the rest is traced by its first call, as in Keras.

    Returns:
        What stands in for what, and why; and the seconds this took.

    Raises:
        UsageError: None of the executions is possible.
    """
    started = time.perf_counter()
    model = task.model
    refused: list[tuple[Execution, CannotExecute]] = []
    for execution in choices:
        if any(_is_alike(execution, other, error) for other, error in refused):
            continue
        task.execute(execution)
        set_execution(model, execution)
        if execution.jit:
            if trains and not is_nested():
                drop_compiled()  # for trainings before this one
            start_xla()
        if not refused and not execution.fused:
            return [], 0.0
        try:
            chosen.strategy.prepare(task, trains=trains)
        except CannotExecute as error:
            refused.append((execution, error))
            continue
        whys = dict.fromkeys(f"{_CANNOT[error.lacks]}: {error.why}" for _, error in refused)
        notes = [f"the execution is {execution.described}, as {'; '.join(whys)}"] if refused else []
        return notes, time.perf_counter() - started
    execution, last = refused[-1]
    raise UsageError(
        f"The execution `{execution.described}` is not possible, as {_CANNOT[last.lacks]}: {last.why}."
        f" To go on, {_INSTEAD[last.lacks]}."
    )


def _is_alike(execution: Execution, refused: Execution, error: CannotExecute) -> bool:
    """Whether an execution would be refused for what another was refused for."""
    if error.lacks == "graph":
        return not execution.eager
    return execution.fused if error.lacks == "fused" else execution.jit


def _check(experiment: Experiment, chosen: ChosenStrategy, model: keras.Model, mode: str) -> None:
    """Refuse what does not go together."""
    capabilities = chosen.strategy.capabilities
    if mode not in capabilities.executions:
        raise UsageError(
            f"The strategy `{chosen.name}` has no execution `{mode}`. It has:"
            f" {', '.join(capabilities.executions)}."
        )
    if experiment.jit and mode == "eager":
        raise UsageError(
            "XLA compiles graphs, and eager execution has none: use --execution graph with --jit, or leave"
            " --jit out."
        )
    if experiment.jit and not capabilities.jit:
        raise UsageError(f"The strategy `{chosen.name}` cannot be compiled by XLA: leave --jit out.")
    if experiment.steps_per_call not in (None, 1) and mode != "fused":
        raise UsageError(
            f"Steps a call are for the execution `fused`, and this one is `{mode}`, which calls every step:"
            " leave --steps-per-call out."
        )
    several = (experiment.devices or 1) > 1
    if several and not capabilities.distribution:
        raise UsageError(f"The strategy `{chosen.name}` trains on one device: leave --devices out.")
    if several and not is_distributed(model):
        raise UsageError(
            f"The model `{model.name}` was built before it was to train on {experiment.devices} devices:"
            " name a function that builds it."
        )
    if is_distributed(model) and (experiment.jit or mode == "fused"):
        raise UsageError(
            "Steps that run on several devices are neither compiled by XLA nor fused: leave --devices out, or"
            " --jit and --execution fused."
        )
