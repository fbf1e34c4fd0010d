"""A vectorised fit has the results of single fits: weights, buffers, history, early stopping and best epoch."""

from __future__ import annotations

import copy
import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lifecycle.config.compose import compose
from lifecycle.config.records.request_record import record_of, request_of
from lifecycle.config.resolve import resolve
from lifecycle.contract import DataSpec
from lifecycle.errors import TrainingError
from lifecycle.fit import trainer
from lifecycle.fit.history import History
from lifecycle.fit.vectorised import check
from lifecycle.fit.vectorised.copies import StackedOptimizer
from lifecycle.fit.vectorised.group import ENDED_BY_CALLER, Group
from lifecycle.fit.vectorised.members import Member, kind_of, obstacle
from lifecycle.fit.vectorised.stopping import Stopping
from lifecycle.optimizers import OPTIMIZERS
from lifecycle.runs import pipeline
from lifecycle.runtime.quiet import quiet_libraries

TOLERANCE = 1e-3 if torch.cuda.is_available() else 2e-5
"""After a few dozen epochs; the check before a group allows 1e-5 after two. A GPU adds in another order for a stack of
networks than for one, which a large learning rate amplifies."""


def members(*words: str, vary: Sequence[str]) -> list[Member]:
    """Return a member for each value of a swept override."""
    found, record = [], record_of(compose([*words, vary[0], "verbose=0"]))
    for word in vary:
        is_choice = word.partition("=")[0] in ("data", "model", "optimizer", "schedule")
        job = resolve(compose([*words, word, "verbose=0"]) if is_choice else request_of(record, [word]))
        prepared = pipeline.prepare(job)
        found.append(Member(prepared.module, prepared.data, job.trainer, job.seed))
    return found


def alone(member: Member, folder: Path) -> History | TrainingError:
    """Fit a member by itself."""
    with quiet_libraries():
        try:
            return trainer.fit(member.module, member.data, member.config, member.seed, folder)
        except TrainingError as error:
            return error


def twins_of(several: Sequence[Member]) -> list[Member]:
    return [replace(member, module=copy.deepcopy(member.module)) for member in several]


