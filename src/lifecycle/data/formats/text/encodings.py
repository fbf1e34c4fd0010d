"""Encodings of text files: UTF-8, UTF-16 and UTF-32, and the code pages of Windows and ISO for all others."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

UTF8 = "utf-8"

MARKS = {
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order mark -> encoding; the longer ones first."""

WINDOWS, LATIN = "cp1252", "latin-1"
"""Encodings of text that is not UTF-8: the second where a byte has no letter in the first."""

NOT_IN_CP1252 = b"\x81\x8d\x8f\x90\x9d"

BINARY = (b"\x89PNG", b"\xff\xd8\xff", b"PK\x03\x04", b"\x1f\x8b")
"""First bytes of pictures and archives."""

CONTROLS = bytes([*range(9), *range(14, 32), 127])
"""Bytes that no text contains."""


def name_of(encoding: str) -> str:
    """Return an encoding as it is written here; latin1 and iso-8859-1 are ``latin-1``.

    Raises:
        LookupError: Python does not know it.
    """
    found = codecs.lookup(encoding).name
    return {"iso8859-1": "latin-1", "utf-8-sig": UTF8, "ascii": UTF8}.get(found, found)


def detect(head: bytes, is_whole: bool, other: str = "") -> str:
    """Return the encoding of a text.

    Args:
        head: its first bytes.
        is_whole: these are all bytes.
        other: the encoding of text that is not UTF-8; "": that of Windows, or latin-1.

    Raises:
        ValueError: it is not text.
    """
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    if (wide := _wide(head)) is not None:
        return wide
    try:
        codecs.getincrementaldecoder(UTF8)().decode(head, final=is_whole)
    except UnicodeDecodeError as error:
        if not head.startswith(BINARY) and head[:4096].translate(None, CONTROLS) == head[:4096]:
            return other or of_blocks([head])
        raise ValueError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from error
    return UTF8


def of_blocks(blocks: Iterable[bytes]) -> str:
    """Return the encoding of a text that is not UTF-8, given in blocks of bytes."""
    return LATIN if any(block.translate(None, NOT_IN_CP1252) != block for block in blocks) else WINDOWS


def text_of(head: bytes, encoding: str, is_whole: bool) -> str:
    """Return the text of the first bytes; a character that is cut at their end is left out.

    Raises:
        ValueError: they are not in this encoding.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == UTF8 else encoding)()
    try:
        return decoder.decode(head, final=is_whole)
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding == UTF8 else encoding
        raise ValueError(f"it is not {name} ({error.reason} at byte {error.start})") from error


def _wide(head: bytes) -> str | None:
    """Return the encoding of a text in which every second byte is 0; ``None`` if it is none."""
    if len(head) < 4 or b"\0" not in head[:64]:
        return None
    even, odd = head[0:1000:2], head[1:1000:2]
    if even.count(0) == 0 and odd.count(0) > 0.7 * len(odd):
        return "utf-16-le"
    return "utf-16-be" if odd.count(0) == 0 and even.count(0) > 0.7 * len(even) else None
