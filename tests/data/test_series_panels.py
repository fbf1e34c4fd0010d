"""Series: gaps, repeated times, groups, other inputs, steps ahead, and forecasts of them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.data.columns.notations import NOTATIONS
from lifecycle.data.kinds.series import Series
from lifecycle.data.series import calendar
from lifecycle.data.sources import files
from lifecycle.errors import RequestError
from tests.rows import SeriesRows, load_rows

AIRLINE = files.read("lifecycle:airline_passengers.csv")
PLAIN: dict[str, Any] = {"window": 2, "season": None, "difference": 0}


def days(number: int, **columns: Any) -> pd.DataFrame:
    dates = pd.date_range("2024-01-01", periods=number).strftime("%Y-%m-%d")
    return pd.DataFrame({"day": dates, "y": np.arange(number, dtype=float), **columns})


def rows(frame: pd.DataFrame, **fields: Any) -> SeriesRows:
    return SeriesRows(time="day", frame=frame, **{**PLAIN, **fields})


NOTED = {
    "01/01/1949": lambda m: f"01/{m.month:02}/{m.year}",
    "Jan-49": lambda m: m.strftime("%b-%y"),
    "January 1949": lambda m: m.strftime("%B %Y"),
    "194901": lambda m: int(m.strftime("%Y%m")),
    "1/31/1949": lambda m: f"{m.month}/28/{m.year}",
    "1949-01-01T00:00:00+01:00": lambda m: m.strftime("%Y-%m-01T00:00:00+01:00"),
    "1 Jan 1949": lambda m: f"1 {m.strftime('%b')} {m.year}",
    "01JAN1949": lambda m: m.strftime("01%b%Y").upper(),
    "1949 Jan": lambda m: m.strftime("%Y %b"),
    "1949-January": lambda m: m.strftime("%Y-%B"),
    "Jan-1-1949": lambda m: m.strftime("%b-1-%Y"),
    "January 01, 1949": lambda m: m.strftime("%B 01, %Y"),
    "1949/Jan/1": lambda m: m.strftime("%Y/%b/1"),
    "Jan '49": lambda m: m.strftime("%b '%y"),
    "1949M01": lambda m: m.strftime("%YM%m"),
    "1949.0, 1949.08333333333": lambda m: round(m.year + (m.month - 1) / 12, 11),
    "1949.083": lambda m: round(m.year + (m.month - 1) / 12, 3),
    "1949.08": lambda m: round(m.year + (m.month - 1) / 12, 2),
    "1949.042": lambda m: round(m.year + (m.month - 0.5) / 12, 3),
    "1949.01, 1949.1": lambda m: float(m.strftime("%Y.%m")),
}


@pytest.mark.parametrize("name", NOTED)
def test_times_in_many_notations_are_read_and_continued_in_the_same_form(name: str) -> None:
    months = pd.date_range("1949-01-01", periods=145, freq="MS")
    written = [NOTED[name](month) for month in months]
    frame = AIRLINE.assign(month=written[:144])
    series = SeriesRows(target="passengers", time="month", frame=frame)
    data = load_rows(series)
    assert data.time_step == {"unit": "month", "size": 1}
    ahead = data.plugin.ahead_of(frame.sample(frac=1, random_state=0), 1, None)
    ahead.add(np.array([1.0]))
    assert ahead.table("predicted")["month"].tolist() == [written[144]]


def test_quarters_and_weeks_are_read_and_continued() -> None:
    quarters = [f"{1949 + at // 4} Q{at % 4 + 1}" for at in range(49)]
    weeks = [
        f"{d.isocalendar().year}-W{d.isocalendar().week:02}" for d in pd.date_range("2001-01-01", periods=61, freq="7D")
    ]
    decimals = [1949 + at / 4 for at in range(49)]
    for written, step in (
        (quarters, {"unit": "month", "size": 3}),
        (decimals, {"unit": "month", "size": 3}),
        (weeks, {"unit": "microsecond", "size": 7 * 86_400_000_000}),
    ):
        frame = pd.DataFrame({"day": written[:-1], "y": np.arange(len(written) - 1.0)})
        series = rows(frame)
        assert series.time_step(frame) == step
        ahead = series.ahead_of(frame, 1, None)
        ahead.add(np.array([0.0]))
        assert ahead.table("predicted")["day"].tolist() == written[-1:]
    assert len({notation.name for notation in NOTATIONS}) == len(NOTATIONS)


def test_a_gap_is_refused_filled_from_before_it_or_never_crossed() -> None:
    frame = days(12).drop(index=[4, 5])
    with pytest.raises(
        RequestError, match=r"Add the rows that are missing, or data\.gaps=fill or data\.gaps=split; or "
    ):
        rows(frame).samples(frame)
    filled = rows(frame, gaps="fill").samples(frame)
    assert filled.rows.tolist() == list(range(2, 10))  # of the ten rows; the filled steps are no targets
    assert filled.inputs[:, :, 0].tolist()[2] == [3.0, 3.0]  # before row 4, the 7th day: twice the last value
    split = rows(frame, gaps="split").samples(frame)
    assert split.targets.tolist() == [2, 3, 8, 9, 10, 11]
    assert split.inputs[:, :, 0].tolist()[2] == [6, 7]


def test_a_missing_value_is_a_gap() -> None:
    frame = days(12)
    frame.loc[5, "y"] = np.nan
    assert rows(frame, gaps="split").samples(frame).targets.tolist() == [2, 3, 4, 8, 9, 10, 11]
    assert rows(frame, gaps="fill").samples(frame).targets.tolist() == [2, 3, 4, 6, 7, 8, 9, 10, 11]
    found = load_rows(rows(frame, gaps="fill")).inferred
    assert found is not None
    assert "1 missing step filled with the last value; they are no targets" in found[1]


@pytest.mark.parametrize(("how", "value"), [("sum", 11.0), ("mean", 5.5), ("first", 1.0)])
def test_rows_of_one_time_are_refused_or_put_together(how: str, value: float) -> None:
    frame = pd.concat([days(6), days(2).assign(y=[0.0, 10.0])], ignore_index=True)
    with pytest.raises(RequestError, match=r"Keep one of them, or add data\.duplicates=sum, mean or first\.$"):
        rows(frame).samples(frame)
    assert rows(frame, duplicates=how).samples(frame).inputs[0, :, 0].tolist() == [0.0, value]


def test_the_step_may_be_named() -> None:
    frame = pd.DataFrame({"day": ["2024-01-01", "2024-01-03", "2024-01-05", "2024-01-09"], "y": [1.0, 2, 3, 4]})
    assert len(rows(frame, gaps="fill", window=1).samples(frame).rows) == 3
    assert rows(frame, gaps="fill", every="day").samples(frame).inputs[0].tolist() == [[1.0], [1.0]]
    with pytest.raises(
        RequestError, match=r"which is no whole number of steps of 4 days after 2024-01-01\. Name the step"
    ):
        rows(frame, gaps="fill", every="4 days").samples(frame)


def shops() -> pd.DataFrame:
    one, other = days(20, shop="A"), days(10, shop="B")
    return pd.concat([one, other.assign(y=1000 + other["y"])], ignore_index=True)


def test_windows_never_cross_groups_which_are_split_each_in_order_of_time() -> None:
    frame = shops()
    with pytest.raises(RequestError, match=r"separates several series in one file: data\.group=shop\.$"):
        rows(frame).samples(frame)
    data = load_rows(rows(frame, group="shop"))
    assert data.val is not None
    assert data.test.about["shop"].tolist() == ["A"] * 4 + ["B"] * 2
    assert data.test.rows.tolist() == [16, 17, 18, 19, 28, 29]
    assert data.val.rows.tolist() == [12, 13, 14, 15, 26, 27]
    values = rows(frame, group="shop").samples(frame).inputs
    assert (np.ptp(values, axis=1) == 1).all()  # no window has values of both
    assert data.inferred == ("Series", "2 series by shop")


def test_each_step_ahead_is_a_sample_and_steps_of_one_row_are_in_one_part() -> None:
    frame = days(12)
    series = rows(frame, horizon=3, difference=1)
    samples = series.samples(frame)
    first = samples.rows == 5
    assert samples.about["step"][first].tolist() == [1, 2, 3]
    assert samples.base[first].tolist() == [4.0, 3.0, 2.0]  # the last known value
    assert samples.naive["last value"][first].tolist() == [4.0, 3.0, 2.0]
    assert samples.inputs[first][:, -1, 1].tolist() == [1.0, 2.0, 3.0]
    data = load_rows(series)
    assert data.val is not None
    assert not set(data.train.rows) & set(data.val.rows)
    assert max(data.train.rows) < min(data.val.rows)
    assert series.one_a_row(samples).rows.tolist() == list(range(3, 12))


def test_other_columns_and_the_calendar_are_inputs() -> None:
    frame = days(10, temp=np.arange(10) * 10.0, price=np.arange(10) * 100.0)
    series = rows(frame, features=["temp"], known=["price"], calendar=["weekday"])
    samples = series.samples(frame)
    assert series.feature_names(None) == ("y", "temp", "price", "weekday sin", "weekday cos")
    target = 5
    window = samples.inputs[samples.rows == target][0]
    assert window[:, 0].tolist() == [3.0, 4.0]
    assert window[:, 1].tolist() == [30.0, 40.0]  # past values
    assert window[:, 2].tolist() == [400.0, 500.0]  # the last one is that of the predicted day
    dates = pd.to_datetime(frame["day"])
    np.testing.assert_allclose(window[:, 3:], calendar.features(dates, ["weekday"])[[4, 5]])
    assert series.columns(frame) == ["y", "temp", "price", "day"]
    with pytest.raises(RequestError, match=r"^temp must be a number in each row, got warm in row 3\."):
        series.samples(frame.assign(temp=[0, 1, 2, "warm", *range(6)]))


def test_what_is_known_in_advance_has_to_be_given_for_a_forecast() -> None:
    frame = days(10, price=np.arange(10.0))
    series = rows(frame, known=["price"])
    with pytest.raises(
        RequestError, match=r"^data\.known=\[price\] must be known for the 2 steps to forecast, got 0\."
    ):
        series.ahead_of(frame, 2, None)
    later = days(12, price=np.arange(12.0)).iloc[10:].assign(y=np.nan)
    ahead = series.ahead_of(pd.concat([frame, later], ignore_index=True), 2, None)
    samples = ahead.samples()
    assert samples.inputs[0].tolist() == [[8.0, 9.0], [9.0, 10.0]]
    ahead.add(np.array([50.0]))
    assert ahead.samples().inputs[0].tolist() == [[9.0, 10.0], [50.0, 11.0]]
    ahead.add(np.array([60.0]))
    assert ahead.samples() is None
    assert ahead.table("predicted").to_dict("list") == {"day": ["2024-01-11", "2024-01-12"], "predicted": [50.0, 60.0]}


def test_past_features_bound_the_forecast_to_the_trained_horizon() -> None:
    frame = days(10, temp=1.0)
    with pytest.raises(
        RequestError, match=r"^horizon=2 is more than the 1 that were trained, and later values of temp "
    ):
        rows(frame, features=["temp"]).ahead_of(frame, 2, None)
    ahead = rows(frame, features=["temp"], horizon=2).ahead_of(frame, 2, None)
    assert ahead.samples().inputs.shape == (2, 2, 3)


def test_each_group_is_forecast() -> None:
    frame = shops()
    ahead = rows(frame, group="shop", difference=1).ahead_of(frame, 2, None)
    for value in (1.0, 2.0):
        assert ahead.samples().base.tolist() == ([19.0, 1009.0] if value == 1.0 else [1.0, 10.0])
        ahead.add(np.array([value, 10 * value]))
    assert ahead.table("predicted").to_dict("list") == {
        "shop": ["A", "A", "B", "B"],
        "day": ["2024-01-21", "2024-01-22", "2024-01-11", "2024-01-12"],
        "predicted": [1.0, 2.0, 10.0, 20.0],
    }


def test_missing_values_of_a_file_are_refused_with_the_option_that_takes_them(tmp_path: Any) -> None:
    frame = days(30)
    frame.loc[7, "y"] = np.nan
    file = tmp_path / "a.csv"
    frame.to_csv(file, index=False)
    with pytest.raises(RequestError, match=r"or remove these rows, or add data\.gaps=fill or data\.gaps=split\.$"):
        Series(path=str(file), target="y", time="day").read()
    assert len(Series(path=str(file), target="y", time="day", gaps="fill").read()) == 30


def test_a_wide_file_is_refused_with_the_command_that_reshapes_it(tmp_path: Any) -> None:
    frame = days(20).assign(**{"shop a": np.arange(20.0), "b": np.arange(20.0) ** 2}).drop(columns="y")
    file = tmp_path / "wide.csv"
    frame.to_csv(file, index=False)
    with pytest.raises(
        RequestError,
        match=r"^data\.target=\[shop a, b\] names several columns, and a series has one\. Choose one, such as "
        r"data\.target=shop a, and add the others as inputs with data\.features=\[b\]; or write a row for each time",
    ) as caught:
        Series(path=str(file), target="[shop a, b]", time="day").read()
    (reshape,) = re.findall(r"rows(\.melt\(.*?\)), and add data\.target=value data\.group=series\.$", str(caught.value))
    long = eval("frame" + reshape, {"frame": frame})
    data = load_rows(rows(long, target="value", group="series", window=2))
    assert set(data.test.about["series"]) == {"shop a", "b"}
    with pytest.raises(RequestError, match=r"is no column of .*wide\.csv\. Columns: day, shop a, b\.$"):
        Series(path=str(file), target="[b, c]", time="day").read()
    with pytest.raises(RequestError, match=r"rows\.melt\(value_vars=\['shop a', 'b'\], var_name"):
        Series(path=str(file), target="['shop a', b]").read()


@pytest.mark.parametrize("cycle", [4, 12])
def test_a_time_in_two_columns_is_no_hint_at_several_series(cycle: int) -> None:
    at = np.arange(5, 5 + 6 * cycle)
    frame = pd.DataFrame({"day": 1959 + at // cycle, "part": at % cycle + 1, "y": at * 1.0})
    sentence = "The columns day and part hold one time together, such as "
    with pytest.raises(RequestError, match=sentence + r".*; or, if rows are in order, leave data\.time out\.$"):
        rows(frame).samples(frame)
    with pytest.raises(RequestError, match=r"A column separates several series in one file: data\.group=part\.$"):
        rows(frame).samples(frame.drop(index=3))


def test_a_column_for_each_month_is_noted_with_the_code_that_reshapes_it() -> None:
    months = pd.date_range("2024-01-01", periods=12, freq="MS").strftime("%b").str.upper()
    values = {month: 10.0 * at + np.arange(20) for at, month in enumerate(months)}
    frame = pd.DataFrame({"YEAR": np.arange(1950, 1970), **values})
    plugin = SeriesRows(time="YEAR", target="JAN", frame=frame, **PLAIN)
    (note,) = plugin.notes(frame)
    assert str(note[0]).startswith("YEAR has a column for each month, and of these only JAN is read.")
    (code,) = re.findall(r"long = .*'month'\]", str(note[0]))
    space: dict[str, Any] = {"rows": frame}
    exec(code, space)
    long = SeriesRows(time="when", target="value", frame=space["long"])
    data = load_rows(long)
    assert (data.plugin.season, data.time_step) == (12, {"unit": "month", "size": 1})
    assert plugin.notes(frame[["YEAR", "JAN", "FEB"]]) == []
    assert long.notes(space["long"]) == []
