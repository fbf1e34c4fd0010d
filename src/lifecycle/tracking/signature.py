"""What MLflow is told of the rows that a model takes and gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

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