def check_that_it_equals_single_fits(several: Sequence[Member], folder: Path) -> list[History | TrainingError]:
    """Fit members together and one by one, and assert that all results agree; return the histories."""
    assert [obstacle(member) for member in several] == [None] * len(several)
    assert len({kind_of(member) for member in several}) == 1
    twins = twins_of(several)
    found = Group(several).fit()
    for number, (member, twin, history) in enumerate(zip(several, twins, found, strict=True)):
        expected = alone(twin, folder / str(number))
        if isinstance(expected, TrainingError):
            assert str(history) == str(expected)
            continue
        assert isinstance(history, History)
        assert (history.best_epoch, history.weights_epoch) == (expected.best_epoch, expected.weights_epoch)
        assert history.stopped == expected.stopped
        assert len(history.rows) == len(expected.rows)
        for ours, theirs in zip(history.rows, expected.rows, strict=True):
            assert list(ours) == list(theirs)
            for name in set(ours) - {"epoch_seconds"}:
                assert ours[name] == pytest.approx(theirs[name], rel=TOLERANCE, abs=TOLERANCE), name
        values = member.network.state_dict()
        for name, value in twin.network.state_dict().items():
            np.testing.assert_allclose(values[name], value, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
    return found


SEEDS = ("seed=1", "seed=2", "seed=3")
FOLDS = [f"cv.fold={fold}" for fold in range(5)]
LAYERS = ("model.batch_norm=true", "model.dropout=0.2")
IRIS = ("data=iris", "trainer.max_epochs=12")
CASES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "seeds, whose splits differ": (IRIS, SEEDS),
    "seeds on one split": ((*IRIS, "data.split_seed=0"), SEEDS),
    "folds": ((*IRIS, "cv.folds=5"), ("cv.fold=0", "cv.fold=1", "cv.fold=2")),
    "rates of SGD with momentum": (
        (*IRIS, "optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true"),
        ("optimizer.lr=0.1", "optimizer.lr=0.01", "optimizer.lr=0.05", "optimizer.lr=0.01"),
    ),
    "decays of AdamW": ((*IRIS, "optimizer=adamw"), ("optimizer.weight_decay=0.1", "optimizer.weight_decay=0")),
    "dropout": ((*IRIS, "model.dropout=0.3"), SEEDS),
    "dropout rates": (IRIS, ("model.dropout=0.1", "model.dropout=0.5", "model.dropout=0.9")),
    "batch normalisation": ((*IRIS, "model.batch_norm=true", "optimizer=sgd"), SEEDS),
    "an activation without a closed form": ((*IRIS, "model.activation=gelu"), SEEDS),
    "tanh and no shuffling": ((*IRIS, "model.activation=tanh", "trainer.shuffle=false"), SEEDS),
    "class weights and label smoothing": ((*IRIS, "class_weights=balanced", "label_smoothing=0.1"), SEEDS),
    "clipped norms": ((*IRIS, "trainer.gradient_clip_val=0.4"), SEEDS),  # of some steps
    "clipped values": (
        (*IRIS, "trainer.gradient_clip_val=0.01", "trainer.gradient_clip_algorithm=value", "optimizer=rmsprop"),
        SEEDS,
    ),
    "a schedule by epoch": ((*IRIS, "schedule=cosine"), ("optimizer.lr=0.01", "optimizer.lr=0.001")),
    "early stopping": (
        ("data=diabetes", "trainer.max_epochs=60", "trainer.patience=2", "optimizer.lr=0.05"),
        SEEDS,
    ),
    "early stopping by a metric, and min_delta": (
        (*IRIS, "trainer.monitor=val_accuracy", "trainer.patience=3", "trainer.min_delta=0.01"),
        SEEDS,
    ),
    "the last weights": ((*IRIS, "trainer.restore_best=false", "trainer.patience=2", "optimizer.lr=0.03"), SEEDS),
    "nothing monitored": ((*IRIS, "data.val_size=0", "trainer.early_stopping=false"), SEEDS),
    "metrics of counts and of rankings": ((*IRIS, "metrics=[accuracy,f1,auroc,hamming_distance]"), SEEDS),
    "another loss": (("data=diabetes", "loss=huber", "trainer.max_epochs=5"), SEEDS),
    "a target in other units": (("data=diabetes", "trainer.max_epochs=5", "cv.folds=13"), ("cv.fold=0", "cv.fold=1")),
    "balanced drawing": ((*IRIS, "trainer.class_balanced=true"), SEEDS),
    "a convolution": (
        ("data=digits", "model=cnn", "trainer.max_epochs=1", "trainer.batch_size=256"),
        ("seed=1", "seed=2"),
    ),
    "another start of Adagrad": (
        (*IRIS, "optimizer=adagrad", "optimizer.initial_accumulator_value=0.5"),
        ("optimizer.lr=0.1", "optimizer.lr=0.01"),
    ),
    "folds of unequal size": (("data=diabetes", "trainer.max_epochs=5", "cv.folds=5"), FOLDS),
    "folds of unequal size, with batch normalisation and dropout": (
        ("data=diabetes", "trainer.max_epochs=4", "cv.folds=5", *LAYERS, "optimizer=sgd", "optimizer.lr=0.001"),
        FOLDS,
    ),
    "folds of unequal size that stop": (
        ("data=diabetes", "trainer.max_epochs=40", "cv.folds=5", "trainer.patience=1", "optimizer.lr=0.1"),
        FOLDS,
    ),
    "folds of unequal size, one step": (
        ("data=diabetes", "trainer.max_epochs=5", "cv.folds=5", "trainer.batch_size=200", "metrics=[r2]"),
        FOLDS,
    ),
    "unequal numbers of validation rows": (
        ("data=diabetes", "trainer.max_epochs=5"),
        ("data.val_size=80", "data.val_size=81", "data.val_size=90"),
    ),
    "a linear model": ((*IRIS, "model.hidden=[]", "optimizer=adagrad"), SEEDS),
}


