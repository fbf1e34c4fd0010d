"""Records the results of a finished run: scores, tables, pictures and the saved model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle import layout
from lifecycle.plots import artifacts
from lifecycle.predict import saved_model
from lifecycle.predict.forecast import can_forecast
from lifecycle.predict.trained_model import TrainedModel
from lifecycle.profiling import clock
from lifecycle.tracking.messages import LogTags

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.data.dataset import Dataset
    from lifecycle.evaluate.scoring import Evaluation
    from lifecycle.fit.history import History
    from lifecycle.tracking.run import Run


@dataclass(frozen=True)
class Outcome:
    """The results of a run.

    Attributes:
        data: the training and the scored rows.
        history: of the fit.
        evaluation: scores, intervals and baselines.
        predictions: of the scored rows, with the truth.
        trained: the model.
        precision: of the training steps, ``"32"`` or ``"bf16-mixed"``.
    """

    data: Dataset
    history: History
    evaluation: Evaluation
    predictions: pd.DataFrame
    trained: TrainedModel
    precision: str


@clock.phase("save")
def record(tracked: Run, outcome: Outcome) -> None:
    """Record scores, history, predictions, the best checkpoint and the saved model."""
    record_scores(tracked, outcome)
    for name in (layout.BEST_CHECKPOINT, f"{layout.BEST_CHECKPOINT}.sha256"):
        tracked.log_file(tracked.checkpoints / name, layout.CHECKPOINTS)
    record_model(tracked, outcome, tracked.scratch / "saved")
    tracked.recorder.send(LogTags())


def record_scores(tracked: Run, outcome: Outcome) -> None:
    """Record scores, history and predictions."""
    history, evaluation, predictions = outcome.history, outcome.evaluation, outcome.predictions
    tracked.log_scores({**evaluation.recorded, **_kept(history)})
    tracked.tag(**{layout.HIGHER_IS_BETTER: json.dumps(evaluation.higher_is_better)})
    tracked.tag(weights_epoch=str(history.weights_epoch), stopped=history.stopped, precision=outcome.precision)
    if history.best_epoch is not None:
        tracked.tag(best_epoch=str(history.best_epoch))
    tracked.log_text(history.frame.to_csv(index=False), layout.HISTORY)
    table = tracked.scratch / layout.PREDICTIONS
    predictions.to_csv(table, index=False)  # to a file, since a text of millions of rows would fill memory and the pipe
    tracked.log_file(table)


def record_model(tracked: Run, outcome: Outcome, folder: Path) -> None:
    """Save the model and record it.

    Args:
        tracked: the run.
        outcome: with the model.
        folder: for its files; called ``saved``.
    """
    trained = outcome.trained
    saved_model.save(trained, folder)
    # Columns that predict_file adds; the model itself does not return them.
    outputs = outcome.predictions.drop(columns=["row", "time", "file", "actual"], errors="ignore")
    params: dict[str, int | str] = {"missing": trained.missing}
    if can_forecast(trained):
        params["horizon"] = 0  # steps: 0 predicts the given rows
    about = {"name": f"{trained.model_name}-{trained.data_name}", "step": outcome.history.weights_epoch}
    tracked.log_model(folder, trained.raw_columns, outputs, params, **about)


def _kept(history: History) -> dict[str, float]:
    """Return the validation scores of the kept weights, by which ``run=best`` ranks runs."""
    # Epochs are counted from 1.
    row = history.rows[history.weights_epoch - 1]
    return {f"kept_{name}": value for name, value in row.items() if name.startswith("val_")}


def look_of(data: Dataset, run: str, figures: bool | str) -> artifacts.Look:
    """Return caption and copies of the pictures of a run."""
    rows = f"{len(data.scored):,} {data.scored_on.replace('_', ' ')} rows"
    return artifacts.Look(f"{data.name}, {rows}, run {run}", figures == artifacts.SVG)


@clock.phase("pictures")
def record_pictures(tracked: Run, outcome: Outcome, figures: bool | str) -> list[str]:
    """Record tables, and with ``figures`` pictures, and return the names of the pictures.

    The process that records draws those that need no network; see :mod:`lifecycle.runs.recording_process`.
    """
    pictures: list[str] = []
    folder, data, predictions = tracked.scratch / "look", outcome.data, outcome.predictions
    folder.mkdir()
    trained, look = outcome.trained, look_of(data, tracked.name, figures)
    if figures:
        # First, as drawing them takes longest.
        tracked.log_figures(asdict(outcome.history), predictions, data.spec, **vars(look))
    artifacts.write_tables(folder, data, predictions, outcome.evaluation)
    if figures:
        pictures = artifacts.write_drawings(folder, trained.model_name, trained.network, data, predictions, look)
        pictures += artifacts.pictures_of(data.spec, look=look)
    tracked.log_folder(folder)
    return pictures
