"""The outbox: no run is forgotten, whichever processes add, send and remove at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lifecycle.config.schema import TrackingConfig
from lifecycle.config.tracking_address import identity
from lifecycle.tracking.servers import outbox
from lifecycle.tracking.servers.dispatch import Dispatch
from lifecycle.tracking.servers.outbox import Entry

RUN, SERVER = "a" * 32, "http://h"


def taken(store: Path) -> Entry | None:
    (name,) = outbox.names(store, SERVER)
    with outbox.turn(store, name) as is_ours:
        assert is_ours
        return outbox.take(store, name, SERVER)


def test_files_are_only_of_their_owner_and_go_with_the_run(tmp_path: Path) -> None:
    outbox.put(tmp_path, Entry(RUN, SERVER))
    entry = taken(tmp_path)
    assert entry == Entry(RUN, SERVER)
    modes = {file.name[-5:]: file.stat().st_mode & 0o777 for file in (tmp_path / "outbox").iterdir()}
    assert modes[".json"] == 0o600
    with outbox.turn(tmp_path, entry.name):
        outbox.remove(tmp_path, entry)
    assert not (tmp_path / "outbox").exists()


def test_a_run_that_is_added_while_it_is_sent_is_sent_once_more(tmp_path: Path) -> None:
    outbox.put(tmp_path, Entry(RUN, SERVER, checkpoints=True))
    name = Entry(RUN, SERVER).name
    with outbox.turn(tmp_path, name):
        entry = outbox.take(tmp_path, name, SERVER)
        assert entry is not None
        entry.row, entry.server_run = 7, "b"
        outbox.write(tmp_path, entry)
        outbox.put(tmp_path, Entry(RUN, SERVER))  # another process continues the run
        outbox.write(tmp_path, entry)
        outbox.remove(tmp_path, entry)  # what was there before is complete
    assert outbox.is_waiting(tmp_path, name)
    again = taken(tmp_path)
    assert again is not None
    assert (again.row, again.server_run) == (0, "")  # compared with the server


def test_what_was_asked_for_is_kept_where_a_run_is_added_again(tmp_path: Path) -> None:
    outbox.put(tmp_path, Entry(RUN, SERVER, checkpoints=True))
    assert taken(tmp_path) is not None
    outbox.put(tmp_path, Entry(RUN, SERVER))
    again = taken(tmp_path)
    assert again is not None
    assert again.checkpoints


def test_a_process_that_was_killed_while_it_took_a_run_over_has_lost_nothing(tmp_path: Path) -> None:
    outbox.put(tmp_path, Entry(RUN, SERVER, artifacts="s3://b"))
    (file,) = (tmp_path / "outbox").glob("*.new")
    file.rename(file.with_suffix(".taken"))
    assert taken(tmp_path) == Entry(RUN, SERVER, artifacts="s3://b")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run_id": 1}', '{"files": {"a": 1}}'])
def test_a_file_that_cannot_be_read_is_a_run_of_which_nothing_is_known(tmp_path: Path, text: str) -> None:
    outbox.put(tmp_path, Entry(RUN, SERVER))
    assert taken(tmp_path) is not None
    (file,) = (tmp_path / "outbox").glob("*.json")
    file.write_text(text)
    assert taken(tmp_path) == Entry(RUN, SERVER)


def test_a_run_waits_for_each_of_its_servers(tmp_path: Path) -> None:
    outbox.put(tmp_path, Entry(RUN, SERVER))
    outbox.put(tmp_path, Entry(RUN, "http://other"))
    assert sorted(entry.server for entry in outbox.entries(tmp_path)) == [SERVER, "http://other"]
    entry = taken(tmp_path)
    assert entry is not None
    with outbox.turn(tmp_path, entry.name):
        outbox.remove(tmp_path, entry)
    assert [one.server for one in outbox.entries(tmp_path)] == ["http://other"]


def test_two_spellings_of_an_address_are_one_server(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    dispatch = Dispatch()
    try:
        for scheme in ("mysql", "mysql+pymysql", "MySQL"):
            config = TrackingConfig(uri=f"{scheme}://jane:Correct-Horse@127.0.0.1:9/team")
            dispatch.put(tmp_path / "mlruns", RUN, config)
            (entry,) = outbox.entries(tmp_path / "mlruns")
            assert entry.server == "mysql://***@127.0.0.1:9/team"
            assert len(outbox.names(tmp_path / "mlruns", identity(config.uri or ""))) == 1
    finally:
        dispatch.start(tmp_path / "mlruns", TrackingConfig(uri="local"))  # stops sending


def test_one_process_at_a_time_sends_a_run(tmp_path: Path) -> None:
    outbox.put(tmp_path, Entry(RUN, SERVER))
    name = Entry(RUN, SERVER).name
    code = (
        "import sys; from pathlib import Path; from lifecycle.tracking.servers import outbox\n"
        "with outbox.turn(Path(sys.argv[1]), sys.argv[2]) as is_ours: print(is_ours)"
    )
    with outbox.turn(tmp_path, name) as is_ours:
        assert is_ours
        other = subprocess.run([sys.executable, "-c", code, tmp_path, name], capture_output=True, text=True, check=True)
        assert other.stdout == "False\n"
    assert json.loads((tmp_path / "outbox" / f"{name}.new").read_text())["run_id"] == RUN
