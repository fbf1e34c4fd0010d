"""A finished run in a few lines: what a prompt and a notebook show of the result of ``lifecycle.run``."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Protocol

from lifecycle.plots.style import number

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.evaluate.scoring import Evaluation
    from lifecycle.fit.history import History
    from lifecycle.predict.trained_model import TrainedModel

MOST_SCORES = 8
"""More would not fit on a screen."""


class Result(Protocol):
    """What a card shows of :class:`lifecycle.runs.pipeline.Result`."""

    @property
    def run_id(self) -> str:
        """Of the MLflow run."""
        ...

    @property
    def scores(self) -> dict[str, float]:
        """Of the scored rows."""
        ...

    @property
    def history(self) -> History:
        """Of the fit."""
        ...

    @property
    def predictions(self) -> pd.DataFrame:
        """Of the scored rows."""
        ...

    @property
    def model(self) -> TrainedModel:
        """The trained model."""
        ...

    @property
    def evaluation(self) -> Evaluation:
        """Scores, intervals and baselines."""
        ...


def text(result: Result) -> str:
    """Return one line: the model, the epochs and the scores of a run."""
    scores = "  ".join(f"{name} {number(value)}" for name, value in result.scores.items())
    return f"<run {result.run_id[:8]}: {_model(result)}, {_epochs(result)}; {scores}>"


def html(result: Result) -> str:
    """Return a table of a screen: data, network, epochs, and the scores with intervals and baselines."""
    evaluation = result.evaluation
    rows = []
    for name, value in list(evaluation.scores.items())[:MOST_SCORES]:
        low, high = evaluation.intervals.get(name, (None, None))
        between = "" if low is None or high is None else f"{number(low)} to {number(high)}"
        cells = (f"{evaluation.on}_{name}", number(value), between, number(evaluation.baseline[name]))
        rows.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
    heads = "".join(f"<th>{head}</th>" for head in ("score", "value", "95% interval", "baseline"))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    left_out = len(evaluation.scores) - len(rows)
    more = f"<p>{left_out} more scores: <code>.scores</code></p>" if left_out else ""
    beaten = "" if evaluation.beats_baseline else f" It is not better than the baseline on {evaluation.judged_by}."
    about = f"{_model(result)}: {_epochs(result)}; stopped because {result.history.stopped}.{beaten}"
    use = (
        f"run {escape(result.run_id)}; <code>.model.predict(rows)</code>, <code>.history.frame</code>, "
        "<code>.predictions</code>; <code>lifecycle ui</code> shows it in MLflow"
    )
    table = f"<table cellpadding='5'><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    return (
        f"<div><p><b>{escape(about)}</b></p>{table}{more}"
        f"<p>Baseline: {escape(evaluation.meaning)}; {len(result.predictions):,} rows scored.<br>{use}</p></div>"
    )


def _model(result: Result) -> str:
    return f"{result.model.model_name} on {result.model.data_name}"


def _epochs(result: Result) -> str:
    epochs = len(result.history.rows)
    return f"{epochs} epoch{'s' * (epochs != 1)}, weights of epoch {result.history.weights_epoch}"
