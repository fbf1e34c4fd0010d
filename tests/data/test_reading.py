"""Text files of many dialects hold the same table for all three readers: a frame, a stream, and blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.data import load as load_module
from lifecycle.data.columns.names import at_position, place
from lifecycle.data.dataset import Dataset
from lifecycle.data.formats import readers, stream
from lifecycle.data.formats.reading import Reading, without_marks
from lifecycle.data.formats.text import cells
from lifecycle.data.formats.text.dialect import dialect_of
from lifecycle.data.kinds.series import Series
from lifecycle.data.kinds.table import Table
from lifecycle.data.sources import files
from lifecycle.errors import RequestError, field_error

ROWS = 60
TOWNS = ["Zürich", "Bern", "La Chaux"]


def base() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    size = rng.uniform(20, 100, ROWS).round(2)
    return pd.DataFrame(
        {
            "size": size,
            "grade": rng.normal(size=ROWS).round(3),
            "rooms": rng.integers(1, 7, ROWS),
            "town": rng.choice(TOWNS, ROWS),
            "price": (40 * size + rng.normal(0, 5, ROWS)).round(2),
        }
    )


BASE = base()
GAPS = BASE.assign(size=BASE["size"].mask(BASE.index % 7 == 3))


def text(frame: pd.DataFrame = BASE, **options: Any) -> str:
    return str(frame.to_csv(index=False, **options))


def with_comments(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(["# sold in 2020\n", "# by Ann\n", *lines[:9], "# unchecked from here\n", *lines[9:]])


def with_spaces(frame: pd.DataFrame, header: bool = True) -> str:
    quoted = frame.assign(town=[f"'{town}'" if " " in town else town for town in frame["town"]])
    return str(quoted.to_string(index=False, header=header)) + "\n"


NAMELESS = ["c0", "c1", "c2", "c3", "c4"]
DIALECTS: dict[str, tuple[str | bytes, pd.DataFrame, str]] = {
    "plain": (text(), BASE, ""),
    "semicolon": (text(sep=";"), BASE, "semicolon, header"),
    "tab": (text(sep="\t"), BASE, "tab, header"),
    "pipe": (text(sep="|"), BASE, "pipe, header"),
    "white space": (with_spaces(BASE), BASE, "white space, header"),
    "white space, no header": (
        with_spaces(BASE, header=False),
        BASE.set_axis(NAMELESS, axis=1),
        "white space, no header (columns c0 to c4)",
    ),
    "no header": (text(header=False), BASE.set_axis(NAMELESS, axis=1), "comma, no header (columns c0 to c4)"),
    "no header, byte order mark": (
        text(header=False).encode("utf-8-sig"),
        BASE.set_axis(NAMELESS, axis=1),
        "comma, no header (columns c0 to c4)",
    ),
    "comments": (with_comments(text()), BASE, "comma, lines that begin with # are comments, header"),
    "a title": (f"Houses\n\n{text()}", BASE, "comma, 1 line above the header left out, header"),
    "cp1252": (text().encode("cp1252"), BASE, "comma, cp1252, header"),
    "UTF-16": (text(sep="\t").encode("utf-16"), BASE, "tab, utf-16, header"),
    "UTF-16 without a mark": (text().encode("utf-16-le"), BASE, "comma, utf-16-le, header"),
    "Windows lines": (text(sep=";").replace("\n", "\r\n"), BASE, "semicolon, header"),
    "question marks": (text(GAPS, na_rep="?"), GAPS, "comma, header, ? is missing"),
    "dashes": (text(GAPS, na_rep="-"), GAPS, "comma, header, - is missing"),
    "points": (text(GAPS, na_rep="."), GAPS, "comma, header, . is missing"),
    "an index": (
        BASE.to_csv(),
        BASE.rename_axis("index").reset_index(),
        "comma, header, the first column has no name: index",
    ),
    "all of it": (
        with_comments(text(GAPS, sep=";", na_rep="?", header=False)).encode("cp1252"),
        GAPS.set_axis(NAMELESS, axis=1),
        "semicolon, cp1252, lines that begin with # are comments, no header (columns c0 to c4), ? is missing",
    ),
}

Load = Callable[..., Dataset]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a file as a frame, or in blocks."""

    def load(file: Path, large: bool, **fields: Any) -> Dataset:
        monkeypatch.setattr(files, "LARGE", 1 if large else 10**9)
        plugin = Table(path=str(file), **{"target": "-1", "task": "regression"} | fields)
        return load_module.load(plugin, "houses", "table", 0)

    return load


def written(folder: Path, content: str | bytes) -> Path:
    file = folder / "houses.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize(("content", "wanted", "words"), DIALECTS.values(), ids=list(DIALECTS))
