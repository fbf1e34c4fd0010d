"""Finds the run that a subcommand is about, in MLflow or as a folder with a saved model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.config.fields import option
from lifecycle.config.records import request_record
from lifecycle.config.schema import TrackingConfig
from lifecycle.config.tracking_address import LOCAL
from lifecycle.credentials import MASK
from lifecycle.errors import RequestError, SavedModelError, Setting
from lifecycle.runtime.files.paths import link_out
from lifecycle.tracking import client
from lifecycle.tracking.messages import (
    CloseDeadRuns,
    DiscardRun,
    FindRun,
    FindRuns,
    GetHistories,
    Message,
    RegisterModel,
    Reply,
)
from lifecycle.tracking.replies import Registered, RunRecord

FINISHED = ("FINISHED",)
ENDED = ("FINISHED", "FAILED", "KILLED")
ANY = (*ENDED, "RUNNING")


@dataclass
class Which:
    """Options of every subcommand on a run: how the run is found."""

    run: str = option(
        "",
        "an id or its first characters, latest, best, models:/<name>@<alias>, or a folder with a saved model",
        ("latest", "best"),
    )
    metric: str | None = option(None, "score that run=best compares; null: the validation loss of the saved weights")
    sweep: str | None = option(None, "multirun in which latest and best are searched; null: the whole experiment")
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


@dataclass(frozen=True)
class FoundRun:
    """An existing run, or a folder with a saved model.

    Attributes:
        id: of the MLflow run; ``None`` of a folder.
        name: of the run, or the folder's path.
        status: MLflow's; ``""`` of a folder.
        experiment: its name; ``""`` of a folder.
        start_time, end_time: milliseconds since 1970; 0 of a folder, ``None`` of a run that has not ended.
        folder: of the database; ``None`` of a folder.
        artifacts: folder of the run's artifacts; ``None`` of a folder.
        saved: folder of the three files; ``None`` of a run without a model.
        params, metrics, tags: as in MLflow; the last value of a metric.
        tracking: where it was looked for; ``None`` of a folder.
    """

    id: str | None
    name: str
    status: str = ""
    experiment: str = ""
    start_time: int = 0
    end_time: int | None = None
    folder: Path | None = None
    artifacts: Path | None = None
    saved: Path | None = None
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    tracking: TrackingConfig | None = None

    @property
    def outcome(self) -> str:
        """The status, or PRUNED of a run that its search ended early, which is FINISHED in MLflow."""
        return "PRUNED" if self.tags.get(layout.STATUS) == layout.PRUNED else self.status

    def model_folder(self) -> Path:
        """Return the folder of the saved model.

        Raises:
            RequestError: the run has none.
        """
        if self.saved is not None and (self.saved / layout.MANIFEST).is_file():
            return self._own(self.saved)
        if self.saved is not None:
            raise SavedModelError(f"run {self.name} ({self.id}) keeps its model in {self.saved}, which is not there.")
        if self.outcome == "PRUNED":
            problem = "was pruned by its search, and saved no model"
            raise RequestError(f"run {self.name} ({self.id})", problem, remedy="Take another run, such as run=best.")
        why = f" ({self.tags[layout.ERROR]})" if layout.ERROR in self.tags else ""
        raise RequestError(
            f"run {self.name} ({self.id})",
            f"is {self.status} and saved no model{why}",
            remedy="`lifecycle resume` continues it, or take another run.",
        )

    def record(self) -> dict[str, Any]:
        """Return the request record of the run; see :mod:`lifecycle.config.records.request_record`.

        Raises:
            RequestError: there is no such record.
        """
        if self.artifacts is None:
            raise RequestError(self.name, "is a folder with a saved model and no run", remedy="Name its run.")
        file = self._own(self.artifacts / layout.REQUEST)
        try:
            found: dict[str, Any] = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise RequestError(
                f"run {self.name} ({self.id})",
                f"has no {layout.REQUEST} that can be read: {error}",
                remedy="An older version or another tool has made it, and only its model can be used.",
            ) from error
        recorded = found.get("config", {}).get("tracking", {})
        if self.tracking is not None and MASK in str(recorded.get("uri")) and self.tracking.server is not None:
            recorded["uri"] = self.tracking.uri  # it is given again, with its password
        return found if self.folder is None else request_record.relocated(found, self.folder)

    @property
    def checkpoints(self) -> Path:
        """Folder of the run's checkpoints.

        Raises:
            RequestError: a folder with a saved model has none.
        """
        if self.folder is None or self.id is None:
            raise RequestError(
                self.name, "is a folder with a saved model and has no checkpoints", remedy="Name its run."
            )
        return self._own(self.folder / layout.CHECKPOINTS / self.id)

    def _own(self, path: Path) -> Path:
        """Return a path of the run, after a check that no link in it leads elsewhere.

        The folder of runs may be a copy of someone else's: such a link would read, pack or overwrite other files.

        Raises:
            SavedModelError: a link does.
        """
        link = None if self.folder is None else link_out(path, self.folder)
        if link is not None:
            raise SavedModelError(
                f"{link} leads to {link.resolve()} by a link, outside of {self.folder}. Replace the link by the file "
                "if this run is yours; else do not use it."
            )
        return path


def find(which: Which, statuses: Iterable[str] = FINISHED) -> FoundRun:
    """Return one run.

    Args:
        which: run, metric, sweep and tracking, as given.
        statuses: MLflow statuses that ``latest`` and ``best`` choose among.

    Raises:
        RequestError: there is none, or more than one; lists what there is.
    """
    if not which.run:
        raise RequestError(
            "run",
            "is not chosen",
            remedy="Add run=latest, run=best, a run's id or its first characters, models:/<name>@<alias>, or a folder "
            "with a saved model.",
        )
    if (folder := _folder(which.run)) is not None:
        return FoundRun(None, which.run, saved=folder)
    message = FindRun(*_place(which), which.run, list(statuses), which.metric, which.sweep)
    found = replace(_found(_ask(which, message)), tracking=which.tracking)
    if found.folder is None or not {layout.COMMAND, layout.ROLE} & set(found.tags):
        raise _foreign(found)
    return found


def _foreign(found: FoundRun) -> RequestError:
    what = f"run {found.name} ({found.id})"
    if layout.COMMAND in found.tags:
        host = found.tags.get(layout.HEARTBEAT, "another machine").split()[0]
        return RequestError(what, f"is still running on {host}", remedy="Wait for its end.")
    problem = "was recorded by another program, so that its model and its files are not known here"
    return RequestError(what, problem, remedy="`lifecycle compare` shows it. Name another run.")


def find_many(which: Which, statuses: Iterable[str] = ENDED) -> list[FoundRun]:
    """Return several runs: those of ``run=a,b,c``, in this order, or all of ``sweep=...``.

    Raises:
        RequestError: one does not exist; lists what there is.
    """
    names = [name for name in which.run.strip("[]").replace(" ", "").split(",") if name]
    if not names and which.sweep is None:
        raise RequestError(
            "run",
            "is not chosen",
            remedy="Add run=a,b,c with the runs' ids, or sweep=... for those of a multirun.",
        )
    for name in names:
        if _folder(name) is not None:
            raise RequestError(
                Setting("run", name), "is a folder with a saved model and no run", remedy="Name its run."
            )
    found = _ask(which, FindRuns(*_place(which), names, list(statuses), which.metric, which.sweep))
    return [replace(_found(RunRecord(**run)), tracking=which.tracking) for run in found.runs]


def close_dead(which: Which) -> None:
    """Set RUNNING runs whose process is gone to KILLED."""
    _ask(which, CloseDeadRuns(*_place(which)))


def discard(which: Which) -> None:
    """Delete a run of which nothing was recorded."""
    _ask(which, DiscardRun(*_place(which), which.run))


def histories(which: Which, run: FoundRun) -> dict[str, list[tuple[int, float]]]:
    """Return epoch and value of each per-epoch score of a run, as MLflow has them."""
    assert run.id is not None  # noqa: S101 - a folder has no history
    found = _ask(which, GetHistories(*_place(which), run.id)).points
    return {name: [(int(epoch), float(value)) for epoch, value in points] for name, points in found.items()}


def register(found: FoundRun, name: str, aliases: list[str]) -> Registered:
    """Register the model of a run; see :mod:`lifecycle.tracking.models.registry`."""
    assert found.id is not None  # noqa: S101 - the command refuses a folder
    place = found.tracking or TrackingConfig()
    which = Which(
        tracking=replace(place, dir=str(found.folder), experiment=found.experiment, uri=place.server or LOCAL)
    )
    return _ask(which, RegisterModel(*_place(which), found.id, name, aliases))


def _place(which: Which) -> tuple[str, dict[str, Any]]:
    """Return the first two fields of every message that finds runs."""
    return str(Path.cwd()), which.tracking.for_process()


def _ask(which: Which, message: Message[Reply]) -> Reply:
    which.tracking.check()
    # Checked here, since opening a database that does not exist would create it; a server may have runs.
    if which.tracking.server is None and not (Path(which.tracking.dir).expanduser() / layout.DATABASE).is_file():
        raise RequestError(
            Setting("tracking.dir", which.tracking.dir),
            "has no runs yet",
            remedy="Run one first, such as lifecycle model=mlp data=iris, or name the folder of your runs.",
        )
    worker = client.borrow()
    try:
        return worker.ask(message)
    finally:
        client.give_back(worker)


def _found(run: RunRecord) -> FoundRun:
    paths: dict[str, Any] = {
        name: None if value is None else Path(value)
        for name, value in (("folder", run.folder), ("artifacts", run.artifacts), ("saved", run.saved))
    }
    return FoundRun(**{**vars(run), **paths})


def _folder(run: str) -> Path | None:
    """Return the folder of a saved model at a path: the three files, or the MLflow model that contains them."""
    path = Path(run).expanduser()
    # These words keep their meaning where a folder has such a name.
    if run in ("latest", "best") or not path.is_dir():
        return None
    # MLflow copies the data of a model into its folder "data".
    for folder in (path, path / "data" / "saved"):
        if (folder / layout.MANIFEST).is_file():
            return folder
    raise RequestError(
        Setting("run", run),
        f"is a folder without {layout.MANIFEST}",
        remedy="Give the folder that a run or Model.save has written.",
    )
