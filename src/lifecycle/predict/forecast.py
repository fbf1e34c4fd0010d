"""The next steps of a series: each is predicted from the values before it, the predicted ones among them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd

from lifecycle.capabilities import Forecasts
from lifecycle.data.columns.features import LARGEST
from lifecycle.data.columns.names import PREDICTED
from lifecycle.errors import RequestError, Setting


class OfSeries(Protocol):
    """What a forecast needs of a trained model."""

    @property
    def data(self) -> Any:
        """The data plugin."""
        ...

    @property
    def time_step(self) -> Any:
        """How far the times of the training rows are apart."""
        ...

    def checked(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows that can be predicted."""
        ...

    def predict_samples(self, samples: Any, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the predictions of samples."""
        ...


def forecast(trained: OfSeries, rows: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return the steps that follow rows; see :meth:`lifecycle.predict.trained_model.TrainedModel.forecast`."""
    data: Any = trained.data
    if not foretells(trained):
        raise RequestError(
            Setting("horizon", horizon),
            "is for series, and this model predicts each row independently",
            remedy="Leave it out.",
        )
    if horizon < 1:
        raise RequestError("horizon", "must be 1 or more", horizon, "Give the number of steps to forecast.")
    rows = trained.checked(rows)
    times = data.times_after(rows, horizon, trained.time_step)
    known: np.ndarray[Any, Any] = data.known(rows)
    found: list[float] = []
    while len(found) < horizon:
        sample = data.ahead(known)
        value = float(trained.predict_samples(sample, pd.DataFrame(index=[len(rows) + len(found)]))[PREDICTED].iloc[0])
        if not abs(value) <= LARGEST:
            raise RequestError(
                Setting("horizon", horizon),
                f"is too far: the forecast is {value} at step {len(found) + 1}",
                remedy="Forecast fewer steps.",
            )
        found.append(value)
        known = np.append(known, value)[-len(known) :]
    return pd.DataFrame({times.name: times.array, PREDICTED: found})


def foretells(trained: OfSeries) -> bool:
    """Tell whether a model is one of a series, which goes on after the last row."""
    return isinstance(trained.data, Forecasts)
