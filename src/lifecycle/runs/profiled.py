"""Tracks a run, with a profile if one is requested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle import layout
from lifecycle.profiling import clock
from lifecycle.profiling.files import table, write
from lifecycle.runtime.processes import signals_ignored
from lifecycle.tracking import run as run_module

if TYPE_CHECKING:
    from lifecycle.config.request import Request
    from lifecycle.console.report import Report
    from lifecycle.profiling.clock import Profile


@contextmanager
def track(request: Request, printer: Report) -> Iterator[run_module.Run]:
    """Track a run, and write its profile into its artifacts after it is closed, even if it failed.

    The profile is written last so that it includes the time of closing the run.
    """
    profile, folder = clock.current(), None
    if profile is None:
        with run_module.track(request) as run:
            yield run
        return
    try:
        with clock.timed("tracking", run_module.track(request)) as run:
            with clock.phase("tracking"):
                folder = run.artifacts
            yield run
    finally:
        profile.stop()  # before its files are written, which would be part of it
        if folder is not None:
            _write(profile, request.run_name, folder, printer)


def _write(profile: Profile, name: str, folder: Path, printer: Report) -> None:
    """Write and print a profile. A full disk is printed, and does not fail a run that has finished."""
    rows = table(profile)
    try:
        with signals_ignored():  # a second Ctrl-C would leave half a file in the artifacts
            write(folder, name, profile)
    except OSError as error:
        printer.profile(rows, f"not written: {error.strerror or error}")
        return
    printer.profile(rows, folder, [layout.PROFILE_TABLE, layout.PROFILE_PAGE])
