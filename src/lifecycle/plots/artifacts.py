"""Writes the pictures and tables of a finished run into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lifecycle import layout
from lifecycle.contract import MULTILABEL, REGRESSION, DataSpec
from lifecycle.evaluate.tables import baselines_table, scores_table
from lifecycle.fit.history import History
from lifecycle.plots import classes, curves, values

if TYPE_CHECKING:
    from torch import nn

    from lifecycle.data.dataset import Dataset
    from lifecycle.evaluate.scoring import Evaluation

CLASS_PICTURES = ("confusion_matrix.png", "roc.png", "precision_recall.png")
LABEL_PICTURES = ("labels.png", "roc.png", "precision_recall.png")
VALUE_PICTURES = ("residuals.png",)


def write_tables(folder: Path, data: Dataset, predictions: pd.DataFrame, evaluation: Evaluation) -> None:
    """Write ``scores.csv``, ``baselines.csv``, and of classes ``classification_report.txt``, ``confusion_matrix.csv``.

    Args:
        folder: where to write.
        data: with the scored rows.
        predictions: of the scored rows, with the truth.
        evaluation: scores, intervals and baselines.
    """
    write_scores(folder, evaluation)
    write_classes(folder, data.spec, predictions)


def write_scores(folder: Path, evaluation: Evaluation) -> None:
    """Write ``scores.csv`` and ``baselines.csv``."""
    scores_table(evaluation).to_csv(folder / layout.SCORES, index=False)
    baselines_table(evaluation).to_csv(folder / layout.BASELINES, index=False)


def write_classes(folder: Path, spec: DataSpec, predictions: pd.DataFrame) -> None:
    """Write ``classification_report.txt`` and ``confusion_matrix.csv`` of a classification.

    Of several labels, ``labels.csv`` has the counts of each in place of a matrix of classes.
    """
    if spec.task == MULTILABEL:
        (folder / "classification_report.txt").write_text(classes.report(predictions, spec.class_names, of_labels=True))
        classes.counts_of_labels(predictions, spec.class_names).to_csv(folder / "labels.csv", index=False)
        return
    if spec.task != REGRESSION:
        names = spec.class_names  # all of them, also those that no scored row has
        (folder / "classification_report.txt").write_text(classes.report(predictions, names))
        classes.confusion(predictions, names).to_csv(folder / "confusion_matrix.csv")


def write_drawings(
    folder: Path, model_name: str, network: nn.Module, data: Dataset, predictions: pd.DataFrame
) -> list[str]:
    """Write the pictures that need network and data: ``model.svg``, and ``forecast.png`` of a series.

    Args:
        folder: where to write.
        model_name: for the title of the diagram.
        network: is not changed.
        data: with training and scored rows.
        predictions: of the scored rows, with the truth.

    Returns:
        Names of the files.
    """
    from lifecycle.plots import diagram  # imports torch, which the recording process does not need

    (folder / layout.MODEL_DIAGRAM).write_text(diagram.draw(network, model_name, data.spec), encoding="utf-8")
    return [layout.MODEL_DIAGRAM, *write_forecast(folder, data, predictions)]


def write_forecast(folder: Path, data: Dataset, predictions: pd.DataFrame) -> list[str]:
    """Write ``forecast.png`` if the data have times or naive forecasts; return the names of the files."""
    if data.spec.task != REGRESSION or (data.scored.times is None and not data.scored.naive):
        return []
    values.draw_forecast(predictions, data, folder / "forecast.png")
    return ["forecast.png"]


def pictures_of(spec: DataSpec, fitted: bool = True) -> list[str]:
    """Return the names of the files that :func:`write_pictures` writes; ``fitted``: with learning curves."""
    of_task = {MULTILABEL: LABEL_PICTURES, REGRESSION: VALUE_PICTURES}.get(spec.task, CLASS_PICTURES)
    return [*([layout.CURVES] if fitted else []), *of_task]


def write_pictures(folder: Path, history: History | None, predictions: pd.DataFrame, spec: DataSpec) -> None:
    """Write the learning curves, and the pictures of the task; needs no PyTorch.

    Args:
        folder: where to write.
        history: of the fit; ``None``: no learning curves.
        predictions: of the scored rows, with the truth.
        spec: the task, its target and its classes.
    """
    if history is not None:
        curves.draw(history, folder / layout.CURVES)
    if spec.task == REGRESSION:
        values.draw_residuals(predictions, spec.target_name, folder / "residuals.png")
        return
    of_labels = spec.task == MULTILABEL
    if of_labels:
        counts = classes.counts_of_labels(predictions, spec.class_names)
        classes.draw_labels(counts, spec.target_name, folder / "labels.png")
    else:
        matrix = classes.confusion(predictions, spec.class_names)
        classes.draw_confusion(matrix, spec.target_name, folder / "confusion_matrix.png")
    classes.draw_roc(predictions, spec.class_names, folder / "roc.png", of_labels)
    classes.draw_precision_recall(predictions, spec.class_names, folder / "precision_recall.png", of_labels)
