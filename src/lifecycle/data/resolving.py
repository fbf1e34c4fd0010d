"""Fields of a data plugin that are inferred from its training rows."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from lifecycle.capabilities import DescribesResolved, ResolvesFields, TakesInferredFields

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.contract import DataPlugin, Fold

AUTO = "auto"
"""The value of a field that is inferred."""


def resolved(plugin: DataPlugin, frame: pd.DataFrame, fold: Fold | None = None) -> DataPlugin:
    """Return the plugin with the fields set that it infers from its training rows.

    Args:
        plugin: the data plugin.
        frame: all raw rows.
        fold: of a cross-validation; ``None``: one split.
    """
    if not isinstance(plugin, ResolvesFields):
        return plugin
    found: DataPlugin = plugin.resolved(frame, fold=fold) if _takes_fold(plugin) else plugin.resolved(frame)  # type: ignore[call-arg]
    return found


def resolved_for_all_splits(plugin: DataPlugin, frame: pd.DataFrame) -> DataPlugin:
    """Return the plugin with the fields set that do not depend on which of the rows are training rows."""
    return plugin if isinstance(plugin, ResolvesFields) and _takes_fold(plugin) else resolved(plugin, frame)


def _takes_fold(plugin: ResolvesFields) -> bool:
    return "fold" in inspect.signature(plugin.resolved).parameters


def inferred(configured: Any, plugin: Any, frame: pd.DataFrame) -> tuple[str, str] | None:
    """Return a title and a sentence on what a plugin inferred; ``None``: nothing.

    Args:
        configured: the plugin as it was configured.
        plugin: the same with its inferred fields.
        frame: the raw rows.
    """
    return plugin.inferred(configured, frame) if isinstance(plugin, DescribesResolved) else None


def resolved_like(plugin: Any, trained: Any) -> Any:
    """Return a plugin whose inferred fields are those of the plugin that a model was trained with."""
    if isinstance(plugin, TakesInferredFields):
        return plugin.resolved_like(trained)
    if type(plugin) is not type(trained) or not is_dataclass(plugin):
        return plugin
    values = {item.name: getattr(plugin, item.name) for item in fields(plugin)}
    same = {name: getattr(trained, name) for name, value in values.items() if isinstance(value, str) and value == AUTO}
    return replace(plugin, **same)  # type: ignore[type-var]
