"""What a library imports and nobody here uses, put off until somebody does."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

SIGNAL = "scipy.signal"


class Deferred(ModuleType):
    """Stands for a module until something is asked of it that it does not know; then the module takes its place.

    Args:
        name: of the module.
        known: what it answers by itself.
    """

    def __init__(self, name: str, **known: Any) -> None:
        super().__init__(name)
        self.__dict__.update(known)

    def __getattr__(self, attribute: str) -> Any:
        # Many look at __file__ and the like of all modules that there are; __path__ is for importing one within it.
        if attribute.startswith("__") and attribute != "__path__":
            raise AttributeError(f"{self.__name__} is not imported yet and has no {attribute}")
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), attribute)


@contextmanager
def without_signal() -> Iterator[None]:
    """Do without ``scipy.signal`` while torchmetrics is imported.

    torchmetrics imports it to mend a function for a package that nobody here has, which takes half as long as PyTorch.
    """
    if SIGNAL in sys.modules:
        yield
        return
    sys.modules[SIGNAL] = stand_in = Deferred(SIGNAL, hamming=None)
    try:
        yield
    finally:
        if sys.modules.get(SIGNAL) is stand_in:
            del sys.modules[SIGNAL]
