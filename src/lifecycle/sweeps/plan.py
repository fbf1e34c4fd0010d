"""The jobs of a sweep, composed once and stored: only the stored jobs are read later, whatever happens to ``conf/``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from lifecycle import layout
from lifecycle.config.records import request_record, seals
from lifecycle.config.request import Request, SweepJob
from lifecycle.config.schema import SweepConfig, TrackingConfig
from lifecycle.credentials import masked_values
from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.runtime.memory import uncollected
from lifecycle.sweeps.search import space
from lifecycle.sweeps.search.space import Search
from lifecycle.tracking import sweep_runs

FORMAT = 1
LATEST = "latest"


@dataclass(frozen=True)
class PlannedJob:
    """A job of a sweep.

    Attributes:
        number: from 0.
        words: overrides in which it differs from the other jobs, as typed: ``("optimizer.lr=0.01", "seed=2")``.
        varied: its seed, repetition and fold, where the sweep varies them: ``{"fold": 0}``.
        configuration: equal for jobs that differ in these only.
        signature: digest of everything that its results depend on.
        data: digest of its data; empty: they could not be read.
        code: versions of its code, see :func:`lifecycle.sweeps.signature.code_of`.
        record: its request, see :func:`lifecycle.config.records.request_record.record_of`.
        unit: what tells it apart from the other jobs of its configuration, see :func:`unit_in`.
    """

    number: int
    words: tuple[str, ...]
    varied: Mapping[str, int]
    configuration: str
    signature: str
    data: str
    code: Mapping[str, str]
    record: Mapping[str, Any]
    unit: Mapping[str, Any]

    def request(self, plan: Plan, attempt: int = 1) -> Request:
        """Return the request of the job, rebuilt from its record."""
        request = request_record.request_of(plan.record_of(self))
        request_record.place(request, plan.place)
        place = SweepJob(plan.name, self.number, self.signature, self.configuration, self.data, attempt, self.words)
        overrides = tuple(self.record["overrides"])
        return replace(request, command=plan.command, overrides=overrides, sweep=place)


class StoredRecord(Mapping[str, Any]):
    """The record of a stored job, which is parsed when it is needed: a leader board of many jobs needs few of them."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __getitem__(self, key: str) -> Any:
        return self._parsed[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed)

    def __len__(self) -> int:
        return len(self._parsed)

    @cached_property
    def _parsed(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


def unit_in(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return seed, split seed, repetition and fold of a record."""
    config = record["config"]
    cv = config.get("cv", {})
    return {
        "seed": config["seed"],
        "data.split_seed": config["data"].get("split_seed"),
        "cv.repeat": cv.get("repeat"),
        "cv.fold": cv.get("fold"),
    }


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        name: digest of the signatures of its jobs.
        command: that started it first.
        tracking: where its runs are recorded.
        settings: how its jobs are run.
        verbose: of its runs.
        folder: of its files.
        jobs: in the order of their numbers; of a search, those that were suggested so far.
        search: what is searched; ``None``: all jobs are known.
        started: when it was first stored, in seconds since 1970; 0: it is not stored yet.
        launcher_options: overrides of ``hydra.launcher``.
        is_over: whether a search has ended before its number of trials was reached.
        is_own: whether this user has begun it, and not somebody whose folder of runs this is a copy of.
    """

    name: str
    command: str
    tracking: TrackingConfig
    settings: SweepConfig
    verbose: int
    folder: Path
    jobs: tuple[PlannedJob, ...]
    search: Search | None = None
    started: float = field(default=0.0, compare=False)
    launcher_options: tuple[str, ...] = ()
    is_over: bool = False
    is_own: bool = field(default=True, compare=False)

    @property
    def total(self) -> int:
        """Number of its jobs, of a search with those that are still to be suggested."""
        if self.search is None or self.is_over:
            return len(self.jobs)
        trials, size = self.settings.trials, self.search.size
        known = [number for number in (trials, size) if number is not None]
        return max(len(self.jobs), min(known, default=0) * self.search.runs)

    def title(self, job: PlannedJob) -> str:
        """Return how messages name a job: ``job 2 of 4: optimizer.lr=0.01``."""
        of = f" of {self.total}" if self.search is None or self.settings.trials is not None else ""
        return f"job {job.number + 1}{of}: {' '.join(job.words)}".rstrip(": ")

    @property
    def place(self) -> Path:
        """The folder of the database, ``tracking.dir``."""
        return self.folder.parent.parent

    def record_of(self, job: PlannedJob) -> dict[str, Any]:
        """Return the record of a job, also where the sweep was moved with its folder of runs."""
        return request_record.relocated(job.record, self.place)

    @property
    def to_continue(self) -> str:
        """The command that continues it."""
        where = "" if self.place == Path.cwd() / TrackingConfig.dir else f" tracking.dir={self.tracking.dir}"
        return f"lifecycle resume sweep={self.name}{where}"


def folder_of(tracking: TrackingConfig, name: str) -> Path:
    """Return the folder of a sweep."""
    return Path(tracking.dir).expanduser().absolute() / layout.SWEEPS / name


def write(plan: Plan) -> None:
    """Store a plan, in place of what was stored of it; the caller has its :func:`turn`."""
    plan.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    head = {
        "format": FORMAT,
        "name": plan.name,
        "command": plan.command,
        "tracking": masked_values(asdict(plan.tracking)),
        "settings": asdict(plan.settings),
        "verbose": plan.verbose,
        "launcher_options": list(plan.launcher_options),
        "is_over": plan.is_over,
        "started": plan.started or _first_start(plan.folder) or time.time(),
    }
    if _names_addresses(plan):
        head[SEAL] = seals.seal(_sealed(head))
    if plan.search is not None:
        head["search"] = {item.name: getattr(plan.search, item.name) for item in fields(plan.search) if item.init}
    lines = [json.dumps(head, default=asdict), *map(_line, plan.jobs)]
    part = plan.folder / f".{layout.JOBS}.part"
    with part.open("w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())  # else a power failure could leave an empty file under the name
    part.replace(plan.folder / layout.JOBS)


def turn(plan: Plan) -> FileLock:
    """Return the lock of the processes that store a sweep, or add jobs to a search."""
    plan.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return FileLock(plan.folder / layout.LOCK)


def is_stored(plan: Plan) -> bool:
    """Return whether a plan of this name was stored before."""
    return (plan.folder / layout.JOBS).is_file()


def with_stored_numbers(plan: Plan) -> Plan:
    """Return a plan whose jobs have the numbers that they were stored with: workers of another process use them."""
    if not is_stored(plan):
        return plan
    try:
        numbers = {job.signature: job.number for job in read(plan.folder).jobs}
    except RequestError:  # it cannot be read, and is replaced
        return plan
    if sorted(numbers) != sorted(job.signature for job in plan.jobs):
        return plan
    jobs = (replace(job, number=numbers[job.signature]) for job in plan.jobs)
    return replace(plan, jobs=tuple(sorted(jobs, key=lambda job: job.number)))


SEAL = "seal"
RECORD = ', "record": '
"""Where the record of a job begins in its line, of which it is the last value; within a text, quotes are escaped."""


def _line(job: PlannedJob) -> str:
    values = {one.name: getattr(job, one.name) for one in fields(job) if one.name != "record"}
    record = job.record.text if isinstance(job.record, StoredRecord) else json.dumps(job.record)
    return f"{json.dumps(values)[:-1]}{RECORD}{record}}}"


def _job(line: str) -> PlannedJob:
    first, _, record = line.rstrip().removesuffix("}").partition(RECORD)
    values = {"record": StoredRecord(record), **json.loads(first + "}")}
    if not record.endswith("}"):
        raise ValueError(f"the line of job {values['number']} is cut off")
    if "unit" not in values:  # of an earlier version
        values["unit"] = unit_in(values["record"])
    return PlannedJob(**{**values, "words": tuple(values["words"])})


def _first_start(folder: Path) -> float | None:
    """Return when the sweep of a folder was first stored, or ``None``; the head of an older file does not have it."""
    file = folder / layout.JOBS
    try:
        with file.open(encoding="utf-8") as lines:
            head = json.loads(next(lines))
        return float(head.get("started", file.stat().st_mtime))
    except (OSError, ValueError, StopIteration):
        return None


def read(folder: Path) -> Plan:
    """Return the stored plan of a sweep.

    Raises:
        RequestError: it cannot be read.
    """
    with uncollected():
        return _read(folder, with_jobs=True)


def read_head(folder: Path) -> Plan:
    """Return the stored plan of a sweep without its jobs, of which there may be thousands.

    Raises:
        RequestError: it cannot be read.
    """
    return _read(folder, with_jobs=False)


def _read(folder: Path, with_jobs: bool) -> Plan:
    try:
        with (folder / layout.JOBS).open(encoding="utf-8") as lines:
            head = json.loads(next(lines, ""))
            jobs = [_job(line) for line in lines] if with_jobs else []
        if head["format"] != FORMAT:
            problem = f"is recorded in format {head['format']}, and this version reads {FORMAT}"
            raise RequestError(Setting("sweep", folder.name), problem, remedy="Update nn-lifecycle.")
        planned = tuple(sorted(jobs, key=lambda job: job.number))
        settings, tracking = SweepConfig(**head["settings"]), TrackingConfig(**head["tracking"])
        search = space.read(head["search"]) if "search" in head else None
        place = folder.parent.parent
        if Path(tracking.dir).expanduser().absolute() != place:  # it was relative, or the folder was moved
            tracking = replace(tracking, dir=str(place))
        if search is not None:
            bases = (replace(base, record=request_record.relocated(base.record, place)) for base in search.bases)
            search = replace(search, bases=tuple(bases))
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"has no readable {layout.JOBS} in {folder}: {error}"
        raise RequestError(Setting("sweep", folder.name), problem, remedy="Type its command again.") from error
    started = _first_start(folder) or 0.0
    plan = Plan(
        head["name"],
        head["command"],
        tracking,
        settings,
        head["verbose"],
        folder,
        planned,
        search,
        started,
        launcher_options=tuple(head.get("launcher_options", ())),
        is_over=head.get("is_over", False),
    )
    return replace(plan, is_own=not _names_addresses(plan) or seals.is_sealed(_sealed(head), head.get(SEAL)))


def _sealed(head: Mapping[str, Any]) -> list[Any]:
    """Return what of a plan names servers, and programs that a cluster runs."""
    return [head["tracking"], head["settings"], head.get("launcher_options", [])]


def _names_addresses(plan: Plan) -> bool:
    tracking, settings = plan.tracking, plan.settings
    return bool(tracking.uri or tracking.artifacts or settings.launcher or plan.launcher_options)


def check_can_continue(plan: Plan) -> None:
    """Refuse to run the jobs of a sweep of another user with what it says about servers and launchers.

    Raises:
        RequestError: it names a server, or a launcher.
    """
    if plan.is_own:
        return
    problem = "was begun by another user or on another machine, and names a server or a launcher"
    remedy = "Type its command here; jobs that are done are not run again."
    raise RequestError(Setting("sweep", plan.name), problem, remedy=remedy)


def current(plan: Plan) -> Plan:
    """Return a plan as it is by now: a search adds jobs, and may end early."""
    if plan.search is None:
        return plan
    now = read(plan.folder)
    return replace(plan, jobs=now.jobs, is_over=now.is_over)


def find(tracking: TrackingConfig, name: str) -> Plan:
    """Return the sweep of a name, of the first characters of one, or the ``latest``.

    Raises:
        RequestError: there is none, or more than one; lists what there is.
    """
    known = sweep_runs.names(Path(tracking.dir).expanduser().absolute())
    if name == LATEST and known:
        return read(folder_of(tracking, known[0]))
    fitting = [one for one in known if one == name] or [one for one in known if name and one.startswith(name)]
    if len(fitting) == 1:
        return read(folder_of(tracking, fitting[0]))
    problem = "begins the names of several sweeps" if fitting else "is no sweep"
    listed = ", ".join(fitting or known[:10]) or "none yet"
    remedy = f"{did_you_mean(name, known) if not fitting else ''} Sweeps in {tracking.dir}: {listed}."
    raise RequestError(Setting("sweep", name), problem, remedy=remedy.strip())


def differing(all_words: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return for each job the words that not all jobs have; of a single job, none."""
    shared = set(all_words[0]).intersection(*map(set, all_words)) if all_words else set()
    return [tuple(word for word in words if word not in shared) for words in all_words]
