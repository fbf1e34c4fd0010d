"""The losses by name, on logits or values; and the weights of classes in the training loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lifecycle.contract import REGRESSION, DataSpec
from lifecycle.data.dataset import Dataset
from lifecycle.errors import RequestError, did_you_mean


def _binary_crossentropy(logits: Tensor, targets: Tensor, smoothing: float, reduction: str) -> Tensor:
    smoothed = targets * (1 - smoothing) + 0.5 * smoothing if smoothing else targets
    if logits.dtype == torch.float64:  # where scores are computed: torch's own waits for other threads on a busy CPU
        losses = -(smoothed * F.logsigmoid(logits) + (1 - smoothed) * F.logsigmoid(-logits))
        return losses.mean() if reduction == "mean" else losses
    return F.binary_cross_entropy_with_logits(logits, smoothed, reduction=reduction)


def _categorical_crossentropy(logits: Tensor, targets: Tensor, smoothing: float, reduction: str) -> Tensor:
    return F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction=reduction)


def _log_cosh(outputs: Tensor, targets: Tensor, _smoothing: float, reduction: str) -> Tensor:
    away = (outputs - targets).abs()
    # log(cosh(x)) without its exponentials, which overflow
    losses = away + F.softplus(-2 * away) - torch.log(torch.tensor(2.0, dtype=away.dtype, device=away.device))
    return losses.mean() if reduction == "mean" else losses


LOSSES: dict[str, Callable[[Tensor, Tensor, float, str], Tensor]] = {
    "binary_crossentropy": _binary_crossentropy,
    "categorical_crossentropy": _categorical_crossentropy,
    "mse": lambda outputs, targets, _, reduction: F.mse_loss(outputs, targets, reduction=reduction),
    "mae": lambda outputs, targets, _, reduction: F.l1_loss(outputs, targets, reduction=reduction),
    "huber": lambda outputs, targets, _, reduction: F.huber_loss(outputs, targets, reduction=reduction),
    "log_cosh": _log_cosh,
    "poisson": lambda outputs, targets, _, reduction: F.poisson_nll_loss(outputs, targets, reduction=reduction),
}
"""Name -> function of logits or values, targets, label smoothing, and ``"mean"`` or ``"none"``."""


class Loss(nn.Module):
    """The mean loss of a batch.

    Args:
        name: of :data:`LOSSES`.
        label_smoothing: share of each label that is spread evenly over the classes.
        class_weights: ``(classes,) float32``: what the loss of a training row is multiplied by, by its class.
    """

    class_weights: Tensor | None

    def __init__(self, name: str, label_smoothing: float = 0.0, class_weights: Tensor | None = None) -> None:
        super().__init__()
        self.name, self.label_smoothing = name, label_smoothing
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(
        self, outputs: Tensor, targets: Tensor, weighted: bool = False, row_weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean over the rows, each multiplied by the weight of its class if ``weighted``, and by its own.

        Args:
            outputs: ``(batch, num_outputs)`` logits or values.
            targets: ``(batch,) int64`` or ``(batch, 1) float32``.
            weighted: for training; where there are no weights it changes nothing.
            row_weights: ``(batch,) float32``, whose mean over all training rows is 1; ``None``: 1 each.
        """
        if row_weights is not None:
            return (self.of_rows(outputs, targets, weighted).flatten() * row_weights).mean()
        if not weighted or self.class_weights is None:
            return LOSSES[self.name](outputs, targets, self.label_smoothing, "mean")
        return self.of_rows(outputs, targets, weighted).mean()

    def of_rows(self, outputs: Tensor, targets: Tensor, weighted: bool = False) -> Tensor:
        """Return the loss of each row, ``(batch,)`` or ``(batch, 1)``, of which :meth:`forward` is the mean."""
        losses = LOSSES[self.name](outputs, targets, self.label_smoothing, "none")
        if not weighted or self.class_weights is None:
            return losses
        return losses * self.class_weights.to(losses.device)[targets.long()]


def class_weights(
    asked: str | dict[str, float] | None, spec: DataSpec, targets: Tensor, row_weights: Tensor | None = None
) -> Tensor | None:
    """Return the weight of each class, in the order of the codes.

    Args:
        asked: ``"balanced"`` (rows over classes times rows of the class, as scikit-learn has it), or by class.
        spec: the task and its classes.
        targets: those of the training rows, from which alone the balance is learnt.
        row_weights: ``(rows,)``: how much each of them counts; ``None``: all the same.

    Raises:
        RequestError: there are no classes, or not these.
    """
    if asked is None:
        return None
    names = spec.class_names
    if spec.task == REGRESSION:
        raise RequestError(
            f"class_weights={asked} needs classes, got a regression of {spec.target_name}. Leave it out."
        )
    if isinstance(asked, str):
        of_rows = torch.ones(len(targets)) if row_weights is None else row_weights
        counts = torch.bincount(targets.long().flatten(), of_rows.double(), minlength=len(names))
        if not counts.all():
            none = names[int(torch.nonzero(counts == 0)[0])]
            raise RequestError(
                f"class_weights=balanced needs rows of each class to train on, got none of {none}. Change the split."
            )
        return (counts.sum() / (len(names) * counts)).float()
    for name in asked:
        if name not in names:
            raise RequestError(
                f"class_weights has a weight for {name}, which is no class of {spec.target_name}."
                f"{did_you_mean(name, names)} Classes: {', '.join(names)}."
            )
    if missing := [name for name in names if name not in asked]:
        raise RequestError(f"class_weights has no weight for {', '.join(missing)}. Name each class; 1 changes nothing.")
    return torch.tensor([asked[name] for name in names])


def check(loss: str, label_smoothing: float, spec: DataSpec) -> None:
    """Refuse label smoothing where there are no labels.

    Raises:
        RequestError: names key, value and cure.
    """
    if label_smoothing and spec.task == REGRESSION:
        raise RequestError(
            f"label_smoothing={label_smoothing} is not for the task regression, whose loss is {loss}. Leave it out."
        )


def check_data(loss: str, data: Dataset) -> None:
    """Refuse, for ``poisson``, targets that are no counts as they are.

    Raises:
        RequestError: they are standardised, or one is negative.
    """
    if loss != "poisson":
        return
    if data.preprocessing.target_scale != (0.0, 1.0):
        raise RequestError(
            "loss=poisson needs counts as they are, got a standardised target. Add data.scale_target=false."
        )
    if data.train.base is not None:
        raise RequestError(
            "loss=poisson learns counts and cannot learn differences, which may be below 0. Leave data.difference "
            "out, or use loss=mse."
        )
    for name, part in {"training": data.train, "validation": data.val, "test": data.test}.items():
        if part is not None and (lowest := float(part.targets.min())) < 0:
            raise RequestError(
                f"loss=poisson needs targets of 0 or more, got {lowest:g} in the {name} rows of data={data.name}. "
                "Use loss=mse."
            )
