"""The summary of a sweep: files, page, and the run in MLflow, of a real cross-validation of four configurations."""

from __future__ import annotations

import getpass
import math
import re
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss

from lifecycle.config.schema import SweepConfig, TrackingConfig
from lifecycle.sweeps import plan
from lifecycle.sweeps.plan import PlannedJob
from lifecycle.sweeps.results import charts, out_of_fold, page, pictures
from lifecycle.sweeps.results import summary as summary_module
from lifecycle.sweeps.results.board import Board, board_of
from lifecycle.sweeps.results.entries import Entry
from lifecycle.sweeps.results.importance import epsilon_squared, eta_squared, grouped, importance
from lifecycle.tracking.store import database_uri
from lifecycle.tracking.sweep_runs import SweepRun
from tests.conftest import artifacts, ready
from tests.forked import Forks, Process

WORDS = ("-m", "data=iris", "model.hidden=[8],[4]", "optimizer.lr=0.01,0.1", "cv=2", "trainer.max_epochs=3")
QUICK = ("tracking.figures=false", "verbose=0")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, forks: Forks, empty_database: Path) -> Path:
    """Cross-validate four configurations, and have one that fails; return the working folder."""
    folder = tmp_path_factory.mktemp("swept")
    ready(folder, empty_database)
    for words in (WORDS, ("-m", "data=iris", "loss='<b>',null", "trainer.max_epochs=1")):
        started = Process(forks, [*words, *QUICK], folder)
        started.communicate(timeout=300)
    return folder


def board(folder: Path, at: int) -> Board:
    """Return the board of a sweep, by its number of jobs."""
    tracking = TrackingConfig(dir=str(folder / "mlruns"))
    found = [plan.read(file.parent) for file in (folder / "mlruns" / "sweeps").glob("*/jobs.jsonl")]
    (one,) = [each for each in found if len(each.jobs) == at]
    return board_of(plan.find(tracking, one.name))


def summary(folder: Path, name: str) -> Path:
    """Return the folder of the artifacts of a summary run."""
    client = mlflow.MlflowClient(database_uri(folder / "mlruns"))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(ids, f"tags.`lifecycle.role` = 'sweep' and tags.`lifecycle.sweep` = '{name}'")
    assert run.info.status == "FINISHED"
    return artifacts(run)


def test_the_table_has_the_means_of_what_mlflow_has(swept: Path) -> None:
    found = board(swept, 8)
    table = pd.read_csv(summary(swept, found.plan.name) / "leader_board.csv")
    client = mlflow.MlflowClient(database_uri(swept / "mlruns"))
    for _, row in table.iterrows():
        runs = client.search_runs(
            [e.experiment_id for e in client.search_experiments()],
            f"params.`optimizer.lr` = '{row['optimizer.lr']}' and "
            f"params.`model.hidden` = '{row['model.hidden'].replace(',', ', ')}'",
        )
        assert len(runs) == 2
        losses = [run.data.metrics["test_loss"] for run in runs]
        assert row["test_loss"] == pytest.approx(np.mean(losses), rel=1e-12)
        assert row["test_loss_sd"] == pytest.approx(np.std(losses, ddof=1), rel=1e-9)
    assert table["test_loss"].is_monotonic_increasing
    assert table["rank"].tolist() == [1, 2, 3, 4]


def test_out_of_fold_predictions_are_of_each_row_once_and_their_scores_are_scikit_learns(swept: Path) -> None:
    found = board(swept, 8)
    rows = pd.read_csv(summary(swept, found.plan.name) / "out_of_fold.csv")
    for _, part in rows.groupby(["model.hidden", "optimizer.lr"]):
        assert sorted(part["row"]) == list(range(150))
    entry = found.entries[0]
    predictions = out_of_fold.predictions_of(entry)
    assert predictions is not None
    scores = out_of_fold.scores_of(predictions)
    assert scores["accuracy"] == accuracy_score(predictions["actual"], predictions["predicted"])
    probabilities = predictions.filter(regex="^probability_")
    assert scores["log_loss"] == pytest.approx(log_loss(predictions["actual"], probabilities), rel=1e-9)


def folds(folder: Path, *contents: str | None, settings: dict[str, str] | None = None) -> Entry:
    """Return a configuration with finished folds whose runs have these predictions; ``None``: deleted ones."""
    jobs, runs = [], {}
    for fold, content in enumerate(contents):
        record = {"config": {"seed": 0, "cv": {"folds": len(contents), "repeat": 0, "fold": fold}}}
        jobs.append(PlannedJob(fold, (), {}, "c", str(fold), "", {}, record, {}))
        place = folder / str(fold)
        place.mkdir()
        runs[fold] = SweepRun(str(fold), "mlp", "FINISHED", 1.0, place.as_uri())
        if content is not None:
            (place / "predictions.csv").write_text(content)
    return Entry(settings or {}, jobs, runs)


