"""The benchmark of scale: it runs, keeps what it measures, judges by medians, and writes its table into its page."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.data.sources import files

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scale.py"

spec = importlib.util.spec_from_file_location("scale", SCRIPT)
assert spec is not None
assert spec.loader is not None
scale: Any = importlib.util.module_from_spec(spec)
sys.modules["scale"] = scale
spec.loader.exec_module(scale)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)


def measured(file: Path, *words: str) -> dict[str, Any]:
    ended = run("--small", "--results", str(file), *words)
    assert ended.returncode == 0, ended.stderr
    results: dict[str, Any] = json.loads(file.read_text())
    assert ended.stdout.endswith(f"{scale.table(results)}\n")
    for job in words or scale.JOBS:
        for entry in results["jobs"][job]:
            assert (entry["values"] and min(entry["values"]) > 0) or entry["said"].startswith("skipped: "), entry
    return results


def test_some_jobs_are_run_and_the_others_keep_their_figures(tmp_path: Path) -> None:
    kept = {"what": "kept", "unit": "s", "values": [1.0], "at_most": 2.0}
    (tmp_path / "a.json").write_text(json.dumps({"jobs": {"runs": [kept]}}))
    results = measured(tmp_path / "a.json", "command")
    assert list(results["jobs"]) == ["runs", "command"]
    assert [entry["what"] for entry in results["jobs"]["command"]] == ["`--help`", "completion", "`--cfg job`"]
    assert results["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    rows = scale.table(results).splitlines()
    assert "| kept | ≤ 2 | 1 (1 to 1, 1) s |  |" in rows  # of small figures, none is judged
    assert rows[2].startswith("| `--help` | ≤ 0.5 | ")


@pytest.mark.longest
@pytest.mark.slow
def test_each_job_runs(tmp_path: Path) -> None:
    """Two only time commands that many tests run."""
    results = measured(tmp_path / "a.json", *sorted(set(scale.JOBS) - {"command", "iris", "runs"}))
    figures = {entry["what"]: entry for entries in results["jobs"].values() for entry in entries}
    assert any(what.startswith("predict 20,000 rows, CSV to CSV") for what in figures)


def test_a_median_is_judged_by_its_target() -> None:
    values = [1.0, 2.0, 9.0]
    assert scale.Figure("a", "s", values, at_most=2).reached is True
    assert scale.Figure("a", "s", values, at_most=1.9).reached is False
    assert scale.Figure("a", "times", values, at_least=2).reached is True
    assert scale.Figure("a", "times", values, at_least=3).reached is False
    assert scale.Figure("a", "s", values).reached is None
    assert scale.Figure("a", "s", at_most=2, said="skipped: no disk").reached is None


def test_the_table_shows_medians_ranges_and_what_is_missed() -> None:
    figures = {
        "command": [{"what": "a", "unit": "s", "values": [0.5, 0.25, 1.0], "at_most": 0.5}],
        "predict": [
            {"what": "b", "unit": "rows/s", "values": [2e5, 1e5, 4e5], "at_least": 3e5},
            {"what": "c", "unit": "s", "values": [], "said": "skipped: no disk"},
        ],
    }
    lines = scale.table({"jobs": figures, "machine": scale.machine()}).splitlines()
    assert lines[2:5] == [
        "| a | ≤ 0.5 | 0.5 (0.25 to 1, 3) s | yes |",
        "| b | ≥ 300,000 | 200,000 (100,000 to 400,000, 3) rows/s | **no** |",
        "| c | skipped: no disk |  |  |",
    ]
    assert lines[-1].endswith(".")


def test_the_table_is_written_between_its_marks(tmp_path: Path) -> None:
    results = {"jobs": {}, "machine": scale.machine()}
    page = tmp_path / "speed.md"
    page.write_text(f"before\n{scale.BEGIN}\nold\n{scale.END}\nafter\n")
    for _ in range(2):
        scale.write_page(results, page)
        text = page.read_text()
        assert text == f"before\n{scale.BEGIN}\n{scale.table(results)}\n{scale.END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(SystemExit, match=r"^speed\.md has no <!-- scale: begin -->"):
        scale.write_page(results, page)
    assert page.read_text() == "nothing"


def test_what_cannot_be_measured_is_refused() -> None:
    ended = run("batch")
    assert ended.returncode == 2
    assert (
        "no such job: batch. Choose from: command, iris, batches, csv, parquet, predict, epochs, runs" in ended.stderr
    )
    for words in (["--small"], ["--small", "--write", "--results", "a.json"]):
        ended = run(*words)
        assert ended.returncode == 2
        assert "--small keeps no figures for a page." in ended.stderr


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_made_file_has_the_rows_and_columns_that_are_asked_for(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "BLOCK", 300)
    scale.make_table(tmp_path / f"a{ending}", 1000, 3, "mixed")
    frame = files.read(str(tmp_path / f"a{ending}"))
    assert list(frame) == ["x0", "x1", "x2", "town", "code"]
    assert len(frame) == 1000
    assert 50 < frame["x0"].isna().sum() < 150
    assert set(frame["code"]) == {"007", "0101", "0999"}
    assert pd.api.types.is_numeric_dtype(frame["x1"])
    assert abs(np.corrcoef(frame["x1"].iloc[:300], frame["x1"].iloc[300:600])[0, 1]) < 0.3  # no block is repeated
