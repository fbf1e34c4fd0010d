"""Creates, logs and ends one MLflow run; another process records it, see :mod:`lifecycle.tracking.client`."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from lifecycle.config import request_record
from lifecycle.config.schema import Request
from lifecycle.contract import DataSpec
from lifecycle.credentials import masked
from lifecycle.errors import TrackingError
from lifecycle.tracking import client, failures, provenance
from lifecycle.tracking.client import Client, Recorder
from lifecycle.tracking.messages import (
    CreateRun,
    FinishRun,
    ListSweep,
    LogDataset,
    LogFigures,
    LogFile,
    LogFolder,
    LogMetrics,
    LogModel,
    LogParams,
    LogRequest,
    LogText,
    ReopenRun,
    ResumeRun,
    RunOpened,
    SetTags,
)

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.tracking.found_run import FoundRun

SECONDS_BETWEEN = 5.0
"""History is sent this often, and at the end, so that a page that is open moves and a short epoch costs nothing."""

MOST_PARAM_CHARACTERS = 6000
WORKED_OUT = re.compile(r"loss|metrics|trainer\.batch_size|schedule\..*")
"""Parameters that may be left open, and are recorded as they were worked out from the request and the data."""
ONE_VALUE = ("class_weights",)  # its keys are the user's, and MLflow takes few characters in a name
CARD = ("data.source", "data.licence", "data.note")
KINDS = {"f": "double", "i": "long", "b": "boolean"}
"""MLflow's types by NumPy's kinds; all else is a string."""


@dataclass
class Run:
    """One MLflow run that is going on.

    Attributes:
        folder: of the database.
        artifacts: folder of the run's artifacts.
        scratch: a folder for what is on its way to be recorded; gone when the run is closed.
    """

    recorder: Recorder
    id: str
    name: str
    folder: Path
    artifacts: Path
    scratch: Path
    _unsent: list[Any] = field(default_factory=list)
    _sent: float = field(default_factory=time.monotonic)
    _known: dict[str, dict[int, float]] = field(default_factory=dict)  # value by metric and step, of a run resumed

    @property
    def checkpoints(self) -> Path:
        """Folder of the run's checkpoints."""
        return self.folder / "checkpoints" / self.id

    def log_epoch(self, row: dict[str, float]) -> None:
        """Take an epoch's scores; they are sent now and then, the step being the epoch."""
        now, epoch = int(time.time() * 1000), int(row["epoch"])
        scores = {name: value for name, value in row.items() if not name.startswith("epoch")}
        self._unsent += [(n, value, now, epoch) for n, value in scores.items() if epoch not in self._known.get(n, {})]
        if time.monotonic() - self._sent >= SECONDS_BETWEEN:
            self.send()

    def log_scores(self, scores: dict[str, float]) -> None:
        """Record scores of the finished model: one point each, at step 0, which the UI draws as bars side by side.

        Of a run that was finished, and was trained further, the step is how often it had been finished before.
        """
        now = int(time.time() * 1000)
        for name, value in scores.items():
            step, before = max(self._known.get(name, {}).items(), default=(-1, None))
            if before is None or not _same(before, value):
                self._unsent.append((name, value, now, step + 1))

    def send(self) -> None:
        """Send what is waiting."""
        waiting, self._unsent = self._unsent, []
        self._sent = time.monotonic()
        if waiting:
            self.recorder.send(LogMetrics(waiting))

    def log_data(self, name: str, digest: str, source: str, rows: int) -> None:
        """Record which data the run saw."""
        self.recorder.send(LogDataset(name, digest, masked(source), rows))

    def log_worked_out(self, request: Request, **values: Any) -> None:
        """Record the parameters of :data:`WORKED_OUT` that the request left open, dots written as ``__``."""
        asked = flatten(request.recorded)
        named = {key.replace("__", "."): str(value) for key, value in values.items()}
        params = {key: value for key, value in named.items() if key in asked and asked[key] is None}
        self.recorder.send(LogParams(params))

    def go_on(self) -> None:
        """Have a run that was opened again be RUNNING, and record no point of a metric that it has already."""
        known = self.recorder.ask(ResumeRun()).points
        self._known = {name: {int(step): value for step, value in points} for name, points in known.items()}

    def log_text(self, text: str, name: str) -> None:
        """Record a text as an artifact."""
        self.recorder.send(LogText(text, name))

    def log_file(self, file: Path, folder: str | None = None) -> None:
        """Record a file, which is left as it is until the run is closed, as an artifact."""
        self.recorder.send(LogFile(str(file), folder))

    def log_folder(self, folder: Path, into: str | None = None) -> None:
        """Record the files of a folder, see :attr:`scratch`, as artifacts, ``into`` a folder of theirs."""
        self.recorder.send(LogFolder(str(folder), into))

    def log_pictures(
        self, history: dict[str, Any] | None, predictions: pd.DataFrame, spec: DataSpec, into: str | None = None
    ) -> None:
        """Have the pictures drawn that need neither network nor data, and record them as artifacts.

        Args:
            history: fields of that of the fit; ``None``: no learning curves.
            predictions: of the scored rows, beside the truth.
            spec: the task.
            into: a folder of the artifacts.
        """
        drawn, file = predictions.filter(regex="^(actual|predicted|probability_.*)$"), self.scratch / "drawn.parquet"
        drawn.to_parquet(file)
        self.recorder.send(LogFigures(history, str(file), asdict(spec), into))

    def tag(self, **tags: str) -> None:
        """Set tags."""
        self.recorder.send(SetTags(tags))

    def log_model(
        self, folder: Path, columns: Iterable[str], predictions: pd.DataFrame, params: dict[str, int | str]
    ) -> None:
        """Record a saved model as an MLflow model that takes raw rows; nothing of it is pickled.

        Args:
            folder: the three files, see :attr:`scratch`.
            columns: those that a prediction reads.
            predictions: some of them, for the types of what comes out.
            params: what ``predict`` takes beside rows, and what it is where it is not given.
        """
        outputs = {str(name): KINDS.get(predictions[name].dtype.kind, "string") for name in predictions}
        self.recorder.send(LogModel(str(folder), list(columns), outputs, params))


