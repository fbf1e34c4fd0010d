"""The history of a fit: what is kept of each epoch, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

Row = dict[str, float]
"""One epoch: ``epoch`` (from 1), ``train_loss``, ``val_loss``, each metric of both, ``lr`` (the rate that the
epoch began with) where there is a schedule, and ``epoch_seconds``."""


@dataclass(frozen=True)
class History:
    """What fitting did.

    Attributes:
        rows: a row an epoch.
        best_epoch: the epoch (from 1) that the monitor calls best; ``None`` where nothing was monitored.
        weights_epoch: the epoch (from 1) that the weights are from.
        stopped: why fitting ended, as the end of a sentence.
    """

    rows: tuple[Row, ...]
    best_epoch: int | None
    weights_epoch: int
    stopped: str

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a table."""
        return pd.DataFrame(self.rows).astype({"epoch": int})

    @property
    def epoch(self) -> list[int]:
        """The epochs, from 1."""
        return [int(row["epoch"]) for row in self.rows]

    @property
    def history(self) -> dict[str, list[float]]:
        """The columns by name, a value an epoch, as Keras has them: ``{"train_loss": [...], "val_loss": [...]}``."""
        return {name: [row[name] for row in self.rows] for name in self.rows[0] if name != "epoch"}
