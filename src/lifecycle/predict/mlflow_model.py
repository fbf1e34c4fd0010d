"""A saved model as MLflow loads it: it takes raw rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.errors import RequestError
from lifecycle.predict.saved_model import load
from lifecycle.predict.trained_model import TrainedModel


class PyFunc:
    """The model as MLflow calls it."""

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained  # its `missing` holds unless params say otherwise

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return what :meth:`TrainedModel.predict` does; with ``params={"horizon": 3}`` the next steps of a series.

        ``params={"missing": "impute"}`` fills values that are missing for the first time.

        Raises:
            MlflowException: the rows cannot be used; MLflow's server makes a 400 of it.
        """
        from mlflow.exceptions import MlflowException

        try:
            _check_cells(model_input)
            if horizon := (params or {}).get("horizon"):
                return self.trained.forecast(model_input, int(horizon))
            return self.trained.predict(model_input, (params or {}).get("missing"))
        except RequestError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


def _check_cells(rows: pd.DataFrame) -> None:
    """Refuse what JSON may hold and no file of rows can."""
    for name, column in rows.items():
        for row, value in column.items() if column.dtype == object else ():
            if isinstance(value, list | dict | np.ndarray):
                raise RequestError(
                    [f"column {name}"], f"holds a list or mapping in row {row}", value, "Give one value."
                )


def _load_pyfunc(path: str) -> PyFunc:
    """Load for MLflow, which finds this function by name."""
    return PyFunc(load(Path(path)))
