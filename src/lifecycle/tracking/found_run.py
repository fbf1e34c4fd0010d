"""Which run a verb is about: found by what a person calls it, in MLflow or as a folder with a saved model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lifecycle.config.request_record import FILE
from lifecycle.config.schema import TrackingConfig
from lifecycle.config.tracking_address import check_environment
from lifecycle.errors import RequestError, SavedModelError
from lifecycle.tracking import client

FINISHED = ("FINISHED",)
ENDED = ("FINISHED", "FAILED", "KILLED")
ANY = (*ENDED, "RUNNING")

MANIFEST = "lifecycle.json"
"""The file by which a folder is known as a saved model; see :mod:`lifecycle.predict.saved_model`."""


@dataclass
class Which:
    """The words that every verb on a run takes."""

    run: str = ""  # an id or its first characters, latest, best, models:/<name>@<alias>, or a folder with a saved model
    metric: str | None = None  # what run=best goes by; null: the validation loss of the weights that were kept
    sweep: str | None = None  # the multirun that latest and best look within; null: the whole experiment
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


@dataclass(frozen=True)
class FoundRun:
    """A run that was made, or a saved model by itself.

    Attributes:
        id: of the MLflow run; ``None`` of a folder.
        name: of the run, or the folder's path.
        status: of MLflow's; ``""`` of a folder.
        experiment: of MLflow's; ``""`` of a folder.
        start_time, end_time: milliseconds since 1970; 0 of a folder, ``None`` of a run that has not ended.
        folder: of the database; ``None`` of a folder.
        artifacts: folder of the run's artifacts; ``None`` of a folder.
        saved: folder of the three files; ``None`` of a run that came to no model.
        params, metrics, tags: as MLflow has them; of a metric the last value.
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

    def model_folder(self) -> Path:
        """Return the folder of the saved model.

        Raises:
            RequestError: the run came to none.
        """
        if self.saved is not None and (self.saved / MANIFEST).is_file():
            return self.saved
        if self.saved is not None:
            raise SavedModelError(f"run {self.name} ({self.id}) keeps its model in {self.saved}, which is not there.")
        why = f" ({self.tags['lifecycle.error']})" if "lifecycle.error" in self.tags else ""
        raise RequestError(
            f"run {self.name} ({self.id}) is {self.status} and saved no model{why}. "
            "`lifecycle resume` goes on with it, or take another run."
        )

    def record(self) -> dict[str, Any]:
        """Return what the run recorded of its request; see :mod:`lifecycle.config.request_record`.

        Raises:
            RequestError: there is no such record.
        """
        if self.artifacts is None:
            raise RequestError(f"{self.name} is a folder with a saved model and no run: name the run it is from.")
        file = self.artifacts / FILE
        try:
            found: dict[str, Any] = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise RequestError(
                f"run {self.name} ({self.id}) has no {FILE} that can be read: {error}. It was made by an older version "
                "or not by lifecycle, and only its model can be used."
            ) from error
        return found

    @property
    def checkpoints(self) -> Path:
        """Folder of the run's checkpoints.

        Raises:
            RequestError: a folder with a saved model has none.
        """
        if self.folder is None or self.id is None:
            raise RequestError(f"{self.name} is a folder with a saved model and no run: it has no checkpoints.")
        return self.folder / "checkpoints" / self.id


def find(which: Which, statuses: Iterable[str] = FINISHED) -> FoundRun:
    """Return the run that is asked for.

    Args:
        which: the words on it.
        statuses: of MLflow's, which ``latest`` and ``best`` choose among.

    Raises:
        RequestError: there is none, or more than one; says what there is.
    """
    if not which.run:
        raise RequestError(
            "run is not chosen. Add run=latest, run=best, a run's id or its first characters, models:/<name>@<alias>, "
            "or a folder with a saved model."
        )
    if (folder := _folder(which.run)) is not None:
        return FoundRun(None, which.run, saved=folder)
    return _found(_ask(which, "find", run=which.run, statuses=list(statuses), metric=which.metric, sweep=which.sweep))


def find_many(which: Which, statuses: Iterable[str] = ENDED) -> list[FoundRun]:
    """Return several runs: those of ``run=a,b,c``, in this order, or all of ``sweep=...``.

    Raises:
        RequestError: one is not there; says what there is.
    """
    names = [name for name in which.run.strip("[]").replace(" ", "").split(",") if name]
    if not names and which.sweep is None:
        raise RequestError("run is not chosen. Add run=a,b,c with the runs' ids, or sweep=... for those of a multirun.")
    for name in names:
        if _folder(name) is not None:
            raise RequestError(f"run={name} is a folder with a saved model and no run. Name the run that it is from.")
    answer = _ask(which, "find_many", runs=names, sweep=which.sweep, statuses=list(statuses), metric=which.metric)
    return [_found(run) for run in answer["runs"]]


def close_dead(which: Which) -> None:
    """Close the runs that are called RUNNING and whose process is gone: they are KILLED."""
    _ask(which, "close_dead")


def histories(which: Which, run: FoundRun) -> dict[str, list[tuple[int, float]]]:
    """Return the epochs and values of each score that a run's epochs have, as MLflow has them, as far as it came."""
    scores = _ask(which, "histories", run=run.id)["scores"]
    return {name: [(int(epoch), float(value)) for epoch, value in points] for name, points in scores.items()}


def register(found: FoundRun, name: str, aliases: list[str]) -> dict[str, Any]:
    """Give a name to the model of a run; see :mod:`lifecycle.tracking.model_registry` for what comes back."""
    tracked = TrackingConfig(dir=str(found.folder), experiment=found.experiment)
    return _ask(Which(tracking=tracked), "register", run_id=found.id, name=name, aliases=aliases)


def _ask(which: Which, verb: str, **values: Any) -> dict[str, Any]:
    check_environment(which.tracking.dir)
    if not (Path(which.tracking.dir).expanduser() / "mlflow.db").is_file():
        raise RequestError(
            f"tracking.dir={which.tracking.dir} has no runs yet. Run one first, such as lifecycle model=mlp data=iris, "
            "or name the folder of your runs."
        )
    serving = client.borrow()
    try:
        return serving.ask(verb, cwd=str(Path.cwd()), tracking=asdict(which.tracking), **values)
    finally:
        client.give_back(serving)


def _found(answer: dict[str, Any]) -> FoundRun:
    paths: dict[str, Any] = {
        name: None if answer[name] is None else Path(answer[name]) for name in ("folder", "artifacts", "saved")
    }
    names = ("id", "name", "status", "experiment", "start_time", "end_time", "params", "metrics", "tags")
    return FoundRun(**{name: answer[name] for name in names}, **paths)


def _folder(run: str) -> Path | None:
    """Return the folder of a saved model that a path leads to: the three files, or MLflow's model around them."""
    path = Path(run).expanduser()
    if run in ("latest", "best") or not path.is_dir():
        return None
    for folder in (path, path / "data" / "saved"):
        if (folder / MANIFEST).is_file():
            return folder
    raise RequestError(f"run={run} is a folder without {MANIFEST}. Give the folder that a run or Model.save made.")
