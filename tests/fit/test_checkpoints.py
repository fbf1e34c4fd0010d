"""Checkpoints: whole or not at all, checked by digest, and unable to run code."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path

import pytest
import torch

from lifecycle import layout
from lifecycle.errors import SavedModelError
from lifecycle.fit import checkpoints
from lifecycle.runtime.files.digests import sha256


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "last.ckpt"
    checkpoints.CheckedCheckpointIO().save_checkpoint({"epoch": 3, "weights": torch.arange(5.0)}, path)
    return path


def test_a_checkpoint_is_read_as_it_was_written(written: Path) -> None:
    loaded = checkpoints.read(written)
    assert loaded["epoch"] == 3
    assert torch.equal(loaded["weights"], torch.arange(5.0))


def test_the_digest_file_has_the_format_of_sha256sum(written: Path) -> None:
    checked = subprocess.run(["sha256sum", "-c", f"{written.name}.sha256"], cwd=written.parent, check=False)
    assert checked.returncode == 0


@pytest.mark.fault(7)
def test_a_flipped_byte_is_refused(written: Path) -> None:
    content = bytearray(written.read_bytes())
    content[len(content) // 2] ^= 1
    written.write_bytes(content)
    with pytest.raises(SavedModelError, match=r"last.ckpt is not the file that was written: its sha256 differs"):
        checkpoints.read(written)


@pytest.mark.fault(7)
def test_a_truncated_file_is_refused(written: Path) -> None:
    written.write_bytes(written.read_bytes()[:-10])
    with pytest.raises(SavedModelError, match="its sha256 differs"):
        checkpoints.read(written)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SavedModelError, match=r"nothing.ckpt or its nothing.ckpt.sha256 is missing"):
        checkpoints.read(tmp_path / "nothing.ckpt")


@pytest.mark.parametrize("renamed", [False, True], ids=["before the rename", "after the rename"])
@pytest.mark.fault(5)
def test_a_kill_between_digest_and_rename_leaves_a_file_that_loads(written: Path, renamed: bool) -> None:
    digests = written.with_name("last.ckpt.sha256")
    old, old_digest = written.read_bytes(), digests.read_text()
    checkpoints.CheckedCheckpointIO().save_checkpoint({"epoch": 4}, written)
    digests.write_text(digests.read_text() + old_digest)  # as it is until the rename is done
    if not renamed:
        written.write_bytes(old)
    assert checkpoints.read(written)["epoch"] == (4 if renamed else 3)


@pytest.mark.fault(5)
def test_a_failed_save_leaves_only_the_old_file(written: Path) -> None:
    with pytest.raises(AttributeError, match="local"):
        checkpoints.CheckedCheckpointIO().save_checkpoint({"not plain": lambda: None}, written)
    assert checkpoints.read(written)["epoch"] == 3
    assert sorted(file.name for file in written.parent.iterdir()) == ["last.ckpt", "last.ckpt.sha256"]


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.canary,)


def test_a_checkpoint_with_code_in_it_runs_none(tmp_path: Path) -> None:
    path, canary = tmp_path / "evil.ckpt", tmp_path / "canary"
    torch.save({"epoch": Evil(canary)}, path)
    path.with_name("evil.ckpt.sha256").write_text(f"{sha256(path)}  evil.ckpt\n")
    with pytest.raises(SavedModelError, match=r"evil.ckpt holds more than tensors and plain values. Do not use it."):
        checkpoints.read(path)
    assert not canary.exists()
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def best(epoch: int) -> dict[str, object]:
    return {"epoch": epoch, "state_dict": {"weight": torch.full((3,), float(epoch))}}


def test_the_best_weights_wait_in_memory_and_are_written_before_a_last_that_knows_of_them(tmp_path: Path) -> None:
    written_by, path = checkpoints.CheckedCheckpointIO(tmp_path), tmp_path / layout.BEST_CHECKPOINT
    written_by.save_checkpoint(best(1), path)
    assert checkpoints.read(path)["epoch"] == 1  # the first at once
    later = best(2)
    written_by.save_checkpoint(later, path)
    assert checkpoints.read(path)["epoch"] == 1
    later["state_dict"]["weight"].zero_()  # type: ignore[index]  # training continues, and changes the weights in place
    written_by.save_checkpoint({"epoch": 3}, tmp_path / layout.LAST_CHECKPOINT)
    found = checkpoints.read(path)
    assert found["epoch"] == 2
    assert torch.equal(found["state_dict"]["weight"], torch.full((3,), 2.0))


def test_the_best_weights_are_written_when_it_is_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    written_by, path = checkpoints.CheckedCheckpointIO(tmp_path), tmp_path / layout.BEST_CHECKPOINT
    for epoch in range(3):
        written_by.save_checkpoint(best(epoch), path)
        assert checkpoints.read(path)["epoch"] == epoch


def test_best_weights_that_are_no_longer_wanted_are_not_written(tmp_path: Path) -> None:
    written_by, path = checkpoints.CheckedCheckpointIO(tmp_path), tmp_path / layout.BEST_CHECKPOINT
    for epoch in range(2):
        written_by.save_checkpoint(best(epoch), path)
    written_by.remove_checkpoint(path)
    written_by.flush()
    assert list(tmp_path.iterdir()) == []
