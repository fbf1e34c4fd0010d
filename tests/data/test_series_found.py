"""Series: season, trend and transform are found in the training part, and applied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lifecycle.capabilities import transform_of
from lifecycle.compile.output_units import Units
from lifecycle.contract import Fold
from lifecycle.data.columns.time_steps import MONTH, TimeStep
from lifecycle.data.kinds.series import Series
from lifecycle.data.preprocessing import differences
from lifecycle.data.resolving import resolved_like
from lifecycle.data.series import detection, windows
from lifecycle.data.series.time_order import step_named
from lifecycle.data.sources import files
from lifecycle.errors import RequestError
from tests.rows import SeriesRows, load_rows

AIRLINE = files.read("lifecycle:airline_passengers.csv")
FOUND = ("window", "season", "difference", "transform", "centre")


def airline(frame: pd.DataFrame = AIRLINE, **fields: Any) -> SeriesRows:
    return SeriesRows(target="passengers", time="month", frame=frame, **fields)


def of(values: Any, **fields: Any) -> SeriesRows:
    return SeriesRows(frame=pd.DataFrame({"y": np.asarray(values, dtype=float)}), **fields)


def found(plugin: Any) -> dict[str, Any]:
    return {name: getattr(plugin, name) for name in FOUND}


def test_trend_and_season_of_monthly_passengers_are_found_and_reported() -> None:
    data = load_rows(airline())
    assert found(data.plugin) == {
        "window": 4,
        "season": 12,
        "difference": [1, 12],
        "transform": "none",
        "centre": False,
    }
    assert data.inferred == ("Series", "trend found: difference 1; season 12, difference 12; window 4")
    assert data.preprocessing.target_scale[0] == 0.0
    assert set(data.test.naive) == {"last value", "value 12 steps before"}


def test_without_times_the_season_is_a_peak_of_the_autocorrelation() -> None:
    assert load_rows(SeriesRows(target="passengers", frame=AIRLINE)).plugin.season == 12


@pytest.mark.parametrize("fold", [None, Fold(0, 3), Fold(2, 3)])
def test_nothing_is_found_in_validation_and_test_rows(fold: Fold | None) -> None:
    from lifecycle.data.load import load

    before = load(airline(), "mine", "series", 0, fold=fold)
    assert before.val is not None
    assert before.test is not None
    changed = AIRLINE.copy()
    others = np.concatenate([before.val.rows, before.test.rows])
    rows = np.arange(others.min(), len(changed))
    changed["passengers"] = changed["passengers"].astype(float)
    changed.loc[rows, "passengers"] = np.random.default_rng(0).normal(0, 1e5, len(rows))
    after = load(airline(changed), "mine", "series", 0, fold=fold)
    assert found(before.plugin) == found(after.plugin)
    np.testing.assert_array_equal(before.train.inputs.numpy(), after.train.inputs.numpy())
    assert before.preprocessing.target_scale == after.preprocessing.target_scale


def test_numbers_that_are_given_are_kept_and_learn_the_values_themselves() -> None:
    plugin = airline(window=12, season=None, difference=0)
    assert found(plugin.resolved(AIRLINE)) == {
        "window": 12,
        "season": None,
        "difference": 0,
        "transform": "none",
        "centre": True,
    }
    samples = load_rows(plugin)
    assert samples.inferred is None
    assert samples.train.base is None
    assert load_rows(airline(difference=12, window=12)).preprocessing.target_scale[0] != 0.0


def test_values_around_a_level_have_neither_trend_nor_season() -> None:
    values = np.random.default_rng(0).normal(100, 5, 200)
    plugin = of(values).resolved(pd.DataFrame({"y": values}))
    assert found(plugin) == {"window": 5, "season": None, "difference": 0, "transform": "none", "centre": True}


def test_the_strength_of_a_season_is_0_of_noise_and_1_of_a_cycle() -> None:
    cycle = np.tile([1.0, 5.0, 2.0, 8.0], 30)
    assert detection.strength(cycle, 4) == pytest.approx(1.0)
    assert detection.strength(np.random.default_rng(0).normal(size=120), 4) < 0.1
    assert detection.strength(cycle[:11], 4) == 0.0  # fewer than three seasons
    assert detection.season_of(np.tile(np.arange(24.0), 10), step_named("hour")) == 24


WAVE = np.tile([1.0, 5.0, 2.0, 8.0, 0.0, 3.0], 20)
NOISE = np.random.default_rng(1).normal(size=120)


@pytest.mark.parametrize(
    ("values", "season", "lags"),
    [
        (NOISE, None, []),
        (NOISE + WAVE, 6, [6]),
        (NOISE.cumsum(), 6, [1]),
        (0.1 * NOISE.cumsum() + WAVE, 6, [1, 6]),
        (np.arange(120.0), None, [1]),
        (np.ones(120), 6, []),
        (NOISE.cumsum()[:7], None, []),  # too few to judge
        (np.arange(16.0), 6, [1]),  # fewer than three seasons
    ],
)
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e9])
def test_differences_are_those_of_the_best_naive_forecast(
    values: np.ndarray[Any, Any], season: int | None, lags: list[int], scale: float
) -> None:
    assert detection.differences_of(scale * (values + 3), season) == lags


def test_another_difference_has_to_lower_the_error_by_a_twentieth() -> None:
    draws = np.random.default_rng(0).normal(size=4000)

    def walk(share: float) -> np.ndarray[Any, Any]:
        """Return values whose deviation is that of their changes divided by ``share``."""
        values, keep = np.zeros(4000), 1 - share**2 / 2
        for at in range(1, 4000):
            values[at] = keep * values[at - 1] + draws[at]
        return values

    assert detection.differences_of(walk(0.97), None) == []
    assert detection.differences_of(walk(0.85), None) == [1]


def test_the_logarithm_is_learnt_where_the_level_grows_tenfold_and_the_amplitude_with_it() -> None:
    steps = np.arange(160)
    values = np.exp(steps / 25) * (10 + 4 * np.sin(2 * np.pi * steps / 4))
    data = load_rows(of(values))
    assert data.plugin.transform == "log"
    assert "transform log" in data.inferred[1]  # type: ignore[index]
    assert transform_of(data.plugin) == data.preprocessing.transform == "log"
    units = Units("regression", *data.preprocessing.target_scale, transform="log")
    # Each target returns to the user's units.
    back = units(data.test.targets.double(), data.test.base)
    np.testing.assert_allclose(back.numpy()[:, 0], data.test.labels, rtol=1e-6)
    np.testing.assert_allclose(units.targets(back, data.test.base), data.test.targets.double(), atol=1e-5)


def test_a_value_without_a_logarithm_is_refused() -> None:
    with pytest.raises(
        RequestError, match=r"^data\.transform=log has no logarithm of y 0\. Train with data\.transform="
    ):
        load_rows(of([*np.arange(1.0, 40), 0.0, 3.0], transform="log", window=2, difference=1))
    with pytest.raises(
        RequestError, match=r"has no logarithm of the target -1, and the training rows are all above 0\."
    ):
        differences(np.array([1.0, -1.0]), None, "log")


@pytest.mark.parametrize("lags", [[1], [12], [1, 12], [2, 3]])
def test_the_base_of_a_step_is_the_value_whose_differences_are_0(lags: list[int]) -> None:
    values = np.random.default_rng(0).normal(size=40)
    last = np.array([20, 25])
    base = windows.bases(values, lags, last, 3)
    for row, end in enumerate(last):
        known = list(values[: end + 1])
        for lead in range(3):
            known.append(base[row, lead])
            assert windows.differenced(np.array(known), lags)[-1] == pytest.approx(0.0, abs=1e-12)


def test_other_rows_of_a_model_are_read_with_what_was_found_for_it() -> None:
    trained = load_rows(airline()).plugin
    again = resolved_like(airline(season=None), trained)
    assert (again.window, again.difference, again.season) == (4, [1, 12], None)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"window": "long"}, r"window must be a whole number of 1 or more, or auto, got long\. The default is auto\."),
        ({"window": 2.5}, r"window must be 1 or more, got 2\.5\."),
        ({"difference": [1, 0]}, r"difference must be 1 or more, got \[1, 0\]\."),
        ({"season": True}, r"season must be 2 or more, got True\."),
        ({"transform": "sqrt"}, r"transform must be one of auto, log, none, got sqrt\."),
        ({"centre": 1}, r"centre must be true, false or auto, got 1\."),
        ({"gaps": "drop"}, r"gaps must be one of refuse, fill, split, got drop\."),
        ({"calendar": ["month"]}, r"calendar needs the times of rows, got \['month'\]\. Add data\.time=<column>\."),
        ({"calendar": ["era"], "time": "t"}, r"calendar must name some of month, quarter, week, .*, got era\."),
        ({"every": "fortnight", "time": "t"}, r"every must be one of .*, got fortnight\. Use for instance '2 days'\."),
        ({"duplicates": "sum"}, r"duplicates needs the times of rows, got sum\."),
        ({"features": ["y"]}, r"target is an input already, as the past values of the target are, got y\."),
        ({"backtest": 1}, r"backtest must be 2 or more, got 1\."),
    ],
)
def test_a_field_out_of_range_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        Series(path="a.csv", target="y", **fields)


def test_a_forecast_adds_the_values_before_it_in_logarithms() -> None:
    units = Units("regression", 0.0, 2.0, transform="log")
    base = torch.log(torch.tensor([[100.0]], dtype=torch.float64))
    assert units(torch.zeros(1, 1, dtype=torch.float64), base).item() == pytest.approx(100.0)
    assert TimeStep(MONTH, 1) == step_named("month")
