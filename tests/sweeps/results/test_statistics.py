"""Means, intervals and p values of sweeps: SciPy's for seeds, and the formulas of the papers for folds."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lifecycle.sweeps.results.statistics import Difference, difference, estimate, holm

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30).filter(lambda values: np.std(values) > 1e-6)
PAIRS = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=30).filter(
    lambda pairs: np.std([one - other for one, other in pairs]) > 1e-6
)
PS = st.lists(st.floats(0, 1), max_size=12)


@given(VALUES)
def test_the_interval_of_seeds_is_scipys_t_interval(values: list[float]) -> None:
    found = estimate(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9)
    assert (found.mean, found.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)), rel=1e-9, abs=1e-9)
    assert found.count == len(values)


def test_an_interval_by_hand() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0])
    half = 3.182446305284263 * math.sqrt(5 / 3) / 2  # the 97.5% point of t with 3 degrees of freedom, of tables
    assert found.mean == 2.5
    assert found.sd == pytest.approx(math.sqrt(5 / 3))
    assert (found.low, found.high) == pytest.approx((2.5 - half, 2.5 + half))


@given(VALUES, st.integers(2, 20))
def test_the_interval_of_folds_has_the_variance_that_nadeau_and_bengio_correct(values: list[float], folds: int) -> None:
    # By exact fractions: rows in n folds, of which one tests and the others train.
    rows = Fraction(folds)
    ratio = (rows / folds) / (rows - rows / folds)
    exact = [Fraction(value) for value in values]
    mean = sum(exact, Fraction(0)) / len(exact)
    variance = sum(((value - mean) ** 2 for value in exact), Fraction(0)) / (len(exact) - 1)
    corrected = float(variance * (Fraction(1, len(exact)) + ratio))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * math.sqrt(corrected)
    found = estimate(values, float(ratio))
    assert (found.high - found.mean, found.mean - found.low) == pytest.approx((half, half), rel=1e-9, abs=1e-9)
    assert found.high - found.low > estimate(values).high - estimate(values).low


def test_a_p_of_folds_by_a_direct_computation() -> None:
    ours, theirs = [0.91, 0.88, 0.95, 0.90, 0.87, 0.93, 0.92, 0.9, 0.89, 0.96], [0.9, 0.86, 0.95, 0.87, 0.88, 0.9] * 2
    pairs = np.array(ours, np.float64) - np.array(theirs[:10], np.float64)
    t = pairs.mean() / math.sqrt((1 / 10 + 1 / 9) * pairs.var(ddof=1))
    found = difference(ours, theirs[:10], 1 / 9)
    assert found.mean == pytest.approx(pairs.mean())
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 9), rel=1e-9)
    assert found.p > difference(ours, theirs[:10]).p


@given(PAIRS)
def test_a_p_of_seeds_is_that_of_scipys_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    found, expected = difference(ours, theirs), stats.ttest_rel(ours, theirs)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert found.mean == pytest.approx(np.mean(np.subtract(ours, theirs)), rel=1e-9, abs=1e-9)


@given(PAIRS, st.floats(0, 1))
def test_a_difference_the_other_way_round_has_the_opposite_mean_and_the_same_p(
    pairs: list[tuple[float, float]], overlap: float
) -> None:
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    one, other = difference(ours, theirs, overlap), difference(theirs, ours, overlap)
    assert (one.mean, one.p) == pytest.approx((-other.mean, other.p))


def test_values_are_paired_in_their_order() -> None:
    """The same values in another order have the same mean, and another p."""
    assert difference([1.0, 2.0, 3.0], [0.9, 1.9, 2.88]).p < 0.05
    assert difference([1.0, 2.0, 3.0], [2.88, 1.9, 0.9]).p > 0.5


def test_of_one_value_there_is_no_spread_interval_or_p() -> None:
    found = estimate([0.5])
    assert (found.mean, found.count) == (0.5, 1)
    assert all(map(math.isnan, (found.sd, found.low, found.high)))
    of_pair = difference([0.5], [0.25])
    assert of_pair.mean == 0.25
    assert math.isnan(of_pair.p)


def test_equal_pairs_have_a_p_of_1_and_constant_differences_none() -> None:
    assert difference([0.1, 0.7, 0.7], [0.1, 0.7, 0.7]) == Difference(0.0, 1.0)
    assert difference([0.1, 0.7], [0.1, 0.7], 0.25) == Difference(0.0, 1.0)
    # Without a spread nothing is known of how far the mean is from 0 by chance; a spread of rounding is none.
    for ours, theirs in (([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]), ([0.3, 0.4, 0.9], [0.2, 0.3, 0.8])):
        found = difference(ours, theirs)
        assert found.mean == pytest.approx(ours[0] - theirs[0])
        assert math.isnan(found.p)


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = estimate([0.25] * 5, 0.5)
    assert (found.low, found.mean, found.high, found.sd) == (0.25, 0.25, 0.25, 0.0)


def test_a_score_that_is_nan_makes_the_mean_nan() -> None:
    found = estimate([0.5, math.nan])
    assert all(map(math.isnan, (found.mean, found.sd, found.low, found.high)))


def test_holms_method_by_hand() -> None:
    # 4 * 0.005 = 0.02; 3 * 0.01 = 0.03; 2 * 0.03 = 0.06; 0.04, which is below 0.06 before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def by_definition(ps: list[float]) -> list[float]:
    """Correct by Holm's definition: the largest of (m - i + 1) p(i) up to the own rank, and at most 1."""
    ranks = {at: rank for rank, at in enumerate(sorted(range(len(ps)), key=lambda at: ps[at]))}
    return [
        max(min(1.0, (len(ps) - ranks[other]) * ps[other]) for other in ranks if ranks[other] <= ranks[at])
        for at in range(len(ps))
    ]


@given(PS)
def test_holms_method_is_its_definition(ps: list[float]) -> None:
    found = holm(ps)
    assert found == pytest.approx(by_definition(ps))
    assert all(p <= corrected <= 1 for p, corrected in zip(ps, found, strict=True))
    # In the order of the p values, and between them and Bonferroni's.
    assert [found[at] for at in np.argsort(ps, kind="stable")] == sorted(found)
    assert all(corrected <= min(1.0, len(ps) * p) + 1e-12 for p, corrected in zip(ps, found, strict=True))


@given(PS, st.integers(0, 12))
def test_an_unknown_p_stays_unknown_and_does_not_count(ps: list[float], at: int) -> None:
    found = holm([*ps[:at], math.nan, *ps[at:]])
    assert math.isnan(found.pop(min(at, len(ps))))
    assert found == holm(ps)
