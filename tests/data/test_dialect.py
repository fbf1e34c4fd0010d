"""How a text file writes a table is detected from its first bytes, or declared."""

from __future__ import annotations

import csv as text_csv
import io
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.data.formats.text import cells, detection
from lifecycle.data.formats.text.dialect import Declared, Dialect, Known, attach, dialect_of
from lifecycle.data.formats.text.header import is_header
from tests.data import text_files

TEXTS = text_files.texts()


def detected(text: str | bytes, declared: Declared | None = None, known: Known | None = None) -> Dialect:
    return detection.detect(text.encode() if isinstance(text, str) else text, declared, known)


def test_there_are_more_than_forty_files_and_half_have_no_header() -> None:
    assert len(TEXTS) >= 80
    assert sum(header for _, header in TEXTS) * 2 == len(TEXTS)


@pytest.mark.parametrize(("name", "header"), TEXTS, ids=str)
def test_a_header_is_told_from_data(name: str, header: bool) -> None:
    frame, sep = text_files.tables()[name]
    found = detected(TEXTS[name, header])
    assert (found.header, found.sep) == (header, sep)
    assert list(found.names) == ([*map(str, frame.columns)] if header else [f"c{at}" for at in range(frame.shape[1])])


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_header_is_told_from_data_whichever_rows_are_drawn(seed: int) -> None:
    made = text_files._texts(seed) | text_files._numbers(seed)
    wrong = {
        (name, header)
        for name, frame in made.items()
        for header in (True, False)
        if detected(frame.to_csv(index=False, header=header)).header != header
    }
    assert not wrong


NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.floats(-1e6, 1e6).map(lambda value: f"{value:.3f}"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
WORDS = st.text("abcdefgh", min_size=1, max_size=6)
GAPS = st.sampled_from(["", "?", "NA"])


@st.composite
def rows_with_a_number(draw: Any) -> list[list[str]]:
    """Draw rows with a column of numbers, of which the first is present; other columns hold anything."""
    kinds = [NUMBERS, *draw(st.lists(st.sampled_from([NUMBERS, WORDS]), max_size=4))]
    height = draw(st.integers(2, 12))
    columns = [[draw(kind) for _ in range(height)] for kind in kinds]
    for column, kind in zip(columns, kinds, strict=True):
        for row in range(1 if kind is NUMBERS else 0, height):
            if draw(st.integers(0, 5)) == 0:
                column[row] = draw(GAPS)
    places = draw(st.permutations(range(len(columns))))
    return [[columns[place][row] for place in places] for row in range(height)]


@settings(deadline=None, max_examples=300)
@given(rows_with_a_number())
def test_a_row_with_a_number_in_a_column_of_numbers_is_never_a_header(rows: list[list[str]]) -> None:
    assert not is_header(rows)


@settings(deadline=None, max_examples=100)
@given(rows_with_a_number(), st.sampled_from(",;\t|"), st.data())
def test_names_above_numbers_are_a_header_and_every_row_and_column_is_found(
    rows: list[list[str]], sep: str, data: Any
) -> None:
    width = len(rows[0])
    names = data.draw(st.lists(WORDS, min_size=width, max_size=width, unique=True))
    stream = io.StringIO()
    text_csv.writer(stream, delimiter=sep, lineterminator="\n").writerows([names, *rows])
    found = detected(stream.getvalue())
    assert (list(found.names), found.header) == (names, True)
    assert found.skip == 1


def test_rows_of_consecutive_numbers_name_no_columns() -> None:
    assert not is_header([["0", "1", "2", "3", "4", "5"], ["1", "2", "3", "4", "5", "6"]])
    assert not is_header([["0", "1"], ["0.5", "0.7"], ["0.1", "0.2"]])
    assert is_header([["0", "1", "2", "3", "4"], *[["0.5", "7", "2", "3.1", "0"]] * 3])
    assert is_header([["0", "1"], *[["0.5", "0.7"]] * 20])


def test_names_that_repeat_are_no_header_of_texts() -> None:
    assert not is_header([["y", "n", "n"], ["n", "y", "y"]])


CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "spaces": ('a,      b, "c"\n"x, 1", "y",  2\nz,      "y", 30\n', {}, "comma, spaces around cells left out, header"),
    "plain": ("a,b\n1,2\n", {"skip": 1}, ""),
    "a byte order mark": ("\ufeffa,b\n1,2\n", {"names": ("a", "b")}, ""),
    "Windows": ("a;b\r\n1;2\r\n", {"sep": ";", "skip": 1}, "semicolon, header"),
    "white space": ("  1   2.5\n 10  -1\n", {"sep": " ", "header": False}, "white space, no header (columns c0 to c1)"),
    "fixed width with one tab": (
        '18.0   8   130.0\t"chevrolet malibu"\n15.0   8   165.0\t"buick skylark"\n',
        {"sep": " ", "header": False, "names": ("c0", "c1", "c2", "c3")},
        "white space, no header (columns c0 to c3)",
    ),
    "double tabs": (
        "15.26\t14.84\t0.87\t1\n14.88\t14.57\t\t0.88\t1\n14.2\t14.1\t0.9\t2\n",
        {"sep": " ", "header": False},
        "white space, no header (columns c0 to c3)",
    ),
    "names of rows of R": (
        "x y\n1 0.5 0.7\n2 0.1 0.2\n",
        {"sep": " ", "names": ("index", "x", "y"), "index": True},
        "white space, header, the first column has no name: index",
    ),
    "an index of pandas": (
        ",x,y\n0,0.5,a\n1,0.7,b\n",
        {"names": ("index", "x", "y"), "index": True},
        "comma, header, the first column has no name: index",
    ),
    "an index next to a column of this name": (",index\n0,5\n1,7\n", {"names": ("index_", "index")}, "index_"),
    "comments": (
        "# made by hand\n# on Monday\na,b\n1,2\n# the end\n3,4\n",
        {"comment": "#", "skip": 3},
        "comma, lines that begin with # are comments, header",
    ),
    "names in a comment": (
        "# x y z\n1 2 3\n4 5 6\n",
        {"names": ("x", "y", "z"), "above": True, "skip": 1},
        "white space, lines that begin with # are comments, header in a comment",
    ),
    "a name that begins with a comment's sign": ("#id,x\n1,2\n", {"names": ("#id", "x"), "comment": ""}, ""),
    "values that begin with a comment's sign": (
        "#ff0000,1\n#00ff00,2\n#ff0000,4\n",
        {"comment": "", "header": False},
        "comma, no header (columns c0 to c1)",
    ),
    "ARFF": (
        "% iris\n@relation r\n@attribute 'the width' numeric\n@attribute kind {a, b}\n@data\n1.5,a\n2.5,b\n",
        {"names": ("the width", "kind"), "skip": 5},
        "comma, lines that begin with % are comments, header in a comment",
    ),
    "single quotes": (
        "@relation r\n@attribute a {'x y'}\n@attribute b real\n@data\n'x, y',1\n'z',2\n",
        {"quote": "'", "names": ("a", "b")},
        "comma, quotes ', header in a comment",
    ),
    "a title": (
        "Sales of 2020\n\na,b,c\n1,2,3\n4,5,6\n",
        {"titles": 1, "skip": 3, "names": ("a", "b", "c")},
        "comma, 1 line above the header left out, header",
    ),
    "blank lines": ("\n\na,b\n1,2\n", {"names": ("a", "b")}, ""),
    "decimal commas": ("a;b\n1,5;x\n2,25;y\n", {"sep": ";", "decimal": ","}, "semicolon, header, decimal comma"),
    "thousands": (
        'a,b\n"1,200",x\n"22,000",y\n',
        {"thousands": ",", "decimal": "."},
        "comma, header, thousands separated by ,",
    ),
    "thousands and decimal commas": (
        "a;b\n1.200,5;x\n22.000,0;y\n",
        {"thousands": ".", "decimal": ","},
        "semicolon, header, decimal comma, thousands separated by .",
    ),
    "thousands after apostrophes": ("a;b\n1'200.5;x\n22'000.0;y\n", {"thousands": "'"}, "thousands separated by '"),
    "single quotes around names": (
        "'a'\t'b'\n1\t2\n3\t4\n",
        {"quote": "'", "names": ("a", "b")},
        "tab, quotes ', header",
    ),
    "NA among words and numbers": ("a,b\nx,1\nNA,NA\ny,3\n", {"missing": ("NA",)}, "comma, header, NA is missing"),
    "NA among words": ("a,b\nx,1\nNA,2\ny,3\n", {"missing": ()}, ""),
    "a dash among words and numbers": ("a,b\nx,1\n-,-\ny,3\n", {"missing": ("-",)}, "comma, header, - is missing"),
    "a dash among signs": ("a,b\n+,1\n-,-\n+,3\n", {"missing": ()}, ""),
    "N/A among words": ("a,b\nx,1\nN/A,2\ny,3\n", {"missing": ("N/A",)}, "comma, header, N/A is missing"),
    "null among words": ("a,b\nx,1\nnull,2\ny,3\n", {"missing": ("null",)}, "comma, header, null is missing"),
    "quotes as R writes them": (
        '"a" "b"\n"x y" "the \\"z\\""\n"v" "w"\n',
        {"sep": " ", "names": ("a", "b")},
        "white space, header",
    ),
    "a question mark among words": ("a,b\nx,1\n?,2\ny,3\n", {"missing": ("?",)}, "comma, header, ? is missing"),
    "a question mark among signs": ("a,b\n!,1\n?,2\n+,3\n", {"missing": ()}, ""),
    "plus and minus": ("a,b\n+,1\n-,2\n+,3\n", {"missing": ()}, ""),
    "a line break in a cell": ('a,b\n"x\ny",1\n"z",2\n', {"skip": 1}, ""),
    "a line break in a name": ('"a\nb";c\n1;2\n', {"names": ("a\nb", "c"), "skip": 2}, "semicolon, header"),
    "texts with semicolons": ("a,b\nx;y,1\nz;w,2\n", {"sep": ","}, ""),
    "texts with spaces": ("my first,my second\na b,c d\ne f,g h\n", {"sep": ","}, ""),
    "one column of phrases": ("the text\nhello world\ngood bye\n", {"sep": ","}, ""),
    "one column of numbers": ("x\n1\n2\n", {"sep": ",", "names": ("x",)}, ""),
    "a row that is too short": ("a,b,c\n1,2,3\n4,5\n", {"sep": ","}, ""),
    "names alone": ("a,b\n", {"header": True}, ""),
    "numbers alone": ("1,2\n", {"header": False}, "comma, no header (columns c0 to c1)"),
    "nothing": ("", {"names": ()}, ""),
}


