"""Large tables: read in blocks, with the results and errors of a table that is read at once."""

from __future__ import annotations

import datetime
import decimal
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.data import load as load_module
from lifecycle.data.dataset import Dataset
from lifecycle.data.formats.text import detection
from lifecycle.data.kinds.table import Table
from lifecycle.data.large import blocks, codes, read
from lifecycle.data.large import load as load_large_module
from lifecycle.data.large.disk_rows import DiskRows
from lifecycle.data.sources import files
from lifecycle.errors import RequestError
from lifecycle.predict.saved_model import check_preprocessing
from tests.rows import labels

ROWS = 400
TOLERANCE: dict[str, float] = {"rtol": 1e-5, "atol": 2e-6}
"""Of inputs: what single precision holds of them, whose training rows have a deviation of 1."""

ON_DISK = 1e-6
"""A limit of 1,000 bytes."""

Load = Callable[..., Dataset]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a table whole, or as one that is large, in blocks of few rows."""

    def load(path: Path, large: bool, seed: int = 3, **fields: Any) -> Dataset:
        with monkeypatch.context() as patch:
            if large:
                patch.setattr(files, "LARGE", 0)
                patch.setattr(read, "FEWEST_BLOCK_BYTES", 3000)
                patch.setattr(read, "MOST_BLOCK_BYTES", 3000)
                patch.setattr(blocks, "BLOCK_BYTES", 2500)
                patch.setattr(blocks, "ROWS_AT_ONCE", 37)
            return load_module.load(Table(path=str(path), target="y", **fields), "mine", "table", seed)

    return load


def frame() -> pd.DataFrame:
    """Return rows with all that a column may be."""
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "a": generator.normal(5, 2, ROWS).round(4),
            "moment": 1.7e9 + np.arange(ROWS),
            "town": generator.choice(["red", "blue", "NA"], ROWS),
            "count": generator.integers(0, 3, ROWS),
            "known": generator.random(ROWS) < 0.5,
        }
    )
    rows.loc[::7, "a"] = np.nan
    rows.loc[::11, "town"] = None
    return rows


def write(rows: pd.DataFrame, file: Path) -> Path:
    if file.suffix == ".csv":
        rows.to_csv(file, index=False)
    else:
        rows.to_parquet(file, index=False)
    return file


def assert_same(whole: Dataset, parted: Dataset) -> None:
    assert parted.spec == whole.spec
    assert parted.column_kinds == whole.column_kinds
    assert (parted.num_rows, parted.num_missing, parted.columns) == (whole.num_rows, whole.num_missing, whole.columns)
    for name in ("train", "val", "test"):
        one, other = getattr(whole, name), getattr(parted, name)
        np.testing.assert_array_equal(one.rows, other.rows)
        assert one.labels.tolist() == other.labels.tolist()
        torch.testing.assert_close(one.targets, other.targets, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(one.inputs[:], other.inputs[:], **TOLERANCE)
    assert_same_learnt(whole.preprocessing.inputs, parted.preprocessing.inputs)


def assert_same_learnt(one: Any, other: Any) -> None:
    """Compare every fitted attribute of two transformers of columns, and of what is in them."""
    assert one.named_transformers_.keys() == other.named_transformers_.keys()
    for name, first in one.named_transformers_.items():
        second = other.named_transformers_[name]
        if isinstance(first, str):  # "drop", of columns of no step
            assert first == second
            continue
        pairs = [(first, second)] if name == "categories" else list(zip(first, second, strict=True))
        for mine, theirs in pairs:
            fitted = [key for key in vars(mine) if key.endswith("_") and key not in ("indicator_", "_fit_dtype")]
            assert fitted == [key for key in vars(theirs) if key in fitted]
            for key in fitted:
                values, others = getattr(mine, key), getattr(theirs, key)
                if key == "categories_":
                    assert [one.tolist() for one in values] == [one.tolist() for one in others]
                elif key in ("feature_names_in_", "n_samples_seen_", "n_features_in_"):
                    assert np.array_equal(values, others)
                    assert type(values) is type(others)
                elif values is not None and key != "infrequent_categories_":
                    # A mean near 0 keeps the rounding of values near 1, half of float32's 1.2e-7.
                    expected, found = np.asarray(values, float), np.asarray(others, float)
                    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=6e-8)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("scaling", ["standard", "minmax", "none"])
@pytest.mark.parametrize("target", ["value", "yes or no", "0 1 2", "true or false"])
def test_a_large_table_is_what_it_is_when_it_is_read_whole(
    load: Load, tmp_path: Path, ending: str, scaling: str, target: str
) -> None:
    rows = frame()
    hidden = rows["a"].fillna(5) + np.random.default_rng(1).normal(size=ROWS)
    values = {"value": hidden, "yes or no": np.where(hidden > 5, "yes", "no"), "true or false": hidden > 5}
    file = write(rows.assign(y=values.get(target, (hidden > 4).astype(int) + (hidden > 6))), tmp_path / f"a.{ending}")
    fields: dict[str, Any] = {"drop": ["id"], "missing_zeros": ["count"], "scaling": scaling}
    whole = load(file, large=False, **fields)
    in_memory, on_disk = load(file, large=True, **fields), load(file, large=True, memory_gb=ON_DISK, **fields)
    assert isinstance(in_memory.train.inputs, torch.Tensor)
    assert isinstance(on_disk.train.inputs, DiskRows)
    for parted in (in_memory, on_disk):
        assert_same(whole, parted)
        check_preprocessing(parted.preprocessing, "data=mine")
    assert in_memory.digest == on_disk.digest == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("target", ["value", "yes or no"])
def test_a_large_table_has_the_weights_of_one_that_is_read_whole(
    load: Load, tmp_path: Path, ending: str, target: str
) -> None:
    generator = np.random.default_rng(1)
    rows = frame().assign(w=generator.integers(0, 4, ROWS))
    hidden = rows["a"].fillna(5) + generator.normal(size=ROWS)
    values = hidden if target == "value" else np.where(hidden > 5, "yes", "no")
    file = write(rows.assign(y=values), tmp_path / f"a.{ending}")
    whole, parted = (load(file, large=large, drop=["id"], weight="w") for large in (False, True))
    assert_same(whole, parted)
    assert whole.train.weights is not None
    assert parted.train.weights is not None
    assert parted.train.weights.tolist() == whole.train.weights.tolist() == rows["w"][whole.train.rows].tolist()
    assert "w" not in parted.columns
    assert parted.preprocessing.target_scale == pytest.approx(whole.preprocessing.target_scale, rel=1e-9)
    rows.assign(y=values, w=-1).to_csv(tmp_path / "b.csv", index=False)
    for large in (False, True):
        with pytest.raises(RequestError, match=r"^data\.weight=w must be a finite number of 0 or more, got -1"):
            load(tmp_path / "b.csv", large=large, drop=["id"], weight="w")


COLUMNS = st.sampled_from(["normal", "far", "whole", "gaps", "rare", "constant", "word", "word with gaps"])


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(COLUMNS, min_size=1, max_size=5), st.integers(0, 2**32 - 1), st.sampled_from(["csv", "parquet"]))
def test_any_columns_teach_the_same(load: Load, tmp_path: Path, columns: list[str], seed: int, ending: str) -> None:
    generator = np.random.default_rng(seed)
    made: dict[str, Callable[[], Any]] = {
        "normal": lambda: generator.normal(size=ROWS),
        "far": lambda: generator.normal(1e6, 1, ROWS),
        "whole": lambda: generator.integers(-1000, 1000, ROWS),
        "gaps": lambda: np.where(generator.random(ROWS) < 0.3, np.nan, generator.gamma(1, 1, ROWS)),
        "rare": lambda: np.where(np.arange(ROWS) == generator.integers(ROWS), 5.5, np.nan),
        "constant": lambda: np.full(ROWS, 7.1),
        "word": lambda: generator.choice(["a", "b", "1", "NA"], ROWS),
        "word with gaps": lambda: generator.choice(np.array(["x", "y", None], dtype=object), ROWS),
    }
    rows = pd.DataFrame({f"{kind} {place}": made[kind]() for place, kind in enumerate(columns)})
    file = write(rows.assign(y=labels(ROWS)), tmp_path / f"a.{ending}")
    assert_same(load(file, large=False, seed=seed % 7), load(file, large=True, seed=seed % 7))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_without_a_value_and_gaps_in_held_out_rows_only_are_reported(
    load: Load, tmp_path: Path, ending: str
) -> None:
    rows = pd.DataFrame({"a": np.arange(ROWS) + 0.5, "word": ["x", "y"] * (ROWS // 2), "y": labels(ROWS)})
    held_out = load(write(rows, tmp_path / f"a.{ending}"), large=False).test
    assert held_out is not None
    rows.loc[held_out.rows[:3], ["a", "word"]] = None
    file = write(rows, tmp_path / f"a.{ending}")
    message = tuple(
        f"{name}: values are missing in validation or test rows alone; filled as in training" for name in ("a", "word")
    )
    assert load(file, large=False).notes == load(file, large=True).notes == message
    assert load(file, large=True).preprocessing.gaps == {"a", "word"}
    file = write(rows.assign(a=np.nan, b=1), tmp_path / f"a.{ending}")
    assert "has no value in column a, in 400 rows. Add data.drop=[a]." in refused(load, file)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_marks_of_missing_values_are_reported_as_for_a_table_in_memory(load: Load, tmp_path: Path, ending: str) -> None:
    rows = frame()
    rows.loc[[5, 300], "a"] = -999
    rows.loc[[7, 200], "count"] = 9999
    file = write(rows.assign(y=rows["known"].astype(int)), tmp_path / f"a.{ending}")
    notes = load(file, large=True, memory_gb=ON_DISK).notes
    assert notes == load(file, large=False).notes
    assert [note[0].split(",")[0] for note in notes] == ["a: -999 occurs 2 times", "count: 9999 occurs 2 times"]


def test_the_audit_of_some_blocks_knows_what_holds_for_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_large_module, "MOST_BLOCKS", 20)  # of 3 rows each
    rows = pd.DataFrame({"a": np.random.default_rng(0).normal(size=ROWS), "y": labels(ROWS)})
    rows["constant"], rows["number"], rows["code"] = 7, np.arange(ROWS), [f"k{row}" for row in range(ROWS)]
    rows["late"], rows["twice"] = np.arange(ROWS) // 200 % 2 * 1.5, np.arange(ROWS) // 2
    rows["word"] = np.where(np.arange(ROWS) == 200, "b", "a")
    rows["gaps"] = np.where((np.arange(ROWS) > 100) & (np.arange(ROWS) < 300), np.nan, 1.5 * rows["a"])
    rows["note"] = [f"the house number {row} is for sale" for row in range(ROWS)]
    file = write(rows, tmp_path / "a.parquet")
    plugin = Table(path=str(file), target="y", memory_gb=ON_DISK, types={"note": "text"})
    audit = load_module.load(plugin, "mine", "table", 3, audited=True).audit
    assert audit is not None
    assert {one.check: one.columns for one in audit.findings} == {
        "constant": ("constant",), "identifier": ("number", "code"), "missing": ("gaps",),
    }  # fmt: skip
    assert audit.missing == {"gaps": 199 / ROWS}
    assert 0 < audit.rows < ROWS
    assert audit.not_checked == (
        f"copies, identifiers, leaks and drift in more than {audit.rows} of {ROWS} rows", "free text: note",
    )  # fmt: skip


def outcome(load: Load, file: Path, large: bool, **fields: Any) -> Any:
    """Return what a file is refused with, or what its column became."""
    try:
        data = load(file, large, **fields)
    except RequestError as error:
        return str(error)
    return data.column_kinds, data.num_missing, data.spec, data.train.inputs[:].numpy().round(4).tolist()


def late(first: Any, last: Any, count: int = 1) -> list[Any]:
    """Return a column that turns out to be something else in its last rows."""
    values = [first(row) if callable(first) else first for row in range(ROWS - count)]
    return values + [last] * count


LATE = {
    "whole numbers, then one with a fraction": late(lambda row: row % 9, "1.5"),
    "numbers, then NA": late(lambda row: row / 7, "NA", 3),
    "NA, then numbers": ["NA"] * 200 + [f"{row}.5" for row in range(200)],
    "numbers, then a gap": late(lambda row: row / 7, "", 3),
    "gaps, then numbers": [""] * 200 + [f"{row}.5" for row in range(200)],
    "gaps, then words": [""] * 200 + ["ab"[row % 2] for row in range(200)],
    "numbers, then a word": late(lambda row: row / 7, "no"),
    "numbers, then a mark": late(lambda row: row / 8, "?"),
    "numbers, then mostly words": late(lambda row: row % 3, "many", 250),
    "0 or 1, then true": late(lambda row: row % 2, "true", 100),
    "true or false, then 1": late(lambda row: ["true", "false"][row % 2], "1", 100),
    "true or false, then NA": late(lambda row: ["true", "false"][row % 2], "NA", 100),
    "NA, then true or false": late("NA", "true", 100),
    "true or false, then a gap": late(lambda row: ["true", "false"][row % 2], "", 100),
    "numbers, then true": late(lambda row: row % 7, "true", 300),
    "NA alone": ["NA"] * ROWS,
    "NA and gaps": late("", "NA", 9),
    "nothing": [""] * ROWS,
    "codes": late(lambda row: ["007", "12"][row % 2], "13"),
    "days": late("2020-01-01", "2020-01-02", 9),
    "days, then words": late("2020-01-01", "soon", 300),
    "words, then numbers": late(lambda row: "ab"[row % 2], "3", 100),
    "numbers after a space": [f" {row % 5}.5" for row in range(ROWS)],
    "numbers after a space, then NA": late(lambda row: f" {row % 5}.5", "NA", 5),
    "a line break": late(lambda row: '"a\nb"' if row % 2 else "c", '"a ""quoted"" one"', 3),
    "words, then null": late(lambda row: "ab"[row % 2], "null", 9),
    "words, then NA": late(lambda row: "ab"[row % 2], "NA", 9),
    "infinity": late(lambda row: row, "inf"),
    "too large": late(lambda row: row, "1e400"),
    "nan": late(lambda row: row / 7, "nan", 3),
    "texts": [f"text{row}" for row in range(ROWS)],
}


@pytest.mark.parametrize("place", [1, ROWS - 1])
def test_a_mark_among_numbers_is_missing_among_words_too(load: Load, tmp_path: Path, place: int) -> None:
    rows = [f"{'ab'[row % 2]},{row / 7},{row}.5\n" for row in range(ROWS)]
    rows[place] = "NA,NA,1.5\n"
    (tmp_path / "a.csv").write_text("word,size,y\n" + "".join(rows))
    for large in (False, True):
        data = load(tmp_path / "a.csv", large)
        assert data.num_missing == 2
        assert data.reading == "a.csv: comma, header, NA is missing"
        assert data.column_kinds["word"] == "category (2 values)"


@pytest.mark.parametrize("column", LATE.values(), ids=list(LATE))
def test_a_column_is_what_all_of_it_is_however_late_that_shows(load: Load, tmp_path: Path, column: list[Any]) -> None:
    file = tmp_path / "a.csv"
    lines = [f"{row % 11},{value},{['no', 'yes'][row % 2]}" for row, value in enumerate(column)]
    file.write_text("\n".join(["n,x,y", *lines]) + "\n")
    assert outcome(load, file, large=True) == outcome(load, file, large=False)


@pytest.mark.parametrize("column", [*LATE], ids=str)
@pytest.mark.parametrize("task", [None, "regression", "classification"])
def test_a_target_is_what_all_of_it_is(load: Load, tmp_path: Path, column: str, task: str | None) -> None:
    file = tmp_path / "a.csv"
    lines = [f"{row % 11},{value}" for row, value in enumerate(LATE[column])]
    file.write_text("\n".join(["n,y", *lines]) + "\n")
    whole, parted = (outcome(load, file, large, task=task) for large in (False, True))
    if (column, task) == ("days", "regression"):  # pandas makes objects of them before they are refused
        assert parted.replace("could not convert string to float: '2020-01-01'", "") == re.sub(
            r"float\(\) argument .*'datetime.date'", "", whole
        )
    else:
        assert parted == whole


def refused(load: Load, file: Path, **fields: Any) -> str:
    """Return what a large file is refused with, which is what it is refused with when it is read whole."""
    message = outcome(load, file, large=True, **fields)
    assert isinstance(message, str)
    assert message == outcome(load, file, large=False, **fields)
    return message.replace(str(file), "FILE")


def lines(file: Path, rows: list[str], header: str = "n,x,y") -> Path:
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


GOOD = [f"{row % 11},{row / 7:.3f},{['no', 'yes'][row % 2]}" for row in range(ROWS)]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [("1,2", "2 cells, and the header has 3 (1,2)"), ("1,2,no,4", "4 cells, and the header has 3 (1,2,no,4)")],
)
def test_a_row_too_short_or_too_long_is_refused_wherever_it_is(
    load: Load, tmp_path: Path, row: str, sentence: str
) -> None:
    file = lines(tmp_path / "a.csv", [*GOOD, row, *GOOD])
    assert refused(load, file) == f"data.path=FILE cannot be read: line {ROWS + 2} has {sentence}. Fix the file."


@pytest.mark.parametrize("head_bytes", [100, 1 << 20])
def test_bytes_that_are_not_utf_8_are_letters_of_windows(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head_bytes: int
) -> None:
    monkeypatch.setattr(detection, "HEAD_BYTES", head_bytes)  # with few, the letter is found late
    file = tmp_path / "a.csv"
    file.write_bytes(b"n,x,y\n" + b"1,a,no\n2,b,yes\n" * 300 + b"3,\xe9,no\n")
    assert outcome(load, file, large=True) == outcome(load, file, large=False)
    assert load(file, large=True).reading == "a.csv: comma, cp1252, header"
    message = outcome(load, file, large=True, encoding="utf-8")
    assert "not UTF-8" in message or "invalid UTF8" in message


@pytest.mark.parametrize("header", ["n,n,y", "n,,y", "n;x;y"])
def test_a_header_that_a_parser_would_change_is_refused(load: Load, tmp_path: Path, header: str) -> None:
    assert "cannot be read" in refused(load, lines(tmp_path / "a.csv", GOOD, header))


def test_fields_that_name_no_fitting_column_are_refused(load: Load, tmp_path: Path) -> None:
    file = lines(tmp_path / "a.csv", GOOD)
    assert refused(load, file, drop=["m"]).startswith("data.drop=m is no column of FILE.")
    assert refused(load, file, missing_zeros=["y"]).startswith("data.missing_zeros=y is the target.")
    assert refused(load, file, drop=["n", "x"]).startswith("data.path=FILE has no column other than y to learn from")
    other = lines(tmp_path / "b.csv", GOOD, "n,x,z")
    assert refused(load, other).startswith("data.target=y is no column of FILE. Columns: n, x, z.")


def test_a_target_with_gaps_is_refused_with_their_number_and_the_first(load: Load, tmp_path: Path) -> None:
    file = lines(tmp_path / "a.csv", [*GOOD, "1,2,", *GOOD, "1,2,"])
    assert refused(load, file) == (
        f"data.target=y has no value in 2 rows of FILE, the first is row {ROWS}. Fill them or remove these rows, "
        "or add data.missing_target=drop to leave these rows out."
    )


def test_classes_that_cannot_be_in_every_part_are_refused_by_their_names(load: Load, tmp_path: Path) -> None:
    assert f"has the class rare in row {ROWS} alone, and 3 parts" in refused(
        load, lines(tmp_path / "a.csv", [*GOOD, "1,2,rare"]), split="stratified"
    )
    assert refused(load, lines(tmp_path / "b.csv", ["1,2,no"] * ROWS)).startswith(
        "data.target=y has one class only, no"
    )
    last = sorted(GOOD, key=lambda row: row.endswith("yes"))
    message = refused(load, lines(tmp_path / "c.csv", last), test_rows="last")
    assert message.startswith("data.test_rows=last tests on the class yes alone")


def test_too_many_different_texts_are_refused_before_memory_is_full_of_them(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "MOST_TEXTS", 50)
    texts = [f"1,text {row},{['no', 'yes'][row % 2]}" for row in range(ROWS)]
    message = str(outcome(load, lines(tmp_path / "a.csv", texts), large=True))
    assert re.search(
        r"different texts in the first \d+ rows of column x, an identifier or free text rather than categories\. "
        r"Add data\.drop=\[x\], or data\.types=\{x: text\}\.$",
        message,
    )
    numbers = [f"1,{row},{['no', 'yes'][row % 2]}" for row in range(ROWS)]
    message = str(outcome(load, lines(tmp_path / "b.csv", [*numbers, "1,z,no"]), large=True))
    assert message.endswith(
        f"has numbers in column x, and the text 'z' in row {ROWS}. Fix the text, add "
        "data.types={x: category}, or add data.drop=[x]."
    )
    message = str(outcome(load, lines(tmp_path / "d.csv", texts, "n,y,x"), large=True))
    assert message.startswith("data.target=y has more than 100000 different values, which are too many for classes.")
    assert message.endswith("Name another column, or add data.task=regression if these are numbers.")


ODD: dict[str, Any] = {
    "truth values with gaps": lambda: [None if row % 9 == 0 else row % 2 == 0 for row in range(ROWS)],
    "categories that are numbers": lambda: pd.Categorical([f"{row % 3}" for row in range(ROWS)]),
    "categories of whole numbers": lambda: pd.Categorical([row % 3 for row in range(ROWS)]),
    "whole numbers with gaps": lambda: pd.array([None if row % 9 == 0 else row for row in range(ROWS)], dtype="Int64"),
    "texts of numbers": lambda: [f"{row % 3}" for row in range(ROWS)],
    "single precision": lambda: (np.arange(ROWS) / 7).astype(np.float32),
    "bytes": lambda: (np.arange(ROWS) % 200).astype(np.uint8),
    "nothing": lambda: [None] * ROWS,
    "moments": lambda: pd.date_range("2020-01-01", periods=ROWS),
    "days": lambda: [datetime.date(2020, 1, 1 + row % 28) for row in range(ROWS)],
    "durations": lambda: pd.to_timedelta(np.arange(ROWS), unit="s"),
    "decimals": lambda: [decimal.Decimal(row) for row in range(ROWS)],
    "lists": lambda: [[row] for row in range(ROWS)],
    "identifiers": lambda: [f"text {row}" for row in range(ROWS)],
    "infinity": lambda: [float("inf") if row == 300 else row / 2 for row in range(ROWS)],
}


@pytest.mark.parametrize("kind", ODD)
def test_a_column_of_a_parquet_file_is_what_pandas_has(load: Load, tmp_path: Path, kind: str) -> None:
    rows = pd.DataFrame({"n": np.arange(ROWS) % 11, "x": ODD[kind](), "y": labels(ROWS)})
    file = write(rows, tmp_path / "a.parquet")
    assert outcome(load, file, large=True) == outcome(load, file, large=False)


def test_an_index_of_a_parquet_file_is_a_column_if_it_has_a_name(load: Load, tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {"n": np.arange(ROWS) % 11, "y": labels(ROWS)}, index=pd.Index(np.arange(ROWS) * 2, name="place")
    )
    rows.to_parquet(tmp_path / "a.parquet")
    assert_same(load(tmp_path / "a.parquet", large=False), load(tmp_path / "a.parquet", large=True))
    rows.rename_axis(None).to_parquet(tmp_path / "b.parquet")
    assert refused(load, tmp_path / "b.parquet") == (
        "data.path=FILE cannot be read: it has an index without a name. Fix the file."
    )


def test_file_and_memory_limit_determine_what_is_large(tmp_path: Path) -> None:
    parquet = write(pd.DataFrame(np.zeros((1000, 10))).rename(columns=str), tmp_path / "a.parquet")
    assert files.large_file(str(parquet)) is None
    assert files.large_file(str(parquet), 4 * 10_000) is None
    assert files.large_file(str(parquet), 4 * 10_000 - 4) == parquet
    texts = write(pd.DataFrame({"x": [f"{row} " * 80 for row in range(1000)]}), tmp_path / "texts.parquet")
    assert files.large_file(str(texts), 4 * 20_000) == texts  # 300 bytes a row
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(files.LARGE * files.BYTES_A_NUMBER)
        assert files.large_file(str(tmp_path / "a.csv")) is None
        file.truncate((files.LARGE + 1) * files.BYTES_A_NUMBER)
        assert files.large_file(str(tmp_path / "a.csv")) == tmp_path / "a.csv"
    for path in ("sklearn:iris", str(tmp_path / "none.csv")):
        assert files.large_file(path, 1) is None


def test_memory_is_above_nothing() -> None:
    with pytest.raises(ValueError, match=r"^memory_gb must be above 0, got 0\.0\. Leave it out for the default\.$"):
        Table(path="a.csv", target="y", memory_gb=0.0)
