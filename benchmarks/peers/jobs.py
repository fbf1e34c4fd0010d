"""The timed jobs with their targets, and their configuration as plain values for the other tools."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lifecycle.config.compose import compose
from lifecycle.config.request import Job
from lifecycle.config.resolve import resolve
from lifecycle.config.tasks import metrics_of
from lifecycle.contract import BINARY, MULTICLASS, REGRESSION
from lifecycle.data.sources import downloads

SMALL_EPOCHS = 3
MNIST = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Timed:
    """One row of the table.

    Attributes:
        name: name of the experiment in ``conf/experiment``.
        task: task of its data.
        fit_loop, fit_keras, command_keras: upper limits of the ratios.
        more: options after the experiment.
        accuracy_within: how much lower our accuracy may be than the loop's; ``None``: both compute the same.
    """

    name: str
    task: str
    fit_loop: float
    fit_keras: float
    command_keras: float
    more: tuple[str, ...] = ()
    accuracy_within: float | None = None

    def words(self, small: bool = False) -> list[str]:
        """Return the arguments of the command ``lifecycle``."""
        return [f"+experiment={self.name}", *([f"trainer.max_epochs={SMALL_EPOCHS}"] if small else self.more)]

    @property
    def label(self) -> str:
        """The name of the job in the table."""
        return ", ".join([self.name, *(f"{word.rpartition('=')[2]} epochs" for word in self.more)])


JOBS = {
    job.name: job
    for job in [
        Timed("pima", BINARY, 1.3, 0.18, 0.55),
        Timed("ionosphere", BINARY, 2.0, 0.12, 0.75),
        Timed("iris", MULTICLASS, 3.0, 0.08, 0.70),
        Timed("boston_housing", REGRESSION, 2.0, 0.12, 0.70),
        Timed("mnist", MULTICLASS, 0.6, 0.65, 0.75, ("trainer.max_epochs=3",), accuracy_within=0.002),
        Timed("car_sales", REGRESSION, 1.4, 0.16, 0.48),
        Timed("sequence", REGRESSION, 3.0, 0.08, 0.35),
    ]
}
"""The jobs by name, with the targets of their time ratios."""


def describe(timed: Timed, folder: Path, small: bool = False) -> dict[str, Any]:
    """Return the configuration of a job in plain values.

    Args:
        timed: the job.
        folder: folder for generated files.
        small: use few epochs.

    Raises:
        ValueError: the experiment uses an option that the peers do not support.
    """
    words = timed.words(small)
    job = resolve(compose([*words, "verbose=0"]))
    check_plain(job)
    return {
        "name": timed.name,
        "words": words,
        "task": timed.task,
        "data": {**asdict(job.data), "path": _path(str(getattr(job.data, "path", "")), folder)},
        "model_name": job.model_name,
        "model": asdict(job.model),
        "optimizer": asdict(job.optimizer),
        "metrics": list(metrics_of(timed.task, job.metrics)),
        "epochs": job.trainer.max_epochs,
        "batch_size": job.trainer.batch_size,
        "seed": job.seed,
    }


def check_plain(job: Job) -> None:
    """Check that a job uses no option that the peers do not support, so that all do the same work.

    Raises:
        ValueError: such an option is set; the message names the field.
    """
    trainer, validates = job.trainer, getattr(job.data, "validation_split", None) or getattr(job.data, "val_size", 0)
    found = {
        "optimizer": (job.optimizer_name, job.optimizer_name == "adam"),
        **{f"optimizer.{name}": (value, not value) for name, value in _beside_adam(job).items()},
        "schedule": (job.schedule_name, job.schedule_name == "none"),
        "loss": (job.loss, job.loss is None),
        "class_weights": (job.class_weights, job.class_weights is None),
        "label_smoothing": (job.label_smoothing, not job.label_smoothing),
        "trainer.early_stopping": (trainer.early_stopping, not trainer.early_stopping),
        "trainer.batch_size": (trainer.batch_size, trainer.batch_size is not None),
        "trainer.shuffle": (trainer.shuffle, trainer.shuffle),
        "trainer.class_balanced": (trainer.class_balanced, not trainer.class_balanced),
        "trainer.gradient_clip_val": (trainer.gradient_clip_val, trainer.gradient_clip_val is None),
        "data.val_size": (validates, not validates),
    }
    for key, (value, plain) in found.items():
        if not plain:
            raise ValueError(
                f"{key} must be a value that the peers support, got {value}. Add it to peers/, or remove the job."
            )


def _beside_adam(job: Job) -> dict[str, Any]:
    """Return the fields of the optimizer that the peers do not support."""
    known = ("lr", "betas", "eps")
    return {name: value for name, value in asdict(job.optimizer).items() if name not in known}


def _path(path: str, folder: Path) -> str:
    """Return the file of ``data.path``, or ``sklearn:<name>``; downloads the file if necessary."""
    scheme, _, name = path.partition(":")
    if scheme == "lifecycle":
        return str(resources.files("lifecycle.data.embedded") / name)
    if path == "download:mnist":
        return str(_mnist(folder / "mnist.npz", path))
    if scheme == "download":
        downloads.content(downloads.registered(name)[0], path)
        return str(downloads.folder().absolute() / name)
    return path


def _mnist(file: Path, path: str) -> Path:
    """Write MNIST as in the download cache of Keras, so that its script does not include the download."""
    import numpy as np

    from lifecycle.data.sources import idx

    if not file.exists():
        arrays = [idx.parse(downloads.content(part, path), part.name) for part in downloads.registered("mnist")]
        np.savez_compressed(file, **dict(zip(MNIST, arrays, strict=True)))
    return file
