"""Runs found by what a person calls them, and opened again: in real databases, by the process that records."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from filelock import FileLock

from lifecycle import layout
from lifecycle.config import compose
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import Interrupted, RequestError, SavedModelError, TrainingError
from lifecycle.layout import HIGHER_IS_BETTER
from lifecycle.tracking import found_run
from lifecycle.tracking.client import Client
from lifecycle.tracking.found_run import FoundRun, Which
from lifecycle.tracking.messages import ReopenRun, ResumeRun
from lifecycle.tracking.run import track, track_again
from lifecycle.tracking.store import database_uri
from tests.conftest import Command, artifacts

Recorded = Callable[[], list[mlflow.entities.Run]]
Make = Callable[..., str]
SPLIT = {"data.sha256": "d" * 64, "split.validation.sha256": "a" * 64, "split.test.sha256": "b" * 64}
"""What runs on the same rows record of them."""
NO_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def make(job: Command) -> Make:
    """Record a run without fitting one; return its id."""

    def record(
        *words: str, error: Exception | None = None, sweep: str = "", tags: dict[str, str] = SPLIT, **scores: float
    ) -> str:
        made = []

        def end() -> None:
            with track(compose.compose(list(words))) as run:
                made.append(run.id)
                run.tag(**tags)
                run.log_scores(scores)
                run.tag(**{HIGHER_IS_BETTER: json.dumps({"loss": False, "accuracy": True}), "lifecycle.sweep": sweep})
                if error is not None:
                    raise error

        if error is None:
            end()
        else:
            with pytest.raises(type(error)):
                end()
        return made[0]

    return record


def find(run: str, statuses: tuple[str, ...] = found_run.FINISHED, **words: Any) -> FoundRun:
    return found_run.find(Which(run, **words), statuses)


def complaint(run: str, **words: Any) -> str:
    with pytest.raises(RequestError) as caught:
        find(run, **words)
    return str(caught.value)


def test_a_run_is_found_by_its_id_and_by_what_only_it_begins_with(make: Make, recorded: Recorded) -> None:
    ids = [make("seed=1"), make("seed=2", error=TrainingError("the loss is nan"))]
    for run_id, status in zip(ids, ("FINISHED", "FAILED"), strict=True):
        for length in (4, 9, 32):
            found = find(run_id[:length])
            assert (found.id, found.status, found.experiment) == (run_id, status, "lifecycle")
    run = recorded()[0]
    found = find(ids[0])
    assert (found.name, found.params, found.metrics, found.tags) == (
        run.info.run_name,
        run.data.params,
        run.data.metrics,
        run.data.tags,
    )
    assert (found.artifacts, found.start_time, found.saved) == (artifacts(run), run.info.start_time, None)
    assert found.checkpoints == Path.cwd() / "mlruns" / "checkpoints" / ids[0]
    elsewhere = make("tracking.experiment=other")
    assert find(elsewhere[:8]).experiment == "other"  # an id is looked for in all experiments


def test_the_beginning_of_two_runs_is_refused_with_both(make: Make) -> None:
    first = make("seed=1")
    client = mlflow.MlflowClient(database_uri(Path("mlruns")))
    second = first
    while second[:4] != first[:4] or second == first:  # MLflow draws ids itself: one is put into its table
        second = first[:4] + "0" * 28 if first[4] != "0" else first[:4] + "1" * 28
    import sqlite3

    with sqlite3.connect("mlruns/mlflow.db") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(runs)")]
        listed = ", ".join(columns)
        values = ", ".join(f"'{second}'" if name == "run_uuid" else name for name in columns)
        database.execute(f"INSERT INTO runs ({listed}) SELECT {values} FROM runs WHERE run_uuid = '{first}'")
        tags = f"SELECT key, value, '{second}' FROM tags WHERE run_uuid = '{first}'"
        database.execute(f"INSERT INTO tags (key, value, run_uuid) {tags}")
    assert client.get_run(second).info.run_id == second
    said = complaint(first[:4])
    assert said.startswith(f"run={first[:4]} is the beginning of 2 runs: ")
    assert said.endswith("Type more of it.")
    assert f"{first[:8]} (mlp-iris-1)" in said
    assert f"{second[:8]} (mlp-iris-1)" in said
    assert find(first[:5]).id == first
    assert find(second).id == second


@pytest.mark.parametrize("word", ["abc", "ABCD", "iris", "%%%%", "abcd'", f"{NO_ID}0", "no/such/folder"])
def test_what_is_no_id_is_refused_with_what_is(make: Make, word: str) -> None:
    make()
    assert complaint(word).startswith(f"run={word} is no run. Write a run's id or its first 4 or more characters, ")


def test_an_unknown_id_is_refused_with_where_it_was_searched(make: Make) -> None:
    make()
    for word in (NO_ID, "0123abc"):
        assert complaint(word) == (
            f"run={word} is no run in {Path.cwd()}/mlruns. `lifecycle ui` shows all; or name another tracking.dir."
        )


def test_without_a_run_or_a_database_it_says_what_to_do(make: Make, tmp_path: Path) -> None:
    assert complaint("").startswith("run is not chosen. Add run=latest, run=best, a run's id or its first characters,")
    assert complaint("latest", tracking=TrackingConfig(dir="elsewhere")) == (
        "tracking.dir=elsewhere has no runs yet. Run one first, such as lifecycle model=mlp data=iris, or name the "
        "folder of your runs."
    )
    assert not (tmp_path / "elsewhere").exists()


def test_latest_is_the_last_of_a_status_and_not_one_of_another_program(make: Make) -> None:
    assert "has no FINISHED run in experiment lifecycle. Run one first," in complaint("latest")
    finished = [make("seed=1"), make("seed=2")][-1]
    failed = make(error=TrainingError("the loss is nan"))
    killed = make(error=Interrupted(15))  # type: ignore[arg-type]
    client = mlflow.MlflowClient(database_uri(Path("mlruns")))
    client.set_terminated(client.create_run(client.get_run(failed).info.experiment_id).info.run_id)
    assert find("latest").id == finished
    assert find("latest", ("FAILED",)).id == failed
    assert find("latest", found_run.ENDED).id == killed
    assert find("latest", ("FAILED", "KILLED")).status == "KILLED"


def test_best_goes_by_the_kept_validation_loss_and_by_a_metric_in_its_own_direction(make: Make) -> None:
    low = make("seed=1", kept_val_loss=0.1, test_loss=0.9, test_accuracy=0.5)
    middle = make("seed=2", kept_val_loss=0.2, test_loss=0.1, test_accuracy=0.9)
    high = make("seed=3", kept_val_loss=0.3, test_loss=0.5, test_accuracy=0.9)
    make("seed=4", kept_val_loss=0.0, test_accuracy=1.0, error=TrainingError("the disk is full"))
    assert find("best").id == low
    assert find("best", metric="test_loss").id == middle
    assert find("best", metric="test_accuracy").id == middle  # of equal ones, the first
    assert find("best", ("FAILED",)).metrics["kept_val_loss"] == 0
    without = make("seed=5", test_loss=0.05)
    assert find("best").id == without  # by what all of them have
    assert find("best", metric="kept_val_loss").id == low
    assert complaint("best", metric="test_acuracy") == (
        "metric=test_acuracy is a score of none of these runs. Did you mean test_accuracy? Scores: kept_val_loss, "
        "test_accuracy, test_loss."
    )
    make("seed=6", val_loss=1.0)
    assert complaint("best") == "run=best has no score that all 5 runs have. Name one with metric=...."
    assert find("best", metric="kept_val_loss").id not in (high, without)


def test_best_is_of_runs_on_the_same_data_and_may_be_of_a_sweep(make: Make) -> None:
    of_sweep = make("data=iris", sweep="s'1", kept_val_loss=0.5)
    worse = make("data=iris", sweep="s'1", kept_val_loss=0.6)
    make("data=wine", sweep="s2", kept_val_loss=0.1)
    assert complaint("best") == (
        "run=best compares runs on the same data, and these are on iris, wine. Name a sweep=..., a "
        "tracking.experiment=... or the run itself."
    )
    assert find("best", sweep="s'1").id == of_sweep
    assert find("latest", sweep="s'1").id == worse
    assert [run.id for run in found_run.find_many(Which(sweep="s'1"))] == [of_sweep, worse]
    said = complaint("latest", sweep="s22")
    assert said.endswith("of sweep=s22. Did you mean s2? Sweeps: s2, s'1."), said


def test_several_runs_come_in_the_order_they_are_named_in(make: Make) -> None:
    ids = [make(f"seed={seed}") for seed in range(2)]
    asked = [ids[1][:8], ids[0], "latest"]
    for run in (",".join(asked), f"[{', '.join(asked)}]"):
        assert [found.id for found in found_run.find_many(Which(run))] == [ids[1], ids[0], ids[1]]
    with pytest.raises(RequestError, match=r"^run is not chosen\. Add run=a,b,c with the runs' ids, or sweep="):
        found_run.find_many(Which())


def test_a_registered_model_is_found_by_alias_by_version_and_by_its_last(make: Make) -> None:
    ids = [make("seed=1"), make("seed=2")]
    assert "models:/iris@champion is no registered model in " in complaint("models:/iris@champion")
    assert "No model is registered there." in complaint("models:/iris")
    client = mlflow.MlflowClient(database_uri(Path("mlruns")))
    client.create_registered_model("iris")
    for run_id in ids:
        client.create_model_version("iris", f"runs:/{run_id}/model", run_id)
    client.set_registered_model_alias("iris", "champion", "1")
    assert find("models:/iris@champion").id == find("models:/iris/1").id == ids[0]
    assert find("models:/iris").id == find("models:/iris/2").id == find("models:/iris/latest").id == ids[1]
    for wrong in ("models:/iris@loser", "models:/iris/3", "models:/irs", "models:/", "models:/iris/x"):
        said = complaint(wrong)
        assert said.startswith(f"run={wrong} is no registered model in {Path.cwd()}/mlruns.")
        assert "Registered: iris. Write models:/<name>@<alias> or models:/<name>/<version>;" in said
    assert "Did you mean iris?" in complaint("models:/irs")


def test_a_folder_with_a_saved_model_is_a_run_of_its_own_wherever_it_is(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (manifest,) = trained.rglob(layout.MANIFEST)
    shutil.copytree(manifest.parents[2], tmp_path / "moved")
    for word in ("moved", "moved/data/saved", str(tmp_path / "moved")):
        found = find(word)
        assert (found.id, found.status, found.name) == (None, "", word)
        assert (found.model_folder() / layout.MANIFEST).samefile(
            tmp_path / "moved" / "data" / "saved" / layout.MANIFEST
        )
    with pytest.raises(RequestError, match=r"^moved is a folder with a saved model and no run\. Name its run\.$"):
        find("moved").record()
    with pytest.raises(
        RequestError, match=r"^moved is a folder with a saved model and has no checkpoints\. Name its run\.$"
    ):
        _ = find("moved").checkpoints
    (tmp_path / "latest").mkdir()
    (tmp_path / "empty").mkdir()
    assert complaint("empty") == (
        "run=empty is a folder without lifecycle.json. Give the folder that a run or Model.save has written."
    )
    assert "has no runs yet" in complaint("latest")  # the word, and no folder of that name


def test_a_run_leads_to_its_model_and_to_its_request(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    found = find("latest")
    (manifest,) = trained.rglob(layout.MANIFEST)
    assert found.model_folder() == found.saved == manifest.parent
    assert found.record()["config"]["trainer"]["max_epochs"] == 2
    assert (found.checkpoints / "best.ckpt").is_file()
    gone = FoundRun("1", "a", saved=tmp_path / "gone")
    with pytest.raises(
        SavedModelError, match=rf"^run a \(1\) keeps its model in {tmp_path}/gone, which is not there\.$"
    ):
        gone.model_folder()
    with pytest.raises(RequestError, match=r"^run a \(1\) has no request\.json that can be read: .*older version"):
        FoundRun("1", "a", artifacts=tmp_path).record()


def test_a_run_without_a_model_says_why(make: Make) -> None:
    found = find(make(error=TrainingError("the loss is nan")))
    with pytest.raises(RequestError) as caught:
        found.model_folder()
    assert str(caught.value) == (
        f"run mlp-iris-0 ({found.id}) is FAILED and saved no model (the loss is nan). `lifecycle resume` continues it, "
        "or take another run."
    )


@pytest.fixture
def recorded(runs: Recorded) -> Recorded:
    """Rename the fixture, whose name is that of the module under test."""
    return runs


def test_adding_to_a_run_leaves_its_status_and_its_end(make: Make, recorded: Recorded) -> None:
    for error, status in ((None, "FINISHED"), (TrainingError("the loss is nan"), "FAILED")):
        found = find(make(error=error))
        before = recorded()[-1].info
        with track_again(found, resume=False) as run:
            assert recorded()[-1].info.status == status
            run.log_scores({"hospital_loss": 0.5})
            run.log_text("more", "more.txt")
        after = recorded()[-1]
        assert (after.info.status, after.info.end_time) == (status, before.end_time)
        assert after.data.metrics["hospital_loss"] == 0.5
        assert (artifacts(after) / "more.txt").read_text() == "more"


def test_a_fault_while_adding_to_a_run_leaves_it_as_it_was(make: Make, recorded: Recorded) -> None:
    found = find(make())
    with pytest.raises(ZeroDivisionError), track_again(found, resume=False):
        raise ZeroDivisionError
    (run,) = recorded()
    assert run.info.status == "FINISHED"
    assert "lifecycle.error" not in run.data.tags
    with track_again(found, resume=False):
        pass  # its lock was given back


def test_a_resumed_run_is_running_and_then_has_its_new_status(make: Make, recorded: Recorded) -> None:
    found = find(make(error=Interrupted(15)))  # type: ignore[arg-type]
    with track_again(found, resume=True) as run:
        assert recorded()[0].info.status == "RUNNING"
        make("seed=9")  # which looks for runs whose process is gone
        assert recorded()[0].info.status == "RUNNING"
        run.log_epoch({"epoch": 4, "train_loss": 0.5})
    resumed = recorded()[0]
    assert (resumed.info.status, resumed.data.metrics["train_loss"]) == ("FINISHED", 0.5)
    with pytest.raises(TrainingError), track_again(found, resume=True):
        raise TrainingError("the loss is inf")
    assert (recorded()[0].info.status, recorded()[0].data.tags["lifecycle.error"]) == ("FAILED", "the loss is inf")


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_is_running_in_another_process_is_refused(make: Make, recorded: Recorded, resume: bool) -> None:
    found = find(make())
    with (
        FileLock(found.checkpoints / ".lock"),
        pytest.raises(
            RequestError, match=rf"^run mlp-iris-0 \({found.id}\) is still running in another process\. Wait"
        ),
        track_again(found, resume=resume),
    ):
        pass
    assert recorded()[0].info.status == "FINISHED"
    with track_again(found, resume=resume):
        pass


def test_a_resumed_run_whose_processes_are_killed_is_put_right_by_the_next(make: Make, recorded: Recorded) -> None:
    found, own = find(make()), Client()
    own.ask(ReopenRun(str(Path.cwd()), {"dir": "mlruns"}, str(found.id)))
    own.ask(ResumeRun())
    assert recorded()[0].info.status == "RUNNING"
    own._process.kill()
    own._process.wait()
    own.end()
    make("seed=2")
    assert [run.info.status for run in recorded()] == ["KILLED", "FINISHED"]
    assert re.search("process was killed", recorded()[0].data.tags["lifecycle.error"])
    with track_again(found, resume=True):
        pass
    assert recorded()[0].info.status == "FINISHED"
