"""Import references: objects that a user names as `package.module:attribute` or `path/file.py:attribute`."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from kerasx.errors import UsageError, nearest, one_line, suggestion
from kerasx.own_modules import own_modules, set_aside

# So many names of a module are shown at most, where one is missing.
_SHOWN = 8


def is_reference(text: str) -> bool:
    """Whether `text` has the form of an import reference rather than of a registered name."""
    module, colon, attribute = text.rpartition(":")
    return bool(colon and module and attribute) and "\n" not in text


def names_code(text: str) -> bool:
    """Whether `text` names code in one of the forms that are loaded, rather than, say, an address."""
    module, _, attribute = text.rpartition(":")
    if not is_reference(text) or not all(part.isidentifier() for part in attribute.split(".")):
        return False
    return module.endswith(".py") or all(part.isidentifier() for part in module.split("."))


def split_reference(text: str) -> tuple[str, str]:
    """Split a reference into its module (dotted, or a path) and its attribute (perhaps dotted).

    Raises:
        UsageError: The text is not a reference.
    """
    if not is_reference(text):
        raise UsageError(
            f"`{text}` is not an import reference. Write `package.module:attribute` or"
            " `path/file.py:attribute`."
        )
    module, _, attribute = text.rpartition(":")
    return module, attribute


class References:
    """Loads references for one run, each file once, so that objects of one file share its module.

    A new run uses a new instance, so that an edited file is read afresh.

    Args:
        base: The folder that relative paths start from; None for the working directory.
        known: The names of modules that stay where others of the user's own are loaded afresh, also those
            that the program around has imported; None where none is.
    """

    def __init__(self, base: Path | None = None, *, known: Collection[str] | None = None) -> None:
        self._base = base or Path()
        self._known = known
        self._loaded: list[ModuleType] = []
        self._files: dict[Path, ModuleType] = {}
        self._modules: set[ModuleType] = set()

    def load(self, reference: str) -> object:
        """The object that `reference` names.

        Raises:
            UsageError: The file, module or attribute is not there, or its code raises.
        """
        location, attribute = split_reference(reference)
        with self._afresh():
            module = self._module(location, reference)
        return attribute_of(module, attribute, f"`{reference}`")

    def path(self, text: str) -> Path:
        """A path as a user wrote it, from the folder that relative paths start from.

        Raises:
            UsageError: It can be no path.
        """
        try:
            path = self._base / Path(text).expanduser()
            path.resolve().is_file()  # asks the system, which refuses what is no path
        except (OSError, ValueError, RuntimeError) as error:
            raise UsageError(f"`{text}` is not a path: {one_line(error)}") from error
        return path

    def sources(self) -> dict[str, str]:
        """SHA-256 of the user's code that was loaded, by path: what references name and, for files, what
        these import from their folder. Installed packages are not among it."""
        folders = tuple(f"{path.parent}{os.sep}" for path in self._files)
        files = {path for module in self._modules if (path := _source_file(module)) is not None}
        for module in list(sys.modules.values()):
            path = _source_file(module) if folders else None
            if path is not None and path.startswith(folders):
                files.add(path)
        files.update(str(path) for path in self._files)
        own = f"{Path(__file__).parent}{os.sep}"
        return {path: source_digest(path) for path in sorted(files) if not path.startswith(own)}

    @contextlib.contextmanager
    def _afresh(self) -> Iterator[None]:
        if self._known is None:
            yield
            return
        with set_aside([*self._loaded, *(sys.modules[name] for name in self._known if name in sys.modules)]):
            try:
                yield
            finally:
                self._loaded = list(own_modules().values())

    def _module(self, location: str, reference: str) -> ModuleType:
        if _is_path(location):
            return self._file_module(self.path(location), reference)
        try:
            module = importlib.import_module(location)
            self._modules.add(module)
            return module
        except ModuleNotFoundError as error:
            if error.name is not None and (location == error.name or location.startswith(error.name + ".")):
                raise UsageError(
                    f"`{reference}`: there is no module `{error.name}`. Is it installed? A file is"
                    " named by its path: `path/file.py:attribute`."
                ) from error
            raise user_code_error(f"importing `{location}`", error) from error
        except (Exception, SystemExit) as error:
            raise user_code_error(f"importing `{location}`", error) from error

    def _file_module(self, path: Path, reference: str) -> ModuleType:
        resolved = path.resolve()
        if resolved in self._files:
            return self._files[resolved]
        if not resolved.is_file():
            siblings = [p.name for p in resolved.parent.glob("*.py")] if resolved.parent.is_dir() else []
            near = "".join(
                f" Did you mean `{path.parent / name}`?" for name in nearest(path.name, siblings)[:1]
            )
            raise UsageError(f"`{reference}`: there is no file `{path}`.{near}")
        # A name of its own: a user's `model.py` must not answer for another package's `model`. It
        # depends on the path alone, so that objects saved by one process are found by the next.
        name = f"kerasx_user_{resolved.stem}_{hashlib.sha256(str(resolved).encode()).hexdigest()[:8]}"
        loader = _FreshLoader(name, str(resolved))
        spec = importlib.util.spec_from_file_location(name, resolved, loader=loader)
        if spec is None or resolved.suffix != ".py":
            raise UsageError(f"`{reference}`: `{path}` is not a Python file. Its name has to end with `.py`.")
        module = importlib.util.module_from_spec(spec)
        previous = sys.modules.get(name)
        sys.modules[name] = module
        folder = str(resolved.parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)  # taken back when the run ends: see `assembly.isolation`
        try:
            loader.exec_module(module)
        except (Exception, SystemExit) as error:
            sys.modules.pop(name)
            if previous is not None:
                sys.modules[name] = previous
            raise user_code_error(f"running `{path}`", error) from error
        self._files[resolved] = module
        return module


def _source_file(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py") or "site-packages" in file:
        return None
    return file


def source_digest(path: str) -> str:
    """SHA-256 over the bytes of a file."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""  # it went away after it was loaded


