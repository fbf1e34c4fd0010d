"""The pages of docs/: their commands and their Python run, in the order in which they stand, in one folder a page.

A page begins where a run was made (``model=mlp data=iris``) and its rows lie in ``new.csv``. What names a file that is
not there, a run's id, or a ``<placeholder>`` is the reader's to fill in, and is not run; nor is a block below a line
``<!-- not run -->``, which says why in the page's source.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lifecycle.data.sources.files import read
from tests.conftest import Command
from tests.made import moved

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
COMPOSED = ("options", "plugins", "speed")
"""Pages of many jobs that take long; test_readme composes each and runs what is short."""

NOTHING_RUNS = ("mlflow", "resume", "serve", "cluster", "reliability", "how-to/server")
"""Pages of what takes a kill, or stays until it is ended; tests/functional/test_<command>.py does as they say. Those of
a page on clusters need one; tests/functional/test_launchers.py runs Ray and submitit on this machine."""

FILES = {str(file.relative_to(DOCS).with_suffix("")): file for file in sorted(DOCS.rglob("*.md"))}
BLOCK = re.compile(r"(^<!-- not run.*?-->\n)?^```(sh|python)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
PAGES = {
    name: text
    for name, file in FILES.items()
    if name not in COMPOSED and (BLOCK.search(text := file.read_text()) or name in NOTHING_RUNS)
}
PLACEHOLDER = re.compile(r"<[a-z][a-z ]*>|\brun=[0-9a-f]{6,32}\b")
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


def is_the_readers(words: list[str], folder: Path) -> bool:
    """Tell whether a command needs what only its reader has: a file, a run of his, another program, a terminal."""
    named = [word.partition("=")[2] for word in words if word.startswith(("input=", "data.path="))]
    files = [name for name in named if name != "-" and ":" not in name]
    there = all((folder / name).exists() for name in files)
    shared = {"|", "&", "<"} & set(words) or ("lifecycle" in words and ">" in words)
    return not there or bool(shared) or bool(PLACEHOLDER.search(" ".join(words)))


def run_sh(block: str, job: Command, folder: Path) -> int:
    """Run the commands of a block in a folder, and return how many of ours ran."""
    ran = 0
    for line in lines(block):
        words = shlex.split(line, comments=True)
        if not words or is_the_readers(words, folder):
            continue
        if words[0] == "lifecycle" and words[1] not in STAYS:
            ended = job(*quick(words[1:]))
            assert ended.code == 0, f"{line}\n{ended.err}"
            ran += 1
        elif words[0] in SHELL:
            subprocess.run(["bash", "-euc", line], cwd=folder, check=True, capture_output=True)
    return ran


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
    read("sklearn:iris").to_csv(folder / "new.csv", index=False)
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_as_it_stands(
    lifecycle: Command, tmp_path: Path, trained: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "reader"
    shutil.copytree(trained, folder)
    moved(folder, trained)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}  # a module that dataclasses find
    ran = 0
    for left_out, language, block in BLOCK.findall(PAGES[name]):
        if left_out:
            continue
        if language == "sh":
            ran += run_sh(block, lifecycle, folder)
        elif not PLACEHOLDER.search(block):
            run_python(block, name, names)
            ran += 1
    assert (ran == 0) == (name in NOTHING_RUNS), f"{ran} commands and blocks of docs/{name}.md ran"


def test_what_only_a_reader_has_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "new.csv").touch()

    def runs(line: str) -> bool:
        return not is_the_readers(shlex.split(line), tmp_path)

    assert runs("lifecycle predict run=latest input=new.csv output=out.csv")
    assert runs("lifecycle data=iris data.path=sklearn:iris")
    assert not runs("lifecycle predict run=latest input=other.csv output=out.csv")
    assert not runs("lifecycle compare run=452f837d,6cd44e6a")
    assert not runs("lifecycle register run='<a run id>' name=iris")
    assert not runs("cat new.csv | lifecycle predict run=latest input=- output=-")


@pytest.mark.parametrize("file", [*FILES.values(), ROOT / "README.md"], ids=lambda file: file.stem)
def test_what_a_page_links_to_is_there(file: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", file.read_text())
    for target in targets:
        assert target.startswith("https://") or (file.parent / target).exists(), target


def test_pictures_are_small_and_each_is_shown() -> None:
    texts = [file.read_text() for file in (*FILES.values(), ROOT / "README.md")]
    shown = {target for text in texts for target in re.findall(r"!\[.*?\]\((.*?)\)", text)}
    sections = yaml.safe_load((DOCS / "gallery.yaml").read_text())
    shown |= {f"images/{name}" for section in sections for name in section["pictures"]}
    pictures = sorted((DOCS / "images").iterdir())
    assert {f"images/{file.name}" for file in pictures} <= shown
    assert max(file.stat().st_size for file in pictures) < 60_000
