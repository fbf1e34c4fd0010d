"""Loggers of Lightning that record the scores of a run in addition to MLflow: TensorBoard's files, and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger

from lifecycle.fit.history import Row


class ExtraLoggers:
    """Writes the scores of each epoch with several loggers."""

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self.loggers = loggers

    def log_epoch(self, row: Row) -> None:
        """Log the scores of an epoch, with its number as the step."""
        scores = {name: value for name, value in row.items() if name != "epoch"}
        for logger in self.loggers:
            logger.log_metrics(scores, int(row["epoch"]))
            logger.save()  # so that a page that shows them moves during the fit


@contextmanager
def opened(names: Sequence[str], folder: Path, params: Mapping[str, Any]) -> Iterator[ExtraLoggers]:
    """Yield the loggers of a run, and close them with the status by which the block ends.

    Args:
        names: ``tensorboard`` and ``csv``.
        folder: each logger writes into its own folder in it.
        params: of the run.
    """
    loggers = [_logger(name, folder) for name in names]
    for logger in loggers:
        logger.log_hyperparams(dict(params))
    status = "failed"
    try:
        yield ExtraLoggers(loggers)
        status = "success"
    finally:
        for logger in loggers:
            logger.finalize(status)


def _logger(name: str, folder: Path) -> Logger:
    if name == "csv":
        from pytorch_lightning.loggers import CSVLogger

        return CSVLogger(folder, name="csv", version="")
    from pytorch_lightning.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False)
