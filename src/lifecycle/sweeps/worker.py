"""A process that runs jobs of a sweep: ``python -P -m lifecycle.sweeps.worker <folder of the sweep> <pipe>``.

It reads the number of a job per line from standard input, and writes the number and how the job ended into the pipe.
When the process that started it has died, its input ends, and the run that is open is ended as KILLED.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

from lifecycle.errors import Interrupted
from lifecycle.runtime.labels import lines_labelled
from lifecycle.runtime.signals import signals_raise
from lifecycle.sweeps import plan
from lifecycle.sweeps.execute import DONE, execute
from lifecycle.sweeps.plan import Plan

Queue = queue.SimpleQueue[int | None]

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
    try:
        with signals_raise():
            while (number := numbers.get()) is not None:
                busy.set()
                ended = _do(sweep, number)
                busy.clear()
                os.write(pipe, f"{number} {ended}\n".encode())
    except Interrupted as error:
        return error.exit_code
    except BrokenPipeError:  # nobody reads the answers any more
        return 1
    return 0


def _do(sweep: Plan, number: int) -> str:
    if number != SUMMARY:
        several = sweep.settings.workers > 1
        with lines_labelled(f"[{number + 1}] ") if several else nullcontext():
            return execute(sweep, sweep.jobs[number])
    from lifecycle.sweeps import summary

    summary.attempt(sweep)
    return DONE


def _read(numbers: Queue, busy: threading.Event) -> None:
    for line in sys.stdin:
        numbers.put(int(line))
    numbers.put(None)
    if busy.is_set():  # in the middle of a job: the process that started this one has died
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
