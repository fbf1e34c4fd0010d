"""Ends a run, and prints how: a run that its search prunes is FINISHED in MLflow, without scores or a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from lifecycle import layout
from lifecycle.errors import Pruned

if TYPE_CHECKING:
    from lifecycle.console.report import Report
    from lifecycle.tracking.run import Run


@contextmanager
def prunable(tracking: AbstractContextManager[Run], printer: Report) -> Iterator[Run]:
    """Yield the run of a context; a run that is pruned in the block is tagged, and does not end as FAILED.

    What its database or its server does not have yet, once the run has ended, is printed.

    Args:
        tracking: opens the run, and ends it as its block ends.
        printer: prints why the run was pruned.

    Raises:
        Pruned: the block raised it. It is raised again once the run has ended.
    """
    pruned: Pruned | None = None
    with tracking as tracked:
        try:
            yield tracked
        except Pruned as error:
            tracked.tag(**{layout.STATUS: layout.PRUNED, "stopped": f"pruned: {error}"})
            printer.note("Pruned", str(error))
            pruned = error
    printer.pending(tracked)
    if pruned is not None:
        raise pruned
