"""Baselines against scikit-learn's dummies; naive forecasts; whether the network is better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor
from torch import nn

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.config.tasks import TASKS
from lifecycle.contract import REGRESSION
from lifecycle.data.dataset import Dataset
from lifecycle.evaluate import baselines
from lifecycle.evaluate.scoring import Evaluation, judge
from lifecycle.optimizers import Adam
from lifecycle.runtime.quiet import quiet_libraries
from tests.rows import SeriesRows, TableRows, load_rows


def table(targets: list[str] | list[float]) -> Dataset:
    features = {"a": np.arange(len(targets)) * 0.5, "b": np.arange(len(targets)) % 7 * 1.0}
    task = "regression" if isinstance(targets[0], float) else "classification"
    return load_rows(TableRows(frame=pd.DataFrame({**features, "y": targets}), task=task))


def classes(shares: dict[str, int]) -> Dataset:
    return table([name for name, count in shares.items() for _ in range(count)])


def values(rows: int = 60) -> Dataset:
    return table([float(row**2 + 1) for row in range(rows)])


def compiled(data: Dataset, weights: float = 0.0) -> CompiledModel:
    network = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(data.spec.input_shape)), data.spec.num_outputs))
    for parameter in network.parameters():
        nn.init.constant_(parameter, weights)
    names = list(TASKS[data.spec.task].metrics)
    return CompiledModel(network, data.spec, Adam(), None, names, data.preprocessing.target_scale)


def scored(data: Dataset) -> dict[str, dict[str, float]]:
    with quiet_libraries():
        module = compiled(data)
        dummies = baselines.baselines(data, module.units)
        return {dummy.name: baselines.score(module, data, dummy) for dummy in dummies}


@pytest.mark.parametrize(
    "shares", [{"a": 30, "b": 20, "c": 10}, {"a": 20, "b": 20, "c": 20}, {"no": 45, "yes": 15}, {"a": 20, "b": 40}]
)
def test_class_shares_score_as_scikit_learns_dummy_classifier(shares: dict[str, int]) -> None:
    data = classes(shares)
    dummy = DummyClassifier(strategy="prior").fit(data.train.inputs, data.train.labels)
    truth, predicted = data.scored.labels, dummy.predict(data.scored.inputs)
    probabilities = dummy.predict_proba(data.scored.inputs)
    averaged = {"average": "binary", "pos_label": "yes"} if "yes" in shares else {"average": "macro"}
    if list(shares) == ["a", "b"]:
        averaged = {"average": "binary", "pos_label": "b"}
    ((name, found),) = scored(data).items()
    assert name == "class shares"
    assert found == pytest.approx(
        {
            "loss": metrics.log_loss(truth, probabilities),
            "accuracy": metrics.accuracy_score(truth, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
            "precision": metrics.precision_score(truth, predicted, zero_division=0, **averaged),
            "recall": metrics.recall_score(truth, predicted, **averaged),
            "f1": metrics.f1_score(truth, predicted, **averaged),
            "auroc": 0.5,
        },
        rel=1e-9,
    )


def test_constants_score_as_scikit_learns_dummy_regressor() -> None:
    data, truth = values(), values().scored.labels
    found = scored(data)
    assert list(found) == ["mean", "median"]
    for strategy in ("mean", "median"):
        dummy = DummyRegressor(strategy=strategy).fit(data.train.inputs, data.train.labels)
        predicted = dummy.predict(data.scored.inputs)
        offset, scale = data.preprocessing.target_scale
        assert found[strategy] == pytest.approx(
            {
                "loss": metrics.mean_squared_error((truth - offset) / scale, (predicted - offset) / scale),
                "mse": metrics.mean_squared_error(truth, predicted),
                "rmse": metrics.root_mean_squared_error(truth, predicted),
                "mae": metrics.mean_absolute_error(truth, predicted),
                "mape": metrics.mean_absolute_percentage_error(truth, predicted),
                "r2": metrics.r2_score(truth, predicted),
            },
            rel=1e-9,
        )


def series(based: bool) -> Dataset:
    """Return a series with naive forecasts; its network learns values, or differences to the last value."""
    data = load_rows(SeriesRows(frame=pd.DataFrame({"y": [float(row % 6) + row / 10 for row in range(60)]}), window=3))
    part = data.scored
    before = part.labels - np.linspace(0.5, 1.5, len(part))
    naive = {"last value": before, "6 steps before": part.labels - 0.25, "unknown": np.full(len(part), np.nan)}
    offset, scale = data.preprocessing.target_scale
    base = torch.from_numpy(before).reshape(-1, 1) if based else None
    targets = part.targets if base is None else (torch.from_numpy(part.labels).reshape(-1, 1) - base - offset) / scale
    return replace(data, test=replace(part, naive=naive, base=base, targets=targets.float()))


@pytest.mark.parametrize("based", [False, True])
def test_naive_forecasts_are_scored_in_the_users_units_and_the_seasonal_one_comes_first(based: bool) -> None:
    data = series(based)
    found = scored(data)
    assert list(found) == ["6 steps before", "last value", "mean", "median"]
    assert found["6 steps before"]["mae"] == pytest.approx(0.25, rel=1e-9)
    assert found["last value"]["mae"] == pytest.approx(1.0, rel=1e-9)
    mean = np.abs(data.scored.labels - data.train.labels.mean()).mean()
    assert found["mean"]["mae"] == pytest.approx(mean, rel=1e-9)


def judged(data: Dataset, weights: float) -> Evaluation:
    module = compiled(data, weights)
    with torch.no_grad():
        outputs = module.network(data.scored.inputs)
    module.test_scores.add(outputs, data.scored.targets, data.scored.truth)
    with quiet_libraries():
        return judge(module, data, module.test_scores.compute(), outputs, seed=0)


def test_a_network_that_returns_the_mean_is_not_better_than_the_mean() -> None:
    evaluation = judged(values(), weights=0.0)
    assert evaluation.judged_by == "mse"
    assert evaluation.scores["mse"] == pytest.approx(evaluation.baseline["mse"])
    assert not evaluation.beats_baseline
    assert evaluation.meaning == "mean of the training rows"


def test_a_network_that_follows_the_target_is_better_where_lower_is_better() -> None:
    evaluation = judged(values(), weights=0.4)
    assert evaluation.scores["mse"] < evaluation.baseline["mse"]
    assert evaluation.beats_baseline


def test_better_is_higher_for_an_accuracy_and_lower_for_a_loss() -> None:
    def of(scores: dict[str, float], baseline: dict[str, float]) -> bool:
        higher = {"loss": False, "accuracy": True}
        return Evaluation("test", scores, {}, {"class shares": baseline}, "", higher).beats_baseline

    assert of({"loss": 2.0, "accuracy": 0.9}, {"loss": 1.0, "accuracy": 0.5})
    assert not of({"loss": 0.1, "accuracy": 0.5}, {"loss": 1.0, "accuracy": 0.5})
    assert of({"loss": 0.1}, {"loss": 1.0})
    assert not of({"loss": 1.5}, {"loss": 1.0})


def test_all_scores_have_names_for_mlflow() -> None:
    evaluation = judged(values(), weights=0.0)
    # MLflow draws a chart of each, so that intervals and baselines are in tables only.
    names = ["loss", *TASKS[REGRESSION].metrics]
    assert evaluation.recorded == {f"test_{name}": evaluation.scores[name] for name in names}


def test_where_no_rows_are_held_out_the_training_rows_are_judged() -> None:
    data = replace(values(), test=None)
    evaluation = judged(data, weights=0.0)
    assert evaluation.on == "training_set"
    assert "training_set_mae" in evaluation.recorded
    assert evaluation.baseline["mse"] == pytest.approx(data.train.labels.var(), rel=1e-9)


def of_poisson(data: Dataset) -> dict[str, dict[str, float]]:
    network = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(data.spec.input_shape)), 1))
    module = CompiledModel(network, data.spec, Adam(), loss="poisson", metrics=["mae"])
    with quiet_libraries():
        return {dummy.name: baselines.score(module, data, dummy) for dummy in baselines.baselines(data, module.units)}


def test_constants_are_scored_as_rates_where_the_loss_is_of_counts() -> None:
    frame = pd.DataFrame({"a": np.arange(60) * 0.5, "y": [float(row % 7) ** 2 for row in range(60)]})
    data = load_rows(TableRows(frame=frame, task="regression", scale_target=False))
    found, truth = of_poisson(data), data.scored.labels
    for name, rate in {"mean": data.train.labels.mean(), "median": np.median(data.train.labels)}.items():
        assert found[name]["mae"] == pytest.approx(np.abs(truth - rate).mean(), rel=1e-9)
        assert found[name]["loss"] == pytest.approx((rate - truth * np.log(rate)).mean(), rel=1e-9)


def test_naive_forecasts_of_counts_are_rates_and_0_is_no_fault() -> None:
    frame = pd.DataFrame({"y": [float(row % 4) for row in range(40)]})
    data = load_rows(SeriesRows(frame=frame, window=3, season=4, scale_target=False))
    found, truth = of_poisson(data), data.scored.labels
    last = frame["y"].to_numpy()[data.scored.rows - 1]
    assert (last == 0).any()
    assert found["last value"]["mae"] == pytest.approx(np.abs(truth - last).mean(), abs=1e-5)
    assert found["value 4 steps before"]["mae"] == pytest.approx(0, abs=1e-5)
    assert np.isfinite([value for scores in found.values() for value in scores.values()]).all()


def judged_on(data: Dataset, metrics: list[str], weight: float) -> Evaluation:
    """Judge a network of one weight, that of the first feature, by metrics of one's own."""
    network = nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[weight, 0.0]]))
        network.bias.copy_(0.6 * network.weight[0, :1])
    module = CompiledModel(network, data.spec, Adam(), None, metrics, data.preprocessing.target_scale)
    part = data.scored
    with quiet_libraries(), torch.no_grad():
        outputs = network(part.inputs)
        module.test_scores.add(outputs, part.targets, part.truth)
        return judge(module, data, module.test_scores.compute(), outputs, seed=0)


