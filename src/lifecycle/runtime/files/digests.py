"""SHA-256 digests of files."""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256(file: Path | tuple[Path, ...]) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; of several files, that of their digests in order."""
    if isinstance(file, tuple):
        return of_several([sha256(one) for one in file])
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_several(digests: list[str]) -> str:
    """Return the digest of files by those of each, in order; that of one file is its own."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
