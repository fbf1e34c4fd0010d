"""Reports the scores of a run's epochs to its trial, in the process that runs it, and ends the run if it is pruned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lifecycle.errors import Pruned, RequestError, Setting
from lifecycle.sweeps.plan import Plan, PlannedJob
from lifecycle.sweeps.search.study import OpenTrial, Study

Row = dict[str, float]

_studies: dict[tuple[Path, str], Study] = {}


def trial_of(plan: Plan, job: PlannedJob) -> OpenTrial | None:
    """Return the trial that the epochs of a job are reported to.

    Of a trial with several seeds or folds these are the epochs of the first one: a score of another fold is of other
    rows, and cannot be compared with those of the first fold of another trial.

    Returns:
        ``None``: nothing is pruned, or this is not the first job of its trial.
    """
    if plan.search is None or plan.settings.prune == "none" or job is not first_of(plan, job.configuration):
        return None
    key = (plan.folder, plan.settings.prune)
    if key not in _studies:  # a process that runs many jobs reads the journal once, and then what is new in it
        _studies.clear()
        _studies[key] = Study(plan, watches=True)
    return _studies[key].open_trial(job.configuration)


def first_of(plan: Plan, configuration: str) -> PlannedJob:
    """Return the first job of a configuration."""
    return next(job for job in plan.jobs if job.configuration == configuration)


def report(trial: OpenTrial, epoch: int, value: float) -> bool:
    """Report the score of an epoch.

    Args:
        trial: of :func:`trial_of`.
        epoch: from 1.
        value: of the objective's score of epochs, such as ``val_loss``.

    Returns:
        Whether the trial should be pruned.
    """
    return trial.report(epoch, value)


def listener(plan: Plan, job: PlannedJob) -> Callable[[Row], None] | None:
    """Return what is called with the scores of each epoch of a job; ``None``: they are not reported.

    The function raises ``Pruned`` when the trial should be pruned.
    """
    trial = trial_of(plan, job)
    if trial is None or plan.search is None:
        return None
    monitor = plan.search.objectives[0].monitor

    def on_epoch(row: Row) -> None:
        epoch = int(row["epoch"])
        if monitor not in row:
            problem = f"compares {monitor} of each epoch, which is not computed without validation rows"
            raise RequestError(Setting("sweep.prune", plan.settings.prune), problem, remedy="Use sweep.prune=none.")
        if report(trial, epoch, row[monitor]):
            raise Pruned(f"{monitor} is {row[monitor]:.4g} after epoch {epoch}, worse than that of other trials")

    return on_epoch
