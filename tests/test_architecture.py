"""The layout that CONTRIBUTING.md shows: imports run one way, packages and files stay small, names are described."""

from __future__ import annotations

import ast
import pkgutil
import statistics
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import lifecycle

ROOT = Path(lifecycle.__file__).parent
MODULES = {
    ".".join(("lifecycle", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in sorted(ROOT.rglob("*.py"))
}

PUBLIC = {
    "lifecycle",
    "lifecycle.__main__",
    "lifecycle.saved",
    "lifecycle.sklearn",
    "lifecycle.streaming",
    "lifecycle.testing",
}
BASE = {"capabilities", "checks", "contract", "credentials", "errors", "layout", "optimizers", "registry", "schedules"}
LEVELS = (
    {"cli", "api"},
    {"sweeps"},
    {"runs"},
    {"console", "comparison"},
    {"plots"},
    {"predict"},
    {"evaluate"},
    {"fit"},
    {"compile"},
    {"define"},
    {"data", "tracking"},
    {"profiling"},
    {"config"},
    {"plugins", "runtime"},
    BASE,
)
"""Packages from the top down, below the public modules. A package imports only itself and packages of lower levels."""

IN_DATA = (
    {"load", "external", "folds", "kinds"},
    {"large"},
    {"assembly"},
    {"dataset"},
    {"audit"},
    {"sources"},
    {"formats", "splits", "preprocessing", "encoder", "batches", "steps"},
    {"series"},
    {"columns", "rows", "scaling"},
    {"selection", "digests", "resolving", "augmentation"},
)
"""The same within data/."""


def package(module: str) -> str:
    """Return what LEVELS calls the place of a module."""
    return "" if module in PUBLIC else module.split(".")[1]


def level(place: str, levels: tuple[set[str], ...]) -> int:
    """Return the number of a level, from the top; public modules stand above all."""
    if not place:
        return -1
    found = [number for number, places in enumerate(levels) if place in places]
    assert len(found) == 1, f"{place} stands on {len(found)} levels. Place it on one."
    return found[0]


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def nodes(tree: ast.AST, types: bool) -> Iterator[ast.AST]:
    """Walk a tree, with or without what stands under ``if TYPE_CHECKING``."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if types or not is_for_types(child):
            yield from nodes(child, types)


def imported(text: str, types: bool = True) -> set[str]:
    """Return the modules of ours that a source text imports, anywhere in it."""
    found = set()
    for node in nodes(ast.parse(text), types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in inner}
    return {name for name in found if name in MODULES}


def imports(module: str, types: bool = True) -> set[str]:
    """Return the other modules of ours that a module imports."""
    return imported(MODULES[module].read_text(), types) - {module}


def upward(module: str, names: set[str]) -> set[str]:
    """Return the imports of a module that the rule forbids."""
    wrong = set()
    own = package(module)
    for name in names:
        other = package(name)
        if {own, other} <= BASE:
            continue
        if other != own and level(other, LEVELS) <= level(own, LEVELS):
            wrong.add(name)
        elif other == own == "data" and name.count(".") > 1 and module.count(".") > 1:
            mine, theirs = module.split(".")[2], name.split(".")[2]
            if mine != theirs and level(theirs, IN_DATA) <= level(mine, IN_DATA):
                wrong.add(name)
    return wrong


@pytest.mark.parametrize("module", MODULES)
def test_a_package_imports_only_packages_below_it(module: str) -> None:
    wrong = upward(module, imports(module))
    assert not wrong, (
        f"{module} imports {', '.join(sorted(wrong))}, which {'is' if len(wrong) == 1 else 'are'} not below"
    )


UPWARD = {
    "from lifecycle.fit.trainer import fit": "lifecycle.compile.losses",
    "from lifecycle.fit import trainer": "lifecycle.compile.losses",
    "import lifecycle.fit.trainer as trainer": "lifecycle.compile.losses",
    "def late():\n    from lifecycle.runs import pipeline": "lifecycle.predict.outputs",
    "if TYPE_CHECKING:\n    from lifecycle.predict.trained_model import TrainedModel": "lifecycle.compile.losses",
    "from lifecycle.api.model import Model": "lifecycle.cli.main",  # on the same level
    "from lifecycle.tracking import client": "lifecycle.data.load",
    "from lifecycle.config.schema import Job": "lifecycle.errors",
    "from lifecycle.saved import load": "lifecycle.runs.pipeline",  # the public modules are for users
    "from lifecycle import Model": "lifecycle.runs.pipeline",
    "from lifecycle.data.kinds.table import Table": "lifecycle.data.large.read",
    "from lifecycle.data.load import load": "lifecycle.data.columns.times",
}


@pytest.mark.parametrize(("text", "module"), UPWARD.items())
def test_an_import_that_goes_up_is_found(text: str, module: str) -> None:
    assert upward(module, imported(text))


def test_an_import_that_goes_down_is_allowed() -> None:
    assert not upward(
        "lifecycle.runs.pipeline", imported("from lifecycle.fit.trainer import fit\nimport lifecycle.errors")
    )
    assert not upward("lifecycle.sklearn", imported("from lifecycle.api.model import Model"))


def cycle(edges: dict[str, set[str]]) -> set[str]:
    """Return the modules that lead back to themselves, and those between."""
    before = -1
    while len(edges) != before:
        before = len(edges)
        used = set().union(*edges.values()) if edges else set()
        edges = {module: targets & set(edges) for module, targets in edges.items() if module in used}
        edges = {module: targets for module, targets in edges.items() if targets}
    return set(edges)


def test_no_import_leads_back_to_where_it_started_also_for_types_alone() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"b", "c"}
    found = cycle({module: imports(module) - {"lifecycle"} for module in MODULES if module != "lifecycle"})
    assert not found, f"a cycle among {', '.join(sorted(found))}"


def test_the_top_level_is_the_public_interface_and_what_all_may_import() -> None:
    files = {f"lifecycle.{file.stem}" for file in ROOT.glob("*.py")} - {"lifecycle.__init__"}
    assert files == PUBLIC - {"lifecycle"} | {f"lifecycle.{name}" for name in BASE}
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert packages == set().union(*LEVELS[:-1])


def test_what_all_may_import_imports_no_torch() -> None:
    for name in BASE:
        tree = ast.parse((ROOT / f"{name}.py").read_text())
        found = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        found |= {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert not any(module.split(".")[0] == "torch" for module in found), name


def test_a_package_has_two_to_twenty_modules() -> None:
    sizes = Counter(file.parent for file in MODULES.values() if file.name != "__init__.py")
    for folder, size in sizes.items():
        assert size <= 20, f"{folder.relative_to(ROOT)} has {size} modules"
        assert size >= 2 or folder.name == "define", f"{folder.relative_to(ROOT)} has one module: make it a module"


def test_the_data_know_nothing_of_networks_and_the_networks_nothing_of_data() -> None:
    for module in MODULES:
        if package(module) == "data":
            assert not any(package(name) == "plugins" for name in imports(module)), module
        if package(module) == "plugins":
            assert not any(package(name) == "data" for name in imports(module)), module


def test_no_module_names_a_built_in_plugin() -> None:
    for module in MODULES:
        if package(module) not in ("plugins", "data"):
            assert not any(name.startswith(("lifecycle.data.kinds.", "lifecycle.plugins.")) for name in imports(module))


@pytest.mark.parametrize("module", MODULES)
def test_no_file_is_over_500_lines(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 500


def test_files_and_functions_are_short() -> None:
    lines = [len(file.read_text().splitlines()) for file in MODULES.values() if file.name != "__init__.py"]
    assert statistics.median(lines) <= 140
    functions = [
        node.end_lineno - node.lineno + 1
        for file in MODULES.values()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    ]
    assert statistics.median(functions) <= 8
    assert max(functions) <= 50


def undescribed(tree: ast.Module | ast.ClassDef, prefix: str) -> list[str]:
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                found.append(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                found += undescribed(node, f"{prefix}{node.name}.")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_public_function_class_and_method_has_a_docstring(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text())
    assert ast.get_docstring(tree), f"{module} has no docstring"
    assert undescribed(tree, f"{module}.") == []


def test_every_folder_that_holds_a_file_is_shipped() -> None:
    root = Path(__file__).parents[1]
    packages = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    conf = {file.parent.relative_to(root / "conf") for file in (root / "conf").rglob("*.yaml")}
    code = {file.parent.relative_to(root / "src") for file in (root / "src").rglob("*.py")}
    wanted = {".".join(["lifecycle.conf", *folder.parts]) for folder in conf} | {
        ".".join(folder.parts) for folder in code
    }
    assert wanted == set(packages)


@pytest.mark.parametrize(
    "name",
    [
        *("lifecycle:Model", "lifecycle:run", "lifecycle.contract:DataSpec", "lifecycle.checks:in_range"),
        *("lifecycle.errors:RequestError", "lifecycle.optimizers:Adam", "lifecycle.schedules:Cosine"),
        *("lifecycle.sklearn:LifecycleClassifier", "lifecycle.testing:check_model_plugin"),
        *("lifecycle.testing:check_data_plugin", "lifecycle.streaming:predict_file", "lifecycle.data.sources:read"),
        *("lifecycle.saved:load", "lifecycle.saved:save", "lifecycle.saved:prepare", "lifecycle.saved:bases"),
        "lifecycle.saved:_load_pyfunc",  # MLflow calls it in every model that was logged
    ],
)
def test_what_programs_and_saved_models_import_is_there(name: str) -> None:
    assert callable(pkgutil.resolve_name(name))
