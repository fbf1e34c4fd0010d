"""The size of zip archives, which Excel's and NumPy's files are."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO


def check_size(source: Path | IO[bytes], most: int) -> None:
    """Refuse an archive that was made to fill the memory.

    Args:
        source: the archive.
        most: bytes of all its files.

    Raises:
        ValueError: it is no zip archive, or it unpacks to more.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except zipfile.BadZipFile as error:
        raise ValueError("it is no zip archive, which a file of this format is") from error
    if size > most:
        raise ValueError(f"it unpacks to {size / 1e6:.3g} MB, more than {most / 1e6:.3g} MB")
