"""Compares a vectorised fit with single fits before a group is trained."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from lightning_fabric.utilities import move_data_to_device
from torch import nn

from lifecycle.compile import stepping
from lifecycle.compile.devices import device_of
from lifecycle.compile.optimization import build_optimizer
from lifecycle.errors import TrainingError, first_line
from lifecycle.fit import trainer
from lifecycle.fit.history import History
from lifecycle.fit.vectorised.group import ENDED_BY_CALLER, Group, StepClock
from lifecycle.fit.vectorised.members import Member
from lifecycle.runtime import memory
from lifecycle.runtime.signals import interruption_kept

EPOCHS = 2
"""Epochs of the comparison: a network with state in Python may agree in the first."""

TOLERANCE = 1e-5
"""Largest difference of a weight, a buffer or a validation loss, absolute, or relative to a value above 1."""

TOLERANCE_OF_METRICS = 0.1
"""The same of a metric: a row whose probabilities are almost equal may be counted for another class."""

TIMED_STEPS = 10
"""Steps that are timed, of the group and of a single fit."""


def objection(group: Group) -> str | None:
    """Return why members must be fitted one by one, in a few words; ``None``: together gives the same, and is faster.

    Args:
        group: that has not been fitted yet.
    """
    try:
        with interruption_kept():
            away = _away(_unlike(group.members))
            return away or (None if _is_faster(group) else "faster so")
    except Exception as error:  # torch raises many types on operations without a batching rule
        return f"torch.func cannot batch it ({type(error).__name__}: {first_line(error)[:120]})"


def _unlike(members: Sequence[Member]) -> list[Member]:
    """Return the first and the last member, those with the fewest and the most rows, and one with other zeros.

    A setting of 0 may choose another formula.
    """
    by_zeros = {tuple(not value for value in _numbers(member)): member for member in reversed(members)}
    by_rows = sorted(members, key=lambda member: len(member.data.train))
    by_rows = [] if len(by_rows[0].data.train) == len(by_rows[-1].data.train) else [by_rows[0], by_rows[-1]]
    found = [members[0], members[-1], *by_zeros.values(), *by_rows]
    return list({id(member): member for member in found}.values())


def _numbers(member: Member) -> list[float]:
    optimizer = [value for value in vars(member.module.optimizer_config).values() if isinstance(value, int | float)]
    return optimizer + [layer.p for layer in member.network.modules() if isinstance(layer, nn.Dropout)]


def _away(some: Sequence[Member]) -> str | None:
    """Return in what copies differ after two epochs from single fits; ``None``: in nothing."""
    # With a fixed number of epochs and the last weights, so that a tiny difference of a score changes nothing else.
    config = replace(some[0].config, max_epochs=min(EPOCHS, some[0].config.max_epochs), early_stopping=False)
    config = replace(config, restore_best=False)
    single, together = ([replace(m, config=config, module=copy.deepcopy(m.module)) for m in some] for _ in range(2))
    histories = Group(together).fit()
    for alone, copied, history in zip(single, together, histories, strict=True):
        expected = _fit_alone(alone)
        if isinstance(history, TrainingError) or isinstance(expected, TrainingError):
            if str(history) != str(expected):
                return "it diverges in another way"
            continue
        for ours, theirs in zip(history.rows, expected.rows, strict=True):
            for key, value in theirs.items():
                most = TOLERANCE if "loss" in key else TOLERANCE_OF_METRICS
                if key != "epoch_seconds" and not (gap := _gap(ours.get(key, math.nan), value)) <= most:
                    return f"{key} differs by {gap:.1g}"
        values = copied.network.state_dict()
        for name, value in alone.network.state_dict().items():
            gap = float(((values[name] - value).abs() / value.abs().clamp_min(1)).max()) if value.numel() else 0.0
            if not gap <= TOLERANCE:
                return f"{name} differs by {gap:.1g}"
    return None


class Repeated:
    """Two members of a group, to be fitted one by one and in full for comparison.

    Args:
        members: of the group, before it is fitted.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = {number: members[number] for number in sorted({0, len(members) - 1})}
        self._twins = {
            number: replace(member, module=copy.deepcopy(member.module)) for number, member in self._members.items()
        }

    def compared(self, histories: Sequence[History | TrainingError]) -> str:
        """Fit them, and return a sentence on how far they are from the members of the group.

        Args:
            histories: of all members of the group, which has been fitted.
        """
        weights, losses = [0.0], [0.0]
        for number, twin in self._twins.items():
            expected, found = _fit_alone(twin), histories[number]
            if isinstance(expected, TrainingError) or isinstance(found, TrainingError):
                if isinstance(expected, TrainingError) != isinstance(found, TrainingError):
                    where = "in the group" if isinstance(found, TrainingError) else "by itself"
                    return f"Checked: a fit diverges {where} only"
                continue
            both = zip(found.rows, expected.rows, strict=False)
            losses += [_gap(one[key], other[key]) for one, other in both for key in one if "loss" in key]
            if found.stopped == ENDED_BY_CALLER:  # its twin is not pruned, and trains on
                continue
            if len(found.rows) != len(expected.rows):
                return f"Checked: a fit has {len(found.rows)} epochs in the group and {len(expected.rows)} by itself"
            values = self._members[number].network.state_dict()
            for name, value in twin.network.state_dict().items():
                weights.append(float((values[name].double() - value.double()).abs().max()))
        furthest, most = (float(np.max(gaps)) for gaps in (weights, losses))  # NaN, where one is
        return f"Checked: weights differ by at most {furthest:.1g} from those of single fits, losses by {most:.1g}"


def _gap(ours: float, theirs: float) -> float:
    """Return the difference, relative to a value above 1; 0 where both are NaN."""
    return 0.0 if math.isnan(ours) and math.isnan(theirs) else abs(ours - theirs) / max(1.0, abs(theirs))


def _fit_alone(member: Member) -> History | TrainingError:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return trainer.fit(member.module, member.data, member.config, member.seed, Path(folder))
        except TrainingError as error:
            return error


def _is_faster(group: Group) -> bool:
    """Return whether a step of all members takes less time together than one after the other."""
    with stepping.threads(group.members[0].module, group.batch_size), memory.kept():
        return group.step_seconds(TIMED_STEPS) < len(group.members) * _step_seconds(group.members[0])


def _step_seconds(member: Member) -> float:
    """Return the seconds of a single step, without what surrounds it in a fit."""
    device = device_of(member.config)
    module = copy.deepcopy(member.module).train().to(device)
    optimizer = build_optimizer(module.optimizer_config, module.network)
    batch = next(iter(trainer.training_batches(member.config, member.data, member.seed)))
    batch = move_data_to_device(batch, device)
    clock = StepClock(device)
    for number in range(TIMED_STEPS + 1):
        if number == 1:  # the first one allocates
            clock = StepClock(device)
        optimizer.zero_grad()
        module.training_loss(batch, scored=False).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return clock.seconds() / TIMED_STEPS
