"""Batches: the order is a function of seed and epoch; each row occurs once; processes share a batch without overlap."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.data.batches import Batches, Truth
from lifecycle.runtime.seeds import epoch_seed


def rows(total: int) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.arange(total, dtype=torch.float32).reshape(-1, 1)
    return inputs, 10 * inputs


def passed(
    total: int, batch_size: int, seed: int | None = None, epoch: int = 0, balanced: bool = False
) -> list[list[int]]:
    """Return the rows of each batch of one pass; inputs, targets and weights are checked on the way."""
    batches = Batches(*rows(total), batch_size, seed, class_balanced=balanced)
    batches.set_epoch(epoch)
    found = []
    for inputs, targets, weight, *_ in batches:
        assert torch.equal(targets, 10 * inputs)
        assert weight == 1.0
        found.append([int(value) for value in inputs[:, 0]])
    assert len(batches) == len(found)
    return found


def flat(found: list[list[int]]) -> list[int]:
    return [row for batch in found for row in batch]


SIZES = st.integers(1, 60)
SEEDS = st.integers(0, 2**32 - 1)


@given(SIZES, SIZES, st.none() | SEEDS, st.integers(0, 10_000))
def test_each_row_comes_exactly_once_an_epoch(total: int, batch_size: int, seed: int | None, epoch: int) -> None:
    found = passed(total, batch_size, seed, epoch)
    assert sorted(flat(found)) == list(range(total))
    assert [len(batch) for batch in found[:-1]] == [batch_size] * (len(found) - 1)
    assert 1 <= len(found[-1]) <= batch_size


def test_the_last_batch_is_what_is_left() -> None:
    assert passed(7, 3) == [[0, 1, 2], [3, 4, 5], [6]]
    assert passed(6, 3) == [[0, 1, 2], [3, 4, 5]]
    assert passed(2, 5) == [[0, 1]]


@given(SIZES, SIZES, SEEDS, st.integers(0, 1000))
def test_the_order_is_a_function_of_seed_and_epoch(total: int, batch_size: int, seed: int, epoch: int) -> None:
    first = passed(total, batch_size, seed, epoch)
    torch.rand(3)  # the global generator has no part in it
    assert passed(total, batch_size, seed, epoch) == first


def test_resuming_at_an_epoch_gives_its_order() -> None:
    batches, orders = Batches(*rows(20), 4, 1), []
    for epoch in range(3):
        batches.set_epoch(epoch)
        orders.append([int(value) for inputs, *_ in batches for value in inputs[:, 0]])
    assert orders[2] == flat(passed(20, 4, 1, epoch=2))


def test_each_seed_and_each_epoch_has_an_order_of_its_own() -> None:
    orders = {tuple(flat(passed(50, 8, seed, epoch))) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    assert tuple(range(50)) not in orders


def test_the_order_does_not_depend_on_the_size_of_the_batches() -> None:
    assert flat(passed(50, 8, 1)) == flat(passed(50, 50, 1))


def test_streams_epochs_and_seeds_are_unrelated() -> None:
    seeds = {epoch_seed(seed, epoch, stream) for seed in range(8) for epoch in range(8) for stream in range(3)}
    assert len(seeds) == 8 * 8 * 3
    assert epoch_seed(3, 4, 1) == epoch_seed(3, 4, 1)


@given(SIZES, SIZES, SEEDS, st.integers(0, 1000))
def test_a_class_balanced_pass_has_as_many_rows_and_is_a_function_of_seed_and_epoch(
    total: int, batch_size: int, seed: int, epoch: int
) -> None:
    targets = (torch.arange(total) % 7 == 0).long()

    def drawn() -> list[int]:
        batches = Batches(rows(total)[0], targets, batch_size, seed, class_balanced=True)
        batches.set_epoch(epoch)
        passed = [batch[:2] for batch in batches]
        assert all(torch.equal(codes, (inputs[:, 0] % 7 == 0).long()) for inputs, codes in passed)
        return [int(value) for inputs, _ in passed for value in inputs[:, 0]]

    first = drawn()
    assert len(first) == total
    assert set(first) <= set(range(total))
    torch.rand(3)  # the global generator has no part in it
    assert drawn() == first


def test_classes_are_drawn_equally_often_and_the_rows_of_each_too() -> None:
    targets = torch.tensor([[0.0]] * 90 + [[1.0]] * 10)  # as a binary task has them
    batches = Batches(rows(100)[0], targets, 100, 3, class_balanced=True)
    times, orders = torch.zeros(100), set()
    for epoch in range(400):
        batches.set_epoch(epoch)
        ((inputs, *_),) = batches
        order = inputs[:, 0].long()
        orders.add(tuple(order.tolist()))
        times += torch.bincount(order, minlength=100)
    assert len(orders) == 400
    # Of 40,000 draws each class has a half, each row of the one 1/180 and of the other 1/20: within 5 deviations.
    for part, chance in ((times[:90].sum(), 1 / 2), (times[:90], 1 / 180), (times[90:], 1 / 20)):
        away = (part - 40_000 * chance).abs().max()
        assert away < 5 * (40_000 * chance * (1 - chance)) ** 0.5


def test_a_class_without_rows_is_not_drawn() -> None:
    batches = Batches(rows(4)[0], torch.tensor([0, 2, 2, 2]), 4, 3, class_balanced=True)
    ((_, targets, *_),) = batches
    assert set(targets.tolist()) <= {0, 2}


SHARE = """
import json, sys
import torch
from lifecycle.data.batches import Batches
rank, out, store = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
found = []
for total, batch_size, seed, balanced in json.loads(sys.argv[4]):
    inputs = torch.arange(total, dtype=torch.float64).reshape(-1, 1)
    batches, passed = Batches(inputs, inputs ** 2, batch_size, seed, class_balanced=balanced), []
    for own, targets, weight, *_ in batches:
        mean = weight * torch.nn.functional.mse_loss(own, targets)
        torch.distributed.all_reduce(mean)
        passed.append({"rows": own[:, 0].tolist(), "weight": weight, "mean": float(mean) / 2})
    found.append(passed)
