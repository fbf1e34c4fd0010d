"""The MLflow run: opened once, told of every step, closed with the status that it truly ended with."""

from __future__ import annotations

import json
import re
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock
from omegaconf import DictConfig, OmegaConf

from lifecycle.config import Request
from lifecycle.errors import Interrupted, LifecycleError
from lifecycle.processes import signals_ignored
from lifecycle.provenance import commit, installed, versions
from lifecycle.store import Store, close_dead_runs, open_store

if TYPE_CHECKING:
    import pandas as pd

SECONDS_BETWEEN = 5.0
"""History is sent this often, and at the end, so that a page that is open moves and a short epoch costs nothing."""

MOST_PARAM_CHARACTERS = 6000
WORKED_OUT = re.compile(r"loss|metrics|trainer\.batch_size|schedule\..*")
"""Parameters that may be left open, and are recorded as they were worked out from the request and the data."""
ONE_VALUE = ("class_weights",)  # its keys are the user's, and MLflow takes few characters in a name
METRICS_A_BATCH = 1000
CARD = ("data.source", "data.licence", "data.note")


@dataclass
class Run:
    """One MLflow run that is going on."""

    store: Store
    id: str
    name: str
    _unsent: list[Any] = field(default_factory=list)
    _sent: float = field(default_factory=time.monotonic)

    @property
    def checkpoints(self) -> Path:
        """Folder of the run's checkpoints."""
        return self.store.checkpoints(self.id)

    @property
    def artifacts(self) -> Path:
        """Folder of the run's artifacts."""
        uri: str = self.store.client.get_run(self.id).info.artifact_uri
        return Path(url2pathname(urlsplit(uri).path))

    def log_epoch(self, row: dict[str, float]) -> None:
        """Take an epoch's scores; they are sent now and then, the step being the epoch."""
        from mlflow.entities import Metric

        now, epoch = int(time.time() * 1000), int(row["epoch"])
        scores = {name: value for name, value in row.items() if not name.startswith("epoch")}
        self._unsent += [Metric(name, value, now, epoch) for name, value in scores.items()]
        if time.monotonic() - self._sent >= SECONDS_BETWEEN:
            self.send()

    def log_scores(self, scores: dict[str, float]) -> None:
        """Record scores of the finished model: one point each, at step 0, which the UI draws as bars side by side."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._unsent += [Metric(name, value, now, 0) for name, value in scores.items()]

    def send(self) -> None:
        """Send what is waiting."""
        waiting, self._unsent = self._unsent, []
        for start in range(0, len(waiting), METRICS_A_BATCH):
            self.store.client.log_batch(self.id, metrics=waiting[start : start + METRICS_A_BATCH])
        self._sent = time.monotonic()

    def log_data(self, name: str, digest: str, source: str, rows: int) -> None:
        """Record which data the run saw."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest[:16],  # MLflow keeps 36 characters; the whole digest is a tag
            source_type="local",
            source=json.dumps({"uri": source}),
            profile=json.dumps({"num_rows": rows}),
        )
        self.store.client.log_inputs(self.id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        self.store.client.set_tag(self.id, "data.sha256", digest)

    def log_worked_out(self, request: Request, **values: Any) -> None:
        """Record the parameters of :data:`WORKED_OUT` that the request left open, dots written as ``__``."""
        from mlflow.entities import Param

        asked = flatten(request.config)
        named = {key.replace("__", "."): str(value) for key, value in values.items()}
        params = [Param(key, value) for key, value in named.items() if key in asked and asked[key] is None]
        self.store.client.log_batch(self.id, params=params)

    def log_text(self, text: str, name: str) -> None:
        """Record a text as an artifact."""
        self.store.client.log_text(self.id, text, name)

    def log_file(self, file: Path, folder: str | None = None) -> None:
        """Record a file as an artifact."""
        self.store.client.log_artifact(self.id, str(file), folder)

    def log_folder(self, folder: Path) -> None:
        """Record the files of a folder as artifacts."""
        self.store.client.log_artifacts(self.id, str(folder))

    def tag(self, **tags: str) -> None:
        """Set tags."""
        for name, value in tags.items():
            self.store.client.set_tag(self.id, name, value[:5000])

    def log_model(self, folder: Path, columns: Iterable[str], predictions: pd.DataFrame) -> None:
        """Record a saved model as an MLflow model that takes raw rows; nothing of it is pickled.

        Args:
            folder: the three files.
            columns: those that a prediction reads.
            predictions: some of them, for the types of what comes out.
        """
        import mlflow.pyfunc
        from mlflow.models import Model, ModelSignature
        from mlflow.types.schema import AnyType, ColSpec, Schema

        # The saved model checks its rows itself, and says more; MLflow would refuse a whole number for one with a
        # fraction, and a value that is missing for the first time.
        anything: Any = AnyType
        inputs = Schema([ColSpec(anything(), name, required=False) for name in columns])
        kinds = {"f": "double", "i": "long", "b": "boolean"}
        outputs = Schema(
            [ColSpec(kinds.get(predictions[name].dtype.kind, "string"), str(name)) for name in predictions]
        )
        Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.pyfunc,
            run_id=self.id,
            loader_module="lifecycle.saved",
            data_path=str(folder),
            pip_requirements=[f"{name}=={version}" for name, version in versions().items() if name != "python"],
            signature=ModelSignature(inputs=inputs, outputs=outputs),
        )


