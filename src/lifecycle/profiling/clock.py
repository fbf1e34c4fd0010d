"""Measures the time of a run by named phases, and samples the stack meanwhile; idle without ``profile=true``."""

from __future__ import annotations

import builtins
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from lifecycle.runtime.processes import is_helper

if TYPE_CHECKING:
    from lifecycle.config.request import Request

BORN = time.perf_counter() - time.process_time()
"""Start of the process on the clock of ``perf_counter``: the command imports this module among the first."""
# At 200 samples a second the sampling thread takes less than 1% of a CPU.
SECONDS_A_SAMPLE = 0.005
PHASES = (
    *("start", "import", "data", "define and compile", "fit", "validation", "checkpoint", "tracking"),
    *("evaluate", "predict", "save", "pictures", "other"),
)
"""In the order of the table. ``start`` is Python, Hydra and the composition of the request."""
START, IMPORT, OTHER = PHASES[0], PHASES[1], PHASES[-1]

Stack = tuple[str, ...]
"""Functions from the outermost inwards, in pyinstrument's format: name, file and line, separated by NUL."""

HIDDEN = (
    __file__,
    contextmanager.__code__.co_filename,
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
)
"""Files whose functions only pass a call on, and are left out of stacks."""


class Profile:
    """Seconds by phase, each without the phases within it; and seconds by sampled stack.

    Args:
        began: start on the clock of ``perf_counter``; the time until :meth:`start` is the phase ``start``. None: now.

    Attributes:
        seconds: by phase. After :meth:`stop` they sum to ``whole``.
        stacks: seconds by (phase, functions called since the phase began). A sample counts the time since the last one.
        cpu_seconds: of all threads, until :meth:`stop`.
    """

    def __init__(self, began: float | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self.stacks: dict[tuple[str, Stack], float] = {}
        self._began = self._since = time.perf_counter() if began is None else began
        self._cpu = 0.0 if began is not None else time.process_time()
        # Of the open phases: name, and depth of the stack when the phase began.
        self._open: list[tuple[str, int]] = [(START if began is not None else OTHER, 0)]
        self.cpu_seconds = 0.0
        self._thread = threading.get_ident()
        self._names: dict[int, tuple[CodeType, str]] = {}
        self._ended = threading.Event()
        # A daemon: it must not keep a process alive that ends without stop().
        self._sampler = threading.Thread(target=self._sample, name="lifecycle-profile", daemon=True)
        self._import = builtins.__import__

    @property
    def whole(self) -> float:
        """Seconds from the start to the last counted time."""
        return self._since - self._began

    def start(self) -> None:
        """Start sampling stacks and timing imports."""
        self._switch()
        self._open = [(OTHER, _depth(sys._getframe(3)))]  # the frame that entered profiled()
        builtins.__import__ = self._timed_import
        self._sampler.start()

    def stop(self) -> None:
        """Stop sampling and timing; a second call does nothing."""
        if self._open:
            self._switch()
            self.cpu_seconds = time.process_time() - self._cpu
            self._open = []
            builtins.__import__ = self._import
            self._ended.set()
            self._sampler.join()

    def enter(self, name: str, frame: FrameType) -> int:
        """Begin a phase.

        Args:
            name: of the phase.
            frame: of the function whose calls belong to the phase.

        Returns:
            The argument of :meth:`leave`.
        """
        self._switch()
        self._open.append((name, _depth(frame)))
        return len(self._open) - 1

    def leave(self, number: int) -> None:
        """End a phase, and those within it that an exception has ended."""
        if number < len(self._open):
            self._switch()
            del self._open[number:]

    def counts_here(self) -> bool:
        """Return whether this thread is the profiled one."""
        return threading.get_ident() == self._thread and bool(self._open)

    def _switch(self) -> None:
        """Add the time since the last switch to the innermost phase."""
        # One reading of the clock ends a phase and begins the next, so that all add up to the whole.
        now, (name, _) = time.perf_counter(), self._open[-1]
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    def _sample(self) -> None:
        """Sample the stack of the profiled thread, from another thread.

        pyinstrument's own profiler, a callback of the interpreter at each function call, makes imports a third slower
        and stores every sample. This one costs next to nothing, and stores each different stack once.
        """
        last = time.perf_counter()
        while not self._ended.wait(SECONDS_A_SAMPLE):
            frame, phases = sys._current_frames().get(self._thread), self._open
            now = time.perf_counter()
            if phases:
                self._add_sample(frame, *phases[-1], now - last)
            last = now

    def _add_sample(self, frame: FrameType | None, phase: str, depth: int, seconds: float) -> None:
        functions = []
        while frame is not None:
            functions.append(self._description(frame.f_code))
            frame = frame.f_back
        functions.reverse()
        key = phase, tuple(function for function in functions[depth:] if function)
        self.stacks[key] = self.stacks.get(key, 0.0) + seconds

    def _description(self, code: CodeType) -> str:
        """Return a function in pyinstrument's format; "" for one that is left out of stacks."""
        if id(code) not in self._names:  # the code is stored too: the id of one that is freed may be used again
            hidden = code.co_filename in HIDDEN
            text = "" if hidden else f"{code.co_qualname}\x00{code.co_filename}\x00{code.co_firstlineno}"
            self._names[id(code)] = code, text
        return self._names[id(code)][1]

    def _timed_import(self, *args: Any, **options: Any) -> Any:
        if not self.counts_here() or self._open[-1][0] == IMPORT:  # imports within imports are the same phase
            return self._import(*args, **options)
        number = self.enter(IMPORT, sys._getframe())
        try:
            return self._import(*args, **options)
        finally:
            self.leave(number)


_current: Profile | None = None
_counted_start = False


@contextmanager
def profiled(request: Request, is_command: bool = False) -> Iterator[None]:
    """Profile the block, if the request has ``profile=true`` and no profile is open.

    Args:
        request: of the run.
        is_command: whether to count from the start of the process; only its first run does.
    """
    global _current, _counted_start  # noqa: PLW0603 - a process does one run at a time
    # Only the first job of a multirun has the start of the process in its profile.
    first, _counted_start = not _counted_start, True
    # A run within a profiled one is part of its profile.
    if _current is not None or not request.config.profile or is_helper():
        yield
        return
    _current = Profile(BORN if is_command and first and _is_program() else None)
    try:
        _current.start()
        yield
    finally:
        _current.stop()
        _current = None


def current() -> Profile | None:
    """Return the profile of the current run, if it has one and this is its thread."""
    return _current if _current is not None and _current.counts_here() else None


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Count the time of a block, or of each call of a decorated function, as a phase of the run."""
    profile = current()
    if profile is None:
        yield
        return
    number = profile.enter(name, sys._getframe(2))
    try:
        yield
    finally:
        profile.leave(number)


@contextmanager
def timed(name: str, context: AbstractContextManager[Any]) -> Iterator[Any]:
    """Count as a phase: entering a context, leaving it, and each method call of the object that it returns."""
    with phase(name):
        entered = context.__enter__()
    time_methods(entered, name)
    try:
        yield entered
    except BaseException as error:
        with phase(name):
            if not context.__exit__(type(error), error, error.__traceback__):
                raise
    else:
        with phase(name):
            context.__exit__(None, None, None)


def time_methods(instance: Any, name: str, *methods: str) -> None:
    """Count each call of an object's methods as a phase; of all public ones, unless some are named."""
    for method in methods or [key for key, value in vars(type(instance)).items() if _is_public_method(key, value)]:
        setattr(instance, method, phase(name)(getattr(instance, method)))


def _is_public_method(key: str, value: Any) -> bool:
    return callable(value) and not key.startswith("_")


def _is_program() -> bool:
    """Return whether the process was started as our command, rather than by a program that calls it."""
    # The script `lifecycle`, or the module lifecycle/__main__.py.
    file = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    # Or the worker of a sweep, lifecycle/sweeps/worker.py, which the command starts.
    return "lifecycle" in (file.stem, file.parent.stem) or file.parts[-3:] == ("lifecycle", "sweeps", "worker.py")


def _depth(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return depth
