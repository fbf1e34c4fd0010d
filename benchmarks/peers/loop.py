"""A hand-written PyTorch loop, as a good practitioner writes it: what fitting costs at the least.

Each epoch permutes the rows once and takes slices of them; Adam is fused; loss and metrics are running sums that are
read once an epoch; validation rows, where there are any, are passed over after each epoch. It is in float32 throughout.
It keeps no checkpoint, no history on disk and no record.
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

BESIDE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "binary": lambda outputs, targets: ((outputs > 0) == (targets > 0.5)).sum(),
    "multiclass": lambda outputs, targets: (outputs.argmax(1) == targets).sum(),
    "regression": lambda outputs, targets: (outputs - targets).abs().sum(),
}
"""The sum over a batch of what is reported beside the loss: hits, or absolute errors."""


def fit(
    network: nn.Module,
    train: Part,
    val: Part | None,
    job: dict[str, Any],
    order: Callable[[int], Tensor] = torch.randperm,
) -> list[dict[str, float]]:
    """Train a network in place.

    Args:
        network: ``(batch, *sample)`` to logits or values.
        train: rows to learn from.
        val: rows to pass over after each epoch, or ``None``.
        job: its task, epochs, batch size and the arguments of Adam; see :func:`peers.jobs.describe`.
        order: draws the order of so many rows for an epoch.

    Returns:
        The scores of each epoch: ``train_loss``, ``train_accuracy``, ...
    """
    (inputs, targets), size, task = train, job["batch_size"], job["task"]
    loss_of, beside_of = LOSSES[task], BESIDE[task]
    optimizer = torch.optim.Adam(network.parameters(), **{**job["optimizer"], "fused": True})
    losses, beside = torch.zeros(()), torch.zeros(())
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
            beside.add_(beside_of(outputs.detach(), wanted))
        scores = _read(task, losses, beside, len(inputs), "train")
        history.append(scores | ({} if val is None else score(network, val, task, "val")))
    return history


@torch.no_grad()
def score(network: nn.Module, part: Part, task: str, prefix: str = "test") -> dict[str, float]:
    """Return loss and metrics of a network on rows, as :func:`fit` returns them; leave it ready to be trained."""
    network.eval()
    losses, beside = torch.zeros(()), torch.zeros(())
    for batch, wanted in zip(*(tensor.split(EVALUATION_BATCH) for tensor in part), strict=True):
        outputs = network(batch)
        losses.add_(LOSSES[task](outputs, wanted), alpha=len(batch))
        beside.add_(BESIDE[task](outputs, wanted))
    network.train()
    return _read(task, losses, beside, len(part[0]), prefix)


def _read(task: str, losses: Tensor, beside: Tensor, rows: int, prefix: str) -> dict[str, float]:
    """Return the means of running sums, in one reading, and begin them anew."""
    loss, other = (torch.stack((losses, beside)) / rows).tolist()
    losses.zero_()
    beside.zero_()
    if task == "regression":
        return {f"{prefix}_loss": loss, f"{prefix}_rmse": math.sqrt(loss), f"{prefix}_mae": other}
    return {f"{prefix}_loss": loss, f"{prefix}_accuracy": other}
