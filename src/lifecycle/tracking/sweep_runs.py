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

from lifecycle import layout
from lifecycle.errors import TrackingError
from lifecycle.tracking.database import faults
from lifecycle.tracking.database.connection import connect
from lifecycle.tracking.pages import tags
from lifecycle.tracking.spool.journal import Journal
from lifecycle.tracking.transfer.local import is_open
from lifecycle.tracking.transfer.locations import locations_of, path_of

DEAD = "DEAD"
"""Status, here only, of a run that MLflow shows as RUNNING and that no process has open: it was killed."""

PRUNED = "PRUNED"
"""Status, here only, of a run that its search ended early; FINISHED in MLflow."""

AT_ONCE = 500
"""Runs of one query; SQLite limits the number of variables."""

OF_BOARD = (
    *(layout.HIGHER_IS_BETTER, layout.ERROR, layout.SPLIT_ROWS, layout.VECTORISED),
    *(layout.DATA_DIGEST, layout.VALIDATION_DIGEST, layout.TEST_DIGEST),
)
"""Tags that a leader board needs, in addition to the signature."""

FINAL = ("kept_", "test_", "training_set_")
"""Beginnings of the names of scores of a finished run."""

NO_SCORE = ("*_low", "*_high", "*_baseline_*")
"""Patterns of other names that begin so: ends of intervals, and scores of baselines."""

OF_SPLIT = ("seed", "data.*", "cv.*")
"""Parameters that determine the split and tell the runs of a configuration apart, as patterns."""


@dataclass
class SweepRun:
    """A run of a job of a sweep.

    Attributes:
        id: of the run.
        name: of the run.
        status: MLflow's, :data:`DEAD` or :data:`PRUNED`.
        seconds: from its start to its end; 0 while it has not ended.
        uri: of the folder of its artifacts, also where the store was moved.
        started: milliseconds since 1970.
        tags: all tags, or those of :data:`OF_BOARD`.
        metrics: last value of each metric, or of each score.
        params: empty unless they were asked for; those of :data:`OF_SPLIT`.
    """

    id: str
    name: str
    status: str
    seconds: float
    uri: str
    started: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)

    @property
    def artifacts(self) -> Path:
        """Folder of its artifacts."""
        return path_of(self.uri)

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
    found = _folder_of(folder, name)
    return None if found is None else set(signatures_in(found))


def metrics_of(folder: Path, name: str) -> list[str]:
    """Return the scores that a sweep is ranked by: the objectives of a search, or ``sweep.metric``; else none."""
    found = _folder_of(folder, name)
    if found is None:
        return []
    try:
        with (found / layout.JOBS).open(encoding="utf-8") as lines:
            head = json.loads(next(lines, ""))
        if "search" in head:
            return [str(one["metric"]) for one in head["search"]["objectives"]]
        metric = head["settings"].get("metric")
    except (OSError, ValueError, KeyError, TypeError):  # damaged, or of another version
        return []
    return list(metric) if isinstance(metric, list) else [] if metric is None else [str(metric)]


def _folder_of(folder: Path, name: str) -> Path | None:
    """Return the folder of a sweep of a name, or of the beginning of one; ``None``: there is none, or several."""
    fitting = [one for one in names(folder) if name and one.startswith(name)]
    if name not in fitting and len(fitting) != 1:
        return None
    return folder / layout.SWEEPS / (name if name in fitting else fitting[0])


def signatures_in(folder: Path) -> list[str]:
    """Return the signatures of the stored jobs in the folder of a sweep, without parsing thousands of jobs."""
    with (folder / layout.JOBS).open(encoding="utf-8") as lines:
        next(lines, None)  # the head
        # Quotes within a text are escaped, so that only the key of a job looks like this.
        return [line.partition('"signature": "')[2].partition('"')[0] for line in lines]


def counts_of(folder: Path, experiment: str, signatures: Collection[str], sweep: str = "") -> dict[str, int]:
    """Return how many jobs are done, pruned, failed and left.

    Args:
        folder: ``tracking.dir``.
        experiment: name of the experiment.
        signatures: of the jobs.
        sweep: name of their sweep, whose pruned runs count.
    """
    with _database(folder) as database:
        found = [] if database is None else _listed(database, experiment, signatures, sweep)
    standing: dict[str, str] = {}
    for _, signature, status in found:
        if standing.get(signature) != "FINISHED":  # else the latest run counts
            standing[signature] = status
    statuses = {"done": "FINISHED", "pruned": PRUNED, "failed": "FAILED"}
    counts = {name: sum(status == one for status in standing.values()) for name, one in statuses.items()}
    return {**counts, "left": len(set(signatures)) - sum(counts.values())}


def finished_signatures(folder: Path, experiment: str, signatures: Collection[str]) -> set[str]:
    """Return the signatures that have a finished run."""
    with _database(folder) as database:
        found = [] if database is None else _listed(database, experiment, signatures)
    return {signature for _, signature, status in found if status == "FINISHED"}


