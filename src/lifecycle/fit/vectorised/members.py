"""Which fits can be vectorised, and which of them together."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.devices import device_of
from lifecycle.compile.precision import is_bf16
from lifecycle.config.schema import TrainerConfig
from lifecycle.data.dataset import Dataset, Part
from lifecycle.fit.preflight import batch_size
from lifecycle.schedules import NoSchedule, OneCycle, Plateau

ELEMENTWISE = {
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "SGD",
    "ASGD",
    "RMSprop",
    "Rprop",
    "Adagrad",
    "Adadelta",
}
"""Classes of ``torch.optim`` that update each weight by itself: the weights of many networks may be one parameter."""

SHARED = ("initial_accumulator_value",)
"""Numbers that torch does not read from a parameter group."""

RATES = re.compile(r"Dropout\(p=[^,)]+")
"""Dropout rates in the text of a network; copies may differ in them."""


@dataclass(frozen=True)
class Member:
    """One of the fits of a group.

    Attributes:
        module: the compiled model, with its initial weights.
        data: training and validation rows.
        config: epochs, batch size, early stopping.
        seed: of the order of rows and of dropout.
    """

    module: CompiledModel
    data: Dataset
    config: TrainerConfig
    seed: int

    @property
    def network(self) -> nn.Module:
        """The network of the model."""
        return self.module.network


def obstacle(member: Member) -> str | None:
    """Return why a fit cannot be vectorised, in a few words; ``None``: nothing is known against it."""
    return _of_the_trainer(member) or _of_the_network(member.network)


def _of_the_trainer(member: Member) -> str | None:
    config, module, data = member.config, member.module, member.data
    name, schedule = module.optimizer_config.torch_name, module.schedule_config
    reasons = {
        "an Apple GPU": device_of(config).type == "mps",
        "trainer.devices": config.devices > 1,
        "trainer.torch_compile": config.torch_compile,
        "trainer.precision": is_bf16(config, module.network),
        "data.augment": data.augmentation is not None,
        "rows on disk": not isinstance(data.train.inputs, Tensor),
        f"optimizer {name}": name not in ELEMENTWISE,
        # Each step, or each copy, would have its own rate.
        "schedule one_cycle": isinstance(schedule, OneCycle),
        "schedule plateau": isinstance(schedule, Plateau),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _of_the_network(network: nn.Module) -> str | None:
    for module in network.modules():
        name = type(module).__name__
        if isinstance(module, nn.RNNBase):  # torch has no batching rule for them in evaluation mode
            return f"nn.{name}"
        # Their random numbers are drawn in another way than those of nn.Dropout.
        if isinstance(module, _DropoutNd | nn.RReLU) and type(module) is not nn.Dropout:
            return f"nn.{name}"
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.sparse:
            return "sparse gradients"
    floats = {value.dtype for value in network.parameters()}
    return None if floats == {torch.float32} else "weights that are not float32"


def kind_of(member: Member) -> Hashable:
    """Return a value that is equal for fits that can be one group.

    They may differ in their rows, seeds, initial weights and dropout rates, and in the numbers of their optimizer.
    Folds often differ by a row: the number of steps in an epoch must be equal, and not that of the rows.
    """
    module, data = member.module, member.data
    size = batch_size(member.config, data)
    shapes = [(name, tuple(value.shape), value.dtype) for name, value in module.network.state_dict().items()]
    trainable = [name for name, value in module.network.named_parameters() if value.requires_grad]
    return (
        tuple(shapes),
        tuple(trainable),
        RATES.sub("Dropout(p=_", repr(module.network)),
        tuple(sorted((key, str(value)) for key, value in asdict(member.config).items())),
        (size, math.ceil(len(data.train) / size), data.val is None, tuple(data.train.inputs.shape[1:])),
        (data.spec.task, data.spec.num_outputs, data.train.weights is None),
        (module.loss_name, module.loss.label_smoothing, module.loss.class_weights is None, module.metric_names),
        (module.optimizer_config.torch_name, *_switches(member)),
        (type(module.schedule_config), str(module.schedule_config)),
        isinstance(module.schedule_config, NoSchedule),
    )


def bytes_needed(members: Sequence[Member]) -> int:
    """Return the memory that a group takes in addition to its members."""
    parameters = sum(value.numel() for value in members[0].network.parameters())
    # Weights, gradients, best weights, and the moments of Adam and its variants.
    moments = 2 if hasattr(members[0].module.optimizer_config, "betas") else 1
    rows = {id(part): part for member in members for part in (member.data.train, member.data.val) if part is not None}
    stacked = [bytes_of(part) for part in rows.values()]
    outputs = max(len(part) for part in rows.values()) * members[0].data.spec.num_outputs
    return 4 * len(members) * ((3 + moments) * parameters + outputs) + (sum(stacked) if len(stacked) > 2 else 0)


def bytes_of(part: Part) -> int:
    """Return the size of the inputs of rows in memory."""
    return part.inputs.numel() * part.inputs.element_size() if isinstance(part.inputs, Tensor) else 0


def _switches(member: Member) -> list[tuple[str, float]]:
    """Return the options of the optimizer that choose another formula, or that all copies must share."""
    config = member.module.optimizer_config
    values = {item.name: getattr(config, item.name) for item in fields(config)}
    return sorted((name, value) for name, value in values.items() if isinstance(value, bool) or name in SHARED)
