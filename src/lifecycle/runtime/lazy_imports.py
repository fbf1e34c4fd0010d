"""Imports modules lazily that libraries import and most runs do not use.

Lightning and PyTorch's optimizers import ``torch._dynamo``, the tracer of ``torch.compile``, only to ask whether it is
active. Lightning imports all metrics of torchmetrics for their base class, which imports matplotlib; torchmetrics
imports ``scipy.signal`` to patch a function for a package that is not installed. scikit-learn imports ``scipy.stats``
and others for a few functions, and SciPy imports ``numpy.f2py`` among all names of NumPy, and parses the documentation
of its functions to add a note. skops imports all of
scikit-learn to list the types that may be loaded, and half of it for a few classes. PyTorch registers the shapes that
each operator returns, which only tracing and its device ``meta`` ask for. Together these imports take twice
as long as PyTorch itself.
"""

from __future__ import annotations

import gc
import importlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import Any

TRACER, SIGNAL = "torch._dynamo", "scipy.signal"
SHAPES, PRIMITIVES = "torch._meta_registrations", "torch._prims.rng_prims"
WITHOUT_SHAPES = "2.13."
"""Beginning of the versions of PyTorch that are known to work without :data:`SHAPES`."""
METRICS, METRIC_PLOTS = "torchmetrics", "torchmetrics.utilities.plot"
TRUSTED = "skops.io._trusted_types"
OF_ESTIMATORS = ("skops.io._sklearn", "skops.io._quantile_forest")
"""Modules of skops on few classes of scikit-learn, and of a package that derives from them."""

FORTRAN = "numpy.f2py"
ARRAYS = "scipy._lib._array_api"

OPEN = ("torchmetrics.metric", "torchmetrics.collections", "torchmetrics.utilities")
"""Modules of torchmetrics that are imported without it: the base classes of its metrics."""

OF_SCIPY = {
    "scipy.stats": ("chi2", "gmean", "rankdata", "spearmanr"),
    "scipy.interpolate": ("BSpline",),
    "scipy.integrate": ("trapezoid",),
    "scipy.io": ("loadmat",),
    "scipy.optimize": ("linear_sum_assignment", "linprog", "minimize", "minimize_scalar"),
    "scipy.optimize._linesearch": ("line_search_wolfe2", "scalar_search_wolfe1"),
    "scipy.spatial.transform": (),
}
"""Modules of SciPy that scikit-learn or SciPy import, and what scikit-learn imports from them by name."""

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

_lock, _imports = threading.Lock(), threading.RLock()
"""Lock of ``sys.modules``, held briefly; and of :func:`quick_imports`, held while it imports."""
_thread = threading.local()


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


def _defer(name: str, **options: Any) -> None:
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
        return getattr(_loaded(self.__module__), self.__name__)


def _loaded(name: str) -> ModuleType:
    """Return a module that may be deferred, imported."""
    module = importlib.import_module(name)
    return module.load() if isinstance(module, Deferred) else module


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
    _defer(TRACER, around=_with_shapes, OptimizedModule=OptimizedModule, disable=disable, graph_break=graph_break)


def import_without_shapes() -> None:
    """Import PyTorch without the shapes that its operators return, unless it is imported.

    Until :func:`complete_shapes`, convolutions and others fail on the device ``meta``, as does a ``FakeTensor``.
    Another version of PyTorch than :data:`WITHOUT_SHAPES` is imported as a whole.
    """
    if "torch" in sys.modules or not metadata.version("torch").startswith(WITHOUT_SHAPES):
        return
    with _lock:
        sys.modules[SHAPES] = ModuleType(SHAPES)
    try:
        torch = importlib.import_module("torch")
    finally:
        del sys.modules[SHAPES]
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


class FunctionDoc:
    """Stands for SciPy's parser of a function's documentation, which it leaves as it is.

    Args:
        function: that is documented.
    """

    def __init__(self, function: Any) -> None:
        self._text = function.__doc__ or ""

    def __getitem__(self, section: str) -> list[str]:
        """Return a section that can be changed without effect."""
        return []

    def __str__(self) -> str:
        return f"\n{self._text}"  # SciPy removes the first line, which is the signature


def defer_scipy() -> None:
    """Defer the imports of :data:`OF_SCIPY` until something of theirs is used, unless they are imported.

    Likewise that of NumPy's compiler of Fortran, which SciPy asks NumPy for with all its other names, and SciPy's notes
    on the array libraries that its functions take.
    """
    for module, names in OF_SCIPY.items():
        _defer(module, **{name: Member(module, name) for name in names})
    _defer(FORTRAN)
    importlib.import_module("numpy").__dict__.setdefault("f2py", sys.modules[FORTRAN])
    importlib.import_module(ARRAYS).__dict__.update(FunctionDoc=FunctionDoc)


def defer_metrics() -> None:
    """Defer the import of torchmetrics but for the base classes of metrics, unless it is imported.

    They are those of torchmetrics, which Lightning derives a class from. Their function that draws is deferred.
    """
    if METRICS in sys.modules:
        return
    logger = logging.getLogger(METRICS)
    _defer(METRICS, around=without_signal, open_modules=OPEN, _logger=logger)
    drawing = "plot_single_or_multi_val"
    types = {"_AX_TYPE": object, "_PLOT_OUT_TYPE": object}
    _defer(METRIC_PLOTS, **types, **{drawing: Member(METRIC_PLOTS, drawing)})
    importlib.import_module("torchmetrics.utilities")  # first: it and torchmetrics.metric import each other
    stand_in: Any = sys.modules[METRICS]
    stand_in.__dict__["Metric"] = importlib.import_module("torchmetrics.metric").Metric
    stand_in.__dict__["MetricCollection"] = importlib.import_module("torchmetrics.collections").MetricCollection


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
            _loaded(name)
        # skops looks for the module of each function among the attributes of all modules.
        _thread.is_searching = True
        try:
            module = _loaded(TRUSTED)
        finally:
            _thread.is_searching = False
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
    _defer(TRUSTED, **{name: TypeNames(name) for name in LISTS_OF_TYPES})
    for name in OF_ESTIMATORS:
        _defer(name, GET_STATE_DISPATCH_FUNCTIONS=(), NODE_TYPE_MAPPING={})


def load_deferred() -> None:
    """Import what is deferred but the tracer, in a process whose forks use it."""
    for name in (METRICS, METRIC_PLOTS, *OF_SCIPY):
        _loaded(name)
    len(TypeNames())
    complete_skops()


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
def quick_imports(ours: bool = True, with_shapes: bool = True) -> Iterator[None]:
    """Import the large libraries as quickly as possible, and all imports within the block.

    Garbage collection is off meanwhile, which saves a third of the time: importing leaves no garbage.

    Args:
        ours: whether the process is our own; then later collections skip the objects that exist by now, and more is
            deferred.
        with_shapes: whether PyTorch knows the shapes of its operators, see :func:`import_without_shapes`.
    """
    with _imports:
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