HEAD = "row,predicted,actual,probability_NA,probability_None,probability_01\n"


def test_names_of_classes_are_read_as_they_are(tmp_path: Path) -> None:
    entry = folds(
        tmp_path, f"{HEAD}0,NA,NA,0.5,0.25,0.25\n3,None,01,0.25,0.5,0.25\n", f"{HEAD}1,01,None,0.5,0.25,0.25\n"
    )
    found = out_of_fold.predictions_of(entry)
    assert found is not None
    assert found["actual"].tolist() == ["NA", "None", "01"]
    scores = out_of_fold.scores_of(found)
    assert scores == pytest.approx({"accuracy": 1 / 3, "log_loss": -(math.log(0.5) + 2 * math.log(0.25)) / 3})


def test_a_configuration_whose_predictions_were_deleted_has_no_scores_of_all_rows(tmp_path: Path) -> None:
    one = "row,predicted,actual\n0,1.5,1.0\n"
    whole, part, none = tmp_path / "whole", tmp_path / "part", tmp_path / "none"
    for folder in (whole, part, none):
        folder.mkdir()
    entries = [
        folds(whole, one, one, settings={"a": "1"}),
        folds(part, one, None, settings={"a": "2"}),
        folds(none, None, None, settings={"a": "3"}),
    ]
    found = [(entry, out_of_fold.predictions_of(entry)) for entry in entries]
    assert [None if rows is None else len(rows) for _, rows in found] == [2, 1, None]
    pooled = out_of_fold.pooled((entry, rows) for entry, rows in found if rows is not None)
    assert list(pooled) == ['{"a": "1"}']


def test_a_summary_has_the_files_that_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = folds(tmp_path, "row,predicted,actual\n0,1.5,1.0\n", "row,predicted,actual\n0,1.5,x\n")
    (tmp_path / "files").mkdir()
    settings = SweepConfig()
    plan_ = plan.Plan("s", "lifecycle -m", TrackingConfig(), settings, 0, tmp_path, tuple(entry.jobs))
    summary_module._write_files(Board(plan_, None, False, [entry], {"done": 2}, [], []), tmp_path / "files")
    assert "leader_board.csv" in {file.name for file in (tmp_path / "files").iterdir()}
    assert "lifecycle: out_of_fold.csv was not written: could not convert string to float" in capsys.readouterr().err


def test_a_dollar_sign_in_a_setting_begins_no_formula(swept: Path) -> None:
    found = board(swept, 8)
    for entry in found.entries:
        entry.settings = {"data.path": f"$x_{{{entry.settings['model.hidden']}$", "data.target": "$a$"}
    for svg in (charts.means(found), charts.parallel(found)):
        assert svg is not None
        assert "$a$" in svg
        assert "$x_{[8]$" in svg


def test_the_page_needs_nothing_else_and_says_which_is_better(swept: Path) -> None:
    found = board(swept, 8)
    text = (summary(swept, found.plan.name) / "sweep.html").read_text(encoding="utf-8")
    # Names of namespaces are no addresses that a browser loads.
    assert not re.search(r"(src|href)=\"(?!#|data:)", text.replace("xlink:href", "at"))
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert page.verdict(found).split(" ")[0] in text
    assert text.count("<svg") == 4  # means, parallel coordinates, and curves of the loss and of the accuracy
    # The colours are those of the page, which may be dark.
    assert not re.search(r"(fill|stroke): #(ffffff|000000)", text)
    assert "var(--back)" in text
    best = board(swept, 8).best
    assert best is not None
    assert all(run.name in text for run in best.runs.values())
    assert "corrected resampled t interval (Nadeau and Bengio)" in text
    assert "optimizer.lr" in text


def test_the_description_of_the_summary_has_the_board_and_who_began_it(swept: Path) -> None:
    found = board(swept, 8)
    client = mlflow.MlflowClient(database_uri(swept / "mlruns"))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(
        ids, f"tags.`lifecycle.role` = 'sweep' and tags.`lifecycle.sweep` = '{found.plan.name}'"
    )
    lines = run.data.tags["mlflow.note.content"].splitlines()
    assert lines[0].startswith("8 of 8 runs finished. ")
    heads = ("model.hidden", "optimizer.lr", "runs", "test\\_loss", "sd", "95% interval")
    assert lines[2].startswith(f"| {' | '.join(f'{head}&emsp;' for head in heads)} |")
    assert lines[4].startswith(rf"| \[{found.entries[0].settings['model.hidden'].strip('[]')}\]&emsp; | ")
    assert sum(line.startswith("| ") for line in lines) == 1 + 4
    assert any(line.startswith("    lifecycle -m data=iris") for line in lines)
    assert run.data.tags["mlflow.source.name"] == "lifecycle"
    assert run.data.tags["mlflow.user"] == getpass.getuser()


