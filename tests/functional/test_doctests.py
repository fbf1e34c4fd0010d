"""Every public name has an example, and the examples do what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lifecycle
from lifecycle import contract, sklearn, testing
from lifecycle.api import display
from lifecycle.api.model import Model
from lifecycle.runs import pipeline
from tests.conftest import Command

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


def public(owner: Any, module: str) -> dict[str, Any]:
    """Return the classes and functions that a module defines, by name."""
    found = {name: value for name, value in vars(owner).items() if not name.startswith("_")}
    return {name: value for name, value in found.items() if getattr(value, "__module__", None) == module}


def members(cls: type) -> dict[str, Any]:
    """Return the public methods and properties of a class, those that it inherits from one of ours too."""
    names = [name for name in dir(cls) if not name.startswith("_")]
    found = {name: inspect.getattr_static(cls, name) for name in names}
    return {
        name: getattr(value, "__func__", value)
        for name, value in found.items()
        if isinstance(value, property | classmethod)
        or (inspect.isfunction(value) and value.__module__.startswith("lifecycle."))
    }


MODULES: list[ModuleType] = [contract, display, sklearn, testing]
NAMES = {
    f"{module.__name__}.{name}": value for module in MODULES for name, value in public(module, module.__name__).items()
}
NAMES |= {"lifecycle.Model": Model, "lifecycle.run": lifecycle.run, "lifecycle.Result": pipeline.Result}
SOURCE = Path(lifecycle.__file__).parent
OWN = {cls.__module__ for cls in inspect.getmro(Model)}
"""Modules whose examples go on from those of their class, which the first test runs."""
OTHERS = [
    ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in sorted(SOURCE.rglob("*.py"))
    if ">>>" in file.read_text(encoding="utf-8")
]
WHOLE = {module.__name__: module for module in MODULES if ">>>" in (module.__doc__ or "")}


def run(text: str, name: str, names: dict[str, Any]) -> int:
    """Run the examples of a docstring, and return how many there are."""
    test = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    runner.run(test, out=report.append, clear_globs=False)
    names.update(test.globs)  # what they leave is there for the examples that go on from them
    assert runner.failures == 0, "".join(report)
    return len(test.examples)


def namespace(value: Any) -> dict[str, Any]:
    """Return the names that an example finds: those of the module that it stands in, and of the classes above."""
    above = (
        [vars(sys.modules[cls.__module__]) for cls in reversed(inspect.getmro(value))] if inspect.isclass(value) else []
    )
    return {name: found for names in (*above, vars(inspect.getmodule(value))) for name, found in names.items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example_that_runs(job: Command, name: str) -> None:
    value = NAMES[name]
    names = namespace(value)
    assert run(inspect.getdoc(value) or "", name, names), f"{name} has no example"
    if inspect.isclass(value) and not getattr(value, "_is_protocol", False):
        for member, method in members(value).items():
            if method.__doc__ and member not in EXCUSED:
                assert run(inspect.getdoc(method) or "", f"{name}.{member}", dict(names)), f"{name}.{member} has none"


EXCUSED = {
    # scikit-learn's own
    *("get_params", "set_params", "score", "set_score_request", "get_metadata_routing"),
    # the attributes of History, whose example shows them
    *("frame", "epoch", "history"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_examples_of_whole_modules_run(job: Command, name: str) -> None:
    assert run(WHOLE[name].__doc__ or "", name, {})


@pytest.mark.parametrize("name", [name for name in OTHERS if name not in OWN])
def test_examples_of_all_other_modules_run(job: Command, name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert found.failed == 0
    assert found.attempted
