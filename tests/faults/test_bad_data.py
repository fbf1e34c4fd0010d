"""Data that cannot be learnt from: one sentence with the place of the fault, and no run is begun."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.made import runs_in

Rows = list[list[object]]
HEAD = ["x", "y", "z", "label"]


def rows() -> Rows:
    """Return sixty rows; the first line of the file is the header."""
    draw = random.Random(0)
    return [[*(round(draw.gauss(0, 1), 3) for _ in range(3)), draw.choice("ab")] for _ in range(60)]


def write(file: Path, lines: Rows, head: list[str] = HEAD) -> None:
    file.write_text("".join(",".join(map(str, line)) + "\n" for line in [head, *lines]))


def change(at: dict[tuple[int, int], object]) -> Rows:
    """Return the rows with other cells, by row and column."""
    found = rows()
    for (row, column), value in at.items():
        found[row - 1][column] = value
    return found


def longer(file: Path) -> None:
    lines = rows()
    lines[30].append(1)
    write(file, lines)


def shorter(file: Path) -> None:
    lines = rows()
    del lines[30][-1]
    write(file, lines)


def shifted(file: Path) -> None:
    """Write an index that the header does not name: pandas would take it for the index in silence."""
    write(file, [[number, *row] for number, row in enumerate(rows())])


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "longer": (longer, "line 32 has 5 cells, and the header has 4 ("),
    "shorter": (shorter, "line 32 has 3 cells, and the header has 4 ("),
    "shifted": (shifted, "line 2 has 5 cells, and the header has 4 ("),
    "empty": (lambda file: file.write_text("") and None, "it is empty. Give a line with the names of the columns"),
    "header": (lambda file: write(file, []), "has a header and no rows. Add rows."),
    "not text": (lambda file: file.write_bytes(bytes(range(256)) * 20) and None, "cannot be read"),
    "infinity": (
        lambda file: write(file, change({(5, 1): "inf", (9, 1): "-inf"})),
        "has inf in column y, row 4 and in 1 other row, too large to learn from. Fix it, or",
    ),
    "text": (lambda file: write(file, change({(7, 0): "oops"})), "numbers in column x, and the text 'oops' in row 6"),
    "twice": (
        lambda file: write(file, rows(), ["x", "x", "z", "label"]),
        "it has the column x twice. Fix the file, or add",
    ),
    "no label": (
        lambda file: write(file, change({(4, 3): "", (9, 3): ""})),
        "data.target=label has no value in 2 rows of rows.csv, the first is row 3. Fill them or remove these rows",
    ),
    "one class": (lambda file: write(file, [[*row[:3], "a"] for row in rows()]), "data.target=label"),
    "no target": (lambda file: write(file, rows(), ["x", "y", "z", "labels"]), "data.target=label"),
}
KINDS = {
    25: ("longer", "shorter", "shifted"),
    26: ("empty", "header", "not text"),
    27: ("infinity",),
    28: ("no label",),
    29: ("no target", "one class"),
    32: ("text", "twice"),
}
"""The kinds of :data:`REFUSED` by the number of the fault."""


@pytest.mark.fault(25, 26, 27, 28, 29, 32)
@pytest.mark.parametrize(("number", "fault"), [(number, fault) for number, faults in KINDS.items() for fault in faults])
def test_a_file_is_refused_with_the_place_of_its_fault(
    lifecycle: Command, folder: Path, number: int, fault: str
) -> None:
    made, sentence = REFUSED[fault]
    made(folder / "rows.csv")
    ended = lifecycle("data=table", "data.path=rows.csv", "data.target=label", "verbose=0")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("lifecycle: ")
    assert ended.err.count("\n") == 1
    assert sentence in ended.err
    assert runs_in(folder) == []


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("inf", "is inf in row 3 and in 1 other row, too large to learn from. Fix or remove the rows."),
        ("", "has no value in 2 rows"),
    ],
)
def test_a_value_to_predict_that_is_no_number_is_refused(
    lifecycle: Command, tmp_path: Path, value: str, sentence: str
) -> None:
    write(tmp_path / "rows.csv", change({(4, 0): value, (9, 0): value}))
    ended = lifecycle("data=table", "data.path=rows.csv", "data.target=x", "verbose=0")
    assert (ended.code, ended.out) == (2, "")
    assert f"data.target=x {sentence}" in ended.err


@pytest.mark.fault(27, 32)
def test_gaps_are_counted_and_numbers_that_are_rounded_are_named(lifecycle: Command, folder: Path) -> None:
    write(
        folder / "rows.csv",
        [[10**25 + number, "nan" if number in (3, 8) else row[1], *row[2:]] for number, row in enumerate(rows())],
    )
    ended = lifecycle(
        *("data=table", "data.path=rows.csv", "data.target=label", "trainer.max_epochs=1", "tracking.figures=false")
    )
    assert (ended.code, ended.err) == (0, "")
    said = " ".join(ended.out.split())
    assert "table: 60 rows (2 values missing)" in said
    assert "x: whole numbers beyond 2^53 are rounded, such as 10000000000000000000000000 to 1000000000000000090" in said
    assert "Add data.drop=[x]" in said


def outside(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../outside.csv", "x,label\n1,a\n")


def bomb(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", bytes(60_000_000))


def tar(file: Path) -> None:
    with tarfile.open(file, "w:gz") as archive:
        member = tarfile.TarInfo("../outside.csv")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"x\n1\n"))


@pytest.mark.fault(33)
@pytest.mark.parametrize(("name", "make"), [("a.csv.zip", outside), ("a.csv.zip", bomb), ("a.tar.gz", tar)])
def test_an_archive_writes_nothing_elsewhere_and_not_without_end(
    lifecycle: Command, tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    make(place / name)
    before = {file for file in tmp_path.rglob("*") if file.is_file()}
    ended = lifecycle("data=table", f"data.path=a/b/{name}", "data.target=label", "verbose=0")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    after = {file for file in tmp_path.rglob("*") if file.is_file() and "mlruns" not in file.parts}
    assert after == before
