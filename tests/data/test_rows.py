"""Rows on disk: equal to rows in memory, each read once an epoch, in an order that depends only on the generator."""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.data.batches import Batches
from lifecycle.data.large import scratch
from lifecycle.data.large.disk_rows import DiskRows
from lifecycle.data.large.scratch import Scratch
from lifecycle.data.rows import arranged, shuffled
from lifecycle.errors import RequestError
from lifecycle.runtime.memory import free_memory


def on_disk(values: torch.Tensor, memory: int) -> DiskRows:
    """Return rows in a scratch file, after some others."""
    file = Scratch()
    file.append(np.full(7, np.nan, dtype=np.float32))
    return DiskRows(file, file.append(values.numpy()), tuple(values.shape), memory)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(rows: int, *shape: int) -> torch.Tensor:
    return torch.arange(rows * int(np.prod(shape)), dtype=torch.float32).reshape(rows, *shape)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(1, 300), st.sampled_from([(1,), (3,), (2, 2)]), st.sampled_from([16, 100, 3000, 10**6]))
def test_any_rows_are_those_of_the_array(data: st.DataObject, rows: int, shape: tuple[int, ...], memory: int) -> None:
    values = numbered(rows, *shape)
    disk = on_disk(values, memory)
    assert (len(disk), disk.shape) == (rows, values.shape)
    for _ in range(3):
        some = torch.tensor(data.draw(st.lists(st.integers(0, rows - 1), max_size=50)), dtype=torch.int64)
        assert torch.equal(disk[some], values[some])
        start, stop = data.draw(st.tuples(st.integers(0, rows), st.integers(0, rows + 5)))
        assert torch.equal(disk[start:stop], values[start:stop])
    assert torch.equal(disk[::3], values[::3])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 500), st.sampled_from([50, 400, 5000, 10**6]), st.integers(0, 2**32 - 1))
def test_an_order_has_every_row_once_and_is_a_function_of_the_generator(rows: int, memory: int, seed: int) -> None:
    disk = on_disk(numbered(rows, 2), memory)
    order = shuffled(disk, generator(seed))
    assert sorted(order.tolist()) == list(range(rows))
    assert torch.equal(order, shuffled(disk, generator(seed)))
    windows = [set((part // disk.block).tolist()) for part in torch.split(order, disk.window * disk.block)]
    assert sum(map(len, windows)) <= -(-rows // disk.block) + len(windows)  # blocks are not torn between windows


class Counted(Scratch):
    """A scratch file that counts what is read from it."""

    read_bytes = 0

    def read(self, values: np.ndarray[Any, Any], place: int) -> None:
        """Read, and count."""
        self.read_bytes += values.nbytes
        super().read(values, place)


@pytest.mark.parametrize("batch_size", [1, 7, 32, 999])
@pytest.mark.parametrize("memory", [2000, 10_000, 10**6])
def test_an_epoch_reads_each_row_once_within_its_memory(batch_size: int, memory: int) -> None:
    values = numbered(1000, 3)
    file = Counted()
    file.append(values.numpy())
    disk = DiskRows(file, 0, (1000, 3), memory)
    seen = torch.cat([batch[0] for batch in Batches(disk, torch.zeros(1000, 1), batch_size, shuffle_seed=1)])
    assert torch.equal(seen.sort(dim=0).values, values)
    assert file.read_bytes == values.numpy().nbytes
    assert disk._rows.nbytes <= memory
    assert disk.window_rows == len(disk._rows[:1000])


def test_rows_from_all_over_the_file_are_shuffled_together() -> None:
    disk = on_disk(numbered(10_000, 4), 20_000)  # an eighth of the rows in memory
    first = shuffled(disk, generator(0))[: disk.window_rows]
    assert disk.window_rows == pytest.approx(1250, rel=0.1)
    counts = torch.histc(first.float(), bins=4, min=0, max=10_000)
    assert counts.min() > 0  # not the first rows alone
    steps = (first[1:] - first[:-1]).abs()
    assert (steps <= 1).float().mean() < 0.05  # and neighbours are torn apart


def test_another_epoch_has_another_order_and_the_same_epoch_the_same() -> None:
    batches = Batches(on_disk(numbered(300, 2), 500), torch.zeros(300, 1), 32, shuffle_seed=3)
    passes = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        passes.append(torch.cat([batch[0] for batch in batches])[:, 0])
    assert torch.equal(passes[0], passes[2])
    assert not torch.equal(passes[0], passes[1])


def test_rows_that_were_drawn_are_all_there_in_the_order_of_the_windows() -> None:
    disk = on_disk(numbered(600, 2), 800)
    drawn = torch.randint(600, (600,), generator=generator(0))
    order = arranged(disk, drawn, generator(1))
    assert sorted(order.tolist()) == sorted(drawn.tolist())
    blocks = order // disk.block
    changes = int((blocks[1:] != blocks[:-1]).sum())
    assert changes < len(order)
    loads = len(set(blocks.tolist()))
    file = Counted()
    file.append(numbered(600, 2).numpy())
    again = DiskRows(file, 0, (600, 2), 800)
    for start in range(0, 600, 50):
        assert torch.equal(again[order[start : start + 50]], numbered(600, 2)[order[start : start + 50]])
    assert file.read_bytes <= 1.5 * loads * disk.block * 8


def test_in_memory_the_order_is_that_of_torch() -> None:
    assert torch.equal(shuffled(torch.zeros(50, 2), generator(4)), torch.randperm(50, generator=generator(4)))
    drawn = torch.tensor([3, 1, 1])
    assert arranged(torch.zeros(50, 2), drawn, generator(4)) is drawn


def test_a_scratch_file_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = Scratch()
    file.append(np.zeros(1000))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = Scratch()
    file.append(np.zeros(1000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(RequestError) as caught:
            file.append(np.zeros(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value) == (
        f"data.memory_gb needs rows on disk, and {tmp_path} failed after 8e-06 GB of them: File too large. Set TMPDIR "
        "to a folder with more room, or raise data.memory_gb."
    )


def test_a_folder_without_room_is_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RequestError) as caught:
        scratch.check_room(10**21)
    message = str(caught.value)
    assert message.startswith(f"data.memory_gb needs 1e+12 GB of rows on disk, and {tmp_path} has ")
    assert message.endswith(" GB free. Set TMPDIR to a folder with more room, or raise data.memory_gb.")
    scratch.check_room(1)


def test_a_scratch_file_that_ends_too_early_is_no_silence() -> None:
    file = Scratch()
    file.append(np.zeros(10))
    with pytest.raises(OSError, match="40 bytes too early"):
        file.read(np.zeros(10), 40)


def test_the_memory_that_is_free_is_some_and_no_more_than_there_is() -> None:
    free = free_memory()
    assert free is not None
    assert 0 < free <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
