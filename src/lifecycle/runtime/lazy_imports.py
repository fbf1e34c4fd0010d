"""What libraries import and a run does not use, put off until somebody does use it.

Lightning and PyTorch's optimizers import ``torch._dynamo``, the tracer of ``torch.compile``, only to ask whether it is
at work; torchmetrics imports ``scipy.signal`` to mend a function for a package that nobody here has. Together they take
as long as PyTorch itself.
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
"""Of ``sys.modules`` and the like, held for an instant; and of :func:`quick_imports`, one at a time."""


class Deferred(ModuleType):
    """Stands for a package until something is asked of it that it does not know; then the package takes its place.

    Args:
        name: of the package.
        known: what it answers by itself.
    """

    def __init__(self, name: str, **known: Any) -> None:
        super().__init__(name)
        self.__dict__.update(known, __path__=[])  # modules within it are for Within to find

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # many look at __file__ and the like of all modules that there are
            raise AttributeError(f"{self.__name__} is not imported yet and has no {attribute}")
        return getattr(self.load(), attribute)

    def load(self) -> ModuleType:
        """Return the package, imported."""
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


class Within(MetaPathFinder):
    """Finds modules within a package that was put off: it is imported first, and may have imported them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is, if it is in such a package."""
        package = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(package, Deferred):
            return None
        package.load()
        module = sys.modules.get(fullname)
        if module is None:
            return find_spec(fullname)
        there = spec_from_loader(fullname, _There(module))
        module.__spec__ = there  # importlib takes a module's own where it has been imported, and would do so once more
        return there


class _There(Loader):
    """Gives a module that has been imported already."""

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


class _OfTracer(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        tracer = _tracer()
        return tracer is not None and isinstance(instance, tracer.OptimizedModule)


class OptimizedModule(metaclass=_OfTracer):
    """Stands, in questions of whether something is one, for what ``torch.compile`` makes of a network."""


def disable(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return a function that is not traced: any is, as long as there is no tracer."""
    tracer = _tracer()
    return function if tracer is None else tracer.disable(function, *arguments, **options)


def graph_break(*arguments: Any, **options: Any) -> None:
    """End the graph that is traced, if one is."""
    tracer = _tracer()
    if tracer is not None:
        tracer.graph_break(*arguments, **options)


def defer_tracer() -> None:
    """Let ``torch._dynamo`` be imported by whoever compiles a network, if it has not been."""
    with _lock:
        if TRACER not in sys.modules:
            known = {"OptimizedModule": OptimizedModule, "disable": disable, "graph_break": graph_break}
            sys.modules[TRACER] = Deferred(TRACER, **known)
            sys.meta_path.insert(0, Within())


@contextmanager
def without_signal() -> Iterator[None]:
    """Do without ``scipy.signal`` while torchmetrics is imported."""
    if SIGNAL in sys.modules:
        yield
        return
    sys.modules[SIGNAL] = stand_in = Deferred(SIGNAL, hamming=None)
    sys.meta_path.insert(0, within := Within())
    try:
        yield
    finally:
        sys.meta_path.remove(within)
        if sys.modules.get(SIGNAL) is stand_in:
            del sys.modules[SIGNAL]


@contextmanager
def quick_imports(ours: bool = True) -> Iterator[None]:
    """Import the large libraries as quickly as it goes, and what is imported within.

    Nothing looks for garbage meanwhile, of which there is none: a third less.

    Args:
        ours: the process is our own, and nothing ever looks for garbage among what there is by then.
    """
    with _imports:
        collects = gc.isenabled()
        gc.disable()
        try:
            importlib.import_module("skops.io")  # first: it looks through all modules, with PyTorch's for a second
            defer_tracer()
            with without_signal():
                importlib.import_module("torchmetrics")
            yield
        finally:
            if ours:
                gc.freeze()
            if collects:
                gc.enable()
