"""A value is the same however a frame represents it: features, types, classes and predictions do not depend on it."""

from __future__ import annotations

import datetime
import decimal
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lifecycle.api.model import Model
from lifecycle.data import dataset
from lifecycle.data.columns import rounding
from lifecycle.data.columns.types import plain
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.data.sources import files, in_memory
from lifecycle.errors import DataWarning, RequestError
from lifecycle.sklearn import LifecycleClassifier
from tests.conftest import Command
from tests.rows import TableRows, load_rows

ROWS = 40
ARROW = pd.ArrowDtype
TRUTHS = [bool, "boolean", "bool[pyarrow]", object, "polars"]
WHOLE = [
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "Int8", "Int64", "UInt16"),
    *("int8[pyarrow]", "int64[pyarrow]", "uint32[pyarrow]", object, "polars", pl.Int16, pl.UInt64),
]
FRACTIONS = [
    *("float16", "float32", "float64", "Float32", "Float64", "float[pyarrow]", "double[pyarrow]", "halffloat[pyarrow]"),
    *(ARROW(pa.decimal128(12, 4)), "decimal", "Sparse[float64]", object, "polars", pl.Float32, pl.Decimal(12, 4)),
]
TEXTS = [
    *(
        "str",
        "string[python]",
        "string[pyarrow]",
        "category",
        object,
        ARROW(pa.large_string()),
        ARROW(pa.string_view()),
        "polars",
    ),
    *(ARROW(pa.dictionary(pa.int8(), pa.string())), pl.Categorical),
]
ALL = {"truth": TRUTHS, "whole": WHOLE, "fraction": FRACTIONS, "text": TEXTS}
GAPS = {
    "truth": ["boolean", "bool[pyarrow]", object, "polars"],
    "whole": [dtype for dtype in WHOLE if str(dtype)[:3] not in ("int", "uin") or "pyarrow" in str(dtype)],
    "fraction": FRACTIONS,
    "text": TEXTS,
}
MISSING = [None, np.nan, pd.NA, pd.NaT, decimal.Decimal("nan")]
"""Representations of a missing value among objects."""


def represent(values: list[Any], dtype: Any, missing: int = 0) -> Any:
    """Return values, some of them ``None``, as a series of a type, of pandas' or polars'."""
    if isinstance(dtype, str) and dtype == "polars":
        return pl.Series("", values)
    if not isinstance(dtype, str | ARROW | type) or (isinstance(dtype, type) and issubclass(dtype, pl.DataType)):
        return pl.Series("", values).cast(dtype)
    if dtype is object:
        return pd.Series([MISSING[missing] if value is None else value for value in values], dtype=object)
    if isinstance(dtype, str) and dtype == "decimal":
        found = [None if value is None else decimal.Decimal(value) for value in values]
        return pd.Series(found, dtype=object)
    if isinstance(dtype, str) and dtype.startswith(("float", "Sparse")) and "pyarrow" not in dtype:
        values = [np.nan if value is None else value for value in values]
    if isinstance(dtype, ARROW) and pa.types.is_decimal(dtype.pyarrow_dtype):
        values = [None if value is None else decimal.Decimal(str(value)) for value in values]
    if isinstance(dtype, ARROW):
        kind = dtype.pyarrow_dtype
        array = (
            pa.array(values).dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else pa.array(values, kind)
        )
        return pd.Series(pd.array(array, dtype=dtype))
    return pd.Series(values, dtype=dtype)


def table(columns: dict[str, Any]) -> Any:
    """Return columns as one frame, of polars where all are."""
    if all(isinstance(column, pl.Series) for column in columns.values()):
        return pl.DataFrame(columns)
    return pd.DataFrame(
        {name: column.to_pandas() if isinstance(column, pl.Series) else column for name, column in columns.items()}
    )


def loaded(frame: Any, target: Any) -> dataset.Dataset:
    rows, _ = in_memory.inputs_of(frame)
    name, labels = in_memory.targets_of(target, len(rows), rows.columns)
    return load(Table(path="X", target=name), "X", "table", 0, in_memory.MemoryRows(rows.assign(**{name: labels})))