@pytest.mark.parametrize(("text", "fields", "words"), CASES.values(), ids=list(CASES))
def test_a_dialect_is_detected_and_said(text: str, fields: dict[str, Any], words: str) -> None:
    found = detected(text)
    assert {name: getattr(found, name) for name in fields} == fields
    assert found.described() == words or (words and words in found.described())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
def test_an_encoding_is_detected(encoding: str) -> None:
    text = "Größe;Straße\n1;Zürich\n2;Genève\n" + ("3;\x81x\n" if encoding == "latin-1" else "")
    found = detected(text.encode(encoding))
    assert found.names == ("Größe", "Straße")
    assert found.encoding == {"utf-8-sig": "utf-8"}.get(encoding, encoding)


@pytest.mark.parametrize("content", [b"\x89PNG", b"a,b\n\x00\x01\xff\n"])
def test_bytes_that_are_no_text_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^it is not UTF-8 \(invalid start byte at byte \d+\)$"):
        detected(content)


def test_a_letter_that_is_cut_at_the_end_of_the_first_bytes_is_no_fault() -> None:
    content = "a,b\nxé".encode()[:-1]
    assert detection.detect(content, is_whole=False).encoding == "utf-8"


def test_what_is_declared_is_not_detected() -> None:
    text = "1;2\n3;4\n"
    assert detected(text, Declared(header=True)).names == ("1", "2")
    assert detected(text, Declared(names=("x", "y"))).names == ("x", "y")
    assert detected(text, Declared(sep=",")).names == ("c0",)
    assert not detected("a,b\n1,2\n", Declared(header=False)).header
    found = detected("a,b\n1,2\n", Declared(names=("x", "y")))
    assert (found.names, found.header, found.skip) == (("x", "y"), True, 1)
    assert detected("a~b\n1~2\n", Declared(sep="~")).names == ("a", "b")
    assert detected("a,b\n1,2\n", Declared(missing=("-999",))).missing == ("-999",)
    assert detected("!x\na,b\n1,2\n", Declared(comment="!")).skip == 2
    assert detected("a,b\n1,2\n", Declared(decimal=",")).decimal == ","
    with pytest.raises(ValueError, match=r"^it has 2 columns, and data\.names names 3$"):
        detected(text, Declared(names=("x", "y", "z")))


