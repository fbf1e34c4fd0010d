"""No record, message or saved model holds the value of an environment variable or a credential."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lifecycle as package
from lifecycle.config.compose import compose
from lifecycle.config.records import expressions, request_record
from lifecycle.config.request import Request
from lifecycle.data.sources import files
from lifecycle.errors import RequestError
from lifecycle.predict import saved_model
from lifecycle.runs import reopen
from tests.conftest import Command, ready

CANARIES = ("hunter2canary", "plainpw", "plaintok")
DATA = """
defaults: [table, _self_]
path: ${oc.env:FOLDER}/iris.csv
target: species
drop: ${oc.decode:${oc.env:DROP}}
note: ${oc.env:SECRET}
source: ${.note} of https://jane:plainpw@h/x?token=plaintok
licence: ${oc.env:NOWHERE,free}
"""
QUICK = ("trainer.max_epochs=2", "tracking.figures=false", "verbose=0")


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path.with_name(f"{tmp_path.name}-hunter2canary")
    folder.mkdir()
    files.read("sklearn:iris").to_csv(folder / "iris.csv", index=False)
    for name, value in {"SECRET": "hunter2canary", "FOLDER": str(folder), "DROP": "[]"}.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "conf" / "data" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(DATA)


def found_in(folder: Path) -> list[str]:
    """Return the files of a folder that hold a canary."""
    return [
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and any(word.encode() in file.read_bytes() for word in CANARIES)
    ]


@pytest.mark.fault(41)
@pytest.mark.longest
def test_no_record_of_a_run_holds_what_an_expression_stands_for(
    process: Command, lifecycle: Command, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    shown: list[str] = []

    def run(*words: str, code: int = 0) -> str:
        # The first in a process of its own, and so are sweeps, whose workers are forked there.
        ended = (lifecycle if shown and words[0] != "-m" else process)(*words)
        assert ended.code == code, ended.err
        shown.append(ended.out + ended.err)
        return ended.out + ended.err

    run("data=mine", "tracking.run_name=n-${oc.env:SECRET}", *QUICK)
    run(
        "-m",
        "data=mine",
        "seed=1,2",
        "model.hidden=[4]",
        "data.source=https://u:plainpw@h",
        "sweep.vectorise=off",
        *QUICK,
    )
    (file,) = Path("mlruns/sweeps").glob("*/jobs.jsonl")
    sweep = file.parent
    failed = run("data=mine", "data.path=${oc.env:FOLDER}/${oc.env:SECRET}.csv", *QUICK, code=2)
    assert "data.path=${oc.env:FOLDER}/${oc.env:SECRET}.csv is no file" in failed
    run("-m", "data=mine", "seed=1", "data.path=https://u:plainpw@h/x.csv", *QUICK, code=1)
    run("data=mine", "optimizer=sgd", "optimizer.lr=1e30", "trainer.max_epochs=3", "verbose=0", code=1)
    assert "note: ${oc.env:SECRET}" in run("data=mine", "--cfg", "job")
    assert "Note      ${oc.env:SECRET}" in run("data", "mine")
    assert "${oc.env:FOLDER}/iris.csv" in run("data")
    run("compare", f"sweep={sweep.name}")
    run("evaluate", "run=latest", "verbose=0")
    run("evaluate", "run=latest", "data=mine", "verbose=0")
    assert "reproduced: all scores equal" in run("rerun", "run=latest", "verbose=0")
    run("resume", "run=latest", "trainer.max_epochs=4", "verbose=0")
    run("predict", "run=latest", f"input={os.environ['FOLDER']}/iris.csv", "output=out.csv")
    run("export", "run=latest", "format=safetensors")
    run("register", "run=latest", "name=mine")
    assert found_in(tmp_path) == ["conf/data/mine.yaml"]
    for text in shown:
        assert not any(word in text.replace(os.environ["FOLDER"], "") for word in CANARIES), text
    (file,) = [file for file in tmp_path.rglob("request.json") if "n-${" in (file.parent / "config.yaml").read_text()]
    data = json.loads(file.read_text())["config"]["data"]
    assert (data["note"], data["licence"]) == ("${oc.env:SECRET}", "${oc.env:NOWHERE,free}")
    assert data["path"] == "${oc.env:FOLDER}/iris.csv"
    assert data["source"] == "${.note} of https://***@h/x?token=***"


def test_a_missing_variable_is_one_message() -> None:
    record = request_record.record_of(compose(["data=mine"]))
    os.environ.pop("SECRET")
    with pytest.raises(RequestError, match=r"data.note cannot be resolved: .*'SECRET' not found. Set SECRET in"):
        compose(["data=mine"])
    with pytest.raises(RequestError, match=r"'SECRET' not found. Set SECRET in the environment, or add data.note="):
        request_record.request_of(record)
    later = request_record.request_of(record, ["data.note=x"])
    assert later.config.data.note == "x"


def test_a_value_of_the_environment_is_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    record = request_record.record_of(compose(["data=mine", "optimizer.lr='${oc.decode:${oc.env:LR,0.5}}'"]))
    monkeypatch.setenv("SECRET", "another")
    monkeypatch.setenv("LR", "0.25")
    later = request_record.request_of(record)
    assert (later.config.data.note, later.config.optimizer.lr) == ("another", 0.25)
    assert request_record.record_of(later)["config"] == record["config"]


@pytest.mark.parametrize(
    ("words", "key", "kept"),
    [
        (["seed=7", "trainer.patience=${seed}"], ("trainer", "patience"), 7),  # a plain reference
        (["tracking.run_name=run-${now:%Y}"], ("tracking", "run_name"), None),
        (["tracking.run_name=n-${data.path}"], ("tracking", "run_name"), "n-${data.path}"),  # refers to one
        (["tracking.run_name=${oc.select:data.note}"], ("tracking", "run_name"), "${oc.select:data.note}"),
        (["data.drop=['${oc.env:SECRET}']"], ("data", "drop"), ["${oc.env:SECRET}"]),
    ],
)
def test_what_is_recorded_of_an_expression(words: list[str], key: tuple[str, str], kept: Any) -> None:
    value = request_record.record_of(compose(["data=mine", *words]))["config"][key[0]][key[1]]
    assert value == kept if kept is not None else value.startswith("run-20")


def test_a_masked_credential_has_to_be_given_again() -> None:
    request = compose(["data=table", "data.path=https://u:plainpw@h/x.csv", "data.target=y"])
    record = request_record.record_of(request)
    assert record["config"]["data"]["path"] == "https://***@h/x.csv"
    assert "plainpw" not in json.dumps(record)
    with pytest.raises(
        RequestError,
        match=r"^data.path held a credential, which no run records. Add data.path=... with it; in a new run write "
        r"\$\{oc.env:NAME\} instead",
    ):
        request_record.request_of(record)
    given = request_record.request_of(record, ["data.path=https://u:plainpw@h/x.csv"])
    assert given.config.data.path == "https://u:plainpw@h/x.csv"
    repeated, changed = reopen.changed(record, ["data.path=https://u:plainpw@h/x.csv"], "rerun run=latest")
    assert not changed  # it is what was recorded, as far as that is known
    assert repeated.command == "lifecycle rerun run=latest data.path=https://***@h/x.csv"
    assert request_record.record_of(given)["config"] == record["config"]


def test_a_saved_model_needs_no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WIDTH", "[5]")
    monkeypatch.setenv("ACTIVATION", "tanh")
    monkeypatch.setenv("TARGET", "species")
    words = ["model.hidden='${oc.decode:${oc.env:WIDTH}}'", "model.activation=${oc.env:ACTIVATION}"]
    result = package.run(["data=mine", *words, "data.target=${oc.env:TARGET}", *QUICK])
    saved_model.save(result.model, tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / "lifecycle.json").read_text())
    assert manifest["model"]["fields"]["hidden"] == [5]
    assert manifest["data"]["fields"]["note"] == "${oc.env:SECRET}"
    assert manifest["data"]["fields"]["path"] == "${oc.env:FOLDER}/iris.csv"
    for name in ("WIDTH", "ACTIVATION", "TARGET", "SECRET", "FOLDER", "DROP"):
        monkeypatch.delenv(name)
    predicted = saved_model.load(tmp_path / "model").predict(files.read("sklearn:iris"))["predicted"]
    assert predicted.tolist() == result.model.predict(files.read("sklearn:iris"))["predicted"].tolist()


def test_errors_from_python_are_masked(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"data.path=https://\*\*\*@h/x.csv could not be fetched") as caught:
        package.run(["data=table", "data.path=https://u:plainpw@h/x.csv", "data.target=y"])
    one: BaseException | None = caught.value
    while one is not None:
        assert "plainpw" not in str(one)
        one = one.__cause__ or one.__context__


def test_a_value_of_another_type_is_not_shown() -> None:
    said = r"trainer.max_epochs cannot be resolved: .*Value '\$\{oc.env:SECRET\}' of type 'str' could not be converted"
    with pytest.raises(RequestError, match=said) as caught:
        compose(["data=iris", "trainer.max_epochs=${oc.env:SECRET}"])
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"


def test_help_and_completion_show_no_credential() -> None:
    line = "lifecycle data=mine data.source="
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\nsys.argv = ['lifecycle', '-sc', 'query=bash']\nfrom lifecycle.cli.main import main\nmain()",
        ],
        env={**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "plainpw" not in ended.stdout + ended.stderr


def test_hidden_values_are_those_of_texts() -> None:
    request: Request = compose(
        ["data=mine", "optimizer.lr='${oc.decode:${oc.env:LR,0.5}}'", "tracking.dir=${oc.env:FOLDER}"]
    )
    assert request.hidden["hunter2canary"] == "${oc.env:SECRET}"
    assert "0.5" not in request.hidden
    assert expressions.dotted(("data", "drop", 0)) == "data.drop.0"
