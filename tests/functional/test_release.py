"""What a release has: one version in all files, a small and complete wheel, pinned actions."""

from __future__ import annotations

import importlib.util
import re
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.fixture(scope="module")
def check_wheel() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_wheel", ROOT / ".ci" / "check_wheel.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_files_have_the_same_version_and_date() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert f"nn_lifecycle-{PROJECT['version']}-py3-none-any.whl" in (ROOT / "README.md").read_text()
    releases = re.findall(r"^## \[([\d.]+)\] - ([\d-]+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert releases == sorted(releases, reverse=True)
    assert releases[0] == (citation["version"], citation["date-released"])


def wheel(folder: Path, leave_out: str = "", more: str = "") -> Path:
    """Return a wheel with the files of the checkout, compressed as build does."""
    file = folder / f"nn_lifecycle-{PROJECT['version']}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for root, prefix in ((ROOT / "src", ""), (ROOT / "conf", "lifecycle/conf/")):
            for source in sorted(root.rglob("*")):
                name = f"{prefix}{source.relative_to(root)}"
                if source.is_file() and "__pycache__" not in name and ".egg-info" not in name and name != leave_out:
                    archive.write(source, name)
        if more:
            archive.writestr(more, "")
    return file


def test_a_wheel_is_small_and_complete(check_wheel: ModuleType, tmp_path: Path) -> None:
    assert check_wheel.faults(wheel(tmp_path)) == []


def test_a_wheel_that_is_not_is_refused(
    check_wheel: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = wheel(tmp_path, "lifecycle/conf/data/iris.yaml", "tests/secret.py")
    monkeypatch.setattr(check_wheel, "MOST_BYTES", 1000)
    large, lacks, others = check_wheel.faults(file)
    assert re.search(r"has [\d,]+ bytes, and must have fewer than 1,000\.", large)
    assert lacks.endswith("lacks lifecycle/conf/data/iris.yaml. Add the package to pyproject.toml.")
    assert others.endswith("has tests/secret.py, which belong to no package of it.")


def test_actions_are_pinned_by_commit() -> None:
    used = [
        line.strip()
        for file in (ROOT / ".github" / "workflows").iterdir()
        for line in file.read_text().splitlines()
        if "uses:" in line
    ]
    assert len(used) >= 4
    assert all(re.fullmatch(r"- uses: [\w/-]+@[0-9a-f]{40} # v[\d.]+", line) for line in used), used


@pytest.mark.parametrize(
    "file", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda file: file.stem
)
def test_issue_templates_ask_something(file: Path) -> None:
    found = yaml.safe_load(file.read_text())
    assert file.stem == "config" or {"name", "description", "body"} <= set(found)
