"""Options of compile and fit in whole runs: what MLflow has of them, and what the saved model makes of them."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import Command, artifacts, history

Runs = Callable[[], list[mlflow.entities.Run]]


def test_the_rate_of_each_epoch_and_the_schedule_as_worked_out_are_in_mlflow(
    job: Command, runs: Runs, tmp_path: Path
) -> None:
    ended = job("schedule=cosine", "schedule.warmup_epochs=2", "trainer.max_epochs=6", "optimizer.lr=0.03", "verbose=2")
    assert ended.code == 0
    assert "optimizer adam (lr 0.03), schedule cosine, metrics accuracy" in ended.out
    (run,) = runs()
    wanted = [0.01, 0.02, *(0.015 * (1 + np.cos(np.pi * epoch / 4)) for epoch in range(4))]
    assert [rate for _, rate in history(tmp_path, run, "lr")] == pytest.approx(wanted)
    assert pd.read_csv(artifacts(run) / "history.csv")["lr"].tolist() == pytest.approx(wanted)
    params = run.data.params
    assert {key: params[key] for key in params if key.startswith("schedule")} == {
        "schedule": "cosine",
        "schedule.warmup_epochs": "2",
        "schedule.t_max": "4",
        "schedule.eta_min": "0.0",
    }
    assert yaml.safe_load((artifacts(run) / "config.yaml").read_text())["schedule"]["t_max"] is None  # as asked for


def test_options_of_compile_and_fit_are_parameters_of_the_run(job: Command, runs: Runs, tmp_path: Path) -> None:
    words = ["class_weights={setosa: 1, versicolor: 2, virginica: 4}", "label_smoothing=0.1", "trainer.shuffle=false"]
    words += ["trainer.gradient_clip_val=0.5", "metrics=[accuracy,CohenKappa]", "trainer.monitor=val_cohen_kappa"]
    assert job(*words, "trainer.max_epochs=2", "loss=sparse_categorical_crossentropy").code == 0
    (run,) = runs()
    params = run.data.params
    assert ast.literal_eval(params["class_weights"]) == {"setosa": 1, "versicolor": 2, "virginica": 4}
    names = ("label_smoothing", "trainer.shuffle", "trainer.gradient_clip_val", "trainer.class_balanced", "schedule")
    assert [params[name] for name in names] == ["0.1", "False", "0.5", "False", "none"]
    assert "lr" not in run.data.metrics
    assert {"val_cohen_kappa", "test_cohen_kappa"} <= set(run.data.metrics)
    (manifest,) = tmp_path.rglob("lifecycle.json")
    settings = json.loads(manifest.read_text())["compile"]
    assert settings["loss"] == "categorical_crossentropy"
    assert (settings["class_weights"], settings["label_smoothing"]) == ([1.0, 2.0, 4.0], 0.1)
    assert settings["schedule"] == {"name": "none"}


def test_a_model_of_counts_predicts_rates_in_the_run_and_from_mlflow(job: Command, runs: Runs, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    sizes = generator.uniform(0, 2, size=300)
    frame = pd.DataFrame({"size": sizes, "calls": generator.poisson(np.exp(1.0 + sizes))})
    frame.to_csv(tmp_path / "calls.csv", index=False)
    words = ["data=table", "data.path=calls.csv", "data.target=calls", "data.task=regression"]
    words += ["data.scale_target=false", "loss=poisson", "model.hidden=[]", "optimizer.lr=0.05", "metrics=[mae]"]
    assert job(*words, "trainer.max_epochs=60").code == 0
    (run,) = runs()
    expected = pd.read_csv(artifacts(run) / "predictions.csv")
    assert (expected["predicted"] > 0).all()
    rates = np.exp(1.0 + frame["size"].to_numpy()[expected["row"]])
    assert np.abs(expected["predicted"] / rates - 1).max() < 0.25
    assert run.data.metrics["test_mae"] == pytest.approx((expected["predicted"] - expected["actual"]).abs().mean())
    by_hand = expected["predicted"] - expected["actual"] * np.log(expected["predicted"])
    assert run.data.metrics["test_loss"] == pytest.approx(by_hand.mean(), rel=1e-4)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
    predicted = model.predict(frame.iloc[expected["row"]])
    np.testing.assert_allclose(predicted["predicted"], expected["predicted"], rtol=1e-6)


def test_balanced_weights_come_from_the_training_rows(job: Command, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(100) / 7, "y": ["rare" if row % 10 == 0 else "often" for row in range(100)]})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    words = ["data=table", "data.path=rows.csv", "data.target=y", "class_weights=balanced", "trainer.max_epochs=1"]
    assert job(*words, "data.test_size=0.2", "data.val_size=0.2").code == 0
    (manifest,) = tmp_path.rglob("lifecycle.json")
    weights = json.loads(manifest.read_text())["compile"]["class_weights"]
    assert weights == pytest.approx([60 / (2 * 54), 60 / (2 * 6)])  # 54 often, 6 rare


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_verbose_says_nothing_a_line_an_epoch_or_without_a_terminal_the_same(job: Command, verbose: int) -> None:
    ended = job("trainer.max_epochs=2", f"verbose={verbose}")
    lines = [line for line in ended.out.splitlines() if line.startswith("epoch ")]
    assert len(lines) == (2 if verbose else 0)
    assert bool(ended.out) == bool(verbose)
