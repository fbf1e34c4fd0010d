"""How long a request for a file waits for its answer: a server that keeps files elsewhere answers when it has them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "MLFLOW_HTTP_REQUEST_TIMEOUT"
"""MLflow reads it at each request."""

SECONDS = 120
"""For a file that is downloaded, and at least for one that is uploaded."""

BYTES_PER_SECOND = 1_000_000
"""At which a server is trusted to hand on a file."""

_lock = threading.Lock()
_waiting: list[int] = []
_before: str | None = None


@contextmanager
def of_files(*sent: Path) -> Iterator[None]:
    """Have MLflow's requests of this process wait longer within the block.

    Args:
        sent: files that are uploaded; none: some are downloaded.
    """
    global _before  # noqa: PLW0603 - of the process, as the variable is
    seconds = max(SECONDS, sum(file.stat().st_size for file in sent) // BYTES_PER_SECOND)
    with _lock:
        if not _waiting:
            _before = os.environ.get(VARIABLE)
        _waiting.append(seconds)
        os.environ[VARIABLE] = str(max(_waiting))
    try:
        yield
    finally:
        with _lock:
            _waiting.remove(seconds)
            if _waiting:
                os.environ[VARIABLE] = str(max(_waiting))
            elif _before is None:
                os.environ.pop(VARIABLE, None)
            else:
                os.environ[VARIABLE] = _before
