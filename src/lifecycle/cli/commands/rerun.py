"""The verb ``rerun``: repeats a run from what it recorded, and says whether it came to the same, or why not."""

from __future__ import annotations

from lifecycle.errors import RequestError
from lifecycle.runs import reopen
from lifecycle.runs.rerun import _beside, _check, _repeat
from lifecycle.runtime.processes import is_helper
from lifecycle.tracking import client, found_run
from lifecycle.tracking.found_run import Which


def run(typed: list[str]) -> None:
    """Repeat a run, and print that it is reproduced.

    Raises:
        RequestError: there is no such run, or it cannot be repeated as it was.
        NotReproducedError: names each difference, and its probable cause.
    """
    asked, changes = reopen.read_changes(typed, Which, "rerun")
    found = found_run.find(asked)
    record = found.record()
    _check(found)
    request, changed = reopen.changed(record, changes, f"rerun run={found.id}")
    for key in changed:
        if key not in reopen.SHOWN:
            raise RequestError(
                f"{key} must stay {changed[key][0]} in a repetition of run {found.name} ({found.id}), got "
                f"{changed[key][1]}. Leave it out, or begin a new run with it."
            )
    _beside(found, request)
    reopen.told_to_helpers("rerun", found, changes, request)
    if not is_helper():
        client.warm(asked.tracking)
    _repeat(found, request)
