"""The benchmark of the model server: it runs, keeps what it measures, and writes its table into its page."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serving.py"
spec = importlib.util.spec_from_file_location("serving_benchmark", SCRIPT)
assert spec is not None
assert spec.loader is not None
serving: Any = importlib.util.module_from_spec(spec)
sys.modules["serving_benchmark"] = serving
spec.loader.exec_module(serving)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)


@pytest.mark.longest
def test_it_measures_a_real_server(tmp_path: Path) -> None:
    ended = run("--small", "--results", str(tmp_path / "a.json"))
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "a.json").read_text())
    assert ended.stdout.endswith(f"{serving.table(results)}\n")
    assert [entry["unit"] for entry in results["figures"]] == ["ms"] * 5 + ["s", "MB", "MB"]
    assert all(value > 0 for entry in results["figures"][1:3] for value in entry["values"])
    assert all(entry["values"] for entry in results["figures"])


def test_the_table_is_written_between_its_marks(tmp_path: Path) -> None:
    entry = {"what": "a", "unit": "ms", "values": [2.0, 1.0, 4.0], "at_most": 3.0}
    facts = {**dict.fromkeys(("date", "processor", "cores", "load", *serving.PACKAGES), "x")}
    results = {"small": False, "figures": [entry, entry | {"at_most": 1.0}], "machine": facts}
    page = tmp_path / "serve.md"
    page.write_text(f"before\n{serving.BEGIN}\nold\n{serving.END}\nafter\n")
    for _ in range(2):
        serving.write_page(results, page)
        assert page.read_text() == f"before\n{serving.BEGIN}\n{serving.table(results)}\n{serving.END}\nafter\n"
    assert "| a | ≤ 3 | 2 (1 to 4, 3) ms | yes |\n| a | ≤ 1 | 2 (1 to 4, 3) ms | **no** |" in page.read_text()
    page.write_text("nothing")
    with pytest.raises(SystemExit, match=r"^serve\.md has no <!-- serving: begin -->"):
        serving.write_page(results, page)


def test_small_figures_are_not_for_the_page() -> None:
    ended = run("--small")
    assert ended.returncode == 2
    assert "--small keeps no figures for a page." in ended.stderr
