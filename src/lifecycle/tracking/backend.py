"""An MLflow run, in the process that records it: opened, told what happens, given its pictures, closed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import RequestError
from lifecycle.tracking import end_notes, model_registry, search
from lifecycle.tracking.database_faults import wait_until_free
from lifecycle.tracking.provenance import commit, installed, version_tags, versions
from lifecycle.tracking.signature import signature_of
from lifecycle.tracking.store import Store, artifacts, close_dead_runs, database_uri, open_store, sweep_runs

METRICS_A_BATCH, PARAMS_A_BATCH = 1000, 100
MOST_TAG_CHARACTERS = 5000
USED_LATER = ("mlflow.models", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "git")
"""Imported while the main process is busy."""

Draw = Callable[[Path, "dict[str, Any] | None", Path, "dict[str, Any]"], None]
"""Draws the figures of a run into a folder, from its history, its predictions (Parquet) and its DataSpec."""

SECONDS_OF_CLOSING = 3.0
"""As long may a run that was ended with kill -9 take until it is closed, and can be opened again."""


class MLflowRun:
    """The run that is open, if one is; each public method is a verb of :mod:`lifecycle.tracking.client`.

    Args:
        draw: draws figures; ``None``: there are none.
        used_later: modules to import while the main process is busy.
    """

    store: Store
    run_id: str | None = None

    def __init__(self, draw: Draw | None = None, used_later: Sequence[str] = ()) -> None:
        self._draw, self._used_later = draw, (*USED_LATER, *used_later)
        self._lock: FileLock | None = None
        self._scratch, self._artifacts = "", Path()
        self._status: str | None = None  # of a run that is only added to

    def warm(self, dir: str, cwd: str) -> None:
        """Import what a run will need, and connect to its database if there is one."""
        os.chdir(cwd)
        for name in self._used_later:
            import_module(name)
        import mlflow

        folder = Path(dir).expanduser().absolute()
        if (folder / "mlflow.db").is_file():
            with FileLock(folder / ".lock"):
                wait_until_free(folder / "mlflow.db", 0)  # one that is not is reported when it is needed
                mlflow.MlflowClient(database_uri(folder)).search_experiments(max_results=1)

    def open(self, cwd: str, tracking: dict[str, Any], name: str, tags: dict[str, str], scratch: str) -> dict[str, Any]:
        """Open a run, and remove the folder ``scratch`` when it is closed.

        While it is open, a lock on the run's folder is held; a run called RUNNING whose lock is free was ended without
        a chance to say so, and is put right by whoever opens the database next.
        """
        os.chdir(cwd)
        self.run_id, self._scratch = None, scratch
        self.store = open_store(TrackingConfig(**tracking))
        with self.store.lock():  # a run is never seen without its own lock
            created = self.store.client.create_run(self.store.experiment_id, tags={**tags, **commit()}, run_name=name)
            self.run_id, self._artifacts = created.info.run_id, artifacts(created)
            folder = self.store.checkpoints(self.run_id)
            folder.mkdir(parents=True)
            self._lock = FileLock(folder / ".lock")
            self._lock.acquire()
            self.store.reserve(self.run_id)
            close_dead_runs(self.store)
        return {
            "run_id": self.run_id,
            "folder": str(self.store.folder),
            "artifacts": str(artifacts(created)),
        }

    def reopen(self, cwd: str, tracking: dict[str, Any], run_id: str, scratch: str) -> dict[str, Any]:
        """Open a run that was made, to add to what it came to, which leaves its status alone, or to :meth:`go_on`.

        Raises:
            RequestError: another process is still going on with it.
        """
        os.chdir(cwd)
        self.run_id, self._scratch = None, scratch
        self.store = open_store(TrackingConfig(**tracking))
        found = self.store.client.get_run(run_id)
        folder = self.store.checkpoints(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=SECONDS_OF_CLOSING)
        try:
            lock.acquire()
        except Timeout as error:
            raise RequestError(
                f"run {found.info.run_name} ({run_id}) is still going on in another process. Wait for its end."
            ) from error
        found = self.store.client.get_run(run_id)  # as whoever had it until now has left it
        self.run_id, self._lock, self._status = run_id, lock, found.info.status
        self._artifacts = artifacts(found)
        return {"run_id": run_id, "folder": str(self.store.folder), "artifacts": str(artifacts(found))}

    def go_on(self) -> dict[str, Any]:
        """Have a run that was opened again be RUNNING, and return the points of its metrics: step and value.

        What it ended with before is kept under another name.
        """
        client = self.store.client
        found = client.get_run(self.run_id)
        self.tags({"lifecycle.resumed": str(int(found.data.tags.get("lifecycle.resumed", 0)) + 1)})
        if "lifecycle.error" in found.data.tags:
            self.tags({"lifecycle.error_before": found.data.tags["lifecycle.error"]})
            client.delete_tag(self.run_id, "lifecycle.error")
        error = artifacts(found) / "error.txt"
        if error.is_file():
            error.replace(error.with_name("error_before.txt"))
        self.store.reserve(str(self.run_id))
        client.update_run(self.run_id, status="RUNNING")
        self._status = None
        histories = {name: client.get_metric_history(self.run_id, name) for name in found.data.metrics}
        return {"known": {name: [(point.step, point.value) for point in points] for name, points in histories.items()}}

    def find(
        self, cwd: str, tracking: dict[str, Any], run: str, statuses: list[str], metric: str | None, sweep: str | None
    ) -> dict[str, Any]:
        """Return one run; see :mod:`lifecycle.tracking.search`."""
        os.chdir(cwd)
        return search.find(open_store(TrackingConfig(**tracking)), run, statuses, metric, sweep)

    def close_dead(self, cwd: str, tracking: dict[str, Any]) -> dict[str, Any]:
        """Close the runs whose process is gone; see :func:`lifecycle.tracking.store.close_dead_runs`."""
        os.chdir(cwd)
        store = open_store(TrackingConfig(**tracking))
        with store.lock():
            close_dead_runs(store)
        return {}

    def find_many(
        self,
        cwd: str,
        tracking: dict[str, Any],
        runs: list[str],
        sweep: str | None,
        statuses: list[str],
        metric: str | None = None,
    ) -> dict[str, Any]:
        """Return several runs."""
        os.chdir(cwd)
        return {"runs": search.find_many(open_store(TrackingConfig(**tracking)), runs, sweep, statuses, metric)}

    def histories(self, cwd: str, tracking: dict[str, Any], run: str) -> dict[str, Any]:
        """Return what the epochs of a run came to."""
        os.chdir(cwd)
        return {"scores": search.histories(open_store(TrackingConfig(**tracking)), run)}

    def register(
        self, cwd: str, tracking: dict[str, Any], run_id: str, name: str, aliases: list[str]
    ) -> dict[str, Any]:
        """Give a name to the model of a run; see :mod:`lifecycle.tracking.model_registry`."""
        os.chdir(cwd)
        return model_registry.register(open_store(TrackingConfig(**tracking)), run_id, name, aliases)

    def describe(self, params: dict[str, str], config: str) -> None:
        """Record what was asked for, and with what it is done."""
        self.params(params)
        self.tags(version_tags())
        self.text(config, "config.yaml")
        self.text(installed(), "requirements.txt")

    def params(self, params: dict[str, str]) -> None:
        """Record parameters."""
        from mlflow.entities import Param

        listed = [Param(key, value) for key, value in params.items()]
        for start in range(0, len(listed), PARAMS_A_BATCH):
            self.store.client.log_batch(self.run_id, params=listed[start : start + PARAMS_A_BATCH])

    def metrics(self, points: list[tuple[str, float, int, int]]) -> None:
        """Record points: name, value, milliseconds, step."""
        from mlflow.entities import Metric

        listed = [Metric(*point) for point in points]
        for start in range(0, len(listed), METRICS_A_BATCH):
            self.store.client.log_batch(self.run_id, metrics=listed[start : start + METRICS_A_BATCH])

    def data(self, name: str, digest: str, source: str, rows: int) -> None:
        """Record which data the run saw."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest[:16],  # MLflow keeps 36 characters; the whole digest is a tag
            source_type="local",
            source=json.dumps({"uri": source}),
            profile=json.dumps({"num_rows": rows}),
        )
        self.store.client.log_inputs(
            self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        )
        self.tags({"data.sha256": digest})

    def tags(self, tags: dict[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        listed = [RunTag(name, value[:MOST_TAG_CHARACTERS]) for name, value in tags.items()]
        self.store.client.log_batch(self.run_id, tags=listed)

    def text(self, text: str, name: str) -> None:
        """Record a text as an artifact."""
        self.store.client.log_text(self.run_id, text, name)

    def file(self, file: str, folder: str | None) -> None:
        """Record a file as an artifact."""
        self.store.client.log_artifact(self.run_id, file, folder)

    def folder(self, folder: str, into: str | None = None) -> None:
        """Record the files of a folder as artifacts, ``into`` a folder of theirs."""
        self.store.client.log_artifacts(self.run_id, folder, into)

    def pictures(
        self, history: dict[str, Any] | None, predictions: str, spec: dict[str, Any], into: str | None = None
    ) -> None:
        """Draw the pictures of a run that has been fitted, or of rows that it scores, and record them as artifacts."""
        if self._draw is None:
            return
        folder = Path(predictions).with_suffix("")
        folder.mkdir(exist_ok=True)  # a second time where the database was busy
        self._draw(folder, history, Path(predictions), spec)
        self.folder(str(folder), into)

    def model(self, folder: str, columns: list[str], outputs: dict[str, str], params: dict[str, int | str]) -> None:
        """Record a saved model as an MLflow model that takes raw rows; nothing of it is pickled.

        Args:
            folder: the three files.
            columns: those that a prediction reads.
            outputs: MLflow's type of each column that comes out.
            params: what ``predict`` takes in addition to rows, and its value where it is not given.
        """
        import mlflow.pyfunc
        from mlflow.models import Model

        if search.is_saved(self.store, self.store.client.get_run(self.run_id), Path(folder)):
            return  # a run that was ended after this, and resumed
        Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.pyfunc,
            run_id=self.run_id,
            loader_module="lifecycle.saved",
            data_path=folder,
            pip_requirements=[f"{name}=={version}" for name, version in versions().items() if name != "python"],
            signature=signature_of(columns, outputs, params),
        )

    def finish(self) -> dict[str, Any]:
        """Close the run as FINISHED; one that was only added to, as it was."""
        if self._status is None:
            self.store.release(str(self.run_id))
            self.store.client.set_terminated(self.run_id, "FINISHED")
        self._closed()
        return {}

    def fail(self, status: str, error: str, trace: str | None) -> dict[str, Any]:
        """Close the run as FAILED or KILLED; where the database is not to be had, note it for who opens it next."""
        if self.run_id is not None and self._status is None:
            self.store.release(str(self.run_id))
            with suppress(OSError):
                if trace is not None:
                    (self._artifacts / "error.txt").write_text(trace)
            end_notes.close(self.store.folder, self.store.client, self.run_id, status, error)
        self._closed()
        return {}

    def sweep(self, cwd: str, tracking: dict[str, Any], sweep: str) -> dict[str, Any]:
        """Return the runs of a sweep."""
        os.chdir(cwd)
        store = open_store(TrackingConfig(**tracking))
        runs, note = sweep_runs(store, sweep)
        return {"folder": str(store.folder), "runs": runs, "note": note}

    def _closed(self) -> None:
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
        if self._lock is not None:
            self._lock.release()
        self.run_id, self._lock, self._scratch, self._status = None, None, "", None
