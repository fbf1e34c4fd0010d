"""MLflow, in the process that records: finds, creates and ends runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from functools import singledispatchmethod
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lifecycle import layout
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import RequestError
from lifecycle.tracking import end_notes, model_registry, search
from lifecycle.tracking.database_faults import wait_until_free
from lifecycle.tracking.messages import (
    CloseDeadRuns,
    CreateRun,
    DiscardRun,
    Done,
    FailRun,
    FindRun,
    FindRuns,
    FinishRun,
    GetHistories,
    Message,
    RecordedPoints,
    Registered,
    RegisterModel,
    ReopenRun,
    RepeatableMessage,
    ResumeRun,
    RunOpened,
    RunRecord,
    RunRecords,
    SetTags,
    WarmUp,
)
from lifecycle.tracking.provenance import commit
from lifecycle.tracking.store import Store, artifacts, close_dead_runs, database_uri, open_store
from lifecycle.tracking.writer import Draw, RunWriter, log_later

IMPORTED_EARLY = ("mlflow.models", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "git")
"""Imported while the main process is busy."""

SECONDS_OF_CLOSING = 3.0
"""How long a run whose process was killed may take to be closed by its worker, before it can be opened again."""


class Backend:
    """The open run, if there is one, and the database that it is in; :meth:`handle` takes each message.

    Attributes:
        store: the database that was opened last.
        run_id: of the open run; ``None``: no run is open.

    Args:
        draw: draws figures; ``None``: there are none.
        imported_early: modules that figures need, imported while the main process is busy.
    """

    store: Store | None = None
    run_id: str | None = None

    def __init__(self, draw: Draw | None = None, imported_early: Sequence[str] = ()) -> None:
        self._draw, self._imported_early = draw, tuple(imported_early)
        self._lock: FileLock | None = None
        self._scratch, self._artifacts = "", Path()
        self._status: str | None = None  # of a reopened run, which is only added to

    @singledispatchmethod
    def handle(self, message: Message[Any]) -> Any:
        """Do what a message asks for, and return its reply; there is a method for each class of messages."""
        raise TypeError(f"no handler for {type(message).__name__}")

    @handle.register
    def _warm_up(self, message: WarmUp) -> Done:
        os.chdir(message.cwd)
        for name in (*IMPORTED_EARLY, *(self._imported_early if message.figures else ())):
            import_module(name)
        import mlflow

        folder = Path(message.dir).expanduser().absolute()
        if (folder / layout.DATABASE).is_file():
            with FileLock(folder / layout.LOCK):
                wait_until_free(folder / layout.DATABASE, 0)  # a locked database is reported when a run needs it
                # A query, as MLflow connects to a database at the first one.
                mlflow.MlflowClient(database_uri(folder)).search_experiments(max_results=1)
        return Done()

    @handle.register
    def _create(self, message: CreateRun) -> RunOpened:
        """Create a run.

        While it is open, a lock on the run's folder is held. A RUNNING run whose lock is free was killed; the next
        process that opens the database sets its status.
        """
        self.run_id, self._scratch = None, message.scratch
        store = self._open(message.cwd, message.tracking)
        # Under the store's lock: a process that saw the run before it has its own lock would take it for dead.
        with store.lock():
            created = store.client.create_run(
                store.experiment_id, tags={**message.tags, **commit()}, run_name=message.name
            )
            self.run_id, self._artifacts = created.info.run_id, artifacts(created)
            folder = store.checkpoints(created.info.run_id)
            folder.mkdir(parents=True)
            self._lock = FileLock(folder / layout.LOCK)
            self._lock.acquire()
            store.reserve(created.info.run_id)
            # Runs that were killed are settled here, as no server watches over them.
            close_dead_runs(store)
        return RunOpened(created.info.run_id, str(store.folder), str(artifacts(created)))

    @handle.register
    def _reopen(self, message: ReopenRun) -> RunOpened:
        """Open an existing run.

        Raises:
            RequestError: another process has it open.
        """
        self.run_id, self._scratch = None, message.scratch
        store = self._open(message.cwd, message.tracking)
        found = store.client.get_run(message.run_id)
        folder = store.checkpoints(message.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        # The worker of a killed process still holds the lock while it ends the run: wait for it.
        lock = FileLock(folder / layout.LOCK, timeout=SECONDS_OF_CLOSING)
        try:
            lock.acquire()
        except Timeout as error:
            raise RequestError(
                f"run {found.info.run_name} ({message.run_id})",
                "is still running in another process",
                remedy="Wait for its end.",
            ) from error
        found = store.client.get_run(message.run_id)  # again: the process that had the lock may have changed it
        self.run_id, self._lock, self._status = message.run_id, lock, found.info.status
        self._artifacts = artifacts(found)
        return RunOpened(message.run_id, str(store.folder), str(artifacts(found)))

    @handle.register
    def _resume(self, message: ResumeRun) -> RecordedPoints:
        """Set a reopened run to RUNNING; the error that it ended with is kept under another name."""
        store, run_id = self._opened()
        found = store.client.get_run(run_id)
        writer = RunWriter(store.client, run_id)
        writer.write(SetTags({layout.RESUMED: str(int(found.data.tags.get(layout.RESUMED, 0)) + 1)}))
        # MLflow's UI shows the error of a run: that of an earlier attempt must not look like the current state.
        if layout.ERROR in found.data.tags:
            writer.write(SetTags({layout.ERROR_BEFORE: found.data.tags[layout.ERROR]}))
            store.client.delete_tag(run_id, layout.ERROR)
        error = artifacts(found) / layout.ERROR_TRACE
        if error.is_file():
            error.replace(error.with_name("error_before.txt"))
        store.reserve(run_id)
        store.client.update_run(run_id, status="RUNNING")
        self._status = None
        histories = {name: store.client.get_metric_history(run_id, name) for name in found.data.metrics}
        return RecordedPoints({name: [(one.step, one.value) for one in points] for name, points in histories.items()})

    @handle.register
    def _log(self, message: RepeatableMessage) -> Done:
        store, run_id = self._opened()
        RunWriter(store.client, run_id, self._draw).write(message)
        return Done()

    @handle.register
    def _finish(self, message: FinishRun) -> Done:
        """End the run as FINISHED; a run that was only added to keeps its status."""
        store, run_id = self._opened()
        if self._status is None:  # not a run that ended before and was only added to
            store.release(run_id)
            store.client.set_terminated(run_id, "FINISHED")
        self._close()
        return Done()

    @handle.register
    def _fail(self, message: FailRun) -> Done:
        """End the run as FAILED or KILLED; if the database is locked, leave a note for the process that opens it."""
        if self.store is not None and self.run_id is not None and self._status is None:
            self.store.release(self.run_id)  # on a full disk, the status needs this space
            # The status is recorded even if the disk has no room for the traceback.
            with suppress(OSError):
                if message.trace is not None:
                    (self._artifacts / layout.ERROR_TRACE).write_text(message.trace)
            end_notes.close(self.store.folder, self.store.client, self.run_id, message.status, message.error)
        self._close()
        return Done()

    @handle.register
    def _find(self, message: FindRun) -> RunRecord:
        store = self._open(message.cwd, message.tracking, to_write=False)
        return search.find(store, message.run, message.statuses, message.metric, message.sweep)

    @handle.register
    def _find_many(self, message: FindRuns) -> RunRecords:
        store = self._open(message.cwd, message.tracking, to_write=False)
        found = search.find_many(store, message.runs, message.sweep, message.statuses, message.metric)
        return RunRecords([vars(run) for run in found])

    @handle.register
    def _histories(self, message: GetHistories) -> RecordedPoints:
        return RecordedPoints(search.histories(self._open(message.cwd, message.tracking, to_write=False), message.run))

    @handle.register
    def _discard(self, message: DiscardRun) -> Done:
        store = self._open(message.cwd, message.tracking)
        with store.lock():
            close_dead_runs(store)
            store.client.delete_run(message.run_id)
        return Done()

    @handle.register
    def _register(self, message: RegisterModel) -> Registered:
        store = self._open(message.cwd, message.tracking)
        log_later(store.client, message.run_id)
        return model_registry.register(store, message.run_id, message.name, message.aliases)

    @handle.register
    def _close_dead(self, message: CloseDeadRuns) -> Done:
        store = self._open(message.cwd, message.tracking)
        with store.lock():
            close_dead_runs(store)
        return Done()

    def _open(self, cwd: str, tracking: dict[str, Any], to_write: bool = True) -> Store:
        os.chdir(cwd)  # a relative tracking.dir is one of the main process
        self.store = open_store(TrackingConfig(**tracking), to_write)
        return self.store

    def _opened(self) -> tuple[Store, str]:
        assert self.store is not None  # noqa: S101 - the client opens a run before it records in it
        assert self.run_id is not None  # noqa: S101
        return self.store, self.run_id

    def _close(self) -> None:
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
        if self._lock is not None:
            self._lock.release()
        self.run_id, self._lock, self._scratch, self._status = None, None, "", None
