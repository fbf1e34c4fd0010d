"""The leader board: configurations by their means over the same rows, read from a real database."""

from __future__ import annotations

import contextlib
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
import mlflow
import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from mlflow.entities import Metric
from scipy import stats

from lifecycle import layout
from lifecycle.config.search_path import hydra_ready
from lifecycle.errors import RequestError
from lifecycle.sweeps import grid, planning
from lifecycle.sweeps.plan import Plan, PlannedJob
from lifecycle.sweeps.results import charts, page
from lifecycle.sweeps.results.board import Board, board_of
from lifecycle.sweeps.results.entries import Entry, unit_of
from lifecycle.sweeps.results.report import print_board
from lifecycle.sweeps.search.space import Objective, Search
from lifecycle.tracking.store import database_uri
from tests.conftest import ready

Make = Callable[..., Plan]
Scores = Mapping[str, float]

DIRECTIONS = json.dumps({"loss": False, "accuracy": True})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Make one database for all tests, each of which has an experiment of its own."""
    found = tmp_path_factory.mktemp("board")
    ready(found, empty_database)
    return found


@pytest.fixture(scope="module")
def plans() -> dict[tuple[str, ...], Plan]:
    """Keep plans, as to compose takes longer than a test."""
    return {}


@pytest.fixture
def make(plans: dict[tuple[str, ...], Plan], folder: Path, request: pytest.FixtureRequest) -> Make:
    """Plan a sweep whose runs are in the experiment of this test."""

    def make(*words: str) -> Plan:
        if words not in plans:
            with hydra_ready(), contextlib.chdir(folder):
                parsed = OverridesParser.create().parse_overrides(["data=iris", *words])
                plans[words] = planning.plan(
                    grid.combinations(parsed),
                    lambda own: hydra.compose("config", own, return_hydra_config=True),
                    "lifecycle -m",
                )
        plan = plans[words]
        own = replace(plan.tracking, experiment=str(request.node.name))
        return replace(plan, folder=folder / "mlruns" / "sweeps" / plan.name, tracking=own)

    return make


class Recorder:
    """Records runs as MLflow's client does."""

    def __init__(self, plan: Plan) -> None:
        self.client = mlflow.MlflowClient(database_uri(plan.place))
        known = self.client.get_experiment_by_name(plan.tracking.experiment)
        self.experiment = known.experiment_id if known else self.client.create_experiment(plan.tracking.experiment)
        self.started = 1_000_000

    def __call__(
        self, job: PlannedJob, status: str = "FINISHED", scores: Scores | None = None, seconds: int = 3, **tags: str
    ) -> str:
        """Record a run of a job; ``validation``, ``test`` and ``data`` are its rows."""
        rows = {
            layout.DATA_DIGEST: tags.pop("data", "iris"),
            layout.VALIDATION_DIGEST: tags.pop("validation", "v"),
            layout.TEST_DIGEST: tags.pop("test", "t"),
        }
        own = {layout.SIGNATURE: job.signature, layout.HIGHER_IS_BETTER: DIRECTIONS, **rows}
        own |= {layout.ERROR: tags.pop("error")} if "error" in tags else {}
        self.started += 10_000
        run = self.client.create_run(self.experiment, self.started, own | tags, "mlp").info.run_id
        if scores:
            self.client.log_batch(run, [Metric(name, value, 0, 1) for name, value in scores.items()])
        if status != "RUNNING":
            self.client.set_terminated(run, status, self.started + 1000 * seconds)
        return str(run)


def seed_of(job: PlannedJob) -> int:
    return int(job.record["config"]["seed"])


def lr_of(job: PlannedJob) -> float:
    return float(job.record["config"]["optimizer"]["lr"])


def lrs(board: Board, ranked: bool = True) -> list[float]:
    """Return the learning rates of the entries, in their order."""
    return [float(entry.settings["optimizer.lr"]) for entry in board.entries if entry.is_ranked or not ranked]


def entry_of(board: Board, lr: str) -> Entry:
    (found,) = [entry for entry in board.entries if entry.settings["optimizer.lr"] == lr]
    return found


RATES = (0.1, 0.01, 0.001)
SWEEP = ("optimizer.lr=0.1,0.01,0.001", "seed=1,2,3", "data.split_seed=0")
LOSSES = {
    0.1: [0.31, 0.29, 0.36],
    0.01: [0.20, 0.21, 0.25],
    0.001: [0.27, 0.20, 0.28],
}