def test_all_readers_read_the_same_table(
    load: Load, tmp_path: Path, content: str | bytes, wanted: pd.DataFrame, words: str
) -> None:
    file = written(tmp_path, content)
    frame = files.read(str(file))
    pd.testing.assert_frame_equal(frame, wanted, check_dtype=False)
    dialect = dialect_of(frame)
    assert dialect is not None
    assert frame.attrs["dialect"] == dialect.described() == words
    rows = readers.read(file)
    numbers = [name for name in wanted if pd.api.types.is_numeric_dtype(wanted[name])]
    (table,) = rows.of(10**6)
    typed = stream.typed(table, numbers, is_text=True, nulls=cells.spellings(dialect.missing)).to_pandas()
    pd.testing.assert_frame_equal(typed, wanted, check_dtype=False)
    whole, parted = load(file, large=False), load(file, large=True)
    assert whole.reading == parted.reading == (f"houses.csv: {words}" if words else "")
    assert whole.columns == parted.columns == tuple(wanted.columns[:-1])
    assert whole.column_kinds == parted.column_kinds
    assert whole.num_missing == parted.num_missing == int(wanted.isna().to_numpy().sum())
    np.testing.assert_allclose(whole.train.inputs[:], parted.train.inputs[:], atol=1e-4)
    np.testing.assert_allclose(np.asarray(whole.train.labels, float), np.asarray(parted.train.labels, float))


def test_a_plain_file_is_read_as_it_was(tmp_path: Path) -> None:
    """The frame equals that of the parser alone, to the last bit and dtype."""
    file = written(tmp_path, text())
    found = pd.read_csv(file, engine="pyarrow", keep_default_na=False, na_values=[""])
    pd.testing.assert_frame_equal(files.read(str(file)), found, check_exact=True)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text(header=False) + "1,2\n", f"line {ROWS + 1} has 2 cells, and the first row has 5 (1,2)"),
        (text(sep=";") + "1;2\n", f"line {ROWS + 2} has 2 cells, and the header has 5 (1;2)"),
        (with_comments(text()) + "1,2\n", f"line {ROWS + 5} has 2 cells, and the header has 5 (1,2)"),
        (text(header=["a", "a", "b", "c", "d"], sep="|"), "it has the column a twice"),
        (text(header=["a", "", "b", "c", "d"], sep="\t"), "column 2 has no name; an index is left out by to_csv("),
    ],
)
def test_a_fault_is_named_by_its_line_in_any_dialect(
    load: Load, tmp_path: Path, large: bool, content: str, message: str
) -> None:
    file = written(tmp_path, content)
    with pytest.raises(RequestError) as caught:
        load(file, large)
    assert f"cannot be read: {message}" in str(caught.value)
    with pytest.raises(RequestError) as caught:
        list(readers.read(file).of(10**6))
    assert f"cannot be read: {message}" in str(caught.value)


def test_a_declared_mark_is_missing_in_any_column_and_notation(load: Load, tmp_path: Path) -> None:
    frame = BASE.assign(size=BASE["size"].mask(BASE.index == 5, -999), rooms=BASE["rooms"].mask(BASE.index == 6, -999))
    frame = frame.assign(town=frame["town"].mask(frame.index == 7, "unknown"))
    file = written(tmp_path, text(frame))
    wanted = frame.replace({-999: np.nan, "unknown": np.nan})
    for large in (False, True):
        assert load(file, large).num_missing == 0
        data = load(file, large, missing=["-999", "unknown"])
        assert data.num_missing == 3
        assert data.reading == "houses.csv: comma, header, -999, unknown are missing"
    plugin = Table(path=str(file), target="price", missing=["-999", "unknown"])
    pd.testing.assert_frame_equal(plugin.read(), wanted, check_dtype=False)
    frame.to_parquet(tmp_path / "a.parquet")
    plugin = Table(path=str(tmp_path / "a.parquet"), target="price", missing=["-999", "unknown"])
    pd.testing.assert_frame_equal(plugin.read(), wanted, check_dtype=False)


def test_a_number_far_from_all_others_is_reported_with_the_option_that_declares_it(load: Load, tmp_path: Path) -> None:
    file = written(tmp_path, text(BASE.assign(size=BASE["size"].mask(BASE.index % 9 == 5, -999))))
    (note,) = load(file, large=False).notes
    assert "".join(str(getattr(part, "key", part)) for part in note) == (
        "size: -999 occurs 7 times, far from all other values. If it is a mark of missing values, add data.missing"
    )
    # The target is no feature; and values that differ as much as the number does are no reason for doubt.
    assert not load(file, large=False, target="size").notes
    wide = BASE.assign(size=np.where(BASE.index % 9 == 5, 999, BASE["size"] * 100))
    assert not load(written(tmp_path, text(wide)), large=False).notes


