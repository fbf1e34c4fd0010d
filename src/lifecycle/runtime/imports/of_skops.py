"""What skops knows of the classes of scikit-learn, imported when a file is read or a rare class is written.

skops imports all of scikit-learn to list the types that may be loaded, and half of it for a few classes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from lifecycle.runtime.imports.deferred import Deferred, defer, loaded, searched
from lifecycle.runtime.imports.of_scipy import OF_SCIPY

TRUSTED = "skops.io._trusted_types"
OF_ESTIMATORS = ("skops.io._sklearn", "skops.io._quantile_forest")
"""Modules of skops on few classes of scikit-learn, and of a package that derives from them."""

LISTS_OF_TYPES = (
    "PRIMITIVE_TYPE_NAMES",
    "CONTAINER_TYPE_NAMES",
    "NUMPY_DTYPE_TYPE_NAMES",
    "NUMPY_UFUNC_TYPE_NAMES",
    "NUMPY_RANDOM_BIT_GENERATOR_TYPE_NAMES",
    "SCIPY_UFUNC_TYPE_NAMES",
    "SKLEARN_ESTIMATOR_TYPE_NAMES",
    "SKLEARN_INTERNAL_TYPE_NAMES",
)
"""Lists of skops, of types that it trusts."""


class TypeNames(Sequence[str]):
    """Lists of skops, read when they are used.

    Args:
        lists: their names, or names of types.
    """

    def __init__(self, *lists: str | list[Any]) -> None:
        self._lists = lists

    def _names(self) -> list[Any]:
        # Some modules of scikit-learn, all of which are listed, import classes of them to derive others.
        for name in OF_SCIPY:
            loaded(name)
        # skops looks for the module of each function among the attributes of all modules.
        with searched():
            module = loaded(TRUSTED)
        return [name for one in self._lists for name in (one if isinstance(one, list) else getattr(module, one))]

    def __getitem__(self, index: Any) -> Any:
        return self._names()[index]

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __add__(self, others: TypeNames) -> TypeNames:
        return TypeNames(*self._lists, *others._lists)

    def __radd__(self, others: list[Any]) -> TypeNames:
        return TypeNames(others, *self._lists)


def defer_trusted_types() -> None:
    """Defer the lists of types that skops trusts until a file is loaded, unless they are imported.

    And what it knows of single classes, until :func:`complete_skops`.
    """
    if "skops.io" in sys.modules:
        return
    defer(TRUSTED, **{name: TypeNames(name) for name in LISTS_OF_TYPES})
    for name in OF_ESTIMATORS:
        defer(name, GET_STATE_DISPATCH_FUNCTIONS=(), NODE_TYPE_MAPPING={})


def complete_skops() -> None:
    """Have skops know the classes of scikit-learn that it treats in a way of their own."""
    for name in OF_ESTIMATORS:
        stand_in = sys.modules.get(name)
        if isinstance(stand_in, Deferred):
            module, utils = stand_in.load(), importlib.import_module("skops.io._utils")
            # As skops does with each of its modules.
            for of_class, get_state in getattr(module, "GET_STATE_DISPATCH_FUNCTIONS", ()):
                utils._get_state.register(of_class)(get_state)
            importlib.import_module("skops.io._audit").NODE_TYPE_MAPPING.update(module.NODE_TYPE_MAPPING)
