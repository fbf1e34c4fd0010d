"""Metrics of torchmetrics, computed in float64; by themselves they divide and accumulate in float32."""

from __future__ import annotations

from typing import Any

import torch
import torchmetrics
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lifecycle.compile.measures import Compared, Measure
from lifecycle.runtime.processes import gathered

DIVISIONS = {
    torch.div,
    torch.divide,
    torch.true_divide,
    Tensor.div,
    Tensor.divide,
    Tensor.true_divide,
    Tensor.__truediv__,
    Tensor.__rtruediv__,
}
"""Functions that return float32 for integers."""


class InFloat64(TorchFunctionMode):
    """Within this context torch computes in float64 on this thread, where it would in float32."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch in float64; PyTorch calls this method instead of the function."""
        kwargs = kwargs or {}
        # torchmetrics converts predictions and counts with .float() in many places.
        if func is Tensor.float:
            return args[0].double()
        # A quotient of integers has the default dtype; with a rounding mode it is an integer.
        if func in DIVISIONS and not kwargs.get("rounding_mode"):
            args = tuple(_as_float64(one) for one in args)
        if kwargs.get("dtype") is torch.float32:
            kwargs = {**kwargs, "dtype": torch.float64}
        # A dtype may be a positional argument, as in tensor.to(torch.float32).
        args = tuple(torch.float64 if one is torch.float32 else one for one in args)
        found = func(*args, **kwargs)
        # Functions that create tensors, such as torch.zeros(), return float32 by default.
        return found.double() if isinstance(found, Tensor) and found.dtype == torch.float32 else found


def _as_float64(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and not value.is_complex() else value


class LibraryMeasure(Measure):
    """A metric of torchmetrics, which holds the state.

    Args:
        metric: on the CPU.
    """

    def __init__(self, metric: torchmetrics.Metric) -> None:
        super().__init__(metric.higher_is_better)
        metric.dist_sync_fn = lambda state, group: gathered(state)  # over the CPU, also if the network is on a GPU
        # Not double(), which torchmetrics overrides to do nothing.
        self.metric = metric.set_dtype(torch.float64)

    def update(self, rows: Compared) -> None:
        """Add rows."""
        with InFloat64():
            self.metric.update(torch.from_numpy(rows.predicted), torch.from_numpy(rows.truth))

    def reset(self) -> None:
        """Remove all rows."""
        self.metric.reset()

    def result(self) -> Any:
        """Return the value of torchmetrics for all rows of all processes."""
        with InFloat64():
            return self.metric.compute()

    def compute(self, states: Any = ()) -> float:
        """Return the metric of all rows."""
        # `states` is not needed: torchmetrics gathers its states itself, by dist_sync_fn.
        return float(self.result())

    def alone(self, rows: Compared) -> float:
        """Return the metric of these rows alone."""
        # A clone, as the rows that were added before must not count.
        other = LibraryMeasure(self.metric.clone())
        other.reset()
        other.update(rows)
        return other.compute()
