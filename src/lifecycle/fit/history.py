"""The history of a fit: the scores of each epoch, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

Row = dict[str, float]
"""One epoch: ``epoch`` (from 1), ``train_loss``, ``val_loss``, each metric of both, ``epoch_seconds``, and with a
schedule ``lr``, the learning rate at the start of the epoch."""


@dataclass(frozen=True)
class History:
    """The epochs of a fit.

    Attributes:
        rows: one for each epoch.
        best_epoch: the epoch (from 1) with the best monitored score; ``None``: nothing was monitored.
        weights_epoch: the epoch (from 1) of the weights.
        stopped: why fitting ended, as a clause: ``"max_epochs=300 was reached"``.
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
        """The columns by name, a value for each epoch, as in Keras: ``{"train_loss": [...], "val_loss": [...]}``."""
        return {name: [row[name] for row in self.rows] for name in self.rows[0] if name != "epoch"}