def _listed(
    database: sqlite3.Connection, experiment: str, signatures: Collection[str], sweep: str = ""
) -> list[tuple[str, str, str]]:
    """Return id, signature and status of the runs of some jobs, the earliest first.

    A run that another sweep pruned is left out: it is not what this one asks for.
    """
    wanted = set(signatures)
    query = (
        "SELECT tags.run_uuid, tags.value, CASE WHEN ended.value = ? AND runs.status = 'FINISHED' THEN ? "
        "ELSE runs.status END, own.value FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid "
        "JOIN experiments ON experiments.experiment_id = runs.experiment_id "
        "LEFT JOIN tags AS ended ON ended.run_uuid = runs.run_uuid AND ended.key = ? "
        "LEFT JOIN tags AS own ON own.run_uuid = runs.run_uuid AND own.key = ? "
        "WHERE tags.key IN (?, ?) AND runs.lifecycle_stage = 'active' AND experiments.name = ?"
    )
    order = " ORDER BY runs.start_time, runs.rowid"
    values = (layout.PRUNED, PRUNED, layout.STATUS, layout.SWEEP, *tags.both(layout.SIGNATURE), experiment)
    if len(wanted) == 1:  # by each worker before each job
        found = database.execute(f"{query} AND tags.value = ?{order}", (*values, *wanted)).fetchall()
    else:
        found = database.execute(query + order, values).fetchall()
    return [
        (run, signature, status)
        for run, signature, status, of in found
        if signature in wanted and not (status == PRUNED and of != sweep)
    ]


def runs_of(
    folder: Path,
    experiment: str,
    signatures: Collection[str],
    sweep: str = "",
    *,
    for_board: bool = False,
    with_params: bool = False,
) -> dict[str, list[SweepRun]]:
    """Return the runs of each signature, the earliest first; signatures without runs are left out.

    A run that another sweep pruned is left out: it is not what this one asks for.

    Args:
        folder: ``tracking.dir``.
        experiment: name of the experiment; runs of others do not count.
        signatures: of jobs.
        sweep: name of their sweep, whose pruned runs count.
        for_board: whether only the tags and metrics of a leader board are needed, which is several times faster.
        with_params: whether to read the parameters of the split.

    Raises:
        LifecycleError: the database is locked or damaged.
    """
    with _database(folder) as database:
        if database is None:
            return {}
        listed = _listed(database, experiment, signatures, sweep)
        runs = read_runs(folder, database, [run for run, _, _ in listed], for_board, with_params)
    by_signature: dict[str, list[SweepRun]] = {}
    for run, signature, status in listed:
        read = runs[run]
        read.status = status
        if status == "RUNNING" and not _is_open(folder, run):
            read.status = DEAD
        by_signature.setdefault(signature, []).append(read)
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
                "WHERE tags.key IN (?, ?) AND runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED' "
                "AND experiments.name = ? ORDER BY runs.start_time, runs.rowid",
                (*tags.both(layout.DATA_DIGEST), experiment),
            )
            if digest in set(data)
        ]
        ids = list(dict.fromkeys(ids))
        runs = read_runs(folder, database, ids)
    return [runs[run] for run in ids if runs[run].tags.get(layout.STATUS) != layout.PRUNED]


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


def summary_folder(folder: Path, experiment: str, name: str) -> Path | None:
    """Return the folder of the artifacts of the summary run of a sweep, if there is one."""
    run = summary_of(folder, experiment, name)
    if run is None:
        return None
    with _database(folder) as database:
        return None if database is None else read_runs(folder, database, [run])[run].artifacts


def read_runs(
    folder: Path,
    database: sqlite3.Connection,
    ids: Sequence[str],
    for_board: bool = False,
    with_params: bool = False,
) -> dict[str, SweepRun]:
    """Return runs by their ids, as :func:`runs_of` returns them."""
    runs: dict[str, SweepRun] = {}
    locations = locations_of(folder.absolute(), database)
    of_board = f" AND key IN ({','.join(map(repr, tags.both(*OF_BOARD)))})" if for_board else ""
    metrics = "".join(f" AND key NOT GLOB {name!r}" for name in NO_SCORE)
    metrics += f" AND ({' OR '.join(f'key GLOB {name + chr(42)!r}' for name in FINAL)})"
    params = f" AND ({' OR '.join(f'key GLOB {name!r}' for name in OF_SPLIT)})"
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        marks = ",".join("?" * len(some))

        def rows(query: str, wanted: str = "", some: Sequence[str] = some, marks: str = marks) -> Iterator[Any]:
            return iter(database.execute(f"{query} WHERE run_uuid IN ({marks}){wanted}", some))

        for run, name, status, begun, ended, uri in rows(
            "SELECT run_uuid, name, status, start_time, end_time, artifact_uri FROM runs"
        ):
            seconds = (ended - begun) / 1000 if ended else 0.0
            runs[run] = SweepRun(run, name or run, status, seconds, locations.address(uri), begun)
        for run, key, value in rows("SELECT run_uuid, key, value FROM tags", of_board):
            runs[run].tags[key] = value
        for run, key, value, is_nan in rows(
            "SELECT run_uuid, key, value, is_nan FROM latest_metrics", metrics if for_board else ""
        ):
            runs[run].metrics[key] = float("nan") if is_nan else value
        for run, key, value in rows("SELECT run_uuid, key, value FROM params", params) if with_params else ():
            runs[run].params[key] = value
    for found in runs.values():
        found.tags = tags.read(found.tags)
    return runs


def _is_open(folder: Path, run: str) -> bool:
    """Return whether a process has a run open: it holds the lock on its journal, or that on its checkpoints."""
    return Journal(folder, run).is_written() or is_open(folder, run)


@contextmanager
def _database(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the database to read; ``None`` where there is none yet."""
    file = folder / layout.DATABASE
    if not file.is_file() or not file.stat().st_size:
        yield None
        return
    try:
        faults.wait_until_free(file)
        with closing(connect(file, wait=faults.WAITS)) as database:
            yield database
    except sqlite3.Error as error:
        found = faults.explained(error, folder)
        raise found or TrackingError(f"the runs in {folder} cannot be read: {error}") from error