def scores_of(job: PlannedJob) -> dict[str, float]:
    loss = LOSSES[lr_of(job)][seed_of(job) - 1]
    return {"kept_val_loss": loss, "test_loss": loss * 1.1, "test_accuracy": 1 - loss}


def record_all(plan: Plan, but: Sequence[int] = (), **rows: Any) -> Recorder:
    """Record a finished run of each job."""
    record = Recorder(plan)
    for job in plan.jobs:
        if job.number not in but:
            record(job, scores=scores_of(job), **{name: of(job) for name, of in rows.items()})
    return record


def holm(ps: Sequence[float]) -> list[float]:
    """Correct two p values by hand: twice the smaller one, and the larger one, which is not below it."""
    least = min(1.0, 2 * min(ps))
    return [least if p == min(ps) else max(least, p) for p in ps]


def test_configurations_are_ordered_by_their_means_with_scipys_intervals_and_ps(make: Make) -> None:
    plan = make(*SWEEP)
    record_all(plan)
    board = board_of(plan)
    assert (board.metric, board.higher, board.counts) == (
        "kept_val_loss",
        False,
        {"done": 9, "pruned": 0, "failed": 0, "left": 0},
    )
    assert lrs(board) == [0.01, 0.001, 0.1]
    assert [entry.group for entry in board.entries] == [0, 0, 0]
    assert (board.failures, board.notes) == ([], [])
    assert board.best is board.entries[0]
    for entry in board.entries:
        losses = LOSSES[float(entry.settings["optimizer.lr"])]
        found = entry.means["kept_val_loss"]
        assert (found.mean, found.sd) == pytest.approx((statistics.mean(losses), statistics.stdev(losses)))
        interval = stats.t.interval(0.95, 2, loc=np.mean(losses), scale=stats.sem(losses))
        assert (found.low, found.high) == pytest.approx(interval)
        assert entry.means["test_loss"].mean == pytest.approx(1.1 * statistics.mean(losses))
        assert len(entry.jobs) == len(entry.runs) == found.count == 3
    best, *others = board.entries
    assert best.against_best is None
    ps = holm([stats.ttest_rel(LOSSES[lr], LOSSES[0.01]).pvalue for lr in (0.001, 0.1)])
    for entry, p in zip(others, ps, strict=True):
        assert entry.against_best is not None
        assert entry.against_best.p == pytest.approx(p)
        assert entry.against_best.mean == pytest.approx(entry.means["kept_val_loss"].mean - 0.22)


def test_a_metric_that_is_named_orders_them_in_its_own_direction(make: Make) -> None:
    plan = make(*SWEEP)
    record_all(plan)
    board = board_of(plan, "test_accuracy")
    assert (board.metric, board.higher, lrs(board)) == ("test_accuracy", True, [0.01, 0.001, 0.1])
    settings = replace(plan.settings, metric="test_accuracy")
    assert board_of(replace(plan, settings=settings)).metric == "test_accuracy"
    assert board_of(replace(plan, settings=settings), "test_loss").metric == "test_loss"
    assert board.metrics == ["test_accuracy", "kept_val_loss", "test_loss"]


def test_runs_are_paired_by_their_seed_and_not_by_when_they_ran(make: Make) -> None:
    plan = make(*SWEEP)
    record = Recorder(plan)
    for job in np.random.default_rng(0).permutation(np.array(plan.jobs, dtype=object)):
        record(job, scores=scores_of(job))
    board = board_of(plan)
    (p,) = [entry.against_best for entry in board.entries if entry.settings["optimizer.lr"] == "0.001"]
    assert p is not None
    both = [stats.ttest_rel(LOSSES[lr], LOSSES[0.01]).pvalue for lr in (0.001, 0.1)]
    assert p.p == pytest.approx(holm(both)[0])


def test_only_what_differs_is_a_setting(make: Make) -> None:
    plan = make("optimizer.lr=0.1,0.2", "model.hidden=[4]", "seed=1,2")
    assert [entry.settings for entry in board_of(plan).entries] == [{"optimizer.lr": "0.1"}, {"optimizer.lr": "0.2"}]


