"""Numbers that may stand for missing values are reported with the option; ordinary extremes are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.data.audit.missing_marks import found_in
from lifecycle.data.audit.table_checks import column_of
from lifecycle.errors import COMMAND_LINE

RNG = np.random.default_rng(0)


def lines(values: object) -> list[str]:
    return [COMMAND_LINE.text(one.text) for one in found_in([column_of("size", pd.Series(values))])]


@pytest.mark.parametrize("mark", [-999, 9999, -9, 88])
def test_a_far_number_that_is_repeated_is_reported(mark: int) -> None:
    values = RNG.uniform(0, 1, 100)
    values[10:13] = mark
    assert lines(values) == [
        f"size: 3 rows have {mark}, far from all others, as if it stood for a missing value. If it does, add "
        f"data.missing=[{mark}]."
    ]
    values[12] = 0.5
    assert lines(values) == []  # two may be outliers


@pytest.mark.parametrize(
    "values",
    [
        [*range(-9, 100)] * 3,
        [-1, 0, 1] * 10,
        [*RNG.normal(0, 500, 200), -999, -999, -999],
        [5.0] * 20,
        ["a", "b", "-999"],
    ],
)
def test_what_is_near_the_others_is_not(values: object) -> None:
    assert lines(values) == []


@given(st.lists(st.floats(0, 10), min_size=3, max_size=40))
def test_values_of_one_range_are_never_reported(values: list[float]) -> None:
    assert lines(values) == []