@pytest.mark.parametrize(("words", "vary"), CASES.values(), ids=CASES)
def test_a_group_has_the_results_of_single_fits(words: Sequence[str], vary: Sequence[str], tmp_path: Path) -> None:
    found = check_that_it_equals_single_fits(members(*words, vary=vary), tmp_path)
    assert [type(one) for one in found] == [History] * len(vary)


def without_the_last_class(member: Member) -> Member:
    """Return a member without validation rows of one class."""
    part = member.data.val
    assert part is not None
    kept = part.targets != 2
    places = np.flatnonzero(kept.numpy())
    inputs = torch.as_tensor(part.inputs)[kept]
    val = replace(
        part, inputs=inputs, targets=part.targets[kept], labels=part.labels[places], rows=np.asarray(part.rows)[places]
    )
    return replace(member, data=replace(member.data, val=val))


def test_a_ranking_of_rows_without_a_class_is_that_of_the_others(tmp_path: Path) -> None:
    words = ("metrics=[auroc,accuracy]", "trainer.monitor=val_auroc", "trainer.max_epochs=5")
    several = [without_the_last_class(member) for member in members(*IRIS, *words, vary=SEEDS)]
    for history in check_that_it_equals_single_fits(several, tmp_path):
        assert isinstance(history, History)
        assert all(0 < row["val_auroc"] <= 1 for row in history.rows)


@pytest.mark.parametrize("optimizer", ["adam", "adamax", "nadam", "radam", "asgd", "rprop", "adadelta"])
def test_every_elementwise_optimizer_trains_a_group(optimizer: str, tmp_path: Path) -> None:
    several = members(*IRIS, f"optimizer={optimizer}", vary=("optimizer.lr=0.01", "optimizer.lr=0.002"))
    found = check_that_it_equals_single_fits(several, tmp_path)
    assert [len(one.rows) for one in found if isinstance(one, History)] == [12, 12]


def test_a_member_that_diverges_does_not_touch_the_others(tmp_path: Path) -> None:
    words = (*IRIS, "optimizer=sgd", "trainer.early_stopping=false")
    several = members(*words, vary=("optimizer.lr=0.01", "optimizer.lr=1e30", "optimizer.lr=0.02"))
    found = check_that_it_equals_single_fits(several, tmp_path)
    assert [isinstance(one, TrainingError) for one in found] == [False, True, False]
    assert re.fullmatch(r"train_loss is (nan|inf) in epoch \d+: .*Lower optimizer.lr \(now 1e\+30\).*", str(found[1]))


def test_members_that_have_stopped_leave_the_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sizes = []
    keep = Group._gather

    def gather(group: Group) -> None:
        keep(group)
        sizes.append(len(group.copies.flat))

    monkeypatch.setattr(Group, "_gather", gather)
    words = ("data=diabetes", "trainer.max_epochs=40", "trainer.patience=2", "optimizer.lr=0.05", "model.dropout=0.2")
    check_that_it_equals_single_fits(members(*words, vary=[f"seed={seed}" for seed in range(6, 12)]), tmp_path)
    assert sizes
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] <= 3


def test_a_caller_may_end_a_member() -> None:
    several = members(*IRIS, vary=SEEDS)
    found = Group(several).fit(lambda number, row: number == 1 and row["epoch"] == 4)
    lengths = [len(one.rows) for one in found if isinstance(one, History)]
    assert lengths == [12, 4, 12]
    assert [one.stopped == ENDED_BY_CALLER for one in found if isinstance(one, History)] == [False, True, False]


