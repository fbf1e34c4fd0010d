"""What to try next where a network is not better than its baseline, by what the run has shown of its data and fit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lifecycle.compile import metrics
from lifecycle.config.request import Job
from lifecycle.contract import MULTILABEL, REGRESSION
from lifecycle.data.dataset import Dataset
from lifecycle.errors import Setting, Text
from lifecycle.evaluate.baselines import LAST_VALUE
from lifecycle.evaluate.scoring import Evaluation
from lifecycle.fit.history import History

MORE_EPOCHS = 3
"""Factor of the epochs of a fit that was still improving."""

STEADY = 0.02
"""Share of the first training loss by which a fit that learns nothing does not lower it."""

PARAMETERS_A_ROW = 10
"""Parameters for each training row above which a network can learn the rows by heart."""

FEW_ROWS = 100
"""Scored rows below which chance decides between a network and a baseline."""


@dataclass(frozen=True)
class Facts:
    """What is known of a run that has ended.

    Attributes:
        job: the checked request.
        data: training and scored rows.
        history: of the fit.
        evaluation: the scores.
        parameters: number of the network's parameters.
    """

    job: Job
    data: Dataset
    history: History
    evaluation: Evaluation
    parameters: int

    @property
    def plugin(self) -> Any:
        """The data plugin, with what it found in the rows."""
        return self.job.data if self.data.plugin is None else self.data.plugin


def next_step(facts: Facts) -> Text:
    """Return a sentence with the option to try next; "" where the network is better, or nothing is known to help."""
    if facts.evaluation.beats_baseline:
        return ""
    return next((found for rule in RULES if (found := rule(facts))), "")


def _difference(facts: Facts) -> Text:
    """A forecast that repeats a value of the series is better: the network should learn the change since then."""
    name = next(iter(facts.evaluation.baselines))
    season = re.fullmatch(r"value (\d+) steps before", name)
    steps = int(season[1]) if season else 1 if name == LAST_VALUE else 0
    lags = getattr(facts.plugin, "lags", None)
    if not steps or lags is None or steps in lags:
        return ""
    what = f"the value {steps} rows before" if steps > 1 else "the last value"
    return ["Try ", Setting("data.difference", steps), f": the network then learns the change since {what}."]


def _more_epochs(facts: Facts) -> Text:
    epochs = len(facts.history.rows)
    if facts.history.best_epoch != epochs or "max_epochs" not in facts.history.stopped:
        return ""
    setting = Setting("trainer.max_epochs", MORE_EPOCHS * facts.job.trainer.max_epochs)
    return ["Try ", setting, ": the last epoch was the best one."]


def _learning_rate(facts: Facts) -> Text:
    losses = [row["train_loss"] for row in facts.history.rows]
    lr, key = facts.job.optimizer.lr, "optimizer.lr"
    if len(losses) < 2 or not all(map(math.isfinite, losses)):
        return ""
    if losses[-1] > losses[0] and max(losses) > 1.5 * losses[0]:
        return ["Try ", Setting(key, f"{lr / 10:g}"), ": the training loss rose."]
    if min(losses) > (1 - STEADY) * losses[0]:
        return ["Try ", Setting(key, f"{lr * 10:g}"), ": the training loss hardly fell."]
    return ""


def _scaling(facts: Facts) -> Text:
    if getattr(facts.plugin, "scaling", None) != "none":
        return ""
    return ["Try ", Setting("data.scaling", "standard"), ": the inputs are not scaled."]


def _rare_classes(facts: Facts) -> Text:
    spec, job = facts.data.spec, facts.job
    if spec.task in (REGRESSION, MULTILABEL) or job.class_weights is not None:
        return ""
    if metrics.for_data(spec, facts.data.train.targets) is None:
        return ""
    return ["Try ", Setting("class_weights", "balanced"), ": a class is rare, and counts little in the loss."]


def _smaller_network(facts: Facts) -> Text:
    rows, best = len(facts.data.train), facts.history.best_epoch or len(facts.history.rows)
    is_early = best < len(facts.history.rows) / 2  # the validation loss rose while the training loss fell
    if facts.parameters < PARAMETERS_A_ROW * rows or not is_early:
        return ""
    hidden = getattr(facts.job.model, "hidden", None)
    why = f": {facts.parameters:,} parameters learn {rows} rows by heart."
    if isinstance(hidden, list) and hidden and max(hidden) > 8:
        return ["Try ", Setting("model.hidden", [8]), why]
    return ["Try ", Setting("model.dropout", 0.3), why] if getattr(facts.job.model, "dropout", None) == 0 else ""


def _more_rows(facts: Facts) -> Text:
    rows = len(facts.data.scored)
    if rows >= FEW_ROWS or facts.data.test is None or hasattr(facts.plugin, "lags"):
        return ""
    return ["Try ", Setting("cv.folds", 5), f": {rows} rows do not tell a network from a baseline."]


RULES: tuple[Callable[[Facts], Text], ...] = (
    *(_difference, _scaling, _learning_rate, _more_epochs, _rare_classes, _smaller_network, _more_rows),
)
"""In the order of what helps most."""
