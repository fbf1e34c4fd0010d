"""Lines are broken at words to fit a terminal, and are whole in a file or a pipe."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lifecycle.runtime.lines import broken, columns_of, fitted, say, width_of

WORDS = st.lists(st.text("abc12=./[],é漢", min_size=1, max_size=30), min_size=1, max_size=40)


@given(words=WORDS, width=st.integers(40, 120), indent=st.integers(0, 12))
def test_no_line_is_wider_unless_a_word_is_and_no_word_is_lost(words: list[str], width: int, indent: int) -> None:
    lines = broken(" ".join(words), width, indent)
    assert [word for line in lines for word in line.split()] == words
    assert all(columns_of(line) <= width or len(line.split()) == 1 for line in lines)
    assert all(line.startswith(" " * indent) for line in lines[1:])


@given(text=st.text("ab漢字かなé ", max_size=60))
def test_columns_are_counted_as_rich_counts_them(text: str) -> None:
    assert columns_of(text) == cell_len(text)


def test_what_follows_hangs_below_the_text_of_a_title() -> None:
    text = "Run       " + "word " * 20
    first, second = broken(text.strip(), 60)
    assert first.startswith("Run       word")
    assert second.startswith(" " * 10 + "word")
    assert broken("  models:/a is " + "word " * 20, 60)[1].startswith("    word")
    assert fitted("one\n" + "word " * 20, 60).splitlines()[0] == "one"


def test_a_pipe_gets_whole_lines_unless_columns_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    text = "word " * 40 + "end"
    say(text)
    assert capsys.readouterr().out == f"{text}\n"
    monkeypatch.setenv("COLUMNS", "60")
    say(text)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60
    for columns in ("", "wide", "7"):
        monkeypatch.setenv("COLUMNS", columns)
        assert width_of(io.StringIO()) is None
