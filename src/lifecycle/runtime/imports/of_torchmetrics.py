"""The metrics of torchmetrics but for their base class, imported when one is used.

Lightning imports all of them for the base class, which imports matplotlib; torchmetrics imports ``scipy.signal`` to
patch a function for a package that is not installed.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lifecycle.runtime.imports.deferred import Deferred, DeferredFinder, Member, defer, replaced

METRICS, METRIC_PLOTS = "torchmetrics", "torchmetrics.utilities.plot"
SIGNAL = "scipy.signal"
OPEN = ("torchmetrics.metric", "torchmetrics.collections", "torchmetrics.utilities")
"""Modules of torchmetrics that are imported without it: the base classes of its metrics."""


def defer_metrics() -> None:
    """Defer the import of torchmetrics but for the base classes of metrics, unless it is imported.

    They are those of torchmetrics, which Lightning derives a class from. Their function that draws is deferred.
    """
    if METRICS in sys.modules:
        return
    logger = logging.getLogger(METRICS)
    defer(METRICS, around=without_signal, open_modules=OPEN, _logger=logger)
    drawing = "plot_single_or_multi_val"
    types = {"_AX_TYPE": object, "_PLOT_OUT_TYPE": object}
    defer(METRIC_PLOTS, **types, **{drawing: Member(METRIC_PLOTS, drawing)})
    importlib.import_module("torchmetrics.utilities")  # first: it and torchmetrics.metric import each other
    stand_in: Any = sys.modules[METRICS]
    stand_in.__dict__["Metric"] = importlib.import_module("torchmetrics.metric").Metric
    stand_in.__dict__["MetricCollection"] = importlib.import_module("torchmetrics.collections").MetricCollection


@contextmanager
def without_signal() -> Iterator[None]:
    """Defer ``scipy.signal`` while torchmetrics is imported."""
    if SIGNAL in sys.modules:
        yield
        return
    sys.meta_path.insert(0, finder := DeferredFinder())
    try:
        with replaced(SIGNAL, Deferred(SIGNAL, hamming=None)):  # torchmetrics asks for the attribute
            yield
    finally:
        sys.meta_path.remove(finder)
