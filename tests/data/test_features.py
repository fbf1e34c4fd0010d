"""Columns from which nothing can be learnt are refused by name and row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lifecycle.data.columns import features
from lifecycle.data.kinds.table import Table
from lifecycle.errors import RequestError

ROWS = 40
CASES = {
    "infinity": (np.r_[np.inf, np.zeros(ROWS - 1)], r"has inf in column x, row 0, too large to learn from"),
    "1e300": (np.r_[0, 1e300, np.zeros(ROWS - 2)], r"has 1e\+300 in column x, row 1.*or add data.drop=\[x\]"),
    "one text among numbers": (
        ["1.5", "1_000", *["2"] * (ROWS - 2)],
        r"has numbers in column x, and the text '1_000' in row 1. Fix the text, add data.types={x: category}",
    ),
    "lists": ([[1, 2]] * ROWS, r"has a list in column x. Use numbers or texts"),
}


@pytest.mark.parametrize(("values", "sentence"), CASES.values(), ids=list(CASES))
def test_a_column_that_is_not_what_it_seems_is_refused(values: object, sentence: str) -> None:
    with pytest.raises(RequestError, match=f"data.path=a.csv {sentence}"):
        checked(pd.DataFrame({"x": values}))


def checked(frame: pd.DataFrame) -> None:
    table = Table(path="a.csv", target="y")
    with_target = frame.assign(y=0.5)
    table.check(with_target)
    table.resolved(with_target)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(ROWS) / 7,
        [1.0, None] * (ROWS // 2),
        [True, False] * (ROWS // 2),
        ["red", None, "blue", "red"] * (ROWS // 4),
        ["1", "a"] * (ROWS // 2),
    ],
    ids=["numbers", "missing numbers", "booleans", "categories", "codes"],
)
def test_numbers_and_categories_pass(values: object) -> None:
    frame = pd.DataFrame({"x": values})
    before = frame.copy()
    checked(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_the_whole_command_refuses_it_before_a_run_is_opened(lifecycle: object, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": CASES["one text among numbers"][0], "y": ["a", "b"] * (ROWS // 2)})
    frame.to_csv(tmp_path / "typo.csv", index=False)
    ended = lifecycle("data=table", "data.path=typo.csv", "data.target=y")  # type: ignore[operator]
    assert ended.code == 2
    assert "Fix the text, add data.types={x: category}, or add data.drop=[x]." in ended.err
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("text", "known", "found"),
    [
        ("1.0", {"1", "2"}, "1"),
        ("1.0", {"1", "1.0"}, "1.0"),
        ("1", {"1.0"}, "1.0"),
        ("-3.00", {"-3"}, "-3"),
        ("true", {"True", "False", None}, "True"),
        ("FALSE", {"True", "False"}, "False"),
        ("true", {"true", "True"}, "true"),
        ("1.5", {"1"}, "1.5"),
        ("red", {"Red"}, "red"),
    ],
)
def test_a_category_is_known_in_the_ways_that_files_write_it(text: str, known: set[str | None], found: str) -> None:
    assert features.as_known(text, known) == found
