"""The MLflow run that a caller from Python has open: told of a fit in this process, and left open."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lifecycle.config.schema import Request
from lifecycle.errors import RequestError, TrackingError
from lifecycle.tracking.backend import MLflowRun
from lifecycle.tracking.run import Run, describe

KEPT = "trainer.max_epochs"
"""A parameter by which a run that holds a fit is known."""


class Here:
    """In place of :class:`lifecycle.tracking.client.Recorder`: calls MLflow here and at once, as the caller does."""

    def __init__(self, run_id: str) -> None:
        import mlflow

        self.run = MLflowRun()
        self.run.run_id = run_id
        self.run.store = SimpleNamespace(client=mlflow.MlflowClient())  # type: ignore[assignment]

    def tell(self, verb: str, **values: Any) -> None:
        """Record something.

        Raises:
            TrackingError: MLflow would not have it, as where a second fit has other parameters in the same run.
        """
        try:
            getattr(self.run, verb)(**values)
        except Exception as error:  # whatever MLflow, its server or the disk raise
            first = str(error).strip().splitlines()[0].rstrip(".")
            raise TrackingError(
                f"the active MLflow run {self.run.run_id} could not be told of the fit ({verb}): {first}. A run takes "
                "one fit: open another, mlflow.start_run(nested=True), for the next; or fit(track=False)."
            ) from error


@contextmanager
def callers_run(request: Request, active: Any) -> Iterator[Run]:
    """Record a request in a run that is open, and give what the fit is told to.

    Args:
        request: of the fit.
        active: what ``mlflow.active_run()`` returns.

    Raises:
        RequestError: the run holds a fit already.
    """
    import mlflow

    if KEPT in mlflow.MlflowClient().get_run(active.info.run_id).data.params:
        raise RequestError(
            f"the active MLflow run {active.info.run_id} holds a fit already. Open another for this one, "
            "mlflow.start_run(nested=True), or leave it unrecorded with fit(track=False)."
        )
    scratch = Path(tempfile.mkdtemp(prefix="lifecycle-"))
    try:
        name = active.info.run_name or active.info.run_id
        run = Run(Here(active.info.run_id), active.info.run_id, name, scratch, scratch, scratch)  # type: ignore[arg-type]
        describe(run, request)
        yield run
        run.send()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
