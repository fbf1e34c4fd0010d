"""The command line: help and completion without torch, exit codes, and what the terminal shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

import lifecycle as package
from lifecycle.cli import options, subcommands
from lifecycle.cli.subcommands import SUBCOMMANDS
from tests.conftest import Command

HEAVY = ("torch", "pytorch_lightning", "mlflow", "pandas", "sklearn", "numpy")
LISTS_MODULES = """
import contextlib, io, json, os, sys
from lifecycle.cli.main import main
found = []
for words, environment in json.loads(sys.argv[1]):
    os.environ.update(environment)
    sys.argv = ["lifecycle", *words]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main()
    found.append((code, out.getvalue(), [name for name in {heavy!r} if name in sys.modules]))
print(json.dumps(found))
"""


def asked(folder: Path, commands: Sequence[tuple[Sequence[str], Mapping[str, str]]], heavy: Sequence[str]) -> list[Any]:
    """Run commands one after the other in a new Python.

    Args:
        folder: its working folder.
        commands: words and environment of each.
        heavy: modules to look for.

    Returns:
        Of each the exit code, the output, and which of the modules are imported, by it or by one before.
    """
    code = LISTS_MODULES.format(heavy=tuple(heavy))
    command = [sys.executable, "-c", code, json.dumps([*commands])]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return list(json.loads(ended.stdout))


def test_asking_imports_nothing_heavy(tmp_path: Path) -> None:
    asking = [["--help"], ["--version"], *([name, "--help"] for name in SUBCOMMANDS), ["--cfg", "job"]]
    for words, (code, out, heavy) in zip(
        asking, asked(tmp_path, [(words, {}) for words in asking], HEAVY), strict=True
    ):
        assert (code, heavy) == (0, []), words
        assert out, words


OFFERED = {
    "lifecycle model=": "model=cnn model=lstm model=mlp model=sequential",
    "lifecycle model=sequential model.": "model.layers= model.initializer=",
    "lifecycle data=i": "data=images data=iris",
    "lifecycle model=lstm model.": "model.units= model.hidden= model.activation= model.table_as=",
    "lifecycle optimizer=s": "optimizer=sgd",
    "lifecycle trainer.max": "trainer.max_epochs=",
    "lifecycle predict in": "input=",
    "lifecycle ui tr": "tracking.dir= tracking.experiment=",
    "lifecycle data ir": "iris",
}


def test_completion_offers_names_and_fields_and_imports_nothing_heavy(tmp_path: Path) -> None:
    commands = [(["-sc", "query=bash"], {"COMP_LINE": line, "COMP_POINT": str(len(line))}) for line in OFFERED]
    for (line, offered), (code, out, heavy) in zip(OFFERED.items(), asked(tmp_path, commands, HEAVY), strict=True):
        assert (code, heavy) == (0, []), line
        assert set(offered.split()) <= set(out.split()), line


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("lifecycle predi", ["predict"]),
        ("lifecycle predict run=", ["run=latest", "run=best"]),
        ("lifecycle predict run=be", ["run=best"]),
        ("lifecycle predict run=7", []),
        ("lifecycle predict run=latest r", []),
        ("lifecycle predict run=latest input=a.csv o", ["output="]),
        ("lifecycle data iris ", []),
        ("lifecycle plugins ", []),
    ],
)
def test_completion_knows_the_options_of_a_subcommand(
    lifecycle: Command, monkeypatch: pytest.MonkeyPatch, line: str, offered: list[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    for shell in ("bash", "fish"):
        ended = lifecycle("-sc", f"query={shell}")
        assert ended.out.split() == offered
        assert ended.code == 0


WITH_OPTIONS = [name for name in SUBCOMMANDS if name not in ("data", "plugins", "find_lr")]
NOT_ON_A_RUN = ("sweep", "sync", "ui", "unpack", "clean", "doctor")


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_the_help_of_a_subcommand_has_each_option_with_its_default_and_its_help(lifecycle: Command, name: str) -> None:
    ended = lifecycle(name, "--help")
    assert (ended.code, ended.err) == (0, "")
    first, example, *_ = ended.out.split("\n\n")
    assert " ".join(first.split()) == f"lifecycle {name}: {SUBCOMMANDS[name]}."
    assert example.startswith(f"  lifecycle {name}")
    assert "  tracking.dir=mlruns " in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80
    whole = re.sub(r"\n {5,}", " ", ended.out)  # the rest of a help is below its beginning
    for option in options.options_of(name):
        assert option.help, option.name
        typed = re.escape(f"{option.name}={option.default}")
        assert re.search(rf"^  {typed} +{re.escape(option.help)}$", whole, re.M)


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_the_choices_that_are_completed_are_those_of_the_help(name: str) -> None:
    for option in options.options_of(name):
        if option.choices not in ((), ("true", "false")):
            assert all(choice in option.help for choice in option.choices), option
    found = {option.name: option.choices for option in options.options_of(name)}
    several = {"sync": ("all", "latest")}
    assert found.get("run") == several.get(name, None if name in NOT_ON_A_RUN else ("latest", "best"))


def test_what_can_be_chosen_is_completed(lifecycle: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for line, completed in {
        "lifecycle export format=": ["format=torch_export", "format=onnx", "format=safetensors"],
        "lifecycle predict format=js": ["format=json", "format=jsonl"],
        "lifecycle resume checkpoint=b": ["checkpoint=best"],
        "lifecycle serve missing=": ["missing=refuse", "missing=impute"],
    }.items():
        monkeypatch.setenv("COMP_LINE", line)
        assert lifecycle("-sc", "query=bash").out.split() == completed


def test_the_help_of_predict_says_what_it_takes(lifecycle: Command) -> None:
    out = lifecycle("predict", "run=latest", "-h").out
    first = "lifecycle predict: predict the raw rows of a file, or the next steps of a series."
    assert " ".join(out.partition("\n\n")[0].split()) == first
    assert "  lifecycle predict run=latest input=" in out
    whole = re.sub(r"\n {5,}", " ", out)
    assert re.search(
        r"^  metric=null +score that run=best compares; null: the validation loss of the saved", whole, re.M
    )
    names = [line.split("=")[0].strip() for line in whole.partition("default):\n")[2].splitlines()]
    assert names[:3] == ["run", "metric", "sweep"]
    assert names[-2:] == ["tracking.dir", "tracking.experiment"]
    assert {"input", "output"} <= set(names)


def test_the_help_names_arguments_beyond_the_options(lifecycle: Command) -> None:
    for name, sentence in {
        "resume": "Overrides change the recorded configuration, such as trainer.max",
        "evaluate": "data.path=<file> choose other rows too.",
        "compare": "several runs, separated by commas",
    }.items():
        assert sentence in " ".join(lifecycle(name, "--help").out.split())


def test_the_help_of_a_subcommand_without_options_has_an_example(lifecycle: Command) -> None:
    assert (
        lifecycle("plugins", "--help").out == "lifecycle plugins: list the installed plugins.\n\n  lifecycle plugins\n"
    )
    assert "  lifecycle find_lr model=mlp data=iris\n" in lifecycle("find_lr", "--help").out
    assert lifecycle("data", "-h").out.startswith("lifecycle data: list the data sets, or describe one.\n\n")


def test_help_lists_plugins_data_sets_and_subcommands(lifecycle: Command) -> None:
    ended = lifecycle("--help")
    assert ended.code == 0
    assert lifecycle("-h").out == ended.out
    for name, line in SUBCOMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", re.sub(r"\n {5,}", " ", ended.out), re.M)
    assert "model      cnn, lstm, mlp, sequential" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80
    names = "images, ionosphere, iris, mnist, pima, sequence, series, table, two_classes, wine"
    assert names in " ".join(ended.out.split())


def test_the_table_of_subcommands_is_that_of_the_modules() -> None:
    from lifecycle.cli import commands

    assert sorted(SUBCOMMANDS) == sorted(module.name for module in iter_modules(commands.__path__))
    assert all(callable(subcommands.load(name).run) for name in SUBCOMMANDS)


def test_help_imports_no_hydra(tmp_path: Path) -> None:
    ((code, _, heavy),) = asked(tmp_path, [(["--help"], {})], ("hydra", "omegaconf", *HEAVY))
    assert (code, heavy) == (0, [])


def test_version_is_that_of_the_package(lifecycle: Command) -> None:
    assert lifecycle("--version").out == f"lifecycle {package.__version__}\n"


def test_the_console_script_is_the_module(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("lifecycle")
    outs = [
        subprocess.run([*command, "--cfg", "job"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for command in ([str(script)], [sys.executable, "-m", "lifecycle"])
    ]
    assert outs[0] == outs[1]
    assert "max_epochs: 300" in outs[0]


def test_a_traceback_is_printed_only_on_request(python: Command) -> None:
    plain, full = python("model=mpl"), python("model=mpl", HYDRA_FULL_ERROR="1")
    assert (plain.code, full.code) == (2, 2)
    assert "Traceback" not in plain.err
    assert "Traceback" in full.err
    assert full.err.rstrip().endswith(plain.err.rstrip())


def test_an_unknown_subcommand_is_answered_with_a_suggestion(lifecycle: Command) -> None:
    assert "iris is no subcommand of lifecycle. Did you mean data=iris?" in lifecycle("iris").err
    ended = lifecycle("plugin")
    assert ended.code == 2
    assert "plugin is no subcommand of lifecycle. Did you mean plugins? Use predict, " in ended.err
    assert "test is no subcommand of lifecycle. Did you mean evaluate? Use predict, " in lifecycle("test").err
    train = lifecycle("train", "data=iris")
    assert "train is no subcommand of lifecycle. A run needs no such word: lifecycle model=mlp data=iris." in train.err


def test_plugins_are_listed_with_kind_package_and_description(lifecycle: Command) -> None:
    lines = lifecycle("plugins").out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["model", "cnn"],
        ["model", "lstm"],
        ["model", "mlp"],
        ["model", "sequential"],
        ["data", "array"],
        ["data", "images"],
        ["data", "series"],
        ["data", "table"],
    ]
    assert f"mlp          nn-lifecycle {package.__version__}   A multilayer perceptron" in lines[3]


def test_plugins_takes_no_arguments(lifecycle: Command) -> None:
    ended = lifecycle("plugins", "all")
    assert ended.code == 2
    assert "plugins takes no arguments, got all. Type lifecycle plugins." in ended.err


def test_the_python_api_gives_the_numbers_of_the_command(job: Command, tmp_path: Path) -> None:
    words = ["model=mlp", "data=iris", "trainer.max_epochs=4", "verbose=0"]
    result = package.run(words)
    assert job(*words).code == 0
    tables = [file.read_text() for file in tmp_path.rglob("predictions.csv")]
    assert tables == [result.predictions.to_csv(index=False)] * 2
    assert list(result.scores) == ["test_loss", "test_accuracy"]


def test_options_that_exclude_each_other_are_one_sentence(lifecycle: Command) -> None:
    ended = lifecycle("-m", "seed=1,2", "--cfg", "job")
    assert ended.code == 2
    assert "Only one of --run, --multirun, --cfg, --info" in ended.err
    assert "Traceback" not in ended.err
