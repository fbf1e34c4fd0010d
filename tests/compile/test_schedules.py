"""Schedules have torch's fields and rates over epochs and steps, and each rate is in the history."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.compile.optimization import build_schedule
from lifecycle.config.schema import TrainerConfig
from lifecycle.data.batches import Batches
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.define.network import define
from lifecycle.errors import RequestError
from lifecycle.fit import checkpoints, preflight, trainer
from lifecycle.optimizers import LBFGS, SGD, Adam, OptimizerConfig
from lifecycle.plugins.mlp import MLP
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Linear,
    MultiStep,
    NoSchedule,
    OneCycle,
    Plateau,
    Polynomial,
    ScheduleConfig,
    Step,
    Warmed,
)
from tests.compile.test_optimization import check_resuming

NAMES = sorted(name for name in SCHEDULES if SCHEDULES[name].torch_name)
OURS = {"warmup_epochs", "monitor"}
NO_FIELDS = {"optimizer", "last_epoch", "mode", "total_steps", "epochs", "steps_per_epoch"}
"""Arguments that follow from the run."""

OTHER_DEFAULTS: dict[str, dict[str, Any]] = {
    "step": {"step_size": 30},
    "multi_step": {"milestones": None},
    "exponential": {"gamma": 0.95},
    "cosine": {"T_max": None},
    "cosine_restarts": {"T_0": 10},
    "linear": {"start_factor": 1.0, "end_factor": 0.0, "total_iters": None},
    "polynomial": {"total_iters": None},
    "one_cycle": {"max_lr": None, "cycle_momentum": None},
}
"""Where torch has no default, or one that suits no run as a whole."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As the pipeline runs it."""
    with quiet_libraries():
        yield


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return load(Table(path="sklearn:iris", target="species"), "iris", "table", seed=1)


def compiled(data: Dataset, schedule: ScheduleConfig, optimizer: OptimizerConfig | None = None) -> CompiledModel:
    network = define(MLP(hidden=[8]), "mlp", data.spec, seed=1)
    return CompiledModel(network, data.spec, optimizer or SGD(lr=0.1), schedule=schedule)


def rates(schedule: ScheduleConfig, data: Dataset, folder: Path, epochs: int = 12) -> list[float]:
    """Return the rate of each epoch, as the history has it."""
    config = TrainerConfig(max_epochs=epochs, early_stopping=False)
    module = compiled(data, schedule.complete(epochs, "val_loss", SGD(lr=0.1)))
    return [row["lr"] for row in trainer.fit(module, data, config, 1, folder).rows]


