"""The pages of docs/: their commands and their Python run, in the order in which they stand, in one folder a page."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COMPOSED = ("options", "plugins", "speed")
"""Pages of many jobs that take long; test_readme composes each and runs what is short."""

PAGES = {file.stem: file.read_text() for file in sorted(DOCS.glob("*.md")) if file.stem not in COMPOSED}
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
STAYS = ("serve", "ui")
"""Verbs that go on until they are stopped; the tests of each run them."""

SHELL = ("printf", "echo", "cat", "head", "tail", "cp", "mkdir", "ls")
"""Other commands of a block that are run; what is none of these, as `curl`, is for the reader."""

EPOCHS = 3


def quick(words: list[str]) -> list[str]:
    """Return the words of a command, those of a job with few epochs."""
    if "=" not in words[0].partition(" ")[0] and not words[0].startswith("-"):
        return words  # a verb
    words = [f"trainer.max_epochs={EPOCHS}" if word.startswith("trainer.max_epochs=") else word for word in words]
    more = [f"trainer.max_epochs={EPOCHS}", "tracking.figures=false", "verbose=0"]
    return [*words, *(word for word in more if not any(w.startswith(word.partition("=")[0] + "=") for w in words))]


def lines(block: str) -> list[str]:
    """Return the commands of a block, those that go on over several lines in one."""
    whole = block.replace("\\\n", " ").splitlines()
    return [line for line in whole if line.strip() and not line.startswith("#")]


def run_sh(block: str, job: Command, folder: Path) -> None:
    """Run the commands of a block in a folder."""
    for line in lines(block):
        words = shlex.split(line, comments=True)
        if words[0] == "lifecycle" and words[1] not in STAYS and words[-1] != "&":
            ended = job(*quick(words[1:]))
            assert ended.code == 0, f"{line}\n{ended.err}"
        elif words[0] in SHELL:
            subprocess.run(["bash", "-euc", line], cwd=folder, check=True, capture_output=True)


def run_python(code: str, name: str, names: dict[str, Any]) -> None:
    """Run a block of Python, with few epochs, going on from those before it."""
    few = re.sub(r"\bepochs=\d+", f"epochs={EPOCHS}", re.sub(r"max_epochs=\d+", f"max_epochs={EPOCHS}", code))
    exec(compile(few, f"docs/{name}.md", "exec"), names)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Return a folder in which a run was made, as the pages of the verbs take it."""
    import lifecycle

    folder = tmp_path_factory.mktemp("trained")
    (folder / "mlruns").mkdir()
    shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lifecycle.run(["model=mlp", "data=iris", f"trainer.max_epochs={EPOCHS}", "verbose=0"])
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_as_it_stands(
    lifecycle: Command, tmp_path: Path, trained: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "reader"
    shutil.copytree(trained, folder)
    moved(folder, trained)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "docs"}
    for language, block in BLOCK.findall(PAGES[name]):
        if language == "sh":
            run_sh(block, lifecycle, folder)
        else:
            run_python(block, name, names)


def moved(folder: Path, before: Path) -> None:
    """Let a database that was copied know where its artifacts are now."""
    with sqlite3.connect(folder / "mlruns" / "mlflow.db") as database:
        columns = [
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
        ]
        for table, column in columns:
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(before), str(folder)))
    database.close()


@pytest.mark.parametrize("file", sorted(DOCS.glob("*.md")), ids=lambda file: file.stem)
def test_what_a_page_links_to_is_there(file: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", file.read_text())
    for target in targets:
        assert target.startswith("https://") or (DOCS / target).exists(), target


def test_pictures_are_small_and_each_is_shown() -> None:
    shown = {target for file in DOCS.glob("*.md") for target in re.findall(r"!\[.*?\]\((.*?)\)", file.read_text())}
    pictures = sorted((DOCS / "images").iterdir())
    assert {f"images/{file.name}" for file in pictures} <= shown
    assert max(file.stat().st_size for file in pictures) < 60_000
