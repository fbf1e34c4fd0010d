"""What is sent of a run to a server, here a second database of MLflow's: all of it, once, in order, and true."""

from __future__ import annotations

import math
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from filelock import FileLock
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from lifecycle import layout
from lifecycle.tracking.servers import outbox, remote
from lifecycle.tracking.servers.outbox import Entry
from lifecycle.tracking.servers.replica import Replica
from lifecycle.tracking.servers.sender import Sender
from lifecycle.tracking.spool.journal import Journal
from lifecycle.tracking.store import database_uri
from tests.conftest import Command

READS = ("get_", "search_", "list_", "download_", "tracking_uri")


class Noted:
    """A client that notes the requests which change something, and fails at one of them where it is asked to."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.written: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.fails_at = ""
        self.fault: Exception = ConnectionError("Connection refused")
        self.read: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if name.startswith(READS) or not callable(found):
            self.read.append(name)
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            if name == self.fails_at:
                self.fails_at = ""
                raise self.fault
            self.written.append((name, arguments, named))
            return found(*arguments, **named)

        return call

    def names(self) -> list[str]:
        """Return the names of the requests, and forget them."""
        found = [name for name, *_ in self.written]
        self.written.clear()
        return found


class Two:
    """A folder with a run, which another test has recorded or which is begun here, and a server."""

    def __init__(self, folder: Path, empty_database: Path, is_begun: bool = False) -> None:
        self.store = folder / "mlruns"
        if not is_begun:
            self.store.mkdir()
            shutil.copy(empty_database, self.store / "mlflow.db")
        shutil.copy(empty_database, folder / "team.db")
        self.address = f"sqlite:///{folder}/team.db"
        self.here = mlflow.MlflowClient(database_uri(self.store))
        self.there = Noted(remote.client_of(self.address))
        if is_begun:
            experiments = [one.experiment_id for one in self.here.search_experiments()]
            self.run = self.here.search_runs(experiments)[0].info.run_id
            return
        experiment = self.here.create_experiment("e", artifact_location=(self.store / "artifacts" / "e").as_uri())
        self.experiment = experiment
        self.run = self.begun("first")
        self.lock = FileLock(self.store / "checkpoints" / self.run / ".lock")

    def begun(self, name: str) -> str:
        run = self.here.create_run(self.experiment, tags={layout.COMMAND: "lifecycle"}, run_name=name)
        run_id = str(run.info.run_id)
        (self.store / "checkpoints" / run_id).mkdir(parents=True)
        (self.store / "artifacts" / "e" / run_id / "artifacts").mkdir(parents=True)
        return run_id

    def log(self, name: str, values: list[float], run: str = "") -> None:
        points = [Metric(name, value, 1000 + step, step) for step, value in enumerate(values, start=1)]
        for start in range(0, len(points), 1000):
            self.here.log_batch(run or self.run, metrics=points[start : start + 1000])

    def file(self, name: str, text: str) -> Path:
        file = self.store / "artifacts" / "e" / self.run / "artifacts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def end(self, status: str = "FINISHED") -> None:
        self.here.set_terminated(self.run, status, 5000)

    def update(self, put: bool = False) -> bool:
        name = Entry(self.run, self.address).name
        if put or not outbox.is_waiting(self.store, name):
            outbox.put(self.store, Entry(self.run, self.address))
        with outbox.turn(self.store, name):
            entry = outbox.take(self.store, name, self.address)
            assert entry is not None
            return Replica(self.there, self.address, self.store, entry, lambda: None).update()

    def copy(self) -> Any:
        (found,) = self.there.search_runs(
            [one.experiment_id for one in self.there.search_experiments()], f"tags.`{layout.RUN_ID}` = '{self.run}'"
        )
        return found

    def points(self) -> list[tuple[str, str, int, int]]:
        return self._points(self.there, self.copy())

    def _points(self, client: Any, run: Any) -> list[tuple[str, str, int, int]]:
        history = client.get_metric_history
        found = [point for name in run.data.metrics for point in history(run.info.run_id, name)]
        return sorted((one.key, repr(one.value), one.timestamp, one.step) for one in found)

    def check(self) -> None:
        """Check that the server has what the folder has."""
        own, copy = self.here.get_run(self.run), self.copy()
        assert (copy.info.status, copy.info.end_time) == (own.info.status, own.info.end_time)
        assert copy.data.params == own.data.params
        assert self.points() == self._points(self.here, own)
        for key, value in own.data.tags.items():
            if key in (layout.SERVER, layout.SERVER_RUN):
                continue
            assert copy.data.tags[key] == value
        for key in (layout.ERROR, layout.SUSPECTED):
            assert (key in copy.data.tags) == (key in own.data.tags)


@pytest.fixture
def two(tmp_path: Path, empty_database: Path) -> Two:
    return Two(tmp_path, empty_database)


def test_points_are_sent_in_batches_that_mlflow_takes_and_the_status_comes_last(two: Two) -> None:
    two.log("loss", [1 / (step + 1) for step in range(2500)])
    two.log("odd", [math.nan, math.inf, -math.inf, 0.0])
    two.here.log_param(two.run, "a", "b")
    two.end()
    assert two.update()
    two.check()
    assert len(two.points()) == 2504
    sizes = [len(named["metrics"]) for name, _, named in two.there.written if "metrics" in named]
    assert sizes == [1000, 1000, 504]
    assert two.there.names()[-1] == "set_terminated"


def test_nothing_is_sent_twice_and_what_is_new_is_sent(two: Two) -> None:
    two.log("loss", [1.0, math.nan, 3.0])
    file = two.file("a/b.txt", "one")
    two.here.log_param(two.run, "a", "b")
    two.end()
    assert two.update()
    two.there.names()
    for put in (False, True):  # as it is noted, and as the server has it
        assert two.update(put)
        assert two.there.names() == []
    file.write_text("one")  # the same content at another time
    assert two.update()
    assert two.there.names() == []
    file.write_text("two")
    two.here.log_batch(two.run, metrics=[Metric("loss", 4.0, 2000, 4), Metric("more", 1.0, 2000, 1)])
    assert two.update(put=True)
    assert sorted(two.there.names()) == ["log_artifact", "log_batch", "log_text"]
    two.check()
    folder = Path(two.copy().info.artifact_uri.removeprefix("file://"))
    assert (folder / "a" / "b.txt").read_text() == "two"
    assert (folder / layout.DIGESTS).read_text().endswith("  a/b.txt\n")


@pytest.mark.parametrize("at", ["create_run", "log_batch", "log_artifact", "log_text", "set_terminated"])
def test_a_request_that_fails_is_made_again_and_those_before_it_are_not(two: Two, at: str) -> None:
    two.log("loss", [1.0, 2.0])
    two.file("a.txt", "a")
    two.file("b.txt", "b")
    two.end()
    two.there.fails_at = at
    with pytest.raises(ConnectionError):
        two.update()
    first = two.there.names()
    assert two.update()
    again = two.there.names()
    assert again[0] == at
    assert sorted([*first, *again]) == sorted(
        ["create_experiment", "create_run", "log_batch", "log_artifact", "log_artifact", "log_text", "set_terminated"]
    )
    two.check()


def test_rows_that_are_numbered_anew_lose_no_point(two: Two) -> None:
    other = two.begun("other")
    two.log("x", [float(step) for step in range(50)], other)
    two.log("loss", [float(step) for step in range(50)])
    with two.lock:
        assert not two.update()
        with closing(sqlite3.connect(two.store / "mlflow.db")) as database:
            database.execute("DELETE FROM metrics WHERE run_uuid = ?", (other,))
            # As VACUUM may: SQLite promises no numbers of rows.
            database.execute("UPDATE metrics SET rowid = rowid - 50 WHERE run_uuid = ?", (two.run,))
            database.commit()
        two.log("val_loss", [float(step) for step in range(20)])
        two.end()
    assert two.update()
    two.check()
    assert len(two.points()) == 70


def test_a_run_that_another_machine_took_for_dead_is_running_again_with_its_next_heartbeat(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two.lock:
        assert not two.update()
        killed = two.copy().info.run_id
        two.there.client.set_tag(killed, layout.ERROR, "no heartbeat")
        two.there.client.set_tag(killed, layout.SUSPECTED, "1 2")
        two.there.client.set_terminated(killed, "KILLED")
        two.there.names()
        assert not two.update()
        assert two.there.names() == []  # not before the next heartbeat
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 61)
        assert not two.update()
        copy = two.copy()
        assert copy.info.status == "RUNNING"
        assert not {layout.ERROR, layout.SUSPECTED} & set(copy.data.tags)
        beat = copy.data.tags[layout.HEARTBEAT]
        assert int(beat.split()[-1]) == int(now + 61)
        # Once more, at its end.
        two.there.client.set_tag(killed, layout.ERROR, "no heartbeat")
        two.there.client.set_terminated(killed, "KILLED")
        two.end()
    assert two.update()
    two.check()


def test_a_run_whose_process_is_gone_sends_no_heartbeat_and_waits_for_its_end(two: Two) -> None:
    two.log("loss", [1.0])
    assert not two.update()
    assert layout.HEARTBEAT not in two.copy().data.tags
    two.here.set_tag(two.run, layout.ERROR, "killed")
    two.end("KILLED")
    assert two.update()
    two.check()


def test_a_run_that_is_open_or_has_a_journal_is_not_complete(two: Two) -> None:
    two.end()
    with two.lock:  # it is opened again, to add to it
        assert not two.update()
    journal = Journal(two.store, two.run)
    journal.begin()
    assert not two.update()
    journal.close()
    assert not two.update()  # the next process writes it
    journal.remove()
    assert two.update()


def test_a_server_that_has_lost_the_run_gets_it_again(two: Two) -> None:
    two.log("loss", [1.0, 2.0])
    with two.lock:
        two.update()
        with closing(sqlite3.connect(two.store.parent / "team.db")) as database, database:
            for table in ("metrics", "latest_metrics", "params", "tags"):
                database.execute(f"DELETE FROM {table}")
            database.execute("DELETE FROM runs")
        two.end()
    with pytest.raises(MlflowException, match="not found"):
        two.update()
    assert two.update()
    two.check()


LOST = (
    "DELETE FROM metrics WHERE step > 1 OR key = 'val_loss'",
    "DELETE FROM latest_metrics WHERE key = 'val_loss'",
    "DELETE FROM params WHERE key IN ('seed', 'trainer.max_epochs')",
    "DELETE FROM tags WHERE key LIKE 'lifecycle.%' AND key != 'lifecycle.run_id'",
    "DELETE FROM input_tags",
    "DELETE FROM inputs",
    "DELETE FROM logged_model_metrics",
    "DELETE FROM logged_model_params",
    "DELETE FROM logged_model_tags",
    "DELETE FROM logged_models",
)
"""What a database forgets that had confirmed it."""


@pytest.mark.fault(12)
@pytest.mark.parametrize("goes_away", [True, False])
def test_what_a_server_has_lost_when_it_went_away_is_sent_again(
    tmp_path: Path, job: Command, empty_database: Path, goes_away: bool
) -> None:
    assert job("data=iris", "trainer.max_epochs=3", "tracking.figures=false").code == 0
    two = Two(tmp_path, empty_database, is_begun=True)
    two.there.fails_at = "set_terminated"
    with pytest.raises(ConnectionError):
        two.update()
    with closing(sqlite3.connect(tmp_path / "team.db")) as database:
        before = rows_of(database)
        if goes_away:
            for statement in LOST:
                assert database.execute(statement).rowcount, statement
            database.commit()
    two.there.names()
    assert two.update()
    two.check()
    sent = two.there.names()
    if not goes_away:
        assert sent == ["set_terminated"]
        return
    assert "log_artifact" not in sent  # files are not in the database
    with closing(sqlite3.connect(tmp_path / "team.db")) as database:
        assert rows_of(database) == before
    assert two.there.client.get_logged_model(remote.outputs_of(two.copy())[0]).status == "READY"


@pytest.mark.fault(12)
@pytest.mark.parametrize("seconds", [61, 59])
def test_a_long_run_is_compared_at_its_end_as_no_request_may_have_met_an_outage(two: Two, seconds: int) -> None:
    with two.lock:
        two.log("loss", [1.0, 2.0, 3.0])
        assert not two.update()
        with closing(sqlite3.connect(two.store.parent / "team.db")) as database, database:
            database.execute("DELETE FROM metrics WHERE step = 2")
        two.log("val_loss", [4.0])
        started = two.here.get_run(two.run).info.start_time
        two.here.set_terminated(two.run, "FINISHED", started + 1000 * seconds)
        two.file("a.txt", "a")
        two.there.names()
        two.there.fault, two.there.fails_at = PermissionError("AccessDenied"), "log_artifact"  # it is tried again
        with pytest.raises(PermissionError):
            two.update()
    is_long = seconds > 60
    assert two.there.names() == ["log_batch"] * (1 + is_long)
    assert two.there.read.count("get_metric_history") == is_long
    assert two.update()
    assert two.there.read.count("get_metric_history") == is_long
    assert len(two.points()) == 3 + is_long
    assert two.there.names() == ["log_artifact", "log_text", "set_terminated"]


def rows_of(database: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows of each table that :data:`LOST` changes."""
    names = {statement.split()[2] for statement in LOST}
    return {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


def test_a_run_that_begins_again_has_only_its_later_points(two: Two) -> None:
    two.log("loss", [1.0, 2.0, 3.0])
    with two.lock:
        two.update()
    with closing(sqlite3.connect(two.store / "mlflow.db")) as database, database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (two.run,))
        database.execute("UPDATE runs SET start_time = start_time + 1 WHERE run_uuid = ?", (two.run,))
    two.here.log_batch(two.run, metrics=[Metric("loss", 0.5, 7000, 1)])
    two.end()
    assert two.update(put=True)
    two.check()
    assert len(two.points()) == 1


