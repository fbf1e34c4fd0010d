"""Modules and their members that are imported when they are used."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import Any

_lock = threading.Lock()
"""Of ``sys.modules``, held briefly."""
_thread = threading.local()


@contextmanager
def searched() -> Iterator[None]:
    """Have deferred modules deny, within the block, attributes that they do not have, rather than be imported."""
    _thread.is_searching = True
    try:
        yield
    finally:
        _thread.is_searching = False


@contextmanager
def replaced(name: str, module: ModuleType) -> Iterator[None]:
    """Let another module stand for one while others are imported within the block."""
    with _lock:
        sys.modules[name] = module
    try:
        yield
    finally:
        with _lock:
            if sys.modules.get(name) is module:
                del sys.modules[name]


class Deferred(ModuleType):
    """Stands for a module until an attribute is used that it does not have, which imports the module.

    Args:
        name: of the module.
        around: what its import runs within.
        open_modules: its submodules that can be imported before it.
        known: attributes that need no import.
    """

    def __init__(
        self,
        name: str,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
        open_modules: Sequence[str] = (),
        **known: Any,
    ) -> None:
        super().__init__(name)
        # A package: its submodules are found by DeferredFinder, or by Python in its folder.
        spec = find_spec(name) if open_modules else None
        path = [] if spec is None else list(spec.submodule_search_locations or ())
        self.__dict__.update(known, __path__=path, _around=around, _open=tuple(open_modules))
        self.__spec__ = spec  # which find_spec returns

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # inspect and others read __file__ and the like of all modules
            raise AttributeError(f"{self.__name__} is not imported yet and has no {attribute}")
        if getattr(_thread, "is_searching", False):
            raise AttributeError(f"{self.__name__} is not imported yet")
        return getattr(self.load(), attribute)

    def is_open(self, module: str) -> bool:
        """Return whether a submodule can be imported before this one."""
        return any(module == name or module.startswith(f"{name}.") for name in self._open)

    def load(self) -> ModuleType:
        """Return the module, imported."""
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
        with self._around():
            module = importlib.import_module(self.__name__)
        for name, submodule in list(sys.modules.items()):  # those that were imported before
            parent, _, own = name.rpartition(".")
            if parent == self.__name__ and not hasattr(module, own):
                setattr(module, own, submodule)
        return module


class DeferredFinder(MetaPathFinder):
    """Finds submodules of a deferred package, which is imported first; that may import the submodule too."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a submodule of a deferred package."""
        package = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(package, Deferred) or package.is_open(fullname):
            return None
        package.load()
        module = sys.modules.get(fullname)
        if module is None:
            return find_spec(fullname)
        spec = spec_from_loader(fullname, _ImportedLoader(module))
        module.__spec__ = spec  # importlib prefers the spec of a module in sys.modules, and would execute it again
        return spec


class _Hidden(MetaPathFinder):
    """Finds no module of some packages, as if they were not installed."""

    def __init__(self, *packages: str) -> None:
        self.packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse a module of a hidden package; leave any other to the finders that follow."""
        if fullname.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def hide(*packages: str) -> None:
    """Let this process import no module of packages that libraries use where they are installed."""
    sys.meta_path.insert(0, _Hidden(*packages))


class _ImportedLoader(Loader):
    """Loads a module that is imported already."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


def defer(name: str, **options: Any) -> None:
    """Defer the import of a module, unless it is imported."""
    with _lock:
        if name in sys.modules:
            return
        sys.modules[name] = Deferred(name, **options)
        if not any(isinstance(finder, DeferredFinder) for finder in sys.meta_path):
            sys.meta_path.insert(0, DeferredFinder())


class Member:
    """Stands for a function, a class or an object of a deferred module, which is imported when it is used.

    Args:
        module: name of the module.
        name: of its member.
    """

    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__name__ = module, name

    def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: D102 - that of the member
        return self._found()(*arguments, **options)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(f"{self.__name__} of {self.__module__} is not imported yet and has no {attribute}")
        return getattr(self._found(), attribute)

    def _found(self) -> Any:
        return getattr(loaded(self.__module__), self.__name__)


def loaded(name: str) -> ModuleType:
    """Return a module that may be deferred, imported."""
    module = importlib.import_module(name)
    return module.load() if isinstance(module, Deferred) else module
