"""The jobs that are timed, with their targets; and each in plain values, for scripts that know nothing of ours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lifecycle.config.compose import compose
from lifecycle.config.resolve import resolve
from lifecycle.config.schema import Job
from lifecycle.config.tasks import metrics_of
from lifecycle.contract import BINARY, MULTICLASS, REGRESSION
from lifecycle.data.sources import downloads

SMALL_EPOCHS = 3
MNIST = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Timed:
    """One row of the table.

    Attributes:
        name: its experiment in ``conf/experiment``.
        task: of its data.
        fit_loop, fit_keras, command_keras: what the ratios are to be at most.
        more: words beside the experiment.
        accuracy_within: how much accuracy ours may lose against the loop; ``None``: both compute alike.
    """

    name: str
    task: str
    fit_loop: float
    fit_keras: float
    command_keras: float
    more: tuple[str, ...] = ()
    accuracy_within: float | None = None

    def words(self, small: bool = False) -> list[str]:
        """Return what one types after ``lifecycle``."""
        return [f"+experiment={self.name}", *([f"trainer.max_epochs={SMALL_EPOCHS}"] if small else self.more)]

    @property
    def label(self) -> str:
        """The name, and what else is typed, as the table has it."""
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
"""The jobs by name, with the targets of the ratios to which speed is held."""


def describe(timed: Timed, folder: Path, small: bool = False) -> dict[str, Any]:
    """Return a job as its experiment has it, in plain values.

    Args:
        timed: which.
        folder: for files that have to be made.
        small: a few epochs only.

    Raises:
        ValueError: the experiment asks for what the peers do not do.
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
    """Refuse what the peers leave out: figures would no longer be of equal work.

    Raises:
        ValueError: names the field.
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
            raise ValueError(f"{key} must be as the peers have it, got {value}. Teach them in peers/, or drop the job.")


def _beside_adam(job: Job) -> dict[str, Any]:
    """Return the fields of the optimizer that its peers do not have."""
    known = ("lr", "betas", "eps")
    return {name: value for name, value in asdict(job.optimizer).items() if name not in known}


def _path(path: str, folder: Path) -> str:
    """Return a file, or ``sklearn:<name>``, for what ``data.path`` names; what is not there is downloaded first."""
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
    """Write MNIST as Keras keeps it once it is downloaded, so that its script begins where a second run of it does."""
    import numpy as np

    from lifecycle.data.sources import idx

    if not file.exists():
        arrays = [idx.parse(downloads.content(part, path), part.name) for part in downloads.registered("mnist")]
        np.savez_compressed(file, **dict(zip(MNIST, arrays, strict=True)))
    return file
