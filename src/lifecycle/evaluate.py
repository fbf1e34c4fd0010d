"""Step 4, evaluate: loss and metrics of one pass over rows; and the scores on held-out rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torchmetrics
from torch import Tensor, nn

from lifecycle import baselines, heap, intervals
from lifecycle.contract import BINARY, MULTICLASS, DataSpec
from lifecycle.metrics import build, higher_is_better
from lifecycle.profiling import phase
from lifecycle.units import Units

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from lifecycle.compile import CompiledModel
    from lifecycle.data.batches import Batches
    from lifecycle.data.dataset import Dataset

MOST_PENDING = 65_536
"""Rows whose outputs wait for the metrics; more are folded in, so that memory stays bounded."""


class Scores(nn.Module):
    """Loss and metrics over one pass. A step only keeps its outputs; the metrics see them many rows at a time."""

    def __init__(self, spec: DataSpec, metrics: Iterable[str], units: Units) -> None:
        super().__init__()
        self.task, self.units = spec.task, units
        self.mean_loss = torchmetrics.MeanMetric()
        self.metrics = nn.ModuleDict({name: build(spec, name) for name in metrics})
        self._pending: list[tuple[Tensor, Tensor, Tensor, Tensor | None]] = []
        self._rows = 0

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor, base: Tensor | None = None) -> None:
        """Add a batch: its mean loss (scalar), logits or values, targets as the loss takes them, and their base."""
        self._pending.append((loss, outputs, targets, base))
        self._rows += len(outputs)
        if self._rows >= MOST_PENDING:
            self._fold()

    def compute(self) -> dict[str, float]:
        """Return ``{"loss": ..., <metric>: ...}`` of the rows since the last call, in all processes; start anew."""
        self._fold()
        scores = {"loss": float(self.mean_loss.compute())}
        scores |= {name: float(metric.compute()) for name, metric in self.metrics.items()}  # type: ignore[operator]
        self.reset()
        return scores

    def reset(self) -> None:
        """Forget all rows since the last :meth:`compute`."""
        self._pending, self._rows = [], 0
        for metric in (self.mean_loss, *self.metrics.values()):
            metric.reset()  # type: ignore[operator]

    def as_compared(self, outputs: Tensor, targets: Tensor, base: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return predictions and truth as the metrics take them: probabilities and codes, or values in own units."""
        predicted = self.units(outputs, base)
        if self.task == BINARY:
            return predicted.squeeze(1), targets.squeeze(1).long()
        if self.task == MULTICLASS:
            return predicted, targets
        return predicted.squeeze(1), self.units.restore(targets, base).squeeze(1)

    def _fold(self) -> None:
        if not self._pending:
            return
        losses, outputs, targets, bases = zip(*self._pending, strict=True)
        self._pending, self._rows = [], 0
        rows = torch.tensor([len(batch) for batch in outputs], device=outputs[0].device)
        self.mean_loss.update(torch.stack(losses), rows)
        base = None if bases[0] is None else torch.cat(bases)
        predicted, truth = self.as_compared(torch.cat(outputs), torch.cat(targets), base)
        for metric in self.metrics.values():
            metric.update(predicted, truth)  # type: ignore[operator]


@phase("evaluate")
def evaluate(module: CompiledModel, batches: Batches, trainer: pl.Trainer) -> dict[str, float]:
    """Return ``{"loss": ..., <metric>: ...}`` of a model on rows, each scored once.

    Args:
        module: the model, with the weights to be judged.
        batches: the rows, in order.
        trainer: a Trainer on one device.
    """
    with heap.kept():
        trainer.test(module, batches, verbose=False)
    return module.test_scores.compute()


def prefixed(scores: dict[str, Any], part: str) -> dict[str, Any]:
    """Return ``{"val_loss": ...}`` from ``{"loss": ...}``."""
    return {f"{part}_{name}": value for name, value in scores.items()}


@dataclass(frozen=True)
class Evaluation:
    """What is known of a finished model's worth.

    Attributes:
        on: ``"test"``, or ``"training_set"`` where no rows were held out.
        scores: ``{"loss": ..., <metric>: ...}`` of the network.
        intervals: ``(low, high)`` of each metric that has a bootstrap interval.
        baselines: the same scores of what needs no network, the one to beat first.
        meaning: what the one to beat is, as a person reads it.
        higher_is_better: for each score.
    """

    on: str
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    baselines: dict[str, dict[str, float]]
    meaning: str
    higher_is_better: dict[str, bool]

    @property
    def baseline(self) -> dict[str, float]:
        """The scores of the baseline to beat."""
        return next(iter(self.baselines.values()))

    @property
    def judged_by(self) -> str:
        """The score that is compared with the baseline's: the first metric that both have, or the loss."""
        both = [name for name in self.scores if math.isfinite(self.scores[name] + self.baseline[name])]
        return next((name for name in both if name != "loss" and name in self.higher_is_better), "loss")

    @property
    def beats_baseline(self) -> bool:
        """Whether the network is better than the baseline on :attr:`judged_by`."""
        name = self.judged_by
        gain = self.scores[name] - self.baseline[name]
        return gain > 0 if self.higher_is_better.get(name) else gain < 0

    @property
    def own(self) -> dict[str, float]:
        """What is known of the network by name: ``test_accuracy``, ``test_accuracy_low``, ``..._high``."""
        named = prefixed(self.scores, self.on)
        for name, (low, high) in self.intervals.items():
            named |= {f"{self.on}_{name}_low": low, f"{self.on}_{name}_high": high}
        return named

    @property
    def flat(self) -> dict[str, float]:
        """All of it by name: that, and ``baseline_accuracy``."""
        return self.own | prefixed(self.baseline, "baseline")


@phase("evaluate")
def judge(module: CompiledModel, data: Dataset, scores: dict[str, float], outputs: Tensor, seed: int) -> Evaluation:
    """Put intervals and baselines beside the scores of a model.

    Args:
        module: the model.
        data: with the rows that were scored.
        scores: of the network on these, as :func:`evaluate` returns them.
        outputs: ``(rows, num_outputs)`` of the network for them.
        seed: of the resamples.
    """
    part, dummies = data.scored, baselines.baselines(data, module.units)
    directions = {name: higher_is_better(name, metric) for name, metric in module.test_scores.metrics.items()}
    return Evaluation(
        on=data.scored_on,
        scores=scores,
        intervals=intervals.intervals(module.test_scores, outputs, part.targets, part.base, seed),
        baselines={dummy.name: baselines.score(module, data, dummy) for dummy in dummies},
        meaning=dummies[0].meaning,
        higher_is_better={name: better for name, better in directions.items() if better is not None},
    )
