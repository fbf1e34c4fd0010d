"""Tables on disk: columns mean what they mean in a table that is read at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.data.kinds.table import Table
from lifecycle.data.large import read
from lifecycle.data.large.meanings import minutes, moments
from lifecycle.data.load import load
from lifecycle.errors import RequestError
from tests.data.test_meaning_predicts import inputs_of_training, written

ROWS = 400
VALUES = np.random.default_rng(0).uniform(-999, 99999, ROWS).round(2).tolist()
KINDS = {
    "size": "unit", "price": "currency", "share": "percent", "comma": "decimal comma", "when": "day first",
    "stamp": "stamp", "month": "month", "packed": "packed", "flag": "truth", "town": "word", "zip": "code",
    "lap": "duration", "flight": "hours and minutes",
}  # fmt: skip


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a file of a few kilobytes read in several blocks."""
    monkeypatch.setattr(read, "FEWEST_BLOCK_BYTES", 4096)


def columns(gaps: bool) -> dict[str, list[str]]:
    found = {name: written(VALUES, kind, gaps=gaps) for name, kind in KINDS.items()}
    return found | {"grade": [["S", "M", "L"][int(value) % 3] for value in VALUES]}


def both(file: Path, **fields: Any) -> tuple[Any, Any]:
    """Return a file's data as read at once, and as read block by block."""
    fields = {"types": {"grade": ["S", "M", "L"]}, "target": "y", **fields}
    return tuple(load(Table(path=str(file), memory_gb=limit, **fields), "mine", "table", 0) for limit in (None, 4e-6))


@pytest.mark.parametrize(
    ("gaps", "fields"),
    [(False, {}), (True, {"weight": "w", "scaling": "minmax"}), (True, {"rare": 150.0, "scaling": "none"})],
)
def test_a_table_on_disk_has_the_inputs_of_one_that_is_read_at_once(
    tmp_path: Path, gaps: bool, fields: dict[str, Any]
) -> None:
    weights = np.random.default_rng(1).uniform(0.5, 2, ROWS)
    file = tmp_path / "a.csv"
    pd.DataFrame({**columns(gaps), "w": weights, "y": np.arange(ROWS) / 7}).to_csv(file, index=False)
    whole, large = both(file, **fields)
    assert large.plugin.types == whole.plugin.types
    assert large.spec == whole.spec
    assert large.column_kinds == whole.column_kinds
    np.testing.assert_allclose(inputs_of_training(large), inputs_of_training(whole), rtol=1e-4, atol=1e-4)


def test_times_of_a_parquet_file_are_those_of_a_table_that_is_read_at_once(tmp_path: Path) -> None:
    when = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.abs(VALUES).astype(int), unit="h")
    rows = pd.DataFrame({"when": when, "lasts": when - when.min(), "day": when.date, "y": np.arange(ROWS) / 7})
    rows.to_parquet(tmp_path / "a.parquet")
    whole, large = both(tmp_path / "a.parquet", types=None)
    assert large.spec == whole.spec
    np.testing.assert_allclose(inputs_of_training(large), inputs_of_training(whole), rtol=1e-4, atol=1e-4)


def test_a_target_with_a_currency_is_a_number_on_disk_too(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    pd.DataFrame({"x": np.arange(ROWS), "y": written(VALUES, "currency", gaps=False)}).to_csv(file, index=False)
    whole, large = both(file, types=None)
    assert whole.spec.task == large.spec.task == "regression"
    order = np.argsort(np.concatenate([part.rows for part in (large.train, large.val, large.test)]))
    labels = np.concatenate([part.labels for part in (large.train, large.val, large.test)])[order]
    np.testing.assert_allclose(labels, VALUES)


@pytest.mark.parametrize(
    ("first", "late", "sentence"),
    [
        ("{} kg", "12 lb", r"column x holds numbers in kg in the first rows, got 12 lb in row 390\. Fix the value, or "
         r"add data\.types=\{x: category\}\."),
        ("1,{}", "1,5", r"column x holds numbers in the first rows, got 1,5 in row 390\. Fix the value, or add "
         r"data\.types=\{x: decimal_comma\}\."),
        ("03/04/20{}", "31/04/2020", r"column x holds times \(day_first\) in the first rows, got 31/04/2020"),
    ],
)  # fmt: skip
def test_a_later_block_that_contradicts_the_first_is_refused(
    tmp_path: Path, first: str, late: str, sentence: str
) -> None:
    texts = [first.format(100 + row if "," in first else 10 + row % 80) for row in range(ROWS)]
    texts[390] = late
    pd.DataFrame({"x": texts, "y": np.arange(ROWS) / 7}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(RequestError, match=f"^{sentence}"):
        load(Table(path=str(tmp_path / "a.csv"), target="y", memory_gb=1e-6), "mine", "table", 0)


def test_minutes_hold_times_of_decades_in_single_precision() -> None:
    times = np.array(["1970-03-01T12:31", "1999-12-31T23:59", "2030-06-01T00:01", "NaT"], dtype="datetime64[us]")
    np.testing.assert_array_equal(moments(minutes(times).astype(np.float32).astype(np.float64)), times)
