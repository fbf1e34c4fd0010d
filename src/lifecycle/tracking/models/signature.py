"""The MLflow signature of a saved model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.models import ModelSignature


def signature_of(
    columns: Iterable[str], outputs: dict[str, str] | None = None, params: dict[str, int | str] | None = None
) -> ModelSignature:
    """Return a signature whose input columns may hold any type.

    The saved model checks its rows itself, with better messages. MLflow would refuse an integer in a column of floats,
    and a missing value where the example had none.

    Args:
        columns: those that a prediction reads; MLflow drops all others.
        outputs: MLflow's type of each output column.
        params: what ``predict`` takes in addition to rows, with its defaults.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema

    anything: Any = AnyType
    inputs = Schema([ColSpec(anything(), name, required=False) for name in columns])
    output_schema = None if outputs is None else Schema([ColSpec(kind, name) for name, kind in outputs.items()])
    kinds = {int: DataType.long, str: DataType.string}
    specs = [ParamSpec(name, kinds[type(default)], default) for name, default in (params or {}).items()]
    param_schema: Any = ParamSchema(specs) if specs else None
    return ModelSignature(inputs, output_schema, param_schema)