def test_a_member_that_is_pruned_as_it_diverges_is_pruned() -> None:
    several = members(*IRIS, vary=("optimizer.lr=1e30", "optimizer.lr=0.01"))
    pruned, other = Group(several).fit(lambda _, row: math.isnan(row["val_loss"]))
    assert isinstance(pruned, History)
    assert pruned.stopped == ENDED_BY_CALLER
    assert math.isnan(pruned.rows[-1]["val_loss"])
    assert isinstance(other, History)
    assert len(other.rows) == 12


class Changed(nn.Module):
    """A linear layer whose inputs and outputs are changed in one of several ways."""

    def __init__(self, change: str, spec: DataSpec) -> None:
        super().__init__()
        self.layer, self.change, self.calls = nn.Linear(spec.input_shape[0], spec.num_outputs), change, 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.change == "random":
            inputs = inputs + torch.randn_like(inputs) * 0.1
        outputs: torch.Tensor = self.layer(inputs)
        if self.change == "counting":  # its second call has another formula
            return outputs * (1.0 if self.calls % 2 else 2.0)
        return outputs * 2 if self.change == "branching" and outputs.mean() > 0 else outputs


@dataclass
class Plugin:
    """A plugin that builds such a network."""

    change: str

    sample_dims: ClassVar[tuple[int, ...]] = (1,)

    def build(self, spec: DataSpec) -> nn.Module:
        return Changed(self.change, spec)


def with_plugin(plugin: Any, *words: str) -> list[Member]:
    found = []
    for seed in (1, 2):
        job = replace(resolve(compose([*IRIS, *words, f"seed={seed}", "verbose=0"])), model=plugin)
        prepared = pipeline.prepare(job)
        found.append(Member(prepared.module, prepared.data, job.trainer, job.seed))
    return found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("counting", r"(train|val)_loss differs by|layer\.\w+ differs by"),
        ("branching", r"torch\.func cannot batch it \(RuntimeError: .*data-depende"),
        ("random", r"torch\.func cannot batch it \(RuntimeError: .*random"),
    ],
)
def test_the_check_finds_networks_that_cannot_be_vectorised(change: str, reason: str) -> None:
    with quiet_libraries():
        found = check.objection(Group(with_plugin(Plugin(change))))
    assert found is not None
    assert re.search(reason, found), found


@dataclass
class Built:
    """A plugin that builds a network by a function."""

    by: Callable[[DataSpec], nn.Module]

    sample_dims: ClassVar[tuple[int, ...]] = (1, 2)

    def build(self, spec: DataSpec) -> nn.Module:
        return self.by(spec)


def with_one_activation(spec: DataSpec) -> nn.Module:
    activation = nn.ReLU()
    layers = [nn.Linear(spec.input_shape[0], 6), activation, nn.Linear(6, 5), activation]
    return nn.Sequential(*layers, nn.Linear(5, spec.num_outputs))


def with_one_dropout(spec: DataSpec) -> nn.Module:
    dropout = nn.Dropout(0.3)
    layers = [nn.Linear(spec.input_shape[0], 6), dropout, nn.Linear(6, 5), dropout]
    return nn.Sequential(*layers, nn.Linear(5, spec.num_outputs))


def over_windows(spec: DataSpec) -> nn.Module:
    steps, features = spec.input_shape
    return nn.Sequential(nn.Linear(features, 3), nn.Tanh(), nn.Flatten(), nn.Linear(3 * steps, spec.num_outputs))


@pytest.mark.parametrize(("by", "data"), [(with_one_activation, "iris"), (over_windows, "sequence")])
def test_a_layer_may_be_used_twice_or_along_a_window(
    by: Callable[[DataSpec], nn.Module], data: str, tmp_path: Path
) -> None:
    several = with_plugin(Built(by), f"data={data}")
    with quiet_libraries():
        assert check.objection(Group(several)) in (None, "faster so")
    check_that_it_equals_single_fits(several, tmp_path)