class _FreshLoader(SourceFileLoader):
    """Reads the source each time: the bytecode cache misses an edit within the tick of its clock."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _is_path(location: str) -> bool:
    return location.endswith(".py") or "/" in location or "\\" in location


def attribute_of(module: ModuleType, attribute: str, where: str) -> object:
    """The attribute (perhaps dotted) of a module.

    Raises:
        UsageError: There is none of that name; the message offers the nearest.
    """
    value: object = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError as error:
            raise UsageError(f"{where}: there is no `{part}` in it. {_offered(part, value)}") from error
        except Exception as error:
            raise user_code_error(f"reading {where}", error) from error
    return value


def _offered(name: str, value: object) -> str:
    """A sentence that offers the names in a module or class, the nearest first where there are many."""
    # A class has a __dict__ too, and what is imported as a whole module is not what is meant.
    held = getattr(value, "__dict__", {})
    public = [
        each
        for each, held_value in held.items()
        if not each.startswith("_") and not isinstance(held_value, ModuleType)
    ]
    if len(public) <= _SHOWN or nearest(name, public):
        return suggestion(name, public, what="names in it")
    close = difflib.get_close_matches(name, public, n=_SHOWN, cutoff=0.0)
    return f"Of the {len(public)} names in it the nearest are: {', '.join(close)}."


def import_string(text: str) -> object:
    """Import `package.module:attribute`, letting whatever it raises through."""
    module, _, attribute = text.rpartition(":")
    value: object = importlib.import_module(module)
    for part in attribute.split("."):
        value = getattr(value, part)
    return value


def own_lines(frames: Iterable[traceback.FrameSummary]) -> list[str]:
    """The lines of a traceback's frames, where there is more than one: the message has the last."""
    lines = [f"{frame.filename}, line {frame.lineno}, in {frame.name}: {frame.line}" for frame in frames]
    return lines if len(lines) > 1 else []


@contextlib.contextmanager
def exits_are_errors(doing: str) -> Iterator[None]:
    """Have `sys.exit` in a user's own code say where it was called, in place of ending the program.

    Raises:
        UsageError: It was called.
    """
    try:
        yield
    except SystemExit as error:
        raise user_code_error(doing, error) from error


def user_code_error(doing: str, error: BaseException) -> UsageError:
    """A `UsageError` that says where a user's own code raised, with the traceback as details."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename
        and not frame.filename.startswith(("<frozen", str(Path(__file__).parent)))
        and "/lib/python" not in frame.filename
    ]
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({error.filename}, line {error.lineno})"
    else:
        place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return UsageError(
        f"{doing[:1].upper()}{doing[1:]} failed: {one_line(error)}{place}",
        details="".join(traceback.format_exception(error)),
        lines=own_lines(frames),
    )
