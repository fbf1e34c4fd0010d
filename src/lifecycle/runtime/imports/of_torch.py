"""Parts of PyTorch that are imported when they are used: its tracer, and the shapes of its operators.

Lightning and PyTorch's optimizers import ``torch._dynamo``, the tracer of ``torch.compile``, only to ask whether it is
active. PyTorch registers the shapes that each operator returns, which only tracing and its device ``meta`` ask for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any

from lifecycle.runtime.imports.deferred import Deferred, defer, replaced

TRACER = "torch._dynamo"
SHAPES, PRIMITIVES = "torch._meta_registrations", "torch._prims.rng_prims"
WITHOUT_SHAPES = "2.13."
"""Beginning of the versions of PyTorch that are known to work without :data:`SHAPES`."""


def _tracer() -> ModuleType | None:
    """Return the tracer, if it has been imported."""
    module = sys.modules.get(TRACER)
    return None if isinstance(module, Deferred) else module


class _OptimizedModuleType(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        tracer = _tracer()
        return tracer is not None and isinstance(instance, tracer.OptimizedModule)


class OptimizedModule(metaclass=_OptimizedModuleType):
    """Stands for the class of ``torch.compile``'s networks in ``isinstance``; without a tracer there are none."""


def disable(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return a function that is not traced; without a tracer, the function itself."""
    tracer = _tracer()
    return function if tracer is None else tracer.disable(function, *arguments, **options)


def graph_break(*arguments: Any, **options: Any) -> None:
    """End the traced graph, if there is a tracer."""
    tracer = _tracer()
    if tracer is not None:
        tracer.graph_break(*arguments, **options)


def defer_tracer() -> None:
    """Defer the import of ``torch._dynamo`` until a network is compiled, unless it is imported."""
    defer(TRACER, around=_with_shapes, OptimizedModule=OptimizedModule, disable=disable, graph_break=graph_break)


def import_without_shapes() -> None:
    """Import PyTorch without the shapes that its operators return, unless it is imported.

    Until :func:`complete_shapes`, convolutions and others fail on the device ``meta``, as does a ``FakeTensor``.
    Another version of PyTorch than :data:`WITHOUT_SHAPES` is imported as a whole.
    """
    if "torch" in sys.modules or not metadata.version("torch").startswith(WITHOUT_SHAPES):
        return
    with replaced(SHAPES, ModuleType(SHAPES)):
        torch = importlib.import_module("torch")
    torch.__dict__.pop(SHAPES.partition(".")[2], None)
    importlib.import_module(PRIMITIVES)  # which random generators need, and the shapes import


def complete_shapes() -> None:
    """Have PyTorch know the shapes that its operators return, if it is imported."""
    if "torch" in sys.modules:
        importlib.import_module(SHAPES)


@contextmanager
def _with_shapes() -> Iterator[None]:
    complete_shapes()
    yield