def test_a_run_that_another_machine_has_continued_is_not_set_back(two: Two) -> None:
    file = two.file("a.txt", "older")
    two.end()
    assert two.update()
    two.log("late", [1.0])  # nor is what was added here
    there = two.copy().info.run_id
    two.there.client.set_tag(there, layout.RESUMED, "1")
    two.there.client.log_text(there, "newer", "a.txt")
    two.there.client.set_terminated(there, "FINISHED", 9000)
    two.there.names()
    outbox.put(two.store, Entry(two.run, two.address))
    sender = Sender(two.store, two.address)
    try:
        assert sender.deliver(two.run) == (True, "")
        assert (sender.take_behind(), sender.take_sent()) == ({two.run}, set())
    finally:
        sender.stop()
    copy = two.copy()
    assert (copy.info.end_time, copy.data.tags[layout.RESUMED]) == (9000, "1")
    assert (Path(copy.info.artifact_uri.removeprefix("file://")) / "a.txt").read_text() == "newer"
    assert file.read_text() == "older"


def test_tags_that_are_gone_here_are_gone_there_and_those_of_people_stay(two: Two) -> None:
    two.here.set_tag(two.run, "lifecycle.error_before", "x")
    two.end()
    assert two.update()
    two.there.client.set_tag(two.copy().info.run_id, "reviewed_by", "jane")
    two.here.delete_tag(two.run, "lifecycle.error_before")
    for put in (False, True):
        assert two.update(put)
        tags = two.copy().data.tags
        assert "lifecycle.error_before" not in tags
        assert tags["reviewed_by"] == "jane"


