"""The command ``resume``: continues a run from its last checkpoint, with the results of a run without a stop."""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.checks import one_of
from lifecycle.cli.arguments import read_changes
from lifecycle.runs.resume import resume
from lifecycle.tracking import found_run


@dataclass
class Resume(found_run.Which):
    """What ``lifecycle resume`` takes, in addition to changes of the run such as ``trainer.max_epochs=500``."""

    checkpoint: str = "last"  # last or best: best fits no more and finishes the run with the weights of best.ckpt

    def __post_init__(self) -> None:
        one_of(self, "checkpoint", ("last", "best"))


def run(typed: list[str]) -> None:
    """Go on with a run in the same MLflow run; with ``trainer.max_epochs`` raised, one that is finished too.

    Raises:
        RequestError: there is nothing to go on with, or what is asked for would not be what the run began as.
        SavedModelError: a checkpoint of the run is altered.
        LifecycleError: the run failed, again.
    """
    asked, changes = read_changes(typed, Resume, "resume")
    resume(asked, changes, asked.checkpoint)