def test_what_is_no_score_of_rows_has_no_column(make: Make) -> None:
    plan = make("optimizer.lr=0.1,0.2", "model.hidden=[4]", "seed=1,2")
    record = Recorder(plan)
    others = {"test_accuracy_low": 0.1, "test_accuracy_high": 0.9, "test_baseline_loss": 1.0, "val_loss": 1.0}
    for job in plan.jobs:
        record(job, scores={"test_loss": 0.5, "training_set_loss": 0.25, **others})
    board = board_of(plan)
    assert (board.metric, board.metrics) == ("test_loss", ["test_loss", "training_set_loss"])


def test_before_a_run_is_finished_nothing_is_ranked(make: Make) -> None:
    plan = make(*SWEEP)
    empty = board_of(plan)
    assert (empty.metric, empty.best, empty.counts) == (None, None, {"done": 0, "pruned": 0, "failed": 0, "left": 9})
    record = Recorder(plan)
    record(plan.jobs[0], "RUNNING")
    record(plan.jobs[1], "KILLED")
    board = board_of(plan, "test_accuracy")
    assert (board.metric, board.best, board.counts) == (None, None, {"done": 0, "pruned": 0, "failed": 0, "left": 9})
    assert [entry.settings["optimizer.lr"] for entry in board.entries] == ["0.1", "0.01", "0.001"]
    assert not any(entry.means for entry in board.entries)


def test_a_failed_job_is_listed_with_its_error_and_rerun_command(make: Make) -> None:
    plan = make(*SWEEP)
    record = record_all(plan, but=[4, 5])
    failed = record(plan.jobs[4], "FAILED", error="the loss is NaN")
    record(plan.jobs[5], "KILLED")
    board = board_of(plan)
    assert board.counts == {"done": 7, "pruned": 0, "failed": 1, "left": 1}
    (failure,) = board.failures
    assert (failure.job, failure.run.id, failure.error) == (plan.jobs[4], failed, "the loss is NaN")
    assert failure.rerun == f"lifecycle rerun run={failed[:8]}"


def test_a_configuration_without_all_runs_is_listed_and_not_ranked(make: Make) -> None:
    plan = make(*SWEEP)
    record = record_all(plan, but=[4])  # of lr=0.01, which would be the best
    record(plan.jobs[4], "FAILED", scores={"kept_val_loss": 0.0}, error="out of memory")
    board = board_of(plan)
    assert lrs(board) == [0.001, 0.1]
    assert [entry.settings["optimizer.lr"] for entry in board.entries] == ["0.001", "0.1", "0.01"]
    incomplete = board.entries[-1]
    assert (incomplete.is_ranked, incomplete.against_best, incomplete.group) == (False, None, 0)
    assert incomplete.means["kept_val_loss"].count == 2
    assert incomplete.means["kept_val_loss"].mean == pytest.approx(np.mean(np.delete(LOSSES[0.01], 1)))
    assert board.best is board.entries[0]
    assert board.notes == ["A configuration without all runs of the others is not ranked."]
    (p,) = [entry.against_best for entry in board.entries if entry.against_best]
    assert p.p == pytest.approx(stats.ttest_rel(LOSSES[0.1], LOSSES[0.001]).pvalue)  # one comparison only


def test_configurations_that_lack_another_seed_each_are_not_of_other_rows(make: Make) -> None:
    plan = make("optimizer.lr=0.1,0.01", "seed=1,2,3", "data.split_seed=0")
    record_all(plan, but=[0, 4])
    board = board_of(plan)
    assert [entry.group for entry in board.entries] == [0, 0]
    assert not any("other rows" in note for note in board.notes)
    assert board.best is None or not all(entry.is_ranked for entry in board.entries)


def test_in_the_middle_of_a_sweep_those_with_the_most_runs_are_ranked(make: Make) -> None:
    plan = make(*SWEEP)
    record_all(plan, but=[8])
    board = board_of(plan)
    assert lrs(board) == [0.01, 0.1]
    assert entry_of(board, "0.001").means["kept_val_loss"].count == 2
    assert board.counts == {"done": 8, "pruned": 0, "failed": 0, "left": 1}