@contextmanager
def track(request: Request) -> Iterator[Run]:
    """Open a run, record the request, and close it as FINISHED, FAILED or KILLED, as the block truly ends.

    While the block runs, a lock on the run's folder is held; a run called RUNNING whose lock is free was killed
    without a chance to say so, and is put right by whoever opens the database next.
    """
    store = open_store(request.tracking)
    with store.lock():  # a run is never seen without its own lock
        run = _create(store, request)
        lock = FileLock(run.checkpoints / ".lock")
        try:
            run.checkpoints.mkdir(parents=True)
            lock.acquire()
            close_dead_runs(store)
        except BaseException as error:
            _fail(run, error)
            raise
    try:
        _record(run, request)
        yield run
        run.send()
        store.client.set_terminated(run.id, "FINISHED")
    except BaseException as error:
        _fail(run, error)
        raise
    finally:
        lock.release()


def record_failure(request: Request, error: BaseException) -> None:
    """Leave a FAILED run for a request that ended before its run was opened."""
    with suppress(type(error)), track(request):
        raise error


def _create(store: Store, request: Request) -> Run:
    tags = {
        "mlflow.source.name": "lifecycle",
        "mlflow.source.type": "LOCAL",
        "lifecycle.command": request.command,
        "lifecycle.overrides": " ".join(request.overrides),
        "lifecycle.model": request.choices["model"],
        "lifecycle.data": request.choices["data"],
        **({"lifecycle.sweep": request.sweep} if request.sweep else {}),
        **commit(),
    }
    created = store.client.create_run(store.experiment_id, tags=tags, run_name=request.run_name)
    return Run(store, created.info.run_id, request.run_name)


def _record(run: Run, request: Request) -> None:
    from mlflow.entities import Param, RunTag

    values = {**request.choices, **flatten(request.config)}
    values = {key: value for key, value in values.items() if key not in CARD}  # these are about the data, not the run
    open_yet = [key for key, value in values.items() if value is None and WORKED_OUT.fullmatch(key)]
    for key in open_yet:
        del values[key]  # comes with log_worked_out()
    params = [Param(key, str(value)[:MOST_PARAM_CHARACTERS]) for key, value in values.items()]
    tags = [RunTag(f"version.{name}", version) for name, version in versions().items()]
    for start in range(0, len(params), 100):
        run.store.client.log_batch(run.id, params=params[start : start + 100], tags=tags if start == 0 else [])
    chosen = " ".join(f"{group}={name}" for group, name in sorted(request.choices.items()))
    run.log_text(f"# {request.command}\n# {chosen}\n{OmegaConf.to_yaml(request.config)}", "config.yaml")
    run.log_text(installed(), "requirements.txt")


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of a configuration by dotted key; a list is one value."""
    flat: dict[str, Any] = {}
    for key in node:
        value = node[key]
        if isinstance(value, DictConfig) and f"{prefix}{key}" not in ONE_VALUE:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return flat


def _fail(run: Run, error: BaseException) -> None:
    """Close a run that did not succeed. The error is the one to be told, whatever happens here."""
    killed = isinstance(error, Interrupted | KeyboardInterrupt)
    told = isinstance(error, LifecycleError | Interrupted)
    with signals_ignored():
        with suppress(Exception):
            run.send()
        with suppress(Exception):
            run.tag(**{"lifecycle.error": str(error) if told else f"{type(error).__name__}: {error}"})
            if not told:
                run.log_text("".join(traceback.format_exception(error)), "error.txt")
        with suppress(Exception):
            run.store.client.set_terminated(run.id, "KILLED" if killed else "FAILED")
