"""The description of a run in Markdown, which MLflow's page of the run shows first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifecycle.console.report import describe_data
from lifecycle.plots.style import number

if TYPE_CHECKING:
    from lifecycle.compile.compiled_model import CompiledModel
    from lifecycle.config.request import Job
    from lifecycle.data.dataset import Dataset
    from lifecycle.define.summary import Layer
    from lifecycle.evaluate.scoring import Evaluation
    from lifecycle.fit.history import History

SHOWN = ("curves.png", "confusion_matrix.png", "labels.png")
"""Pictures that the description shows: those that leave room for what MLflow shows next to it."""
LINKED = ("curves.png", "confusion_matrix.png", "forecast.png", "residuals.png", "roc.png", "precision_recall.png")
"""Wider ones, to which it links."""


@dataclass(frozen=True)
class Subject:
    """What a run fits: the checked request, the data, the compiled model and its layers."""

    job: Job
    data: Dataset
    module: CompiledModel
    layers: Sequence[Layer]


def begun(subject: Subject) -> str:
    """Return the description of a run whose fit has not ended: data, network and command."""
    return _joined([_data(subject.data), _network(subject), _command(subject.job)])


def ended(subject: Subject, history: History, evaluation: Evaluation, pictures: str) -> str:
    """Return the description of a run that has ended: its scores first, since the page shows few lines at once.

    Args:
        subject: what was fitted.
        history: of the fit.
        evaluation: scores, intervals and baselines.
        pictures: what :func:`images` returns.
    """
    fitted = f"Weights of epoch {history.weights_epoch} of {len(history.rows)}; stopped because {history.stopped}."
    about = [_data(subject.data), _network(subject)]
    return _joined([_scores(evaluation), *about, fitted, _command(subject.job), pictures])


def images(pictures: Sequence[str], run_id: str, wide: Collection[str] = ()) -> str:
    """Return the pictures of a run in Markdown, as MLflow's server has them; those that are too wide as links.

    >>> images(["model.svg", "confusion_matrix.png"], "1f")
    '![confusion matrix](get-artifact?path=confusion_matrix.png&run_uuid=1f)'
    """
    shown = [name for name in SHOWN if name in pictures and name not in wide]
    links = [_link(name, run_id) for name in LINKED if name in pictures and name not in shown]
    return _joined([*(f"!{_link(name, run_id)}" for name in shown), ", ".join(links)])


def _link(name: str, run_id: str) -> str:
    return f"[{name.removesuffix('.png').replace('_', ' ')}](get-artifact?path={name}&run_uuid={run_id})"


def _scores(evaluation: Evaluation) -> str:
    heads, rows = (evaluation.on.replace("_", " "), "score", "95% interval", "baseline"), []
    # The loss last: the other scores are in units that a reader knows.
    for name in sorted(evaluation.scores, key=lambda name: name == "loss"):
        low, high = evaluation.intervals.get(name, (None, None))
        between = "" if low is None or high is None else f"{number(low)} to {number(high)}"
        rows.append((name, number(evaluation.scores[name]), between, number(evaluation.baseline[name])))
    return f"{table(heads, rows)}\n\nBaseline: {plain(evaluation.meaning)}."


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; MLflow's page leaves no space between columns, so that each cell has its own.

    >>> print(table(["score", "value"], [["loss", "0.1"]]))
    | score&emsp; | value |
    |---|---|
    | loss&emsp; | 0.1 |
    """
    lines = [f"| {' | '.join([*(f'{cell}&emsp;' for cell in line[:-1]), line[-1]])} |" for line in (heads, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(heads)}", *lines[1:]])


def _data(data: Dataset) -> str:
    name, _, about = describe_data(data).partition(": ")
    return f"**Data** `{name}`: {plain(about)}"


def _network(subject: Subject) -> str:
    job, module, layers = subject.job, subject.module, subject.layers
    size = f"{sum(layer.num_params for layer in layers):,} parameters in {len(layers)} layers"
    optimizer = f"optimizer {job.optimizer_name} (lr {job.optimizer.lr:g})"
    return f"**Network** `{job.model_name}`: {size}; loss {module.loss_name}, {optimizer}, seed {job.seed}"


def _command(job: Job) -> str:
    command = " ".join(job.request.command.split())
    # Indented, so that no character of it is Markdown.
    return f"**Command**\n\n    {command}" if command else ""


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def plain(text: str) -> str:
    """Return a text in which no character is Markdown: names of columns may have any."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>#|!" else letter for letter in text)
