"""Each row of docs/idioms.yaml runs: what users of other tools type, and what it is here."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Command

ROOT = Path(__file__).parents[2]
TABLE: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "idioms.yaml").read_text())
ROWS = [pytest.param(row, id=f"{row['tool']}: {row['theirs'][:40]}") for row in TABLE["idioms"]]


@pytest.fixture(scope="module")
def preamble() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "idioms"}
    exec(TABLE["preamble"], names)
    return names


@pytest.mark.parametrize("row", ROWS)
def test_ours_runs(row: dict[str, str], preamble: dict[str, Any], job: Command) -> None:
    assert callable(job)  # the working folder is empty, and has a database for what is tracked
    # Each row begins with its own model, as if it were the only one after the preamble.
    model = preamble["model"]
    fresh = copy.copy(model)
    fresh._before = model._before
    exec(row["ours"], {**preamble, "model": fresh})


def test_the_table_is_complete() -> None:
    assert len(TABLE["idioms"]) >= 30
    assert sum(row["tool"] == "Keras" for row in TABLE["idioms"]) >= 25
    for row in TABLE["idioms"]:
        assert set(row) == {"tool", "theirs", "ours", "note"}
        assert all(isinstance(text, str) for text in row.values())
    assert {row["tool"] for row in TABLE["idioms"]} == {"Keras", "skorch", "PyTorch", "Lightning", "scikit-learn"}