def test_a_question_mark_is_missing_among_words_and_a_dash_is_a_word(tmp_path: Path) -> None:
    frame = files.read(str(written(tmp_path, "a,b,c\nx,+,1\n?,-,2\ny,-,3\n")))
    assert frame["a"].isna().tolist() == [False, True, False]
    assert frame["b"].tolist() == ["+", "-", "-"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"header": "maybe"}, "header must be auto, true or false, got maybe. The default is auto."),
        ({"names": ["a", "a"]}, "names must be different names, got a, a. Give one for each column."),
        ({"names": ["a", " "]}, "names must be different names, got a,  . Give one for each column."),
        ({"sep": "ab"}, "sep must be one sign, got 'ab'. Or write one of comma, semicolon, tab, pipe, space,"),
        ({"comment": "//"}, "comment must be one sign, got '//'. Write for instance '#'."),
        ({"decimal": ";"}, "decimal must be point or comma, got ';'. The default is detected."),
        ({"thousands": "x"}, "thousands is no separator of thousands, got 'x'. Write comma, point, space, apostrophe"),
        ({"decimal": "comma", "thousands": ","}, "thousands is the mark of decimals too, got ','. Leave one out."),
        ({"encoding": "utf-9"}, "encoding is not known, got utf-9. Write for instance utf-8, utf-16, cp1252 or lat"),
    ],
)
def test_a_field_that_does_not_fit_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - read below
        Reading(**fields)
    assert str(field_error("data", caught.value)).startswith(f"data.{message}")


def test_fields_are_written_in_words_or_signs() -> None:
    found = Reading(header=True, sep="semicolon", decimal="comma", thousands="apostrophe", encoding="Latin1")  # type: ignore[arg-type]
    declared = found.declared
    assert (declared.header, declared.sep, declared.decimal, declared.thousands) == (True, ";", ",", "'")
    assert declared.encoding == "latin-1"
    assert Reading(sep="\\t").declared.sep == "\t"
    assert Reading(thousands="none").declared.thousands == ""
    assert Reading().declared.header is None


def test_fields_of_text_files_are_refused_for_other_files(tmp_path: Path) -> None:
    BASE.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(RequestError) as caught:
        Table(path=str(tmp_path / "a.parquet"), target="price", sep=";").read()
    assert str(caught.value) == "data.sep=; is for text files, and a.parquet is none. Leave it out."


def test_declared_fields_reach_both_kinds_of_data(tmp_path: Path) -> None:
    file = written(tmp_path, "x~y\n1~2\n3~4\n")
    for kind in (Table, Series):
        frame = kind(path=str(file), target="b", header="true", names=["a", "b"], sep="~").read()
        assert frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_a_column_is_named_by_its_position_unless_it_has_that_name() -> None:
    columns = ["a", "1", "c0", "d"]
    found = {name: at_position(name, columns) for name in ("0", "-1", "c1", "c3", "1", "c0", "d", "9", "-9", "x")}
    assert found == {
        "0": "a",
        "-1": "d",
        "c1": "1",
        "c3": "d",
        "1": "1",
        "c0": "c0",
        "d": "d",
        "9": "9",
        "-9": "-9",
        "x": "x",
    }


@pytest.mark.parametrize("large", [False, True])
def test_positions_in_every_field_that_names_columns(load: Load, tmp_path: Path, large: bool) -> None:
    file = written(tmp_path, text(BASE.assign(count=1), header=False))
    data = load(file, large, target="4", weight="-1", drop=["3"], missing_zeros=["c2"], rename={"0": "area"})
    assert data.columns == ("area", "c1", "c2")
    assert data.spec.target_name == "c4"
    assert data.weight == "c5"
    plugin = Table(path=str(file), target="-1", weight="c5")
    with pytest.raises(ValueError, match="weight"):
        place(plugin, ["c0", "c1", "c2", "c3", "c4", "c5"])
    with pytest.raises(RequestError, match=r"^data\.target=-7 is no column of "):
        load(file, large, target="-7")


def test_rows_of_a_frame_lose_declared_marks() -> None:
    frame = pd.DataFrame({"n": [1, -999, 3], "t": ["a", "?", "-999"], "b": [True, False, True]})
    found = without_marks(frame, ["?", "-999"])
    assert found["n"].isna().tolist() == [False, True, False]
    assert found["t"].isna().tolist() == [False, True, True]
    assert found["b"].tolist() == [True, False, True]
    assert without_marks(frame, []) is frame
