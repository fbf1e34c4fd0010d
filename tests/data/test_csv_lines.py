"""The error of a CSV file with a ragged line has the number of the line, however the file is read."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lifecycle.data.formats import csv_lines, readers
from lifecycle.data.kinds.table import Table
from lifecycle.data.large import read as read_module
from lifecycle.data.load import load
from lifecycle.data.sources import files
from lifecycle.errors import RequestError

CELLS = st.sampled_from(["1", "2.5", "", "x", "two\nlines", "three\n\nlines", 'a "quote"', "a, comma", "é"])
ROWS = st.lists(st.tuples(CELLS, CELLS), max_size=60)


def written(rows: list[Any], blank_lines: bool, ending: str) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=ending)
    for row in rows:
        writer.writerow([*row, "z"])  # the last cell is the target's, which is never missing
        text.write(ending * blank_lines)
    return text.getvalue()


def whole(file: Path) -> None:
    files.read(str(file))


def large(file: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "LARGE", 0)
        patch.setattr(read_module, "FEWEST_BLOCK_BYTES", 100)
        patch.setattr(read_module, "MOST_BLOCK_BYTES", 100)
        load(Table(path=str(file), target="c"), "mine", "table", 0)


def streamed(file: Path) -> None:
    list(readers.read(file).of(10))


def piped(file: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
        list(readers.read("-").of(10))


@pytest.mark.parametrize("read", [whole, large, streamed, piped])
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([("two\nlines", "1")], [], ["9"], False, "\r\n")
@example([], [("1", "2")], ["1", "2", "3", "4"], True, "\n")
@given(ROWS, ROWS, st.lists(st.sampled_from(["1", "two\nlines"]), min_size=1, max_size=5), st.booleans(), st.just("\n"))
@pytest.mark.fault(25)
def test_a_ragged_line_is_named_by_its_number(
    tmp_path: Path,
    read: Callable[[Path], None],
    before: list[Any],
    after: list[Any],
    ragged: list[str],
    blank_lines: bool,
    ending: str,
) -> None:
    ragged = ragged if len(ragged) != 3 else ragged[:2]
    head = ending.join(["a,b,c", ""]) + written(before, blank_lines, ending)
    bad = ",".join(f'"{cell}"' for cell in ragged)
    file = tmp_path / "a.csv"
    file.write_bytes(f"{head}{bad}{ending}{written(after, blank_lines, ending)}".encode())
    line = head.count("\n") + 1
    with pytest.raises(RequestError) as caught:
        read(file)
    cells = f"{len(ragged)} cell{'s' * (len(ragged) != 1)}"
    assert f"cannot be read: line {line} has {cells}, and the header has 3 (" in str(caught.value)
    assert len(str(caught.value).replace(str(file), "")) < 400


def test_a_long_line_is_shown_in_part(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n" + "x" * 5000 + "\n")
    with pytest.raises(RequestError, match=r"line 3 has 1 cell, and the header has 2 \(x{60}\.\.\.\)\. Fix the"):
        files.read(str(tmp_path / "a.csv"))


@given(st.lists(st.tuples(st.sampled_from(["1", "two\nlines"]), st.sampled_from(["2", "b\n\nb"])), max_size=40))
def test_a_line_is_counted_after_the_start_of_a_stream_is_gone(before: list[Any]) -> None:
    head = "a,b\n" + "".join(f'"{one}","{two}"\n' for one, two in before)
    tail = csv_lines.Tail(most=24)
    content = f"{head}1,2,3\n".encode()
    for start in range(0, len(content), 7):
        tail.add(content[start : start + 7])
    found = csv_lines.explained(ValueError("Expected 2 columns, got 3: 1,2,3"), *tail.rows())
    assert str(found) == f"line {head.count(chr(10)) + 1} has 3 cells, and the header has 2 (1,2,3)"


def test_another_error_stays_what_it_is() -> None:
    error = ValueError("Empty CSV file")
    assert csv_lines.explained(error, ["a,b\n"]) is error
    assert re.match("Expected", str(csv_lines.explained(ValueError("Expected 2 columns, got 3"), ["a,b\n", "1,2\n"])))
