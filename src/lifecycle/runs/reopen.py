"""Shared by resume and rerun: the recorded request with changes, and differences of data and environment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lifecycle import layout
from lifecycle.config.records import request_record
from lifecycle.config.request import Request
from lifecycle.credentials import masked_word
from lifecycle.tracking import provenance
from lifecycle.tracking.found_run import FoundRun

if TYPE_CHECKING:
    from lifecycle.data.dataset import Dataset

DISPLAY_SETTINGS = ("verbose", "tracking.figures")
"""Settings that change what is displayed of a run, and not its results."""


def changed(record: dict[str, Any], overrides: list[str], command: str) -> tuple[Request, dict[str, tuple[Any, Any]]]:
    """Return the recorded request with overrides, and by key the recorded and the new value of those that differ.

    Args:
        record: of the run.
        overrides: ``key=value`` arguments.
        command: ``"resume"`` or ``"rerun run=<id>"``, which is recorded with the overrides.

    Raises:
        RequestError: an override names no field, or its value does not fit.
    """
    # Before the request is composed, whose data plugin would report a missing file called X.
    request_record.check_rows_are_kept(record, overrides)
    request = request_record.request_of(
        record, overrides, f"lifecycle {command} {' '.join(map(masked_word, overrides))}".rstrip()
    )
    keys = [word.partition("=")[0] for word in overrides]
    values = {key: (_at(record["config"], key), _at(request.recorded, key)) for key in keys}
    # An override that repeats the recorded value changes nothing, and is allowed.
    return request, {key: (then, now) for key, (then, now) in values.items() if then != now}


def _at(config: Any, key: str) -> Any:
    """Return the recorded value of a dotted key; ``None``: there is none."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def differences(found: FoundRun, data: Dataset) -> list[provenance.Difference]:
    """Return the differences between a run's recorded data and environment, and those of this process.

    Args:
        found: the run.
        data: loaded now.
    """
    of_data = {layout.DATA_DIGEST: data.digest, **data.split_digests}
    now = {**provenance.version_tags(), **provenance.commit(), **provenance.hardware(), **of_data}
    return provenance.differences(found.tags, now)


def set_helper_arguments(command: str, found: FoundRun, overrides: list[str], request: Request) -> None:
    """Set the command line of this process so that the helper processes of a DDP fit find the same run.

    Lightning starts them with the command line of this process, in which ``run=latest`` would find another run.
    """
    if request.config.trainer.devices > 1 and found.folder is not None:
        where = f"tracking.dir={found.folder}"
        # Lightning starts the helpers with the command line of this process.
        sys.argv[1:] = [command, f"run={found.id}", where, f"tracking.experiment={found.experiment}", *overrides]
