"""Times in every notation are read as the dates they say, and continued in the same form."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lifecycle.data.columns import notations, times
from lifecycle.data.columns.notations import NOTATIONS
from lifecycle.errors import RequestError

WRITTEN: dict[str, list[str]] = {
    "yyyymmdd": ["20240131"],
    "yyyymm": ["202401"],
    "year and quarter": ["2024 Q1", "2024Q1", "2024-q1"],
    "quarter and year": ["Q1 2024", "Q1/2024"],
    "year and week": ["2024-W05", "2024W05", "2024 W5"],
    "year and M with month": ["2024M01", "2024-M1"],
    "day/month/year": ["31/01/2024", "1.1.2024 07:30"],
    "month/day/year": ["01/31/2024", "1/31/2024 07:30:00"],
    "month/year": ["01/2024", "1/2024"],
    "month name and year": ["Jan-24", "January 2024", "JAN2024", "Jan. 2024", "jan '24"],
    "year and month name": ["2024 Jan", "2024-JANUARY", "2024jan"],
    "day, month name and year": ["31-Jan-24", "1 January, 2024", "01JAN2024", "1 Jan 2024 07:30"],
    "month name, day and year": ["Jan-1-2024", "January 31, 2024", "jan 01 24", "Jan/31/2024 07:30"],
    "year, month name and day": ["2024-Jan-01", "2024 January 1"],
    "decimal year": ["2024.08", "2024.083", "2024.08333333333", "2024.042", "2024.0416667"],
    "year.month": ["2024.01"],
}
"""Notation -> texts of it, whose form others take."""

MONTHLY, DAILY = ["MS", "QS", "YS", "2MS"], ["MS", "QS", "D", "W", "3D"]
STEPS = {"year and quarter": ["QS", "YS"], "quarter and year": ["QS", "YS"], "year and week": ["W-MON", "2W-MON"]}
FORMS = [(name, like) for name, texts in WRITTEN.items() for like in texts]


def steps_of(name: str) -> list[str]:
    has_day = "day" in name or name == "yyyymmdd"
    return STEPS.get(name, DAILY if has_day else MONTHLY)


def column_of(name: str, like: str, dates: pd.DatetimeIndex) -> pd.Series[Any]:
    """Return dates as a file has them: numbers where the notation is one of numbers."""
    notation = next(each for each in NOTATIONS if each.name == name)
    texts = [notation.write(date, like) for date in dates]
    kind: Any = {"yyyymmdd": int, "yyyymm": int, "decimal year": float, "year.month": float}.get(name, str)
    return pd.Series([kind(text) for text in texts], name="when")


def test_each_notation_has_forms() -> None:
    assert list(WRITTEN) == [notation.name for notation in NOTATIONS]


@pytest.mark.parametrize(("name", "like"), FORMS)
def test_a_written_date_is_read_as_itself(name: str, like: str) -> None:
    freq = steps_of(name)[0]
    dates = pd.date_range("1999-01-04" if freq.startswith("W") else "1999-01-01", periods=30, freq=freq)
    column = column_of(name, like, dates)
    read = times.moments(column, times.step(column)).local
    clock = pd.Timedelta(0)  # a writer takes the time of day from the date
    assert (read.dt.normalize() + clock).tolist() == list(dates)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_notation_and_step_is_continued_in_its_form(data: st.DataObject) -> None:
    name, like = data.draw(st.sampled_from(FORMS))
    freq = data.draw(st.sampled_from(steps_of(name)))
    start = data.draw(st.datetimes(datetime.datetime(1960, 1, 1), datetime.datetime(2015, 12, 31)))
    length, ahead = data.draw(st.integers(8, 40)), data.draw(st.integers(1, 9))
    dates = pd.date_range(start, normalize=True, periods=length + ahead, freq=freq)
    assume(dates[-1].year < 2040)  # two digits of a year from 40 on are of the 20th century
    column = column_of(name, like, dates)
    seen = column[:length].sample(frac=1, random_state=0)
    step = times.step(column)
    assert step is not None
    found = times.after(seen, ahead, step)
    local = dates[:length]
    # Days and months from 10 on do not show whether the others are padded.
    is_shown = bool((local.day < 10).any() and (local.month < 10).any() and (local.isocalendar().week < 10).any())
    plain = (lambda value: value) if is_shown else (lambda value: re.sub(r"\b0(?=\d\b)", "", str(value)))
    assert [*map(plain, found)] == [*map(plain, column[length:])]
    assert found.dtype.kind == column.dtype.kind
    times.check_step(seen, step)


NO_TIMES = {
    "weeks of a year": 1958 + np.arange(60) / 52,
    "one decimal": np.arange(1990, 1995, 0.1).round(1),
    "amounts": np.array([1000.5, 1500.31, 2000.2]),
    "a missing value": np.array([1949.0, np.nan, 1949.5]),
    "small": np.array([0.0, 0.25, 0.5]),
}


@pytest.mark.parametrize("name", NO_TIMES)
def test_decimal_numbers_that_are_no_months_are_refused(name: str) -> None:
    assert notations.readings(pd.Series(NO_TIMES[name], name="when")) == []
    sentence = "which is no time. Write times as 1960, 1960-01, 1960-01-31 or 1960-01-31 12:00, or leave data.time out"
    with pytest.raises(RequestError, match=re.escape(sentence)):
        times.order(pd.Series(NO_TIMES[name], name="when"))


def test_years_as_decimal_numbers_stay_so() -> None:
    years = pd.Series([1949.0, 1950.0, 1951.0], name="when")
    assert times.after(years, 2, None).tolist() == [1952.0, 1953.0]


def test_decimal_years_as_texts_are_those_that_cannot_be_months() -> None:
    for texts, following in (
        (["1949", "1949.083", "1949.167"], ["1949.250", "1949.333"]),
        (["1949.00", "1949.08", "1949.17"], ["1949.25", "1949.33"]),
        (["1949.08", "1949.09"], ["1949.10", "1949.11"]),
    ):
        assert times.after(pd.Series(texts, name="when"), 2, None).tolist() == following
