"""What a prompt, a terminal and an import show: bars, cards, errors, loggers in addition to MLflow."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import lifecycle
from lifecycle.api.model import Model
from lifecycle.config.schema import TrackingConfig
from lifecycle.console.progress import EpochBar
from lifecycle.errors import RequestError
from tests.conftest import Command

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.where(X[:, 0] > 0, "yes", "no")


@pytest.mark.parametrize("stopped", [2, 5])
def test_the_bar_of_a_terminal_starts_at_0_and_ends_full(stopped: int) -> None:
    screen = io.StringIO()
    bar: Any = EpochBar(Console(file=screen, force_terminal=True, width=100), 5)
    trainer: Any = SimpleNamespace(is_global_zero=True, current_epoch=0, num_training_batches=4)
    bar.on_train_start(trainer, None)
    assert "0/5" in screen.getvalue()
    for epoch in range(1, stopped + 1):
        trainer.current_epoch = epoch
        bar.show({"epoch": float(epoch), "train_loss": 0.5})
    screen.truncate(0)
    bar.on_train_end(trainer, None)
    assert f"{stopped}/{stopped}" in screen.getvalue()
    assert "train_loss 0.5000" in screen.getvalue()


def test_the_card_of_a_run_is_escaped(job: Command) -> None:
    assert callable(job)
    result = lifecycle.run(["data=iris", "trainer.max_epochs=1", "verbose=0", "tracking.figures=false"])
    assert repr(result) == (
        f"<run {result.run_id[:8]}: mlp on iris, 1 epoch, weights of epoch 1; "
        f"test_loss {result.scores['test_loss']:.4f}  test_accuracy {result.scores['test_accuracy']:.4f}>"
    )
    evil = "<script>alert(1)</script>"
    other = dataclasses.replace(result, model=dataclasses.replace(result.model, data_name=evil), run_id="a&b")
    card = other._repr_html_()
    assert "<script" not in card
    assert "&lt;script&gt;" in card
    assert "run a&amp;b;" in card


def test_an_error_has_no_chain_of_the_same_message() -> None:
    with pytest.raises(RequestError) as caught:
        Model("mlp", hidden=[4]).fit(X, Y, epochs=0)
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.count("RequestError:") == 1
    assert "direct cause" not in shown
    assert "During handling" not in shown
    assert caught.value._render_traceback_() == [f"RequestError: {caught.value}"]


BROKEN = """
import sys
from importlib.abc import MetaPathFinder

class Broken(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "{name}":
            raise {error}

sys.meta_path.insert(0, Broken())
from lifecycle import Model
"""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ('AttributeError("module torch has no attribute x")', "ImportError: lifecycle.Model cannot be imported: Attr"),
        ('OSError("libcudart.so is missing")', "OSError: libcudart.so is missing"),
        ('ModuleNotFoundError("no skops", name="skops")', "ModuleNotFoundError: no skops"),
    ],
)
def test_a_lazy_import_that_fails_raises_its_own_error(error: str, message: str, tmp_path: Path) -> None:
    code = BROKEN.format(name="skops", error=error)
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert message in ended.stderr
    assert "cannot import name" not in ended.stderr


def test_a_run_is_recorded_by_other_loggers_too(job: Command, tmp_path: Path) -> None:
    assert callable(job)
    model = Model("mlp", hidden=[4])
    tracking = TrackingConfig(also=["tensorboard", "csv"], figures=False)
    history = model.fit(X, Y, epochs=3, validation_split=0.2, track=True, tracking=tracking, verbose=0)
    (folder,) = (tmp_path / "mlruns" / "artifacts").glob(f"*/{model.run_id}/artifacts")
    table = pd.read_csv(folder / "csv" / "metrics.csv")
    assert table["step"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(table["val_loss"], history["val_loss"])
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    points = events.Scalars("train_loss")
    assert [point.step for point in points] == [1, 2, 3]
    np.testing.assert_allclose([point.value for point in points], history["loss"], rtol=1e-6)
    assert "trainer.max_epochs: 3" in (folder / "csv" / "hparams.yaml").read_text()


def test_the_command_takes_them_and_refuses_others(
    job: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = job("data=iris", "trainer.max_epochs=1", "tracking.also=[csv]")
    assert ended.code == 0
    assert len(list(tmp_path.rglob("metrics.csv"))) == 1
    ended = job("data=iris", "tracking.also=[wandb]")
    assert (ended.code, "tracking.also must hold tensorboard or csv, got [wandb]" in ended.err) == (2, True)
    monkeypatch.setattr("lifecycle.config.schema.find_spec", lambda name: None)
    ended = job("data=iris", "tracking.also=[tensorboard]")
    assert "tracking.also=[tensorboard] needs the package tensorboard. Install it: pip install" in ended.err
