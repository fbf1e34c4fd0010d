"""An interruption stays one where a library raises another error in its place."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import pytest
import torch

from lifecycle.errors import Interrupted, RequestError
from lifecycle.runtime.processes import ENDING
from lifecycle.runtime.signals import interruption_kept, signals_raise


class Stopping(io.BytesIO):
    """A file that calls a function at its second write."""

    def __init__(self, stop: Callable[[], None]) -> None:
        super().__init__()
        self._stop, self._writes = stop, 0

    def write(self, content: Any) -> int:
        self._writes += 1
        if self._writes == 2:
            self._stop()
        return super().write(content)


def save_until(stop: Callable[[], None]) -> None:
    """Have a call made in the middle of ``torch.save``."""
    torch.save({"weights": torch.ones(3)}, Stopping(stop))


def throw(error: BaseException) -> NoReturn:
    """Raise an exception."""
    raise error


@pytest.mark.parametrize("error", [Interrupted(15), KeyboardInterrupt()], ids=repr)
def test_an_interruption_that_torch_replaces_is_raised(error: BaseException) -> None:
    with pytest.raises(RuntimeError, match="unexpected pos"):  # a run would be FAILED
        save_until(partial(throw, error))
    with pytest.raises(type(error)) as raised, interruption_kept():
        save_until(partial(throw, error))
    assert raised.value is error


def failing(context: BaseException | None, cause: BaseException | None) -> RequestError:
    """Return an error that was raised during one exception, and from another."""
    error = RequestError("data.file", "cannot be read")
    error.__context__, error.__cause__ = context, cause
    return error


def test_an_interruption_below_a_cause_is_raised() -> None:
    below = OSError("not whole")
    below.__context__ = Interrupted(2)
    with pytest.raises(Interrupted, match="stopped by SIGINT"), interruption_kept():
        raise failing(below, ValueError("the header"))


def test_an_interruption_that_the_caller_handles_hides_no_error() -> None:
    def fail() -> None:
        with interruption_kept():
            raise failing(sys.exception(), None)

    def handle() -> None:
        try:
            save_until(partial(throw, KeyboardInterrupt()))
        except RuntimeError:
            fail()

    with pytest.raises(RequestError, match="cannot be read"):
        handle()


def test_an_error_without_an_interruption_is_raised_with_its_cause() -> None:
    cause = OSError("no such file")
    with pytest.raises(RequestError, match="cannot be read") as raised, interruption_kept():
        raise RequestError("data.file", "cannot be read") from cause
    assert raised.value.__cause__ is cause


def test_a_signal_that_a_library_replaces_ends_the_command_with_its_number() -> None:
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        with pytest.raises(Interrupted) as raised, signals_raise():
            save_until(lambda: os.kill(os.getpid(), signal.SIGTERM))
    finally:  # they are left ignored, as the process is about to end
        for number, handler in before.items():
            signal.signal(number, handler)
    assert raised.value.exit_code == 143