@st.composite
def values_and_types(draw: st.DrawFn) -> tuple[dict[str, list[Any]], dict[str, Any], dict[str, Any]]:
    """Draw four columns, and a type for each while training and one while predicting."""
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    made: dict[str, list[Any]] = {
        "truth": (generator.random(ROWS) > 0.5).tolist(),
        "whole": generator.integers(0, 100, ROWS).tolist(),
        "fraction": (generator.integers(-60, 60, ROWS) / 8).tolist(),
        "text": generator.choice(["a", "b", "c d"], ROWS).tolist(),
    }
    with_gaps = draw(st.booleans())
    if with_gaps:
        made = {name: [None if generator.random() < 0.3 else one for one in column] for name, column in made.items()}
    choices = GAPS if with_gaps else ALL
    types = [{name: draw(st.sampled_from(choices[name])) for name in made} for _ in range(2)]
    return made, types[0], types[1]


@settings(deadline=None, max_examples=15)
@given(values_and_types(), st.integers(0, len(MISSING) - 1))
def test_features_types_and_split_do_not_depend_on_the_representation(drawn: Any, missing: int) -> None:
    values, one, other = drawn
    y = ["no", "yes"] * (ROWS // 2)
    wanted = loaded(pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in values.items()}), y)
    for types in (one, other):
        found = loaded(table({name: represent(values[name], types[name], missing) for name in values}), y)
        assert found.spec == wanted.spec
        assert found.column_kinds == wanted.column_kinds
        assert found.num_missing == wanted.num_missing
        assert found.preprocessing.gaps == wanted.preprocessing.gaps
        for part in ("train", "val", "test"):
            mine, theirs = getattr(found, part), getattr(wanted, part)
            np.testing.assert_array_equal(mine.inputs.numpy(), theirs.inputs.numpy())
            np.testing.assert_array_equal(mine.rows, theirs.rows)
            np.testing.assert_array_equal(mine.labels, theirs.labels)


@pytest.fixture(scope="module")
def models() -> dict[bool, tuple[Model, pd.DataFrame]]:
    """Return models whose training rows had no gaps, or some in each column; and these rows."""
    found = {}
    for with_gaps in (False, True):
        generator = np.random.default_rng(1)
        frame = pd.DataFrame(
            {
                "truth": generator.random(ROWS) > 0.5,
                "whole": generator.integers(0, 100, ROWS),
                "fraction": generator.integers(-60, 60, ROWS) / 8,
                "text": generator.choice(["a", "b", "c d"], ROWS),
            }
        )
        if with_gaps:
            frame = frame.astype(object)
            frame.iloc[:20] = frame.iloc[:20].mask(generator.random((20, 4)) < 0.4, None)
        model = Model("mlp", hidden=[3])
        model.fit(frame, np.arange(ROWS) % 2, epochs=1, verbose=0)
        found[with_gaps] = model, frame
    return found


@settings(deadline=None, max_examples=40)
@given(values_and_types(), st.integers(0, len(MISSING) - 1))
def test_rows_to_predict_may_be_of_other_types_than_training_rows(models: Any, drawn: Any, missing: int) -> None:
    values, types, _ = drawn
    with_gaps = any(None in column for column in values.values())
    model, _ = models[with_gaps]
    wanted = model.predict_proba(pd.DataFrame({name: pd.Series(one, dtype=object) for name, one in values.items()}))
    rows = table({name: represent(values[name], types[name], missing) for name in values})
    np.testing.assert_array_equal(model.predict_proba(rows), wanted)
    trained = model.trained.predict(rows).filter(regex="^probability_")
    np.testing.assert_array_equal(trained.to_numpy(), wanted)


TARGETS = {
    "truth": (TRUTHS, [True, False], ("False", "True")),
    "whole": (WHOLE, [3, 10], ("3", "10")),
    "text": (TEXTS, ["b", "a"], ("a", "b")),
    "fraction": (FRACTIONS, [0.5, 2.25], None),
}


