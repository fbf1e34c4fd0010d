"""Creates, logs and ends one MLflow run; another process records it, see :mod:`lifecycle.tracking.client`."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import layout
from lifecycle.config.records import request_record
from lifecycle.config.request import Request
from lifecycle.config.tracking_address import LOCAL
from lifecycle.contract import DataSpec
from lifecycle.credentials import masked
from lifecycle.errors import TrackingError
from lifecycle.runtime.signals import interruption_kept
from lifecycle.tracking import failures, parameters, provenance
from lifecycle.tracking.client import Recorder, WorkerEndedError, borrow, give_back
from lifecycle.tracking.messages import (
    CreateRun,
    FinishRun,
    LogDataset,
    LogFigures,
    LogFile,
    LogFolder,
    LogMetrics,
    LogModel,
    LogParams,
    LogRequest,
    LogText,
    Points,
    ReopenRun,
    ResumeRun,
    SetTags,
)
from lifecycle.tracking.servers import delivery
from lifecycle.tracking.spool import pending
from lifecycle.tracking.spool.recorder import SpooledRecorder

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.tracking.found_run import FoundRun

SECONDS_BETWEEN = 5.0
"""Interval at which the history is sent: MLflow's charts move during a fit, and short epochs cost little."""

KINDS = {"f": "double", "i": "long", "b": "boolean"}
"""MLflow's column types by NumPy's dtype kinds; all others are strings."""


