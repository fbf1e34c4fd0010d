"""The target column: its checks, and the task that its values determine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.contract import Target
from lifecycle.data.columns.targets import MOST_CLASSES, as_labels, as_numbers, check_columns, classes, infer_task
from lifecycle.data.preprocessing import Preprocessing, clean_targets, learn_target
from lifecycle.errors import RequestError

TASKS: list[tuple[list[Any], str]] = [
    (["a", "b"], "classification"),
    ([True, False], "classification"),
    ([0, 1, 1], "classification"),
    ([0.0, 1.0, 2.0], "classification"),
    ([0.5, 1.0], "regression"),
    (list(range(MOST_CLASSES)), "classification"),
    (list(range(MOST_CLASSES + 1)), "regression"),
    ([-1, 1], "classification"),
]


@pytest.mark.parametrize(("values", "task"), TASKS)
def test_the_task_follows_from_the_targets_values(values: list[Any], task: str) -> None:
    assert infer_task(pd.Series(values)) == task


def test_a_categorical_column_is_a_classification() -> None:
    assert infer_task(pd.Series([1, 2, 1], dtype="category")) == "classification"


def test_an_infinite_value_is_no_class() -> None:
    # BUG: inf equals its own rounding, so [1, 2, inf] is taken for three classes, one of them "inf".
    assert infer_task(pd.Series([1.0, 2.0, np.inf])) == "regression"


@given(st.lists(st.floats(-1e30, 1e30), min_size=1))
def test_numbers_pass_as_they_are(values: list[float]) -> None:
    assert as_numbers(np.array(values), "y").tolist() == values


@pytest.mark.parametrize(("value", "number"), [(np.inf, "inf"), (-np.inf, "-inf"), (2e30, r"2e\+30")])
def test_a_target_that_is_too_large_is_refused_with_its_row(value: float, number: str) -> None:
    with pytest.raises(
        RequestError,
        match=rf"^data\.target=price is {number} in row 2 and in 1 other row, too large to learn from\. Fix or remove",
    ):
        as_numbers(np.array([1.0, 2.0, value, value]), "price")


def test_text_where_numbers_are_needed_is_refused() -> None:
    with pytest.raises(
        RequestError,
        match=r"^data\.target=price holds text \(could not convert string to float: 'dear'\), and values are "
        r"to be predicted\. Name a column of numbers\.$",
    ):
        as_numbers(np.array([1.0, "dear"], dtype=object), "price")


def test_labels_are_text() -> None:
    assert as_labels(np.array([1, 2, 1]), "y").tolist() == ["1", "2", "1"]
    assert as_labels(np.array([True, False]), "y").tolist() == ["True", "False"]


def test_one_class_only_is_refused_with_its_name() -> None:
    with pytest.raises(
        RequestError, match=r"^data\.target=y has one class only, yes\. Give rows of two classes or more\.$"
    ):
        as_labels(np.array(["yes", "yes"]), "y")


def test_a_target_that_is_no_column_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        RequestError,
        match=r"^data\.target=prize is no column of a\.csv\. Did you mean price\? Columns: rooms, price\.$",
    ):
        check_columns(pd.DataFrame({"rooms": [1], "price": [2]}), "a.csv", {"target": "prize"})


@pytest.mark.parametrize("missing", [np.nan, None])
def test_targets_without_a_value_are_refused_with_their_number_and_first_row(missing: Any) -> None:
    with pytest.raises(
        RequestError,
        match=r"^data\.target=price has no value in 2 rows of a\.csv, the first is row 1\. "
        r"Fill them or remove these rows\.$",
    ):
        check_columns(pd.DataFrame({"price": [1.0, missing, 3.0, missing]}), "a.csv", {"target": "price"})


def test_a_target_with_all_its_values_passes() -> None:
    check_columns(pd.DataFrame({"price": [1.0]}), "a.csv", {"target": "price"})


def learn(values: Any, train: list[int], target: Target) -> tuple[str, Preprocessing, Any]:
    cleaned = clean_targets(np.asarray(values), target)
    task, encoder = learn_target(cleaned, np.array(train), target)
    return task, Preprocessing(None, encoder), cleaned


def test_two_classes_are_binary_and_coded_in_sorted_order() -> None:
    task, learnt, cleaned = learn(["yes", "no", "yes"], [0, 1], Target("y", "classification"))
    assert (task, learnt.class_names) == ("binary", ("no", "yes"))
    assert learnt.encode(cleaned).tolist() == [1, 0, 1]
    assert learnt.encode(cleaned).dtype == np.int64
    assert learnt.target_scale == (0.0, 1.0)


def test_three_classes_are_multiclass_and_all_have_a_name() -> None:
    task, learnt, cleaned = learn(["b", "a", "c"], [0, 1], Target("y", "classification"))
    assert (task, learnt.class_names) == ("multiclass", ("a", "b", "c"))
    assert learnt.encode(cleaned).tolist() == [1, 0, 2]


def test_a_regressions_targets_are_standardised_by_the_training_rows() -> None:
    values = [1.0, 3.0, 100.0]
    task, learnt, cleaned = learn(values, [0, 1], Target("y", "regression"))
    assert (task, learnt.class_names) == ("regression", ())
    assert learnt.target_scale == (2.0, 1.0)  # mean and deviation of 1 and 3
    assert learnt.encode(cleaned).tolist() == [-1.0, 1.0, 98.0]
    assert learnt.encode(cleaned).dtype == np.float32


def test_the_targets_of_a_regression_may_stay_unscaled() -> None:
    _, learnt, cleaned = learn([1.0, 3.0, 100.0], [0, 1], Target("y", "regression", scaled=False))
    assert learnt.target_scale == (0.0, 1.0)
    assert learnt.encode(cleaned).tolist() == [1.0, 3.0, 100.0]


@given(st.lists(st.integers(-(10**6), 10**6).map(lambda number: number / 100), min_size=3, max_size=20))
def test_offset_and_scale_undo_the_encoding(values: list[float]) -> None:
    _, learnt, cleaned = learn(values, [0, 1], Target("y", "regression"))
    offset, scale = learnt.target_scale
    largest = float(np.abs(learnt.encode(cleaned)).max())
    tolerance = 1e-6 * (abs(offset) + scale * largest) + 1e-6
    np.testing.assert_allclose(offset + scale * learnt.encode(cleaned).astype(float), values, atol=tolerance)


ORDERS: list[tuple[list[str], list[str]]] = [
    (["10", "9", "11"], ["9", "10", "11"]),
    (["10", "-1", "+2"], ["-1", "+2", "10"]),
    (["10.0", "9.0"], ["9.0", "10.0"]),
    (["10", "9", "none"], ["10", "9", "none"]),
    (["1e3", "20"], ["1e3", "20"]),
    (["01", "1", "0"], ["0", "01", "1"]),
    (["b", "a"], ["a", "b"]),
]


@pytest.mark.parametrize(("labels", "wanted"), ORDERS)
def test_classes_that_are_whole_numbers_are_sorted_by_value(labels: list[str], wanted: list[str]) -> None:
    assert classes(np.array(labels)) == wanted


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=30).filter(lambda values: len(set(values)) > 1))
def test_codes_of_whole_numbers_are_their_ranks(values: list[int]) -> None:
    _, learnt, cleaned = learn(values, [0], Target("y", "classification"))
    assert learnt.class_names == tuple(map(str, sorted(set(values))))
    assert learnt.encode(cleaned).tolist() == np.unique(values, return_inverse=True)[1].tolist()
