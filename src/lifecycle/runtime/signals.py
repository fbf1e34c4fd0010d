"""Raises an exception for signals that end a process, and keeps it where a library raises another one instead."""

from __future__ import annotations

import signal
import sys
import threading
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
        with interruption_kept():
            yield
    except Interrupted:
        ending = True
        raise
    finally:
        for number, handler in before.items():  # after a signal, further ones are ignored until the process ends
            signal.signal(number, signal.SIG_IGN if ending else handler)


@contextmanager
def signals_delayed() -> Iterator[None]:
    """Let the exception of a signal that arrives within the block be raised at its end.

    An import that is interrupted leaves half a library: PyTorch ignores that NumPy could not be imported, and each use
    of NumPy fails from then on. Signals that would end the process without an exception do so at once.
    """
    if threading.current_thread() is not threading.main_thread():  # where Python handles signals
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    handlers = {number: handler for number in ENDING if callable(handler := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, lambda *signalled: arrived.append(signalled))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for first, frame in arrived[:1]:
            handlers[signal.Signals(first)](first, frame)


@contextmanager
def interruption_kept() -> Iterator[None]:
    """Raise the ``Interrupted`` or ``KeyboardInterrupt`` of the block, also where a library has raised another error.

    A signal may arrive anywhere in a library. ``torch.save``, for example, completes its file as the exception passes
    and raises ``RuntimeError``, since the file is not whole: the run would be FAILED, and would not be resumed.
    """
    handled = sys.exception()  # what the caller handles is the context of any error of the block
    try:
        yield
    except Exception as error:
        interruption = _interruption(error, handled)
        if interruption is None:
            raise
        raise interruption from None


def _interruption(error: BaseException | None, handled: BaseException | None) -> BaseException | None:
    """Return the interruption that an error was raised from or during; ``None``: there is none but ``handled``."""
    left, seen = [error], {id(None), id(handled)}
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, Interrupted | KeyboardInterrupt):
            return one
        seen.add(id(one))
        left += [one.__cause__, one.__context__]
    return None
