"""Losses of logits or values by name, and the class weights of the training loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lifecycle.compile import own_losses
from lifecycle.compile.own_losses import LossFunction
from lifecycle.config.tasks import OwnName
from lifecycle.contract import MULTILABEL, REGRESSION, DataSpec
from lifecycle.data.dataset import Dataset
from lifecycle.errors import RequestError, Setting, Text, did_you_mean


def _binary_crossentropy(logits: Tensor, targets: Tensor, smoothing: float, reduction: str) -> Tensor:
    # As Keras's BinaryCrossentropy: labels move towards 0.5.
    smoothed = targets * (1 - smoothing) + 0.5 * smoothing if smoothing else targets
    if logits.dtype == torch.float64:  # where scores are computed: on a busy CPU torch's own waits for its threads
        losses = -(smoothed * F.logsigmoid(logits) + (1 - smoothed) * F.logsigmoid(-logits))
        return losses.mean() if reduction == "mean" else losses
    return F.binary_cross_entropy_with_logits(logits, smoothed, reduction=reduction)


def _categorical_crossentropy(logits: Tensor, targets: Tensor, smoothing: float, reduction: str) -> Tensor:
    return F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction=reduction)


def _log_cosh(outputs: Tensor, targets: Tensor, _smoothing: float, reduction: str) -> Tensor:
    away = (outputs - targets).abs()
    # log(cosh(x)) in a form whose exponentials do not overflow.
    losses = away + F.softplus(-2 * away) - torch.log(torch.tensor(2.0, dtype=away.dtype, device=away.device))
    return losses.mean() if reduction == "mean" else losses


LOSSES: dict[str, Callable[[Tensor, Tensor, float, str], Tensor]] = {
    "binary_crossentropy": _binary_crossentropy,
    "categorical_crossentropy": _categorical_crossentropy,
    "mse": lambda outputs, targets, _, reduction: F.mse_loss(outputs, targets, reduction=reduction),
    "mae": lambda outputs, targets, _, reduction: F.l1_loss(outputs, targets, reduction=reduction),
    "huber": lambda outputs, targets, _, reduction: F.huber_loss(outputs, targets, reduction=reduction),
    "log_cosh": _log_cosh,
    # With log_input=True, the default: the outputs are logarithms of rates, see link_of().
    "poisson": lambda outputs, targets, _, reduction: F.poisson_nll_loss(outputs, targets, reduction=reduction),
}
"""Name -> function of logits or values, targets, label smoothing, and ``"mean"`` or ``"none"``."""


class Loss(nn.Module):
    """The mean loss of a batch.

    Args:
        name: of :data:`LOSSES`, or of a caller's own loss.
        label_smoothing: share of each label that is spread evenly over the classes.
        class_weights: ``(classes,) float32`` factors of a training row's loss; of several labels: ``(labels,)``
            factors of the loss of a row that has the label.
    """

    class_weights: Tensor | None

    def __init__(self, name: str, label_smoothing: float = 0.0, class_weights: Tensor | None = None) -> None:
        super().__init__()
        self.name, self.label_smoothing = name, label_smoothing
        self.function = LossFunction(name.given) if isinstance(name, OwnName) else LOSSES[name]
        # A buffer moves to the device with the network; it is not saved, as predictions need no loss.
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(
        self, outputs: Tensor, targets: Tensor, weighted: bool = False, row_weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean over the rows, each times its own weight and, if ``weighted``, that of its class.

        Args:
            outputs: ``(batch, num_outputs)`` logits or values.
            targets: ``(batch,) int64``, or ``(batch, 1)`` or ``(batch, labels) float32``.
            weighted: whether class weights apply, as in training.
            row_weights: ``(batch,) float32``, with a mean of 1 over all training rows; ``None``: 1 each.
        """
        if row_weights is not None:
            return (self.of_rows(outputs, targets, weighted).flatten() * row_weights).mean()
        if not weighted or self.class_weights is None:
            return self.function(outputs, targets, self.label_smoothing, "mean")
        return self.of_rows(outputs, targets, weighted).mean()

    def of_rows(self, outputs: Tensor, targets: Tensor, weighted: bool = False) -> Tensor:
        """Return the loss of each row, ``(batch,)`` or ``(batch, 1)``, of which :meth:`forward` is the mean.

        That of several labels is the mean over the labels.
        """
        # Unreduced: torch divides a weighted mean by the sum of the weights, which would undo the weights of a batch.
        losses = self.function(outputs, targets, self.label_smoothing, "none")
        if losses.ndim == 2 and losses.shape[1] > 1:
            if weighted and self.class_weights is not None:
                losses = losses * (1 + targets * (self.class_weights.to(losses.device) - 1))
            return losses.mean(dim=1)
        if not weighted or self.class_weights is None:
            return losses
        if targets.ndim == 2 and targets.shape[1] > 1:
            problem = "needs the loss of each label, and yours has one for each row"
            raise RequestError("class_weights", problem, remedy="Leave it out.")
        # Targets of a binary loss are float32, and an index must be whole.
        return losses * self.class_weights.to(losses.device)[targets.long()]


