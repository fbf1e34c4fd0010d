"""The command line: help and completion without torch, exit codes, and what the terminal shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import field, fields, make_dataclass
from pathlib import Path

import pytest

import lifecycle as package
from lifecycle.cli.options import _choices as choices_of
from lifecycle.cli.options import of_runs, words_of
from tests.conftest import Command

HEAVY = ("torch", "pytorch_lightning", "mlflow", "pandas", "sklearn", "numpy")
LISTS_MODULES = """
import sys
sys.argv = ["lifecycle", *sys.argv[1:]]
from lifecycle.cli.main import main
code = main()
print("HEAVY", *(name for name in {heavy!r} if name in sys.modules))
sys.exit(code)
"""


def heavy_modules(folder: Path, *words: str, **environment: str) -> tuple[list[str], str]:
    """Return what of the heavy packages a command imports, and what it prints."""
    ended = subprocess.run(
        [sys.executable, "-c", LISTS_MODULES.format(heavy=HEAVY), *words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    out, _, listed = ended.stdout.rpartition("HEAVY")
    return listed.split(), out


@pytest.mark.parametrize(
    "words", [["--help"], ["--cfg", "job"], ["--version"], *([verb, "--help"] for verb in of_runs())], ids=" ".join
)
def test_asking_imports_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    assert heavy_modules(tmp_path, *words)[0] == []


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("lifecycle model=", "model=cnn model=lstm model=mlp model=sequential"),
        ("lifecycle model=sequential model.", "model.layers. model.initializer="),
        ("lifecycle data=i", "data=images data=iris"),
        ("lifecycle model=lstm model.", "model.units. model.hidden. model.activation= model.table_as="),
        ("lifecycle optimizer=s", "optimizer=sgd"),
        ("lifecycle trainer.max", "trainer.max_epochs="),
        ("lifecycle predict in", "input="),
        ("lifecycle ui tr", "tracking.dir= tracking.experiment="),
        ("lifecycle data ir", "iris"),
    ],
)
def test_completion_offers_names_and_fields_and_imports_nothing_heavy(tmp_path: Path, line: str, offered: str) -> None:
    heavy, out = heavy_modules(tmp_path, "-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert heavy == []
    assert set(offered.split()) <= set(out.split())


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
def test_completion_knows_the_words_of_a_verb(
    lifecycle: Command, monkeypatch: pytest.MonkeyPatch, line: str, offered: list[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    for shell in ("bash", "fish"):
        ended = lifecycle("-sc", f"query={shell}")
        assert ended.out.split() == offered
        assert ended.code == 0


@pytest.mark.parametrize(
    ("comment", "choices"),
    [
        ("torch_export, onnx or safetensors", ["torch_export", "onnx", "safetensors"]),
        ("csv, parquet or json: what standard input and output hold; null: csv", ["csv", "parquet", "json"]),
        ("on or off; null: as it is", ["on", "off"]),
        ("a CSV, Parquet or JSON file; -: standard input", []),
        ("a folder or a file", []),
        ("0 silent", []),
    ],
)
def test_a_comment_says_what_can_be_chosen(comment: str, choices: list[str]) -> None:
    made = make_dataclass("Words", [("format", str, field(default=""))])
    (listed,) = fields(made)
    assert list(choices_of(listed, comment)) == choices


@pytest.mark.parametrize("verb", [*of_runs(), "ui"])
def test_the_help_of_a_verb_has_each_word_with_its_default_and_its_comment(lifecycle: Command, verb: str) -> None:
    ended = lifecycle(verb, "--help")
    assert (ended.code, ended.err) == (0, "")
    first, _, example, *_ = ended.out.splitlines()
    assert first.startswith(f"lifecycle {verb}: ")
    assert example.startswith(f"  lifecycle {verb}")
    assert "  tracking.dir=mlruns " in ended.out
    for word in words_of(verb):
        assert word.comment, word.name
        assert re.search(rf"^  {re.escape(f'{word.name}={word.default}')} +{re.escape(word.comment)}$", ended.out, re.M)


def test_the_help_of_predict_says_what_it_takes(lifecycle: Command) -> None:
    out = lifecycle("predict", "run=latest", "-h").out
    assert out.startswith("lifecycle predict: raw rows in, the same rows with predictions beside them out")
    assert "  lifecycle predict run=latest input=" in out
    assert re.search(r"^  metric=null +what run=best goes by; null: the validation loss of the weights", out, re.M)
    names = [line.split("=")[0].strip() for line in out.splitlines()[5:]]
    assert names[:3] == ["run", "metric", "sweep"]
    assert names[-2:] == ["tracking.dir", "tracking.experiment"]
    assert {"input", "output"} <= set(names)


def test_the_help_of_a_verb_without_words_is_its_lines(lifecycle: Command) -> None:
    assert lifecycle("plugins", "--help").out.split() == [
        "lifecycle",
        "plugins",
        "what",
        "is",
        "installed,",
        "and",
        "what",
        "is",
        "broken",
    ]
    assert "lifecycle data iris: what is in one" in lifecycle("data", "-h").out


def test_help_lists_plugins_data_sets_and_verbs(lifecycle: Command) -> None:
    ended = lifecycle("--help")
    assert ended.code == 0
    assert lifecycle("-h").out == ended.out
    for verb, line in of_runs().items():
        assert re.search(rf"^  lifecycle {verb} +{re.escape(line)}$", ended.out, re.M)
    assert "model      cnn, lstm, mlp, sequential" in ended.out
    assert "images, ionosphere, iris, mnist, pima, sequence, series, table, two_classes, wine" in ended.out
    assert "lifecycle plugins" in ended.out
    assert "lifecycle ui" in ended.out


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


def test_a_traceback_comes_only_when_asked_for(python: Command) -> None:
    plain, full = python("model=mpl"), python("model=mpl", HYDRA_FULL_ERROR="1")
    assert (plain.code, full.code) == (2, 2)
    assert "Traceback" not in plain.err
    assert "Traceback" in full.err
    assert full.err.rstrip().endswith(plain.err.rstrip())


def test_a_word_that_is_no_verb_is_answered_with_what_it_may_mean(lifecycle: Command) -> None:
    assert "iris is no verb of lifecycle. Did you mean data=iris?" in lifecycle("iris").err
    ended = lifecycle("plugin")
    assert ended.code == 2
    assert "plugin is no verb of lifecycle. Did you mean plugins? Use predict, " in ended.err


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


def test_plugins_takes_no_words(lifecycle: Command) -> None:
    ended = lifecycle("plugins", "all")
    assert ended.code == 2
    assert "plugins takes no words, got all. Type lifecycle plugins." in ended.err


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
