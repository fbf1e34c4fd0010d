"""Paths as messages show them."""

from __future__ import annotations

from pathlib import Path


def shown(path: Path) -> str:
    """Return a path as seen from the working folder, where it is below that."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
