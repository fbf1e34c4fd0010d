"""Seals records that make a later process read the environment, or send something to an address.

Folders of runs are copied, packed and shared. What a record says is done again only if the record is one of this user,
which a seal shows: an HMAC of its content with a key that only this user has. It says nothing of who is right: a user
who copies a record of somebody else can still type what it says.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

KEY = "LIFECYCLE_SEAL_KEY"
"""Variable of the environment with the key, where there is no folder for it; processes hand it on to their children."""

FILE = "seal.key"
BYTES = 32


def seal(content: Any) -> str:
    """Return the seal of a content of JSON's types."""
    # As it is read again: tuples are lists, and keys are texts.
    plain = json.dumps(json.loads(json.dumps(content)), sort_keys=True)
    return hmac.new(_key(), plain.encode(), hashlib.sha256).hexdigest()


def is_sealed(content: Any, by: Any) -> bool:
    """Return whether a seal is that of a content, and of this user."""
    return isinstance(by, str) and hmac.compare_digest(by.encode(), seal(content).encode())


def _key() -> bytes:
    """Return the key of this user, which is made at the first use."""
    if known := os.environ.get(KEY):
        return known.encode()
    try:
        file = _folder() / FILE
        if not file.is_file():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = file.with_name(f".{FILE}.{os.getpid()}")
            with open(part, "w", opener=lambda path, flags: os.open(path, flags | os.O_EXCL, 0o600)) as out:
                out.write(secrets.token_hex(BYTES))
            with suppress(FileExistsError):
                file.hardlink_to(part)  # unlike a rename, it does not replace the key of another process
            part.unlink()
        found = file.read_text().strip()
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        found = ""
    if not found:
        found = os.environ.setdefault(KEY, secrets.token_hex(BYTES))
    return found.encode()


def _folder() -> Path:
    # The XDG specification says to ignore a relative path.
    own = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(own) if Path(own).is_absolute() else Path.home() / ".config") / "lifecycle"