def test_seeds_that_draw_the_split_are_compared_where_the_rows_of_each_seed_are_the_same(make: Make) -> None:
    plan = make(*SWEEP)
    record_all(plan, validation=lambda job: f"v{seed_of(job)}", test=lambda job: f"t{seed_of(job)}")
    board = board_of(plan)
    assert lrs(board) == [0.01, 0.001, 0.1]
    assert {entry.group for entry in board.entries} == {0}


def test_scores_of_other_validation_rows_are_in_another_group_and_never_ranked_against_them(make: Make) -> None:
    plan = make(*SWEEP)
    record_all(plan, validation=lambda job: "other" if lr_of(job) == 0.001 else "v")
    board = board_of(plan)
    assert [(entry.settings["optimizer.lr"], entry.group) for entry in board.entries] == [
        ("0.01", 0),
        ("0.1", 0),
        ("0.001", 1),
    ]
    assert board.best is None
    alone = board.entries[2]
    assert (alone.is_ranked, alone.against_best) == (True, None)
    against = board.entries[1].against_best
    assert against is not None
    assert against.p == pytest.approx(stats.ttest_rel(LOSSES[0.1], LOSSES[0.01]).pvalue)
    assert board.notes == ["Configurations with other rows are in other groups: only those of one group are ranked."]
    # The test rows are the same, so that test scores are ranked.
    assert lrs(board_of(plan, "test_loss")) == [0.01, 0.001, 0.1]
    assert board_of(plan, "test_loss").best is not None


def test_scores_of_other_test_rows_or_data_are_in_another_group(make: Make) -> None:
    plan = make(*SWEEP)
    record_all(plan, test=lambda job: "other" if lr_of(job) == 0.001 else "t")
    assert board_of(plan).best is not None
    assert [entry.group for entry in board_of(plan, "test_loss").entries] == [0, 0, 1]


def test_scores_of_other_data_are_in_another_group(make: Make) -> None:
    plan = make(*SWEEP)
    record_all(plan, data=lambda job: "wine" if lr_of(job) == 0.1 else "iris")
    assert [(entry.settings["optimizer.lr"], entry.group) for entry in board_of(plan).entries] == [
        ("0.1", 0),
        ("0.01", 1),
        ("0.001", 1),
    ]


def test_scores_of_other_training_rows_are_in_another_group(make: Make) -> None:
    plan = make("optimizer.lr=0.1,0.01", "seed=1,2,3", "data.split_seed=0")
    record = Recorder(plan)
    for job in plan.jobs:
        record(job, scores={"training_set_loss": 0.5}, validation=str(lr_of(job)))
    board = board_of(plan)
    assert board.metric == "training_set_loss"
    assert [entry.group for entry in board.entries] == [0, 1]


def test_a_score_of_no_run_is_refused_with_the_scores_there_are(make: Make) -> None:
    plan = make(*SWEEP)
    Recorder(plan)(plan.jobs[0], scores=scores_of(plan.jobs[0]))
    with pytest.raises(RequestError) as caught:
        board_of(plan, "test_accuracyy")
    assert str(caught.value) == (
        "metric=test_accuracyy is a score of none of these runs. Did you mean test_accuracy? "
        "Scores: kept_val_loss, test_accuracy, test_loss."
    )


@pytest.mark.parametrize("metric", ["val_loss", "epoch", "test_accuracy_low"])
def test_what_a_run_logged_and_is_no_score_of_its_rows_is_refused(make: Make, metric: str) -> None:
    plan = make("optimizer.lr=0.1,0.01", "data.split_seed=0")
    record = Recorder(plan)
    for job in plan.jobs:
        record(job, scores={"test_loss": 0.5, "val_loss": 9.0, "epoch": 3.0, "test_accuracy_low": 0.4})
    with pytest.raises(RequestError, match=f"^metric={metric} is "):
        board_of(plan, metric)


def test_a_finished_run_stands_for_its_job_whatever_came_before_or_after(make: Make) -> None:
    plan = make(*SWEEP)
    record = record_all(plan, but=[0, 1])
    record(plan.jobs[0], "FAILED", scores={"kept_val_loss": 5.0}, error="no memory")
    record(plan.jobs[0], scores=scores_of(plan.jobs[0]))
    record(plan.jobs[1], scores=scores_of(plan.jobs[1]))
    record(plan.jobs[1], "FAILED", scores={"kept_val_loss": 5.0}, error="no memory")
    board = board_of(plan)
    assert (board.counts, board.failures) == ({"done": 9, "pruned": 0, "failed": 0, "left": 0}, [])
    assert entry_of(board, "0.1").means["kept_val_loss"].mean == pytest.approx(np.mean(LOSSES[0.1]))


