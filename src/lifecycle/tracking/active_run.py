"""Records a fit in the MLflow run that a Python caller has open, which stays open."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lifecycle.config.request import Request
from lifecycle.errors import RequestError, TrackingError, first_line
from lifecycle.tracking.messages import Message, RepeatableMessage, RunMessage
from lifecycle.tracking.run import Run, describe
from lifecycle.tracking.writer import RunWriter

FIT_PARAM = "trainer.max_epochs"
"""A run with this parameter holds a fit already."""


class DirectRecorder:
    """Records in this process, with the caller's MLflow: a :class:`lifecycle.tracking.client.Recorder`."""

    def __init__(self, run_id: str) -> None:
        import mlflow

        # Without an address: the client is of the server or the folder that the caller has set.
        self._writer = RunWriter(mlflow.MlflowClient(), run_id)

    def keep(self, messages: Sequence[RepeatableMessage]) -> None:
        """Do nothing: what cannot be written ends the fit."""

    def send(self, message: RunMessage[Any], kept: bool = False) -> None:
        """Write a message at once.

        Raises:
            TrackingError: MLflow refuses it, for instance as a second fit has other parameters in the same run.
        """
        assert isinstance(message, RepeatableMessage)  # noqa: S101 - others end a run, and this one is the caller's
        try:
            self._writer.write(message)
        except Exception as error:  # whatever MLflow, its server or the disk raise
            first = first_line(error)
            raise TrackingError(
                f"the active MLflow run {self._writer.run_id} could not record the fit ({type(message).__name__}): "
                f"{first}. A run takes one fit: open another, mlflow.start_run(nested=True), for the next; or "
                "fit(track=False)."
            ) from error

    def ask(self, message: Message[Any], within: float | None = None) -> Any:
        """Refuse: the caller creates, resumes and ends the run."""
        raise TypeError(f"a run of the caller takes no {type(message).__name__}")


@contextmanager
def active_run(request: Request, active: Any) -> Iterator[Run]:
    """Record a request in a run that is open.

    Args:
        request: of the fit.
        active: what ``mlflow.active_run()`` returns.

    Raises:
        RequestError: the run holds a fit already.
    """
    import mlflow

    run_id = active.info.run_id
    # MLflow refuses to change a parameter, so that a second fit could not record its own.
    if FIT_PARAM in mlflow.MlflowClient().get_run(run_id).data.params:
        raise RequestError(
            f"the active MLflow run {run_id}",
            "holds a fit already",
            remedy="Open another for this one, mlflow.start_run(nested=True), or leave it unrecorded with "
            "fit(track=False).",
        )
    scratch = Path(tempfile.mkdtemp(prefix="lifecycle-"))
    try:
        name = active.info.run_name or run_id
        run = Run(DirectRecorder(run_id), run_id, name, scratch, scratch, scratch, is_callers=True)
        describe(run, request)
        yield run
        run.send()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
