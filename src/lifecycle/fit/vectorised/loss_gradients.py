"""Gradients of the mean training loss of many copies in their outputs: of the usual losses in closed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from lifecycle.compile.losses import Loss
from lifecycle.fit.vectorised.tracing import Traced

Options = dict[str, Tensor]
"""``class_weights`` ``(copies, classes)`` and ``row_weights`` ``(copies, batch)``, where there are any."""

LossGradient = Callable[[Tensor, Tensor, Options], Tensor]
"""Outputs ``(copies, batch, num)``, targets and options to the gradient in the outputs."""


def loss_of(loss: Loss) -> LossGradient:
    """Return the training loss of one copy as a function of outputs, targets and options."""

    def of(outputs: Tensor, targets: Tensor, options: Options) -> Tensor:
        more = {"weighted": True, "row_weights": options.get("row_weights")}
        if "class_weights" not in options:
            found: Tensor = loss(outputs, targets, **more)
            return found
        weighted: Tensor = functional_call(loss, {"class_weights": options["class_weights"]}, (outputs, targets), more)
        return weighted

    return of


def gradient_of(loss: Loss) -> LossGradient:
    """Return the gradient of a loss for all copies."""
    closed = CLOSED.get(loss.name)
    if closed is not None:
        return lambda outputs, targets, options: _weighted(
            closed(outputs, targets, loss.label_smoothing), targets, options
        )
    of_copies = vmap(grad(loss_of(loss)))
    traced = Traced(lambda _, outputs, targets, options: of_copies(outputs, targets, options))
    return lambda outputs, targets, options: traced(outputs.shape, {}, outputs, targets, options)


def _binary_crossentropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    smoothed = targets * (1 - smoothing) + 0.5 * smoothing if smoothing else targets
    return logits.sigmoid().sub_(smoothed).div_(logits.shape[1] * logits.shape[2])


def _categorical_crossentropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    found = logits.softmax(2)
    if smoothing:
        found -= smoothing / logits.shape[2]
    index = targets.unsqueeze(2)
    return found.scatter_add_(2, index, found.new_full((1, 1, 1), smoothing - 1).expand(index.shape)).div_(
        logits.shape[1]
    )


def _mse(outputs: Tensor, targets: Tensor, _smoothing: float) -> Tensor:
    return (outputs - targets).mul_(2 / (outputs.shape[1] * outputs.shape[2]))


CLOSED: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "binary_crossentropy": _binary_crossentropy,
    "categorical_crossentropy": _categorical_crossentropy,
    "mse": _mse,
}
"""Losses of :data:`lifecycle.compile.losses.LOSSES` whose gradient has a closed form; others are traced."""


def _weighted(gradients: Tensor, targets: Tensor, options: Options) -> Tensor:
    """Multiply the gradients of rows by the weights of their classes and their own."""
    if "class_weights" in options:
        codes = targets.long().flatten(1)
        gradients = gradients * torch.gather(options["class_weights"], 1, codes).unsqueeze(2)
    if "row_weights" in options:
        gradients = gradients * options["row_weights"].unsqueeze(2)
    return gradients
