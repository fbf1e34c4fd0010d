"""Files that say a clean table in another way are read as that table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.errors import COMMAND_LINE

CASES = Path(__file__).parent / "meaning_cases"
BASE = pd.read_csv(CASES / "base.csv")
DAYS = pd.read_csv(CASES / "isodate.csv", parse_dates=["when"])["when"]


def read(name: str, target: str = "price", **fields: Any) -> tuple[Any, pd.DataFrame]:
    """Return the data of a file, and its columns as they are read."""
    plugin = Table(path=str(CASES / name), target=target, **fields)
    data = load(plugin, "mine", "table", 0)
    return data, data.plugin.samples(plugin.read()).inputs


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("currency_few.csv", BASE["size"] // 10 * 10, "EUR"),
        ("percent_int.csv", BASE["size"] // 1, "%"),
        ("thousands.csv", (BASE["size"] * 1000).round(1), None),
    ],
)
def test_numbers_with_units_are_those_of_the_clean_table(name: str, values: pd.Series[float], unit: str | None) -> None:
    data, inputs = read(name)
    assert data.plugin.types["size"].get("unit") == unit
    np.testing.assert_allclose(inputs["size"], values, atol=0.051)
    assert data.spec == read("base.csv")[0].spec
    assert data.notes == ()


@pytest.mark.parametrize("name", ["dmy.csv", "isodate.csv", "dt.parquet", "monyy.csv"])
def test_dates_are_the_same_in_each_notation(name: str) -> None:
    data, inputs = read(name)
    days = DAYS.dt.to_period("M").dt.to_timestamp() if name == "monyy.csv" else DAYS
    np.testing.assert_array_equal(inputs["when"].to_numpy(dtype="datetime64[us]"), days.to_numpy("datetime64[us]"))
    parts = {name.removeprefix("when_") for name in data.spec.feature_names if name.startswith("when_")}
    of_days = {"day", "weekday", "weekday_sin", "weekday_cos"}
    assert parts == {"year", "month", "month_sin", "month_cos", "elapsed"} | (of_days if name != "monyy.csv" else set())
    assert data.notes == ()


def test_stamps_of_a_table_have_hours() -> None:
    data, inputs = read("table_ts.csv", target="y")
    assert inputs["when"].iloc[0] == pd.Timestamp("2024-09-19 23:00")
    assert {"when_hour", "when_hour_sin", "when_hour_cos"} < set(data.spec.feature_names)


def test_codes_keep_their_zeros_and_na_is_a_town() -> None:
    assert {"zip_00801", "zip_07000"} < set(read("leadzero.csv")[0].spec.feature_names)
    assert {"town_NA", "town_Basel"} < set(read("na_cat.csv")[0].spec.feature_names)


def test_dirty_categories_are_the_clean_ones_on_request() -> None:
    data, _ = read("dirtycat.csv", fold_case=True)
    assert data.spec.feature_names == ("size", "grade", "town_basel", "town_bern", "town_chur")
    clean = read("base.csv")[0]
    np.testing.assert_array_equal(np.asarray(data.train.inputs), np.asarray(clean.train.inputs))
    assert [COMMAND_LINE.text(note) for note in data.notes] == [
        "town: 'Chur' and 'Chur ' are one category, without the spaces around it"
    ]


def test_a_target_of_yes_and_no_has_two_classes() -> None:
    data, _ = read("yesno_target.csv", target="sold")
    assert (data.spec.task, data.spec.class_names) == ("binary", ("no", "yes"))


def test_a_declared_identifier_is_left_out() -> None:
    data, _ = read("idconst.csv", types={"id": "drop"})
    assert "id" not in data.spec.feature_names
    assert data.column_kinds["id"] == "dropped"