def test_pictures_of_a_cross_validation_are_of_each_row_once(swept: Path, tmp_path: Path) -> None:
    found = board(swept, 8)
    assert pictures.draw_out_of_fold(found, found.entries[0], pd.DataFrame(), tmp_path) == []  # figures are off
    best = found.best
    assert best is not None
    predictions = out_of_fold.predictions_of(best)
    assert predictions is not None
    twice = pd.concat([predictions, predictions.assign(repeat=1)])
    on = replace(found, plan=replace(found.plan, tracking=replace(found.plan.tracking, figures=True)))
    names = pictures.draw_out_of_fold(on, best, twice, tmp_path)
    assert names == ["confusion_matrix.png", "roc.png", "precision_recall.png"]
    alone = replace(found, entries=[best])
    pooled = out_of_fold.pooled([(best, predictions)])
    text = page.draw(alone, page.Drawn(pooled, [], {name: pictures.as_data(tmp_path / name) for name in names}))
    assert text.count('<img src="data:image/png;base64,') == 3
    assert "to the best" not in text
    assert "paired test" not in text


def test_a_failure_is_on_the_page_with_its_command_and_its_texts_are_escaped(swept: Path) -> None:
    found = board(swept, 2)
    text = (summary(swept, found.plan.name) / "sweep.html").read_text(encoding="utf-8")
    (failure,) = found.failures
    assert failure.rerun in text
    assert "<b>" not in text
    assert "&lt;b&gt;" in text
    table = pd.read_csv(summary(swept, found.plan.name) / "failures.csv")
    assert table["error"].tolist() == [failure.error]


def test_the_summary_is_no_run_that_is_latest_or_best(swept: Path, forks: Forks) -> None:
    for word in ("run=latest", "run=best"):
        started = Process(forks, ["evaluate", word, "sweep=latest"], swept)
        out, err = started.communicate(timeout=120)
        assert (started.wait(), err) == (0, "")
        assert "sweep-" not in out


def test_the_importance_is_the_share_of_variance_that_a_setting_explains(swept: Path) -> None:
    values, means = ["a", "a", "b", "b"], np.array([1.0, 3.0, 5.0, 7.0])
    # The means of a and b are 2 and 6 around 4: 2 * (2**2 + 2**2) = 16 of 9 + 1 + 1 + 9 = 20.
    assert eta_squared(values, means) == pytest.approx(16 / 20)
    assert eta_squared(["a", "b"], np.array([1.0, 1.0])) == 0
    # The variance within a and b, 4 of 2 degrees of freedom, is 2; that of all means is 20 / 3.
    assert epsilon_squared(values, means) == pytest.approx(1 - 2 / (20 / 3))
    assert epsilon_squared(values, np.array([1.0, 3.0, 3.0, 1.0])) == 0
    found = importance(board(swept, 8))
    assert set(found) == {"optimizer.lr", "model.hidden"}
    assert all(0 <= share <= 1 for share in found.values())
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_a_setting_on_which_nothing_depends_explains_little_of_few_configurations() -> None:
    random = np.random.default_rng(0)
    values = [str(at % 4) for at in range(8)]
    draws = [random.normal(size=8) for _ in range(400)]
    assert np.mean([eta_squared(values, draw) for draw in draws]) > 0.4
    assert np.median([epsilon_squared(values, draw) for draw in draws]) < 0.1


def test_charts_are_drawn_for_any_board(swept: Path) -> None:
    assert charts.means(board(swept, 2)).startswith("<svg")
    assert charts.parallel(board(swept, 2)) is None
    parallel = charts.parallel(board(swept, 8))
    assert parallel is not None
    assert all(text in parallel for text in ("optimizer.lr", "model.hidden", "test_loss", "0.01", "[8]"))


def test_numbers_that_a_search_has_drawn_are_divided_into_quarters() -> None:
    drawn = ["0.5", "1e-05", "0.02", "3e-4", "0.07", "0.011", "0.09", "2e-05"]
    assert grouped(drawn) == ["3", "0", "2", "1", "2", "1", "3", "0"]
    assert grouped([*drawn, "-"])[-1] == "-"  # a model without the setting
    assert grouped(drawn[:5]) == drawn[:5]  # too few
    for listed in (["0.1", "0.01", "0.001"] * 9, [*drawn, "[16]"], [str(seed) for seed in range(8)] * 2):
        assert grouped(listed) == listed
