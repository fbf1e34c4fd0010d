"""Times of a series: parsed, sorted and checked for a regular step; the times that follow."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.data.columns import times
from lifecycle.data.columns.time_steps import TimeStep
from lifecycle.errors import RequestError


def column(values: Any) -> pd.Series[Any]:
    return pd.Series(values, name="when")


REGULAR = {
    "months": ["1960-11", "1960-12", "1961-01", "1961-02"],
    "months by their first day": ["2020-01-01", "2020-02-01", "2020-03-01"],
    "months by their last day": ["2019-12-31", "2020-01-31", "2020-02-29", "2020-03-31"],
    "quarters": ["2020-01", "2020-04", "2020-07"],
    "years": [1990, 1991, 1992],
    "years with a fraction of nothing": [1990.0, 1991.0],
    "years as texts": ["1990", "1991", "1992"],
    "leap years by a day": ["2019-01-01", "2020-01-01", "2021-01-01"],
    "days": ["2020-02-28", "2020-02-29", "2020-03-01"],
    "business days": ["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"],
    "hours": ["2020-02-28 22:00", "2020-02-28 23:00", "2020-02-29 00:00"],
    "moments": ["2020-02-28T22:00:00.5Z", "2020-02-28T22:00:01.5Z"],
    "dates of pandas": pd.date_range("2020-01-30", periods=5),
    "dates of Python": list(pd.date_range("2020-01-30", periods=5).date),
    "weeks far away": ["9998-01-01", "9998-01-08", "9998-01-15"],
    "one time": ["2020-01"],
}


@pytest.mark.parametrize("values", REGULAR.values(), ids=list(REGULAR))
def test_times_one_step_apart_are_put_in_order(values: Any) -> None:
    mixed = np.random.default_rng(1).permutation(len(values))
    shuffled = column([values[i] for i in mixed])
    found = times.order(shuffled)
    assert [shuffled[i] for i in found] == list(values)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 200), st.sampled_from(["D", "h", "MS", "ME", "YS", "W", "QS", "s"]), st.data())
def test_any_regular_calendar_is_in_order_and_a_time_taken_out_is_found(
    start: int, step: str, data: st.DataObject
) -> None:
    moments = pd.date_range("1960-01-01", periods=start + 8, freq=step)[start:]
    assert times.order(column(moments)).tolist() == list(range(8))
    gap = data.draw(st.integers(1, 6))
    with pytest.raises(RequestError, match="is followed by"):
        times.order(column(moments.delete(gap)))


GAPS = {
    "1960-08 is followed by 1960-10": ["1960-06", "1960-07", "1960-08", "1960-10", "1960-11"],
    "2020-01-03 is followed by 2020-01-07": ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-07", "2020-01-08"],
    "1992 is followed by 1994": [1990, 1991, 1992, 1994],
}


@pytest.mark.parametrize(("place", "values"), GAPS.items())
def test_a_gap_is_refused_by_its_place(place: str, values: Any) -> None:
    sentence = f"data.time=when has steps of different lengths: {place}. Add the rows that are missing, or data.gaps="
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}"):
        times.order(column(values))
    with pytest.raises(RequestError, match=re.escape(place)):
        times.order(column(values[::-1]))


def test_a_time_that_is_there_twice_is_refused_with_its_rows() -> None:
    with pytest.raises(
        RequestError,
        match=r"^data\.time=when is 1960-02 in row 1 and again in row 3\. Keep one of them, or add data\.dup",
    ):
        times.order(column(["1960-01", "1960-02", "1960-03", "1960-02"]))


NONE = {
    "Jan 1960": ["1960-01", "Jan 1960"],
    "03/04/2020": ["2020-03-04", "03/04/2020"],  # March or April?
    "1960-13": ["1960-01", "1960-13"],
    "1990.4": [1990.0, 1990.4],
    "True": [False, True],
}


@pytest.mark.parametrize(("written", "values"), NONE.items())
def test_what_is_no_time_is_refused_with_its_row(written: str, values: Any) -> None:
    row = 0 if written == "True" else 1
    written = "False" if written == "True" else written
    sentence = (
        f"data.time=when is {written} in row {row}, which is no time. Write times as 1960, 1960-01, 1960-01-31 or"
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}"):
        times.order(column(values))


def test_times_are_reported_as_their_source_writes_them() -> None:
    assert times.texts(column(["1960-01", "1960-02"])).tolist() == ["1960-01", "1960-02"]
    assert times.texts(column([1990, 1991])).tolist() == ["1990", "1991"]
    assert times.texts(column(pd.date_range("2020-01-30", periods=2))).tolist() == ["2020-01-30", "2020-01-31"]
    hours = column(pd.date_range("2020-01-30 23:00", periods=2, freq="h"))
    assert times.texts(hours).tolist() == ["2020-01-30 23:00:00", "2020-01-31 00:00:00"]


CARRIED_ON = {
    "months": (["1960-11", "1960-12"], ["1961-01", "1961-02"], "1 month"),
    "their last days": (["2020-01-31", "2020-02-29"], ["2020-03-31", "2020-04-30"], "1 month"),
    "the 30th of each": (["2020-03-30", "2020-04-30"], ["2020-05-30", "2020-06-30"], "1 month"),
    "quarters": (["2020-01", "2020-04"], ["2020-07", "2020-10"], "3 months"),
    "years": ([1990, 1991], [1992, 1993], "1"),
    "years as texts": (["1990", "1991"], ["1992", "1993"], "12 months"),
    "days": (["2020-02-27", "2020-02-28"], ["2020-02-29", "2020-03-01"], "1 day"),
    "business days": (["2020-01-02", "2020-01-03", "2020-01-06"], ["2020-01-07", "2020-01-08"], "1 business day"),
    "weeks": (["2020-12-21", "2020-12-28"], ["2021-01-04", "2021-01-11"], "7 days"),
    "half hours": (["2020-01-01 23:00", "2020-01-01 23:30"], ["2020-01-02 00:00", "2020-01-02 00:30"], "30 minutes"),
    "noon and midnight": (["2020-01-01", "2020-01-01 12:00"], ["2020-01-02 00:00", "2020-01-02 12:00"], "12 hours"),
    "seconds": (
        ["2020-01-01T00:00:58Z", "2020-01-01T00:00:59Z"],
        ["2020-01-01T00:01:00Z", "2020-01-01T00:01:01Z"],
        "1 second",
    ),
    "fractions": (
        ["2020-01-01 00:00:00.25", "2020-01-01 00:00:00.50"],
        ["2020-01-01 00:00:00.75", "2020-01-01 00:00:01.00"],
        "250 milliseconds",
    ),
    "east of Greenwich": (
        ["2020-01-01T22:00+02:00", "2020-01-01T23:00+02:00"],
        ["2020-01-02T00:00+02:00", "2020-01-02T01:00+02:00"],
        "1 hour",
    ),
    "dates of pandas": (pd.date_range("2020-01-30", periods=2), list(pd.date_range("2020-02-01", periods=2)), "1 day"),
    "in a time zone": (
        pd.date_range("2020-03-28 12:00", periods=2, freq="h", tz="Europe/Berlin"),
        list(pd.date_range("2020-03-28 14:00", periods=2, freq="h", tz="Europe/Berlin")),
        "1 hour",
    ),
    "dates of Python": (
        list(pd.date_range("2020-01-30", periods=2).date),
        list(pd.date_range("2020-02-01", periods=2).date),
        "1 day",
    ),
}


@pytest.mark.parametrize(("values", "following", "step"), CARRIED_ON.values(), ids=list(CARRIED_ON))
def test_times_continue_as_their_source_writes_them(values: Any, following: list[Any], step: str) -> None:
    for rows in (values, values[::-1]):
        assert times.after(column(rows), 2, None).tolist() == following
        assert str(times.step(column(rows))) == step
    assert times.after(column(values), 2, None).dtype.kind == column(values).dtype.kind


@settings(deadline=None, max_examples=30)
@given(st.integers(4, 60), st.sampled_from(["D", "h", "MS", "ME", "W", "QS", "s", "B", "2h"]), st.integers(1, 30))
def test_any_regular_calendar_continues_as_pandas_has_it(length: int, freq: str, ahead: int) -> None:
    moments = pd.date_range("1960-01-04", periods=length + ahead, freq=freq)
    found = times.after(column(moments[:length]), ahead, times.step(column(moments)))
    assert found.tolist() == list(moments[length:])


def test_a_step_that_was_trained_decides_where_few_times_say_too_little() -> None:
    week = column(["2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09", "2020-01-10"])
    business = TimeStep("business day", 1)
    times.check_step(week, business)
    assert times.after(week, 1, business).tolist() == ["2020-01-13"]
    assert times.after(week, 1, None).tolist() == ["2020-01-11"]
    assert times.after(column(["2020-02-29"]), 1, TimeStep("month", 1)).tolist() == ["2020-03-31"]
    times.check_step(column(["2020-02-29"]), TimeStep("month", 1))
    with pytest.raises(
        RequestError, match=r"^data\.time=when has only one time, which shows no step\. Give one more row\."
    ):
        times.after(column(["2020-01"]), 1, None)
    with pytest.raises(
        RequestError, match=r"^data\.time=when has steps of 2, and this model was trained on steps of 1\. Give"
    ):
        times.check_step(column([1990, 1992]), TimeStep("number", 1))
    with pytest.raises(RequestError, match=r"steps of 1 business day, and this model was trained on steps of 1 day\."):
        times.check_step(column(["2020-01-03", "2020-01-06", "2020-01-07"]), TimeStep("microsecond", 86_400_000_000))
