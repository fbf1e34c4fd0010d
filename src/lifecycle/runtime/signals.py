"""Signals that end a process, raised as an exception."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lifecycle.errors import Interrupted
from lifecycle.runtime.processes import ENDING, is_helper


@contextmanager
def signals_raise() -> Iterator[None]:
    """Turn signals to end into an exception, so that the run is closed as KILLED; ignore them once it has arrived.

    A process that only helps another to fit ignores them: it ends when that one does, which closes the run first.
    """
    ending = False

    first: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if not is_helper():
            first.append(number)
            raise Interrupted(first[0])  # again for each, as Python drops what is raised in a __del__

    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup, or a shell's background job: leave it so
            signal.signal(number, on_signal)
    try:
        yield
    except Interrupted:
        ending = True
        raise
    finally:
        for number, handler in before.items():  # after a signal, more are ignored until the process is gone
            signal.signal(number, signal.SIG_IGN if ending else handler)
