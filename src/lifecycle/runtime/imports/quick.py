"""Imports the large libraries quickly, without what most runs do not use: it takes twice as long as PyTorch itself."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lifecycle.runtime.imports.deferred import loaded
from lifecycle.runtime.imports.of_scipy import OF_SCIPY, defer_scipy
from lifecycle.runtime.imports.of_skops import TypeNames, complete_skops, defer_trusted_types
from lifecycle.runtime.imports.of_torch import complete_shapes, defer_tracer, import_without_shapes
from lifecycle.runtime.imports.of_torchmetrics import METRIC_PLOTS, METRICS, defer_metrics, without_signal
from lifecycle.runtime.signals import signals_delayed

_imports = threading.RLock()
"""Held by :func:`quick_imports` while it imports."""


@contextmanager
def quick_imports(ours: bool = True, with_shapes: bool = True) -> Iterator[None]:
    """Import the large libraries as quickly as possible, and all imports within the block.

    Garbage collection is off meanwhile, which saves a third of the time: importing leaves no garbage.

    Args:
        ours: whether the process is our own; then later collections skip the objects that exist by now, and more is
            deferred.
        with_shapes: whether PyTorch knows the shapes of its operators, see :func:`import_without_shapes`.
    """
    with _imports, signals_delayed():
        collects = gc.isenabled()
        gc.disable()
        try:
            defer_tracer()
            if with_shapes:
                complete_shapes()
            else:
                import_without_shapes()
            if ours:
                defer_scipy()
                defer_trusted_types()
                defer_metrics()
            else:
                importlib.import_module("skops.io")  # first: it inspects all modules, of which PyTorch has many
                with without_signal():
                    importlib.import_module(METRICS)
            yield
        finally:
            if ours:
                gc.freeze()
            if collects:
                gc.enable()


def load_deferred() -> None:
    """Import what is deferred but the tracer, in a process whose forks use it."""
    for name in (METRICS, METRIC_PLOTS, *OF_SCIPY):
        loaded(name)
    len(TypeNames())
    complete_skops()
