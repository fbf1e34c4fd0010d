"""A client of a local database that records runs by SQL, and asks MLflow's own for everything else."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import singledispatchmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lifecycle import layout
from lifecycle.tracking.database.connection import connect
from lifecycle.tracking.database.faults import WAITS
from lifecycle.tracking.database.tables import has_known_schema, insert, is_known_version, run_row
from lifecycle.tracking.direct import mlmodel, rows
from lifecycle.tracking.messages import (
    LogDataset,
    LogFile,
    LogFolder,
    LogMetrics,
    LogModel,
    LogParams,
    LogTags,
    LogText,
    RepeatableMessage,
    SetTags,
)
from lifecycle.tracking.pages import tags
from lifecycle.tracking.transfer.locations import path_of


def is_possible(file: Path) -> bool:
    """Return whether the runs of a database can be recorded without MLflow."""
    return has_known_schema(file) and is_known_version()


class DirectClient:
    """Has the methods of ``mlflow.MlflowClient``; those that recording a run needs are done here.

    Args:
        file: the database.
        connect: imports MLflow and returns its client of the database, for all other methods.
    """

    def __init__(self, file: Path, connect: Callable[[], Any]) -> None:
        self._path, self._connect, self._mlflows = file, connect, None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._others, name)

    @property
    def _others(self) -> Any:
        """MLflow's client."""
        if self._mlflows is None:
            self._mlflows = self._connect()
        return self._mlflows

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Open the database, and write what the block does in one transaction."""
        with closing(connect(self._path, to_write=True, wait=WAITS)) as database, database:
            yield database

    def get_experiment_by_name(self, name: str) -> Any:
        """Return an experiment; ``None``: there is none of this name."""
        columns = "experiment_id, name, artifact_location, lifecycle_stage"
        with self._database() as database:
            found = database.execute(f"SELECT {columns} FROM experiments WHERE name = ?", (name,)).fetchone()  # noqa: S608 - ours
        if found is None:
            return None
        return SimpleNamespace(
            experiment_id=str(found[0]), name=found[1], artifact_location=found[2], lifecycle_stage=found[3]
        )

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Mapping[str, str] | None = None,
        run_name: str | None = None,
    ) -> Any:
        """Create a run and return what is known of it: ``info.run_id`` and ``info.artifact_uri``."""
        if tags is None or run_name is None:  # MLflow makes a name
            return self._others.create_run(experiment_id, start_time, tags, run_name)
        begun = int(time.time() * 1000) if start_time is None else start_time
        run, experiment = uuid.uuid4().hex, int(experiment_id)
        with self._database() as database:
            find = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
            (location,) = database.execute(find, (experiment,)).fetchone()
            uri, user = f"{location}/{run}/artifacts", tags.get("mlflow.user", "unknown")
            insert(database, "runs", [run_row(run, run_name, user, "RUNNING", (begun, None), uri, experiment)])
            rows.set_tags(database, run, {**tags, "mlflow.runName": run_name})
        return SimpleNamespace(info=SimpleNamespace(run_id=run, artifact_uri=uri))

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag of a run."""
        with self._database() as database:
            rows.set_tags(database, run_id, {key: value})

    def set_terminated(self, run_id: str, status: str = "FINISHED", end_time: int | None = None) -> None:
        """End a run."""
        at = int(time.time() * 1000) if end_time is None else end_time
        with self._database() as database:
            ended = "UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?"
            database.execute(ended, (status, at, run_id))

    @singledispatchmethod
    def record(self, message: RepeatableMessage, run_id: str) -> bool:
        """Record a message of a run, and return whether that is done here."""
        return False

    @record.register
    def _params(self, message: LogParams, run_id: str) -> bool:
        with self._database() as database:
            rows.set_params(database, run_id, message.params)
        return True

    @record.register
    def _tags(self, message: SetTags, run_id: str) -> bool:
        with self._database() as database:
            rows.set_tags(database, run_id, tags.as_stored(message.tags))
        return True

    @record.register
    def _listed(self, _: LogTags, run_id: str) -> bool:
        with self._database() as database:
            found = dict(database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run_id,)))
        return self._text(LogText(json.dumps(tags.listed(found), indent=2) + "\n", layout.TAGS), run_id)

    @record.register
    def _metrics(self, message: LogMetrics, run_id: str) -> bool:
        with self._database() as database:
            rows.add_points(database, run_id, message.points)
        return True

    @record.register
    def _dataset(self, message: LogDataset, run_id: str) -> bool:
        source, profile = json.dumps({"uri": message.source}), json.dumps({"num_rows": message.rows})
        with self._database() as database:
            experiment, _ = self._place(database, run_id)
            rows.add_dataset(database, run_id, experiment, message.name, message.digest[:16], source, profile)
            rows.set_tags(database, run_id, {tags.stored(layout.DATA_DIGEST): message.digest})
        return True

    @record.register
    def _text(self, message: LogText, run_id: str) -> bool:
        (self._artifacts(run_id, Path(message.name).parent) / Path(message.name).name).write_text(
            message.text, encoding="utf-8"
        )
        return True

    @record.register
    def _file(self, message: LogFile, run_id: str) -> bool:
        shutil.copy2(message.file, self._artifacts(run_id, message.folder))
        return True

    @record.register
    def _folder(self, message: LogFolder, run_id: str) -> bool:
        shutil.copytree(message.folder, self._artifacts(run_id, message.into), dirs_exist_ok=True)
        return True

    @record.register
    def _model(self, message: LogModel, run_id: str) -> bool:
        with self._database() as database:
            mlmodel.record(database, message, run_id, *self._place(database, run_id))
        return True

    def _artifacts(self, run_id: str, folder: str | Path | None) -> Path:
        """Return a folder of the artifacts of a run, which is made."""
        with self._database() as database:
            _, uri = self._place(database, run_id)
        into = path_of(uri) / (folder or "")
        into.mkdir(parents=True, exist_ok=True)
        return into

    @staticmethod
    def _place(database: sqlite3.Connection, run_id: str) -> tuple[int, str]:
        """Return the experiment of a run, and the address of its artifacts."""
        found = "SELECT experiment_id, artifact_uri FROM runs WHERE run_uuid = ?"
        experiment, uri = database.execute(found, (run_id,)).fetchone()
        return int(experiment), str(uri)
