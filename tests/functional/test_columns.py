"""Everything that the command prints fits a terminal of 80 columns, without colours if they are not wanted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.conftest import Command

COLUMNS = 80

ITEM = re.compile(r" *(\S+: +)?\S+")
"""A line of one word, such as a path or an id, with its name: it cannot be broken."""

QUIET = ("tracking.figures=false", "trainer.max_epochs=3")


def too_wide(text: str) -> list[str]:
    """Return the lines that do not fit, but for those of one word."""
    return [line for line in text.splitlines() if cell_len(line) > COLUMNS and not ITEM.fullmatch(line)]


@pytest.fixture
def narrow(lifecycle: Command, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run commands in a folder with a run, as on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    shutil.copytree(trained / "mlruns", tmp_path / "mlruns")
    header = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)"
    (tmp_path / "new.csv").write_text(f"{header}\n5,3,1.4,0.2\n")
    (tmp_path / "wide.csv").write_text("a_name_of_a_column_that_is_long,b,y\n" + "1,red,2\n3,blue,4\n" * 30)
    return lifecycle


COMMANDS = (
    ("data=iris", "metrics=[accuracy,f1,auroc,cohen_kappa]", "verbose=2", *QUIET),
    ("data=table", "data.path=wide.csv", "data.target=y", "verbose=2", "profile=true", *QUIET),
    ("-m", "data=iris", "optimizer.lr=0.001,0.01", "seeds=2", *QUIET),
    ("sweep",),
    ("sweep", "sweep=latest"),
    ("compare", "sweep=latest", "output=null"),
    ("compare", "sweep=latest", "by=[optimizer.lr]"),
    ("evaluate", "run=latest"),
    ("predict", "run=latest", "input=new.csv", "output=out.csv"),
    ("resume", "run=latest"),
    ("rerun", "run=latest"),
    ("export", "run=latest", "format=safetensors", "output=exported"),
    ("register", "run=latest", "name=iris", "alias=champion"),
    ("pack", "run=latest", "output=run.zip"),
    ("unpack", "input=run.zip", "tracking.dir=other"),
    ("clean",),
    ("doctor",),
    ("data",),
    ("data", "iris"),
    ("data", "data.path=wide.csv"),
    ("plugins",),
    ("sync",),
    ("data=irs",),
    ("trainer.max_epoch=3",),
    ("nothing",),
)


def test_each_report_fits_80_columns(narrow: Command) -> None:
    found_wide = {}
    for words in COMMANDS:
        ended = narrow(*words)
        assert ended.out + ended.err, words
        if found := too_wide(ended.out) + too_wide(ended.err):
            found_wide[words] = found
    assert found_wide == {}
    lines = narrow("data=iris", "verbose=2", *QUIET).out.splitlines()
    wide = [line for line in lines if cell_len(line) > COLUMNS]
    assert any(line.startswith("Files     mlruns/artifacts/") for line in lines)
    assert all(line.startswith("Server") for line in wide)  # the address of the tests' own; the folder of files fits
    # What continues a line hangs below its text.
    first = next(number for number, line in enumerate(lines) if line.startswith("Data      iris: 150 rows"))
    assert re.match(r" {10}\S", lines[first + 1])


def test_no_color_leaves_no_colour(narrow: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = re.compile(r"\x1b\[[\d;]*(3[0-7]|9[0-7]|38;[\d;]+)m")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert coloured.search(narrow("evaluate", "run=latest").out)
    card = narrow("data", "iris").out
    assert coloured.search(card)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR")
    plain = re.sub(r"\x1b\[[\d;]*m", "", card).splitlines()
    assert [line.rstrip() for line in plain] == narrow("data", "iris").out.splitlines()  # the codes have no width
    monkeypatch.setenv("FORCE_COLOR", "1")
    for words in (("evaluate", "run=latest"), ("compare", "run=latest", "output=null"), ("data", "iris")):
        out = narrow(*words).out
        assert out, words
        assert not coloured.search(out), words
