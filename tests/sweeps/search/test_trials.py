"""Trials of a search as they are suggested: stored once for a batch, and the combinations gone through once."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from lifecycle.sweeps import plan as plans
from lifecycle.sweeps import run
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.search.space import Search
from lifecycle.sweeps.search.trials import Trials
from tests.sweeps.search.conftest import Make

RATES, HIDDEN, PATIENCE = ("0.01", "0.02", "0.03"), ("[4]", "[8]"), ("1", "2", "3", "4")
GRID = (
    "data=iris",
    f"optimizer.lr={','.join(RATES)}",
    f"model.hidden={','.join(HIDDEN)}",
    "trainer.patience=range(1,5)",
)


def words(plan: Plan) -> list[tuple[str, ...]]:
    """Return the values of the trials."""
    return [tuple(word.partition("=")[2] for word in job.words) for job in plan.jobs]


def test_a_batch_is_stored_once_and_each_job_is_read_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    read: list[tuple[str, ...]] = []
    write, of_words = plans.write, Search.of_words

    def count_written(one: Plan) -> None:
        written.append(len(one.jobs))
        write(one)

    def count_read(self: Search, own: tuple[str, ...]) -> dict[str, str]:
        read.append(own)
        return of_words(self, own)

    plan = run.stored(make(*GRID, "sweep.sampler=grid"))
    monkeypatch.setattr(plans, "write", count_written)
    monkeypatch.setattr(Search, "of_words", count_read)
    trials = Trials(plan)
    assert trials.next() == list(range(24))
    assert trials.next() == []
    trials.close()
    assert written == [24]
    assert len(read) == 24
    assert words(plans.read(plan.folder)) == list(itertools.product(RATES, HIDDEN, PATIENCE))


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_all_combinations_are_tried_once_also_over_several_starts(make: Make, sampler: str) -> None:
    plan = run.stored(make(*GRID, f"sweep.sampler={sampler}", "sweep.trials=99", "sweep.batch=5"))
    for batches in (1, 2, 3):  # of a process that is then killed; the next one begins with its trials
        trials = Trials(plans.current(plan))
        assert [len(trials.next()) for _ in range(batches)] == [5] * batches
        trials.close()
        assert len(plans.current(plan).jobs) == 5 * batches
    plan = plans.current(replace(plan, settings=replace(plan.settings, batch=99)))
    trials = Trials(plan)
    assert len(trials.next()) == 24
    assert trials.next() == []
    assert trials.over == "The search ended early: all combinations were tried."
    trials.close()
    found = words(plans.read(plan.folder))
    assert len(found) == 24
    assert set(found) == set(itertools.product(RATES, HIDDEN, PATIENCE))
