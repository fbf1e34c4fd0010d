"""Where a run's time goes: a clock of named phases, and the stacks that were seen meanwhile; idle unless asked for."""

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
    from lifecycle.config.schema import Request

BORN = time.perf_counter() - time.process_time()
"""When the process began, on the clock of ``perf_counter``: this module is among the first that the command imports."""
SECONDS_A_SAMPLE = 0.005
PHASES = (
    *("start", "import", "data", "define and compile", "fit", "validation", "checkpoint", "tracking"),
    *("evaluate", "predict", "save", "pictures", "other"),
)
"""In the order of the table. ``start`` is Python, Hydra and the composing of the request, before imports begin."""
START, IMPORT, OTHER = PHASES[0], PHASES[1], PHASES[-1]

Stack = tuple[str, ...]
"""Functions from the outermost, each as pyinstrument writes it: name, file and line, with NUL between."""

HIDDEN = (
    __file__,
    contextmanager.__code__.co_filename,
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
)
"""Files whose functions only pass a call on."""


class Profile:
    """Seconds by phase, each exclusive of the phases within it; and seconds by the stacks that were seen in it.

    Args:
        began: when, on the clock of ``perf_counter``; what is before :meth:`start` is the phase ``start``. None: now.

    Attributes:
        seconds: by phase. After :meth:`stop` they add up to ``whole``.
        stacks: seconds by (phase, functions called since it began). Samples weigh what has passed since the last.
        cpu_seconds: of all threads, up to :meth:`stop`.
    """

    def __init__(self, began: float | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self.stacks: dict[tuple[str, Stack], float] = {}
        self._began = self._since = time.perf_counter() if began is None else began
        self._cpu = 0.0 if began is not None else time.process_time()
        # Of the phases that are going on: name, and how many functions were being called as it began.
        self._open: list[tuple[str, int]] = [(START if began is not None else OTHER, 0)]
        self.cpu_seconds = 0.0
        self._thread = threading.get_ident()
        self._names: dict[int, tuple[CodeType, str]] = {}
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="lifecycle-profile", daemon=True)
        self._import = builtins.__import__

    @property
    def whole(self) -> float:
        """Seconds from the beginning to what was last counted."""
        return self._since - self._began

    def start(self) -> None:
        """Begin to look at stacks and to time imports."""
        self._turn()
        self._open = [(OTHER, _depth(sys._getframe(3)))]  # of whoever entered profiled()
        builtins.__import__ = self._timed_import
        self._sampler.start()

    def stop(self) -> None:
        """End looking and timing; a second time, do nothing."""
        if self._open:
            self._turn()
            self.cpu_seconds = time.process_time() - self._cpu
            self._open = []
            builtins.__import__ = self._import
            self._ended.set()
            self._sampler.join()

    def enter(self, name: str, frame: FrameType) -> int:
        """Begin a phase; ``frame`` is of the function that will call what the phase is made of.

        Returns:
            What :meth:`leave` takes.
        """
        self._turn()
        self._open.append((name, _depth(frame)))
        return len(self._open) - 1

    def leave(self, number: int) -> None:
        """End a phase, and those within it that an error has ended."""
        if number < len(self._open):
            self._turn()
            del self._open[number:]

    def counts_here(self) -> bool:
        """Tell whether this thread is the one whose time is counted."""
        return threading.get_ident() == self._thread and bool(self._open)

    def _turn(self) -> None:
        """Give the time since the last turn to the innermost phase."""
        now, (name, _) = time.perf_counter(), self._open[-1]
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    def _sample(self) -> None:
        """Look at what the profiled thread is doing, again and again, from a thread of its own.

        A profiler that is called with every function, such as pyinstrument's, makes imports a third slower and keeps
        each sample; this one costs next to nothing, and memory for each different stack alone.
        """
        last = time.perf_counter()
        while not self._ended.wait(SECONDS_A_SAMPLE):
            frame, phases = sys._current_frames().get(self._thread), self._open
            now = time.perf_counter()
            if phases:
                self._see(frame, *phases[-1], now - last)
            last = now

    def _see(self, frame: FrameType | None, phase: str, depth: int, seconds: float) -> None:
        functions = []
        while frame is not None:
            functions.append(self._named(frame.f_code))
            frame = frame.f_back
        functions.reverse()
        key = phase, tuple(function for function in functions[depth:] if function)
        self.stacks[key] = self.stacks.get(key, 0.0) + seconds

    def _named(self, code: CodeType) -> str:
        if id(code) not in self._names:  # the code itself is kept too, so that its id stays its own
            hidden = code.co_filename in HIDDEN
            text = "" if hidden else f"{code.co_qualname}\x00{code.co_filename}\x00{code.co_firstlineno}"
            self._names[id(code)] = code, text
        return self._names[id(code)][1]

    def _timed_import(self, *args: Any, **options: Any) -> Any:
        if not self.counts_here() or self._open[-1][0] == IMPORT:
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
    """Profile the block, if the request asks for it and nothing does so already.

    Args:
        request: its field ``profile``.
        is_command: count from the start of the process, in its first run.
    """
    global _current, _counted_start  # noqa: PLW0603 - a process does one run at a time
    first, _counted_start = not _counted_start, True
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
    """Return the profile of the run that is going on in this thread, if it has one."""
    return _current if _current is not None and _current.counts_here() else None


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Count the time of a block, or of each call of a function that this decorates, as a phase of the run."""
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
    """Enter a context and leave it, as a phase; what is done in between is not of it, but for what it gives."""
    with phase(name):
        given = context.__enter__()
    time_methods(given, name)
    try:
        yield given
    except BaseException as error:
        with phase(name):
            if not context.__exit__(type(error), error, error.__traceback__):
                raise
    else:
        with phase(name):
            context.__exit__(None, None, None)


def time_methods(thing: Any, name: str, *methods: str) -> None:
    """Count each call of an object's methods (all that are public, unless named) as a phase."""
    for method in methods or [key for key, value in vars(type(thing)).items() if _is_public_method(key, value)]:
        setattr(thing, method, phase(name)(getattr(thing, method)))


def _is_public_method(key: str, value: Any) -> bool:
    return callable(value) and not key.startswith("_")


def _is_program() -> bool:
    """Tell whether the process was started as our command, rather than by a program that came to call it."""
    file = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    return "lifecycle" in (file.stem, file.parent.stem)


def _depth(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return depth
