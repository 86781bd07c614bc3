"""The hooks are documented with examples that work, and the specs they return refuse what is wrong."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kerasx
from kerasx import LossSpec, hookspecs
from kerasx.registry import Registry
from kerasx.specs import SPEC_TYPES, Spec
from kerasx.startup import start_tensorflow

DECLARED = {name: value for name, value in vars(hookspecs).items() if hasattr(value, "kerasx_spec")}


def example(hook: str) -> str:
    """The code of a hook's example."""
    documentation = inspect.getdoc(DECLARED[hook]) or ""
    heading, found, code = documentation.partition("Example:\n")
    assert found, f"{hook} has no example"
    assert heading.strip(), f"{hook} does not say what it is for"
    return textwrap.dedent(code)


def files_of(code: str) -> dict[str, str]:
    """The files of an example, which are headed by their paths; the first may go without."""
    parts = re.split(r"^# (my_package/\S+\.py)\n", code, flags=re.MULTILINE)
    files = {"my_package/__init__.py": parts[0]} if parts[0].strip() else {}
    return {**files, **dict(zip(parts[1::2], parts[2::2], strict=True))}


def test_hooks_kinds_and_specs_are_one_set() -> None:
    assert sorted(DECLARED) == sorted(hookspecs.HOOKS.values())
    assert sorted(hookspecs.HOOKS) == sorted(SPEC_TYPES)
    assert {kind: spec.kind for kind, spec in SPEC_TYPES.items()} == {kind: kind for kind in SPEC_TYPES}
    assert {spec.__name__ for spec in SPEC_TYPES.values()} <= set(kerasx.__all__)


@pytest.mark.parametrize("kind", hookspecs.HOOKS)
def test_a_hook_takes_nothing_and_says_what_it_returns(kind: str) -> None:
    hook = DECLARED[hookspecs.HOOKS[kind]]
    signature = inspect.signature(hook)
    assert not signature.parameters
    assert signature.return_annotation == f"Iterable[{SPEC_TYPES[kind].__name__}]"
    assert list(hook()) == []


@pytest.mark.parametrize("kind", hookspecs.HOOKS)
def test_the_example_of_a_hook_is_a_plugin_that_works(install_plugin: Callable[..., Path], kind: str) -> None:
    """It compiles, registers as written, and what it names can be imported."""
    start_tensorflow()
    code = example(hookspecs.HOOKS[kind])
    assert f"def {hookspecs.HOOKS[kind]}():" in code
    ast.parse(code)
    install_plugin("my-package", files_of(code))
    registry = Registry()
    (plugin,) = [each for each in registry.plugins if each.distribution == "my-package"]
    assert plugin.error is None, plugin.details
    (spec,) = plugin.specs
    assert spec.kind == kind
    assert spec.summary.endswith(".")
    assert callable(registry.load(registry.get(kind, spec.name)))


ANY_SPEC = pytest.mark.parametrize("spec", SPEC_TYPES.values(), ids=SPEC_TYPES)


@ANY_SPEC
@pytest.mark.parametrize("name", ["", " ", "two words", "-dash", "a/b", "a:b", "line\n", "ö", None, 3])
def test_a_spec_refuses_what_is_no_name(spec: type[Spec], name: Any) -> None:
    with pytest.raises(ValueError, match=f"{spec.__name__}.*not a name"):
        spec(name, "A summary.", "package:attribute")


@ANY_SPEC
def test_a_spec_refuses_a_summary_of_two_lines(spec: type[Spec]) -> None:
    with pytest.raises(ValueError, match=r"'thing'.*one line"):
        spec("thing", "One line.\nAnother.", "package:attribute")


@ANY_SPEC
@pytest.mark.parametrize(
    "text", ["", "package", "package:", ":attribute", "path/file.py:thing", "a:b:c", "a b:c"]
)
def test_a_spec_refuses_what_is_no_import_string(spec: type[Spec], text: str) -> None:
    with pytest.raises(ValueError, match=r"'thing'.*package.module:attribute"):
        spec("thing", "A summary.", text)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True))
def test_a_spec_keeps_what_it_was_given(name: str) -> None:
    spec = LossSpec(name, "A summary.", "package.module:Outer.inner")
    assert (spec.name, spec.summary, spec.implementation) == (
        name,
        "A summary.",
        "package.module:Outer.inner",
    )
    assert LossSpec(name, "", abs).implementation is abs
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "other"  # type: ignore[misc]
