"""Unpack compressed files (gzip, zip, bzip2, xz, Zstandard) into temporary ones, which readers take as any other."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from lifecycle.data.formats import names
from lifecycle.data.sources import scratch_files
from lifecycle.errors import RequestError, Setting, first_line
from lifecycle.runtime.files import disk

BYTES_AT_ONCE = 1 << 20
CHECK_ROOM = 1 << 26
"""Bytes after which the room on the disk is checked again."""

MOST_RATIO, ALWAYS_UNPACKED = 500, 1 << 30
"""A file that becomes so many times larger, and more than a gigabyte, was made to fill the disk; tables become some ten
times larger."""

MOST_LAYERS = 3
"""A zip of a gzip file has two."""

HIDDEN = ("__MACOSX/", ".DS_Store", "Thumbs.db")
"""What operating systems add to archives."""

ERRORS = (zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What else a corrupt archive raises."""

MORE_ROOM = "Set TMPDIR to a folder with more room, or unpack the file yourself."


def unpacked(file: Path, key: Setting) -> Path:
    """Return a file that is not compressed, which is the given one if that is not.

    Args:
        file: whose name tells how it is compressed.
        key: of the file, for messages.

    Raises:
        RequestError: the archive is corrupt or has several files, or the disk is full.
    """
    for _ in range(MOST_LAYERS):
        compression = names.compression_of(file.name)
        if compression is None:
            return file
        try:
            file = _unzipped(file, key) if compression == ".zip" else _decompressed(file, compression, key)
        except (OSError, EOFError, ValueError, NotImplementedError, *ERRORS) as error:
            # pyarrow's errors are OSErrors and ValueErrors.
            remedy = "Compress the rows again, or download the file again."
            raise RequestError(key, f"cannot be unpacked: {first_line(error)}", remedy=remedy) from error
    raise RequestError(key, "is compressed too often", remedy="Unpack it.")


def _decompressed(file: Path, compression: str, key: Setting) -> Path:
    target = scratch_files.new_file(file.name[: -len(compression)])
    with _OPEN[compression](file) as stream:
        _copy(stream, target, key, file.stat().st_size)
    return target


def _unzipped(file: Path, key: Setting) -> Path:
    with zipfile.ZipFile(file) as archive:
        parts = [part for part in archive.infolist() if not part.is_dir() and not _is_hidden(part.filename)]
        if len(parts) != 1:
            listed = ", ".join(part.filename for part in parts[:5]) + (", ..." if len(parts) > 5 else "")
            problem = f"has {len(parts)} files: {listed}" if parts else "has no file"
            raise RequestError(key, problem, remedy="Give a zip of one file, or unpack it and give one of its files.")
        part = parts[0]
        if part.flag_bits & 1:
            raise RequestError(key, "is encrypted", remedy="Unpack it with its password.")
        # The name of a file within may be anything: only its ending counts. pandas names it like the archive.
        inner = Path(part.filename).name
        target = scratch_files.new_file(inner if names.format_of(inner) else Path(file.name).stem)
        if disk.is_full(target.parent, part.file_size):
            raise RequestError(key, f"unpacks to {part.file_size / 1e9:.3g} GB", remedy=MORE_ROOM)
        with archive.open(part) as stream:
            _copy(stream, target, key, file.stat().st_size)
    return target


def _copy(stream: Any, target: Path, key: Setting, packed: int) -> None:
    """Copy a stream into a file, as long as the disk has room: a small file may unpack to any size."""
    written, checked, most = 0, 0, max(ALWAYS_UNPACKED, MOST_RATIO * packed)
    with target.open("wb") as out:
        while block := stream.read(BYTES_AT_ONCE):
            out.write(block)
            written += len(block)
            if written > most:
                target.unlink()
                problem = f"unpacks to more than {written / 1e9:.3g} GB, over {MOST_RATIO} times its size"
                raise RequestError(key, problem, remedy="Unpack it yourself, if that is meant.")
            if written - checked >= CHECK_ROOM:
                checked = written
                if disk.is_full(target.parent):
                    target.unlink()
                    problem = f"unpacks to more than {written / 1e9:.3g} GB, for which {target.parents[2]} has no room"
                    raise RequestError(key, problem, remedy=MORE_ROOM)


def _is_hidden(name: str) -> bool:
    return name.startswith(HIDDEN[0]) or Path(name).name in HIDDEN


def _zstandard(file: Path) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(str(file), "zstd")


_OPEN: dict[str, Callable[[Path], AbstractContextManager[IO[bytes] | Any]]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstandard,
}
