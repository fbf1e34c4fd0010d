"""The README: its commands, its Python and its YAML do what it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from lifecycle import registry
from lifecycle.cli.subcommands import SUBCOMMANDS
from lifecycle.config.compose import compose
from lifecycle.config.resolve import resolve
from tests.conftest import Command
from tests.functional.test_docs import COMPOSED

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
Runs = Callable[[], list[mlflow.entities.Run]]


def blocks(language: str, text: str = README) -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_it_has_at_most_180_lines_and_two_commands_that_set_up() -> None:
    assert len(README.splitlines()) <= 180
    commands = re.findall(r"^python3\.11 -m venv .*$", README, flags=re.MULTILINE)
    assert [command.rpartition(" && ")[2] for command in commands] == [
        ".venv/bin/python -m lifecycle model=mlp data=iris",
        ".venv/bin/python -m pytest -q",
    ]


def commands(text: str) -> list[list[str]]:
    """Return the words of each command line of ours."""
    lines = [line for block in blocks("sh", text) for line in block.splitlines() if line.startswith("lifecycle ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


PAGES = {"README": README, **{name: (ROOT / "docs" / f"{name}.md").read_text() for name in COMPOSED}}
SHOWN = [pytest.param(words, id=f"{name}: {' '.join(words)}") for name in PAGES for words in commands(PAGES[name])]


@pytest.mark.parametrize("words", SHOWN)
def test_each_command_is_a_request_that_can_be_met(lifecycle: Command, words: list[str]) -> None:
    """Those that run are composed; test_main_job, test_processes and test_ui run them."""
    words = words[1:] if words[0] == "find_lr" else words  # its words are those of a run
    if words[0] in set(SUBCOMMANDS) - {"plugins", "data"}:  # those on runs, whose words are read first
        assert re.search("has no runs yet|input=new.csv is no file", lifecycle(*words).err)
        return
    asked = [word for word in words if word != "-m"]
    if words[0] in ("plugins", "data"):
        ended = lifecycle(*asked)
        if any(word.startswith("data.path=") for word in asked):  # a file of the reader's
            assert (ended.code, "is no file" in ended.err) == (2, True)
            return
    elif "-m" in words:
        firsts = [word.split(",")[0] for word in asked]
        ended = lifecycle(*firsts, "--cfg", "job")
    else:
        ended = lifecycle(*asked, "--cfg", "job")
        if not any(word.startswith("data.path=") for word in asked):  # those name files of the reader's
            resolve(compose(asked))
    assert (ended.code, ended.err) == (0, "")


def test_the_output_it_shows_is_what_the_command_prints(job: Command) -> None:
    """Line by line, but for the run's id and the seconds of an epoch."""

    def plain(line: str) -> str:
        return re.sub(r"\d\.\d\d s$|[0-9a-f]{32}", "*", line)

    (shown,) = blocks("text")[:1]
    printed = [
        plain(line) for line in job("model=mlp", "data=iris", "verbose=1", "tracking.figures=true").out.splitlines()
    ]
    before, after = (part.splitlines() for part in shown.split("\n...\n"))
    assert [plain(line) for line in before] == printed[: len(before)]
    assert [plain(line) for line in after] == printed[-len(after) :]


def test_its_five_lines_of_yaml_name_a_data_set(job: Command, runs: Runs, tmp_path: Path) -> None:
    rows = range(60)
    houses = pd.DataFrame(
        {"id": rows, "rooms": [1 + r % 7 for r in rows], "town": ["a" if r % 2 else "b" for r in rows]}
    )
    houses.assign(price=houses["rooms"] * 10.5).to_csv(tmp_path / "houses.csv", index=False)
    (yaml,) = blocks("yaml")
    file = tmp_path / yaml.splitlines()[0].removeprefix("# ")
    file.parent.mkdir(parents=True)
    file.write_text(yaml)
    assert job("data=houses", "trainer.max_epochs=2").code == 0
    assert runs()[0].data.params["data"] == "houses"
    assert "data=houses" in job("houses").err


def test_its_python_runs(job: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert job("--version").code == 0  # the working folder is ready
    (code, *_) = blocks("python")
    exec(compile(code.replace("epochs=50", "epochs=2"), "README.md", "exec"), {})
    assert "'accuracy'" in capfd.readouterr().out


def test_the_model_on_the_page_of_plugins_is_one(
    lifecycle: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Command, runs: Runs
) -> None:
    (code,) = blocks("python", PAGES["plugins"])
    (toml,) = blocks("toml", PAGES["plugins"])
    module = tmp_path / "site" / code.splitlines()[0].removeprefix("# ")
    module.parent.mkdir(parents=True)
    module.write_text(code)
    info = tmp_path / "site" / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    name, value = toml.splitlines()[-1].split(" = ")
    group = registry.GROUPS["model"]
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {value.strip(chr(34))}\n")
    assert f'[project.entry-points."{group}"]' in toml
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert "my_net" in lifecycle("--help").out
    assert job("model=my_net", "model.width=32", "data=wine", "trainer.max_epochs=2").code == 0
    assert runs()[0].data.params["model.width"] == "32"


def test_the_places_it_names_exist_after_a_run(job: Command, tmp_path: Path) -> None:
    assert job("trainer.max_epochs=1", "tracking.figures=true").code == 0
    left = {file.name for file in (tmp_path / "mlruns").rglob("*")}
    tree = next(block for block in blocks("text") if block.startswith("mlruns/"))
    named = set(re.findall(r"[a-z_]+\.(?:db|csv|png|svg|ckpt|json|safetensors|skops)", tree))
    assert len(named) == 11
    assert named <= left
