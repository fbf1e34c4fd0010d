"""Files that are written block by block: readable for other tools, and never incomplete."""

from __future__ import annotations

import csv
import datetime
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.data.formats import writers
from lifecycle.errors import RequestError

TEXTS = st.text(st.sampled_from(["a", "é", " ", ",", '"', "\n", "\r", "0"]), max_size=6)


def write(file: Path, *tables: pa.Table) -> None:
    with writers.create(file, tables[0].schema) as writer:
        for table in tables:
            writer.write(table)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=20), st.tuples(TEXTS, TEXTS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pythons_own_reader_finds_each_cell(
    tmp_path: Path, rows: list[tuple[str, str]], names: tuple[str, str]
) -> None:
    table = pa.table([pa.array(column) for column in zip(*rows, strict=True)], names=list(names))
    write(tmp_path / "a.csv", table.slice(0, 3), table.slice(3))
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream, strict=True)) == [list(names), *map(list, rows)]


def test_only_what_must_be_quoted_is(tmp_path: Path) -> None:
    table = pa.table(
        {
            "code": ["007", "a,b", None],
            "x": [0.1, 1e-7, None],
            "n": [1, None, 3],
            "yes": [True, False, None],
            "day": [datetime.date(2020, 1, 2), None, None],
        }
    )
    write(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_text() == (
        'code,x,n,yes,day\n007,0.1,1,true,2020-01-02\n"a,b",1e-7,,false,\n,,3,,\n'
    )


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_keep_every_bit_in_csv(tmp_path: Path, numbers: list[float]) -> None:
    write(tmp_path / "a.csv", pa.table({"x": numbers, "y": numbers}))
    with (tmp_path / "a.csv").open(newline="") as stream:
        assert [float(row["y"]) for row in csv.DictReader(stream)] == numbers


def test_blocks_follow_each_other_in_parquet(tmp_path: Path) -> None:
    table = pa.table({"n": range(10), "tags": [[1, 2]] * 10})
    write(tmp_path / "a.parquet", table.slice(0, 7), table.slice(7))
    assert pd.read_parquet(tmp_path / "a.parquet")["n"].tolist() == list(range(10))
    assert pa.parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 2


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_values_of_each_type_are_those_of_json(tmp_path: Path, ending: str) -> None:
    table = pa.table(
        {
            "x": [0.1, 1e-7, float("nan"), float("inf"), None, 5e-324],
            "n": pa.array([2**62, -1, None, 0, 1, 2]),
            "yes": [True, False, None, True, True, True],
            'a "b"': ["007", "é\n", None, "", "\\", "\u2028"],
            "day": [datetime.date(2020, 1, 2), None, None, None, None, None],
            "tags": [[1, 2], None, [], None, None, None],
        }
    )
    write(tmp_path / f"a.{ending}", table.slice(0, 2), table.slice(2, 0), table.slice(2))
    text = (tmp_path / f"a.{ending}").read_text()
    found = json.loads(text) if ending == "json" else [json.loads(line) for line in text.split("\n")[:-1]]
    expected = table.to_pylist()
    expected[0]["day"], expected[2]["x"], expected[3]["x"] = "2020-01-02", None, None
    assert found == expected


def test_no_rows_are_an_empty_list(tmp_path: Path) -> None:
    write(tmp_path / "a.json", pa.table({"n": pa.array([], pa.int64())}))
    assert json.loads((tmp_path / "a.json").read_text()) == []


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_keep_every_bit_in_json(tmp_path: Path, numbers: list[float]) -> None:
    write(tmp_path / "a.json", pa.table({"x": numbers}))
    assert [row["x"] for row in json.loads((tmp_path / "a.json").read_text())] == numbers


def refused(file: Path, table: pa.Table) -> str:
    with pytest.raises(RequestError) as caught:
        write(file, table)
    return str(caught.value)


def test_a_column_that_csv_cannot_hold_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.csv", pa.table({"tags": [[1, 2]]}))
    assert message == (
        f"output={tmp_path / 'a.csv'} cannot hold the column tags of list<item: int64>. Give a file ending in .parquet."
    )
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    table = pa.table({"n": [1]})
    file = tmp_path / "a.txt"
    assert refused(file, table) == (
        f"output={file} ends in .txt. Give a file ending in .csv, .tsv, .parquet, .feather, .json, .jsonl or .xlsx, or "
        "one of these with .gz."
    )
    file = tmp_path / "no" / "a.csv"
    assert (
        refused(file, table)
        == f"output={file} is in a folder that does not exist. Make {file.parent}, or give another file."
    )
    file = tmp_path / "folder.csv"
    file.mkdir()
    assert refused(file, table) == f"output={file} cannot be written: Is a directory. Give another file."
    assert [other.name for other in tmp_path.iterdir()] == ["folder.csv"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_interrupted_leaves_what_was_there(tmp_path: Path, ending: str) -> None:
    table = pa.table({"n": [1]})
    file = tmp_path / f"a.{ending}"
    file.write_text("yesterday's")

    def interrupted() -> None:
        with writers.create(file, table.schema) as writer:
            writer.write(table)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [other.name for other in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "yesterday's"
