"""Messages and errors survive the line of JSON between client and worker, and each message has its handler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.api.messages import Python
from lifecycle.errors import Either, RequestError, Setting
from lifecycle.tracking import encoding
from lifecycle.tracking.active_run import DirectRecorder
from lifecycle.tracking.backend import Backend
from lifecycle.tracking.encoding import Answer, decode, decode_answer, decode_error, encode, encode_answer, encode_error
from lifecycle.tracking.messages import (
    FinishRun,
    LogMetrics,
    LogText,
    Message,
    RepeatableMessage,
    RunMessage,
    StoreMessage,
)
from lifecycle.tracking.writer import RunWriter

ABSTRACT = (Message, StoreMessage, RunMessage, RepeatableMessage)
CONCRETE = [cls for cls in encoding.TYPES.values() if cls not in ABSTRACT]
PIECE = st.one_of(
    st.text(),
    st.builds(Setting, st.text(), st.one_of(st.none(), st.booleans(), st.integers(), st.text())),
    st.builds(Setting, st.text()),
    st.builds(Either, st.text(), st.text()),
)
TEXT = st.one_of(PIECE, st.lists(PIECE))


@pytest.mark.parametrize("cls", CONCRETE, ids=lambda cls: cls.__name__)
def test_every_message_has_a_handler_of_its_own_or_a_writer(cls: type[Message[Any]]) -> None:
    handler, writer = vars(Backend)["handle"].dispatcher.dispatch, vars(RunWriter)["write"].dispatcher.dispatch
    assert handler(cls) is not handler(Message)
    if handler(cls) is handler(RepeatableMessage):
        assert writer(cls) is not writer(RepeatableMessage)


def test_what_has_no_handler_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MLflow's client makes its default database in the working folder
    with pytest.raises(TypeError, match="no handler for Message"):
        Backend().handle(Message())
    with pytest.raises(TypeError, match="no run is written by FinishRun"):
        RunWriter(None, "1").write(FinishRun())
    with pytest.raises(TypeError, match="a run of the caller takes no FinishRun"):
        DirectRecorder("1").ask(FinishRun())


def test_a_message_is_one_line_that_reads_back() -> None:
    sent = LogMetrics([("loss", float("inf"), 1, 2)])
    line = encode(sent, 7)
    assert line.count(b"\n") == 1
    read, number = decode(line)
    assert isinstance(read, LogMetrics)
    assert (list(map(tuple, read.points)), number) == (sent.points, 7)
    assert decode(encode(LogText("a\nb", "c"), None)) == (LogText("a\nb", "c"), None)
    assert decode_answer(encode_answer(Answer(1, {"a": [1]}, "no"))) == Answer(1, {"a": [1]}, "no")


@given(key=TEXT, problem=st.text(min_size=1), got=st.text(), remedy=TEXT)
def test_an_error_keeps_its_parts_so_that_python_can_word_them(key: Any, problem: str, got: str, remedy: Any) -> None:
    error = RequestError(key, problem, got, remedy)
    answer = decode_answer(encode_answer(Answer(1, refused=encode_error(error))))
    assert answer.refused is not None
    read = decode_error(answer.refused)
    assert str(read) == str(error)
    assert str(read.worded(Python())) == str(error.worded(Python()))


def test_an_error_without_a_value_has_none_after_the_line(tmp_path: Path) -> None:
    error = RequestError(Setting("tracking.dir", tmp_path), "cannot be written", remedy="Name another.")
    assert str(decode_error(encode_error(error))) == f"tracking.dir={tmp_path} cannot be written. Name another."