def test_a_dropout_layer_that_is_used_twice_is_not_vectorised() -> None:
    with quiet_libraries():
        found = check.objection(Group(with_plugin(Built(with_one_dropout))))
    assert found is not None
    assert "random" in found


def test_the_check_compares_a_member_whose_settings_have_other_zeros() -> None:
    rates = ("optimizer.momentum=0", "optimizer.momentum=0.5", "optimizer.momentum=0")
    several = members(*IRIS, "optimizer=sgd", vary=rates)
    assert check._unlike(several) == [several[0], several[2], several[1]]


def test_the_check_changes_neither_the_members_nor_the_fit(tmp_path: Path) -> None:
    several = members(*IRIS, "model.dropout=0.2", vary=SEEDS)
    twins = twins_of(several)
    group = Group(several)
    with quiet_libraries():
        assert check.objection(group) is None
    for member, twin in zip(several, twins, strict=True):
        for name, value in twin.network.state_dict().items():
            assert torch.equal(member.network.state_dict()[name], value)
    group.fit()
    Group(twins).fit()
    for member, twin in zip(several, twins, strict=True):
        for name, value in twin.network.state_dict().items():
            assert torch.equal(member.network.state_dict()[name], value)


def test_two_fits_are_repeated_in_full_on_request() -> None:
    several = members(*IRIS, vary=SEEDS)
    repeated = check.Repeated(several)
    with quiet_libraries():
        said = repeated.compared(Group(several).fit())
    found = re.fullmatch(r"Checked: weights differ by at most (\S+) from those of single fits, losses by (\S+)", said)
    assert found is not None
    assert 0 <= float(found[1]) < 1e-5
    assert 0 <= float(found[2]) < 1e-5


def test_what_differs_in_a_full_repetition_is_said() -> None:
    several = members(*IRIS, vary=SEEDS)
    repeated = check.Repeated(several)
    with quiet_libraries():
        histories = Group(several).fit(lambda number, row: number == 0 and row["epoch"] == 4)
        said = repeated.compared(histories)
        # The rows of the pruned member are compared; its twin trains on.
        assert re.fullmatch(r"Checked: weights differ by at most \S+ from those of single fits, losses by \S+", said)
        diverged = [TrainingError("train_loss is nan"), *histories[1:]]
        assert repeated.compared(diverged) == "Checked: a fit diverges in the group only"
        short = [histories[0], histories[1], replace(histories[2], rows=histories[2].rows[:3])]
        assert repeated.compared(short) == "Checked: a fit has 3 epochs in the group and 12 by itself"


OBSTACLES = {
    "optimizer=muon": "optimizer Muon",
    "schedule=one_cycle": "schedule one_cycle",
    "schedule=plateau": "schedule plateau",
    "trainer.torch_compile=true": "trainer.torch_compile",
    "trainer.precision=bf16-mixed": "trainer.precision",
}


@pytest.mark.parametrize(("word", "reason"), OBSTACLES.items())
def test_an_obstacle_is_named(word: str, reason: str) -> None:
    (member,) = members(*IRIS, vary=(word,))
    assert obstacle(member) == reason


def test_a_recurrent_layer_of_torch_is_an_obstacle() -> None:
    (member,) = members("data=sequence", "model=lstm", vary=("seed=1",))
    assert obstacle(member) == "nn.LSTM"


def test_other_random_layers_are_obstacles() -> None:
    (member,) = members(*IRIS, vary=("seed=1",))
    member.module.network = nn.Sequential(nn.AlphaDropout(0.1), *member.module.network)
    assert obstacle(member) == "nn.AlphaDropout"


