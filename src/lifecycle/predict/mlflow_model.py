"""What MLflow is told of the rows that a model takes and gives."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle.errors import RequestError
from lifecycle.predict.saved_model import load
from lifecycle.predict.trained_model import TrainedModel

if TYPE_CHECKING:
    from mlflow.models import ModelSignature


def signature_of(
    columns: Iterable[str], outputs: dict[str, str] | None = None, params: dict[str, int | str] | None = None
) -> ModelSignature:
    """Return a signature whose columns may hold anything.

    The saved model checks its rows itself, and says more; MLflow would refuse a whole number for one with a fraction,
    and a value that is missing for the first time.

    Args:
        columns: those that a prediction reads; MLflow leaves out all others.
        outputs: MLflow's type of each column that comes out.
        params: what ``predict`` takes in addition to rows, and its value where it is not given.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema

    anything: Any = AnyType
    inputs = Schema([ColSpec(anything(), name, required=False) for name in columns])
    given = None if outputs is None else Schema([ColSpec(kind, name) for name, kind in outputs.items()])
    kinds = {int: DataType.long, str: DataType.string}
    specs = [ParamSpec(name, kinds[type(default)], default) for name, default in (params or {}).items()]
    beside: Any = ParamSchema(specs) if specs else None
    return ModelSignature(inputs, given, beside)


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
                raise RequestError(f"column {name} holds a list or mapping in row {row}, got {value}. Give one value.")


def _load_pyfunc(path: str) -> PyFunc:
    """Load for MLflow, which finds this function by name."""
    return PyFunc(load(Path(path)))