@pytest.mark.parametrize(("kind", "dtype"), [(kind, dtype) for kind in TARGETS for dtype in TARGETS[kind][0]])
def test_targets_do_not_depend_on_the_representation(kind: str, dtype: Any) -> None:
    _, pair, classes = TARGETS[kind]
    values = [pair[row % 2] for row in range(ROWS)]
    frame = pd.DataFrame({"a": np.arange(ROWS) * 1.0})
    found, wanted = loaded(frame, represent(values, dtype)), loaded(frame, np.array(values))
    assert found.spec == wanted.spec
    assert found.spec.class_names == (classes or ())
    np.testing.assert_array_equal(found.train.rows, wanted.train.rows)
    np.testing.assert_array_equal(found.train.targets.numpy(), wanted.train.targets.numpy())
    assert found.class_values == wanted.class_values


def test_labels_to_evaluate_may_be_of_another_type() -> None:
    frame = pd.DataFrame({"a": np.arange(ROWS) * 1.0})
    y = np.arange(ROWS) % 2
    model = Model("mlp", hidden=[3])
    model.fit(frame, y, epochs=1, verbose=0)
    wanted = model.evaluate(frame, y)
    for other in (y.astype(float), pd.Series(y, dtype="int8[pyarrow]"), pl.Series(y), y.astype(str), [*map(float, y)]):
        assert model.evaluate(frame, other) == wanted
    model.fit(frame, y == 1, epochs=1, verbose=0)
    assert model.evaluate(frame, pl.Series(y == 1)) == model.evaluate(frame, ["true" if one else "false" for one in y])


