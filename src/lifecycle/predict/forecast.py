"""Forecasts the next steps of a series; each step is predicted from the values before it, predicted ones included."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd

from lifecycle.capabilities import Forecasts, ForecastsBlocks
from lifecycle.data.columns.features import LARGEST
from lifecycle.data.columns.names import PREDICTED
from lifecycle.errors import RequestError, Setting


class SeriesModel(Protocol):
    """The part of a trained model that a forecast uses."""

    @property
    def data(self) -> Any:
        """The data plugin."""
        ...

    @property
    def time_step(self) -> Any:
        """The interval between the times of the training rows."""
        ...

    def checked(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the columns of raw rows that a prediction uses."""
        ...

    def predict_samples(self, samples: Any, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the predictions of samples."""
        ...


def forecast(trained: SeriesModel, rows: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return the steps that follow rows; see :meth:`lifecycle.predict.trained_model.TrainedModel.forecast`."""
    data: Any = trained.data
    if not can_forecast(trained):
        raise RequestError(
            Setting("horizon", horizon),
            "is for series, and this model predicts each row independently",
            remedy="Leave it out.",
        )
    if horizon < 1:
        raise RequestError("horizon", "must be 1 or more", horizon, "Give the number of steps to forecast.")
    rows = trained.checked(rows)
    if isinstance(data, ForecastsBlocks):
        return _of_blocks(trained, data, rows, horizon)
    # Before the predictions, since it refuses times that cannot be continued.
    times = data.times_after(rows, horizon, trained.time_step)
    known: np.ndarray[Any, Any] = data.known(rows)
    values: list[float] = []
    while len(values) < horizon:
        sample = data.ahead(known)
        # No columns, only the number of the row, for messages.
        row = pd.DataFrame(index=[len(rows) + len(values)])
        value = float(trained.predict_samples(sample, row)[PREDICTED].iloc[0])
        _check(value, len(values) + 1, horizon)
        values.append(value)
        known = np.append(known, value)[-len(known) :]  # the window moves by one step
    return pd.DataFrame({times.name: times.array, PREDICTED: values})


def _of_blocks(trained: SeriesModel, data: ForecastsBlocks, rows: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return the steps that follow rows, some at a time."""
    # Before the predictions, since it refuses times that cannot be continued.
    ahead = data.ahead_of(rows, horizon, trained.time_step)
    while (samples := ahead.samples()) is not None:
        # No columns, only the numbers of the rows, for messages.
        numbers = pd.DataFrame(index=np.arange(len(samples.rows)) + len(rows) + ahead.done)
        values = trained.predict_samples(samples, numbers)[PREDICTED].to_numpy(dtype=np.float64)
        for value in values:
            _check(float(value), ahead.done + 1, horizon)
        ahead.add(values)
    found: pd.DataFrame = ahead.table(PREDICTED)
    return found


def _check(value: float, step: int, horizon: int) -> None:
    if not abs(value) <= LARGEST:  # NaN as well: the network extrapolates, and its own outputs are its next inputs
        raise RequestError(
            Setting("horizon", horizon),
            f"is too far: the forecast is {value} at step {step}",
            remedy="Forecast fewer steps.",
        )


def can_forecast(trained: SeriesModel) -> bool:
    """Return whether the data of a model are a series that continues after its last row."""
    return isinstance(trained.data, Forecasts | ForecastsBlocks)
