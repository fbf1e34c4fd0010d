"""Installed packages, for tests: real ``.dist-info`` folders and modules, on ``sys.path`` while a test runs."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle import registry

HEAD = """\
from __future__ import annotations
from dataclasses import dataclass
from torch import nn
"""

GOOD = f"""{HEAD}
@dataclass
class Net:
    "A linear network."
    width: int = 64

    def build(self, spec):
        return nn.Sequential(nn.Linear(spec.input_shape[0], self.width), nn.Linear(self.width, spec.num_outputs))
"""

_NUMBERS = itertools.count()


class Site:
    """A folder of installed packages, as pip leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        package: str,
        names: dict[str, str],
        code: str = GOOD,
        version: str = "1.0",
        group: str = "lifecycle.models",
    ) -> str:
        """Install a package of one module that declares plugins, name -> class; return the module's name."""
        module = f"{package.replace('-', '_')}_{next(_NUMBERS)}"
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        lines = [f"[{group}]", *(f"{name} = {module}:{cls}" for name, cls in names.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        importlib.invalidate_caches()
        return module


def fresh_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Yield an empty site; what a test's plugins were loaded as is forgotten afterwards."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    registry._loaded.clear()
    yield Site(folder)
    registry._loaded.clear()


DYING = f"""{HEAD}
import os

@dataclass
class Net:
    width: int = 4

    def build(self, spec):
        if self.width == 3:
            os._exit(1)
        return nn.Linear(spec.input_shape[0], spec.num_outputs)
"""
"""A model whose process ends at width 3."""
