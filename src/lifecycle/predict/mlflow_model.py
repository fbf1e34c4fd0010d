"""The MLflow pyfunc of a saved model, which takes raw rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.errors import RequestError
from lifecycle.predict.saved_model import load
from lifecycle.predict.trained_model import TrainedModel


class PyFunc:
    """The interface by which MLflow calls a model."""

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the predictions of :meth:`TrainedModel.predict`, or with a horizon the next steps of a series.

        Args:
            model_input: raw rows.
            params: ``{"horizon": 3}`` forecasts 3 steps; ``{"missing": "impute"}`` fills missing values in columns that
                were complete in training, else the setting of the model applies.

        Raises:
            MlflowException: the rows cannot be used; MLflow's server answers with status 400.
        """
        from mlflow.exceptions import MlflowException

        try:
            _check_cells(model_input)
            if horizon := (params or {}).get("horizon"):
                return self.trained.forecast(model_input, int(horizon))
            return self.trained.predict(model_input, (params or {}).get("missing"))
        except RequestError as error:
            # Any other exception would be a 500 of MLflow's server, with a traceback.
            raise MlflowException.invalid_parameter_value(str(error)) from error


def _check_cells(rows: pd.DataFrame) -> None:
    """Refuse lists and mappings within a cell, which JSON may hold."""
    for name, column in rows.items():
        # Columns of other types cannot hold them, and need no loop in Python.
        for row, value in column.items() if column.dtype == object else ():
            if isinstance(value, list | dict | np.ndarray):
                raise RequestError(
                    [f"column {name}"], f"holds a list or mapping in row {row}", value, "Give one value."
                )


def _load_pyfunc(path: str) -> PyFunc:
    """Load a model; MLflow calls this function by name."""
    return PyFunc(load(Path(path)))