def test_a_run_that_ended_again_has_its_later_end(two: Two) -> None:
    two.end()
    assert two.update()
    two.here.set_terminated(two.run, "FINISHED", 9000)
    assert two.update(put=True)
    assert two.copy().info.end_time == 9000


def test_a_run_that_was_deleted_here_is_no_longer_waited_for(two: Two) -> None:
    two.here.delete_run(two.run)
    assert two.update()
    assert two.there.names() == []


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_run_that_cannot_be_sent_keeps_no_other_from_being_sent(two: Two) -> None:
    gone = two.there.create_experiment("gone")
    two.there.client.delete_experiment(gone)
    here = two.here.create_experiment("gone", artifact_location=(two.store / "artifacts" / "gone").as_uri())
    stuck = two.here.create_run(here, tags={layout.COMMAND: "lifecycle"}).info.run_id
    two.end()
    outbox.put(two.store, Entry(stuck, two.address))
    outbox.put(two.store, Entry(two.run, two.address))
    sender = Sender(two.store, two.address)
    try:
        wait_until(lambda: sender.waiting() == [stuck])
        done, why = sender.deliver(None)
        assert (done, why) == (False, "its experiment gone was deleted. Restore it there, or name another")
        two.check()
        own = two.here.get_run(two.run).data.tags
        assert (own[layout.SERVER], own[layout.SERVER_RUN]) == (two.address, two.copy().info.run_id)
        assert sender.take_sent() == {two.run}
        assert sender.take_sent() == set()
    finally:
        sender.stop()


def test_without_an_answer_the_next_pass_begins_with_another_run(two: Two) -> None:
    second = two.begun("second")
    two.end()
    two.here.set_terminated(second, "FINISHED", 5000)
    outbox.put(two.store, Entry(two.run, "http://127.0.0.1:9"))
    outbox.put(two.store, Entry(second, "http://127.0.0.1:9"))
    sender = Sender(two.store, "http://127.0.0.1:9")
    try:
        seen = set[str]()

        def both() -> bool:
            seen.add(sender._last)
            return len(seen - {""}) == 2

        wait_until(both)
        assert sender.deliver(None) == (False, "it refuses connections: no server is running there")
    finally:
        sender.stop()
