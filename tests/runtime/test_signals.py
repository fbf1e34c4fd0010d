"""An interruption stays one where a library raises another error in its place."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from lifecycle.errors import Interrupted, RequestError
from lifecycle.runtime.processes import ENDING
from lifecycle.runtime.signals import interruption_kept, signals_delayed, signals_raise


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


@contextmanager
def handlers_restored() -> Iterator[None]:
    """Set the handlers of signals back at the end: ``signals_raise`` leaves them ignored, as the process is to end."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    with handlers_restored(), pytest.raises(Interrupted) as raised, signals_raise():
        save_until(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert raised.value.exit_code == 143


def test_a_signal_within_a_block_that_delays_it_is_raised_at_its_end() -> None:
    done: list[str] = []

    def work() -> None:
        with signals_delayed():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            done.append("whole")
        done.append("not reached")

    with handlers_restored(), pytest.raises(Interrupted, match="stopped by SIGTERM"), signals_raise():
        work()
    assert done == ["whole"]


def test_ctrl_c_of_a_python_caller_is_delayed_likewise_and_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    done: list[str] = []

    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("whole")

    with pytest.raises(KeyboardInterrupt), signals_delayed():
        work()
    assert (done, signal.getsignal(signal.SIGINT)) == (["whole"], before)


def test_an_ignored_signal_stays_ignored_and_another_thread_delays_none() -> None:
    with handlers_restored():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with signals_delayed():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
    entered: list[bool] = []

    def enter() -> None:
        with signals_delayed():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]


STOPPED = """
import os, signal, sys
from importlib.abc import MetaPathFinder
from lifecycle.cli.main import main

class Stopping(MetaPathFinder):
    stopped = False

    def find_spec(self, name, path, target=None):
        if name == "numpy.exceptions" and not self.stopped:
            self.stopped = True
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Stopping())
sys.argv[1:] = ["data=iris"]
sys.exit(main())
"""


def test_a_signal_while_numpy_is_imported_ends_the_command_as_any_other(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STOPPED]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (143, "lifecycle: stopped by SIGTERM\n")
