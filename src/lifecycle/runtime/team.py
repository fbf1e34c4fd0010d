"""The processes of a ddp fit while they load data: each reads its files, and all learn what the others found."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.errors import LifecycleError, RequestError
from lifecycle.runtime.processes import is_helper

if TYPE_CHECKING:
    import numpy as np

FOLDER = "LIFECYCLE_TEAM"
"""Environment variable: the folder in which the processes leave what they found, set for helpers."""

FAILED = "failed"
"""Name of the file in which a process leaves its error."""

LONGEST_WAIT = 0.05
"""Seconds between two looks for the answer of another process."""


@dataclass(frozen=True)
class Piece:
    """What one process found.

    Attributes:
        value: of JSON.
        arrays: name -> array.
    """

    value: Any = None
    arrays: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Team:
    """The processes that load data together, on one machine.

    They exchange values as JSON and arrays as ``.npy`` files, so that nothing that is read could run code.

    Attributes:
        rank: of this process; 0 is the main process.
        size: number of processes.
        folder: that all of them can write to.
        exit_code: returns how the process of a rank ended; ``None``: it runs, or this is no process to know.
    """

    rank: int
    size: int
    folder: Path
    exit_code: Callable[[int], int | None] = lambda _rank: None

    @property
    def is_main(self) -> bool:
        """Whether this process prints, tracks and scores."""
        return self.rank == 0

    def gathered(self, step: str, value: Any = None, **arrays: np.ndarray[Any, Any]) -> list[Piece]:
        """Return what each process found, in the order of their ranks, once all have.

        Args:
            step: a name that is used once.
            value: of JSON, what this process found.
            arrays: of numbers.

        Raises:
            LifecycleError: another process has failed.
        """
        self._write(step, value, arrays)
        return [self._read(step, rank) for rank in range(self.size)]

    def arrived(self, step: str) -> None:
        """Wait in the main process until all others are here; they go on, since it may remove the folder at once.

        Args:
            step: a name that is used once.

        Raises:
            LifecycleError: another process has failed.
        """
        self._write(step, None, {})
        if self.is_main:
            for rank in range(1, self.size):
                self._read(step, rank)

    def of_main(self, step: str, value: Callable[[], Any]) -> Any:
        """Return what the main process found, in all processes.

        Args:
            step: a name that is used once.
            value: called in the main process; its result is of JSON.
        """
        if self.is_main:
            self._write(step, value(), {})
        return self._read(step, 0).value

    def divided(self, step: str, names: list[str], function: Callable[[list[str]], dict[str, Any]]) -> dict[str, Any]:
        """Return a value for each name, of which each process computes some.

        Args:
            step: a name that is used once.
            names: in the same order in all processes.
            function: returns a value of JSON for each of some names.
        """
        pieces = self.gathered(step, function(names[self.rank :: self.size]))
        found = {name: value for piece in pieces for name, value in piece.value.items()}
        return {name: found[name] for name in names}

    def failed(self, error: BaseException) -> None:
        """Leave an error, which ends the others."""
        fields = error.packed() if isinstance(error, RequestError) else None
        self._write(FAILED, [str(error) or type(error).__name__, fields], {})

    def _write(self, step: str, value: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        import numpy as np

        for name, array in arrays.items():
            np.save(self.folder / f"{step}.{self.rank}.{name}.npy", array, allow_pickle=False)
        # Renamed last, so that a process that finds the file can read all of it and its arrays.
        file = self.folder / f"{step}.{self.rank}.json"
        new = file.with_suffix(".new")
        new.write_text(json.dumps([value, sorted(arrays)]), encoding="utf-8")
        new.replace(file)

    def _read(self, step: str, rank: int) -> Piece:
        import numpy as np

        file = self.folder / f"{step}.{rank}.json"
        self._wait(file, rank)
        value, names = json.loads(file.read_text(encoding="utf-8"))
        arrays = {name: np.load(self.folder / f"{step}.{rank}.{name}.npy", allow_pickle=False) for name in names}
        return Piece(value, arrays)

    def _wait(self, file: Path, rank: int) -> None:
        wait = LONGEST_WAIT / 16
        while not file.is_file():
            for other in range(self.size):
                left = self.folder / f"{FAILED}.{other}.json"
                if other != self.rank and left.is_file():
                    message, fields = json.loads(left.read_text(encoding="utf-8"))[0]
                    raise RequestError.unpacked(fields) if fields else LifecycleError(message)
            if (code := self.exit_code(rank)) is not None and not file.is_file():
                raise LifecycleError(f"a process of the run ended while it read its files, with exit code {code}")
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)


_current: Team | None = None


def current() -> Team | None:
    """Return the team that this process loads data with; ``None``: it loads all by itself."""
    return _current


@contextmanager
def joined(team: Team | None) -> Iterator[None]:
    """Load data as a team within the block."""
    global _current  # noqa: PLW0603 - a process is in one team, as it is of one ddp fit
    _current = team
    try:
        yield
    finally:
        _current = None


def of_environment() -> Team | None:
    """Return the team of a helper process; ``None``: its main process loads data by itself.

    The process then ends with its main process, whatever it is waiting for.
    """
    folder = os.environ.pop(FOLDER, None)  # of the first load only
    if folder is None or not is_helper():
        return None
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    return Team(int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"]), Path(folder))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