@pytest.mark.parametrize(
    "word", ["model.hidden=[8]", "trainer.batch_size=8", "loss=categorical_crossentropy", "data=wine"]
)
def test_fits_of_other_shapes_or_settings_are_another_kind(word: str) -> None:
    first, other = members(*IRIS, vary=("seed=1", word))
    assert (kind_of(first) == kind_of(other)) == (word.startswith("loss"))


def test_the_start_of_adagrad_is_one_for_a_group() -> None:
    first, other = members(*IRIS, "optimizer=adagrad", vary=("seed=1", "optimizer.initial_accumulator_value=0.1"))
    assert kind_of(first) != kind_of(other)


def test_fits_with_unequal_numbers_of_steps_are_different_kinds() -> None:
    found = members("data=diabetes", "cv.folds=5", "trainer.batch_size=53", vary=FOLDS)
    sizes = [len(member.data.train) for member in found]
    assert sorted(set(sizes)) == [264, 265]  # 5 steps each; with 44 rows a step, 6 and 7
    assert len({kind_of(member) for member in found}) == 1
    found = members("data=diabetes", "cv.folds=5", "trainer.batch_size=44", vary=FOLDS)
    assert len({kind_of(member) for member in found}) == 2


def test_the_check_compares_the_members_with_the_fewest_and_the_most_rows() -> None:
    found = members("data=diabetes", "cv.folds=5", vary=[FOLDS[number] for number in (0, 4, 1)])
    sizes = [len(member.data.train) for member in found]
    assert sizes[0] == sizes[2] != sizes[1]
    assert {len(member.data.train) for member in check._unlike(found)} == set(sizes)


ONE = functools.cache(lambda: members(*IRIS, vary=("seed=1",))[0])
"""A member whose data and network do not matter."""


@given(
    scores=st.lists(st.one_of(st.floats(-2, 2, width=32), st.just(math.nan)), min_size=1, max_size=12),
    patience=st.integers(1, 4),
    min_delta=st.sampled_from([0.0, 0.25, 1.0]),
    mode=st.sampled_from(["min", "max"]),
)
@settings(max_examples=60, deadline=None)
def test_stopping_follows_the_callbacks_of_lightning(
    scores: list[float], patience: int, min_delta: float, mode: str
) -> None:
    from pytorch_lightning.callbacks import EarlyStopping

    member = ONE()
    monitor = "val_loss" if mode == "min" else "val_accuracy"
    config = replace(member.config, monitor=monitor, patience=patience, min_delta=min_delta)
    ours = Stopping(replace(member, config=config), 1)
    theirs = EarlyStopping(monitor, mode=mode, patience=patience, min_delta=min_delta, check_finite=False)
    best, saved = None, None
    for epoch, score in enumerate(scores, start=1):
        better, stops = ours.update([0], [{monitor: score}], epoch)
        expected, _ = theirs._evaluate_stopping_criteria(torch.tensor(score))
        assert bool(stops[0]) == bool(expected)
        # As ModelCheckpoint(save_top_k=1), for which NaN is the worst score.
        rank = math.inf if math.isnan(score) else score if mode == "min" else -score
        is_better = best is None or rank < best
        best, saved = (rank, epoch) if is_better else (best, saved)
        assert bool(better[0]) == is_better
        assert ours.best_epoch[0] == saved


@pytest.mark.parametrize("name", ["adagrad", "adam"])
def test_an_optimizer_that_forgets_its_steps_takes_the_first_one_again(name: str) -> None:
    # Some versions of torch give Adagrad its state in the constructor, others in the first step.
    weights, gradients = torch.ones(2, 3), torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    optimizer = StackedOptimizer(weights, [OPTIMIZERS[name](), OPTIMIZERS[name]()])
    moved = []
    for _ in range(2):
        weights.fill_(1.0)
        optimizer.step(gradients.clone())
        moved.append(weights.clone())
        optimizer.step(gradients.clone())
        optimizer.forget()
    assert torch.equal(*moved)
    assert not torch.equal(moved[0], torch.ones(2, 3))