@dataclass
class Run:
    """An open MLflow run.

    Attributes:
        folder: of the database.
        artifacts: folder of the run's artifacts.
        scratch: a folder for files that are being recorded; removed when the run is recorded.
        pending: once the run has ended: what is not in its database or on its server yet, and why; empty: nothing.
        page: once the run has ended: its address on its server; empty: it has none, or is not there in full.
        is_callers: whether a Python caller has made the run, and describes it.
    """

    recorder: Recorder
    id: str
    name: str
    folder: Path
    artifacts: Path
    scratch: Path
    pending: str = ""
    page: str = ""
    is_callers: bool = False
    _unsent: Points = field(default_factory=list)
    _sent: float = field(default_factory=time.monotonic)
    _known: dict[str, dict[int, float]] = field(default_factory=dict)  # of a resumed run: value by metric and step

    @property
    def checkpoints(self) -> Path:
        """Folder of the run's checkpoints."""
        return self.folder / layout.CHECKPOINTS / self.id

    def log_epoch(self, row: dict[str, float]) -> None:
        """Log the scores of an epoch, with the epoch as the step; they are sent at intervals."""
        now, epoch = int(time.time() * 1000), int(row["epoch"])
        scores = {name: value for name, value in row.items() if not name.startswith("epoch")}
        self._keep([(n, value, now, epoch) for n, value in scores.items() if epoch not in self._known.get(n, {})])
        if time.monotonic() - self._sent >= SECONDS_BETWEEN:
            self.send()

    def log_points(self, values: dict[str, float], step: int) -> None:
        """Log values that callbacks of a Python caller measured at a step."""
        now = int(time.time() * 1000)
        self._keep([(name, value, now, step) for name, value in values.items() if math.isfinite(value)])

    def log_scores(self, scores: dict[str, float]) -> None:
        """Log the final scores, one point each, at step 0: MLflow draws single points as a bar chart.

        The step counts how often the run had finished before: a resumed run has its final scores at step 1.
        """
        now = int(time.time() * 1000)
        points: Points = []
        for name, value in scores.items():
            step, before = max(self._known.get(name, {}).items(), default=(-1, None))
            if before is None or not _same(before, value):
                points.append((name, value, now, step + 1))
        self._keep(points)

    def _keep(self, points: Points) -> None:
        """Put points on the disk; they are sent at intervals."""
        if points:
            self.recorder.keep([LogMetrics(points)])
            self._unsent += points

    def send(self) -> None:
        """Send the points that are waiting."""
        # Replaced before sending: if sending fails, ending the run must not send the same points again.
        waiting, self._unsent = self._unsent, []
        self._sent = time.monotonic()
        if waiting:
            self.recorder.send(LogMetrics(waiting), kept=True)

    def log_data(self, name: str, digest: str, source: str, rows: int) -> None:
        """Log which data the run is trained on."""
        self.recorder.send(LogDataset(name, digest, masked(source), rows))

    def log_resolved(self, request: Request, **values: Any) -> None:
        """Log the parameters that the request left to the data and the network; ``__`` stands for a dot in names."""
        named = {key.replace("__", "."): value for key, value in values.items()}
        self.recorder.send(LogParams(parameters.resolved(request, named)))

    def resume(self) -> None:
        """Set a reopened run to RUNNING; points that it has already are not logged again."""
        known = self.recorder.ask(ResumeRun()).points
        self._known = {name: {int(step): value for step, value in points} for name, points in known.items()}

    def log_text(self, text: str, name: str) -> None:
        """Log a text as an artifact."""
        self.recorder.send(LogText(text, name))

    def log_file(self, file: Path, folder: str | None = None) -> None:
        """Log a file as an artifact; it must not change until the run has ended."""
        self.recorder.send(LogFile(str(file), folder))

    def log_folder(self, folder: Path, into: str | None = None) -> None:
        """Log the files of a folder in :attr:`scratch` as artifacts, in the artifact folder ``into``."""
        self.recorder.send(LogFolder(str(folder), into))

    def log_figures(
        self,
        history: dict[str, Any] | None,
        predictions: pd.DataFrame,
        spec: DataSpec,
        into: str | None = None,
        **look: Any,
    ) -> None:
        """Draw the figures that need neither network nor data, and log them as artifacts.

        Args:
            history: fields of the history; ``None``: no learning curves.
            predictions: predictions and actual values of the scored rows.
            spec: of the data.
            into: a folder of the artifacts.
            look: ``about`` and ``has_copies`` of the message.
        """
        # A file rather than the message: predictions of millions of rows do not fit into a line of JSON.
        drawn, file = predictions.filter(regex="^(actual|predicted|probability_.*)$"), self.scratch / "drawn.parquet"
        drawn.to_parquet(file)
        self.recorder.send(LogFigures(history, str(file), asdict(spec), into, **look))

    def tag(self, **tags: str) -> None:
        """Set tags."""
        self.recorder.send(SetTags(tags))

    def describe(self, text: str) -> None:
        """Set the description that MLflow's page of the run shows, in Markdown."""
        if not self.is_callers:
            self.tag(**{layout.NOTE: text})

    def log_model(
        self,
        folder: Path,
        columns: Iterable[str],
        predictions: pd.DataFrame,
        params: dict[str, int | str],
        **about: Any,
    ) -> None:
        """Log a saved model as an MLflow model that takes raw rows; nothing is pickled.

        Args:
            folder: the three files, in :attr:`scratch`.
            columns: those that a prediction reads.
            predictions: an example, for the output types.
            params: what ``predict`` takes in addition to rows, with its defaults.
            about: ``name`` of the model, and ``step``, the epoch of its weights.
        """
        self.send()  # a model has the scores that its run has by then
        outputs = {str(name): KINDS.get(predictions[name].dtype.kind, "string") for name in predictions}
        self.recorder.send(LogModel(str(folder), list(columns), outputs, params, **about))


@contextmanager
def track(request: Request) -> Iterator[Run]:
    """Create a run, log the request, and end the run as FINISHED, FAILED or KILLED according to how the block ends.

    Raises:
        RequestError: the database cannot be opened.
        TrackingError: something could not be recorded; the run is FAILED.
    """
    place, name = (str(Path.cwd()), request.tracking.for_process()), request.run_name
    opening = CreateRun(*place, name, parameters.tags_of(request), is_numbered=not request.is_named)
    # The process of a sweep waits for its server once, at its end.
    with session(opening, name, deliver=request.sweep is None) as run:
        describe(run, request)
        yield run