def test_declared_marks_are_added_to_those_that_are_detected_unless_an_empty_text_is_one() -> None:
    text = "a,b\nx,1\nNA,NA\nnull,3\n"
    assert detected(text).missing == ("NA", "null")
    assert detected(text, Declared(missing=("",))).missing == ("",)
    assert detected(text, Declared(missing=("",))).described() == "comma, header"
    assert detected(text, Declared(missing=("-999",))).missing == ("-999", "NA", "null")


def test_rows_without_a_header_have_the_names_of_the_training_file_by_position() -> None:
    known = Known(names=("id", "a", "b", "y"), target="y", needed=("a", "b"))
    assert detected("7,1,2,0\n8,3,4,1\n", known=known).names == ("id", "a", "b", "y")
    assert detected("7,1,2\n8,3,4\n", known=known).names == ("id", "a", "b")
    assert detected("1,2\n3,4\n", known=known).names == ("a", "b")
    with pytest.raises(
        ValueError, match=r"^it has no header and 5 columns, and the training file has 4, or 3 without y$"
    ):
        detected("1,2,3,4,5\n", known=known)
    assert detected("a,b\n1,2\n", known=known).header
    # Names of the training file decide where types do not.
    texts = Known(names=("colour", "size"), target="size", needed=("colour",))
    assert detected("colour\nred\n", known=texts).header
    nameless = Known(names=("c0", "c1"), target="c1", header=False, needed=("c0",))
    assert detected("red,big\nblue,small\n", known=nameless).names == ("c0", "c1")
    assert detected("red\nblue\n", known=nameless).names == ("c0",)
    assert detected("c1,c0\nred,big\n", known=nameless).names == ("c1", "c0")


def test_marks_stand_for_missing_values_in_several_spellings() -> None:
    assert cells.spellings(["-999"])[:3] == ["-999", "-999.", "-999.0"]
    assert {"-999.000", " -999.0"} <= set(cells.spellings(["-999.0"]))
    assert "1.50" in cells.spellings(["1.5"])
    assert cells.spellings([" x "]) == ["x", " x"]


def test_a_dialect_goes_with_a_frame_and_is_not_copied() -> None:
    found = Dialect(("a",), header=False, kept=False)
    frame = pd.DataFrame({"a": [1]})
    attach(frame, found)
    assert dialect_of(frame.assign(b=2)[["b"]]) is found
    assert json.dumps(frame.attrs) == '{"dialect": "comma, no header (column a)"}'
    assert dialect_of(pd.DataFrame()) is None
