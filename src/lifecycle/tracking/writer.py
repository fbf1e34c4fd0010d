"""Writes what a run records to MLflow, in the process that records or in the caller's own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import singledispatchmethod
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.layout import DATA_DIGEST
from lifecycle.tracking.direct.client import DirectClient
from lifecycle.tracking.messages import (
    LogDataset,
    LogFigures,
    LogFile,
    LogFolder,
    LogMetrics,
    LogModel,
    LogParams,
    LogRequest,
    LogTags,
    LogText,
    RepeatableMessage,
    SetTags,
)
from lifecycle.tracking.models.logged import LOADER, OF_EPOCHS, OF_SOURCE, is_saved, name_of
from lifecycle.tracking.models.signature import signature_of
from lifecycle.tracking.pages import tags
from lifecycle.tracking.provenance import installed, version_tags, versions
from lifecycle.tracking.store import artifacts

MAX_METRICS, MAX_PARAMS = 1000, 100
"""Of one request; MLflow's REST API refuses more, and its database store keeps the same limits."""

Draw = Callable[[Path, "LogFigures"], None]
"""Draws the figures of a run into a folder."""


class RunWriter:
    """Writes the messages of one run.

    Args:
        client: ``mlflow.MlflowClient``.
        run_id: of the run.
        draw: draws its figures; ``None``: it has none.
    """

    def __init__(self, client: Any, run_id: str, draw: Draw | None = None) -> None:
        self.client, self.run_id, self._draw = client, run_id, draw

    @singledispatchmethod
    def write(self, message: RepeatableMessage) -> None:
        """Write a message; there is a method for each class."""
        raise TypeError(f"no run is written by {type(message).__name__}")

    @write.register
    def _request(self, message: LogRequest) -> None:
        self.write(LogParams(message.params))
        self.write(SetTags(version_tags()))
        self.write(LogText(message.config, layout.CONFIG))
        self.write(LogText(installed(), layout.REQUIREMENTS))

    @write.register
    def _params(self, message: LogParams) -> None:
        from mlflow.entities import Param

        # In batches: MLflow limits the parameters of one request.
        listed = [Param(key, value) for key, value in message.params.items()]
        for start in range(0, len(listed), MAX_PARAMS):
            self.client.log_batch(self.run_id, params=listed[start : start + MAX_PARAMS])

    @write.register
    def _metrics(self, message: LogMetrics) -> None:
        from mlflow.entities import Metric

        # log_batch takes milliseconds and steps as given; log_metric would stamp each point with the time of writing.
        listed = [Metric(*point) for point in message.points]
        for start in range(0, len(listed), MAX_METRICS):
            self.client.log_batch(self.run_id, metrics=listed[start : start + MAX_METRICS])

    @write.register
    def _dataset(self, message: LogDataset) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=message.name,
            digest=message.digest[:16],  # MLflow keeps 36 characters; the whole digest is a tag
            source_type="local",
            source=json.dumps({"uri": message.source}),
            profile=json.dumps({"num_rows": message.rows}),
        )
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        self.write(SetTags({DATA_DIGEST: message.digest}))

    @write.register
    def _tags(self, message: SetTags) -> None:
        from mlflow.entities import RunTag

        listed = [RunTag(name, text) for name, text in tags.as_stored(message.tags).items()]
        self.client.log_batch(self.run_id, tags=listed)

    @write.register
    def _listed(self, _: LogTags) -> None:
        listed = tags.listed(self.client.get_run(self.run_id).data.tags)
        self.client.log_text(self.run_id, json.dumps(listed, indent=2) + "\n", layout.TAGS)

    @write.register
    def _text(self, message: LogText) -> None:
        self.client.log_text(self.run_id, message.text, message.name)

    @write.register
    def _file(self, message: LogFile) -> None:
        self.client.log_artifact(self.run_id, message.file, message.folder)

    @write.register
    def _folder(self, message: LogFolder) -> None:
        self.client.log_artifacts(self.run_id, message.folder, message.into)

    @write.register
    def _figures(self, message: LogFigures) -> None:
        if self._draw is None:
            return
        predictions = Path(message.predictions)
        folder = predictions.with_suffix("")
        folder.mkdir(exist_ok=True)  # it exists where the message is repeated
        self._draw(folder, message)
        self.write(LogFolder(str(folder), message.into))

    @write.register
    def _model(self, message: LogModel) -> None:
        import mlflow.pyfunc
        from mlflow.models import Model

        run = self.client.get_run(self.run_id)
        if is_saved(self.client, run, Path(message.folder)):
            return  # the run was killed after its model was logged, and has been resumed
        # With pip_requirements, as MLflow would otherwise load the model once more to infer them.
        logged = Model.log(
            artifact_path=None,  # since MLflow 3 a model is an entity with its own artifacts, not a folder of the run's
            name=name_of(message.name),
            flavor=mlflow.pyfunc,
            run_id=self.run_id,
            step=message.step,  # MLflow gives the model the run's scores of this step
            loader_module=LOADER,
            data_path=message.folder,
            pip_requirements=[f"{name}=={version}" for name, version in versions().items() if name != "python"],
            signature=signature_of(message.columns, message.outputs, message.params),
        )
        self._set_source(run, logged.model_id)
        self._score_model(run, logged.model_id, message.step)

    def _set_source(self, run: Any, model_id: str) -> None:
        """Give a model the source of its run: MLflow names the module of this process, with the commit of its folder.

        Where the path of that module contains "git", the page of the model would show it as a link.
        """
        wanted = {name: text for name, text in run.data.tags.items() if name.startswith(OF_SOURCE)}
        found = self.client.get_logged_model(model_id).tags
        for name in found.keys() - wanted:
            if name.startswith(OF_SOURCE):
                self.client.delete_logged_model_tag(model_id, name)
        self.client.set_logged_model_tags(model_id, wanted)

    def _score_model(self, run: Any, model_id: str, step: int) -> None:
        """Give a model the final scores of its run, and with them its data set; it has those of ``step`` already."""
        from mlflow.entities import Metric

        inputs = run.inputs.dataset_inputs if run.inputs is not None else []
        data = inputs[0].dataset if inputs else None
        about = {} if data is None else {"dataset_name": data.name, "dataset_digest": data.digest}
        final = [name for name in run.data.metrics if not name.startswith(OF_EPOCHS)]
        points = [self.client.get_metric_history(self.run_id, name)[-1] for name in final]
        scores = [
            Metric(one.key, one.value, one.timestamp, one.step, model_id=model_id, run_id=self.run_id, **about)
            for one in points
            if one.step != step and not math.isnan(one.value)  # which MLflow would store as 0
        ]
        if scores:
            self.client.log_batch(self.run_id, metrics=scores)


class DirectWriter(RunWriter):
    """Writes what it can by SQL, and the rest as :class:`RunWriter` does."""

    def write(self, message: RepeatableMessage) -> None:
        """Write a message."""
        if not self.client.record(message, self.run_id):
            super().write(message)


def writer_of(client: Any, run_id: str, draw: Draw | None = None) -> RunWriter:
    """Return what writes the messages of one run; see :class:`RunWriter`."""
    return (DirectWriter if isinstance(client, DirectClient) else RunWriter)(client, run_id, draw)


def log_later(client: Any, run_id: str) -> None:
    """Log the MLflow model of a run of a vectorised group, once it is needed."""
    files = artifacts(client.get_run(run_id))
    later = files / layout.MODEL_LATER
    if later.is_file():
        writer_of(client, run_id).write(LogModel(str(files / layout.SAVED), **json.loads(later.read_text())))
        later.unlink()
