"""The same table written in many ways: each file has the values of ``base.csv``, or those that its name says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.data.formats.text.dialect import dialect_of
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.data.resolving import resolved
from lifecycle.errors import COMMAND_LINE

CASES = Path(__file__).parent / "cases"


def read(name: str, target: str = "price", **fields: Any) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Return the features and the targets as a run reads them."""
    plugin = Table(path=str(CASES / name), target=target, **fields)
    frame = plugin.read()
    samples = resolved(plugin, frame).samples(frame)
    assert isinstance(samples.inputs, pd.DataFrame)
    return samples.inputs, np.asarray(samples.targets)


def described(name: str) -> str:
    found = dialect_of(Table(path=str(CASES / name), target="-1").read())
    return "" if found is None else found.described()


BASE, PRICES = read("base.csv")


def check_like_base(inputs: pd.DataFrame, targets: np.ndarray[Any, Any], *but: str) -> None:
    """Assert that the columns of base.csv, but for some, have its values; missing ones are not compared."""
    np.testing.assert_array_equal(targets, PRICES)
    for name in BASE.columns.difference(but):
        present = inputs[name].notna()
        pd.testing.assert_series_equal(inputs[name][present], BASE[name][present])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pipe.csv", "pipe, header"),
        ("semi.csv", "semicolon, header, decimal comma"),
        ("base.tsv", "tab, header"),
        ("index.csv", "comma, header, the first column has no name: index"),
        ("base.csv", ""),
    ],
)
def test_a_separator_and_an_index_change_no_value(name: str, says: str) -> None:
    check_like_base(*read(name))
    assert described(name) == says


@pytest.mark.parametrize(
    ("name", "fields", "missing"),
    [("qmark.csv", {}, 28), ("dash.csv", {}, 28), ("m999.csv", {"missing": ["-999"]}, 20)],
)
def test_marks_of_missing_values_are_missing(name: str, fields: dict[str, Any], missing: int) -> None:
    inputs, targets = read(name, **fields)
    assert inputs["size"].isna().sum() == missing
    check_like_base(inputs, targets)


def test_a_number_that_may_be_a_mark_is_kept_and_reported() -> None:
    inputs, _ = read("m999.csv")
    assert (inputs["size"] == -999).sum() == 20
    data = load(Table(path=str(CASES / "m999.csv"), target="price"), "m999", "table", 0)
    assert [COMMAND_LINE.text(note) for note in data.notes] == [
        "size: -999 occurs 20 times, far from all other values. If it is a mark of missing values, add "
        "data.missing=[-999]"
    ]


@pytest.mark.parametrize(("name", "columns"), [("noheader.csv", 3), ("noheader_spaces.data", 3)])
def test_a_file_without_a_header_loses_no_row(name: str, columns: int) -> None:
    inputs, _ = read(name, target="-1")
    lines = (CASES / name).read_text().splitlines()
    assert len(inputs) == len(lines)
    assert list(inputs) == [f"c{number}" for number in range(columns)]
    first = lines[0].replace(",", " ").split()[:columns]
    np.testing.assert_array_equal(inputs.iloc[0].to_numpy(float), [float(cell) for cell in first])


def test_thousands_percent_and_currencies_are_numbers() -> None:
    for name, factor, digits in (
        ("thousands.csv", 1000, 1e-9),
        ("percent_int.csv", 1, 1.0),
        ("currency_few.csv", 1, 10),
    ):
        inputs, targets = read(name)
        assert inputs["size"].dtype == np.float64
        assert float((inputs["size"] / factor - BASE["size"]).abs().max()) <= digits  # rounded in the file
        check_like_base(inputs, targets, "size")


@pytest.mark.parametrize("name", ["dmy.csv", "isodate.csv", "dt.parquet"])
def test_a_date_is_the_same_in_each_notation(name: str) -> None:
    inputs, targets = read(name)
    check_like_base(inputs, targets)
    written = pd.to_datetime(pd.read_csv(CASES / "isodate.csv")["when"])
    np.testing.assert_array_equal(pd.to_datetime(inputs["when"]).to_numpy("M8[us]"), written.to_numpy("M8[us]"))


def test_a_month_is_its_first_day() -> None:
    inputs, _ = read("monyy.csv")
    written = pd.to_datetime(pd.read_csv(CASES / "monyy.csv")["when"], format="%b-%y")
    np.testing.assert_array_equal(inputs["when"].to_numpy("M8[us]"), written.to_numpy("M8[us]"))


def test_codes_keep_their_zeros_and_categories_their_names() -> None:
    assert read("leadzero.csv")[0]["zip"].str.startswith("0").all()
    assert "NA" in set(read("na_cat.csv")[0]["town"])
    dirty = load(Table(path=str(CASES / "dirtycat.csv"), target="price"), "dirty", "table", 0).spec.feature_names
    assert "town_Chur" in dirty
    assert not any(name != name.strip() for name in dirty)
    assert set(read("yesno_target.csv", target="sold")[1]) == {"no", "yes"}
