"""The journal of a run: what was appended is read again, whatever was cut short."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.tracking.messages import LogMetrics, LogText, SetTags
from lifecycle.tracking.spool.journal import Journal, waiting

RUN = "a" * 32
texts = st.text(max_size=40)


@given(messages=st.lists(st.builds(LogText, texts, texts), max_size=5), cut=st.integers(0, 10_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_journal_that_is_cut_anywhere_and_continued_loses_its_last_message_only(
    tmp_path_factory: pytest.TempPathFactory, messages: list[LogText], cut: int
) -> None:
    journal = Journal(tmp_path_factory.mktemp("store"), RUN)
    journal.begin()
    for message in messages:
        journal.append(message)
    journal.close()
    whole = journal.file.read_bytes()
    kept = whole[: cut % (len(whole) + 1)]
    journal.file.write_bytes(kept)
    again = Journal(journal.file.parents[1], RUN)
    again.begin()
    again.append(SetTags({"after": "it"}))
    again.close()
    # A line of which only the end is missing is whole but for that.
    complete = kept.count(b"\n") + (not kept.endswith(b"\n") and whole[len(kept) : len(kept) + 1] == b"\n")
    assert list(again.messages()) == [*messages[:complete], SetTags({"after": "it"})]
    assert again.damaged == 0


def test_a_flipped_bit_costs_one_message(tmp_path: Path) -> None:
    journal = Journal(tmp_path, RUN)
    journal.begin()
    for number in range(3):
        journal.append(LogMetrics([("loss", float(number), 0, number)]))
    journal.close()
    data = bytearray(journal.file.read_bytes())
    data[data.index(b"1.0")] ^= 1
    journal.file.write_bytes(bytes(data))
    assert [message.points[0][1] for message in journal.messages() if isinstance(message, LogMetrics)] == [0.0, 2.0]
    assert journal.damaged == 1


def test_a_message_for_which_the_disk_has_no_room_does_not_damage_the_next(tmp_path: Path) -> None:
    journal = Journal(tmp_path, RUN)
    journal.begin()
    journal.append(LogText("first", "a"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.file.stat().st_size + 50, hard))
        with pytest.raises(OSError, match="File too large") as error:
            journal.append(LogText("x" * 1000, "b"))
        assert error.value.filename == str(journal.file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    journal.append(LogText("last", "c"))
    journal.close()
    assert list(journal.messages()) == [LogText("first", "a"), LogText("last", "c")]


def test_the_last_message_is_on_the_disk_soon_also_where_none_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = [], os.fsync

    def noted(descriptor: int) -> None:
        sync(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", noted)
    journal = Journal(tmp_path, RUN)
    journal.begin()
    for number in range(3):  # one after the other: only the first is the first
        journal.append(LogText(str(number), "a"))
        until = time.monotonic() + 30
        while journal.file.stat().st_size not in synced:
            assert time.monotonic() < until
            time.sleep(0.05)
    journal.close()


def test_a_disk_that_fails_is_reported_by_the_next_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, RUN)
    journal.begin()
    failed: list[int] = []

    def fails(descriptor: int) -> None:
        failed.append(descriptor)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    journal.append(LogText("a", "a"))
    until = time.monotonic() + 30
    while not failed:
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.1)
    with pytest.raises(OSError, match="Input/output error"):
        journal.append(LogText("b", "b"))
    journal.close()


def test_one_process_has_a_journal_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path, RUN)
    journal.begin()
    assert journal.is_written()
    with pytest.raises(Timeout):
        Journal(tmp_path, RUN).begin()
    journal.close()
    assert not journal.is_written()
    assert [one.run_id for one in waiting(tmp_path)] == [RUN]
    journal.remove()
    assert waiting(tmp_path) == []


def test_a_process_that_looks_at_a_journal_does_not_keep_its_run_from_beginning(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    looks = FileLock(tmp_path / "spool" / f"{RUN}.lock", thread_local=False)
    looks.acquire()
    threading.Timer(0.3, looks.release, kwargs={"force": True}).start()
    journal = Journal(tmp_path, RUN)
    journal.begin()  # waits for the other process to leave
    assert not looks.is_locked
    assert journal.is_written()
    journal.close()
