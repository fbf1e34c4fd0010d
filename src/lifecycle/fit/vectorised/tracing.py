"""Traces functions of tensors, so that they run without Python's share of ``vmap`` and autograd."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx


class Traced:
    """Traces a function once for each shape of its tensors.

    Args:
        function: of a dictionary of tensors that it may change in place, and of further tensors, lists and
            dictionaries.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._graphs: dict[Hashable, Callable[..., Any]] = {}

    def __call__(self, shape: Hashable, changed: dict[str, Tensor], *others: Any) -> Any:
        """Call the function.

        Args:
            shape: equal for calls with tensors of equal shapes.
            changed: the tensors that it may change.
            others: its further arguments.
        """
        if shape not in self._graphs:
            # Tracing runs the function, so running statistics would be counted twice.
            twins = {name: value.clone() for name, value in changed.items()}
            self._graphs[shape] = make_fx(self._function)(twins, *others)
        return self._graphs[shape](changed, *others)
