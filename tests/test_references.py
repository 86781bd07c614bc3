"""Import references: a user's own code is found by file or module, and told apart from kerasx's faults."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kerasx import UsageError
from kerasx.references import References, is_reference, split_reference
from kerasx.startup import start_tensorflow


@pytest.fixture(autouse=True)
def process_put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A reference by file adds its folder to `sys.path` and its module to `sys.modules`."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("kerasx_user_", "kerasx_test_")):  # TensorFlow cannot be imported twice
            del sys.modules[name]


def write(path: Path, code: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    return path


def refused(reference: str) -> str:
    """The message of the `UsageError` that loading the reference raises."""
    with pytest.raises(UsageError) as raised:
        References().load(reference)
    assert raised.value.exit_code == 2
    return str(raised.value)


def test_modules_and_files_are_named_with_dotted_attributes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "own.py", "class Outer:\n    class Inner:\n        value = 42\n")
    references = References()
    assert references.load("os.path:join") is os.path.join
    assert references.load("pathlib:Path.home.__name__") == "home"
    assert references.load(f"{file}:Outer.Inner.value") == 42
    monkeypatch.chdir(tmp_path)
    assert (
        references.load("own.py:Outer")
        is references.load("./own.py:Outer")
        is references.load(f"{file}:Outer")
    )


def test_a_file_runs_once_for_one_run_and_afresh_for_the_next(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"open({str(log)!r}, 'a').write('x')\ndef model(): return loss\ndef loss(): return {{}}\n"
    file = write(tmp_path / "own.py", code.format(1))
    references = References()
    model = references.load(f"{file}:model")
    assert callable(model)
    assert model() is references.load(f"{file}:loss"), "objects of one file know each other"
    assert log.read_text() == "x"
    write(file, code.format(22))
    edited = References().load(f"{file}:loss")
    assert callable(edited)
    assert edited() == 22
    assert log.read_text() == "xx"
    assert references.load(f"{file}:model") is model, "a run that has begun keeps what it read"


def test_an_edit_within_the_clocks_tick_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's bytecode cache goes by size and by time in whole seconds; a quick edit changes neither."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = write(tmp_path / "own.py", "value = 1\n")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert References().load(f"{file}:value") == 1
    write(file, "value = 2\n")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert References().load(f"{file}:value") == 2


def test_a_file_imports_its_neighbours_and_answers_for_no_other_module(tmp_path: Path) -> None:
    write(tmp_path / "kerasx_test_neighbour.py", "value = 7\n")
    first = write(tmp_path / "json.py", "import kerasx_test_neighbour\nvalue = kerasx_test_neighbour.value\n")
    second = write(tmp_path / "other" / "json.py", "value = 8\n")
    references = References()
    assert references.load(f"{first}:value") == 7
    assert references.load(f"{second}:value") == 8
    import json

    assert not hasattr(json, "value"), "a user's json.py is not the json of everybody else"


def test_files_of_two_folders_import_their_own_neighbours(tmp_path: Path) -> None:
    """Two runs in one process, each with a `helper.py` beside its model."""
    start_tensorflow()
    from kerasx.assembly.isolation import isolated

    loaded = []
    for value in (1, 2):
        write(tmp_path / f"folder{value}" / "kerasx_test_helper.py", f"value = {value}\n")
        file = write(tmp_path / f"folder{value}" / "own.py", "from kerasx_test_helper import value\n")
        with isolated(seed=0):
            loaded.append(References().load(f"{file}:value"))
    assert loaded == [1, 2]


def test_what_is_missing_is_answered_with_the_nearest(tmp_path: Path) -> None:
    file = write(tmp_path / "my_model.py", "def build_model(): pass\n_hidden = 1\nclass Outer: inner = 1\n")
    near_file = refused(f"{tmp_path / 'my_modle.py'}:build_model")
    assert "there is no file" in near_file
    assert f"Did you mean `{file}`?" in near_file
    assert "Did you mean" not in refused(f"{tmp_path / 'nothing' / 'zzzz.py'}:build_model")
    assert "no `biuld_model` in it. Did you mean `build_model`?" in refused(f"{file}:biuld_model")
    assert "no `iner` in it. Did you mean `inner`?" in refused(f"{file}:Outer.iner")
    assert "_hidden" not in refused(f"{file}:zzzz")
    assert "no module `kerasx_nowhere`" in refused("kerasx_nowhere.sub:thing")
    assert "no module `json.nowhere`" in refused("json.nowhere:thing")
    assert "no `lods` in it. Did you mean `loads`" in refused("json:lods")
    assert "no file" in refused(f"{tmp_path}/folder.py/:thing")
    text = write(tmp_path / "model.txt", "value = 1")
    assert "not a Python file" in refused(f"{text}:value")


@pytest.mark.parametrize(
    ("code", "line", "expected"),
    [
        ("x = 1\nraise ValueError('my own fault')\n", 2, "ValueError: my own fault"),
        ("def f():\n    return missing\n\nf()\n", 2, "NameError"),
        ("import json\n\njson.loads('{')\n", 3, "JSONDecodeError"),
        ("x = 1\n\ndef f(:\n", 3, "SyntaxError"),
        ("if True:\nx = 1\n", 2, "IndentationError"),
        ("import sys\nsys.exit('that is all')\n", 2, "SystemExit: that is all"),
        ("\nimport kerasx_no_such_module\n", 2, "kerasx_no_such_module"),
        ("\nassert False\n", 2, "AssertionError"),
    ],
)
def test_code_that_fails_is_told_with_its_file_and_line(
    tmp_path: Path, code: str, line: int, expected: str
) -> None:
    file = write(tmp_path / "own.py", code)
    message = refused(f"{file}:thing")
    assert expected in message
    assert f"({file}, line {line})" in message
    assert "\n" not in message
    with pytest.raises(UsageError) as raised:
        References().load(f"{file}:thing")
    assert "Traceback" in str(raised.value.details)
    assert not [name for name in sys.modules if name.startswith("kerasx_user_own")]


def test_a_module_that_fails_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    file = write(tmp_path / "kerasx_test_module.py", "\nraise ValueError('my own fault')\n")
    sys.path.insert(0, str(tmp_path))
    assert f"ValueError: my own fault ({file}, line 2)" in refused("kerasx_test_module:thing")
    write(tmp_path / "kerasx_test_needs.py", "import kerasx_no_such_module")
    message = refused("kerasx_test_needs:thing")
    assert "mporting `kerasx_test_needs`" in message, "not: there is no module `kerasx_test_needs`"
    assert "No module named 'kerasx_no_such_module'" in message


def test_of_many_names_the_nearest_are_offered(tmp_path: Path) -> None:
    many = "".join(f"def aa{number}(): pass\n" for number in range(40))
    file = write(tmp_path / "own.py", f"import os\nimport re as stpo\n{many}def h_super(): pass\n")
    assert refused(f"{file}:stpe").partition("nearest are: ")[2].startswith("h_super, ")
    assert refused(f"{file}:h_supper").endswith("Did you mean `h_super`?")


def test_an_attribute_that_raises_is_the_users_error(tmp_path: Path) -> None:
    file = write(tmp_path / "own.py", "def __getattr__(name):\n    raise ValueError(f'no {name} for you')\n")
    assert "no thing for you" in refused(f"{file}:thing")


def test_what_python_cannot_read_is_the_users_error(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    for content in (b"value = '\xff'\n", b"value = 1\0\n", b"\xff\xfe" + "value = 1".encode("utf-16-le")):
        file.write_bytes(content)
        assert str(file) in refused(f"{file}:value")
    assert "no file" in refused(f"{tmp_path}:value")


@given(st.text())
@example("a:b:c")
@example("no\nreference:here")
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    if is_reference(text):
        module, attribute = split_reference(text)
        assert f"{module}:{attribute}" == text
        assert module
        assert attribute
        assert ":" not in attribute
    else:
        with pytest.raises(UsageError, match="not an import reference"):
            split_reference(text)


MODULE = st.one_of(
    st.text(max_size=20).map("kerasx_nowhere.".__add__),
    st.text(max_size=20).map("kerasx_nowhere/".__add__),
    st.text(max_size=20).map("{}/nowhere.py".format),
    st.text(alphabet="./\\~ \0\x7fé", min_size=1, max_size=12),
)


@given(MODULE, st.text(max_size=10))
@example("~kerasx_nobody/model.py", "build")
@example("x" * 300 + ".py", "build")
@example("kerasx\0nowhere.py", "build")
@example("kerasx_\ud800nowhere.py", "build")
@example(".relative", "build")
@example("os.", "build")
@example("json", ".")
def test_loading_what_is_not_there_raises_nothing_but_a_usage_error(module: str, attribute: str) -> None:
    with pytest.raises(UsageError):
        References().load(f"{module}:{attribute}")
