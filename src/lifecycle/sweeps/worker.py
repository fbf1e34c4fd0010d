"""A process that runs jobs of a sweep: ``python -P -m lifecycle.sweeps.worker <folder of the sweep> <pipe>``.

It reads the numbers of jobs from standard input, a line for those that run together, and writes the number of each and
how it ended into the pipe.
When the process that started it has died, its input ends, and the run that is open is ended as KILLED.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path

from lifecycle.errors import Interrupted
from lifecycle.runtime.labels import UnbrokenStream, lines_labelled
from lifecycle.runtime.signals import signals_raise
from lifecycle.sweeps import plan
from lifecycle.sweeps.execute import DONE, execute
from lifecycle.sweeps.plan import Plan

Queue = queue.SimpleQueue[tuple[int, ...] | None]

SUMMARY = -1
"""In place of a job's number: write the summary of the sweep."""


def main(folder: Path, pipe: int) -> int:
    """Run jobs until there are no more.

    Args:
        folder: of the sweep.
        pipe: file descriptor for the answers.

    Returns:
        The exit code; that of a signal if one ended it.
    """
    numbers: Queue = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_read, args=(numbers, busy), daemon=True).start()
    sweep = plan.read(folder)
    # When the process that started this one has died, a print must not fail the run, which is about to be KILLED.
    out, err = UnbrokenStream(sys.stdout), UnbrokenStream(sys.stderr)
    try:
        with signals_raise(), redirect_stdout(out), redirect_stderr(err):
            while (task := numbers.get()) is not None:
                busy.set()
                if sweep.search is not None:  # a search adds jobs
                    sweep = plan.read(folder)
                _do(sweep, task, lambda number, ended: _answer(pipe, f"{number} {ended}\n"))
                busy.clear()
    except Interrupted as error:
        return error.exit_code
    except BrokenPipeError:  # nobody reads the answers any more
        return 1
    return 0


def _answer(pipe: int, line: str) -> None:
    os.write(pipe, line.encode())


def _do(sweep: Plan, task: Sequence[int], on_end: Callable[[int, str], None]) -> None:
    number = task[0]
    if number == SUMMARY:
        from lifecycle.sweeps.results import summary

        summary.attempt(sweep)
        on_end(SUMMARY, DONE)
        return
    with lines_labelled(f"[{number + 1}] ") if sweep.settings.workers > 1 else nullcontext():
        if len(task) == 1:
            ended = execute(sweep, sweep.jobs[number])
        else:
            from lifecycle.sweeps.execute_group import execute_group

            execute_group(sweep, task, on_end)
            return
    on_end(number, ended)


def _read(numbers: Queue, busy: threading.Event) -> None:
    for line in sys.stdin:
        numbers.put(tuple(map(int, line.split(","))))
    numbers.put(None)
    if busy.is_set():  # in the middle of a job: the process that started this one has died
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
