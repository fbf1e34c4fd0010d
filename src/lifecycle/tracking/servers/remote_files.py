"""The artifacts and checkpoints of a run on a server, and a file there with their SHA-256.

MLflow says of an artifact only its size. With the digests, a file that the server has is not sent again, also by
another machine.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.runtime.files.digests import sha256
from lifecycle.tracking.servers import remote
from lifecycle.tracking.servers.outbox import Entry
from lifecycle.tracking.transfer.files import NOT_COPIED, Folders

UNKNOWN = -1
"""Time of change of a file that this machine has not sent."""


class FilesOnServer:
    """The files of one run.

    Args:
        client: of the server.
        entry: how far the run has been sent.
        on_progress: called after each file that was sent.
    """

    def __init__(self, client: Any, entry: Entry, on_progress: Callable[[], None]) -> None:
        self._client, self._entry, self._on_progress = client, entry, on_progress

    def update(self, folders: Folders) -> None:
        """Send the files that the server does not have, and then the list of their digests."""
        entry = self._entry
        for name, file in self._files(folders).items():
            with suppress(FileNotFoundError):  # it is replaced at this moment, and sent the next time
                self._send(name, file)
        digests = sorted((name, digest) for name, (_, _, digest) in entry.files.items() if name != layout.DIGESTS)
        text = "".join(f"{digest}  {name}\n" for name, digest in digests)
        listed = len(text), UNKNOWN, hashlib.sha256(text.encode()).hexdigest()
        if digests and entry.files.get(layout.DIGESTS) != listed:
            self._client.log_text(entry.server_run, text, layout.DIGESTS)
            entry.files[layout.DIGESTS] = listed
            self._on_progress()

    def _send(self, name: str, file: Path) -> None:
        now, known = file.stat(), self._entry.files.get(name)
        if known is not None and known[:2] == (now.st_size, now.st_mtime_ns):
            return
        digest = sha256(file)
        if known is None or (known[0], known[2]) != (now.st_size, digest):
            remote.send_file(self._client, self._entry.server_run, name, file)
            self._on_progress()
        self._entry.files[name] = now.st_size, now.st_mtime_ns, digest

    def _files(self, folders: Folders) -> dict[str, Path]:
        """Return the files by their path on the server."""
        found = _within(folders.artifacts)
        if self._entry.checkpoints and folders.checkpoints is not None:
            checkpoints = _within(folders.checkpoints).items()
            found |= {f"{layout.CHECKPOINTS}/{name}": file for name, file in checkpoints if not name.startswith(".")}
        return found


def _within(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by their path in it, without links, which may lead anywhere."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink())
    named = {file.relative_to(folder).as_posix(): file for file in files if file.name not in NOT_COPIED}
    return {name: file for name, file in named.items() if name != layout.DIGESTS}


def known(client: Any, server_run: str) -> dict[str, tuple[int, int, str]]:
    """Return size and SHA-256 of the files that a server has; those without a recorded digest are left out."""
    sizes = remote.sizes_of(client, server_run)
    if layout.DIGESTS not in sizes:
        return {}
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        text = Path(client.download_artifacts(server_run, layout.DIGESTS, folder)).read_text(encoding="utf-8")
    digests = {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}
    listed = len(text), UNKNOWN, hashlib.sha256(text.encode()).hexdigest()
    return {name: (sizes[name], UNKNOWN, digest) for name, digest in digests.items() if name in sizes} | {
        layout.DIGESTS: listed
    }
