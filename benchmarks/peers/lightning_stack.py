"""The usual Lightning setup: DataLoader, torchmetrics with ``self.log`` on each step, MLFlowLogger, checkpoints.

It follows the documentation and uses an existing database. The progress bar and the summary are off, as with Keras's
``verbose=0``. Each epoch writes a checkpoint and ``last``.

    python -m peers.lightning_stack job.json mlflow.db
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torchmetrics
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import MLFlowLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lifecycle.contract import DataSpec
from lifecycle.plugins.cnn import CNN
from lifecycle.plugins.lstm import LSTM
from lifecycle.plugins.mlp import MLP
from peers.loop import LOSSES, Part
from peers.rows import job_of_command_line, print_report, read

MODELS: dict[str, Any] = {"mlp": MLP, "cnn": CNN, "lstm": LSTM}
"""All use our networks; only the training differs."""


class Recipe(pl.LightningModule):
    """A network with its loss, metrics and Adam."""

    def __init__(self, network: nn.Module, job: dict[str, Any], classes: int) -> None:
        super().__init__()
        self.network, self.job = network, job
        self.loss = LOSSES[job["task"]]
        self.metrics = nn.ModuleDict(
            {
                f"{part}_{name}": metric(name, job["task"], classes)
                for part in ("train", "val", "test")
                for name in job["metrics"]
            }
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the network's outputs."""
        outputs: Tensor = self.network(inputs)
        return outputs

    def training_step(self, batch: Part, _index: int) -> Tensor:
        """Return the loss, and log it with the metrics."""
        return self._step(batch, "train")

    def validation_step(self, batch: Part, _index: int) -> None:
        """Log loss and metrics."""
        self._step(batch, "val")

    def test_step(self, batch: Part, _index: int) -> None:
        """Log loss and metrics."""
        self._step(batch, "test")

    def predict_step(self, batch: Part, _index: int) -> Tensor:
        """Return the network's outputs."""
        outputs: Tensor = self(batch[0])
        return outputs

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), **self.job["optimizer"])

    def _step(self, batch: Part, part: str) -> Tensor:
        inputs, targets = batch
        outputs = self(inputs)
        loss = self.loss(outputs, targets)
        self.log(f"{part}_loss", loss, on_step=False, on_epoch=True)
        for name in self.job["metrics"]:
            kept = self.metrics[f"{part}_{name}"]
            kept(outputs, targets.int() if self.job["task"] == "binary" else targets)
            self.log(f"{part}_{name}", kept, on_step=False, on_epoch=True)
        return loss


def metric(name: str, task: str, classes: int) -> torchmetrics.Metric:
    """Return the torchmetrics metric for our name of it."""
    if name == "accuracy":
        return torchmetrics.Accuracy(task=task, num_classes=classes)
    return {
        "mse": torchmetrics.MeanSquaredError,
        "rmse": lambda: torchmetrics.MeanSquaredError(squared=False),
        "mae": torchmetrics.MeanAbsoluteError,
    }[name]()


def loader(part: Part, size: int, shuffle: bool = False) -> DataLoader[tuple[Tensor, ...]]:
    """Return a DataLoader of the rows, without worker processes."""
    return DataLoader(TensorDataset(*part), batch_size=size, shuffle=shuffle)


def fit(
    network: nn.Module, train: Part, val: Part | None, job: dict[str, Any], database: Path
) -> tuple[pl.Trainer, Recipe]:
    """Train a network in place.

    Args:
        network: maps ``(batch, *sample)`` to logits or values.
        train: training rows.
        val: validation rows, or ``None``.
        job: see :func:`peers.jobs.describe`.
        database: the MLflow database; checkpoints and artifacts are written next to it.
    """
    outputs = network(train[0][:1]).shape[1]
    module, size = Recipe(network, job, outputs), job["batch_size"]
    folder = database.parent
    tracking = MLFlowLogger(
        "speed", tracking_uri=f"sqlite:///{database}", artifact_location=(folder / "artifacts").as_uri()
    )
    tracking.log_hyperparams({**job["model"], **job["optimizer"], "epochs": job["epochs"], "batch_size": size})
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=job["epochs"],
        logger=tracking,
        callbacks=[ModelCheckpoint(folder / "checkpoints", save_last=True)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader(train, size, shuffle=True), val and loader(val, 1024))
    return trainer, module


def quiet() -> None:
    """Silence warnings, such as those about DataLoader workers."""
    warnings.simplefilter("ignore")
    for name in ("pytorch_lightning", "lightning_fabric", "mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def main() -> None:
    """Read, fit, evaluate and predict."""
    quiet()
    job, database = job_of_command_line(), Path(sys.argv[2])
    rows = read(job)
    targets = [torch.from_numpy(values) for values in (rows.targets, rows.test_targets)]
    if job["task"] != "multiclass":
        targets = [values[:, None] for values in targets]
    train = torch.from_numpy(rows.inputs), targets[0]
    test = torch.from_numpy(rows.test_inputs), targets[1]
    classes = int(targets[0].max()) + 1 if job["task"] == "multiclass" else 1
    torch.manual_seed(job["seed"])
    network = MODELS[job["model_name"]](**job["model"]).build(DataSpec(job["task"], tuple(train[0].shape[1:]), classes))
    started = time.perf_counter()
    trainer, module = fit(network, train, None, job, database)
    seconds = time.perf_counter() - started
    epochs, steps = trainer.current_epoch, trainer.global_step
    (scores,) = trainer.test(module, loader(test, 1024), verbose=False)
    trainer.predict(module, loader(test, 1024))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print_report(
        seconds, {"rows": len(train[0]), "steps": steps, "epochs": epochs, "parameters": parameters}, dict(scores)
    )


if __name__ == "__main__":
    main()
