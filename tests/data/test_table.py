"""Tables: numbers are standardised and categories one-hot encoded, fitted to the training rows only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from lifecycle.data.columns.kinds import column_kinds, describe
from lifecycle.data.kinds.table import Table
from lifecycle.errors import RequestError
from tests.rows import TableRows, held_out, labels, load_rows

ROWS = 40


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({**columns, "y": labels(ROWS)})


def part_of(data: Any, name: str) -> np.ndarray[Any, Any]:
    return np.asarray(getattr(data, name).inputs)


def test_numbers_are_standardised_by_mean_and_deviation_of_the_training_rows() -> None:
    values = np.random.default_rng(0).normal(50, 9, (ROWS, 2))
    data = load_rows(TableRows(frame=frame(a=values[:, 0], b=values[:, 1])))
    train = values[data.train.rows]
    for name in ("train", "val", "test"):
        rows = getattr(data, name).rows
        by_hand = (values[rows] - train.mean(axis=0)) / np.sqrt(((train - train.mean(axis=0)) ** 2).mean(axis=0))
        np.testing.assert_allclose(part_of(data, name), by_hand, rtol=1e-5, atol=1e-6)
    assert part_of(data, "train").dtype == np.float32


def test_a_missing_number_becomes_the_median_of_the_training_rows() -> None:
    values = np.arange(ROWS, dtype=float) ** 2
    complete = load_rows(TableRows(frame=frame(a=values)))
    missing = np.concatenate([complete.train.rows[:3], complete.test.rows[:1]])
    gaps = values.copy()
    gaps[missing] = np.nan
    data = load_rows(TableRows(frame=frame(a=gaps)))
    filled = np.where(np.isnan(gaps), np.nanmedian(gaps[data.train.rows]), gaps)
    train = filled[data.train.rows]
    by_hand = (filled[data.test.rows] - train.mean()) / train.std()
    np.testing.assert_allclose(part_of(data, "test")[:, 0], by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("empty", [[np.nan] * ROWS, [None] * ROWS, pd.array([None] * ROWS, dtype="Int64")])
def test_a_column_without_a_value_is_refused(empty: Any) -> None:
    rows = TableRows(frame=frame(a=empty, b=np.arange(ROWS)))
    with pytest.raises(
        RequestError, match=r"^data=mine has no value in column a, in 40 rows\. Add data\.drop=\[a\]\.$"
    ):
        load_rows(rows)
    assert load_rows(TableRows(frame=rows.frame, drop=["a"])).spec.feature_names == ("b",)
    with pytest.raises(RequestError, match=r"has no value in column b, in 40 rows"):  # zeros stand for missing values
        load_rows(TableRows(frame=frame(a=np.arange(ROWS), b=np.zeros(ROWS)), missing_zeros=["b"]))


def test_columns_without_a_value_are_all_in_the_option_in_the_order_of_the_file() -> None:
    empty = {f"c{place}": [np.nan] * ROWS for place in range(6)}
    with pytest.raises(
        RequestError,
        match=r"no value in columns c0, c1, c2, c3 and 2 more, in 40 rows\. Add data\.drop=\[c0,c1,c2,c3,c4,c5\]\.$",
    ):
        load_rows(TableRows(frame=frame(a=np.arange(ROWS), **empty)))
    many = {f"column{place}": [np.nan] * ROWS for place in range(60)}
    with pytest.raises(RequestError, match=r"Add data\.drop=\[column0,column1,column2,column3,\.\.\.\]\.$"):
        load_rows(TableRows(frame=frame(a=np.arange(ROWS), **many)))


def test_a_column_of_one_value_becomes_zeros() -> None:
    data = load_rows(TableRows(frame=frame(a=np.full(ROWS, 7.0), b=np.arange(ROWS))))
    assert not part_of(data, "test")[:, 0].any()


def test_categories_are_one_hot_in_sorted_order_after_the_numbers() -> None:
    colours = ["red", "blue", "green", "blue"] * 10
    data = load_rows(TableRows(frame=frame(colour=colours, a=np.arange(ROWS))))
    assert data.spec.feature_names == ("a", "colour_blue", "colour_green", "colour_red")
    by_hand = [[colours[row] == name for name in ("blue", "green", "red")] for row in data.test.rows]
    np.testing.assert_array_equal(part_of(data, "test")[:, 1:], np.array(by_hand, dtype=np.float32))


def test_a_missing_category_is_a_category_of_its_own() -> None:
    data = load_rows(TableRows(frame=frame(colour=["red", None] * 20)))
    assert data.spec.feature_names == ("colour_red", "colour_None")
    np.testing.assert_array_equal(part_of(data, "train").sum(axis=1), 1)


def test_a_category_that_no_training_row_has_becomes_zeros() -> None:
    first = load_rows(TableRows(frame=frame(colour=["red", "blue"] * 20)))
    colours = np.array(["red", "blue"] * 20, dtype=object)
    colours[first.test.rows] = "mauve"
    data = load_rows(TableRows(frame=frame(colour=colours)))
    assert data.spec.feature_names == ("colour_blue", "colour_red")
    assert not part_of(data, "test").any()


def test_truth_values_are_numbers() -> None:
    data = load_rows(TableRows(frame=frame(a=[True, False, False, False] * 10)))
    assert data.spec.feature_names == ("a",)
    assert len(np.unique(part_of(data, "train"))) == 2


NUMBERS = st.floats(-1e6, 1e6)
WORDS = st.sampled_from(["red", "blue", "mauve", None])


@settings(deadline=None, max_examples=12)
@given(st.data(), st.integers(0, 1000))
def test_what_the_held_out_rows_hold_moves_no_statistic(data: st.DataObject, seed: int) -> None:
    generator = np.random.default_rng(seed)
    rows = frame(a=generator.normal(size=ROWS), colour=generator.choice(["red", "blue"], ROWS).astype(object))
    rows.loc[::7, "a"] = np.nan
    before = load_rows(TableRows(frame=rows, keep_duplicates_together=False), seed)
    changed = rows.copy()
    others = held_out(before)
    changed.loc[others, "a"] = data.draw(st.lists(NUMBERS, min_size=len(others), max_size=len(others)))
    changed.loc[others, "colour"] = data.draw(st.lists(WORDS, min_size=len(others), max_size=len(others)))
    after = load_rows(TableRows(frame=changed, keep_duplicates_together=False), seed)
    np.testing.assert_array_equal(before.train.rows, after.train.rows)
    np.testing.assert_array_equal(part_of(before, "train"), part_of(after, "train"))
    assert before.spec == after.spec
    scalers = [data.preprocessing.inputs.named_transformers_["numbers"] for data in (before, after)]
    assert scalers[0][0].statistics_.tolist() == scalers[1][0].statistics_.tolist()
    assert scalers[0][1].mean_.tolist() == scalers[1][1].mean_.tolist()
    assert scalers[0][1].scale_.tolist() == scalers[1][1].scale_.tolist()


def test_what_a_training_row_holds_does_move_the_statistics() -> None:
    rows = frame(a=np.arange(ROWS, dtype=float))
    before = load_rows(TableRows(frame=rows))
    rows.loc[before.train.rows[0], "a"] = 1000.0
    assert not np.array_equal(part_of(before, "test"), part_of(load_rows(TableRows(frame=rows)), "test"))


def test_dropped_columns_are_no_features_and_not_required() -> None:
    rows = frame(id=np.arange(ROWS), a=np.arange(ROWS))
    plugin = TableRows(frame=rows, drop=["id"])
    data = load_rows(plugin)
    assert data.spec.feature_names == ("a",)
    assert plugin.columns(rows) == ["a"]
    assert data.columns == ("a",)


def test_rows_without_the_target_are_samples_without_targets() -> None:
    plugin = TableRows(frame=frame(a=np.arange(ROWS)))
    samples = plugin.samples(plugin.frame[["a"]])
    assert samples.targets is None
    assert len(samples.inputs) == ROWS


def test_raw_rows_of_other_types_of_number_are_transformed_alike() -> None:
    plugin = TableRows(
        frame=frame(a=np.arange(ROWS, dtype=float), colour=["1", "2", "x", "2"] * 10), types={"colour": "category"}
    )
    learnt = load_rows(plugin).preprocessing.inputs
    as_float, as_int = (
        plugin.apply(learnt, pd.DataFrame({"a": np.array([1, 2], dtype=kind), "colour": ["1", "x"]}))
        for kind in ("float32", "int8")
    )
    np.testing.assert_array_equal(as_float, as_int)


def test_a_category_that_happens_to_be_all_digits_in_new_rows_is_still_a_category() -> None:
    plugin = TableRows(frame=frame(colour=["1", "2", "x", "2"] * 10), types={"colour": "category"})
    learnt = load_rows(plugin).preprocessing.inputs
    np.testing.assert_array_equal(plugin.apply(learnt, pd.DataFrame({"colour": [1, 2]})), [[1, 0, 0], [0, 1, 0]])


def test_text_among_the_numbers_of_new_rows_is_refused_with_the_column() -> None:
    plugin = TableRows(frame=frame(age=np.arange(ROWS)))
    learnt = load_rows(plugin).preprocessing.inputs
    with pytest.raises(RequestError, match=r"age.*\?"):
        plugin.apply(learnt, pd.DataFrame({"age": ["3", "?"]}))


@pytest.mark.parametrize("value", ["inf", "-inf", "1e400", "1e31"])
def test_a_number_too_large_to_learn_from_is_refused_with_column_and_row(tmp_path: Path, value: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a,y\n" + "".join(f"{value if row == 11 else row},{row % 2}\n" for row in range(ROWS)))
    with pytest.raises(
        RequestError,
        match=rf"^data\.path={re.escape(str(file))} has \S+ in column a, row 11, too large to learn from\. "
        r"Fix it, or add data\.drop=\[a\]\.$",
    ):
        Table(path=str(file), target="y").read()


def test_a_category_and_a_number_of_the_same_feature_name_go_together_or_are_refused() -> None:
    rows = frame(colour=["red", "blue"] * 20, colour_red=np.arange(ROWS))
    try:
        data = load_rows(TableRows(frame=rows))
    except RequestError as error:
        assert "colour_red" in str(error)  # noqa: PT017
    else:
        assert len(set(data.spec.feature_names)) == data.spec.input_shape[0] == 3


REFUSED = [
    ({"path": ""}, "path must be given, got nothing. Add for instance data.path=houses.csv."),
    ({"target": ""}, "target must be given, got nothing. Add for instance data.target=price."),
    (
        {"task": "regresion"},
        "task must be one of classification, multilabel, regression, got regresion. Did you mean regression?",
    ),
    ({"test_size": -2.0}, "test_size must be 0 or more, got -2.0. The default is 0.2."),
    ({"scaling": "min-max"}, "scaling must be one of standard, minmax, none, got min-max. Did you mean minmax?"),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_a_field_out_of_range_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Table(**{"path": "a.csv", "target": "y", **values})


def test_a_target_or_dropped_column_that_is_none_is_refused_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,price\n1,2\n3,4\n")
    ending = rf" is no column of {re.escape(str(file))}\. Did you mean "
    with pytest.raises(RequestError, match=r"^data\.target=prize" + ending + r"price\? Columns: id, price\.$"):
        Table(path=str(file), target="prize").read()
    with pytest.raises(RequestError, match=r"^data\.drop=idd" + ending + r"id\? Columns to drop: id\.$"):
        Table(path=str(file), target="price", drop=["idd"]).read()
    with pytest.raises(RequestError, match=r"^data\.drop=price is the target\. Columns to drop: id\.$"):
        Table(path=str(file), target="price", drop=["price"]).read()


def test_a_table_of_nothing_but_its_target_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,price\n1,2\n3,4\n")
    with pytest.raises(
        RequestError,
        match=rf"^data\.path={re.escape(str(file))} has no column other than price to learn from\. Add features\.$",
    ):
        Table(path=str(file), target="price", drop=["id"]).read()


def test_the_task_is_the_targets_unless_one_is_named() -> None:
    rows = pd.DataFrame({"x": [1, 2], "y": [0, 1]})
    assert TableRows(frame=rows).describe_target(rows).task == "classification"
    assert TableRows(frame=rows, task="regression").describe_target(rows).task == "regression"
    assert TableRows(frame=rows, scale_target=False).describe_target(rows).scaled is False


def test_numbers_may_be_scaled_from_0_to_1_by_the_training_rows() -> None:
    values = np.random.default_rng(0).normal(50, 9, ROWS)
    data = load_rows(TableRows(frame=frame(a=values), scaling="minmax"))
    train = values[data.train.rows]
    by_hand = (values[data.test.rows] - train.min()) / (train.max() - train.min())
    np.testing.assert_allclose(part_of(data, "test")[:, 0], by_hand, rtol=1e-5, atol=1e-6)
    assert part_of(data, "train").min() == 0
    assert part_of(data, "train").max() == pytest.approx(1)


def test_numbers_may_be_left_as_they_are_and_are_filled_all_the_same() -> None:
    values = np.arange(ROWS, dtype=float) ** 2
    values[::5] = np.nan
    data = load_rows(TableRows(frame=frame(a=values), scaling="none"))
    filled = np.where(np.isnan(values), np.nanmedian(values[data.train.rows]), values)
    np.testing.assert_array_equal(part_of(data, "test")[:, 0], filled[data.test.rows].astype(np.float32))


def test_zeros_that_stand_for_missing_values_are_filled_where_they_are_named() -> None:
    values = np.where(np.arange(ROWS) % 4, np.arange(ROWS) + 10, 0)
    rows = frame(a=values, b=values)
    data = load_rows(TableRows(frame=rows, scaling="none", missing_zeros=["a"]))
    train = values[data.train.rows]
    filled = np.where(values == 0, np.median(train[train != 0]), values)
    np.testing.assert_array_equal(part_of(data, "test")[:, 0], filled[data.test.rows])
    np.testing.assert_array_equal(part_of(data, "test")[:, 1], values[data.test.rows])
    assert data.num_missing == ROWS // 4
    plugin = TableRows(frame=rows, scaling="none", missing_zeros=["a"])
    new = plugin.samples(pd.DataFrame({"a": [0, 3], "b": [0, 3]})).inputs
    assert plugin.apply(data.preprocessing.inputs, new)[:, 0].tolist() == [np.median(train[train != 0]), 3]


def test_missing_zeros_of_a_column_that_does_not_fit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,age,town,y\n1,2,a,0\n3,4,b,1\n")
    for name, what in {
        "agee": rf"is no column of {re.escape(str(file))}\. Did you mean age\?",
        "town": r"holds no numbers\.",
        "y": r"is the target\.",
        "id": r"is dropped by data\.drop\.",
    }.items():
        with pytest.raises(RequestError, match=rf"^data\.missing_zeros={name} {what} Columns of numbers: age\.$"):
            Table(path=str(file), target="y", drop=["id"], missing_zeros=[name]).read()


@settings(deadline=None, max_examples=12)
@given(st.data(), st.sampled_from(["standard", "minmax", "none"]))
def test_what_the_held_out_rows_hold_moves_no_scale_no_fill_and_no_target_scale(
    data: st.DataObject, scaling: str
) -> None:
    generator = np.random.default_rng(len(scaling))
    rows = pd.DataFrame({"a": generator.integers(0, 4, ROWS), "b": generator.normal(size=ROWS)})
    rows["y"] = generator.normal(size=ROWS)
    fields: dict[str, Any] = {"scaling": scaling, "missing_zeros": ["a"]}
    before = load_rows(TableRows(frame=rows, keep_duplicates_together=False, **fields))
    others = held_out(before)
    changed = rows.astype(float)
    for name in rows:
        changed.loc[others, name] = data.draw(st.lists(NUMBERS, min_size=len(others), max_size=len(others)))
    after = load_rows(TableRows(frame=changed, keep_duplicates_together=False, **fields))
    np.testing.assert_array_equal(part_of(before, "train"), part_of(after, "train"))
    np.testing.assert_array_equal(before.train.targets.numpy(), after.train.targets.numpy())
    assert before.preprocessing.target_scale == after.preprocessing.target_scale
    fills, scales = zip(
        *(one.preprocessing.inputs.named_transformers_["numbers"] for one in (before, after)), strict=True
    )
    np.testing.assert_array_equal(fills[0].statistics_, fills[1].statistics_)
    for name in ("mean_", "scale_", "data_min_", "data_max_"):
        np.testing.assert_array_equal(getattr(scales[0], name, None), getattr(scales[1], name, None))


def test_what_each_column_is_taken_for_is_refused() -> None:
    rows = frame(id=np.arange(ROWS), a=np.arange(ROWS), b=[True, False] * 20, town=["x", "y", "z", None] * 10)
    plugin = TableRows(frame=rows, drop=["id"])
    kinds = {"id": "dropped", "a": "number", "b": "number", "town": "category (3 values)", "y": "target"}
    assert column_kinds(plugin, rows) == load_rows(plugin).column_kinds == kinds
    assert describe(kinds) == "2 numbers, 1 category: town (3 values); dropped: id"
    assert describe({**kinds, "street": "category (9 values)"}) == (
        "2 numbers, 2 categories: town (3 values), street (9 values); dropped: id"
    )
    assert describe({f"n{number}": "dropped" for number in range(11)}) == (
        "dropped: n0, n1, n2, n3, n4, n5, n6, n7 and 3 more"
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from(["float64", "float32", "int64", "bool", "uint8"]))
@settings(deadline=None)
def test_columns_of_numbers_are_prepared_as_scikit_learn_does_bit_by_bit(seed: int, dtype: str) -> None:
    draws = np.random.default_rng(seed)
    values = (draws.normal(size=(300, 3)) * 100).astype(dtype)
    inputs = pd.DataFrame(values, columns=["a", "b", "c"])
    table = Table(path="x.csv", target="y")
    found = table.apply(table.learn(inputs), inputs)
    columns = pd.DataFrame({name: inputs[name].astype("float64") for name in inputs})
    assert np.array_equal(found, StandardScaler().fit_transform(columns).astype(np.float32))


def test_an_infinite_number_is_refused_by_column_and_row() -> None:
    inputs = pd.DataFrame({"a": [1.0, 2.0, np.inf], "b": [np.inf, 1.0, 2.0]}, index=[4, 5, 6])
    message = r"^column a holds numbers, got inf in row 6\. Fix the value\.$"
    with pytest.raises(RequestError, match=message):
        Table(path="x.csv", target="y").learn(inputs)
