"""Best epoch and early stopping of each copy, as Lightning's ``ModelCheckpoint`` and ``EarlyStopping`` find them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lifecycle.config.schema import TrainerConfig
from lifecycle.fit.vectorised.members import Member


class Stopping:
    """Decides after each epoch which copies are better than ever, and which stop.

    Attributes:
        best_epoch: ``(copies,)`` from 1; 0: none yet, or nothing is monitored.
        monitors: whether a score says which epoch is best.

    Args:
        member: of the group; all members have the same settings.
        copies: how many there are.
    """

    def __init__(self, member: Member, copies: int) -> None:
        config: TrainerConfig = member.config
        self.monitors = member.data.val is not None or not config.monitor.startswith("val_")
        self._config = config
        # Nothing is compared where nothing is monitored, and the score may then not exist.
        self._sign = -1.0 if self.monitors and member.module.mode(config.monitor) == "max" else 1.0
        self.best_epoch = np.zeros(copies, dtype=np.int64)
        self._best = np.full(copies, np.inf, dtype=np.float32)
        self._least = np.full(copies, np.inf, dtype=np.float32)
        self._waited = np.zeros(copies, dtype=np.int64)

    def update(self, copies: list[int], scores: list[dict[str, float]], epoch: int) -> tuple[Any, Any]:
        """Take the scores of an epoch.

        Args:
            copies: numbers of the copies that were trained.
            scores: of each.
            epoch: from 1.

        Returns:
            Two boolean arrays: of copies whose best epoch this is, and of those that stop.
        """
        if not self.monitors:
            return np.zeros(len(copies), dtype=bool), np.zeros(len(copies), dtype=bool)
        config, rows = self._config, np.array(copies)
        # In float32, as Lightning compares the scores that are logged.
        now = np.array([score[config.monitor] for score in scores], dtype=np.float32) * np.float32(self._sign)
        # ModelCheckpoint takes NaN for the worst value, and saves the first epoch whatever its score.
        ranked = np.where(np.isnan(now), np.float32(np.inf), now)
        better = (ranked < self._best[rows]) | (self.best_epoch[rows] == 0)
        self._best[rows] = np.where(better, ranked, self._best[rows])
        self.best_epoch[rows] = np.where(better, epoch, self.best_epoch[rows])
        if not config.early_stopping:
            return better, np.zeros(len(copies), dtype=bool)
        less = now + np.float32(config.min_delta) < self._least[rows]
        self._least[rows] = np.where(less, now, self._least[rows])
        self._waited[rows] = np.where(less, 0, self._waited[rows] + 1)
        return better, self._waited[rows] >= config.patience
