"""Shared by resume and rerun: the recorded request with changes, and what is different now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lifecycle import layout
from lifecycle.config import request_record
from lifecycle.config.schema import Request
from lifecycle.credentials import masked_word
from lifecycle.tracking import provenance
from lifecycle.tracking.found_run import FoundRun

if TYPE_CHECKING:
    from lifecycle.data.dataset import Dataset

SHOWN = ("verbose", "tracking.figures")
"""Settings that change what is shown of a run, and not what it comes to."""


def changed(record: dict[str, Any], changes: list[str], verb: str) -> tuple[Request, dict[str, tuple[Any, Any]]]:
    """Return the request that a run recorded with some of its values changed, and what each was and is.

    Args:
        record: of the run.
        changes: ``key=value`` words on it.
        verb: for the record, with the words.

    Raises:
        RequestError: a word names no field, or its value does not fit.
    """
    request_record.check_rows_are_kept(record, changes)
    request = request_record.request_of(
        record, changes, f"lifecycle {verb} {' '.join(map(masked_word, changes))}".rstrip()
    )
    keys = [word.partition("=")[0] for word in changes]
    values = {key: (_at(record["config"], key), _at(request.recorded, key)) for key in keys}
    return request, {key: (then, now) for key, (then, now) in values.items() if then != now}


def _at(config: Any, key: str) -> Any:
    """Return the value of a dotted key, as it is recorded; ``None``: there is none."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def differences(found: FoundRun, data: Dataset) -> list[provenance.Difference]:
    """Return what a run came from and would not come from now.

    Args:
        found: the run.
        data: as they are now.
    """
    of_data = {layout.DATA: data.digest, **data.split_digests}
    now = {**provenance.version_tags(), **provenance.commit(), **provenance.hardware(), **of_data}
    return provenance.differences(found.tags, now)


def told_to_helpers(verb: str, found: FoundRun, changes: list[str], request: Request) -> None:
    """Have the processes that share the fitting, which are given this one's command line, find the same run."""
    if request.config.trainer.devices > 1 and found.folder is not None:
        where = f"tracking.dir={found.folder}"
        sys.argv[1:] = [verb, f"run={found.id}", where, f"tracking.experiment={found.experiment}", *changes]