@contextmanager
def track(request: Request) -> Iterator[Run]:
    """Open a run, record the request, and close it as FINISHED, FAILED or KILLED, as the block truly ends.

    Raises:
        RequestError: the database cannot be opened.
        TrackingError: something could not be recorded; the run is FAILED.
    """
    with _session(lambda serving, scratch: _open(serving, request, scratch)) as run:
        describe(run, request)
        yield run


@contextmanager
def track_again(found: FoundRun, *, resume: bool) -> Iterator[Run]:
    """Open a run that was made.

    Args:
        found: the run.
        resume: go on with it: it is RUNNING meanwhile, and closed as the block truly ends. Else the block adds to what
            the run came to, whose status stays as it is, until it calls :meth:`Run.go_on`.

    Raises:
        RequestError: another process is still going on with it.
        TrackingError: something could not be recorded.
    """
    with _session(lambda serving, scratch: _reopen(serving, found, scratch)) as run:
        if resume:
            run.go_on()
        yield run


@contextmanager
def _session(begin: Callable[[Client, Path], Run]) -> Iterator[Run]:
    """Have a run recorded while the block lasts, and closed as it ends."""
    serving, run = client.borrow(), None
    scratch = Path(tempfile.mkdtemp(prefix="lifecycle-"))
    try:
        serving.has_recorded = True
        run = begin(serving, scratch)
        yield run
        run.send()
        serving.ask(FinishRun())
    except BaseException as error:
        said = failures.close(serving, run, error)
        if run is not None and type(error) is TrackingError:  # a full disk has its own advice
            raise TrackingError(
                f"{error}{request_record.what_is_left(run.artifacts, run.checkpoints, run.id)}"
            ) from error
        if said is None:
            raise
        raise said from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        client.give_back(serving)


def record_failure(request: Request, error: BaseException) -> None:
    """Leave a FAILED run for a request that ended before its run was opened."""
    with suppress(type(error)), track(request):
        raise error


def sweep_runs(request: Request) -> tuple[Path, list[tuple[str, str, dict[str, float]]], str | None]:
    """Return the folder of the database; what was asked, status and final scores of each run of a sweep; and a note."""
    serving = client.borrow()
    try:
        answer = serving.ask(ListSweep(str(Path.cwd()), asdict(request.tracking), request.sweep or ""))
    finally:
        client.give_back(serving)
    return Path(answer.folder), [(overrides, status, scores) for overrides, status, scores in answer.runs], answer.note


def _open(serving: Client, request: Request, scratch: Path) -> Run:
    tags = {
        "mlflow.source.name": "lifecycle",
        "mlflow.source.type": "LOCAL",
        "lifecycle.command": request.command,
        "lifecycle.overrides": " ".join(request.overrides),
        "lifecycle.model": request.choices["model"],
        "lifecycle.data": request.choices["data"],
        **({"lifecycle.sweep": request.sweep} if request.sweep else {}),
    }
    name = request.run_name
    opened = serving.ask(CreateRun(str(Path.cwd()), asdict(request.tracking), name, tags, str(scratch)))
    return _run(serving, opened, name, scratch)


def _reopen(serving: Client, found: FoundRun, scratch: Path) -> Run:
    assert found.id is not None  # noqa: S101 - its callers refuse a folder with a saved model
    tracked = {"dir": str(found.checkpoints.parent.parent), "experiment": found.experiment}
    opened = serving.ask(ReopenRun(str(Path.cwd()), tracked, found.id, str(scratch)))
    return _run(serving, opened, found.name, scratch)


def _run(serving: Client, opened: RunOpened, name: str, scratch: Path) -> Run:
    return Run(serving, opened.run_id, name, Path(opened.folder), Path(opened.artifacts), scratch)


def describe(run: Run, request: Request) -> None:
    """Record what was asked for: parameters, versions, the configuration and what rebuilds it."""
    values = {**request.choices, **flatten(request.recorded)}
    values = {key: value for key, value in values.items() if key not in CARD}  # these are about the data, not the run
    open_yet = [key for key, value in values.items() if value is None and WORKED_OUT.fullmatch(key)]
    for key in open_yet:
        del values[key]  # comes with log_worked_out()
    params = {key: str(value)[:MOST_PARAM_CHARACTERS] for key, value in values.items()}
    chosen = " ".join(f"{group}={name}" for group, name in sorted(request.choices.items()))
    config = f"# {request.command}\n# {chosen}\n{OmegaConf.to_yaml(OmegaConf.create(request.recorded))}"
    run.log_text(
        json.dumps(request_record.record_of(request), indent=2) + "\n", request_record.FILE
    )  # first: to resume it
    run.recorder.send(LogRequest(params, config))
    run.tag(**provenance.hardware())


def flatten(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a configuration, in plain values, by dotted key; a list is one value."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict) and f"{prefix}{key}" not in ONE_VALUE:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _same(kept: float, value: float) -> bool:
    """Tell whether MLflow keeps a value so: of one that is infinite it keeps the largest number there is."""
    largest = sys.float_info.max
    return kept == min(max(value, -largest), largest) or (math.isnan(kept) and math.isnan(value))
