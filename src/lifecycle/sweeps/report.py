"""The report of a multirun after its last job."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from lifecycle.config.schema import Request
from lifecycle.console import report
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.tracking import client
from lifecycle.tracking.messages import ListSweep, SweepRuns


def report_sweep(request: Request) -> None:
    """Print the runs of the multirun that a request belongs to, as MLflow has recorded them."""
    with quiet_libraries():
        printer = report.Report(request.config.verbose)
        found = sweep_runs(request)
        printer.sweep(request.sweep or "", found.runs, found.note)
        printer.next(Path(found.folder))


def sweep_runs(request: Request) -> SweepRuns:
    """Return the runs of the multirun that a request belongs to, with their final scores."""
    worker = client.borrow()
    try:
        # The worker may be in another folder, and a relative tracking.dir is one of this process.
        return worker.ask(ListSweep(str(Path.cwd()), asdict(request.tracking), request.sweep or ""))
    finally:
        client.give_back(worker)
