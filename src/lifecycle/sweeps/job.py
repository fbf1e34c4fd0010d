"""One job of a multirun: a run whose error is printed at once, so that the other jobs still run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from lifecycle.credentials import masked, masked_word
from lifecycle.errors import LifecycleError
from lifecycle.runtime.tracebacks import print_traceback

if TYPE_CHECKING:
    from lifecycle.config.schema import Request

FAILED = "not every job of the sweep succeeded; each failure is printed above, and its run is FAILED in MLflow."


class SweepError(LifecycleError):
    """A job of a multirun failed, and its error was printed."""

    def __init__(self, message: str = FAILED) -> None:
        super().__init__(message)


def run_job(request: Request, number: int, run: Callable[[Request], None]) -> None:
    """Run one job.

    Args:
        request: of the job.
        number: of the job in its multirun, as Hydra counts.
        run: runs a request.

    Raises:
        SweepError: the job failed. Hydra raises it after the last job, as it collects the errors of all.
    """
    from lifecycle.runtime.faults import explanation

    name = f"job {number}: {' '.join(map(masked_word, request.overrides))}"
    if request.config.verbose:
        print(f"\n{name}", flush=True)
    try:
        run(request)
    # Not Interrupted, which is no Exception: a signal ends the whole multirun.
    except Exception as raised:
        error = explanation(raised) or raised
        if not isinstance(error, LifecycleError):  # a bug: its author needs the traceback
            print_traceback(error)
        print(masked(f"lifecycle: {name} failed: {error}"), file=sys.stderr, flush=True)
        raise SweepError from raised
