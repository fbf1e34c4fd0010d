"""The view of an experiment that our links open in MLflow's UI: its charts in order, and the columns of its table.

MLflow keeps a view that is shared as a tag of the experiment, and a link names it by its key. Without one, it draws a
chart of each metric in alphabetical order, and its table has no scores.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KEY = "lifecycle"
TAG = f"mlflow.sharedViewState.{KEY}"
"""MLflow's tag of a shared view, with our key."""

QUERY = "workflowType=machine_learning&compareRunsMode=CHART"
"""Of the address of an experiment: MLflow's pages for training, and its charts."""

RUNS_READ = 200
"""Runs, the last first, whose metrics the view has; MLflow adds those of others at the end."""

SHORTENED = "deflate;"
"""How MLflow marks a view that is compressed: the value of a tag is limited."""

FITTED, FINAL, KEPT = ("val_", "train_", "lr"), ("test_", "training_set_"), ("kept_",)
"""Beginnings of the names of metrics: once an epoch, of the finished run, and of validation rows with its weights."""


@dataclass(frozen=True)
class Section:
    """Charts below one heading.

    Attributes:
        name: the heading.
        beginnings: of the names of its metrics.
        is_open: whether its charts are drawn at first.
        kind: of its charts.
    """

    name: str
    beginnings: tuple[str, ...]
    is_open: bool = True
    kind: str = "BAR"


SECTIONS = (
    Section("Learning curves", FITTED, kind="LINE"),
    Section("Test scores", FINAL),
    Section("Validation scores of the weights that were kept", KEPT, is_open=False),
    Section("Scores on other rows", ("evaluate_",), is_open=False),
    Section("Model metrics", ("",)),  # MLflow's own name: it puts what it adds below this heading
)


def open_view(client: Any, experiment_id: str) -> str:
    """Share our view of an experiment, and return the query of its address.

    Args:
        client: ``mlflow.MlflowClient``.
        experiment_id: of the experiment.
    """
    runs = client.search_runs([experiment_id], max_results=RUNS_READ, order_by=["attributes.start_time DESC"])
    names = dict.fromkeys(name for run in runs for name in run.data.metrics)
    client.set_experiment_tag(experiment_id, TAG, shortened(view_of(list(names))))
    return f"{QUERY}&viewStateShareKey={KEY}"


def address(server: str, experiment_id: str, query: str = QUERY) -> str:
    """Return the address of the charts of an experiment."""
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"


def view_of(metrics: Sequence[str]) -> dict[str, Any]:
    """Return the view of an experiment whose runs have these metrics, as MLflow's UI stores it."""
    charts: list[dict[str, Any]] = []
    left = sorted(metrics, key=_in_order)
    for number, section in enumerate(SECTIONS):
        own = [name for name in left if name.startswith(section.beginnings)]
        left = [name for name in left if name not in own]
        charts += [_chart(name, section.kind, _id(number)) for name in own]
    used = {chart["metricSectionId"] for chart in charts}
    sections = [
        {"uuid": _id(number), "name": one.name, "display": one.is_open, "isReordered": True, "deleted": False}
        | {"isGenerated": True}
        for number, one in enumerate(SECTIONS)
        if _id(number) in used or one is SECTIONS[-1]
    ]
    scores = [name for name in sorted(metrics, key=_in_order) if name.startswith(FINAL)]
    columns = [*(f"params.`{name}`" for name in ("model", "data", "seed")), *(f"metrics.`{name}`" for name in scores)]
    return {
        "selectedColumns": columns,
        "columnOrder": [],
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }


def shortened(view: dict[str, Any]) -> str:
    """Return a view as MLflow's UI reads it from a tag."""
    text = json.dumps(view, separators=(",", ":")).encode()
    return SHORTENED + base64.b64encode(zlib.compress(text, 9)).decode()


def _in_order(name: str) -> tuple[bool, str, int]:
    """Return the sorting key of a metric: the loss first, and of one score that of validation rows first."""
    part = next((one for one in ("val_", "train_") if name.startswith(one)), "")
    score = name.removeprefix(part)
    return not score.endswith("loss"), score, ("val_", "train_", "").index(part)


def _chart(metric: str, kind: str, section: str) -> dict[str, Any]:
    common = {"uuid": f"{KEY}-{metric}", "type": kind, "runsCountToCompare": 10, "metricSectionId": section}
    common |= {"deleted": False, "isGenerated": True, "displayName": metric, "metricKey": metric}
    if kind == "BAR":
        return common
    axes = {"lineSmoothness": 0, "xAxisScaleType": "linear", "scaleType": "linear", "range": {}, "xAxisKey": "step"}
    axes |= {"selectedXAxisMetricKey": "", "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False}
    return common | axes | {"useGlobalXaxisKey": True, "useGlobalLineSmoothing": True}


def _id(number: int) -> str:
    return f"{KEY}-{number}"
