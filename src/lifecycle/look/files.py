"""All pictures and tables of a finished run, written into one folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lifecycle.contract import REGRESSION
from lifecycle.look import classes, curves, diagram, values

if TYPE_CHECKING:
    from torch import nn

    from lifecycle.data.dataset import Dataset
    from lifecycle.evaluate import Evaluation
    from lifecycle.history import History

NETWORK = "network"
"""What the network's own scores are called in ``baselines.csv``."""


def write_tables(folder: Path, data: Dataset, predictions: pd.DataFrame, evaluation: Evaluation) -> None:
    """Write ``scores.csv``, ``baselines.csv``, and of classes ``classification_report.txt``, ``confusion_matrix.csv``.

    Args:
        folder: where to.
        data: what was scored.
        predictions: of the scored rows, beside the truth.
        evaluation: scores, intervals and baselines.
    """
    scores_table(evaluation).to_csv(folder / "scores.csv", index=False)
    baselines_table(evaluation).to_csv(folder / "baselines.csv", index=False)
    if data.spec.task != REGRESSION:
        names = data.spec.class_names
        (folder / "classification_report.txt").write_text(classes.report(predictions, names))
        classes.confusion(predictions, names).to_csv(folder / "confusion_matrix.csv")


def write_pictures(
    folder: Path, model_name: str, network: nn.Module, data: Dataset, history: History, predictions: pd.DataFrame
) -> list[str]:
    """Write ``curves.png``, ``model.svg`` and the pictures of the task, and return their names.

    Of classes those are ``confusion_matrix.png``, ``roc.png`` and ``precision_recall.png``; of values
    ``residuals.png``, and ``forecast.png`` where the data know of time.

    Args:
        folder: where to.
        model_name: for the title of the diagram.
        network: with its weights; left as it was.
        data: what it was fitted to and scored on.
        history: of fitting.
        predictions: of the scored rows, beside the truth.
    """
    spec, part = data.spec, data.scored
    (folder / "model.svg").write_text(diagram.draw(network, model_name, spec), encoding="utf-8")
    drawn: dict[str, Callable[[Path], object]] = {"curves.png": partial(curves.draw, history)}
    if spec.task != REGRESSION:
        matrix = classes.confusion(predictions, spec.class_names)
        drawn["confusion_matrix.png"] = partial(classes.draw_confusion, matrix, spec.target_name)
        drawn["roc.png"] = partial(classes.draw_roc, predictions, spec.class_names)
        drawn["precision_recall.png"] = partial(classes.draw_precision_recall, predictions, spec.class_names)
    else:
        drawn["residuals.png"] = partial(values.draw_residuals, predictions, spec.target_name)
        if part.times is not None or part.naive:
            drawn["forecast.png"] = partial(values.draw_forecast, predictions, data)
    for name, draw in drawn.items():
        draw(folder / name)
    return ["model.svg", *drawn]


def scores_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return a row a score: its value, the ends of its 95% interval, and the value of the baseline to beat."""
    ends = [evaluation.intervals.get(name, (None, None)) for name in evaluation.scores]
    return pd.DataFrame(
        {
            "score": list(evaluation.scores),
            "value": list(evaluation.scores.values()),
            "low": [low for low, _ in ends],
            "high": [high for _, high in ends],
            "baseline": [evaluation.baseline[name] for name in evaluation.scores],
        }
    )


def baselines_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return a row for the network and each baseline, a column a score."""
    rows = {NETWORK: evaluation.scores, **evaluation.baselines}
    return pd.DataFrame([{"prediction": name, **scores} for name, scores in rows.items()])
