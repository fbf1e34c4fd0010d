"""Step 4, evaluate: computes loss and metrics of rows, and compares them with baselines."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor

from lifecycle.compile.devices import repeatable
from lifecycle.compile.metrics import OF_RARE_CLASSES, for_data, higher_is_better
from lifecycle.compile.scores import prefixed
from lifecycle.evaluate import baselines, intervals
from lifecycle.profiling.clock import phase
from lifecycle.runtime import memory

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from lifecycle.compile.compiled_model import CompiledModel
    from lifecycle.data.batches import Batches
    from lifecycle.data.dataset import Dataset


@phase("evaluate")
def evaluate(module: CompiledModel, batches: Batches, trainer: pl.Trainer) -> dict[str, float]:
    """Return ``{"loss": ..., <metric>: ...}`` of a model on rows, each scored once.

    Args:
        module: the model.
        batches: the rows, in order.
        trainer: a Trainer on one device.
    """
    with memory.kept():
        trainer.test(module, batches, verbose=False)
    return module.test_scores.compute()


def evaluate_here(module: CompiledModel, batches: Batches) -> dict[str, float]:
    """Return the scores of :func:`evaluate`, without a Trainer, which would change the state of the process.

    Args:
        module: the model; its network stays on its device, in evaluation mode.
        batches: the rows, in order.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type != "cpu":
        module = copy.deepcopy(module).to(device)  # a copy, since other threads may predict with the network
    module.eval()
    # memory.kept: each batch allocates the same sizes again, which are slow to get from the system.
    with torch.inference_mode(), memory.kept(), repeatable(device):
        for number, batch in enumerate(batches):
            module.test_step(batch if device.type == "cpu" else move_data_to_device(batch, device), number)
        return module.test_scores.compute()


@dataclass(frozen=True)
class Evaluation:
    """The scores of a trained model, with intervals and baselines.

    Attributes:
        on: the scored rows: ``"test"``, or ``"training_set"`` if no rows were held out.
        scores: ``{"loss": ..., <metric>: ...}`` of the network.
        intervals: ``(low, high)`` of each metric that has a bootstrap interval.
        baselines: the same scores of the baselines by name, the one to beat first.
        meaning: the baseline to beat, as a phrase.
        higher_is_better: by score; scores without a known direction are missing.
        rare_class: a class has so few training rows that accuracy says little of it.
    """

    on: str
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    baselines: dict[str, dict[str, float]]
    meaning: str
    higher_is_better: dict[str, bool]
    rare_class: bool = False

    @property
    def baseline(self) -> dict[str, float]:
        """The scores of the baseline to beat."""
        return next(iter(self.baselines.values()))

    @property
    def judged_by(self) -> str:
        """The score by which network and baseline are compared: the first metric that both have, or the loss.

        Where a class is rare, a metric of rare classes comes first: a network that never predicts it is as accurate.
        """
        # A metric of one of them may be NaN, such as R2 of constant values.
        both = [name for name in self.scores if math.isfinite(self.scores[name] + self.baseline[name])]
        if self.rare_class:
            both = [*(name for name in reversed(OF_RARE_CLASSES) if name in both), *both]
        return next((name for name in both if name != "loss" and name in self.higher_is_better), "loss")

    @property
    def beats_baseline(self) -> bool:
        """Whether the network is better than the baseline on :attr:`judged_by`."""
        name = self.judged_by
        # The loss has no entry in higher_is_better: lower is better.
        gain = self.scores[name] - self.baseline[name]
        return gain > 0 if self.higher_is_better.get(name) else gain < 0

    @property
    def recorded(self) -> dict[str, float]:
        """The scores of the network as a run records them: ``test_accuracy``; intervals and baselines are in tables."""
        return prefixed(self.scores, self.on)


@dataclass(frozen=True)
class Dummies:
    """The baselines of the scored rows.

    Attributes:
        scores: by name, the one to beat first.
        meaning: the one to beat, as a phrase.
    """

    scores: dict[str, dict[str, float]]
    meaning: str


def dummies_of(module: CompiledModel, data: Dataset) -> Dummies:
    """Return the baselines of the scored rows; they depend on the data, the loss and the metrics only."""
    found = baselines.baselines(data, module.units)
    return Dummies({dummy.name: baselines.score(module, data, dummy) for dummy in found}, found[0].meaning)


@phase("evaluate")
def judge(
    module: CompiledModel,
    data: Dataset,
    scores: dict[str, float],
    outputs: Tensor,
    seed: int,
    dummies: Dummies | None = None,
) -> Evaluation:
    """Add intervals and baselines to the scores of a model.

    Args:
        module: the model.
        data: with the scored rows.
        scores: of the network on them, as :func:`evaluate` returns them.
        outputs: ``(rows, num_outputs)`` of the network for them.
        seed: of the resamples.
        dummies: the baselines, where they are known; ``None``: they are computed.
    """
    part, dummies = data.scored, dummies_of(module, data) if dummies is None else dummies
    directions = {name: higher_is_better(name, metric) for name, metric in module.test_scores.metrics.items()}
    return Evaluation(
        on=data.scored_on,
        scores=scores,
        intervals=intervals.intervals(module.test_scores, outputs, part.targets, part.truth, seed),
        baselines=dummies.scores,
        meaning=dummies.meaning,
        # torchmetrics does not define the direction of some metrics, which then never mark a best run.
        higher_is_better={name: better for name, better in directions.items() if better is not None},
        rare_class=for_data(data.spec, data.train.targets) is not None,
    )