def class_weights(
    choice: str | dict[str, float] | None, spec: DataSpec, targets: Tensor, row_weights: Tensor | None = None
) -> Tensor | None:
    """Return the weight of each class, in the order of the codes; or of each label.

    Args:
        choice: ``"balanced"``, or a weight for each class.
        spec: the task and its classes.
        targets: those of the training rows.
        row_weights: ``(rows,)`` weights of the training rows; ``None``: 1 each.

    Raises:
        RequestError: the task has no classes, or not these.
    """
    if choice is None:
        return None
    names = spec.class_names
    if spec.task == REGRESSION:
        problem = f"needs classes, got a regression of {spec.target_name}"
        raise RequestError(Setting("class_weights", choice), problem, remedy="Leave it out.")
    if isinstance(choice, str):
        of_labels = spec.task == MULTILABEL
        return _balanced_labels(names, targets, row_weights) if of_labels else _balanced(names, targets, row_weights)
    for name in choice:
        if name not in names:
            raise RequestError(
                "class_weights",
                f"has a weight for {name}, which is no class of {spec.target_name}",
                remedy=f"{did_you_mean(name, names)} Classes: {', '.join(names)}.",
            )
    if missing := [name for name in names if name not in choice]:
        problem = f"has no weight for {', '.join(missing)}"
        raise RequestError("class_weights", problem, remedy="Name each class; 1 changes nothing.")
    return torch.tensor([choice[name] for name in names])


def _balanced(names: Sequence[str], targets: Tensor, row_weights: Tensor | None) -> Tensor:
    """Return ``rows / (classes * rows of the class)``, as scikit-learn's ``class_weight="balanced"``."""
    of_rows = torch.ones(len(targets)) if row_weights is None else row_weights
    # In double precision: in single precision, counting by ones ends at 2^24 rows.
    counts = torch.bincount(targets.long().flatten(), of_rows.double(), minlength=len(names))
    if not counts.all():
        none = names[int(torch.nonzero(counts == 0)[0])]
        problem = f"needs rows of each class to train on, got none of {none}"
        raise RequestError(Setting("class_weights", "balanced"), problem, remedy="Change the split.")
    return (counts.sum() / (len(names) * counts)).float()


def _balanced_labels(names: Sequence[str], targets: Tensor, row_weights: Tensor | None) -> Tensor:
    """Return rows without the label / rows with it: the ``pos_weight`` that torch's BCEWithLogitsLoss describes."""
    of_rows = torch.ones(len(targets)) if row_weights is None else row_weights
    counts = of_rows.double() @ targets.double()
    if not counts.all():
        none = names[int(torch.nonzero(counts == 0)[0])]
        problem = f"needs rows of each label to train on, got none of {none}"
        raise RequestError(Setting("class_weights", "balanced"), problem, remedy="Change the split.")
    # A label that every row has keeps a weight above 0.
    return ((of_rows.double().sum() - counts) / counts).clamp_min(1 / len(targets)).float()


def check(loss: str, label_smoothing: float, spec: DataSpec) -> None:
    """Check that labels are smoothed only where there are classes, and that a caller's loss can be computed.

    Raises:
        RequestError: the task is a regression, or the loss fails.
    """
    if isinstance(loss, OwnName):
        own_losses.check(loss, loss.given, spec)
        if label_smoothing:
            problem = "is for the losses of this package"
            raise RequestError(Setting("label_smoothing", label_smoothing), problem, f"loss={loss}", "Leave it out.")
    if label_smoothing and spec.task == REGRESSION:
        problem = f"is not for the task regression, whose loss is {loss}"
        raise RequestError(Setting("label_smoothing", label_smoothing), problem, remedy="Leave it out.")


def check_data(loss: str, data: Dataset) -> None:
    """Check that the targets of ``poisson`` are unscaled counts.

    Raises:
        RequestError: they are standardised or differenced, or one is negative.
    """
    if loss != "poisson":
        return
    subject, other = Setting("loss", "poisson"), Setting("loss", "mse")
    if data.preprocessing.target_scale != (0.0, 1.0):
        raise RequestError(
            subject,
            "needs counts as they are, got a standardised target",
            remedy=["Add ", Setting("data.scale_target", False), "."],
        )
    if data.train.base is not None:
        raise RequestError(
            subject,
            "learns counts and cannot learn differences, which may be below 0",
            remedy=["Add ", Setting("data.difference", 0), ", or use ", other, "."],
        )
    if data.preprocessing.transform:
        why = "learns the logarithm of the rate itself, and cannot learn that of the counts"
        raise RequestError(subject, why, remedy=["Add ", Setting("data.transform", "none"), "."])
    for name, part in {"training": data.train, "validation": data.val, "test": data.test}.items():
        if part is not None and (lowest := float(part.targets.min())) < 0:
            where: Text = [f"{lowest:g} in the {name} rows of ", Setting("data", data.name)]
            problem: Text = ["needs targets of 0 or more, got ", where]
            raise RequestError(subject, problem, remedy=["Use ", other, "."])