def torch_rates(cls: type, epochs: int = 12, **arguments: Any) -> list[float]:
    """Return the rate of each epoch of a plain loop."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    scheduler, found = cls(optimizer, **arguments), []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_fields_are_torchs_arguments_with_its_defaults_or_where_listed_others(name: str) -> None:
    signature = inspect.signature(getattr(lr_scheduler, SCHEDULES[name].torch_name)).parameters
    theirs = {key: item.default for key, item in signature.items() if key not in NO_FIELDS}
    assert SCHEDULES[name]().arguments() == {**theirs, **OTHER_DEFAULTS.get(name, {})}


BY_TORCH: list[tuple[ScheduleConfig, type, dict[str, Any]]] = [
    (Step(step_size=3, gamma=0.5), lr_scheduler.StepLR, {"step_size": 3, "gamma": 0.5}),
    (MultiStep(milestones=[2, 7], gamma=0.3), lr_scheduler.MultiStepLR, {"milestones": [2, 7], "gamma": 0.3}),
    (MultiStep(), lr_scheduler.MultiStepLR, {"milestones": [6, 9]}),
    (Exponential(gamma=0.8), lr_scheduler.ExponentialLR, {"gamma": 0.8}),
    (Cosine(), lr_scheduler.CosineAnnealingLR, {"T_max": 12}),
    (Cosine(t_max=5, eta_min=0.01), lr_scheduler.CosineAnnealingLR, {"T_max": 5, "eta_min": 0.01}),
    (
        CosineRestarts(t_0=2, t_mult=2, eta_min=0.01),
        lr_scheduler.CosineAnnealingWarmRestarts,
        {"T_0": 2, "T_mult": 2, "eta_min": 0.01},
    ),
    (Linear(), lr_scheduler.LinearLR, {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 12}),
    (
        Linear(start_factor=0.5, end_factor=0.1, total_iters=4),
        lr_scheduler.LinearLR,
        {"start_factor": 0.5, "end_factor": 0.1, "total_iters": 4},
    ),
    (Polynomial(power=2.0), lr_scheduler.PolynomialLR, {"power": 2.0, "total_iters": 12}),
    (Polynomial(total_iters=4), lr_scheduler.PolynomialLR, {"total_iters": 4}),
]


@pytest.mark.parametrize(("schedule", "cls", "arguments"), BY_TORCH, ids=str)
def test_the_rates_of_the_epochs_are_torchs(
    iris: Dataset, tmp_path: Path, schedule: ScheduleConfig, cls: type, arguments: dict[str, Any]
) -> None:
    assert rates(schedule, iris, tmp_path) == pytest.approx(torch_rates(cls, **arguments), rel=1e-12)


def test_by_hand_half_a_cosine_and_a_straight_line(iris: Dataset, tmp_path: Path) -> None:
    cosine = [0.05 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]
    assert rates(Cosine(), iris, tmp_path, epochs=4) == pytest.approx(cosine)
    assert rates(Linear(), iris, tmp_path, epochs=4) == pytest.approx([0.1, 0.075, 0.05, 0.025])


WARMED = [item for item in BY_TORCH if item[0] not in (MultiStep(), Cosine(), Linear(), Polynomial(power=2.0))]


@pytest.mark.parametrize(("schedule", "cls", "arguments"), WARMED, ids=str)
def test_a_rise_of_equal_steps_comes_before_the_schedule(
    iris: Dataset, tmp_path: Path, schedule: Warmed, cls: type, arguments: dict[str, Any]
) -> None:
    found = rates(dataclasses.replace(schedule, warmup_epochs=3), iris, tmp_path)
    wanted = [0.025, 0.05, 0.075, *torch_rates(cls, epochs=9, **arguments)]
    assert found == pytest.approx(wanted, rel=1e-9)


def test_what_is_left_null_is_worked_out_from_the_epochs_after_the_rise() -> None:
    assert Cosine(warmup_epochs=4).complete(10, "val_loss", SGD()).t_max == 6
    assert Linear(warmup_epochs=4).complete(10, "val_loss", SGD()).total_iters == 6
    assert Polynomial(warmup_epochs=4).complete(10, "val_loss", SGD()).total_iters == 6
    assert MultiStep(warmup_epochs=2).complete(10, "val_loss", SGD()).milestones == [4, 6]
    assert Cosine(t_max=3).complete(10, "val_loss", SGD()).t_max == 3
    assert Plateau().complete(10, "val_accuracy", SGD()).monitor == "val_accuracy"
    assert Plateau(monitor="train_loss").complete(10, "val_accuracy", SGD()).monitor == "train_loss"
    assert OneCycle().complete(10, "val_loss", SGD(lr=0.3)).max_lr == 0.3
    assert OneCycle(max_lr=2.0).complete(10, "val_loss", SGD(lr=0.3)).max_lr == 2.0


def test_momentum_cycles_where_there_is_one() -> None:
    optimizers = [Adam(), SGD(momentum=0.9), SGD(), LBFGS()]
    cycles = [OneCycle().complete(9, "val_loss", optimizer).cycle_momentum for optimizer in optimizers]
    assert cycles == [True, True, False, False]
    assert OneCycle(cycle_momentum=False).complete(9, "val_loss", Adam()).cycle_momentum is False


def test_a_constant_rate_may_rise_first(iris: Dataset, tmp_path: Path) -> None:
    assert rates(Constant(warmup_epochs=1), iris, tmp_path, epochs=3) == pytest.approx([0.05, 0.1, 0.1])
    assert rates(Constant(), iris, tmp_path, epochs=2) == [0.1, 0.1]


def test_with_no_schedule_the_history_has_no_rate(iris: Dataset, tmp_path: Path) -> None:
    history = trainer.fit(compiled(iris, NoSchedule()), iris, TrainerConfig(max_epochs=2), 1, tmp_path)
    assert "lr" not in history.rows[0]


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1), Adam(lr=0.1)], ids=["sgd", "adam"])
def test_one_cycle_moves_with_each_step_over_all_epochs(
    iris: Dataset, tmp_path: Path, optimizer: OptimizerConfig
) -> None:
    schedule = OneCycle(max_lr=0.5, pct_start=0.4).complete(4, "val_loss", optimizer)
    module = compiled(iris, schedule, optimizer)
    config = TrainerConfig(max_epochs=4, batch_size=20, early_stopping=False, restore_best=False)
    history = trainer.fit(module, iris, config, 7, tmp_path)

    network = define(MLP(hidden=[8]), "mlp", iris.spec, seed=1)
    plain = getattr(torch.optim, optimizer.torch_name)(network.parameters(), lr=0.1, fused=True)
    cycles = optimizer.torch_name == "Adam"
    scheduler = lr_scheduler.OneCycleLR(plain, 0.5, total_steps=4 * 5, pct_start=0.4, cycle_momentum=cycles)
    batches = Batches(iris.train.inputs, iris.train.targets, 20, shuffle_seed=7)
    for epoch in range(4):
        batches.set_epoch(epoch)
        assert history.rows[epoch]["lr"] == plain.param_groups[0]["lr"]
        for inputs, targets, *_ in batches:
            plain.zero_grad()
            nn.functional.cross_entropy(network(inputs), targets).backward()
            plain.step()
            if scheduler.last_epoch < 19:
                scheduler.step()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(module.network.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
def test_a_plateau_lowers_the_rate_as_torchs_own_does(iris: Dataset, tmp_path: Path, monitor: str) -> None:
    schedule = Plateau(monitor, factor=0.5, patience=1, threshold=0.01, cooldown=1, min_lr=0.01)
    module = compiled(iris, schedule, SGD(lr=0.5))
    config = TrainerConfig(max_epochs=25, early_stopping=False)
    rows = trainer.fit(module, iris, config, 1, tmp_path).rows
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    mode = "max" if monitor == "val_accuracy" else "min"
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, factor=0.5, patience=1, threshold=0.01, cooldown=1, min_lr=0.01
    )
    wanted = []
    for row in rows:
        wanted.append(optimizer.param_groups[0]["lr"])
        scheduler.step(row[monitor])
    assert [row["lr"] for row in rows] == wanted
    assert len(set(wanted)) > 2


RESUMED = [
    MultiStep(milestones=[1, 3]),
    Cosine(warmup_epochs=1, t_max=3),
    OneCycle(max_lr=0.1, cycle_momentum=True),
    Plateau("val_loss", patience=0, threshold=0.5),
]


@pytest.mark.parametrize("schedule", RESUMED, ids=lambda schedule: schedule.torch_name)
def test_a_schedule_resumes_from_last_ckpt_as_if_there_had_been_no_stop(
    iris: Dataset, tmp_path: Path, schedule: ScheduleConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    check_resuming(Adam(lr=0.01), iris, tmp_path, schedule=schedule)


REFUSED = [
    (Step, {"step_size": 0}, "step_size must be 1 or more, got 0. The default is 30."),
    (Step, {"gamma": 0.0}, "gamma must be above 0 and below 10, got 0.0. The default is 0.1."),
    (Step, {"warmup_epochs": -1}, "warmup_epochs must be 0 or more, got -1. The default is 0."),
    (MultiStep, {"milestones": [5, 3]}, "milestones must rise, got [5, 3]. Use for instance [30,80]."),
    (MultiStep, {"milestones": [0]}, "milestones must be 1 or more, got [0]. Leave it out for the default."),
    (Exponential, {"gamma": 0.0}, "gamma must be above 0 and below 10, got 0.0. The default is 0.95."),
    (Cosine, {"t_max": 0}, "t_max must be 1 or more, got 0. Leave it out for the default."),
    (Cosine, {"eta_min": -1.0}, "eta_min must be 0 or more, got -1.0. The default is 0.0."),
    (CosineRestarts, {"t_0": 0}, "t_0 must be 1 or more, got 0. The default is 10."),
    (CosineRestarts, {"t_mult": 0}, "t_mult must be 1 or more, got 0. The default is 1."),
    (Linear, {"start_factor": 0.0}, "start_factor must be above 0, got 0.0. The default is 1.0."),
    (Linear, {"end_factor": 2.0}, "end_factor must be 1 or less, got 2.0. Raise optimizer.lr instead."),
    (Polynomial, {"power": 0.0}, "power must be above 0, got 0.0. The default is 1.0."),
    (Polynomial, {"total_iters": 0}, "total_iters must be 1 or more, got 0. Leave it out for the default."),
    (Plateau, {"factor": 1.0}, "factor must be above 0 and below 1, got 1.0. The default is 0.1."),
    (Plateau, {"patience": -1}, "patience must be 0 or more, got -1. The default is 10."),
    (Plateau, {"threshold_mode": "ab"}, "threshold_mode must be one of rel, abs, got ab. Did you mean abs?"),
    (OneCycle, {"max_lr": 0.0}, "max_lr must be above 0, got 0.0. Leave it out for the default."),
    (OneCycle, {"pct_start": 1.0}, "pct_start must be above 0 and below 1, got 1.0. The default is 0.3."),
    (OneCycle, {"anneal_strategy": "x"}, "anneal_strategy must be one of cos, linear, got x. The default is cos."),
    (OneCycle, {"base_momentum": 1.0}, "base_momentum must be 0 or more and below 1, got 1.0. The default is 0.85."),
    (OneCycle, {"div_factor": 0.0}, "div_factor must be above 0, got 0.0. The default is 25.0."),
]


@pytest.mark.parametrize(("cls", "values", "sentence"), REFUSED)
def test_a_value_out_of_range_is_reported_with_field_value_and_remedy(
    cls: type, values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        cls(**values)


def test_a_rise_that_takes_all_epochs_and_a_momentum_that_is_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^warmup_epochs must be below trainer\.max_epochs=5, got 5\. Use fewer\.$"):
        Cosine(warmup_epochs=5).complete(5, "val_loss", SGD())
    with pytest.raises(
        ValueError, match=r"^cycle_momentum needs an optimizer with a momentum, got true\. Leave it out"
    ):
        OneCycle(cycle_momentum=True).complete(5, "val_loss", SGD())


def test_a_plateau_of_what_nothing_measures_is_refused(iris: Dataset) -> None:
    sentence = r"^schedule\.monitor=val_acuracy is not measured\. Did you mean val_accuracy\? Choose from: train_loss,"
    with pytest.raises(RequestError, match=sentence):
        preflight.check_monitors(TrainerConfig(), compiled(iris, Plateau("val_acuracy")), iris)
    data = load(Table(path="sklearn:iris", target="species", val_size=0.0), "iris", "table", seed=1)
    with pytest.raises(
        RequestError,
        match=r"^schedule\.monitor=val_loss needs validation rows, got data\.val_size=0\. Add schedule\.mon",
    ):
        preflight.check_monitors(TrainerConfig(early_stopping=False), compiled(data, Plateau("val_loss")), data)


def test_no_schedule_is_built_of_none() -> None:
    assert build_schedule(NoSchedule(), torch.optim.SGD(nn.Linear(1, 1).parameters()), steps=1) is None
