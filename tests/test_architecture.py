"""The house as CONTRIBUTING.md draws it: imports run one way, files stay short, what is public is described."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import lifecycle

ROOT = Path(lifecycle.__file__).parent
MODULES = {
    ".".join(("lifecycle", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in sorted(ROOT.rglob("*.py"))
}

LAYERS = [
    {
        "lifecycle",
        "lifecycle.cli.main",
        "lifecycle.cli.commands.ui",
        "lifecycle.cli.help",
        "lifecycle.cli.options",
        "lifecycle.cli.commands.data",
        "lifecycle.testing",
        "lifecycle.cli.commands",
        "lifecycle.runs.rescore",
        "lifecycle.predict.serving.server",
        "lifecycle.predict.serving.scoring",
        "lifecycle.predict.serving.worker",
        "lifecycle.predict.serving.connections",
        "lifecycle.predict.serving.http_messages",
    },
    {"lifecycle.sklearn"},
    {
        "lifecycle.model",
        "lifecycle.api.model",
        "lifecycle.api.fit",
        "lifecycle.api.display",
        "lifecycle.tracking.active_run",
    },
    {"lifecycle.runs.pipeline"},
    {
        f"lifecycle.{name}"
        for name in (
            "define",
            "losses",
            "metrics",
            "measures",
            "moments",
            "library_metrics",
            "optimization",
            "refusals",
            "compile",
            "stepping",
            "precision",
            "fit",
            "evaluate",
            "baselines",
            "intervals",
            "predict",
            "forecast",
            "results",
            "epochs",
            "saved",
            "trained",
            "export",
            "export_notes",
            "streaming",
            "look",
            "comparison",
            "report",
            "restore_points",
            "profiles",
            "request_body",
            "progress",
            "recording",
            "mlflow_run",
        )
    },
    {
        f"lifecycle.{name}"
        for name in (
            "data",
            "plugins",
            "tracking",
            "recorder",
            "failures",
            "store",
            "lookup",
            "registered",
            "signatures",
            "runs",
            "asked",
            "wording",
            "recorded",
            "again",
            "words",
            "checkpoints",
            "compose",
            "explain",
        )
    },
    {
        f"lifecycle.{name}"
        for name in (
            "contract",
            "credentials",
            "expressions",
            "config",
            "config_rules",
            "bounded_yaml",
            "registry",
            "searchpath",
            "groups",
            "optimizers",
            "schedules",
            "tasks",
            "checks",
            "digests",
            "ports",
            "processes",
            "profiling",
            "provenance",
            "ranking",
            "tracking_address",
            "database_faults",
            "end_notes",
            "seeds",
            "faults",
            "process_state",
            "quiet",
            "threads",
            "units",
            "history",
            "deferred",
            "heap",
            "errors",
        )
    },
]
"""From the top down. A module may import those of its own layer and of those below; never one above."""


def layer(module: str) -> int:
    """Return the number of a module's layer, counted from the top; a package stands for the modules in it."""
    names = [".".join(module.split(".")[:2]), module]
    found = [number for number, names_of in enumerate(LAYERS) if names_of & set(names)]
    assert len(found) == 1, f"{module} stands in {len(found)} layers of LAYERS. Place it in one."
    return found[0]


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def nodes(tree: ast.AST, types: bool) -> Iterator[ast.AST]:
    """Walk a tree, with or without what stands under ``if TYPE_CHECKING``."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if types or not is_for_types(child):
            yield from nodes(child, types)


def imports(module: str, types: bool = True) -> set[str]:
    """Return the modules of ours that a module imports, anywhere in it."""
    found = set()
    for node in nodes(ast.parse(MODULES[module].read_text()), types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in inner}
    return {name for name in found if name in MODULES and name != module}


def test_the_imports_are_found() -> None:
    assert {"lifecycle.fit.trainer", "lifecycle.tracking.run", "lifecycle.data.batches"} <= imports(
        "lifecycle.runs.pipeline"
    )
    assert "lifecycle.compile.compiled_model" in imports("lifecycle.evaluate")
    assert "lifecycle.compile.compiled_model" not in imports("lifecycle.evaluate", types=False)
    assert "lifecycle.runs.pipeline" in imports("lifecycle.cli.main")  # inside a function


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    upwards = {name for name in imports(module) if layer(name) < layer(module)}
    assert not upwards, f"{module} imports {', '.join(sorted(upwards))}, which stand above it"


def test_no_import_leads_back_to_where_it_started() -> None:
    edges = {module: imports(module, types=False) - {"lifecycle"} for module in MODULES if module != "lifecycle"}
    while leaves := {module for module, targets in edges.items() if not targets & set(edges)}:
        edges = {module: targets for module, targets in edges.items() if module not in leaves}
    assert not edges, f"a cycle among {', '.join(edges)}"


def test_data_know_nothing_of_models_and_models_nothing_of_data() -> None:
    for module in MODULES:
        if module.startswith("lifecycle.data"):
            assert not any(name.startswith("lifecycle.plugins") for name in imports(module)), module
        if module.startswith("lifecycle.plugins"):
            assert not any(name.startswith("lifecycle.data") for name in imports(module)), module


def test_no_module_names_a_built_in_plugin() -> None:
    for module in MODULES:
        if not module.startswith(("lifecycle.plugins", "lifecycle.data")):
            named = imports(module) & {
                "lifecycle.data.kinds.table",
                "lifecycle.data.kinds.images",
                "lifecycle.data.kinds.series",
            }
            assert not named, module
            assert not any(name.startswith("lifecycle.plugins.") for name in imports(module)), module


@pytest.mark.parametrize("module", MODULES)
def test_no_file_is_over_300_lines(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 300


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
