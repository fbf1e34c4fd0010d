"""What is suggested where a network is not better than its baseline follows from the data and the fit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lifecycle.console.advice import Facts, next_step
from lifecycle.contract import BINARY, REGRESSION
from lifecycle.errors import COMMAND_LINE
from tests.conftest import Command

DATA = SimpleNamespace(lags=(), scaling="standard")
TABLE = SimpleNamespace(scaling="standard")


def suggested(**changes: Any) -> str:
    """Return the suggestion for a run that has learnt something, changed as named."""
    losses = changes.get("losses", [1.0, 0.8, 0.6, 0.5])
    spec = SimpleNamespace(task=changes.get("task", REGRESSION), class_names=changes.get("classes", ()))
    rows = changes.get("rows", 1000)
    part = SimpleNamespace(targets=torch.from_numpy(changes.get("targets", np.zeros(rows))))
    facts: Any = SimpleNamespace(
        evaluation=SimpleNamespace(
            beats_baseline=changes.get("is_better", False), baselines={changes.get("baseline", "mean"): {}}
        ),
        plugin=changes.get("plugin", TABLE),
        data=SimpleNamespace(
            spec=spec, train=_sized(part, rows), scored=range(changes.get("scored", 500)), test=changes.get("test", 1)
        ),
        history=SimpleNamespace(
            rows=[{"train_loss": loss} for loss in losses],
            best_epoch=changes.get("best", len(losses) - 1),
            stopped=changes.get("stopped", "val_loss had not improved for 30 epochs"),
        ),
        job=SimpleNamespace(
            optimizer=SimpleNamespace(lr=0.001),
            trainer=SimpleNamespace(max_epochs=len(losses)),
            class_weights=changes.get("class_weights"),
            model=SimpleNamespace(hidden=changes.get("hidden", [64, 32]), dropout=0.0),
        ),
        parameters=changes.get("parameters", 100),
    )
    return COMMAND_LINE.text(next_step(facts))


class _Rows(SimpleNamespace):
    def __len__(self) -> int:
        return int(self.size)


def _sized(part: SimpleNamespace, rows: int) -> _Rows:
    return _Rows(**vars(part), size=rows)


SEASON = "value 12 steps before"
SERIES = {"plugin": DATA, "baseline": SEASON}
CASES: list[tuple[dict[str, Any], str]] = [
    ({"is_better": True, **SERIES}, ""),
    ({}, ""),
    (SERIES, "Try data.difference=12: the network then learns the change since the value 12 rows before."),
    ({"plugin": DATA, "baseline": "last value"}, "Try data.difference=1: the network then learns the change since the"),
    ({"plugin": SimpleNamespace(lags=(12,)), "baseline": SEASON}, ""),  # it learns these differences already
    ({"best": 4, "stopped": "max_epochs=4 was reached"}, "Try trainer.max_epochs=12: the last epoch was the best one."),
    ({"best": 4}, ""),  # stopped by early stopping
    ({"plugin": SimpleNamespace(scaling="none")}, "Try data.scaling=standard: the inputs are not scaled."),
    ({"losses": [1.0, 0.999, 0.998]}, "Try optimizer.lr=0.01: the training loss hardly fell."),
    ({"losses": [1.0, 3.0, 2.0]}, "Try optimizer.lr=0.0001: the training loss rose."),
    (
        {"task": BINARY, "classes": ("no", "yes"), "targets": np.arange(1000) % 50 == 0},
        "Try class_weights=balanced: a class is rare, and counts little in the loss.",
    ),
    ({"task": BINARY, "classes": ("no", "yes"), "targets": np.arange(1000) % 2}, ""),
    (
        {"task": BINARY, "classes": ("a", "b"), "targets": np.arange(1000) % 50 == 0, "class_weights": "balanced"},
        "",
    ),
    (
        {"rows": 100, "parameters": 2499, "best": 1},
        "Try model.hidden=[8]: 2,499 parameters learn 100 rows by heart.",
    ),
    ({"rows": 100, "parameters": 2499, "best": 1, "hidden": [8]}, "Try model.dropout=0.3: 2,499 parameters learn 100"),
    ({"rows": 100, "parameters": 999, "best": 1}, ""),
    ({"scored": 30}, "Try cv.folds=5: 30 rows do not tell a network from a baseline."),
    ({"scored": 30, "test": None}, ""),  # nothing was held out
]


@pytest.mark.parametrize(("changes", "sentence"), CASES)
def test_the_suggestion_follows_from_the_run(changes: dict[str, Any], sentence: str) -> None:
    found = suggested(**changes)
    assert found.startswith(sentence) if sentence else found == ""


def test_a_run_that_is_no_better_than_its_baseline_says_what_to_try(job: Command) -> None:
    series = ["model=lstm", "data=airline_passengers", "trainer.max_epochs=2", "verbose=1"]
    out = job(*series, "data.difference=0", "data.transform=none").out
    assert (
        "          The network is not better than this baseline on mae.\n          Try data.difference=12: the" in out
    )
    assert "Try " not in job("data=iris", "optimizer.lr=0.01", "trainer.max_epochs=9", "verbose=1").out


def test_facts_take_the_fields_that_the_data_plugin_has_found() -> None:
    found, asked = SimpleNamespace(lags=(12,)), SimpleNamespace(lags=())
    nothing: Any = None
    for plugin, expected in ((found, found), (None, asked)):
        job: Any = SimpleNamespace(data=asked)
        data: Any = SimpleNamespace(plugin=plugin)
        assert Facts(job, data, nothing, nothing, 0).plugin is expected
