"""Writes the pictures and tables of a finished run into a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lifecycle import layout
from lifecycle.contract import MULTILABEL, REGRESSION, DataSpec
from lifecycle.evaluate.tables import baselines_table, scores_table
from lifecycle.fit.history import History
from lifecycle.plots import classes, curves, values
from lifecycle.plots.style import write_copy

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from lifecycle.data.dataset import Dataset
    from lifecycle.evaluate.scoring import Evaluation

CONFUSION, LABELS, RESIDUALS, FORECAST = "confusion_matrix.png", "labels.png", "residuals.png", "forecast.png"
ROC, PRECISION = "roc.png", "precision_recall.png"
CLASS_PICTURES = (CONFUSION, ROC, PRECISION)
LABEL_PICTURES = (LABELS, ROC, PRECISION)
VALUE_PICTURES = (RESIDUALS,)
MOST_NARROW = 7
"""Classes of a confusion matrix that takes half a page."""

SVG = "svg"
"""Value of ``tracking.figures``: pictures are also written as vectors."""


@dataclass(frozen=True)
class Look:
    """What all pictures of a run have in common.

    Attributes:
        about: their caption: data, rows and run, separated by commas.
        has_copies: whether there is an SVG of each PNG.
    """

    about: str = ""
    has_copies: bool = False

    @property
    def of_fit(self) -> str:
        """The caption of the learning curves, which are of other rows."""
        parts = self.about.split(", ")
        return ", ".join(part for part in parts if not part.endswith(" rows"))

    def named(self, pictures: list[str]) -> list[str]:
        """Return the names of pictures, and of their copies."""
        return [*pictures, *(_copy_of(name) for name in pictures if self.has_copies)]

    def copied(self, folder: Path, drawn: Mapping[str, Figure]) -> list[str]:
        """Write the copies of pictures, and return the names of all files."""
        for name, figure in drawn.items() if self.has_copies else ():
            write_copy(figure, folder / _copy_of(name))
        return self.named(list(drawn))


PLAIN = Look()


def _copy_of(name: str) -> str:
    return name.removesuffix(".png") + ".svg"


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
    folder: Path, model_name: str, network: nn.Module, data: Dataset, predictions: pd.DataFrame, look: Look = PLAIN
) -> list[str]:
    """Write the pictures that need network and data: ``model.svg``, and ``forecast.png`` of a series.

    Args:
        folder: where to write.
        model_name: for the title of the diagram.
        network: is not changed.
        data: with training and scored rows.
        predictions: of the scored rows, with the truth.
        look: caption and copies.

    Returns:
        Names of the files.
    """
    from lifecycle.plots import diagram  # imports torch, which the recording process does not need

    (folder / layout.MODEL_DIAGRAM).write_text(diagram.draw(network, model_name, data.spec), encoding="utf-8")
    return [layout.MODEL_DIAGRAM, *write_forecast(folder, data, predictions, look)]


def write_forecast(folder: Path, data: Dataset, predictions: pd.DataFrame, look: Look = PLAIN) -> list[str]:
    """Write ``forecast.png`` if the data have times or naive forecasts; return the names of the files."""
    if data.spec.task != REGRESSION or (data.scored.times is None and not data.scored.naive):
        return []
    figure = values.draw_forecast(predictions, data, folder / FORECAST, look.about)
    return look.copied(folder, {FORECAST: figure})


def pictures_of(spec: DataSpec, fitted: bool = True, look: Look = PLAIN) -> list[str]:
    """Return the names of the files that :func:`write_pictures` writes; ``fitted``: with learning curves."""
    of_task = {MULTILABEL: LABEL_PICTURES, REGRESSION: VALUE_PICTURES}.get(spec.task, CLASS_PICTURES)
    return look.named([*([layout.CURVES] if fitted else []), *of_task])


def wide(spec: DataSpec, history: History) -> set[str]:
    """Return the names of the pictures that are wider than half a page, which others are not."""
    are_wide = {layout.CURVES: curves.is_wide(history), CONFUSION: len(spec.class_names) > MOST_NARROW}
    return {name for name, is_wide in are_wide.items() if is_wide}


def drawings(
    folder: Path, history: History | None, predictions: pd.DataFrame, spec: DataSpec, look: Look = PLAIN
) -> list[Callable[[], None]]:
    """Return a function for each picture of :func:`write_pictures`, which writes it; those that take longest first."""
    target, about = spec.target_name, look.about

    def write(name: str, draw: Callable[[Path], Figure]) -> None:
        look.copied(folder, {name: draw(folder / name)})

    def confusion(file: Path) -> Figure:
        return classes.draw_confusion(classes.confusion(predictions, spec.class_names), target, file, about)

    def labels(file: Path) -> Figure:
        return classes.draw_labels(classes.counts_of_labels(predictions, spec.class_names), target, file, about)

    draws: dict[str, Callable[[Path], Figure]] = {
        CONFUSION: confusion,
        LABELS: labels,
        ROC: lambda file: classes.draw_roc(predictions, spec, file, about),
        PRECISION: lambda file: classes.draw_precision_recall(predictions, spec, file, about),
        RESIDUALS: lambda file: values.draw_residuals(predictions, target, file, about),
    }
    if history is not None:
        draws[layout.CURVES] = lambda file: curves.draw(history, file, look.of_fit)
    return [partial(write, name, draws[name]) for name in pictures_of(spec, fitted=history is not None)]


def write_pictures(
    folder: Path, history: History | None, predictions: pd.DataFrame, spec: DataSpec, look: Look = PLAIN
) -> None:
    """Write the learning curves, and the pictures of the task; needs no PyTorch.

    Args:
        folder: where to write.
        history: of the fit; ``None``: no learning curves.
        predictions: of the scored rows, with the truth.
        spec: the task, its target and its classes.
        look: caption and copies.
    """
    for write in drawings(folder, history, predictions, spec, look):
        write()
