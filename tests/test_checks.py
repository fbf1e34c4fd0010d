"""Range checks: a value that fits passes, any other is reported with field, value and remedy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.checks import in_range, one_of


@dataclass
class Fields:
    """A stranger's configuration."""

    size: float | None = 3
    sizes: list[float] = field(default_factory=lambda: [1, 2])
    word: str | None = "relu"
    free: float | None = None


def complaint(check: Any, *arguments: Any, **bounds: Any) -> str:
    with pytest.raises(ValueError, match=r"must be") as caught:
        check(*arguments, **bounds)
    return str(caught.value)


SENTENCES = [
    (0, {"low": 1}, "size must be 1 or more, got 0. The default is 3."),
    (0, {"above": 0}, "size must be above 0, got 0. The default is 3."),
    (1, {"low": 0, "below": 1}, "size must be 0 or more and below 1, got 1. The default is 3."),
    (-1, {"low": 0, "below": 1}, "size must be 0 or more and below 1, got -1. The default is 3."),
    (1.5, {"above": 0.25, "below": 1}, "size must be above 0.25 and below 1, got 1.5. The default is 3."),
    (10**20, {"low": 1}, f"size must be 1 or more and at most 1,000,000,000, got {10**20}. The default is 3."),
    (-(10**10), {}, f"size must be a number and at most 1,000,000,000, got {-(10**10)}. The default is 3."),
    (
        10**400,
        {"above": 0},
        "size must be above 0 and at most 1,000,000,000, got an integer of 1329 bits. The default is 3.",
    ),
    (math.nan, {"low": 1}, "size must be 1 or more, got nan. The default is 3."),
    (math.inf, {"low": 1}, "size must be 1 or more and finite, got inf. The default is 3."),
    (math.nan, {}, "size must be a number, got nan. The default is 3."),
]


@pytest.mark.parametrize(("value", "bounds", "sentence"), SENTENCES)
def test_a_number_out_of_range_is_reported_with_field_range_value_and_default(
    value: float, bounds: dict[str, float], sentence: str
) -> None:
    assert complaint(in_range, Fields(size=value), "size", **bounds) == sentence


def test_each_number_of_a_list_is_checked_and_the_list_is_shown() -> None:
    in_range(Fields(sizes=[1, 2, 3]), "sizes", low=1)
    in_range(Fields(sizes=[]), "sizes", low=1)
    sentence = "sizes must be 1 or more, got [1, 0, 3]. The default is [1, 2]."
    assert complaint(in_range, Fields(sizes=[1, 0, 3]), "sizes", low=1) == sentence


@pytest.mark.parametrize("value", [None, 0])
def test_null_passes_where_another_value_would_not(value: int | None) -> None:
    if value is None:
        in_range(Fields(size=value), "size", low=1)
    else:
        assert "got 0" in complaint(in_range, Fields(size=value), "size", low=1)


@pytest.mark.parametrize(("word", "passes"), [(None, True), ("tanh", True), ("tahn", False)])
def test_null_and_known_values_pass(word: str | None, passes: bool) -> None:
    if passes:
        one_of(Fields(word=word), "word", ["relu", "tanh"])
    else:
        assert "got tahn" in complaint(one_of, Fields(word=word), "word", ["relu", "tanh"])


def test_a_field_that_defaults_to_null_is_to_be_left_out() -> None:
    sentence = "free must be 1 or more, got 0. Leave it out for the default."
    assert complaint(in_range, Fields(free=0), "free", low=1) == sentence


@given(st.floats(), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_exactly_the_numbers_within_the_bounds_pass(value: float, low: float, below: float) -> None:
    if low <= value < below:
        in_range(Fields(size=value), "size", low=low, below=below)
    else:
        assert "size must be" in complaint(in_range, Fields(size=value), "size", low=low, below=below)


@given(st.floats(), st.floats(-1e9, 1e9))
def test_above_leaves_the_bound_itself_out(value: float, above: float) -> None:
    if above < value < math.inf:
        in_range(Fields(size=value), "size", above=above)
    else:
        assert f"above {above:g}" in complaint(in_range, Fields(size=value), "size", above=above)


def test_a_misspelt_value_gets_the_list_and_the_nearest() -> None:
    sentence = "word must be one of relu, tanh, got tahn. Did you mean tanh?"
    assert complaint(one_of, Fields(word="tahn"), "word", ["relu", "tanh"]) == sentence


def test_a_value_similar_to_none_gets_the_list_and_the_default() -> None:
    sentence = "word must be one of relu, tanh, got mish. The default is relu."
    assert complaint(one_of, Fields(word="mish"), "word", ["relu", "tanh"]) == sentence


def test_the_known_values_may_be_any_iterable() -> None:
    sentence = "word must be one of relu, tanh, got mish. The default is relu."
    assert complaint(one_of, Fields(word="mish"), "word", (name for name in ["relu", "tanh"])) == sentence
