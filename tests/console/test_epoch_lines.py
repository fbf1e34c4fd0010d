"""The lines of epochs where there is no terminal."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.console.epoch_lines import MOST, EpochLines, spacing
from tests.conftest import Command


@given(epochs=st.integers(1, 10**6), share=st.floats(0.001, 1), best=st.floats(0, 1))
def test_a_fit_has_25_lines_at_most_with_the_first_the_best_and_the_last(
    epochs: int, share: float, best: float
) -> None:
    ended = max(1, round(epochs * share)) if epochs < 3000 else min(epochs, 3000)
    chosen = EpochLines(epochs)
    printed = [epoch for epoch in range(1, ended + 1) if chosen.is_due(epoch)]
    kept = 1 + round(best * (ended - 1))
    whole = {*printed, *chosen.left(kept, ended)}
    assert len(whole) <= MOST
    assert {1, kept, ended} <= whole
    gaps = {later - earlier for earlier, later in pairwise(printed[1:])}
    assert len(gaps) <= 1  # evenly spaced
    assert chosen.left(kept, ended) == chosen.left(ended, kept, ended)  # each once, in order


def test_few_epochs_and_verbose_2_have_a_line_each() -> None:
    assert all(EpochLines(25).is_due(epoch) for epoch in range(1, 26))
    every = EpochLines(1000, every=True)
    assert all(every.is_due(epoch) for epoch in range(1, 1001))
    assert every.left(7, 1000) == []
    assert (spacing(26), spacing(220), spacing(1_000_000)) == (2, 10, 50_000)


def test_a_run_in_a_pipe_prints_some_epochs_and_records_all(job: Command, tmp_path: Path) -> None:
    words = ["data=iris", "trainer.max_epochs=60", "trainer.early_stopping=false", "optimizer.lr=0.01"]
    ended = job(*words, "verbose=1")
    lines = [line for line in ended.out.splitlines() if line.startswith("epoch ")]
    numbers = [int(line.split()[1].partition("/")[0]) for line in lines]
    assert {1, *range(5, 61, 5)} <= set(numbers)
    assert len(numbers) in (13, 14)  # with the best epoch, where it is none of these
    (history,) = tmp_path.rglob("history.csv")
    with history.open() as rows:
        assert len(list(csv.DictReader(rows))) == 60
    assert len([line for line in job(*words, "verbose=2").out.splitlines() if line.startswith("epoch ")]) == 60