def test_of_several_failures_the_last_is_shown(make: Make) -> None:
    plan = make(*SWEEP)
    record = Recorder(plan)
    record(plan.jobs[0], "FAILED", error="the first")
    last = record(plan.jobs[0], "FAILED", error="the second")
    (failure,) = board_of(plan).failures
    assert (failure.run.id, failure.error) == (last, "the second")


def test_a_configuration_with_a_score_of_nan_is_last(make: Make) -> None:
    plan = make(*SWEEP)
    record = Recorder(plan)
    for job in plan.jobs:
        is_bad = lr_of(job) == 0.01 and seed_of(job) == 2
        record(job, scores={"kept_val_loss": math.nan if is_bad else scores_of(job)["kept_val_loss"]})
    board = board_of(plan)
    assert lrs(board) == [0.001, 0.1, 0.01]
    assert math.isnan(board.entries[2].means["kept_val_loss"].mean)
    (known,) = [entry.against_best.p for entry in board.entries[1:2] if entry.against_best]
    assert known == pytest.approx(stats.ttest_rel(LOSSES[0.1], LOSSES[0.001]).pvalue)
    nan = board.entries[2].against_best
    assert nan is not None
    assert math.isnan(nan.p)


def test_runs_of_another_sweep_experiment_or_signature_do_not_count(make: Make) -> None:
    plan = make(*SWEEP)
    record = Recorder(plan)
    record(replace(plan.jobs[0], signature="f" * 64), scores={"kept_val_loss": 0.0})
    record.experiment = record.client.create_experiment("another")
    record(plan.jobs[0], scores={"kept_val_loss": 0.0})
    assert board_of(plan).counts == {"done": 0, "pruned": 0, "failed": 0, "left": 9}


FOLDS = ("optimizer.lr=0.1,0.01", "cv.folds=3", "cv.repeats=2")
OF_FOLDS = {0.1: [0.3, 0.5, 0.4, 0.35, 0.45, 0.5], 0.01: [0.2, 0.45, 0.3, 0.3, 0.35, 0.38]}


def test_folds_are_compared_by_test_loss_with_the_corrected_test(make: Make) -> None:
    plan = make(*FOLDS)
    record = Recorder(plan)
    for job in plan.jobs:
        cv = job.record["config"]["cv"]
        loss = OF_FOLDS[lr_of(job)][cv["repeat"] * 3 + cv["fold"]]
        rows = f"{cv['repeat']}.{cv['fold']}"
        record(job, scores={"test_loss": loss, "kept_val_loss": 1 - loss}, test=rows, validation=f"v{rows}")
    board = board_of(plan)
    assert (board.metric, lrs(board), board.notes) == ("test_loss", [0.01, 0.1], [])
    for entry in board.entries:
        losses = np.array(OF_FOLDS[float(entry.settings["optimizer.lr"])], dtype=np.float64)
        half = stats.t.ppf(0.975, 5) * math.sqrt((1 / 6 + 1 / 2) * losses.var(ddof=1))
        found = entry.means["test_loss"]
        assert (found.low, found.high) == pytest.approx((losses.mean() - half, losses.mean() + half))
    pairs = np.subtract(OF_FOLDS[0.1], OF_FOLDS[0.01])
    t = pairs.mean() / math.sqrt((1 / 6 + 1 / 2) * pairs.var(ddof=1))
    against = board.entries[1].against_best
    assert against is not None
    assert (against.mean, against.p) == pytest.approx((pairs.mean(), 2 * stats.t.sf(abs(t), 5)))
    # Without test scores, of the validation rows of each fold.
    assert board_of(plan, "kept_val_loss").entries[0].settings == {"optimizer.lr": "0.1"}


