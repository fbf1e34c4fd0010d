"""Streams of rows: the cells of any file unchanged, in blocks; files that would have to be changed are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.data.formats import readers, stream
from lifecycle.data.formats.text.dialect import Declared
from lifecycle.errors import RequestError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and return its path."""

    def write(text: str, name: str = "a.csv", encoding: str = "utf-8") -> Path:
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return write


def rows_of(file: Path, size: int = 2) -> list[dict[str, list[object]]]:
    return [table.to_pydict() for table in readers.read(file).of(size)]


def refused(read: Callable[[], object]) -> str:
    with pytest.raises(RequestError) as caught:
        read()
    return str(caught.value)


def test_cells_of_a_csv_file_are_texts_as_they_stand(write: Write) -> None:
    text = '\ufeff\n\ncode,n,"a,b"\n007,,"x\ny"\n8,NA,"""q"""\n9,1.50, z\n'
    assert rows_of(write(text)) == [
        {"code": ["007", "8"], "n": ["", "NA"], "a,b": ["x\ny", '"q"']},
        {"code": ["9"], "n": ["1.50"], "a,b": [" z"]},
    ]


def test_a_cell_may_have_line_ends_where_the_file_is_read_on(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BYTES_AT_ONCE", 64)
    cells = [f"{row}\n" * 5 for row in range(50)]
    text = "a,b\n" + "".join(f'"{cell}",{row}\n' for row, cell in enumerate(cells))
    found = rows_of(write(text), size=7)
    assert [len(block["a"]) for block in found] == [7] * 7 + [1]
    assert [cell for block in found for cell in block["a"]] == cells


def test_columns_of_a_parquet_file_keep_their_types(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1, 2, 3], "x": [0.5, None, 1.5], "word": pd.Categorical(["a", None, "b"])})
    frame.to_parquet(tmp_path / "a.parquet")
    found = rows_of(tmp_path / "a.parquet")
    assert found[0] == {"n": [1, 2], "x": [0.5, None], "word": ["a", None]}
    assert found[1] == {"n": [3], "x": [1.5], "word": ["b"]}


@given(lengths=st.lists(st.integers(0, 9), max_size=8), size=st.integers(1, 12))
def test_all_blocks_but_the_last_have_the_requested_length(lengths: list[int], size: int) -> None:
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    batches = [
        pa.RecordBatch.from_pydict({"n": pa.array(range(start, start + length), pa.int64())})
        for start, length in zip(starts, lengths, strict=True)
    ]
    rows = stream.Stream("input", pa.schema([("n", pa.int64())]), batches)
    if not sum(lengths):
        assert refused(lambda: list(rows.of(size))) == "input has no rows. Give one or more to predict."
        return
    found = [table["n"].to_pylist() for table in rows.of(size)]
    assert [n for block in found for n in block] == list(range(sum(lengths)))
    assert {len(block) for block in found[:-1]} <= {size}


def test_numbers_and_texts_are_what_the_model_says_and_not_what_they_look_like() -> None:
    table = pa.table({"a": ["1", "", "TRUE", "NA", " 2.5"], "b": ["1", "", "true", "NA", "007"]})
    found = stream.typed(table, ["a"], is_text=True)
    assert found.to_pydict() == {"a": [1.0, None, 1.0, None, 2.5], "b": ["1", None, "true", "NA", "007"]}


def test_a_text_among_numbers_is_left_for_the_kind_of_data_to_refuse() -> None:
    found = stream.typed(pa.table({"a": ["1", "many", ""]}), ["a"], is_text=True)
    assert found.to_pydict() == {"a": ["1", "many", None]}


def test_where_no_model_says_it_a_column_is_what_all_its_values_are() -> None:
    table = pa.table({"n": ["1", "NA", "2.5"], "code": ["007", "8", "9"], "word": ["x", "2", ""], "none": ["", "", ""]})
    found = stream.typed(table, None, is_text=True)
    assert found.to_pydict() == {
        "n": [1.0, None, 2.5],
        "code": ["007", "8", "9"],
        "word": ["x", "2", None],
        "none": [None, None, None],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", r"line 3 has 1 cell, and the header has 2 \(3\)"),
        ("a,b\n1,2\n3,4,5\n", r"line 3 has 3 cells, and the header has 2 \(3,4,5\)"),
        ("a,a\n1,2\n", r"it has the column a twice"),
        ("a,\n1,2\n", r"column 2 has no name; an index is left out by to_csv\(index=False\)"),
        ("\n\na,a\n1,2\n", r"it has the column a twice"),
        ("x" * 200_000, r"its first line does not hold names of columns: field larger than field limit \(131072\)"),
    ],
)
def test_a_csv_file_that_does_not_say_what_it_holds_is_refused(write: Write, text: str, message: str) -> None:
    file = write(text)
    assert re.fullmatch(
        rf"input={re.escape(str(file))} cannot be read: {message}\. Fix it\.", refused(lambda: rows_of(file))
    )


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_refused(write: Write, text: str) -> None:
    file = write(text)
    message = refused(lambda: rows_of(file))
    assert message == f"input={file} is empty. Give a line with the names of the columns, and one row or more."


