"""Parts of SciPy that scikit-learn imports for a few functions, imported when one of these is used.

SciPy imports ``numpy.f2py`` among all names of NumPy, and parses the documentation of its functions to add a note.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from lifecycle.runtime.imports.deferred import Member, defer

FORTRAN = "numpy.f2py"
ARRAYS = "scipy._lib._array_api"

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
        defer(module, **{name: Member(module, name) for name in names})
    defer(FORTRAN)
    importlib.import_module("numpy").__dict__.setdefault("f2py", sys.modules[FORTRAN])
    importlib.import_module(ARRAYS).__dict__.update(FunctionDoc=FunctionDoc)
