"""Configurations that cannot be meant: exit code 2 with one sentence, before any data are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Command

BOMB = "a0: &a0 [1, 2]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
REFUSED = {
    "trainer.max_epoch=3": "max_epochs",
    "+trainer.max_epoch=3": "max_epochs",
    "trainer=gpu": "trainer",
    "optimizer.lr=nan": "optimizer.lr",
    "optimizer.lr=inf": "optimizer.lr",
    "optimizer.lr=-1": "optimizer.lr",
    "trainer.max_epochs=many": "trainer.max_epochs",
}
UNKNOWN = ("trainer.max_epoch=3", "+trainer.max_epoch=3", "trainer=gpu")


@pytest.mark.fault(34, 35)
@pytest.mark.parametrize(("number", "word"), [(34 if word in UNKNOWN else 35, word) for word in REFUSED])
def test_a_setting_that_cannot_be_is_named_before_data_are_read(
    lifecycle: Command, folder: Path, number: int, word: str
) -> None:
    # A file that is not there would be the error of reading data.
    ended = lifecycle("data=table", "data.path=missing.csv", "data.target=y", word)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert REFUSED[word] in ended.err
    assert "missing.csv" not in ended.err


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [(BOMB, "aliases"), ("defaults: [table]\npath: a.csv\npath: b.csv\n", "line 3, column 1. Fix its YAML.")],
)
def test_a_file_with_a_bomb_or_a_key_twice_is_refused(
    lifecycle: Command, folder: Path, text: str, sentence: str
) -> None:
    (folder / "conf" / "data").mkdir(parents=True)
    (folder / "conf" / "data" / "mine.yaml").write_text(text)
    ended = lifecycle("data=mine", "verbose=0")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "mine.yaml" in ended.err
    assert sentence in ended.err
