"""Records many runs at once: their rows go into MLflow's database in a few statements, without MLflow.

A client's calls for one run take 0.3 s or more, most of it in a statement and a commit for each of them. The rows here
are those that MLflow's client writes, which a test compares, for the schemas that
:mod:`lifecycle.tracking.database.tables` knows.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import singledispatchmethod
from pathlib import Path
from typing import Any, cast

from filelock import FileLock

from lifecycle import layout
from lifecycle.config.request import Request
from lifecycle.config.schema import TrackingConfig
from lifecycle.config.tracking_address import identity
from lifecycle.credentials import masked
from lifecycle.errors import TrackingError
from lifecycle.runtime.processes import signals_ignored
from lifecycle.runtime.signals import interruption_kept
from lifecycle.tracking import provenance
from lifecycle.tracking.database import faults, tables
from lifecycle.tracking.database.connection import MAX_WAIT, connect
from lifecycle.tracking.messages import (
    FailRun,
    FinishRun,
    LogDataset,
    LogFile,
    LogFolder,
    LogMetrics,
    LogModel,
    LogParams,
    LogRequest,
    LogText,
    Message,
    RepeatableMessage,
    RunMessage,
    SetTags,
)
from lifecycle.tracking.pages import names
from lifecycle.tracking.pages.tags import as_stored
from lifecycle.tracking.parameters import tags_of
from lifecycle.tracking.provenance import commit, version_tags
from lifecycle.tracking.run import Run
from lifecycle.tracking.servers import outbox
from lifecycle.tracking.spool import end_notes
from lifecycle.tracking.transfer import locations

SECONDS_BETWEEN = 5.0
"""Interval at which points are written during the fit, as those of a single run are."""

WRITTEN = ("runs", "tags", "params", "metrics", "latest_metrics", "datasets", "input_tags")
"""The tables whose rows are written as they are; those of inputs need the id of their data set."""


@dataclass
class Rows(dict[str, list[tuple[Any, ...]]]):
    """Rows to be written, by table."""

    def add(self, table: str, *row: Any) -> None:
        """Add a row with the columns of :data:`lifecycle.tracking.database.tables.TABLES`."""
        self.setdefault(table, []).append(row)


def is_known(config: TrackingConfig) -> bool:
    """Return whether the database is there, with the experiment, and with a schema whose rows are written here."""
    file = Path(config.dir).expanduser().absolute() / layout.DATABASE
    if not tables.has_known_schema(file):
        return False
    try:
        with closing(connect(file)) as database:
            named = "SELECT 1 FROM experiments WHERE name = ? AND lifecycle_stage = 'active'"
            return database.execute(named, (config.experiment,)).fetchone() is not None
    except sqlite3.Error:  # it is locked
        return False


class BulkStore:
    """The database, for the runs of one group.

    Args:
        config: where the runs are recorded; the database exists, with the experiment.
    """

    def __init__(self, config: TrackingConfig) -> None:
        self.folder = Path(config.dir).expanduser().absolute()
        self._unsent, self._sent = Rows(), time.monotonic()
        self._locks, self._is_open = ExitStack(), False
        with FileLock(self.folder / layout.LOCK):
            locations.settle(self.folder)
        self._config, self._server = config, config.server
        with self._database() as database:
            found = database.execute(
                "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?", (config.experiment,)
            ).fetchone()
        self._experiment, self._location = int(found[0]), str(found[1])
        self._datasets: set[tuple[int, str, str]] = set()
        self._shared = {**commit(), **version_tags()}

    @contextmanager
    def open(self, requests: Sequence[Request], begun: Sequence[str | None] = (), **tags: str) -> Iterator[list[Run]]:
        """Create a run for each request, RUNNING until it is ended; those that are not at the end are KILLED.

        Args:
            requests: of the runs.
            begun: ids of runs that were killed in a group, which begin again; or ``None``.
            tags: of all runs, from the start.
        """
        ids = [known or uuid.uuid4().hex for known in begun or [None] * len(requests)]
        scratch = Path(tempfile.mkdtemp(prefix="lifecycle-"))
        runs: list[Run] = []
        try:
            with FileLock(self.folder / layout.LOCK):  # a process that closes dead runs must not see one unlocked
                for run in ids:
                    self._locks.enter_context(FileLock(self._checkpoints(run) / layout.LOCK))
                # A millisecond apart, since runs are listed by the time of their start.
                begin = int(time.time() * 1000)
                for number, (request, run, name) in enumerate(zip(requests, ids, self._names(requests), strict=True)):
                    record = self._begin(request, run, name, tags, begin + number)
                    runs.append(Run(record, run, name, self.folder, record.artifacts, scratch / run))
                self._unsent["cleared"] = [(run,) for run in begun if run is not None]
                self._is_open = True
                self.send()
                self._let_send(ids)
            with interruption_kept():
                yield runs
        except BaseException as error:
            # Not FAILED: the jobs are run again, and these runs are replaced.
            self._end(runs, masked(f"{type(error).__name__}: {error}"))
            raise
        else:
            self._end(runs, "the group of the run ended before it")
        finally:
            self._is_open = False
            self._locks.close()
            for run in ids:
                shutil.rmtree(self._checkpoints(run), ignore_errors=True)
            shutil.rmtree(scratch, ignore_errors=True)

    def _let_send(self, ids: Sequence[str]) -> None:
        """Let the runs be sent to their server, by the process that records single runs."""
        if self._server is not None:
            config, is_sent = self._config, self._config.checkpoints == "server"
            for run in ids:
                entry = outbox.Entry(run, identity(self._server), config.artifacts, is_sent)
                outbox.put(self.folder, entry)

    def _end(self, runs: Sequence[Run], error: str) -> None:
        """End the runs that have not ended as KILLED, and write what is left; a note is left where that fails.

        Raises:
            TrackingError: the database cannot be written.
        """
        with signals_ignored():
            for run in runs:
                record = cast(RunRecord, run.recorder)
                if not record.has_ended:
                    run.send()  # the points of the last epochs
                record.end("KILLED", error)
            try:
                self.send()
            except TrackingError as fault:
                errors = {run: text for key, text, run in self._unsent.get("tags", []) if key == layout.ERROR}
                for ended, _, run_id in self._unsent.get("ended", []):
                    # A run that had finished is incomplete without the rows that are lost.
                    is_lost = ended == "FINISHED"
                    end_notes.note(self.folder, run_id, "FAILED" if is_lost else ended, errors.get(run_id, str(fault)))
                raise

    def _checkpoints(self, run: str) -> Path:
        folder = self.folder / layout.CHECKPOINTS / run
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _names(self, requests: Sequence[Request]) -> list[str]:
        """Return the names of runs: those that no other has, where the user has not named them."""
        found = names.free(self.folder, self._experiment, [request.run_name for request in requests])
        return [request.run_name if request.is_named else name for request, name in zip(requests, found, strict=True)]

    def _begin(self, request: Request, run: str, name: str, tags: Mapping[str, str], begin: int) -> RunRecord:
        """Add the rows of a run that begins."""
        uri = f"{self._location}/{run}/artifacts"
        user = provenance.user().get("mlflow.user", "unknown")
        self._unsent.add("runs", *tables.run_row(run, name, user, "RUNNING", (begin, None), uri, self._experiment))
        record = RunRecord(self, run, locations.path_of(uri))
        record.artifacts.mkdir(parents=True, exist_ok=True)
        record.send(SetTags({**tags_of(request), **self._shared, **tags, "mlflow.runName": name}))
        return record

    def add(self, table: str, *row: Any) -> None:
        """Add a row; it is written now and then, and by :meth:`send`."""
        self.extend(table, [row])

    def extend(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows."""
        self._unsent.setdefault(table, []).extend(rows)
        # Not before the runs have their locks: another process would close them.
        if self._is_open and time.monotonic() - self._sent >= SECONDS_BETWEEN:
            self.send()

    def dataset(self, message: LogDataset) -> tuple[int, str, str]:
        """Add a data set, unless the experiment has it, and return its key: experiment, name and digest."""
        key = self._experiment, message.name, message.digest[:16]
        if key not in self._datasets:
            source, profile = json.dumps({"uri": message.source}), json.dumps({"num_rows": message.rows})
            self._unsent.add("datasets", uuid.uuid4().hex, *key, "local", source, None, profile)
            self._datasets.add(key)
        return key

    def send(self) -> None:
        """Write the rows that are waiting, in one transaction.

        Raises:
            TrackingError: the database cannot be written.
        """
        waiting, self._sent = self._unsent, time.monotonic()
        if not any(waiting.values()):
            return
        try:
            with self._database() as database, database:
                _write_rows(database, waiting)
            self._unsent = Rows()  # only now: rows that could not be written are written the next time
        except sqlite3.Error as error:
            found = faults.explained(error, self.folder)
            raise found or TrackingError(f"the runs of the group could not be recorded: {error}") from error

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(connect(self.folder / layout.DATABASE, to_write=True, wait=MAX_WAIT)) as database:
            yield database


