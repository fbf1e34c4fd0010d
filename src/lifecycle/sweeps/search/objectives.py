"""The scores that a search is for: their names as runs record them, and whether higher is better."""

from __future__ import annotations

from collections.abc import Sequence

from lifecycle.capabilities import large_file_of
from lifecycle.config.request import Job
from lifecycle.config.schema import SweepConfig
from lifecycle.config.tasks import TASKS, metrics_of
from lifecycle.contract import MULTICLASS, MULTILABEL, REGRESSION, DataSpec
from lifecycle.data.resolving import resolved
from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.sweeps.search.space import Objective

LOSS = "loss"
KEPT, TEST, TRAINING = "kept_val_", "test_", "training_set_"
ALIASES = {"val_": KEPT}
"""Beginnings of the names of scores of epochs, and what the finished run has of them: the value of its kept weights."""

HIGHER = {
    **dict.fromkeys(("accuracy", "precision", "recall", "f1", "auroc", "r2"), True),
    **dict.fromkeys((LOSS, "mse", "rmse", "mae", "mape"), False),
}
"""Directions of the usual scores; those of others are read from torchmetrics, whose import takes seconds."""


def objectives_of(settings: SweepConfig, job: Job) -> tuple[Objective, ...]:
    """Return the objectives of a search.

    Args:
        settings: whose ``metric`` names them; null: the score that ranks configurations.
        job: one of the search.

    Raises:
        RequestError: no run would record one of them.
    """
    has_folds = job.request.config.cv.folds is not None
    named = settings.metrics or [f"{TEST}{LOSS}" if has_folds else f"{KEPT}{LOSS}"]
    task, known = _task_and_scores(job, named)
    found = tuple(_objective(name, task, known) for name in named)
    if not _validates(job):
        remedy = "Hold some rows out: data.val_size=0.2"
        if settings.prune != "none":
            problem = "compares the validation scores of epochs, and there are no validation rows"
            raise RequestError(Setting("sweep.prune", settings.prune), problem, remedy=f"{remedy}.")
        for one, name in zip(found, named, strict=True):
            if one.metric.startswith(KEPT):
                problem = "is a score that no run logs: there are no validation rows"
                raise RequestError(Setting("sweep.metric", name), problem, remedy=f"{remedy}, or choose by test_loss.")
    return found


def _validates(job: Job) -> bool:
    """Return whether a run has validation rows, as far as the fields of its data say."""
    if getattr(job.data, "validation_split", None):
        return True
    return bool(getattr(job.data, "val_size", None) != 0)


def _objective(name: str, task: str | None, known: Sequence[str]) -> Objective:
    prefix = next((prefix for prefix in (*ALIASES, KEPT, TEST, TRAINING) if name.startswith(prefix)), "")
    score = name.removeprefix(prefix)
    if not prefix or score not in known:
        listed = [f"{prefix or KEPT}{one}" for one in known]
        begins = "" if prefix else " They begin with val_ (validation rows) or test_."
        raise RequestError(
            Setting("sweep.metric", name),
            "is a score that no run logs",
            remedy=f"{did_you_mean(name, listed).strip()}{begins} Scores: {', '.join(known)}; "
            "metrics=[...] adds others.",
        )
    return Objective(f"{ALIASES.get(prefix, prefix)}{score}", _higher_is_better(score, task), f"val_{score}")


def _task_and_scores(job: Job, named: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the task of the data, and the names of the scores of a run; of the loss alone, data are not read."""
    if all(name.endswith(f"_{LOSS}") for name in named):
        return None, [LOSS]
    if large_file_of(job.data) is not None:  # reading it takes long, so that each task is thought possible
        of_tasks = [metrics_of(task, job.metrics) for task in TASKS if _fits(task, job)]
        return None, list(dict.fromkeys([LOSS, *(name for names in of_tasks for name in names)]))
    frame = job.data.read()
    kind = resolved(job.data, frame).describe_target(frame).task
    task = kind if kind in (MULTILABEL, REGRESSION) else MULTICLASS
    return task, [LOSS, *metrics_of(task, job.metrics)]


def _fits(task: str, job: Job) -> bool:
    try:
        metrics_of(task, job.metrics)
    except RequestError:
        return False
    return True


def _higher_is_better(score: str, task: str | None) -> bool:
    if score in HIGHER:
        return HIGHER[score]
    from lifecycle.compile import metrics  # it imports torch

    found: bool | None = None
    for one in [task] if task else TASKS:
        try:
            spec = DataSpec(one, (1,), 1 if one == REGRESSION else 2)
            found = metrics.higher_is_better(score, metrics.build(spec, score))
            break
        except StopIteration:  # a metric of another task
            continue
    if found is None:
        problem = "has no direction: it is not known whether higher is better"
        raise RequestError(Setting("sweep.metric", score), problem, remedy="Search for another score.")
    return found
