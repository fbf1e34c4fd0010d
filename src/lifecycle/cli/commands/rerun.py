"""The subcommand ``rerun``: repeats a run from its record and compares the results."""

from __future__ import annotations

from lifecycle.cli.arguments import read_changes
from lifecycle.runs.rerun import rerun
from lifecycle.tracking.found_run import Which

OPTIONS = Which


def run(typed: list[str]) -> None:
    """Repeat a run, and print whether it is reproduced.

    Raises:
        RequestError: there is no such run, or it cannot be repeated.
        NotReproducedError: the results differ; the message has each difference, and its probable cause.
    """
    rerun(*read_changes(typed, Which, "rerun"))
