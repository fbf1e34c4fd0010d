"""The subcommand ``resume``: continues a run from its last checkpoint, or a sweep."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lifecycle.checks import one_of
from lifecycle.cli.arguments import read, read_changes
from lifecycle.config.fields import option
from lifecycle.config.schema import SweepConfig
from lifecycle.errors import RequestError
from lifecycle.tracking import found_run

CHECKPOINTS = ("last", "best")


@dataclass
class Resume(found_run.Which):
    """Options of ``lifecycle resume``."""

    checkpoint: str = option(
        "last", "last or best: best does not train, and finishes the run with the weights of best.ckpt", CHECKPOINTS
    )

    def __post_init__(self) -> None:
        one_of(self, "checkpoint", CHECKPOINTS)


OPTIONS = Resume
NOTE = (
    "Overrides change the recorded configuration, such as trainer.max_epochs=500. sweep= alone resumes a sweep, with "
    "sweep.workers=2 and other options of how its jobs are run."
)

SETTINGS = "sweep."


def run(typed: list[str]) -> None:
    """Continue a run as the same MLflow run; with a larger ``trainer.max_epochs``, also a finished one.

    Raises:
        RequestError: the run has no checkpoint, or a change would invalidate its completed epochs.
        SavedModelError: a checkpoint of the run is altered.
        LifecycleError: the run failed again.
    """
    # Before the others are read, to which sweep.workers would be a field of the name of a sweep.
    settings = [word for word in typed if word.startswith(SETTINGS)]
    options, changes = read_changes([word for word in typed if word not in settings], Resume, "resume")
    if options.sweep is not None and not options.run:
        _resume_sweep(options, changes, settings)
    elif settings:
        key, _, value = settings[0].partition("=")
        raise RequestError(key, "is an option of sweeps, and this is one run", value, "Leave it out, or name a sweep=.")
    else:
        from lifecycle.runs.resume import resume

        resume(options, changes, options.checkpoint)


@dataclass
class _Settings:
    """The options of how the jobs of a sweep are run."""

    sweep: SweepConfig = field(default_factory=SweepConfig)


def _resume_sweep(options: Resume, changes: list[str], typed: list[str]) -> None:
    """Run the jobs of a sweep that are not finished: killed ones from their last checkpoints, failed ones anew."""
    from lifecycle.sweeps import plan, run

    if changes:
        problem = "cannot be changed: the jobs of a sweep are those that were composed when it was started"
        raise RequestError(changes[0].partition("=")[0], problem, remedy="Leave it out, or begin another sweep.")
    found = plan.find(options.tracking, str(options.sweep))
    settings = read(typed, _Settings, "resume", _Settings(found.settings)).sweep
    run.run(replace(found, settings=settings))
