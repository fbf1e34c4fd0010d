"""What a wrong request gets: one sentence with key, value and cure; exit code 2; no run, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Command

SENTENCES = {
    "model=mpl": "model=mpl is not known. Did you mean model=mlp? Choose one of: cnn, lstm, mlp.",
    "data=irys": "data=irys is not known. Did you mean data=iris?",
    "model.hiden=[3]": "model.hiden is not a field of model=mlp, got [3]. Did you mean model.hidden?",
    "trainer.max_epochs=abc": "trainer.max_epochs must be a whole number, got abc.",
}


@pytest.mark.parametrize(("words", "sentence"), SENTENCES.items(), ids=list(SENTENCES))
def test_a_bad_request_is_one_sentence(lifecycle: Command, tmp_path: Path, words: str, sentence: str) -> None:
    ended = lifecycle(*words.split())
    assert ended.code == 2
    assert sentence in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "mlruns").exists()
