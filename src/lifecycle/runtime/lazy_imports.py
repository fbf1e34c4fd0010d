"""Imports modules lazily that libraries import and most runs do not use.

Lightning and PyTorch's optimizers import ``torch._dynamo``, the tracer of ``torch.compile``, only to ask whether it is
active; torchmetrics imports ``scipy.signal`` to patch a function for a package that is not installed. Together these
imports take as long as PyTorch itself.
"""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import Any

TRACER, SIGNAL = "torch._dynamo", "scipy.signal"

_lock, _imports = threading.Lock(), threading.RLock()
"""Lock of ``sys.modules``, held briefly; and of :func:`quick_imports`, held while it imports."""


class Deferred(ModuleType):
    """Stands for a package until an attribute is used that it does not have, which imports the package.

    Args:
        name: of the package.
        known: attributes that need no import.
    """

    def __init__(self, name: str, **known: Any) -> None:
        super().__init__(name)
        self.__dict__.update(known, __path__=[])  # a package: its submodules are found by DeferredFinder

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # inspect and others read __file__ and the like of all modules
            raise AttributeError(f"{self.__name__} is not imported yet and has no {attribute}")
        return getattr(self.load(), attribute)

    def load(self) -> ModuleType:
        """Return the package, imported."""
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


class DeferredFinder(MetaPathFinder):
    """Finds submodules of a deferred package, which is imported first; that may import the submodule too."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a submodule of a deferred package."""
        package = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(package, Deferred):
            return None
        package.load()
        module = sys.modules.get(fullname)
        if module is None:
            return find_spec(fullname)
        spec = spec_from_loader(fullname, _ImportedLoader(module))
        module.__spec__ = spec  # importlib prefers the spec of a module in sys.modules, and would execute it again
        return spec


class _ImportedLoader(Loader):
    """Loads a module that is imported already."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


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
    with _lock:
        if TRACER not in sys.modules:
            known = {"OptimizedModule": OptimizedModule, "disable": disable, "graph_break": graph_break}
            sys.modules[TRACER] = Deferred(TRACER, **known)
            sys.meta_path.insert(0, DeferredFinder())


@contextmanager
def without_signal() -> Iterator[None]:
    """Defer ``scipy.signal`` while torchmetrics is imported."""
    if SIGNAL in sys.modules:
        yield
        return
    sys.modules[SIGNAL] = stand_in = Deferred(SIGNAL, hamming=None)  # torchmetrics asks for the attribute
    sys.meta_path.insert(0, finder := DeferredFinder())
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if sys.modules.get(SIGNAL) is stand_in:
            del sys.modules[SIGNAL]


@contextmanager
def quick_imports(ours: bool = True) -> Iterator[None]:
    """Import the large libraries as quickly as possible, and all imports within the block.

    Garbage collection is off meanwhile, which saves a third of the time: importing leaves no garbage.

    Args:
        ours: whether the process is our own; then later collections skip the objects that exist by now.
    """
    with _imports:
        collects = gc.isenabled()
        gc.disable()
        try:
            importlib.import_module("skops.io")  # first: it inspects all imported modules, of which PyTorch has many
            defer_tracer()
            with without_signal():
                importlib.import_module("torchmetrics")
            yield
        finally:
            if ours:
                gc.freeze()
            if collects:
                gc.enable()
