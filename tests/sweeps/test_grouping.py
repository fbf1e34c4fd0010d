"""Which jobs of a sweep may be fitted together, how they are divided, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle.sweeps import grouping
from lifecycle.sweeps.grouping import Vectorised, tasks
from lifecycle.sweeps.plan import Plan
from tests.sweeps.test_planning import Make, composing, make

__all__ = ["composing", "make"]  # fixtures


def of(plan: Plan, **settings: object) -> list[tuple[int, ...]]:
    """Return the tasks of all jobs with some settings."""
    changed = replace(plan, settings=replace(plan.settings, **settings))  # type: ignore[arg-type]
    return tasks(changed, range(len(plan.jobs)))


def test_jobs_that_copies_of_a_network_may_be_are_one_task(make: Make) -> None:
    rates = make("data=iris", "optimizer.lr=0.1,0.2", "seed=1,2", "model.dropout=0.1,0.2")
    assert of(rates) == [tuple(range(8))]
    folds = make("data=iris", "cv.folds=3", "cv.repeats=2", "optimizer.weight_decay=0,0.1")
    assert of(folds) == [tuple(range(12))]


@pytest.mark.parametrize(
    "words", ["model.hidden=[4],[8]", "optimizer=adam,sgd", "data=iris,wine", "trainer.batch_size=8,16"]
)
def test_jobs_of_another_shape_or_setting_are_other_tasks(make: Make, words: str) -> None:
    plan = make(*(["data=iris"] if not words.startswith("data") else []), words, "seed=1,2")
    assert of(plan) == [(0, 1), (2, 3)]


def test_only_jobs_that_are_left_are_tasks(make: Make) -> None:
    plan = make("data=iris", "seed=1,2,3,4")
    assert tasks(plan, [1, 3]) == [(1, 3)]
    assert tasks(plan, [2]) == [(2,)]


def test_off_and_stop_run_jobs_one_by_one(make: Make) -> None:
    plan = make("data=iris", "seed=1,2,3")
    assert of(plan, vectorise="off") == of(plan, on_error="stop") == [(0,), (1,), (2,)]


def test_a_group_is_divided_among_workers_and_has_a_largest_size(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make("data=iris", "seed=range(10)")
    assert of(plan, workers=2) == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]
    assert of(plan, workers=4) == [tuple(range(10))]  # parts of fewer than four would gain little
    monkeypatch.setattr(grouping, "MOST", 4)
    assert [len(task) for task in of(plan)] == [4, 4, 2]


def test_the_line_counts_fits_groups_and_reasons(tmp_path: Path) -> None:
    found = Vectorised()
    assert found.line == ""
    found.refused("")
    assert found.line == ""  # a job without another of its shape is no news
    for number in range(4):
        found.took(f"0.{number % 2}")
    assert found.line == "Vectorised 4 of 5 fits in 2 groups; 1 one by one"
    for reason in ("nn.LSTM", "rows on disk", "nn.LSTM"):
        found.refused(reason)
    assert found.line == "Vectorised 4 of 8 fits in 2 groups; 4 one by one: nn.LSTM, rows on disk"
    alone = Vectorised()
    alone.refused("nn.LSTM")
    assert alone.line == "Vectorised 0 of 1 fits; 1 one by one: nn.LSTM"
    one = Vectorised()
    one.took("0.0")
    assert one.line == "Vectorised 1 of 1 fits in 1 group"
