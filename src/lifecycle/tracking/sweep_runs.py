"""Reads the runs of sweeps directly from MLflow's database, as thousands of them are listed together.

``MlflowClient.search_runs`` loads every tag and parameter of every run. These queries read what is needed, of tables
whose layout is that of all versions of MLflow 3, and need no import of MLflow.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from lifecycle import layout
from lifecycle.errors import TrackingError
from lifecycle.tracking import database_faults

DEAD = "DEAD"
"""Status, here only, of a run that MLflow shows as RUNNING and that no process has open: it was killed."""

PRUNED = "PRUNED"
"""Status, here only, of a run that its search ended early; FINISHED in MLflow."""

AT_ONCE = 500
"""Runs of one query; SQLite limits the number of variables."""


@dataclass
class SweepRun:
    """A run of a job of a sweep.

    Attributes:
        id: of the run.
        name: of the run.
        status: MLflow's, :data:`DEAD` or :data:`PRUNED`.
        seconds: from its start to its end; 0 while it has not ended.
        artifacts: folder of its artifacts.
        tags: all tags.
        metrics: last value of each metric.
    """

    id: str
    name: str
    status: str
    seconds: float
    artifacts: Path
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """Of its job."""
        return self.tags[layout.SIGNATURE]

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1."""
        return int(self.tags.get(layout.ATTEMPT, "1"))


def names(folder: Path) -> list[str]:
    """Return the names of the sweeps in a folder of runs, the one that was started last first."""
    files = (folder / layout.SWEEPS).glob(f"*/{layout.JOBS}")
    return [file.parent.name for file in sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True)]


def signatures_of(folder: Path, name: str) -> set[str] | None:
    """Return the signatures of the jobs of a sweep; ``None``: there are no stored jobs of that name."""
    fitting = [one for one in names(folder) if name and one.startswith(name)]
    if name not in fitting and len(fitting) != 1:
        return None
    chosen = name if name in fitting else fitting[0]
    with (folder / layout.SWEEPS / chosen / layout.JOBS).open(encoding="utf-8") as lines:
        next(lines, None)  # the head
        return {json.loads(line)["signature"] for line in lines}


def runs_of(folder: Path, experiment: str, signatures: Collection[str], sweep: str = "") -> dict[str, list[SweepRun]]:
    """Return the runs of each signature, the earliest first; signatures without runs are left out.

    A run that another sweep pruned is left out: it is not what this one asks for.

    Args:
        folder: ``tracking.dir``.
        experiment: name of the experiment; runs of others do not count.
        signatures: of jobs.
        sweep: name of their sweep, whose pruned runs count.

    Raises:
        LifecycleError: the database is locked or damaged.
    """
    wanted = set(signatures)
    with _database(folder) as database:
        if database is None:
            return {}
        found = database.execute(
            "SELECT tags.run_uuid, tags.value FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid "
            "JOIN experiments ON experiments.experiment_id = runs.experiment_id "
            "WHERE tags.key = ? AND runs.lifecycle_stage = 'active' AND experiments.name = ? "
            "ORDER BY runs.start_time, runs.rowid",
            (layout.SIGNATURE, experiment),
        ).fetchall()
        ids = [run for run, signature in found if signature in wanted]
        runs = _read(database, ids)
    by_signature: dict[str, list[SweepRun]] = {}
    for run in ids:
        read = runs[run]
        if read.status == "RUNNING" and not _is_open(folder, run):
            read.status = DEAD
        if read.status == PRUNED and read.tags.get(layout.SWEEP) != sweep:
            continue
        by_signature.setdefault(read.signature, []).append(read)
    return by_signature


def standing(runs: Sequence[SweepRun]) -> SweepRun:
    """Return the run that stands for a job: a finished one, else the latest."""
    return next((run for run in runs if run.status == "FINISHED"), runs[-1])


def finished(folder: Path, experiment: str, data: Collection[str]) -> list[SweepRun]:
    """Return the FINISHED runs on some data, the earliest first, whether or not of a sweep.

    Args:
        folder: ``tracking.dir``.
        experiment: name of the experiment.
        data: digests of data.
    """
    with _database(folder) as database:
        if database is None:
            return []
        ids = [
            run
            for run, digest in database.execute(
                "SELECT tags.run_uuid, tags.value FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid "
                "JOIN experiments ON experiments.experiment_id = runs.experiment_id "
                "WHERE tags.key = ? AND runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED' "
                "AND experiments.name = ? ORDER BY runs.start_time, runs.rowid",
                (layout.DATA_DIGEST, experiment),
            )
            if digest in set(data)
        ]
        runs = _read(database, ids)
    return [runs[run] for run in ids if runs[run].status == "FINISHED"]


def summary_of(folder: Path, experiment: str, name: str) -> str | None:
    """Return the id of the summary run of a sweep, if there is one."""
    with _database(folder) as database:
        if database is None:
            return None
        found = database.execute(
            "SELECT runs.run_uuid FROM runs JOIN experiments ON experiments.experiment_id = runs.experiment_id "
            "JOIN tags AS role ON role.run_uuid = runs.run_uuid AND role.key = ? "
            "JOIN tags AS sweep ON sweep.run_uuid = runs.run_uuid AND sweep.key = ? AND sweep.value = ? "
            "WHERE runs.lifecycle_stage = 'active' AND experiments.name = ? ORDER BY runs.start_time DESC",
            (layout.ROLE, layout.SWEEP, name, experiment),
        ).fetchone()
    return None if found is None else str(found[0])


def _read(database: sqlite3.Connection, ids: Sequence[str]) -> dict[str, SweepRun]:
    runs: dict[str, SweepRun] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        marks = ",".join("?" * len(some))

        def rows(query: str, some: Sequence[str] = some, marks: str = marks) -> Iterator[Any]:
            return iter(database.execute(f"{query} WHERE run_uuid IN ({marks})", some))

        for run, name, status, begun, ended, uri in rows(
            "SELECT run_uuid, name, status, start_time, end_time, artifact_uri FROM runs"
        ):
            seconds = (ended - begun) / 1000 if ended else 0.0
            runs[run] = SweepRun(run, name or run, status, seconds, Path(url2pathname(urlsplit(uri).path)))
        for run, key, value in rows("SELECT run_uuid, key, value FROM tags"):
            runs[run].tags[key] = value
            if (key, value) == (layout.STATUS, layout.PRUNED) and runs[run].status == "FINISHED":
                runs[run].status = PRUNED
        for run, key, value, is_nan in rows("SELECT run_uuid, key, value, is_nan FROM latest_metrics"):
            runs[run].metrics[key] = float("nan") if is_nan else value
    return runs


def _is_open(folder: Path, run: str) -> bool:
    """Return whether a process has a run open: it holds the lock on the folder of its checkpoints."""
    lock = folder / layout.CHECKPOINTS / run / layout.LOCK
    if not lock.parent.is_dir():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def _database(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the database to read; ``None`` where there is none yet."""
    file = folder / layout.DATABASE
    if not file.is_file() or not file.stat().st_size:
        yield None
        return
    try:
        database_faults.wait_until_free(file)
        address = f"file:{quote(str(file.absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, timeout=database_faults.WAITS, uri=True)) as database:
            yield database
    except sqlite3.Error as error:
        found = database_faults.explained(error, folder)
        raise found or TrackingError(f"the runs in {folder} cannot be read: {error}") from error
