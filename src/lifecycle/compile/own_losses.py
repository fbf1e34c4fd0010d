"""Losses of a Python caller: a function of outputs and targets, or a ``torch.nn`` loss."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lifecycle.contract import MULTICLASS, DataSpec
from lifecycle.errors import RequestError, Setting, first_line
from lifecycle.runtime.quiet import ignored

TRUTH_FIRST = ("y_true", "true", "truth", "target", "targets", "label", "labels", "y", "actual")
"""Names of a first parameter that holds the truth, as in Keras and scikit-learn; else the outputs come first."""

TOLERANCE = 1e-4
"""Relative difference up to which the loss of a batch is the mean of the losses of its rows."""


def truth_first(function: Callable[..., Any]) -> bool:
    """Return whether a function takes the truth as its first argument.

    >>> truth_first(lambda y_true, y_pred: 0), truth_first(lambda outputs, targets: 0)
    (True, False)
    """
    try:
        names = list(inspect.signature(function).parameters)
    except (ValueError, TypeError):  # a builtin without a signature
        return False
    return bool(names) and names[0] in TRUTH_FIRST


class LossFunction:
    """Calls a caller's loss as those of :data:`lifecycle.compile.losses.LOSSES` are called.

    Args:
        given: ``(outputs, targets) -> loss``; with a first parameter ``y_true`` it is ``(targets, outputs)``. It
            returns the mean of a batch, or the loss of each row.
    """

    def __init__(self, given: Callable[..., Any]) -> None:
        self.given = given
        function = given.forward if isinstance(given, nn.Module) else given
        self._truth_first = truth_first(function)
        try:
            self._has_reduction = "reduction" in inspect.signature(function).parameters
        except (ValueError, TypeError):
            self._has_reduction = False
        self._copies: dict[Any, Any] = {}

    def __call__(self, outputs: Tensor, targets: Tensor, _smoothing: float, reduction: str) -> Tensor:
        """Return the mean loss, or with ``reduction="none"`` that of each row, in the shape of ``targets``."""
        if reduction == "none":
            return self._of_rows(outputs, targets)
        return self._call(outputs, targets).mean()

    def _call(self, outputs: Tensor, targets: Tensor, **options: Any) -> Tensor:
        function = self._placed(outputs, rows=False)
        found: Tensor = function(*self._ordered(outputs, targets), **options)
        return found

    def _ordered(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return (targets, outputs) if self._truth_first else (outputs, targets)

    def _placed(self, outputs: Tensor, rows: bool) -> Any:
        """Return the loss with its constants on the device and in the dtype of the outputs; a function as it is."""
        if not isinstance(self.given, nn.Module):
            return self.given
        key = (outputs.device, outputs.dtype, rows)
        if key not in self._copies:
            placed: Any = copy.deepcopy(self.given).to(outputs.device, outputs.dtype)
            if rows:
                placed.reduction = "none"
            self._copies[key] = placed
        return self._copies[key]

    def _of_rows(self, outputs: Tensor, targets: Tensor) -> Tensor:
        found: Tensor
        if isinstance(self.given, nn.Module) and hasattr(self.given, "reduction"):
            found = self._placed(outputs, rows=True)(*self._ordered(outputs, targets))
        elif self._has_reduction:
            found = self._call(outputs, targets, reduction="none")
        else:
            found = self._call(outputs, targets)
            found = found if found.ndim else self._split(outputs, targets, found)
        # Of several labels the loss of each stays, so that labels can be weighted.
        if found.shape == targets.shape:
            return found
        means = found.reshape(len(targets), -1).mean(dim=1)
        return means.reshape(targets.shape) if targets.numel() == len(targets) else means

    def _split(self, outputs: Tensor, targets: Tensor, mean: Tensor) -> Tensor:
        """Return the loss of each row of a function that returns their mean.

        A function that is no mean over rows, such as a correlation, has the same value for each row: the mean over the
        rows is then the loss of all of them.
        """
        whole = mean.expand(len(outputs))
        try:
            with ignored():  # of one row, functions may warn that it is too few
                rows: Tensor = torch.func.vmap(lambda one, true: self._call(one[None], true[None]))(outputs, targets)
        except (RuntimeError, ValueError, TypeError, IndexError):  # code that depends on values cannot be vectorised
            return whole
        is_mean = torch.allclose(rows.mean(), mean, rtol=TOLERANCE, atol=TOLERANCE)
        return rows if is_mean else whole


def check(name: str, given: Callable[..., Any], spec: DataSpec) -> None:
    """Try a loss with outputs and targets of the task.

    Raises:
        RequestError: it fails, returns no tensor of one number or one a row, or cannot be differentiated.
    """
    rows = 4 * max(2, spec.num_outputs)
    outputs = torch.linspace(-1, 1, rows * spec.num_outputs).reshape(rows, spec.num_outputs).requires_grad_()
    codes = torch.arange(rows)
    targets = codes % spec.num_outputs if spec.task == MULTICLASS else (codes % 2).float()[:, None]
    targets = targets.repeat(1, spec.num_outputs) if targets.ndim == 2 else targets
    what = f"outputs of shape {tuple(outputs.shape)} and targets of shape {tuple(targets.shape)} {targets.dtype}"
    try:
        loss = LossFunction(given)._call(outputs, targets)
    except Exception as error:  # the caller's code may raise anything
        problem = f"fails with {what.replace('torch.', '')}: {type(error).__name__}: {first_line(error)}"
        raise RequestError(Setting("loss", str(name)), problem, remedy="Outputs are logits, or values.") from error
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        problem = "must return a tensor that depends on the outputs"
        remedy = "Compute it with torch's functions."
        raise RequestError(Setting("loss", str(name)), problem, type(loss).__name__, remedy)
    if loss.ndim and len(loss) != rows:
        problem = "must return one number, or one for each row"
        raise RequestError(Setting("loss", str(name)), problem, f"the shape {tuple(loss.shape)}", "Return its mean.")
