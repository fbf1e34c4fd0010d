"""Rows without a value of the target: refused, or left out of training and scoring; predicted in any case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.errors import RequestError

ROWS, GAPS = 60, (0, 7, 59)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    number = np.arange(ROWS, dtype=float)
    frame = pd.DataFrame({"x": number, "y": number * 1.5, "kind": np.where(number % 2, "odd", "even"), "k": number % 3})
    frame.loc[[*GAPS], ["y", "kind", "k"]] = None
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("memory", [None, 1e-6])
@pytest.mark.parametrize(("target", "task"), [("y", "regression"), ("kind", "binary"), ("k", "multiclass")])
def test_rows_without_a_target_are_left_out_where_that_is_asked_for(
    file: Path, target: str, task: str, memory: float | None
) -> None:
    others: Any = {"drop": [name for name in ("y", "kind", "k") if name != target], "memory_gb": memory}
    with pytest.raises(RequestError) as caught:
        load(Table(path=str(file), target=target, **others), "a", "table", 0)
    assert str(caught.value) == (
        f"data.target={target} has no value in 3 rows of {file}, the first is row 0. Fill them or remove these rows, "
        "or add data.missing_target=drop to leave these rows out."
    )
    data = load(Table(path=str(file), target=target, missing_target="drop", **others), "a", "table", 0)
    assert data.spec.task == task
    assert data.val is not None
    assert data.test is not None
    rows = np.concatenate([part.rows for part in (data.train, data.val, data.test)])
    assert sorted(rows) == [row for row in range(ROWS) if row not in GAPS]
    assert data.split_report[0] == f"3 of 60 rows have no value of {target}, and are left out"
    values = pd.read_csv(file)[target]
    labels = data.train.labels if task != "multiclass" else data.train.labels.astype(float)
    assert [*labels] == [*values[data.train.rows]]


def test_a_target_without_any_value_is_refused_in_any_case(file: Path) -> None:
    pd.read_csv(file).assign(y=np.nan).to_csv(file, index=False)
    for memory in (None, 1e-6):
        table = Table(path=str(file), target="y", drop=["kind", "k"], missing_target="drop", memory_gb=memory)
        with pytest.raises(RequestError, match="has no value in 60 rows"):
            load(table, "a", "table", 0)
