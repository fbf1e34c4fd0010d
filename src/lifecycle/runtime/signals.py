"""Raises an exception for signals that end a process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lifecycle.errors import Interrupted
from lifecycle.runtime.processes import ENDING, is_helper


@contextmanager
def signals_raise() -> Iterator[None]:
    """Raise ``Interrupted`` for SIGINT, SIGTERM and SIGHUP, so that the run is closed as KILLED.

    After the first one, signals are ignored. Helpers ignore them too: they end with the main process, which closes the
    run before.
    """
    ending = False

    first: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        # Ctrl-C in a terminal reaches all processes of a run.
        if not is_helper():
            first.append(number)
            raise Interrupted(first[0])  # also for further signals: Python drops an exception raised in a __del__

    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # ignored by nohup, or by the shell for a background job
            signal.signal(number, on_signal)
    try:
        yield
    except Interrupted:
        ending = True
        raise
    finally:
        for number, handler in before.items():  # after a signal, further ones are ignored until the process ends
            signal.signal(number, signal.SIG_IGN if ending else handler)