def test_a_fault_far_down_is_refused_when_it_is_reached(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BYTES_AT_ONCE", 64)
    rows = readers.read(write("a,b\n" + "1,2\n" * 200 + "3\n")).of(10)
    assert next(rows)["a"].to_pylist() == ["1"] * 10
    assert "line 202 has 1 cell, and the header has 2 (3)" in refused(lambda: list(rows))


@pytest.mark.parametrize("text", ["é,b\n1,2\n", "a,b\né,2\n"], ids=["header", "cell"])
def test_a_file_that_is_not_utf_8_is_that_of_windows_unless_utf_8_is_declared(write: Write, text: str) -> None:
    file = write(text, encoding="latin-1")
    table = pa.Table.from_batches(readers.read(file).batches)
    assert "é" in [*table.column_names, table[0][0].as_py()]
    message = refused(lambda: list(readers.read(file, declared=Declared(encoding="utf-8")).batches))
    assert re.search(r"cannot be read: .*(UTF-8|UTF8).*\. Fix it\.$", message)


def test_a_parquet_file_that_is_none_is_refused(write: Write) -> None:
    assert re.search(r"cannot be read: .*\. Fix it\.$", refused(lambda: rows_of(write("a\n1\n", name="a.parquet"))))


def test_a_header_alone_is_refused(write: Write) -> None:
    file = write("a,b\n")
    assert refused(lambda: rows_of(file)) == f"input={file} has no rows. Give one or more to predict."


def test_a_missing_file_is_refused_with_the_nearest_next_to_it(write: Write, tmp_path: Path) -> None:
    write("a\n1\n", name="houses.csv")
    assert refused(lambda: readers.read(tmp_path / "house.csv")) == (
        f"input={tmp_path / 'house.csv'} is no file. Did you mean houses.csv? "
        "Give the path of a CSV, Parquet or JSON file."
    )
    message = refused(lambda: readers.read("no/such/a.csv"))
    assert message == "input=no/such/a.csv is no file. Give the path of a CSV, Parquet or JSON file."


@pytest.mark.parametrize(("name", "ending"), [("a.xyz", ".xyz"), ("a", "nothing")])
def test_an_unknown_ending_is_refused(write: Write, name: str, ending: str) -> None:
    file = write("a\n1\n", name=name)
    assert refused(lambda: readers.read(file)) == (
        f"input={file} ends in {ending}. Give a file ending in .csv, .tsv, .txt, .data, .parquet, .feather, .json, "
        ".jsonl, .xlsx, .sqlite, .npz, .dta, .sas7bdat or .xpt; or one of these with .gz, .zip, .bz2, .xz, .zst."
    )


def frames_refused(frames: Iterable[pd.DataFrame]) -> str:
    return refused(lambda: list(stream.from_frames(frames, ["x"]).of(5)))


def test_frames_of_other_columns_or_types_than_the_first_are_refused() -> None:
    first = pd.DataFrame({"x": [1.0], "note": [1]})
    assert frames_refused([first, first.rename(columns={"note": "word"})]) == (
        "input has the columns x, word in frame 1, and x, note in frame 0. Give each frame the same columns."
    )
    message = frames_refused([first, first, first.assign(note=["text"])])
    assert re.fullmatch(
        r"input has other types in frame 2 than in frame 0: .*\. Give each column one type in all frames\.", message
    )
    assert frames_refused([]) == "input has no rows. Give one or more to predict."
    assert frames_refused([first.iloc[:0]]) == "input has no rows. Give one or more to predict."
    message = frames_refused([first.assign(note=[object()])])
    assert re.fullmatch(r"input cannot be read: .*\. Fix it\.", message)


def test_numbers_of_frames_are_float64_whatever_the_first_frame_holds() -> None:
    frames = [pd.DataFrame({"x": [None, None], "y": None}), pd.DataFrame({"x": [1, 2], "y": "a"})]
    rows = stream.from_frames([*frames, pd.DataFrame({"x": [0.5], "y": ["b"]})], ["x"])
    (table,) = rows.of(10)
    assert table.to_pydict() == {"x": [None, None, 1.0, 2.0, 0.5], "y": [None, None, "a", "a", "b"]}