@pytest.mark.parametrize("others", ["seeds=2", "model.hidden=[4],[8]"])
def test_runs_on_the_same_fold_are_one_observation_of_it(make: Make, others: str) -> None:
    """Else twice the seeds would halve the variance of the mean, whatever the spread over the folds is."""
    plan = make("optimizer.lr=0.1,0.01", "cv.folds=3", others)
    record = Recorder(plan)
    losses: dict[float, list[list[float]]] = {0.1: [[], [], []], 0.01: [[], [], []]}
    for job, loss in zip(plan.jobs, np.random.default_rng(0).uniform(0.2, 0.9, len(plan.jobs)), strict=True):
        fold = job.record["config"]["cv"]["fold"]
        losses[lr_of(job)][fold].append(float(loss))
        record(job, scores={"test_loss": float(loss)}, test=f"t{fold}")
    board = board_of(plan, by=["optimizer.lr"])
    means = {lr: np.mean(of, axis=1) for lr, of in losses.items()}
    for entry in board.entries:
        of = means[float(entry.settings["optimizer.lr"])]
        found = entry.means["test_loss"]
        half = stats.t.ppf(0.975, 2) * math.sqrt((1 / 3 + 1 / 2) * of.var(ddof=1))
        assert len(entry.runs) == 6
        assert (found.mean, found.sd, found.count) == pytest.approx((of.mean(), of.std(ddof=1), 3))
        assert (found.low, found.high) == pytest.approx((of.mean() - half, of.mean() + half))
    best, other = (means[float(entry.settings["optimizer.lr"])] for entry in board.entries)
    against = board.entries[1].against_best
    assert against is not None
    t = (other - best).mean() / math.sqrt((1 / 3 + 1 / 2) * (other - best).var(ddof=1))
    assert (against.mean, against.p) == pytest.approx(((other - best).mean(), 2 * stats.t.sf(abs(t), 2)))


def test_seeds_with_folds_of_their_own_are_observations_each(make: Make) -> None:
    plan = make("cv.folds=3", "seed=1,2")
    record = Recorder(plan)
    for job in plan.jobs:
        record(job, scores={"test_loss": float(job.number)}, test=f"t{job.number}")
    (entry,) = board_of(plan).entries
    assert entry.means["test_loss"].count == 6


def test_equal_differences_are_not_called_clear(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make(*SWEEP)
    record = Recorder(plan)
    for job in plan.jobs:
        noise = 0.01 * seed_of(job) if lr_of(job) == 0.001 else 0
        record(job, scores={"kept_val_loss": lr_of(job) + noise})
    board = board_of(plan)
    assert [entry.against_best and entry.against_best.p for entry in board.entries[:1]] == [None]
    against = {entry.settings["optimizer.lr"]: entry.against_best for entry in board.entries}
    assert lrs(board)[0] == 0.01
    equal = against["0.1"]
    assert equal is not None
    assert math.isnan(equal.p)
    assert page.verdict(board).startswith("lr=0.01 has the best mean, but 2 of the other 2 may be as good (p 0.")
    print_board(board, verbose=1)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("0.1 "))
    assert line.endswith(" 0.0900")  # without a p
    two = make("optimizer.lr=0.1,0.01", "seed=1,2,3", "data.split_seed=0")
    (sentence,) = {page.verdict(board_of(two, by=by)) for by in ([], ["optimizer.lr"])}
    assert sentence == (
        "lr=0.01 has the best mean, but 1 of the other 1 may be as good "
        "(the differences are equal in all runs, of which there is no p)."
    )


def test_the_correction_for_folds_has_the_recorded_numbers_of_rows(make: Make) -> None:
    """Blocks of time have few rows before them: of a series of 40 in 3 folds 10, 20 and 30, for 10 test rows each."""
    plan = make("cv.folds=3")
    record = Recorder(plan)
    losses = [0.3, 0.5, 0.4]
    for job, rows in zip(plan.jobs, ("8,2,10", "16,4,10", "24,6,10"), strict=True):
        fold = job.record["config"]["cv"]["fold"]
        record(job, scores={"test_loss": losses[fold]}, **{layout.SPLIT_ROWS: rows})
    (entry,) = board_of(plan).entries
    overlap = (10 / 10 + 10 / 20 + 10 / 30) / 3
    half = stats.t.ppf(0.975, 2) * math.sqrt((1 / 3 + overlap) * np.var(losses, ddof=1))
    found = entry.means["test_loss"]
    assert (found.low, found.high) == pytest.approx((0.4 - half, 0.4 + half))


