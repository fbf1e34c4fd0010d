"""Series: windows in order of time, each with the value that follows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.data import dataset
from lifecycle.data.series import Series
from lifecycle.errors import RequestError
from tests.rows import SeriesRows, held_out, load


def plugin(values: Any, **fields: Any) -> SeriesRows:
    return SeriesRows(frame=pd.DataFrame({"y": np.asarray(values, dtype=float)}), **fields)


def test_windows_of_a_short_series_by_hand() -> None:
    series = plugin([10, 11, 13, 16, 20], window=2)
    samples = series.samples(series.frame)
    assert np.asarray(samples.inputs).tolist() == [[[10], [11]], [[11], [13]], [[13], [16]]]
    assert samples.targets is not None
    assert samples.targets.tolist() == [13, 16, 20]
    assert samples.rows.tolist() == [2, 3, 4]


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), st.integers(1, 10))
def test_a_window_is_the_values_before_its_target(values: list[float], window: int) -> None:
    if len(values) <= window:
        return
    series = plugin(values, window=window)
    samples = series.samples(series.frame)
    assert samples.targets is not None
    assert len(samples.rows) == len(values) - window
    for inputs, target, row in zip(np.asarray(samples.inputs), samples.targets, samples.rows, strict=True):
        assert inputs[:, 0].tolist() == values[row - window : row]
        assert target == values[row]


def test_the_shape_of_a_sample_is_steps_by_features() -> None:
    data = load(plugin(np.arange(30), window=4))
    assert data.spec.input_shape == (4, 1)
    assert data.train.inputs.shape[1:] == (4, 1)
    assert (data.spec.task, data.spec.feature_names, data.spec.num_outputs) == ("regression", ("y",), 1)


def test_the_past_trains_and_the_end_tests() -> None:
    data = load(plugin(np.arange(25), window=5))
    assert data.val is not None
    assert data.train.rows.tolist() == list(range(5, 17))
    assert data.val.rows.tolist() == list(range(17, 21))
    assert data.test.rows.tolist() == list(range(21, 25))


def test_the_split_has_nothing_to_do_with_the_seed() -> None:
    assert load(plugin(np.arange(25)), 1).test.rows.tolist() == load(plugin(np.arange(25)), 2).test.rows.tolist()


def test_windows_are_standardised_by_the_values_of_the_training_windows() -> None:
    values = np.random.default_rng(0).normal(100, 20, 30)
    data = load(plugin(values, window=3))
    windows = np.array([values[row - 3 : row] for row in data.train.rows])
    for part in (data.train, data.test):
        by_hand = (np.array([values[row - 3 : row] for row in part.rows]) - windows.mean()) / windows.std()
        np.testing.assert_allclose(part.inputs.numpy()[:, :, 0], by_hand, rtol=1e-5, atol=1e-6)
    targets = values[data.train.rows]
    np.testing.assert_allclose(
        data.test.targets.numpy()[:, 0],
        (values[data.test.rows] - targets.mean()) / targets.std(),
        rtol=1e-5,
        atol=1e-6,
    )


@settings(deadline=None, max_examples=20)
@given(st.data(), st.integers(1, 4))
def test_what_the_future_holds_moves_no_statistic(data: st.DataObject, window: int) -> None:
    values = np.random.default_rng(window).normal(size=30)
    before = load(plugin(values, window=window))
    others = held_out(before)
    changed = values.copy()
    changed[others] = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=len(others), max_size=len(others)))
    after = load(plugin(changed, window=window))
    np.testing.assert_array_equal(before.train.inputs.numpy(), after.train.inputs.numpy())
    np.testing.assert_array_equal(before.train.targets.numpy(), after.train.targets.numpy())
    assert before.preprocessing.target_scale == after.preprocessing.target_scale


def test_only_the_target_is_needed_for_a_prediction() -> None:
    rows = pd.DataFrame({"when": range(9), "y": range(9)})
    assert SeriesRows(frame=rows).columns(rows) == ["y"]


def test_a_series_no_longer_than_its_window_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("y\n" + "1\n" * 5)
    with pytest.raises(
        RequestError,
        match=r"^data\.window=5 needs more than 5 rows, got 5\. Give more rows, or train with a shorter window\.$",
    ):
        dataset.load(Series(path=str(file), target="y"), "a", "series", seed=0)
    assert len(Series(path=str(file), target="y", window=2).read()) == 5


@pytest.mark.parametrize("rows", [3, 5])
def test_new_rows_no_longer_than_the_window_are_told(rows: int) -> None:
    series = plugin(np.arange(rows), window=5)
    with pytest.raises(RequestError, match=r"data\.window=5 .*5 rows, got \d"):
        series.samples(series.frame)


def test_text_in_a_series_is_told_with_a_cure_that_a_series_has() -> None:
    series = SeriesRows(frame=pd.DataFrame({"y": list("abcdefgh")}))
    with pytest.raises(RequestError, match=r"^data\.target=y holds text \(could not convert string.*'a'\)") as caught:
        series.samples(series.frame)
    assert "data.task" not in str(caught.value)


def test_a_value_that_is_missing_is_told_with_its_row() -> None:
    series = plugin([1, 2, np.nan, 4, 5, 6, 7])
    with pytest.raises(RequestError, match=r"^data\.target=y is nan in row 2\. Mend or remove the row\.$"):
        series.samples(series.frame)


REFUSED = [
    ({"window": 0}, "window must be 1 or more, got 0. The default is 5."),
    ({"path": ""}, "path must be given, got nothing. Add for instance data.path=houses.csv."),
    ({"target": ""}, "target must be given, got nothing. Add for instance data.target=price."),
    ({"test_size": 1.5}, "test_size must be a share below 1 or a whole number of samples, got 1.5."),
    ({"season": 1}, "season must be 2 or more, got 1. Leave it out for the default."),
    ({"difference": -1}, "difference must be 0 or more, got -1. The default is 0."),
    ({"scaling": "std"}, "scaling must be one of standard, minmax, none, got std."),
    ({"time": "y"}, "time must be a column other than the target, got 'y'. Leave it out for none."),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_a_field_out_of_range_is_told(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        Series(**{"path": "a.csv", "target": "y", **values})
