"""The process that records: messages in order, an answer for each question, errors for what it could not record."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

from lifecycle.config import compose
from lifecycle.config.request import Request
from lifecycle.errors import RequestError, TrackingError
from lifecycle.tracking import client
from lifecycle.tracking.client import Client
from lifecycle.tracking.encoding import Answer, encode
from lifecycle.tracking.messages import CloseDeadRuns, CreateRun, FindRun, FinishRun, WarmUp
from lifecycle.tracking.run import track
from lifecycle.tracking.worker import serve
from tests.conftest import Command, artifacts
from tests.forked import Forks, Recorder

Runs = Callable[[], list[mlflow.entities.Run]]


@pytest.fixture(scope="module", autouse=True)
def no_other_process() -> Iterator[None]:
    """Let the processes end that were forked for other modules, and those that are started here."""
    client.end_all()
    yield
    client.end_all()


@pytest.fixture(autouse=True)
def quick_start() -> None:
    """Start each process that records as it is: a new Python. Tests that need none of their own share one."""


@pytest.fixture
def request_of(job: Command) -> Callable[..., Request]:
    """Compose a request in the working folder, whose database is ready."""
    return lambda *words: compose.compose(list(words))


@pytest.fixture
def serving(forks: Forks, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Have a process of its own for a test that leaves it unfit for others."""
    monkeypatch.setattr(client, "start_worker", lambda: Recorder(forks))
    own = Client()
    yield own
    own.end()


def children() -> list[int]:
    """Return the processes that record for this one."""
    listed = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return [pid for pid in listed if b"lifecycle.runs.recording_process" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_runs_one_after_the_other_are_recorded_by_one_process(request_of: Callable[..., Request], runs: Runs) -> None:
    with track(request_of("seed=1")):
        first = children()
        assert first
    with track(request_of("seed=2")):
        assert children() == first
    assert [(run.info.run_name, run.info.status) for run in runs()] == [
        ("mlp-iris-1", "FINISHED"),
        ("mlp-iris-2", "FINISHED"),
    ]


def test_runs_at_once_are_recorded_by_a_process_each(request_of: Callable[..., Request], runs: Runs) -> None:
    with track(request_of("seed=1")) as one, track(request_of("seed=2")) as two:
        for run in (one, two):
            run.log_scores({"test_loss": 1.0 if run is one else 2.0})
    assert {run.info.run_name: run.data.metrics["test_loss"] for run in runs()} == {"mlp-iris-1": 1, "mlp-iris-2": 2}


def test_what_cannot_be_recorded_fails_the_run_and_is_reported(
    request_of: Callable[..., Request], runs: Runs, tmp_path: Path
) -> None:
    def lose_the_metrics() -> None:
        with track(request_of()) as run:
            run.log_text("before", "before.txt")
            with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as database:
                database.execute("ALTER TABLE metrics RENAME TO lost")
            run.log_scores({"test_loss": 1.0})

    with pytest.raises(TrackingError, match=r"^the run could not be recorded: .*no such table: metrics"):
        lose_the_metrics()
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as database:
        database.execute("ALTER TABLE lost RENAME TO metrics")
    (run,) = runs()
    assert run.info.status == "FAILED"
    assert "no such table: metrics" in run.data.tags["lifecycle.error"]
    assert (artifacts(run) / "before.txt").read_text() == "before"
    with track(request_of()):
        pass  # the next run is not the worse for it
    assert [run.info.status for run in runs()] == ["FAILED", "FINISHED"]


def test_a_database_that_cannot_be_opened_is_the_request_s_fault(
    request_of: Callable[..., Request], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(RequestError, match=r"^tracking.dir=file/runs cannot be written: Not a directory. Name a folder"),
        track(request_of("tracking.dir=file/runs")),
    ):
        pass


def test_an_answer_that_was_not_waited_for_is_not_taken_for_another(serving: Client, tmp_path: Path) -> None:
    def find(folder: str) -> FindRun:
        return FindRun(str(tmp_path), {"dir": folder}, "latest", ["FINISHED"])

    with pytest.raises(
        TrackingError, match=r"^MLflow did not answer within 0 s\. Check which process has locked its database\.$"
    ):
        serving.ask(find("one"), within=0)
    for folder in ("two", "one"):
        with pytest.raises(RequestError, match=rf"\b{folder}\b"):
            serving.ask(find(folder))


def test_a_process_that_is_gone_is_reported(serving: Client) -> None:
    serving._process.kill()
    serving._process.wait()
    with pytest.raises(TrackingError, match=r"^the process that records the run ended \(exit code -9\)\. Run again\.$"):
        serving.ask(CloseDeadRuns("/", {}))
    assert not serving.is_alive()


def test_a_process_is_not_shared_with_a_fork(serving: Client) -> None:
    assert serving.is_alive()
    pid = os.fork()
    if pid == 0:
        os._exit(int(serving.is_alive()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_file_of_the_working_folder_is_no_library(
    request_of: Callable[..., Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mlflow", "filelock"):
        (tmp_path / f"{name}.py").write_text("open('canary', 'w').close()")
    monkeypatch.setattr(client, "_idle", [])  # a process that is started here
    with track(request_of()):
        assert (tmp_path / "mlruns" / "checkpoints").is_dir()
    assert not (tmp_path / "canary").exists()


def test_a_fault_of_the_warm_up_is_reported_only_by_what_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns" / "mlflow.db")
    gone = str(tmp_path / "gone")
    lines = [
        encode(WarmUp("mlruns", gone), None),
        encode(CreateRun(str(tmp_path), {}, "a", {}), 1),
        encode(FinishRun(), 2),
        encode(CreateRun(gone, {}, "", {}), 3),
    ]
    answers: list[Answer] = []
    serve(io.BytesIO(b"".join(lines)), answers.append)
    assert [answer.number for answer in answers] == [1, 2, 3]
    assert len(answers[0].reply["run_id"]) == 32
    assert answers[1] == Answer(2, {"pending": 0, "why": ""})
    assert answers[2].failed.startswith("the run could not be recorded: FileNotFoundError: ")
    assert not answers[0].failed


def test_what_is_on_its_way_is_gone_when_the_run_is_closed(request_of: Callable[..., Request]) -> None:
    def end(error: BaseException | None) -> Path:
        with track(request_of()) as run:
            (run.scratch / "big").write_text("much")
            scratch = run.scratch
            if error is not None:
                raise error
        return scratch

    assert not end(None).exists()
    with pytest.raises(ZeroDivisionError) as caught:
        end(ZeroDivisionError())
    frame = caught.traceback[-1].frame.f_locals
    assert not frame["scratch"].exists()


def test_a_bad_request_leaves_nothing_behind(lifecycle: Command, tmp_path: Path) -> None:
    ended = lifecycle("model=mlp", "data=iris", "trainer.monitor=val_acc")
    assert ended.code == 2
    assert list(tmp_path.iterdir()) == []
