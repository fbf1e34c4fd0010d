"""Sentences on what the database of a run does not have yet."""

from __future__ import annotations

import time
from pathlib import Path

from lifecycle.runtime.files.paths import shown
from lifecycle.tracking.replies import Ended


def now() -> int:
    """Return milliseconds since 1970."""
    return int(time.time() * 1000)


def sentence(ended: Ended, folder: Path) -> str:
    """Return what is pending of a run that has ended; empty: nothing.

    Args:
        ended: the reply to the message that ended it.
        folder: of its database.
    """
    if not ended.pending:
        return ""
    return (
        f"{ended.pending} entries of the run (scores, files) are in {shown(folder / 'spool')} and not in its database "
        f"yet, since {ended.why}. Nothing is lost: the next command, or `lifecycle sync`, records them."
    )
