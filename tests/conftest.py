"""What the tests of the core share."""

from __future__ import annotations

import gc
import importlib
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

# The first call of a TensorFlow function takes as long as a hundred others: no deadline an example.
settings.register_profile("kerasx", deadline=None)
settings.load_profile("kerasx")


@pytest.fixture(scope="module", autouse=True)
def _garbage_is_collected() -> None:
    """Where there is little of it: all that two processes leave behind takes half a minute each time."""
    gc.collect()
    gc.freeze()  # what there is by now is there to stay


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Install third-party distributions: a package and its `.dist-info` in a folder on `sys.path`.

    They are what pip would leave behind, without its cost: `importlib.metadata` finds them in this
    process, and through `PYTHONPATH` in every process started from here.

    The fixture is a function `(name, code, *, requires, entry_point, version)` that returns the
    folder. `name` is the distribution's; `code` is that of the package `name` (with `_` for `-`), or of
    files by their path in the folder. `entry_point` is the line of the group `kerasx`, by default the
    name without `kerasx-` and the package.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))

    def install(
        name: str,
        code: str | Mapping[str, str],
        *,
        requires: Iterable[str] = ("kerasx>=0.1,<0.2",),
        entry_point: str | None = None,
        version: str = "1.0",
    ) -> Path:
        package = name.replace("-", "_")
        files = {f"{package}/__init__.py": code} if isinstance(code, str) else code
        for path, text in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(textwrap.dedent(text), encoding="utf-8")
        info = site / f"{package}-{version}.dist-info"
        info.mkdir()
        metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        metadata += [f"Requires-Dist: {each}" for each in requires]
        (info / "METADATA").write_text("\n".join(metadata) + "\n", encoding="utf-8")
        line = entry_point or f"{name.removeprefix('kerasx-')} = {package}"
        (info / "entry_points.txt").write_text(f"[kerasx]\n{line}\n", encoding="utf-8")
        importlib.invalidate_caches()
        return site

    yield install
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(site)):
            del sys.modules[name]
