"""What the verbs share that go on with a run, or repeat it: their words, the request, and what is different now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from lifecycle.cli import arguments
from lifecycle.config import request_record
from lifecycle.config.schema import Request
from lifecycle.credentials import masked_word
from lifecycle.errors import RequestError
from lifecycle.tracking import provenance
from lifecycle.tracking.found_run import FoundRun, Which

if TYPE_CHECKING:
    from lifecycle.data.dataset import Dataset

SHOWN = ("verbose", "tracking.figures")
"""Settings that change what is shown of a run, and not what it comes to."""


Words = TypeVar("Words", bound=Which)


def read_changes(typed: list[str], cls: type[Words], verb: str) -> tuple[Words, list[str]]:
    """Return which run is meant, and the words that would change what it recorded.

    Args:
        typed: the words.
        cls: the fields that the verb takes itself.
        verb: for messages.

    Raises:
        RequestError: a word cannot be read, or asks for what a run keeps.
    """
    asked, changes = arguments.read_some(typed, cls, verb)
    for word in typed:
        if word.startswith("tracking.run_name="):
            raise RequestError(f"{word} cannot go with {verb}: a run keeps its name. Leave it out.")
    return asked, [*changes, *(word for word in typed if word.startswith("tracking.figures="))]


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
    of_data = {provenance.DATA: data.digest, **data.split_digests}
    now = {**provenance.version_tags(), **provenance.commit(), **provenance.hardware(), **of_data}
    return provenance.differences(found.tags, now)


def told_to_helpers(verb: str, found: FoundRun, changes: list[str], request: Request) -> None:
    """Have the processes that share the fitting, which are given this one's command line, find the same run."""
    if request.config.trainer.devices > 1 and found.folder is not None:
        where = f"tracking.dir={found.folder}"
        sys.argv[1:] = [verb, f"run={found.id}", where, f"tracking.experiment={found.experiment}", *changes]
