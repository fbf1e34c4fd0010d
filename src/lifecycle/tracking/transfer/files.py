"""The files of one run: its artifacts, the files of its models, and its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lifecycle import layout
from lifecycle.runtime.files.digests import sha256

ARTIFACTS, MODELS, CHECKPOINTS = "artifacts", "models", "checkpoints"
"""Folders of a copy of a run; ``models`` has one for each model."""

NOT_COPIED = (layout.LOCK, ".reserve")
"""Files of a running process, in the folder of checkpoints."""


@dataclass(frozen=True)
class Folders:
    """Where the files of a run are; a folder may be missing.

    Attributes:
        artifacts: of the run.
        models: folder of each model's files, by its id.
        checkpoints: of the run.
    """

    artifacts: Path
    models: Mapping[str, Path] = field(default_factory=dict)
    checkpoints: Path | None = None

    @classmethod
    def within(cls, folder: Path, models: list[str]) -> Folders:
        """Return those of a folder that has the files of one run as :meth:`named` names them."""
        return cls(folder / ARTIFACTS, {one: folder / MODELS / one for one in models}, folder / CHECKPOINTS)

    def named(self) -> dict[str, Path]:
        """Return the folders by their names in a copy."""
        found = {ARTIFACTS: self.artifacts, **{f"{MODELS}/{one}": folder for one, folder in self.models.items()}}
        return found if self.checkpoints is None else {**found, CHECKPOINTS: self.checkpoints}

    def files(self) -> dict[str, Path]:
        """Return the files by their names in a copy, in order; links are left out, which may lead anywhere."""
        found = {}
        for name, folder in self.named().items():
            for file in sorted(folder.rglob("*")) if folder.is_dir() and not folder.is_symlink() else ():
                is_within = not any(part.is_symlink() for part in (file, *_parents(file, folder)))
                if file.is_file() and is_within and file.name not in NOT_COPIED:
                    found[f"{name}/{file.relative_to(folder).as_posix()}"] = file
        return found

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file by its name in a copy."""
        return {name: sha256(file) for name, file in self.files().items()}


def _parents(file: Path, folder: Path) -> list[Path]:
    return [parent for parent in file.parents if parent != folder and parent.is_relative_to(folder)]


def is_safe(name: str) -> bool:
    """Return whether a name of a file in a copy stays within its folder, on every system.

    >>> [is_safe(name) for name in ("artifacts/a.csv", "artifacts/../a", "/artifacts/a", "other/a", "artifacts/c:d")]
    [True, False, False, False, False]
    """
    parts = PurePosixPath(name).parts
    return (
        len(parts) > 1
        and parts[0] in (ARTIFACTS, MODELS, CHECKPOINTS)
        and "/".join(parts) == name
        and not {"..", "."} & set(parts)
        and not any(sign in name for sign in "\\:\0")
        and name.isprintable()
    )