def test_what_the_printed_board_leaves_out_is_counted(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make(f"optimizer.lr={','.join(f'0.{at}' for at in range(11, 34))}")
    record = Recorder(plan)
    for job in plan.jobs[:21]:
        record(job, scores={"kept_val_loss": lr_of(job)})
    record(plan.jobs[21], "FAILED", error="it diverged.")
    print_board(board_of(plan), verbose=1)
    assert (
        "\n          and 1 configuration more\n          2 configurations without a finished run\n"
        in capsys.readouterr().out
    )


def test_the_page_and_its_charts_have_the_first_configurations_of_many(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make(f"optimizer.lr={','.join(f'0.{at}' for at in range(11, 34))}", "model.dropout=0.1,0.2")
    record = Recorder(plan)
    for job in plan.jobs:
        record(job, scores={"kept_val_loss": lr_of(job)})
    found = board_of(plan)
    whole = page.draw(found, page.Drawn({}, [], {}))
    assert whole.partition("<h2>Means")[0].count("<tr>") == 47
    assert whole.count("next to this page has all") == 1  # of the chart of means, which has 30
    monkeypatch.setattr(page, "MOST_ROWS", 5)
    monkeypatch.setattr(charts, "MOST_LINES", 7)
    part = page.draw(found, page.Drawn({}, [], {}))
    assert part.partition("<h2>Means")[0].count("<tr>") == 6
    for most in (5, 7, 30):
        sentence = f"The first {most} of 46 configurations; the file leader_board.csv next to this page has all."
        assert part.count(sentence) == 1
    (lines, all_lines) = (
        svg.count('stroke-opacity="0.85"') + svg.count("stroke-opacity: 0.85") for svg in (part, whole)
    )
    assert (lines, all_lines) == (7, 46)


def test_units_tell_the_runs_of_a_configuration_apart(make: Make) -> None:
    plan = make("optimizer.lr=0.1,0.01", "cv.folds=2", "cv.repeats=2", "seeds=2")
    units = [unit_of(job, ["optimizer.lr"]) for job in plan.jobs if lr_of(job) == 0.1]
    assert len(set(units)) == len(units) == 8
    assert dict(units[3]) == {"seed": 0, "data.split_seed": 0, "cv.repeat": 1, "cv.fold": 1}
    assert units == [unit_of(job, ["optimizer.lr"]) for job in plan.jobs if lr_of(job) == 0.01]


def test_values_of_one_key_are_compared_over_all_other_settings(make: Make) -> None:
    plan = make("optimizer.lr=0.1,0.01", "model.hidden=[4],[8]", "seed=1,2", "data.split_seed=0")
    record = Recorder(plan)
    losses = np.array([[[0.3, 0.5], [0.4, 0.6]], [[0.2, 0.3], [0.45, 0.35]]])  # by rate, layers and seed
    for job, loss in zip(plan.jobs, losses.ravel(), strict=True):
        record(job, scores={"test_loss": loss})
    board = board_of(plan, by=["optimizer.lr"])
    assert [entry.settings for entry in board.entries] == [{"optimizer.lr": "0.01"}, {"optimizer.lr": "0.1"}]
    assert [entry.means["test_loss"].count for entry in board.entries] == [4, 4]
    assert [entry.means["test_loss"].mean for entry in board.entries] == pytest.approx([0.325, 0.45])
    against = board.entries[1].against_best
    assert against is not None
    assert against.p == pytest.approx(stats.ttest_rel(losses[0].ravel(), losses[1].ravel()).pvalue)
    assert len(board_of(plan, by=["optimizer.lr", "model.hidden"]).entries) == 4
    with pytest.raises(RequestError) as caught:
        board_of(plan, by=["optimizer.lrr"])
    assert str(caught.value) == (
        f"by=optimizer.lrr is the same in all jobs of sweep {plan.name}. Did you mean optimizer.lr? "
        "Its jobs differ in optimizer.lr, model.hidden."
    )


def test_other_numbers_of_folds_are_other_configurations(make: Make) -> None:
    plan = make("cv.folds=2,3")
    record = Recorder(plan)
    for job in plan.jobs:
        cv = job.record["config"]["cv"]
        record(job, scores={"test_loss": float(job.number)}, test=f"{cv['fold']} of {cv['folds']}")
    board = board_of(plan)
    assert sum(entry.means["test_loss"].count for entry in board.entries) == 5
    assert board.best is None or len(board.entries) == 1


def test_losses_that_are_computed_differently_are_noted(make: Make) -> None:
    plan = make("label_smoothing=0,0.1", "seed=1,2")
    record = Recorder(plan)
    for job in plan.jobs:
        record(job, scores={"test_loss": 0.5, "test_accuracy": 0.5})
    note = "The configurations differ in their loss: order them by another score, such as metric=test_accuracy."
    assert board_of(plan).notes == [note]
    assert board_of(plan, "test_accuracy").notes == []


def test_one_configuration_is_the_best_without_a_comparison(make: Make) -> None:
    plan = make("seeds=3")
    record = Recorder(plan)
    for job, seconds in zip(plan.jobs, (2, 9, 4), strict=True):
        record(job, scores={"test_loss": float(job.number)}, seconds=seconds)
    board = board_of(plan)
    (entry,) = board.entries
    assert (entry.settings, entry.against_best, board.best) == ({}, None, entry)
    assert entry.means["test_loss"].mean == 1.0


def test_of_one_run_each_configurations_are_ordered_without_a_p(make: Make) -> None:
    plan = make("optimizer.lr=0.1,0.01", "data.split_seed=0")
    record = Recorder(plan)
    for job in plan.jobs:
        record(job, scores={"test_loss": lr_of(job)})
    board = board_of(plan)
    assert lrs(board) == [0.01, 0.1]
    against = board.entries[1].against_best
    assert against is not None
    assert against.mean == pytest.approx(0.09)
    assert math.isnan(against.p)
    assert math.isnan(board.entries[0].means["test_loss"].sd)


def test_a_pruned_configuration_is_counted_as_such_and_not_ranked(make: Make) -> None:
    plan = make(*SWEEP)
    record = Recorder(plan)
    tags = {layout.STATUS: layout.PRUNED, layout.SWEEP: plan.name}
    for job in plan.jobs:
        if lr_of(job) == 0.1 and seed_of(job) == 1:
            record(job, **tags)
        elif lr_of(job) == 0.01:
            record(job, scores={"kept_val_loss": 0.5})
    board = board_of(plan)
    # With the two seeds that it was not run with.
    assert board.counts == {"done": 3, "pruned": 3, "failed": 0, "left": 3}
    assert [entry.settings["optimizer.lr"] for entry in board.entries if entry.is_pruned] == ["0.1"]
    assert not entry_of(board, "0.1").is_ranked
    assert not any("is not ranked" in note for note in board.notes)


FRONT = {1: (0.1, 0.5), 2: (0.2, 0.9), 3: (0.3, 0.9), 4: (0.15, 0.4), 5: (0.1, 0.5), 6: (0.05, 0.1)}
"""Loss and accuracy by seed; 3 and 4 are worse than another in one of them and not better in the other."""


def test_of_several_objectives_the_pareto_front_comes_first(make: Make) -> None:
    plan = make("optimizer.weight_decay=0,1e-6,1e-5,1e-4,1e-3,1e-2")
    record = Recorder(plan)
    for job in plan.jobs:
        loss, accuracy = FRONT[job.number + 1]
        record(job, scores={"kept_val_loss": loss, "test_accuracy": accuracy})
    objectives = (Objective("kept_val_loss", False, "val_loss"), Objective("test_accuracy", True, "val_accuracy"))
    board = board_of(replace(plan, search=Search((), (), objectives)))
    assert [entry.jobs[0].number + 1 for entry in board.entries] == [6, 1, 5, 2, 4, 3]
    assert [entry.is_in_front for entry in board.entries] == [True, True, True, True, False, False]
    assert board.metrics[:2] == ["kept_val_loss", "test_accuracy"]
    assert not any(entry.is_in_front for entry in board_of(plan).entries)


def test_long_numbers_are_shortened_where_they_are_shown() -> None:
    settings = {"a": "0.0012345678901", "b": "1e-05", "c": "[0.123456789]", "d": "-", "e": "12345678"}
    assert Entry(settings, [], {}).labels == {
        "a": "0.001235",
        "b": "1e-05",
        "c": "[0.123456789]",
        "d": "-",
        "e": "12345678",
    }
