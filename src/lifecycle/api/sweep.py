"""Sweeps from Python: the jobs of a multirun, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lifecycle.sweeps.results.board import Board, Failure
from lifecycle.sweeps.results.entries import ABSENT


@dataclass(frozen=True)
class Sweep:
    """The results of :func:`lifecycle.sweep`.

    Attributes:
        name: digest of its jobs: the same call is the same sweep.
        board: configurations, ranked; see :class:`lifecycle.sweeps.results.board.Board`.
    """

    name: str
    board: Board

    @property
    def frame(self) -> pd.DataFrame:
        """A row per job: its number, run id, status, seconds, the values in which jobs differ, and the scores."""
        rows: list[dict[str, Any]] = []
        for entry in self.board.entries:
            for job in entry.jobs:
                run = entry.runs.get(job.number)
                row: dict[str, Any] = {"job": job.number, "run": None, "status": "LEFT", "seconds": None}
                if run is not None:
                    row |= {"run": run.id, "status": run.status, "seconds": run.seconds}
                row |= entry.settings | dict(job.varied)
                row |= {} if run is None else {name: run.metrics.get(name) for name in self.board.metrics}
                rows.append(row)
        return pd.DataFrame(rows).sort_values("job", ignore_index=True)

    @property
    def summary(self) -> pd.DataFrame:
        """A row per configuration, the best first: mean, sd and 95% interval of each score, difference and p."""
        from lifecycle.sweeps.results.summary import table

        return table(self.board)

    @property
    def best(self) -> dict[str, str]:
        """The settings of the best configuration; empty where none is ranked above the others."""
        best = self.board.best
        return {} if best is None else {key: value for key, value in best.settings.items() if value != ABSENT}

    @property
    def failures(self) -> list[Failure]:
        """The jobs that failed, with error and the command that runs each again."""
        return self.board.failures

    def __repr__(self) -> str:
        counts = self.board.counts
        words = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
        return f"Sweep({self.name!r}, {words})"


def sweep(overrides: Sequence[str]) -> Sweep:
    """Run a sweep; see :func:`lifecycle.sweep`."""
    from lifecycle.config.compose import compose_many
    from lifecycle.sweeps import plan as plans
    from lifecycle.sweeps import run
    from lifecycle.sweeps.results.board import board_of

    with compose_many(list(overrides)) as (words, compose, command):
        fixed = [str(word.input_line) for word in words if not word.is_sweep_override()]
        plan = run.planned(words, compose, command, compose(fixed))
    try:
        board = run.run(plan)
    except run.SweepError:  # failures are results here
        board = board_of(plans.current(plan))
    return Sweep(plan.name, board)