def test_the_direction_is_known_for_metrics_that_torchmetrics_leaves_open() -> None:
    evaluation = judged_on(classes({"no": 15, "yes": 45}), ["specificity"], weight=10.0)
    assert evaluation.judged_by == "specificity"
    assert evaluation.scores["specificity"] > evaluation.baseline["specificity"] == 0
    assert evaluation.beats_baseline
    assert not judged_on(classes({"no": 45, "yes": 15}), ["specificity"], weight=-10.0).beats_baseline


def test_where_a_class_is_rare_accuracy_does_not_judge() -> None:
    rare, names = classes({"no": 93, "yes": 7}), ["accuracy", "balanced_accuracy", "average_precision"]
    evaluation = judged_on(rare, names, weight=0.0)  # every row is of the frequent class, or as likely as another
    assert evaluation.judged_by == "average_precision"
    assert not evaluation.beats_baseline
    assert judged_on(rare, names[:2], weight=0.0).judged_by == "balanced_accuracy"
    assert judged_on(rare, names[:1], weight=0.0).judged_by == "accuracy"
    assert judged_on(classes({"no": 60, "yes": 40}), names, weight=0.0).judged_by == "accuracy"
    informed = judged_on(rare, names, weight=10.0)
    assert informed.scores["average_precision"] > informed.baseline["average_precision"]
    assert informed.beats_baseline


@pytest.mark.parametrize(("others", "judge_is"), [(["mae"], "mae"), ([], "loss")])
def test_a_metric_that_the_baseline_does_not_have_is_passed_over(others: list[str], judge_is: str) -> None:
    evaluation = judged_on(values(), ["pearson_corr_coef", *others], weight=1.0)
    assert np.isnan(evaluation.baseline["pearson_corr_coef"])
    assert evaluation.judged_by == judge_is
    assert evaluation.beats_baseline
