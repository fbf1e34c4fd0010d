"""Fits on a GPU: the rows stay on it, the results are those of a CPU, and a run says which GPU it had.

Elsewhere these tests are skipped. On a machine with a GPU the other tests of fits use it, too: ``trainer.accelerator``
is ``auto``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch

from lifecycle.config.compose import compose
from lifecycle.config.resolve import resolve
from lifecycle.fit import trainer
from lifecycle.fit.history import History
from lifecycle.optimizers import OPTIMIZERS
from lifecycle.runs import pipeline
from lifecycle.runtime import process_state
from tests.conftest import Command

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch can use")

DIGITS = ("data=digits", "model=cnn", "model.dropout=0.2", "trainer.max_epochs=3")
BALANCED = ("data=iris", "trainer.class_balanced=true", "trainer.gradient_clip_val=0.5", "trainer.max_epochs=3")


def fitted(folder: Path, *words: str) -> tuple[History, dict[str, Any]]:
    """Return the history and the weights of a fit."""
    job = resolve(compose([*words, "verbose=0"]))
    with process_state.preserved():
        prepared = pipeline.prepare(job)
        history = trainer.fit(prepared.module, prepared.data, job.trainer, job.seed, folder)
    return history, prepared.network.state_dict()


def scores_of(history: History) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "epoch_seconds"} for row in history.rows]


@pytest.mark.parametrize("words", [DIGITS, BALANCED], ids=["images", "a table"])
def test_rows_that_stay_on_the_gpu_give_the_bits_of_rows_that_are_copied_to_it(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = fitted(tmp_path / "kept", *words, "trainer.accelerator=gpu")
    monkeypatch.setattr(trainer, "SHARE_FOR_ROWS", 0.0)
    copied = fitted(tmp_path / "copied", *words, "trainer.accelerator=gpu")
    assert scores_of(kept[0]) == scores_of(copied[0])
    assert all(torch.equal(value, copied[1][name]) for name, value in kept[1].items())


@pytest.mark.parametrize(
    "words", [("data=iris",), ("data=digits", "model=cnn"), ("data=airline_passengers", "model=lstm")]
)
def test_a_gpu_gives_the_scores_of_a_cpu(words: tuple[str, ...], tmp_path: Path) -> None:
    found = [
        scores_of(fitted(tmp_path / device, *words, "trainer.max_epochs=5", f"trainer.accelerator={device}")[0])
        for device in ("cpu", "gpu")
    ]
    for ours, theirs in zip(*found, strict=True):
        # torch convolves with TensorFloat32 on a GPU, which has 10 bits of a number instead of 23.
        assert ours == pytest.approx(theirs, rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"sparse_adam"}))
def test_each_optimizer_takes_steps_on_a_gpu(name: str, tmp_path: Path) -> None:
    words = ("data=iris", f"optimizer={name}", "trainer.max_epochs=1", "trainer.accelerator=gpu")
    assert len(fitted(tmp_path, *words)[0].rows) == 1


def test_a_run_says_which_gpu_it_had(job: Command, runs: Callable[[], list[mlflow.entities.Run]]) -> None:
    ended = job("data=iris", "trainer.accelerator=gpu", "trainer.max_epochs=1", "verbose=1")
    assert f"Device    {torch.cuda.get_device_name(0)}\n" in ended.out
    assert torch.cuda.get_device_name(0) in runs()[0].data.tags["hardware.gpu"]
    assert "Device" not in job("data=iris", "trainer.accelerator=cpu", "trainer.max_epochs=1", "verbose=1").out


def test_too_little_memory_of_a_gpu_is_one_sentence(
    job: Command, runs: Callable[[], list[mlflow.entities.Run]]
) -> None:
    words = ("data=digits", "trainer.batch_size=1000", "trainer.max_epochs=1", "trainer.accelerator=gpu")
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.02)
    try:
        ended = job(*words, "model.hidden=[1000000]")
        after = job(*words, "model.hidden=[8]")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert (ended.code, after.code) == (1, 0)
    assert "the GPU's memory does not suffice, " in ended.err
    assert ended.err.endswith("were requested. Lower trainer.batch_size, or use a smaller network.\n")
    assert [run.info.status for run in runs()] == ["FAILED", "FINISHED"]