torch.distributed.destroy_process_group()
with open(out, "w") as stream:
    json.dump(found, stream)
"""
CASES = [
    (10, 4, None, False),
    (10, 4, 7, False),
    (9, 4, 3, False),
    (1, 4, None, False),
    (7, 1, 5, False),
    (12, 12, 0, False),
    (9, 4, 3, True),
]
"""Rows, rows a batch, seed, class-balanced; (9, 4) and (7, 1) end in a batch of one row, less than the processes."""


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What two processes of a real gloo group pass over, for each case."""
    folder = tmp_path_factory.mktemp("gloo")
    common = [str(folder / "store"), json.dumps(CASES)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SHARE, str(rank), str(folder / f"{rank}.json"), *common],
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in started:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
    finally:
        for process in started:
            process.kill()
            process.communicate()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("case", range(len(CASES)), ids=str)
def test_the_shares_of_two_processes_are_disjoint_and_make_up_each_batch(shares: list[Any], case: int) -> None:
    total, batch_size, seed, balanced = CASES[case]
    whole = passed(total, batch_size, seed, balanced=balanced)
    assert len(shares[0][case]) == len(shares[1][case]) == len(whole)
    for own, other, batch in zip(shares[0][case], shares[1][case], whole, strict=True):
        counted = [share["rows"] if share["weight"] else [] for share in (own, other)]
        assert sorted(counted[0] + counted[1]) == sorted(batch)
        assert abs(len(counted[0]) - len(counted[1])) <= 1
        assert own["rows"]
        assert other["rows"]  # a process without rows keeps in step, at no weight


@pytest.mark.parametrize("case", range(len(CASES)), ids=str)
def test_the_weighted_mean_of_the_shares_is_the_mean_of_the_batch(shares: list[Any], case: int) -> None:
    total, batch_size, seed, balanced = CASES[case]
    whole = passed(total, batch_size, seed, balanced=balanced)
    for own, other, batch in zip(shares[0][case], shares[1][case], whole, strict=True):
        by_hand = sum((row - row**2) ** 2 for row in batch) / len(batch)
        assert own["mean"] == other["mean"] == pytest.approx(by_hand, rel=1e-12)


def test_rows_can_be_kept_on_a_device_and_their_order_and_truth_stay_on_the_cpu() -> None:
    truth = Truth(torch.arange(10, dtype=torch.float64).unsqueeze(1))
    batches = Batches(torch.rand(10, 2), torch.arange(10), 4, 1, truth, row_weights=torch.rand(10))
    assert batches.num_bytes == 10 * 2 * 4 + 10 * 8 + 10 * 4
    before, order = batches.inputs, batches.order()
    # The device "meta" has shapes and no values; a machine without a GPU has it, too.
    with batches.kept_on(torch.device("meta")):
        inputs, targets, _, own, factors = next(iter(batches))
        assert factors is not None
        assert {value.device.type for value in (inputs, targets, factors)} == {"meta"}
        assert own is not None
        assert own.values is not None
        assert order is not None
        assert own.values.flatten().tolist() == order[:4].tolist() == batches.order()[:4].tolist()  # type: ignore[index]
    assert batches.inputs is before
    assert batches.targets.device.type == "cpu"
