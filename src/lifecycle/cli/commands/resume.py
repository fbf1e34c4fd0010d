"""The subcommand ``resume``: continues a run from its last checkpoint, or a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lifecycle.checks import one_of
from lifecycle.cli.arguments import read, read_changes
from lifecycle.config.fields import option
from lifecycle.config.schema import SweepConfig
from lifecycle.errors import RequestError, as_typed
from lifecycle.tracking import found_run

if TYPE_CHECKING:
    from lifecycle.sweeps.plan import Plan

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

METHOD, WARM_START = "method", "warm_start"
KEPT = ("sampler", "prune", "metric", WARM_START)
"""Options that a search keeps; a grid is only ranked by its metric."""


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
    plan.check_can_continue(found)
    # First: what else is typed may not fit another method.
    _check_kept(
        found, {word.partition("=")[0].removeprefix(SETTINGS): word.partition("=")[2] for word in typed}, METHOD
    )
    settings = read(typed, _Settings, "resume", _Settings(found.settings)).sweep
    if found.search is not None:
        _check_kept(found, {name: getattr(settings, name) for name in KEPT}, *KEPT)
    run.run(replace(found, settings=settings))


def _check_kept(plan: Plan, values: Mapping[str, Any], *names: str) -> None:
    """Refuse another value of what makes a sweep what it is: its later jobs would be those of another one.

    Args:
        plan: of the sweep.
        values: by the name of the option; others are not checked.
        names: of the options that must keep their values.
    """
    what = "search" if plan.search is not None else "sweep"
    for name in names:
        then = getattr(plan.settings, name)
        if values.get(name, then) != then:
            key, value = f"{SETTINGS}{name}", as_typed(values[name])
            problem = f"cannot be changed: the {what} was begun with {key}={as_typed(then)}"
            remedy = f"Type the command of the {what} with it, which begins another {what}."
            # It is no part of the name of a search.
            remedy = "Leave it out." if name == WARM_START else remedy
            raise RequestError(key, problem, value, remedy)
