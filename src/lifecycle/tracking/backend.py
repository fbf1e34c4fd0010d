"""MLflow, in the process that records: finds, creates and ends runs."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import singledispatchmethod
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lifecycle import layout
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import RequestError
from lifecycle.tracking import search
from lifecycle.tracking.database.faults import is_busy, is_free, wait_until_free, wait_until_writable
from lifecycle.tracking.database.tables import is_known_version
from lifecycle.tracking.direct import client as direct
from lifecycle.tracking.messages import (
    CloseDeadRuns,
    CreateRun,
    Deliver,
    DiscardRun,
    FailRun,
    FindRun,
    FindRuns,
    FinishRun,
    GetHistories,
    Message,
    RecoverRun,
    RegisterModel,
    ReopenRun,
    RepeatableMessage,
    ResumeRun,
    SendRuns,
    SetTags,
    WarmUp,
)
from lifecycle.tracking.pages import names, tags
from lifecycle.tracking.provenance import commit
from lifecycle.tracking.replies import (
    Delivered,
    Done,
    Ended,
    RecordedPoints,
    Registered,
    RunOpened,
    RunRecord,
    RunRecords,
    RunsAdded,
)
from lifecycle.tracking.servers.dispatch import Dispatch
from lifecycle.tracking.spool import end_notes, late
from lifecycle.tracking.spool.journal import Journal
from lifecycle.tracking.spool.settle import settle
from lifecycle.tracking.store import (
    NO_STATUS,
    Store,
    artifacts,
    can_be_written,
    close_dead_runs,
    database_file,
    database_uri,
    folder_of,
    open_store,
)
from lifecycle.tracking.writer import Draw, log_later, writer_of

IMPORTED_EARLY = ("git",)
"""Imported while the main process is busy."""

MLFLOWS = ("mlflow.models", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store")
"""Imported too where MLflow records the run."""

SECONDS_OF_BEGINNING = 1.0
"""How long creating a run waits for a locked database before the run begins without it."""

SECONDS_OF_CLOSING = 3.0
"""How long a run whose process was killed may take to be closed by its worker, before it can be opened again."""


class Backend:
    """The open run, if there is one, and the database that it is in; :meth:`handle` takes each message.

    Attributes:
        store: the database that was opened last.
        run_id: of the open run; ``None``: no run is open.
        late: creates the open run, which began while the database was locked; ``None``: it is in the database.
        database: the file that is in use.

    Args:
        draw: draws figures; ``None``: there are none.
        imported_early: modules that figures need, imported while the main process is busy.
    """

    store: Store | None = None
    run_id: str | None = None
    late: CreateRun | None = None
    database = Path()

    def __init__(self, draw: Draw | None = None, imported_early: Sequence[str] = ()) -> None:
        self._draw, self._imported_early = draw, tuple(imported_early)
        self._lock: FileLock | None = None
        self._artifacts = Path()
        self._dispatch = Dispatch()
        self._status: str | None = None  # of a reopened run, which is only added to

    @singledispatchmethod
    def handle(self, message: Message[Any]) -> Any:
        """Do what a message asks for, and return its reply; there is a method for each class of messages."""
        raise TypeError(f"no handler for {type(message).__name__}")

    @handle.register
    def _warm_up(self, message: WarmUp) -> Done:
        os.chdir(message.cwd)
        folder = Path(message.dir).expanduser().absolute()
        is_direct = direct.is_possible(folder / layout.DATABASE)  # else by MLflow
        for modules in (IMPORTED_EARLY, () if is_direct else MLFLOWS, self._imported_early if message.figures else ()):
            for name in modules:
                import_module(name)
        if not is_direct and (folder / layout.DATABASE).is_file():
            import mlflow

            with FileLock(folder / layout.LOCK):
                wait_until_free(folder / layout.DATABASE, 0)  # a locked database is reported when a run needs it
                # A query, as MLflow connects to a database at the first one.
                mlflow.MlflowClient(database_uri(folder)).search_experiments(max_results=1)
        return Done()

    @handle.register
    def _create(self, message: CreateRun) -> RunOpened:
        """Create a run; where the database is locked, only begin it.

        While it is open, a lock on the run's folder is held. A RUNNING run whose lock is free was killed; the next
        process that opens the database sets its status.
        """
        if message.run_id and message.run_id == self.run_id:
            return self._create_late(message)
        self.run_id, self.late = None, None
        if message.run_id:  # it began in a process that was killed
            return self._begin_late(message)
        self._set_place(message.cwd, message.tracking)
        can_begin = is_known_version()
        if not can_begin or self._is_free():
            try:
                return self._create_now(message)
            except Exception as error:
                if not can_begin or not is_busy(error):
                    raise
        return self._begin_late(replace(message, run_id=uuid.uuid4().hex, begun=int(time.time() * 1000)))

    def _is_free(self) -> bool:
        """Return whether the database can be written; one that our own processes make or open is waited for."""
        folder = self.database.parent
        if not folder.is_dir():
            return True
        with suppress(OSError), FileLock(folder / layout.LOCK):  # a folder that cannot be written is reported later
            return is_free(self.database, SECONDS_OF_BEGINNING)
        return True

    def _create_now(self, message: CreateRun) -> RunOpened:
        store = self._open(message.cwd, message.tracking)
        # Under the store's lock: a process that saw the run before it has its own lock would take it for dead.
        with store.lock():
            (name,) = names.free(store.folder, int(store.experiment_id), [message.name])
            name = name if message.is_numbered else message.name
            own = {tags.stored(key): value for key, value in {**message.tags, **commit()}.items()}
            created = store.client.create_run(store.experiment_id, tags=own, run_name=name)
            self.run_id, self._artifacts = created.info.run_id, artifacts(created)
            self._lock_run(store.checkpoints(created.info.run_id))
            store.reserve(created.info.run_id)
            self._dispatch.put(store.folder, created.info.run_id, TrackingConfig(**message.tracking))
            # Runs that were killed are settled here, as no server watches over them.
            _unless_busy(lambda: close_dead_runs(store))
        return RunOpened(created.info.run_id, str(store.folder), str(artifacts(created)), name=name)

    def _begin_late(self, message: CreateRun) -> RunOpened:
        """Begin a run that the database does not have yet."""
        self._set_place(message.cwd, message.tracking)
        folder, self.store = self.database.parent, None
        self._lock_run(folder / layout.CHECKPOINTS / message.run_id)
        config = TrackingConfig(**message.tracking)
        own = layout.folder_of_experiment(config.experiment)
        self._artifacts = folder / layout.ARTIFACTS / own / message.run_id / "artifacts"
        self.run_id, self.late = message.run_id, message
        self._dispatch.put(folder, message.run_id, config)
        return RunOpened(message.run_id, str(folder), str(self._artifacts), message.begun)

    def _create_late(self, message: CreateRun) -> RunOpened:
        store = self._open(message.cwd, message.tracking)
        late.insert(store, message)
        store.reserve(message.run_id)
        self.late = None
        return RunOpened(message.run_id, str(store.folder), str(self._artifacts), message.begun)

    def _lock_run(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / layout.LOCK)
        self._lock.acquire()

    @handle.register
    def _reopen(self, message: ReopenRun) -> RunOpened:
        """Open an existing run.

        Raises:
            RequestError: another process has it open.
            TrackingError: another process holds the database.
        """
        self.run_id, self.late = None, None
        self._set_place(message.cwd, message.tracking)
        if can_be_written(self.database.parent):
            wait_until_writable(self.database)
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
        then = found.data.tags.get(layout.SERVER)
        self._dispatch.put(store.folder, message.run_id, TrackingConfig(**message.tracking), then)
        return RunOpened(message.run_id, str(store.folder), str(artifacts(found)))

    @handle.register
    def _resume(self, message: ResumeRun) -> RecordedPoints:
        """Set a reopened run to RUNNING; the error that it ended with is kept under another name."""
        store, run_id = self._opened()
        wait_until_writable(self.database)
        found = tags.name(store.client.get_run(run_id))
        writer = writer_of(store.client, run_id)
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
        writer_of(store.client, run_id, self._draw).write(message)
        return Done()

    @handle.register
    def _recover(self, message: RecoverRun) -> Done:
        """Set a reopened run to RUNNING, which another process may have closed, as nothing recorded it."""
        store, run_id = self._opened()
        if message.is_running:
            if store.client.get_run(run_id).data.tags.get(layout.ERROR) == NO_STATUS:
                store.client.delete_tag(run_id, layout.ERROR)
            store.client.update_run(run_id, status="RUNNING")
            self._status = None
        return Done()

    def journaled(self) -> list[RepeatableMessage]:
        """Return what the journal of the open run has, as far as it can be repeated."""
        journal = self._journal()
        if journal is None or not journal.file.is_file():
            return []
        return [message for message in journal.messages() if isinstance(message, RepeatableMessage)]

    def leave(self) -> None:
        """Leave the open run to the next process that opens the database, which writes its journal."""
        if self._lock is not None:
            self._lock.release()
        self.run_id, self.late, self._lock, self._status = None, None, None, None

    @handle.register
    def _finish(self, message: FinishRun) -> Ended:
        """End the run as FINISHED; a run that was only added to keeps its status."""
        store, run_id = self._opened()
        if self._status is None:  # not a run that ended before and was only added to
            store.release(run_id)
            store.client.set_terminated(run_id, "FINISHED", message.at)
        self._close()
        return Ended()

    @handle.register
    def _fail(self, message: FailRun) -> Ended:
        """End the run as FAILED or KILLED; if the database is locked, leave a note for the process that opens it."""
        if self.store is not None and self.run_id is not None and self._status is None:
            self.store.release(self.run_id)  # on a full disk, the status needs this space
            # The status is recorded even if the disk has no room for the traceback.
            with suppress(OSError):
                if message.trace is not None:
                    (self._artifacts / layout.ERROR_TRACE).write_text(message.trace)
            end_notes.close(
                self.store.folder, self.store.client, self.run_id, message.status, message.error, message.at
            )
        self._close()
        return Ended()

    @handle.register
    def _find(self, message: FindRun) -> RunRecord:
        store = self._open(message.cwd, message.tracking, to_write=False)
        which = (message.run, message.statuses, message.metric, message.sweep)
        lookup = self._dispatch.lookup(store)
        return search.find(store, *which) if lookup is None else lookup.find(*which)

    @handle.register
    def _find_many(self, message: FindRuns) -> RunRecords:
        store = self._open(message.cwd, message.tracking, to_write=False)
        which = (message.runs, message.sweep, message.statuses, message.metric)
        lookup = self._dispatch.lookup(store)
        found = search.find_many(store, *which) if lookup is None else lookup.find_many(*which)
        return RunRecords([vars(run) for run in found])

    @handle.register
    def _histories(self, message: GetHistories) -> RecordedPoints:
        store = self._open(message.cwd, message.tracking, to_write=False)
        lookup = self._dispatch.lookup(store)
        found = search.histories(store.client, message.run) if lookup is None else lookup.histories(message.run)
        return RecordedPoints(found)

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
        config = TrackingConfig(**message.tracking)
        return self._dispatch.register(store, message.run_id, message.name, message.aliases, config)

    @handle.register
    def _close_dead(self, message: CloseDeadRuns) -> Done:
        store = self._open(message.cwd, message.tracking)
        with store.lock():
            close_dead_runs(store)
        return Done()

    def _open(self, cwd: str, tracking: dict[str, Any], to_write: bool = True) -> Store:
        self._set_place(cwd, tracking)
        config = TrackingConfig(**tracking)
        self.store = open_store(config, to_write)
        if can_be_written(self.store.folder):
            settle(self.store, self._draw)
            self._dispatch.start(self.store.folder, config)
        return self.store

    def _set_place(self, cwd: str, tracking: dict[str, Any]) -> None:
        os.chdir(cwd)  # a relative tracking.dir is one of the main process
        self.database = database_file(folder_of(TrackingConfig(**tracking)))

    def _journal(self) -> Journal | None:
        return None if self.run_id is None else Journal(self.database.parent, self.run_id)

    @handle.register
    def _send_runs(self, message: SendRuns) -> RunsAdded:
        store, config = self._open(message.cwd, message.tracking), TrackingConfig(**message.tracking)
        with store.lock():
            close_dead_runs(store)
        return self._dispatch.add(store, config, message)

    @handle.register
    def _deliver(self, message: Deliver) -> Delivered:
        store = self._open(message.cwd, message.tracking)
        if not message.run_id:
            with store.lock():  # the end of a run whose process was killed is to be sent too
                _unless_busy(lambda: close_dead_runs(store))
        return self._dispatch.deliver(store, message.run_id, message.patience)

    def close(self) -> None:
        """Send what is left, for as long as requests succeed."""
        self._dispatch.close()

    def _opened(self) -> tuple[Store, str]:
        assert self.store is not None  # noqa: S101 - the client opens a run before it records in it
        assert self.run_id is not None  # noqa: S101
        return self.store, self.run_id

    def _close(self) -> None:
        journal = self._journal()
        if journal is not None:
            journal.remove()
        self.leave()


def _unless_busy(act: Callable[[], None]) -> None:
    """Do what the next process will do where the database is locked now."""
    try:
        act()
    except Exception as error:  # MLflow's and SQLAlchemy's errors have no common base
        if not is_busy(error):
            raise
