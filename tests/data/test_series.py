"""Series: windows in order of time, each with the value that follows it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.data.columns.kinds import column_kinds, describe
from lifecycle.data.kinds.series import Series
from lifecycle.data.load import load
from lifecycle.data.sources.downloads import folder
from lifecycle.errors import RequestError
from tests.conftest import Command, artifacts
from tests.rows import SeriesRows, held_out, load_rows


def plugin(values: Any, **fields: Any) -> SeriesRows:
    fields = {"window": 5, "season": None, "difference": 0, **fields}  # nothing is to be found
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
    data = load_rows(plugin(np.arange(30), window=4))
    assert data.spec.input_shape == (4, 1)
    assert data.train.inputs.shape[1:] == (4, 1)
    assert (data.spec.task, data.spec.feature_names, data.spec.num_outputs) == ("regression", ("y",), 1)


def test_the_past_trains_and_the_end_tests() -> None:
    data = load_rows(plugin(np.arange(25), window=5))
    assert data.val is not None
    assert data.train.rows.tolist() == list(range(5, 17))
    assert data.val.rows.tolist() == list(range(17, 21))
    assert data.test.rows.tolist() == list(range(21, 25))


def test_the_split_has_nothing_to_do_with_the_seed() -> None:
    assert (
        load_rows(plugin(np.arange(25)), 1).test.rows.tolist() == load_rows(plugin(np.arange(25)), 2).test.rows.tolist()
    )


def test_windows_are_standardised_by_the_values_of_the_training_windows() -> None:
    values = np.random.default_rng(0).normal(100, 20, 30)
    data = load_rows(plugin(values, window=3))
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
    before = load_rows(plugin(values, window=window))
    others = held_out(before)
    changed = values.copy()
    changed[others] = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=len(others), max_size=len(others)))
    after = load_rows(plugin(changed, window=window))
    np.testing.assert_array_equal(before.train.inputs.numpy(), after.train.inputs.numpy())
    np.testing.assert_array_equal(before.train.targets.numpy(), after.train.targets.numpy())
    assert before.preprocessing.target_scale == after.preprocessing.target_scale


def test_only_the_target_is_needed_for_a_prediction() -> None:
    rows = pd.DataFrame({"when": range(9), "y": range(9)})
    assert SeriesRows(frame=rows).columns(rows) == ["y"]


def test_a_series_no_longer_than_its_window_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("y\n" + "1\n" * 5)
    with pytest.raises(
        RequestError,
        match=r"^data\.window=5 needs 6 rows or more, got 5\. Give more rows, or train with a shorter window\.$",
    ):
        load(Series(path=str(file), target="y"), "a", "series", seed=0)
    assert len(Series(path=str(file), target="y", window=2).read()) == 5


@pytest.mark.parametrize("rows", [3, 5])
def test_new_rows_no_longer_than_the_window_are_refused(rows: int) -> None:
    series = plugin(np.arange(rows), window=5)
    with pytest.raises(RequestError, match=r"data\.window=5 needs 6 rows or more, got \d"):
        series.samples(series.frame)


def test_text_in_a_series_is_refused_with_a_cure_that_a_series_has() -> None:
    series = SeriesRows(frame=pd.DataFrame({"y": list("abcdefgh")}))
    with pytest.raises(RequestError, match=r"^data\.target=y holds text \(could not convert string.*'a'\)") as caught:
        series.samples(series.frame)
    assert "data.task" not in str(caught.value)


def test_a_value_that_is_missing_is_refused_with_its_row() -> None:
    series = plugin([1, 2, np.nan, 4, 5, 6, 7])
    with pytest.raises(RequestError, match=r"^data\.target=y is nan in row 2\. Fix or remove the row\.$"):
        series.samples(series.frame)


REFUSED = [
    ({"window": 0}, "window must be 1 or more, got 0. The default is auto."),
    ({"path": ""}, "path must be given, got nothing. Add for instance data.path=houses.csv."),
    ({"target": ""}, "target must be given, got nothing. Add for instance data.target=price."),
    ({"test_size": 1.5}, "test_size must be a share below 1 or a whole number of samples, got 1.5."),
    ({"season": 1}, "season must be 2 or more, got 1. The default is auto."),
    ({"difference": -1}, "difference must be 0 or more, got -1. The default is auto."),
    ({"scaling": "std"}, "scaling must be one of standard, minmax, none, got std."),
    ({"time": "y"}, "time must be a column other than the target, got 'y'. Leave it out for none."),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_a_field_out_of_range_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        Series(**{"path": "a.csv", "target": "y", **values})


def monthly(values: Any, **fields: Any) -> SeriesRows:
    """Return a series with a column of months, from 1960-01."""
    fields = {"window": 5, "season": None, "difference": 0, **fields}
    months = pd.date_range("1960-01-01", periods=len(values), freq="MS").strftime("%Y-%m")
    frame = pd.DataFrame({"month": months, "y": np.asarray(values, dtype=float)})
    return SeriesRows(frame=frame, time="month", **fields)


def test_rows_are_put_in_order_of_time_and_keep_their_number_in_the_source() -> None:
    series = monthly([10, 11, 13, 16, 20], window=2)
    wanted = series.samples(series.frame)
    series.frame = series.frame.iloc[[3, 0, 4, 1, 2]].reset_index(drop=True)
    samples = series.samples(series.frame)
    np.testing.assert_array_equal(np.asarray(samples.inputs), np.asarray(wanted.inputs))
    assert samples.targets is not None
    assert samples.targets.tolist() == [13, 16, 20]
    assert samples.rows.tolist() == [4, 0, 2]
    assert samples.times is not None
    assert samples.times.tolist() == ["1960-03", "1960-04", "1960-05"]
    assert describe(column_kinds(series, series.frame)) == "from its own past: y; sorted by time: month"
    assert describe(column_kinds(series, monthly(range(5)).frame)) == "from its own past: y; in order of time: month"


def test_a_missing_time_is_refused_with_its_row(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("month,y\n1960-01,1\n,2\n1960-03,3\n")
    with pytest.raises(RequestError, match=r"^data\.time=month has no value in 1 row of .*, the first is row 1\. "):
        Series(path=str(file), target="y", time="month").read()


def test_differences_by_hand() -> None:
    series = plugin([10, 11, 13, 16, 20, 25], window=2, difference=1)
    samples = series.samples(series.frame)
    assert np.asarray(samples.inputs)[:, :, 0].tolist() == [[1, 2], [2, 3], [3, 4]]
    assert samples.targets is not None
    assert samples.base is not None
    assert samples.targets.tolist() == [16, 20, 25]
    assert samples.base.tolist() == [13, 16, 20]
    assert samples.rows.tolist() == [3, 4, 5]


def test_differences_of_a_season_and_naive_forecasts_by_hand() -> None:
    values = [1, 5, 2, 7, 4, 9, 8]
    series = plugin(values, window=1, difference=2, season=4)
    samples = series.samples(series.frame)
    assert samples.rows.tolist() == [3, 4, 5, 6]  # window and difference need three values; the season costs none
    assert np.asarray(samples.inputs)[:, 0, 0].tolist() == [2 - 1, 7 - 5, 4 - 2, 9 - 7]
    assert samples.base is not None
    assert samples.base.tolist() == [5, 2, 7, 4]
    assert samples.naive["last value"].tolist() == [2, 7, 4, 9]
    np.testing.assert_array_equal(samples.naive["value 4 steps before"], [np.nan, 1, 5, 2])


def test_without_a_season_or_difference_there_is_the_last_value_alone() -> None:
    samples = plugin([1, 5, 2], window=1).samples(pd.DataFrame({"y": [1.0, 5.0, 2.0]}))
    assert {name: forecast.tolist() for name, forecast in samples.naive.items()} == {"last value": [1, 5]}
    assert samples.base is None
    assert samples.times is None


@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(1, 4), st.integers(0, 5), st.sampled_from([None, 2, 6]))
def test_no_sample_knows_its_target_or_what_follows(
    data: st.DataObject, window: int, difference: int, season: int | None
) -> None:
    values = np.random.default_rng(window).normal(size=24)
    series = monthly(values, window=window, difference=difference, season=season)
    before = series.samples(series.frame)
    sample = data.draw(st.integers(0, len(before.rows) - 1))
    row = int(before.rows[sample])
    changed = series.frame.copy()
    changed.loc[row:, "y"] = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=24 - row, max_size=24 - row))
    after = series.samples(changed)
    for name, forecast in before.naive.items():
        np.testing.assert_array_equal(forecast[: sample + 1], after.naive[name][: sample + 1])
    np.testing.assert_array_equal(before.inputs[: sample + 1], after.inputs[: sample + 1])
    assert (before.base is None) == (difference == 0)
    if before.base is not None and after.base is not None:
        np.testing.assert_array_equal(before.base[: sample + 1], after.base[: sample + 1])


def test_scales_are_learnt_from_the_differences_of_training_samples() -> None:
    values = np.random.default_rng(0).normal(100, 20, 40)
    data = load_rows(plugin(values, window=3, difference=2))
    steps = values - np.concatenate([[np.nan, np.nan], values[:-2]])
    windows = np.array([steps[row - 3 : row] for row in data.train.rows])
    assert data.test is not None
    by_hand = (np.array([steps[row - 3 : row] for row in data.test.rows]) - windows.mean()) / windows.std()
    np.testing.assert_allclose(data.test.inputs.numpy()[:, :, 0], by_hand, rtol=1e-5, atol=1e-6)
    learnt = steps[data.train.rows]
    np.testing.assert_allclose(data.preprocessing.target_scale, (learnt.mean(), learnt.std()))
    assert data.test.base is not None
    offset, scale = data.preprocessing.target_scale
    restored = data.test.base.numpy() + offset + scale * data.test.targets.numpy()
    np.testing.assert_allclose(restored[:, 0], values[data.test.rows], rtol=1e-5)
    np.testing.assert_array_equal(data.test.labels, values[data.test.rows])


def test_windows_may_be_scaled_from_0_to_1_or_left_as_they_are() -> None:
    values = np.random.default_rng(0).normal(100, 20, 30)
    data = load_rows(plugin(values, window=3, scaling="minmax"))
    windows = np.array([values[row - 3 : row] for row in data.train.rows])
    np.testing.assert_allclose(
        data.train.inputs.numpy()[:, :, 0],
        (windows - windows.min()) / (windows.max() - windows.min()),
        rtol=1e-5,
        atol=1e-6,
    )
    raw = load_rows(plugin(values, window=3, scaling="none"))
    np.testing.assert_allclose(raw.train.inputs.numpy()[:, :, 0], windows, rtol=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.data(), st.sampled_from(["standard", "minmax", "none"]), st.integers(0, 3))
def test_what_the_future_holds_moves_no_statistic_of_differences_either(
    data: st.DataObject, scaling: str, difference: int
) -> None:
    values = np.random.default_rng(difference).normal(size=40)
    before = load_rows(monthly(values, window=2, difference=difference, scaling=scaling, season=4))
    others = held_out(before)
    changed = values.copy()
    changed[others] = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=len(others), max_size=len(others)))
    after = load_rows(monthly(changed, window=2, difference=difference, scaling=scaling, season=4))
    np.testing.assert_array_equal(before.train.inputs.numpy(), after.train.inputs.numpy())
    np.testing.assert_array_equal(before.train.targets.numpy(), after.train.targets.numpy())
    assert before.preprocessing.target_scale == after.preprocessing.target_scale
    learnt = (before.preprocessing.inputs, after.preprocessing.inputs)
    for name in ("mean_", "scale_", "data_min_", "data_max_"):
        one, other = (getattr(transformer, name, None) for transformer in learnt)
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"window": 2, "difference": 3}, "data.window=2 and data.difference=3 need 6 rows or more, got 5. Give more"),
    ],
)
def test_too_few_rows_for_a_difference_or_a_season_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}"):
        load_rows(plugin(np.arange(5), **fields))


WORDS = [
    *("data=series", "data.path=a.csv", "data.target=y", "data.time=month", "data.window=3", "data.difference=1"),
    *("data.season=4", "data.test_size=6", "trainer.max_epochs=3"),
]


def test_a_run_on_differences_predicts_in_the_users_units_and_on_raw_rows_too(
    job: Command, runs: Any, tmp_path: Path
) -> None:
    import lifecycle
    from lifecycle.predict import saved_model

    values = 1000 + np.cumsum(np.random.default_rng(0).normal(5, 3, 40))
    frame = monthly(values).frame
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert job("--version").code == 0  # the working folder is ready
    result = lifecycle.run([*WORDS, "verbose=0", "tracking.figures=false"])
    predictions = result.predictions
    assert predictions["row"].tolist() == list(range(34, 40))
    assert predictions["time"].tolist() == frame["month"].tolist()[34:]
    np.testing.assert_allclose(predictions["actual"], values[34:])
    assert (predictions["predicted"] - values[33:39]).abs().max() < 60  # near the value before, far from a difference
    # The finished model on raw rows: the network's output, its scale and the value before, by hand.
    raw = frame.iloc[30:]
    shuffled = raw.sample(frac=1, random_state=1)
    found = result.model.predict(shuffled)["predicted"].to_numpy()[-6:]
    np.testing.assert_allclose(found, predictions["predicted"], rtol=1e-6)
    without_times = result.model.predict(raw[["y"]])["predicted"].to_numpy()[-6:]
    np.testing.assert_allclose(without_times, predictions["predicted"], rtol=1e-6)
    (run,) = runs()
    table = pd.read_csv(artifacts(run) / "predictions.csv")
    assert list(table) == ["row", "time", "actual", "predicted"]
    signature = yaml.safe_load(next((tmp_path / "mlruns").rglob("MLmodel")).read_text())["signature"]
    assert [column["name"] for column in json.loads(signature["outputs"])] == ["predicted"]
    model = next((tmp_path / "mlruns").rglob("lifecycle.json")).parent
    np.testing.assert_allclose(saved_model.load(model).predict(raw)["predicted"].to_numpy()[-6:], found)


CAR_SALES = folder() / "monthly-car-sales.csv"


@pytest.mark.skipif(not CAR_SALES.is_file(), reason="LIFECYCLE_CACHE has no monthly-car-sales.csv")
def test_the_sales_of_the_year_before_miss_the_last_years_car_sales_by_1960() -> None:
    from lifecycle.cli.commands.data import job_of

    plugin = job_of(["data=car_sales"]).data
    data = load(plugin, "car_sales", "series", 0)
    assert data.test is not None
    assert data.test.times is not None
    assert data.test.times.tolist() == [f"1968-{month:02}" for month in range(1, 13)]
    missed = {name: np.abs(forecast - data.test.labels).mean() for name, forecast in data.test.naive.items()}
    sales = pd.read_csv(CAR_SALES)["Sales"].to_numpy()
    assert missed["value 12 steps before"] == np.abs(sales[-12:] - sales[-24:-12]).mean()
    assert round(missed["value 12 steps before"], -1) == 1960


def test_a_season_costs_no_samples_and_is_unknown_at_first() -> None:
    values = np.arange(20.0) ** 2
    series = plugin(values, window=5, season=12)
    samples = series.samples(series.frame)
    assert samples.rows.tolist() == list(range(5, 20))
    seasonal = samples.naive["value 12 steps before"]
    assert np.isnan(seasonal[:7]).all()
    assert seasonal[7:].tolist() == values[:8].tolist()
    long = plugin(values, window=5, season=30)
    assert np.isnan(long.samples(long.frame).naive["value 30 steps before"]).all()


@pytest.mark.parametrize(
    ("season", "names"), [(16, ["value 16 steps before", "last value"]), (18, ["last value"]), (40, ["last value"])]
)
def test_a_season_that_some_scored_rows_lack_is_no_baseline(season: int, names: list[str]) -> None:
    from lifecycle.compile.output_units import Units
    from lifecycle.evaluate.baselines import baselines

    data = load_rows(plugin(np.arange(20.0), window=5, season=season))
    assert data.scored.rows.tolist() == [17, 18, 19]
    found = [dummy.name for dummy in baselines(data, Units("regression", *data.preprocessing.target_scale))]
    assert found == [*names, "mean", "median"]


def test_a_saved_model_and_mlflows_need_a_window_and_no_season_and_put_rows_in_order_of_time(
    job: Command, runs: Any, tmp_path: Path
) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    from lifecycle.predict import saved_model

    frame = monthly(100 + np.random.default_rng(0).normal(size=40).cumsum()).frame
    frame.to_csv(tmp_path / "a.csv", index=False)
    arguments = [
        "data=series",
        "data.path=a.csv",
        "data.target=y",
        "data.time=month",
        "data.season=12",
        "data.window=5",
        "data.difference=0",
    ]
    assert job(*arguments, "trainer.max_epochs=1", "tracking.figures=false").err == ""
    trained = saved_model.load(next(tmp_path.rglob("lifecycle.json")).parent)
    assert len(trained.predict(frame[["y"]].iloc[:6])) == 1
    sentence = r"data\.window=5 needs 6 rows or more, got 5\. Give more rows, or train with a shorter window\."
    with pytest.raises(RequestError, match=f"^{sentence}$"):
        trained.predict(frame[["y"]].iloc[:5])
    (run,) = runs()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
    in_order, mixed = trained.predict(frame), frame.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(trained.predict(mixed), in_order)
    pd.testing.assert_frame_equal(model.predict(mixed), in_order)
    assert not np.allclose(trained.predict(mixed[["y"]]), in_order)  # without times, order is that of the rows
    assert len(model.predict(frame[["y"]])) == len(in_order)
    with pytest.raises(MlflowException, match=r"data\.time=month has steps of different lengths: "):
        model.predict(frame.drop(index=9))