def test_numbers_that_are_called_categories_are_categories() -> None:
    values = [row % 3 for row in range(ROWS)]
    y = ["no", "yes"] * (ROWS // 2)
    for column in (pd.Series(values, dtype="category"), pd.Series(map(str, values), dtype="str")):
        assert loaded(pd.DataFrame({"a": column}), y).spec.feature_names == ("a_0", "a_1", "a_2")
    assert loaded(pd.DataFrame({"a": pd.Series(values, dtype=object)}), y).spec.feature_names == ("a",)


def test_scikit_learns_estimators_take_frames_of_polars() -> None:
    frame = pd.DataFrame({"a": np.arange(ROWS) / 8, "s": ["x", "y", "x", "z"] * (ROWS // 4)})
    y = np.where(frame["a"] > 2, "hi", "lo")
    wanted = LifecycleClassifier(epochs=2).fit(frame, y)
    found = LifecycleClassifier(epochs=2).fit(pl.from_pandas(frame), pl.Series(y.tolist()))
    assert found.feature_names_in_.tolist() == ["a", "s"]
    np.testing.assert_array_equal(found.predict_proba(pl.from_pandas(frame)), wanted.predict_proba(frame))
    np.testing.assert_array_equal(found.predict_proba(frame), wanted.predict_proba(pa.Table.from_pandas(frame)))


DAY = datetime.date(2020, 1, 1)
COMPLEX = r"^column z holds complex numbers, got \(1\+2j\) in row 0\. Give the real and the imaginary part as two"
REFUSED: dict[str, tuple[Any, str]] = {
    "complex": (1 + 2j, COMPLEX),
    "complex objects": (pd.Series([1 + 2j] * ROWS, dtype=object), COMPLEX),
    "complex64": (np.full(ROWS, 1 + 2j, dtype=np.complex64), COMPLEX),
    "lists": ([[1, 2]] * ROWS, "^X has a list in column z"),
    "lists of Arrow": (pd.Series([[1]] * ROWS, dtype=ARROW(pa.list_(pa.int64()))), "^X has a list in column z"),
    "objects": ([{"a": 1}] * ROWS, "^X has a dict in column z"),
    "bytes": ([b"x"] * ROWS, "^X has a bytes in column z"),
    "intervals": (pd.interval_range(0, ROWS), "^X has a Interval in column z"),
    "truth values and numbers": (
        pd.Series([True, 2] * (ROWS // 2), dtype=object),
        "^X has numbers and truth values in column z, got 2 in row 1 and True in row 0. Use one of the two, or leave",
    ),
    "numbers and a text": (pd.Series([1.5] * (ROWS - 1) + ["x"], dtype=object), "and the text 'x' in row 39"),
    "a number too large": (
        pd.Series([10**400] * ROWS, dtype=object),
        "z has a whole number of 401 digits in row 0, too",
    ),
}


TIMES: dict[str, Any] = {
    "times": pd.Timestamp(DAY),
    "times of Arrow": pd.Series([pd.Timestamp(DAY)] * ROWS, dtype="timestamp[us][pyarrow]"),
    "times with a zone": pd.Timestamp("2020-01-01", tz="Europe/Paris"),
    "objects of times": pd.Series([pd.Timestamp(DAY)] * ROWS, dtype=object),
    "days": pd.Series([DAY] * ROWS, dtype="date32[pyarrow]"),
    "objects of days": pd.Series([DAY] * ROWS, dtype=object),
    "periods": pd.PeriodIndex([DAY] * ROWS, freq="D"),
    "times of day": pd.Series([datetime.time(1)] * ROWS, dtype=object),
    "durations": pd.Timedelta(days=1),
    "durations of Arrow": pd.Series([datetime.timedelta(1)] * ROWS, dtype="duration[us][pyarrow]"),
}


@pytest.mark.parametrize("what", TIMES)
def test_times_of_every_type_are_learnt_from(what: str) -> None:
    frame = pd.DataFrame({"a": np.arange(ROWS)}).assign(z=TIMES[what])
    data = load_rows(TableRows(frame=frame.assign(y=np.arange(ROWS) / 7)))
    assert data.spec.feature_names == (("a", "z") if "durations" in what else ("a", "z_elapsed"))


@pytest.mark.parametrize("what", REFUSED)
def test_values_that_are_no_features_are_refused_by_their_column(what: str) -> None:
    column, message = REFUSED[what]
    frame = pd.DataFrame({"a": np.arange(ROWS)}).assign(z=column)
    with pytest.raises(RequestError, match=message):
        Model("mlp").fit(frame, ["no", "yes"] * (ROWS // 2), epochs=1, verbose=0)


def test_values_of_polars_that_are_no_features_are_refused_by_their_column() -> None:
    frame = pl.DataFrame({"a": np.arange(ROWS)})
    y = ["no", "yes"] * (ROWS // 2)
    for column, message in (
        (pl.struct("a"), "has a dict in column z"),
        (pl.concat_list("a"), "has a list in column z"),
    ):
        with pytest.raises(RequestError, match=message):
            Model("mlp").fit(frame.with_columns(z=column), y, epochs=1, verbose=0)
    with pytest.raises(RequestError, match=r"^X is a LazyFrame, which has no rows yet\. Give X\.collect\(\)\.$"):
        Model("mlp").fit(frame.lazy(), y, epochs=1, verbose=0)


def test_complex_numbers_are_refused_while_predicting_and_as_targets(models: Any) -> None:
    model, frame = models[False]
    with pytest.raises(RequestError, match=r"^column fraction holds complex numbers, got \(1\+0j\) in row 0\."):
        model.predict(frame.assign(fraction=1 + 0j))
    with pytest.raises(RequestError, match=r"^column y holds complex numbers, got 1j in row 0\."):
        Model("mlp").fit(frame, pd.Series([1j] * ROWS, dtype=object), epochs=1, verbose=0)


WIDE = 2**53


def said_of(value: int) -> str:
    return f"w: whole numbers beyond 2^53 are rounded, such as {value} to {int(float(value))}"


@pytest.mark.parametrize("dtype", ["int64", "uint64", "Int64", "int64[pyarrow]", object, "polars", pl.Int64])
@pytest.mark.parametrize("with_gap", [False, True])
def test_whole_numbers_that_are_rounded_are_warned_of(dtype: Any, with_gap: bool) -> None:
    values: list[Any] = [WIDE + 2 * row + (row == 7) for row in range(ROWS)]
    if with_gap and dtype in ("int64", "uint64"):
        pytest.skip("such a column misses no value")
    values = [None, *values[1:]] if with_gap else values
    column = represent(values, dtype)
    frame = pl.DataFrame({"w": column}) if isinstance(column, pl.Series) else pd.DataFrame({"w": column})
    model, y = Model("mlp", hidden=[2]), ["no", "yes"] * (ROWS // 2)
    with pytest.warns(DataWarning, match=f"^{re.escape(said_of(WIDE + 15))}. Leave the column out") as caught:
        model.fit(frame, y, epochs=1, verbose=0)
    assert {Path(one.filename).name for one in caught} == {Path(__file__).name}  # at the line of the caller
    with pytest.warns(DataWarning, match="w: whole numbers"):
        model.predict(frame)


def test_whole_numbers_that_are_exact_are_not_warned_of() -> None:
    exact = [[WIDE, -WIDE, 2**60], [WIDE + 2, 2**62 + 2**11, -(2**63)], [10**22, 2**100, 5], [1.5e300, 2.5, 1e17]]
    for values in exact:
        assert rounding.first_rounded(pd.Series(values, dtype=object)) is None
    for values in exact[:2]:
        assert rounding.first_rounded(np.array(values, dtype=np.int64)) is None


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(WIDE - 3, WIDE + 3), min_size=1, max_size=5))
@example([2**63 - 1])
@example([-(2**63) + 1])
def test_the_first_that_is_rounded_is_found(values: list[int]) -> None:
    wanted = next(((value, int(float(value))) for value in values if int(float(value)) != value), None)
    for dtype in ("int64", "Int64", "int64[pyarrow]", object):
        assert rounding.first_rounded(pd.Series(values, dtype=dtype)) == wanted
    assert rounding.first_rounded(np.array(values, dtype=np.int64)) == wanted


@pytest.mark.parametrize("large", [False, True], ids=["whole", "large"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_with_such_numbers_are_reported(
    job: Command, monkeypatch: pytest.MonkeyPatch, ending: str, large: bool
) -> None:
    monkeypatch.setattr(files, "LARGE", 0 if large else files.LARGE)
    frame = pd.DataFrame({"a": np.arange(ROWS), "w": WIDE + 1 + np.arange(ROWS), "y": np.arange(ROWS) * 2 + WIDE})
    if ending == "csv":
        frame = frame.assign(beyond=[10**25 + row for row in range(ROWS)], mixed=[WIDE + 1, *[0.5] * (ROWS - 1)])
        frame = frame.assign(mixed=frame["mixed"].map(str), exact=1e20)
        frame.loc[0, "mixed"] = str(WIDE + 1)
        frame.to_csv("rows.csv", index=False)
    else:
        frame.to_parquet("rows.parquet")
    ended = job("data=table", f"data.path=rows.{ending}", "data.target=y", "trainer.max_epochs=1", "verbose=1")
    assert ended.code == 0, ended.err
    notes = [line.removeprefix("Audit").strip() for line in ended.out.splitlines() if "beyond 2^53" in line]
    expected = [f"{said_of(WIDE + 1)}. Add data.drop=[w] if it is an identifier"]
    if ending == "csv":
        expected += [
            f"beyond{said_of(10**25)[1:]}. Add data.drop=[beyond] if it is an identifier",
            f"mixed{said_of(WIDE + 1)[1:]}. Add data.drop=[mixed] if it is an identifier",
        ]
    assert sorted(notes) == sorted(expected)  # the targets are even, and exact


def test_a_value_keeps_its_column_type_or_gets_a_plain_one() -> None:
    for dtype in ("int8", "uint64", "float16", "float64", "bool", "str", "datetime64[s]", "timedelta64[s]"):
        column = pd.Series([0, 1]).astype(dtype)
        assert plain(column) is column
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plain(pd.Series([1, None], dtype="Int64")).tolist()[0] == 1.0
