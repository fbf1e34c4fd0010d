"""Every format of files of rows: what is written reads back, and a model predicts the file that it was trained on."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import sqlite3
import string
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.data.digests import digest
from lifecycle.data.formats import names, writers
from lifecycle.data.kinds.array import Array
from lifecycle.data.kinds.series import Series
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.data.sources import files, scratch_files, streams
from lifecycle.data.sources.source_fields import SourceFields
from lifecycle.errors import RequestError
from lifecycle.runtime.files import disk

BASE = pd.DataFrame(
    {
        "size": [40.5, 52.0, np.nan, 61.25, 70.0, 33.0, 48.5, 55.0, 66.0, 71.5, 38.0, 44.0],
        "rooms": [1, 2, 2, 3, 3, 1, 2, 2, 3, 3, 1, 2],
        "town": [
            "York",
            "Bath",
            "York",
            "Bath, North",
            "York",
            'the "Bath"',
            "York",
            "Bath",
            None,
            "York",
            "Bath",
            "NA",
        ],
        "sold": [True, False, True, True, False, True, False, True, True, False, True, False],
        "price": [100.5, 120.0, 130.25, 150.0, 170.5, 90.0, 111.0, 125.0, 160.0, 175.0, 95.0, 105.0],
    }
)


def by_sqlite(frame: pd.DataFrame, file: Path) -> None:
    connection = sqlite3.connect(file)
    frame.to_sql("houses", connection, index=False)
    connection.close()


def by_writer(frame: pd.DataFrame, file: Path) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with writers.create(file, table.schema) as writer:
        writer.write(table)


def by_npz(frame: pd.DataFrame, file: Path) -> None:
    others = {name: np.array([*map(str, frame[name])]) for name in frame if frame[name].dtype.kind == "O"}
    numbers = [name for name in frame if name not in others and name != "price"]
    np.savez(file, X=frame[numbers].to_numpy(dtype=float), price=frame["price"].to_numpy(), **others)


WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "csv": lambda frame, file: frame.to_csv(file, index=False),
    "csv.gz": lambda frame, file: frame.to_csv(file, index=False),
    "csv.zip": lambda frame, file: frame.to_csv(file, index=False),
    "csv.bz2": lambda frame, file: frame.to_csv(file, index=False),
    "csv.xz": lambda frame, file: frame.to_csv(file, index=False),
    "csv.zst": by_writer,
    "txt": lambda frame, file: frame.to_csv(file, index=False),
    "data": lambda frame, file: frame.to_csv(file, index=False),
    "dat": lambda frame, file: frame.to_csv(file, index=False, sep=";"),
    "tab": lambda frame, file: frame.to_csv(file, index=False, sep="\t"),
    "psv.gz": lambda frame, file: frame.to_csv(file, index=False, sep="|"),
    "parquet": lambda frame, file: frame.to_parquet(file, index=False),
    "parquet.gz": by_writer,
    "feather": lambda frame, file: frame.to_feather(file),
    "arrow": by_writer,
    "json": lambda frame, file: frame.to_json(file, orient="records"),
    "jsonl": lambda frame, file: frame.to_json(file, orient="records", lines=True),
    "ndjson.xz": by_writer,
    "xlsx": lambda frame, file: frame.to_excel(file, index=False),
    "sqlite": by_sqlite,
    "npz": by_npz,
    "dta": lambda frame, file: frame.to_stata(file, write_index=False, version=118),
}
"""Ending -> what writes such a file; pandas itself where it can."""

WITHOUT_TRUTHS = ("sqlite", "npz", "dta")
"""Formats in which a truth value is a number."""


def refused(path: Path | str, fields: Any = None) -> str:
    with pytest.raises(RequestError) as caught:
        files.read(str(path), fields)
    message = str(caught.value)
    assert len(message) <= 400
    return message.replace(f"data.path={path} ", "", 1)


@pytest.mark.parametrize("ending", WRITERS)
def test_each_format_reads_back_as_it_was_written(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"houses.{ending}"
    WRITERS[ending](BASE, file)
    found = files.read(str(file))
    if ending == "npz":
        wanted = [*BASE[["size", "rooms", "sold"]].to_numpy(dtype=float).T, BASE["price"], BASE["town"].fillna("nan")]
        assert list(found) == ["x0", "x1", "x2", "price", "town"]
        for name, values in zip(found, wanted, strict=True):
            assert [*map(str, found[name])] == [*map(str, pd.Series(values))]
        return
    wanted_frame = BASE.astype({"sold": "int64"}) if ending in WITHOUT_TRUTHS else BASE
    pd.testing.assert_frame_equal(found, wanted_frame)
    # The rows have one digest, whatever the file.
    assert digest(found) == digest(files.read(str(file)))
    assert ending in WITHOUT_TRUTHS or digest(found) == digest(
        pd.read_csv(io.StringIO(BASE.to_csv(index=False)), keep_default_na=False, na_values=[""])
    )


CELLS = st.text(st.sampled_from(string.ascii_letters + " ,;\"'\tä0.-"), min_size=1, max_size=8).filter(
    # What a CSV file cannot tell from a number or a missing value; pyarrow trims no spaces, and Excel no quotes.
    lambda text: (
        any(sign.isalpha() for sign in text) and text.strip() == text and text.lower() not in ("nan", "inf", "e")
    )
)
FRAMES = st.integers(2, 8).flatmap(
    lambda rows: st.fixed_dictionaries(
        {
            "number": st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=rows, max_size=rows),
            "whole": st.lists(st.integers(-(10**9), 10**9), min_size=rows, max_size=rows),
            "text": st.lists(CELLS.map(lambda text: f"t{text}"), min_size=rows, max_size=rows),
            "gaps": st.lists(st.none() | st.floats(0, 1, exclude_min=True), min_size=rows - 1, max_size=rows - 1),
        }
    )
)


@pytest.mark.parametrize("ending", [ending for ending in WRITERS if ending != "npz"])
@given(FRAMES)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_frame_reads_back(tmp_path: Path, ending: str, columns: dict[str, Any]) -> None:
    frame = pd.DataFrame({**columns, "gaps": [0.5, *columns["gaps"]]}).astype({"gaps": float})
    frame["number"] += 0.5  # else a column of whole numbers would be written as one in some formats
    frame.loc[0, "number"] = 0.25
    file = scratch_files.new_file(f"a.{ending}")
    WRITERS[ending](frame, file)
    # JSON of pandas has ten digits unless more are asked for.
    pd.testing.assert_frame_equal(
        files.read(str(file)), frame, rtol=1e-9 if ending.startswith("json") else 0, atol=1e-9
    )


FILES = Path(__file__).parent / "files"
CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("ending", ["csv.gz", "csv.zip", "feather", "json", "jsonl", "sqlite", "tsv"])
def test_the_case_base_has_the_rows_of_its_csv_file(ending: str) -> None:
    wanted = files.read(str(CASES / "base.csv"))
    found = files.read(str(CASES / f"base.{ending}"))
    pd.testing.assert_frame_equal(found, wanted)
    assert digest(found) == digest(wanted)


@pytest.mark.parametrize("ending", WRITERS)
def test_the_rows_to_predict_are_those_to_train(tmp_path: Path, ending: str) -> None:
    """The values that the plugin computes from a stream, as a prediction reads it, are those of training."""
    from lifecycle.data.formats.stream import typed

    file = tmp_path / f"houses.{ending}"
    WRITERS[ending](BASE, file)
    plugin = Table(path=str(file), target="price", val_size=0.2, test_size=0.2)
    data = load(plugin, "houses", "table", 0)
    preprocessing = data.preprocessing.inputs
    numbers = plugin.numbers(preprocessing, data.columns)
    rows = streams.read(file)
    (table,) = rows.of(100)
    frame = typed(table.select(list(data.columns)).replace_schema_metadata(), numbers, rows.is_text).to_pandas()
    found = plugin.apply(preprocessing, plugin.samples(frame).inputs)
    wanted = plugin.apply(preprocessing, plugin.samples(plugin.read()).inputs)
    np.testing.assert_array_equal(found, wanted)
    assert not np.isnan(found).any()


@pytest.mark.parametrize("ending", [ending for ending in WRITERS if ending != "npz"])
def test_the_values_of_a_series_to_forecast_are_those_to_train(tmp_path: Path, ending: str) -> None:
    from lifecycle.data.formats.stream import typed

    frame = pd.DataFrame(
        {"month": [f"2024-{month:02d}" for month in range(1, 13)], "sales": np.arange(12) * 1.5 + 0.25}
    )
    file = tmp_path / f"sales.{ending}"
    WRITERS[ending](frame, file)
    plugin = Series(path=str(file), target="sales", time="month", window=3)
    rows = streams.read(file)
    (table,) = rows.of(100)
    found = plugin.samples(typed(table.replace_schema_metadata(), None, rows.is_text).to_pandas())
    wanted = plugin.samples(plugin.read())
    np.testing.assert_array_equal(found.inputs, wanted.inputs)
    assert found.times is not None
    assert wanted.times is not None
    assert found.times.tolist() == wanted.times.tolist() == frame["month"].tolist()[3:]


def test_an_array_of_numpy_is_samples_of_its_shape(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(size=(20, 3, 2))
    np.savez(tmp_path / "a.npz", X=samples, y=np.arange(20) % 2)
    plugin = Array(path=str(tmp_path / "a.npz"), target="y", shape=[3, 2])
    np.testing.assert_array_equal(plugin.samples(plugin.read()).inputs, samples)


def excel(file: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(file)
    return file


def test_a_sheet_is_chosen_by_its_name(tmp_path: Path) -> None:
    file = excel(tmp_path / "a.xlsx", houses=[["a"], [1]], flats=[["b"], [2]], empty=[])
    assert refused(file) == "has the sheets houses, flats. Add data.sheet=houses."
    assert files.read(str(file), SourceFields(sheet="flats")).to_dict("list") == {"b": [2]}
    with pytest.raises(
        RequestError, match=r"^data\.sheet=flat is no sheet of the file\. Did you mean flats\? Sheets: h"
    ):
        files.read(str(file), SourceFields(sheet="flat"))
    with pytest.raises(RequestError, match=r"^input=\S+ has the sheets houses, flats\. Add sheet=houses\.$"):
        streams.read(file)
    one = excel(tmp_path / "one.xlsx", empty=[], houses=[["a"], [1]])
    assert files.read(str(one)).to_dict("list") == {"a": [1]}
    assert refused(excel(tmp_path / "none.xlsx", empty=[])) == "has no cells. Add rows."
    assert refused(file, SourceFields(sheet="empty")) == "has no cells in the sheet empty. Add rows."


def test_dates_and_empty_cells_of_excel(tmp_path: Path) -> None:
    day = pd.Timestamp("2024-01-31")
    rows = [
        [None, None, None, None],
        [None, "day", "time", "code"],
        [None, day, day, "007"],
        [None, None, day + pd.Timedelta(hours=12), 8],
        [None, None, None, None],
    ]
    found = files.read(str(excel(tmp_path / "a.xlsx", a=rows)))
    assert str(found["day"][0]) == "2024-01-31"
    assert pd.isna(found["day"][1])
    assert list(map(str, found["time"])) == ["2024-01-31 00:00:00", "2024-01-31 12:00:00"]
    assert found["code"].tolist() == ["007", "8"]


def test_a_zip_holds_one_file(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("folder/rows.csv", "a,b\n1,2\n")
        archive.writestr("__MACOSX/._rows.csv", "x")
    assert files.read(str(file)).to_dict("list") == {"a": [1], "b": [2]}
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("more.csv", "a,b\n1,2\n")
    assert refused(file) == (
        "has 2 files: folder/rows.csv, more.csv. Give a zip of one file, or unpack it and give one of its files."
    )
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("rows.exe", "a")
    assert refused(tmp_path / "b.zip").startswith("ends in nothing. Give a file ending in .csv, .tsv")
    with zipfile.ZipFile(tmp_path / "c.zip", "w"):
        pass
    assert refused(tmp_path / "c.zip").startswith("has no file. Give a zip of one file")


TEXT = b"a,b\n" + b"1,2\n" * 100


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv.gz", TEXT, "Not a gzipped file"),
        ("a.csv.gz", gzip.compress(TEXT, mtime=0)[:-9], "Compressed file ended before"),
        ("a.csv.bz2", TEXT, "Invalid data stream"),
        ("a.csv.bz2", bz2.compress(TEXT)[:-9], "Compressed file ended before"),
        ("a.csv.xz", TEXT, "Input format not supported"),
        ("a.csv.xz", lzma.compress(TEXT)[:-9], "Compressed file ended before"),
        ("a.csv.zst", TEXT, "ZSTD decompress failed"),
        ("a.csv.zip", TEXT, "File is not a zip file"),
    ],
    ids=["gz", "gz cut", "bz2", "bz2 cut", "xz", "xz cut", "zst", "zip"],
)
def test_a_corrupt_archive_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path / name)
    assert message.startswith(f"cannot be unpacked: {reason}")
    assert message.endswith(". Compress the rows again, or download the file again.")


@pytest.mark.fault(33)
def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LEAST_FREE", 1 << 60)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n" + b"1\n" * (1 << 26)))
    assert "unpacks to more than 0.0671 GB, for which" in refused(tmp_path / "a.csv.gz")
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("a.csv", TEXT)
    assert refused(tmp_path / "a.csv.zip").endswith(
        "Set TMPDIR to a folder with more room, or unpack the file yourself."
    )


def test_what_was_unpacked_is_gone_when_the_process_has_ended(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(TEXT))
    code = "import sys\nfrom lifecycle.data.sources import files\nprint(files.csv_file(sys.argv[1]).parent.parent)"
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.csv.gz")], capture_output=True, text=True, check=True
    )
    folder = Path(found.stdout.strip())
    assert folder.name.startswith("lifecycle-")
    assert not folder.exists()


@pytest.mark.parametrize("name", ["a.pkl", "a.pickle.gz", "a.joblib"])
def test_a_pickle_is_never_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(BASE))
    ending = f".{name.split('.')[1]}"
    assert refused(tmp_path / name) == (
        f"ends in {ending}, which is a pickle: to read it would run the code in it. Save the rows as Parquet, for "
        "instance with frame.to_parquet('rows.parquet')."
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.tar.gz", "ends in .tar.gz, an archive of several files. Unpack it, and give a file of it."),
        ("a.xls", "ends in .xls. Save it as .xlsx."),
        ("a.npy", "ends in .npy, one array. Save numpy.savez('rows.npz', X=X, y=y)."),
        (
            "a.SAV",
            "ends in .sav, a file of SPSS. Convert it in Python with pandas.read_spss('a.SAV').to_parquet("
            "'rows.parquet') (which needs pyreadstat).",
        ),
        ("a.por", "ends in .por, a file of SPSS. In SPSS, save it as CSV or as a file of Stata (.dta)."),
        (
            "a.RData",
            "ends in .rdata, a file of R. In R, write the rows with write.csv(rows, 'rows.csv', row.names=FALSE).",
        ),
        ("a.mat", "ends in .mat, a file of MATLAB. In MATLAB, write the rows with writetable(rows, 'rows.csv')."),
        (
            "a.h5",
            "ends in .h5, an HDF5 file. Convert it in Python with pandas.read_hdf('a.h5').to_parquet('rows.parquet') "
            "(which needs tables).",
        ),
        (
            "a.orc",
            "ends in .orc, an ORC file. Convert it in Python with pandas.read_orc('a.orc').to_parquet('rows.parquet').",
        ),
        (
            "a.html",
            "ends in .html, a page of the web. Convert it in Python with pandas.read_html('a.html')[0].to_parquet("
            "'rows.parquet').",
        ),
    ],
)
def test_other_files_are_refused_with_what_to_do(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert refused(tmp_path / name) == message


def test_labels_of_stata_are_texts_where_all_values_have_one(tmp_path: Path) -> None:
    frame = pd.DataFrame({"town": [1, 2, 1], "age": [23, 45, 98], "name": ["a", "", "ä"], "dose": [0.5, np.nan, 2]})
    labels: Any = {"town": {1: "York", 2: "Bath"}, "age": {98: "98 or more"}}
    frame.assign(day=pd.Timestamp("2024-01-31")).to_stata(
        tmp_path / "a.dta", write_index=False, version=118, value_labels=labels, convert_dates={"day": "td"}
    )
    found = files.read(str(tmp_path / "a.dta"))
    assert found["town"].tolist() == ["York", "Bath", "York"]
    assert found["age"].tolist() == [23, 45, 98]
    assert [None if pd.isna(name) else name for name in found["name"]] == ["a", None, "ä"]
    assert found["day"].tolist() == [pd.Timestamp("2024-01-31")] * 3


def test_transport_files_of_sas_are_read() -> None:
    found = files.read(str(FILES / "houses.xpt"))
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == {"size": "float64", "town": "str"}
    assert found["size"].tolist()[:2] == [40.5, -0.125]
    assert np.isnan(found["size"][2])
    assert [None if pd.isna(town) else town for town in found["town"]] == ["York", None, "Köln"]
    stream = streams.read(FILES / "houses.xpt")
    assert next(stream.of(10)).to_pydict()["town"] == ["York", None, "Köln"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.dta", b"x" * 1000, "it is no file of Stata, or of a version that pandas does not read. Fix the file."),
        ("a.xpt", b"x" * 1000, "Header record is not an XPORT file"),
        ("a.sas7bdat", b"x" * 1000, "magic number mismatch (not a SAS file?)"),
        (
            "b.xpt",
            b"HEADER RECORD*******LIBV8   HEADER RECORD!!!!!!!",
            "it is of version 8 of this format; write it as version 5, or convert it in Python with "
            "pyreadstat.read_xport",
        ),
    ],
)
def test_damaged_files_of_statistics_programs_are_refused(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path / name).startswith(f"cannot be read: {reason}")


def test_any_damage_of_a_stata_file_is_refused_or_read(tmp_path: Path) -> None:
    file, chance = tmp_path / "a.dta", np.random.default_rng(0)
    BASE.to_stata(file, write_index=False, version=118)
    whole = file.read_bytes()
    for number in range(60):
        damaged = np.frombuffer(whole, np.uint8)[: int(chance.integers(len(whole))) if number % 2 else None].copy()
        damaged[chance.integers(len(damaged), size=10)] = chance.integers(256, size=10)
        file.write_bytes(damaged.tobytes())
        try:
            files.read(str(file))
        except RequestError as error:
            assert "cannot be read: " in str(error)  # noqa: PT017 - other errors fail the test


def test_numpys_files_are_read_without_objects(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, X=np.arange(12, dtype=">i4").reshape(2, 3, 2), y=np.array([["a"], ["b"]]), weight=[1.0, 2.0])
    found = files.read(str(file))
    assert list(found) == [*(f"x{number}" for number in range(6)), "y", "weight"]
    np.testing.assert_array_equal(found.iloc[:, :6], np.arange(12).reshape(2, 6))
    assert found["y"].tolist() == ["a", "b"]
    for arrays, reason in (
        ({"X": np.array([[object()]])}, "its array X holds objects, which are a pickle and never read"),
        ({"a": [1]}, "it has the arrays a and no X"),
        ({"X": np.zeros(3)}, "its array X has the shape (3,), and (rows, columns) is needed"),
        ({"X": np.zeros((3, 2)), "y": [1]}, "its array y has the shape (1,), and X has 3 rows"),
        ({"X": np.zeros((1, 1)), "x0": [1]}, "its array x0 has the name of a column of X"),
        ({"X": np.zeros((1, 1), complex)}, "its array X holds values of the type complex128; use numbers or texts"),
    ):
        np.savez(file, **arrays)
        assert refused(file) == f"cannot be read: {reason}. Fix the file."
    file.write_bytes(b"x")
    assert refused(file).startswith("cannot be read: ")


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([{"a": 1}, {"a": None}], {"a": "float64"}),
        ([{"a": 2**60}, {}], {"a": "object"}),  # float64 would round it
        ([{"a": "007"}, {"a": "12"}], {"a": "str"}),
        ([{"a": True}, {"a": False}], {"a": "bool"}),
        ([{"a": None}], {"a": "float64"}),
    ],
)
def test_json_keeps_its_types(tmp_path: Path, rows: list[dict[str, Any]], wanted: dict[str, str]) -> None:
    (tmp_path / "a.json").write_text(json.dumps(rows))
    found = files.read(str(tmp_path / "a.json"))
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == wanted
    assert [None if pd.isna(value) else value for value in found["a"]] == [row.get("a") for row in rows]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.feather", "a.xlsx", "a.sqlite", "a.parquet"])
def test_a_file_that_is_no_such_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind, and longer than sixteen bytes")
    message = refused(tmp_path / name)
    assert message.endswith(("Fix the file.", "is no SQLite file. Give a file of rows."))


def test_an_empty_table_is_refused_in_each_format(tmp_path: Path) -> None:
    empty = BASE.iloc[:0]
    for ending in ("csv.gz", "parquet", "feather", "sqlite", "xlsx", "json"):
        file = tmp_path / f"empty.{ending}"
        WRITERS[ending](empty, file)
        assert refused(file) in (
            "has a header and no rows. Add rows.",
            "returns no rows. Change data.query.",
        ), ending


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = excel(tmp_path / "a.xlsx", a=[["a"], [1]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)  # as Python marks a module that is not there
    assert refused(file) == (
        "is an Excel file, which needs openpyxl. Type pip install 'nn-lifecycle[excel]', or save the sheet as CSV."
    )
    with pytest.raises(
        RequestError, match=r"^output=\S+ is an Excel file, .* Type pip install 'nn-lifecycle\[excel\]', or"
    ):
        by_writer(BASE, tmp_path / "out.xlsx")


def test_a_field_of_another_format_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    BASE.to_csv(file, index=False)
    with pytest.raises(RequestError, match=rf"^data\.sheet=a is for Excel files, and {file} is none\. Leave it out\.$"):
        files.read(str(file), SourceFields(sheet="a"))
    with pytest.raises(RequestError, match=r"^data\.query=a is for databases, and \S+ is none\. Leave it out\.$"):
        files.read(str(file), SourceFields(query="a"))


def test_each_written_format_is_read_as_predictions_are_written(tmp_path: Path) -> None:
    for name, about in names.TABLE.items():
        if about.is_written and name != names.TSV:
            file = tmp_path / f"a{about.endings[0]}"
            by_writer(BASE, file)
            pd.testing.assert_frame_equal(files.read(str(file)), BASE)


def test_a_text_that_looks_like_a_formula_stays_a_text_in_excel(tmp_path: Path) -> None:
    frame = pd.DataFrame({"=a": ["=1+2", "#REF!", "x\x00y"]})
    by_writer(frame, tmp_path / "a.xlsx")
    assert files.read(str(tmp_path / "a.xlsx")).to_dict("list") == {
        "=a": ["=1+2", "#REF!", "x\N{REPLACEMENT CHARACTER}y"]
    }


@pytest.mark.parametrize(
    ("name", "form", "stem"),
    [
        ("a.csv", "csv", "a"),
        ("A.CSV.GZ", "csv", "A"),
        ("a.tar", None, "a"),
        ("https://me:pw@host/x/b.parquet?token=c.d", "parquet", "b"),
        ("s3://bucket/part-*.ndjson.zst", "jsonl", "part-*"),
    ],
)
def test_the_format_is_the_last_ending_that_is_no_compression(name: str, form: str | None, stem: str) -> None:
    assert names.format_of(names.name_in(name)) == form
    assert names.stem_of(name) == stem


def test_what_a_killed_process_has_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names_of = {process: f"{scratch_files._PREFIX}{process}-x" for process in (ended.pid, os.getppid())}
    for name in (*names_of.values(), "another-1-x"):
        (tmp_path / name).mkdir()
    scratch_files._remove_left_over()
    assert {folder.name for folder in tmp_path.iterdir()} == {names_of[os.getppid()], "another-1-x"}
