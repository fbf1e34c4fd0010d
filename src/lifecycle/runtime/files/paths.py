"""Formats paths for messages, and checks that they stay in a folder."""

from __future__ import annotations

from pathlib import Path


def shown(path: Path) -> str:
    """Return a path relative to the working folder, if it is below it, else absolute."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def link_out(path: Path, folder: Path) -> Path | None:
    """Return a file that a path leads to outside of a folder by a symbolic link; ``None``: there is none.

    A folder below the given one may be a link itself (``artifacts``, on a larger disk): what counts is where the files
    of a run are in relation to it.

    Args:
        path: a file or a folder, whose direct entries are looked at too. A path elsewhere is not looked at.
        folder: such as that of all runs.
    """
    if not path.is_relative_to(folder) or path == folder:
        return None
    top = folder / path.relative_to(folder).parts[0]
    allowed = (folder.resolve(), top.resolve())
    entries = list(path.iterdir()) if path.is_dir() else []
    outside = (one for one in (path, *entries) if not any(one.resolve().is_relative_to(place) for place in allowed))
    return next(outside, None)
