"""Preflight checks: what only data and network together show to be impossible, refused before a run is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import torch
from pytorch_lightning.accelerators import CUDAAccelerator, MPSAccelerator
from torch import nn

from lifecycle.compile import metrics
from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.config.schema import TrainerConfig
from lifecycle.contract import MULTILABEL, REGRESSION
from lifecycle.data.columns.kinds import DROPPED, OWN_PAST, SORTED_TIME, TARGET, TIME
from lifecycle.data.columns.names import TYPED, override
from lifecycle.data.dataset import Dataset
from lifecycle.data.splits.rules import ALL_TRAIN
from lifecycle.define.network import learns_from_one_row
from lifecycle.errors import Either, RequestError, Setting, Text, did_you_mean
from lifecycle.runtime.memory import free_memory
from lifecycle.runtime.processes import is_helper
from lifecycle.schedules import Plateau

DEFAULT_BATCH_SIZE = 32
"""As in Keras."""


def batch_size(config: TrainerConfig, data: Dataset) -> int:
    """Return the number of rows in a step."""
    return min(config.batch_size or DEFAULT_BATCH_SIZE, len(data.train))


def reduced_batch_size(config: TrainerConfig, data: Dataset) -> Text | None:
    """Return the note on a batch size that exceeds the training rows and is reduced; ``None``: it is not."""
    size = batch_size(config, data)
    if config.batch_size is None or config.batch_size == size:
        return None
    return [
        Setting("trainer.batch_size", config.batch_size),
        f" is more than the {size} training rows: each step takes all {size}",
    ]


def check_batches(config: TrainerConfig, network: nn.Module, data: Dataset) -> None:
    """Refuse batches that cannot be drawn, or that the network cannot be trained on.

    Raises:
        RequestError: classes are balanced in a regression, or batch normalisation would see a single row.
    """
    rows = len(data.train)
    if config.class_balanced and data.spec.task == MULTILABEL:
        problem = f"needs one class for each row, and rows may have several of the {data.spec.target_name}"
        balanced = Setting("class_weights", "balanced")
        raise RequestError(Setting("trainer.class_balanced", True), problem, remedy=["Use ", balanced, "."])
    if config.class_balanced and data.spec.task == REGRESSION:
        raise RequestError(
            Setting("trainer.class_balanced", True),
            "needs classes",
            f"a regression of {data.spec.target_name}",
            "Leave it out.",
        )
    size = batch_size(config, data)
    if _fewest(rows, size, config.devices) > 1 or learns_from_one_row(network, data.spec):
        return
    sizes = [other for other in _nearest(size, rows) if _fewest(rows, other, config.devices) > 1]
    remedy: Text = "Use more rows, or a network without batch normalisation."
    if sizes:
        remedy = ["Use ", Setting("trainer.batch_size", sizes[0]), "."]
    raise RequestError(
        Setting("trainer.batch_size", size),
        f"leaves a process with one row of the {rows} training rows in a batch, and batch normalisation needs two or "
        "more",
        remedy=remedy,
    )


def _fewest(rows: int, size: int, processes: int) -> int:
    """Return the fewest rows of a batch in one process; the last batch of an epoch may be smaller than the others."""
    # DDP divides each batch among the processes.
    return max(1, min(size, rows % size or size) // processes)


def _nearest(size: int, rows: int) -> Iterator[int]:
    """Yield batch sizes of 2 or more, those nearest to ``size`` first."""
    for away in range(1, rows):
        yield from (other for other in (size + away, size - away) if 1 < other <= rows)


def check_memory(config: TrainerConfig, module: CompiledModel) -> None:
    """Refuse a network whose gradients and optimizer state exceed the free memory.

    Without the check the system's out-of-memory killer may end the process without a message.

    Raises:
        RequestError: gives the memory that they need and the memory that is free.
    """
    size = sum(one.numel() * one.element_size() for one in module.network.parameters() if one.requires_grad)
    on_gpu = config.accelerator != "cpu" and torch.cuda.is_available()
    free = torch.cuda.mem_get_info()[0] if on_gpu else free_memory()
    # Adam and its variants keep two moments for each parameter; they are the optimizers with betas.
    moments = 2 if hasattr(module.optimizer_config, "betas") else 0
    # One more copy besides the gradients: on a GPU the network itself, on a CPU the best weights in the checkpoint.
    needed = size * (2 + moments)
    # None: the system does not report it, and a failed allocation has a message of its own.
    if free is not None and needed > free:
        raise RequestError(
            "memory",
            f"does not suffice to fit {size // 4:,} parameters: it takes {needed / 1e9:,.3g} GB more, and "
            f"{free / 1e9:,.3g} GB are free",
            remedy=["Use a smaller network, or ", Setting("optimizer", "sgd"), "."],
        )


def check_metrics(module: CompiledModel, data: Dataset) -> None:
    """Refuse a metric that is undefined for a part of one row, or that cannot be weighted if rows have weights.

    Raises:
        RequestError: names the metric.
    """
    if any(part is not None and part.weights is not None for part in (data.train, data.val, data.test)):
        metrics.check_weights(data.spec, module.metric_names, data.weights_from)
    # R2 of one row, for instance, divides by a variance of zero.
    if any(part is not None and len(part) < 2 for part in (data.val, data.test)):
        for name in module.metric_names:
            if not metrics.of_one_row(data.spec, name):
                raise RequestError(
                    Setting("metrics", name),
                    "needs two rows or more in each part",
                    "one",
                    f"Hold out more rows, or leave {name} out.",
                )


def check_names(data: Dataset, outputs: Sequence[str]) -> None:
    """Refuse columns with the name of a column of predictions, which would appear twice in a file of predictions.

    Args:
        data: loaded.
        outputs: the names of the columns of predictions.

    Raises:
        RequestError: names the column and the remedy.
    """
    # predict_file leaves out a dropped column if its name is taken.
    names = [name for name, kind in data.column_kinds.items() if kind != DROPPED]
    taken = next((name for name in outputs if name in names), None)
    if taken is None:
        return
    new = f"{taken}_"
    while new in data.column_kinds or new in outputs:
        new += "_"
    raise RequestError(
        Setting("data", data.name),
        f"has a column {taken}, which is the name of a column of predictions",
        remedy=Either(command=_renaming(data.column_kinds[taken], taken, new), python="Rename the column in X."),
    )


def _renaming(kind: str, name: str, new: str) -> str:
    """Return what the command line adds to rename or drop a column; a shell takes some names only within quotes."""
    renamed = override(name, new) or f"rename: {{{name!r}: {new!r}}} to a YAML file of the data set"
    if kind in (TARGET, OWN_PAST):
        return f"Add {renamed} data.target={new}."
    if kind in (TIME, SORTED_TIME):
        return f"Add {renamed} data.time={new}."
    dropped = f"data.drop=[{name}]" if TYPED.fullmatch(name) else f"'data.drop=[\"{name}\"]'"
    return f"Add {renamed}, or {dropped}."


def check_monitors(config: TrainerConfig, module: CompiledModel, data: Dataset) -> None:
    """Refuse a monitor that is not measured, or whose direction (higher or lower is better) is not known.

    Raises:
        RequestError: names the setting and the scores that are measured.
    """
    # The default monitor has no effect without validation rows and early stopping, and need not be measured then.
    unused = data.val is None and not config.early_stopping and config.monitor == "val_loss"
    if not unused:
        alternatives = Setting("trainer.early_stopping", False), Setting("trainer.monitor", "train_loss")
        remedy: Text = ["Add ", alternatives[0], ", or ", alternatives[1], "."]
        _check_monitor(Setting("trainer.monitor", config.monitor), config.monitor, module, data, remedy)
    if isinstance(module.schedule_config, Plateau):
        monitor = str(module.schedule_config.monitor)
        remedy = ["Add ", Setting("schedule.monitor", "train_loss"), "."]
        _check_monitor(Setting("schedule.monitor", monitor), monitor, module, data, remedy)


def measured(module: CompiledModel, data: Dataset) -> list[str]:
    """Return the names of the scores of each epoch: ``train_loss``, ``val_accuracy``."""
    parts = ("train", "val") if data.val is not None else ("train",)
    return [f"{part}_{name}" for part in parts for name in ("loss", *module.metric_names)]


def _check_monitor(setting: Setting, monitor: str, module: CompiledModel, data: Dataset, remedy: Text) -> None:
    known = measured(module, data)
    if monitor not in known:
        if data.val is None and monitor.startswith("val_"):
            none_held_out = "data.split=none" if ALL_TRAIN in data.split_report else "data.val_size=0"
            no_rows = Either(command=none_held_out, python="none")
            raise RequestError(setting, ["needs validation rows, got ", no_rows], remedy=remedy)
        choices = f"{did_you_mean(monitor, known)} Choose from: {', '.join(known)}."
        raise RequestError(setting, "is not measured", remedy=choices)
    name = monitor.partition("_")[2]
    if name != "loss" and metrics.higher_is_better(name, module.val_scores.metrics[name]) is None:
        better = known[-1 - len(module.metric_names)]  # the loss of the last part, which validates if there is one
        raise RequestError(
            setting,
            "cannot be monitored: it is not known whether higher is better",
            remedy=["Use ", Setting(setting.key, better), "."],
        )


def check_devices(config: TrainerConfig) -> None:
    """Refuse an accelerator that the machine lacks, or more devices than it has.

    Raises:
        RequestError: names the setting and the devices of the machine.
    """
    # Lightning takes LOCAL_RANK for a sign that another launcher starts the processes, and starts none.
    rank = os.environ.get("LOCAL_RANK")
    if rank is not None and not is_helper():
        raise RequestError(
            [f"LOCAL_RANK={rank}"],
            "is set in the environment, as if another launcher had started this process",
            remedy="Unset it; `lifecycle trainer.devices=2 trainer.strategy=ddp` starts the processes itself.",
        )
    # A Mac has at most one MPS device.
    gpus = torch.cuda.device_count() if CUDAAccelerator.is_available() else int(MPSAccelerator.is_available())
    if config.accelerator == "gpu" and not gpus:
        raise RequestError(
            Setting("trainer.accelerator", "gpu"),
            "but torch sees no GPU",
            remedy=["Use ", Setting("trainer.accelerator", "cpu"), " or auto."],
        )
    on_gpu = config.accelerator == "gpu" or (config.accelerator == "auto" and gpus)
    if on_gpu and config.devices > gpus:
        raise RequestError(
            Setting("trainer.devices", config.devices),
            f"but torch sees {gpus} GPU{'s' * (gpus != 1)}",
            remedy=[f"Use {gpus}, or ", Setting("trainer.accelerator", "cpu"), "."],
        )
    cores = max(2, os.cpu_count() or 1)
    if not on_gpu and config.devices > cores:
        raise RequestError(
            Setting("trainer.devices", config.devices),
            f"but there are {cores} cores",
            remedy=f"Use at most {cores}.",
        )


def check(config: TrainerConfig, module: CompiledModel, data: Dataset) -> None:
    """Run the checks that need data, network and metrics.

    Raises:
        RequestError: the first check that fails.
    """
    # Memory first, since the other checks call the network.
    check_memory(config, module)
    check_batches(config, module.network, data)
    check_metrics(module, data)
    check_monitors(config, module, data)
