"""The report of a multirun after its last job."""

from __future__ import annotations

from lifecycle.config.schema import Request
from lifecycle.console import report
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.tracking.run import sweep_runs


def report_sweep(request: Request) -> None:
    """Print the runs of the multirun that a request belongs to, as MLflow has recorded them."""
    with quiet_libraries():
        printer = report.Report(request.config.verbose)
        folder, runs, note = sweep_runs(request)
        printer.sweep(request.sweep or "", runs, note)
        printer.next(folder)
