"""A hand-written PyTorch training loop without overhead, as the lower limit of the time.

Each epoch permutes the rows once and takes slices of them. Adam is fused. Loss and metrics are running sums that are
read once per epoch. Validation rows, if any, are scored after each epoch. All computations are in float32. The loop
writes no checkpoint and no history, and records no run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Part = tuple[Tensor, Tensor]
"""``(rows, *sample) float32`` inputs, and ``(rows,) int64`` codes or ``(rows, 1) float32`` targets."""

EVALUATION_BATCH = 1024

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "binary": F.binary_cross_entropy_with_logits,
    "multiclass": F.cross_entropy,
    "regression": F.mse_loss,
}

SECOND_SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "binary": lambda outputs, targets: ((outputs > 0) == (targets > 0.5)).sum(),
    "multiclass": lambda outputs, targets: (outputs.argmax(1) == targets).sum(),
    "regression": lambda outputs, targets: (outputs - targets).abs().sum(),
}
"""By task, the sum over a batch of the second score: correct predictions, or absolute errors."""


def fit(
    network: nn.Module,
    train: Part,
    val: Part | None,
    job: dict[str, Any],
    order: Callable[[int], Tensor] = torch.randperm,
) -> list[dict[str, float]]:
    """Train a network in place.

    Args:
        network: maps ``(batch, *sample)`` to logits or values.
        train: training rows.
        val: validation rows, or ``None``.
        job: task, epochs, batch size and the arguments of Adam; see :func:`peers.jobs.describe`.
        order: returns a permutation of a number of rows, once per epoch.

    Returns:
        The scores of each epoch: ``train_loss``, ``train_accuracy``, ...
    """
    (inputs, targets), size, task = train, job["batch_size"], job["task"]
    loss_of, second_of = LOSSES[task], SECOND_SCORES[task]
    optimizer = torch.optim.Adam(network.parameters(), **{**job["optimizer"], "fused": True})
    losses, second = torch.zeros(()), torch.zeros(())
    history = []
    network.train()
    for _ in range(job["epochs"]):
        permuted = order(len(inputs))
        for batch, wanted in zip(inputs[permuted].split(size), targets[permuted].split(size), strict=True):
            outputs = network(batch)
            loss = loss_of(outputs, wanted)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.add_(loss.detach(), alpha=len(batch))
            second.add_(second_of(outputs.detach(), wanted))
        scores = _read(task, losses, second, len(inputs), "train")
        history.append(scores | ({} if val is None else score(network, val, task, "val")))
    return history


@torch.no_grad()
def score(network: nn.Module, part: Part, task: str, prefix: str = "test") -> dict[str, float]:
    """Return loss and metrics of a network on rows, like :func:`fit`; leave the network in training mode."""
    network.eval()
    losses, second = torch.zeros(()), torch.zeros(())
    for batch, wanted in zip(*(tensor.split(EVALUATION_BATCH) for tensor in part), strict=True):
        outputs = network(batch)
        losses.add_(LOSSES[task](outputs, wanted), alpha=len(batch))
        second.add_(SECOND_SCORES[task](outputs, wanted))
    network.train()
    return _read(task, losses, second, len(part[0]), prefix)


def _read(task: str, losses: Tensor, second: Tensor, rows: int, prefix: str) -> dict[str, float]:
    """Return the means of the running sums, with one synchronization, and reset the sums."""
    loss, other = (torch.stack((losses, second)) / rows).tolist()
    losses.zero_()
    second.zero_()
    if task == "regression":
        return {f"{prefix}_loss": loss, f"{prefix}_rmse": math.sqrt(loss), f"{prefix}_mae": other}
    return {f"{prefix}_loss": loss, f"{prefix}_accuracy": other}