def _write_rows(database: sqlite3.Connection, waiting: Rows) -> None:
    """Write rows; to write them again changes nothing."""
    for table in ("metrics", "latest_metrics", "params", "tags"):  # of runs that begin again
        database.executemany(f"DELETE FROM {table} WHERE run_uuid = ?", waiting.get("cleared", []))  # noqa: S608
    for table in WRITTEN:
        # Replaced: a tag that is set again, and the status of a run. A data set may be of another process meanwhile.
        tables.insert(database, table, waiting.get(table, []), "IGNORE" if table == "datasets" else "REPLACE")
    database.executemany(
        f"INSERT OR REPLACE INTO inputs ({tables.TABLES['inputs']}) "  # noqa: S608 - our own names
        "SELECT ?, 'DATASET', dataset_uuid, 'RUN', ?, 0 FROM datasets "
        "WHERE experiment_id = ? AND name = ? AND digest = ?",
        waiting.get("inputs_of", []),
    )
    ended = "UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?"
    database.executemany(ended, waiting.get("ended", []))


@dataclass
class RunRecord:
    """Records one run of a group: a :class:`lifecycle.tracking.client.Recorder`.

    Attributes:
        store: of the group.
        id: of the run.
        artifacts: folder of its artifacts.
        has_ended: whether its end has been recorded.
    """

    store: BulkStore
    id: str
    artifacts: Path
    _steps: dict[str, int] = field(default_factory=dict)  # last one of each metric
    has_ended: bool = False

    def keep(self, messages: Sequence[RepeatableMessage]) -> None:
        """Do nothing: rows that cannot be written wait for the next transaction, and a killed group begins again."""

    def send(self, message: RunMessage[Any], kept: bool = False) -> None:
        """Record something of the run."""
        self._write(message)

    def ask(self, message: Message[Any], within: float | None = None) -> Any:
        """Record something of the run, or end it."""
        self._write(message)
        return message.reply()

    def end(self, status: str, error: str | None = None) -> None:
        """End the run, unless it has ended."""
        if self.has_ended:
            return
        self.has_ended = True
        if error is not None:
            self._write(SetTags({layout.ERROR: error}))
        self.store.add("ended", status, int(time.time() * 1000), self.id)

    @singledispatchmethod
    def _write(self, message: Message[Any]) -> None:
        raise TypeError(f"no run of a group is recorded by {type(message).__name__}")

    @_write.register
    def _request(self, message: LogRequest) -> None:
        # requirements.txt, which is the same for all runs, is in the summary of the sweep.
        self._write(LogParams(message.params))
        self._write(LogText(message.config, layout.CONFIG))

    @_write.register
    def _params(self, message: LogParams) -> None:
        self.store.extend("params", [(key, value, self.id) for key, value in message.params.items()])

    @_write.register
    def _tags(self, message: SetTags) -> None:
        self.store.extend("tags", [(key, value, self.id) for key, value in as_stored(message.tags).items()])

    @_write.register
    def _metrics(self, message: LogMetrics) -> None:
        rows, latest = [], {}
        for key, value, now, step, is_nan in map(tables.stored, message.points):
            rows.append((key, value, now, self.id, step, is_nan))
            if step >= self._steps.get(key, -1):
                self._steps[key] = step
                latest[key] = (key, value, now, step, is_nan, self.id)
        self.store.extend("latest_metrics", list(latest.values()))
        self.store.extend("metrics", rows)

    @_write.register
    def _dataset(self, message: LogDataset) -> None:
        used = uuid.uuid4().hex
        self.store.add("inputs_of", used, self.id, *self.store.dataset(message))
        self.store.add("input_tags", used, "mlflow.data.context", "training")
        self._write(SetTags({layout.DATA_DIGEST: message.digest}))

    @_write.register
    def _text(self, message: LogText) -> None:
        (self.artifacts / message.name).write_text(message.text, encoding="utf-8")

    @_write.register
    def _file(self, message: LogFile) -> None:
        into = self.artifacts / (message.folder or "")
        into.mkdir(exist_ok=True)
        shutil.copy2(message.file, into)

    @_write.register
    def _folder(self, message: LogFolder) -> None:
        shutil.copytree(message.folder, self.artifacts / (message.into or ""), dirs_exist_ok=True)

    @_write.register
    def _model(self, message: LogModel) -> None:
        """Keep the saved model and what MLflow's model of it needs; that is made on first use."""
        folder = self.artifacts / layout.SAVED
        if Path(message.folder) != folder:
            shutil.copytree(message.folder, folder, dirs_exist_ok=True)
        about = {key: value for key, value in vars(message).items() if key != "folder"}
        (self.artifacts / layout.MODEL_LATER).write_text(json.dumps(about), encoding="utf-8")

    @_write.register
    def _finish(self, _: FinishRun) -> None:
        self.end("FINISHED")

    @_write.register
    def _fail(self, message: FailRun) -> None:
        if message.trace is not None:
            with suppress(OSError):  # the disk is full
                self._write(LogText(message.trace, layout.ERROR_TRACE))
        self.end(message.status, message.error)