@contextmanager
def track_again(found: FoundRun, *, resume: bool) -> Iterator[Run]:
    """Open an existing run.

    Args:
        found: the run.
        resume: whether the run is RUNNING during the block and ends as the block does. Otherwise the block adds to the
            run, whose status stays, until it calls :meth:`Run.resume`.

    Raises:
        RequestError: the run is still running in another process.
        TrackingError: something could not be recorded.
    """
    assert found.id is not None  # noqa: S101 - its callers refuse a folder with a saved model
    sent = {"uri": LOCAL} if found.tracking is None else found.tracking.for_process()
    tracked = {**sent, "dir": str(found.checkpoints.parent.parent), "experiment": found.experiment}
    with session(ReopenRun(str(Path.cwd()), tracked, found.id), found.name) as run:
        if resume:
            run.resume()
        yield run


@contextmanager
def session(opening: CreateRun | ReopenRun, name: str, deliver: bool = True) -> Iterator[Run]:
    """Record a run during the block, and end it as the block ends.

    Args:
        opening: creates the run, or reopens it.
        name: of the run.
        deliver: whether to wait until the run is on its server, if it has one that answers.

    Raises:
        RequestError: the database cannot be opened, or another process has the run open.
        TrackingError: something could not be recorded.
    """
    worker, run = borrow(), None
    recorder: SpooledRecorder | None = None
    try:
        try:
            recorder = SpooledRecorder(worker, opening)
        except WorkerEndedError:
            # What it may have created is RUNNING without a process, and closed as such by the next one.
            give_back(worker)
            worker = borrow()
            recorder = SpooledRecorder(worker, opening)
        opened, scratch = recorder.opened, recorder.journal.files
        run = Run(recorder, opened.run_id, opened.name or name, Path(opened.folder), Path(opened.artifacts), scratch)
        with interruption_kept():
            yield run
        run.send()
        run.pending = pending.sentence(recorder.ask(FinishRun(pending.now())), run.folder)
        if deliver and not run.pending and opening.tracking.get("uri", LOCAL) != LOCAL:
            run.page, run.pending = delivery.sentences(recorder.deliver())
    # Also Interrupted and KeyboardInterrupt, which are no Exceptions: the run ends as KILLED.
    except BaseException as error:
        # Also a run that could not be opened: the process that records may have created it.
        reported = failures.close(recorder or worker, run, error)
        if run is not None and type(error) is TrackingError:  # not a DiskError, which has its own advice
            raise TrackingError(
                f"{error}{failures.remaining_checkpoints(run.artifacts, run.checkpoints, run.id)}"
            ) from error
        if reported is None:
            raise
        raise reported from error
    finally:
        if recorder is None:
            give_back(worker)
        else:
            recorder.close()


def record_failure(request: Request, error: BaseException) -> None:
    """Record a FAILED run for a request that failed before its run was created."""
    with suppress(type(error)), track(request):
        raise error


def describe(run: Run, request: Request) -> None:
    """Log the request: parameters, versions, the configuration and the record that rebuilds it."""
    log_record(run, request)  # first: to resume it
    log_settings(run, request)


def log_record(run: Run, request: Request) -> None:
    """Log the record that rebuilds a request."""
    run.log_text(json.dumps(request_record.record_of(request), indent=2) + "\n", layout.REQUEST)


def log_settings(run: Run, request: Request) -> None:
    """Log the parameters of a request, versions and hardware, and the configuration to be read."""
    run.recorder.send(LogRequest(parameters.of(request), parameters.text_of(request)))
    run.tag(**provenance.hardware())


def _same(kept: float, value: float) -> bool:
    """Return whether MLflow stores ``value`` as ``kept``: it stores infinity as the largest float."""
    largest = sys.float_info.max
    return kept == min(max(value, -largest), largest) or (math.isnan(kept) and math.isnan(value))
