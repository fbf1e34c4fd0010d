"""Records of runs and sweeps of others: no value of the environment, and no credential, leaves this process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

import lifecycle as package
from lifecycle.config.compose import compose
from lifecycle.config.records import request_record, seals
from lifecycle.config.schema import SweepConfig, TrackingConfig
from lifecycle.data.sources import files
from lifecycle.errors import RequestError
from lifecycle.predict import saved_model
from lifecycle.sweeps import plan as plans
from tests.conftest import Command
from tests.packages import GOOD, fresh_site

SECRET = "Hunter2-canary"
EXPRESSION = "${oc.env:CANARY}"
FIT = ("data=iris", "trainer.max_epochs=2")


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", SECRET)


def altered(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the record of the only run of a folder, as an attacker would."""
    (file,) = folder.glob("artifacts/*/*/artifacts/request.json")
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))


def holding(folder: Path) -> list[str]:
    return [str(file) for file in folder.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]


PLACES: dict[str, Callable[[dict[str, Any]], None]] = {
    "tracking.run_name": lambda config: config["tracking"].update(run_name=EXPRESSION),
    "data.path": lambda config: config["data"].update(path=f"http://127.0.0.1:9/{EXPRESSION}.csv"),
    "data.drop.0": lambda config: config["data"].update(drop=["${oc.select:seed}", EXPRESSION]),
    "trainer.max_epochs": lambda config: config["trainer"].update(max_epochs="${oc.decode:${oc.env:CANARY}}"),
    "seed": lambda config: config.update(seed="${lifecycle_own_resolver:x}"),
}


@pytest.mark.fault(41)
def test_no_command_resolves_what_the_run_of_somebody_else_says(
    job: Command, lifecycle: Command, tmp_path: Path
) -> None:
    assert job(*FIT).code == 0
    (tmp_path / "mlruns").rename(tmp_path / "own")
    frame = files.read("sklearn:iris")
    frame.to_csv("rows.csv", index=False)
    shown = []
    for key, change in PLACES.items():
        theirs, mine = tmp_path / f"theirs-{key}", f"tracking.dir=mine-{key}"
        shutil.copytree(tmp_path / "own", theirs)
        altered(theirs, lambda record, change=change: change(record["config"]))
        assert lifecycle("pack", "run=latest", f"output={key}.zip", f"tracking.dir={theirs}").code == 0
        unpacked = lifecycle("unpack", f"input={key}.zip", mine)
        assert unpacked.code == 0, unpacked.err
        commands = [("evaluate", "run=latest", mine), ("rerun", "run=latest", mine)]
        if key != "trainer.max_epochs":
            commands.append(("resume", "run=latest", "trainer.max_epochs=3", mine))
        for words in commands:
            ended = lifecycle(*words)
            assert ended.code == 2, (key, words, ended)
            assert ended.err.startswith(f"lifecycle: {key} is an expression, and the run was recorded by another user")
            assert "Type it to allow that, '" in ended.err
            shown.append(ended.out + ended.err)
        predicted = lifecycle("predict", "run=latest", "input=rows.csv", "output=out.csv", mine)
        assert predicted.code == 0, predicted.err
        Path("out.csv").unlink()
        assert holding(tmp_path) == []
    assert SECRET not in "".join(shown)


def test_what_is_typed_is_taken(job: Command, lifecycle: Command, tmp_path: Path) -> None:
    assert job(*FIT).code == 0
    files.read("sklearn:iris").to_csv("rows.csv", index=False)
    altered(tmp_path / "mlruns", lambda record: record["config"]["data"].update(note=EXPRESSION))
    assert lifecycle("resume", "run=latest", "trainer.max_epochs=3", "verbose=0").code == 0  # the note is a text
    altered(tmp_path / "mlruns", lambda record: record["config"]["data"].update(path="${oc.env:WHERE}"))
    os.environ["WHERE"] = "sklearn:iris"
    try:
        ended = lifecycle("evaluate", "run=latest", "verbose=0")
        assert (ended.code, "'data.path=${oc.env:WHERE}'" in ended.err) == (2, True)
        assert lifecycle("evaluate", "run=latest", "input=rows.csv", "verbose=0").code == 0
        ended = lifecycle("resume", "run=latest", "trainer.max_epochs=4", "data.path=${oc.env:WHERE}", "verbose=0")
        assert ended.code == 0, ended.err
    finally:
        del os.environ["WHERE"]
    assert holding(tmp_path) == []


def test_a_record_of_this_user_is_resolved_again_and_one_that_was_changed_is_not() -> None:
    record = json.loads(json.dumps(request_record.record_of(compose(["data=iris", f"data.note={EXPRESSION}x"]))))
    assert request_record.request_of(record).config.data.note == f"{SECRET}x"
    # As the user and with the record moved to another folder.
    assert request_record.request_of({**record, "folder": "/elsewhere"}).config.data.note == f"{SECRET}x"
    other = json.loads(json.dumps(record))
    other["config"]["tracking"]["run_name"] = EXPRESSION
    with pytest.raises(RequestError, match=r"tracking\.run_name is an expression"):
        request_record.request_of(other)
    os.environ[seals.KEY], own = "of somebody else", os.environ[seals.KEY]
    try:
        assert request_record.request_of(record).config.data.note == "$ {oc.env:CANARY}x"
    finally:
        os.environ[seals.KEY] = own


def test_a_database_of_somebody_else_gets_no_password_of_the_environment() -> None:
    address = "postgresql://evil.host/rows"
    record = request_record.record_of(compose(["data=table", f"data.path={address}", "data.target=y"]))
    assert request_record.request_of(record).config.data.path == address
    record["config"]["data"]["path"] = other = f"{address}2"
    with pytest.raises(RequestError, match=r"data.path is an address that may get a password of this process, and"):
        request_record.request_of(record)
    assert request_record.request_of(record, [f"data.path={other}"]).config.data.path == other


def test_an_escaped_expression_is_no_way_around() -> None:
    record = request_record.record_of(compose(["data=iris"]))
    for text in (r"\${oc.env:CANARY}", r"\\${oc.env:CANARY}", r"\\\${oc.env:CANARY}", "${oc.env:${data.note}}"):
        record["config"]["data"]["note"] = text
        assert SECRET not in str(request_record.request_of(record).config.data.note)


def test_the_model_of_a_saved_model_is_a_configuration_without_expressions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = fresh_site(tmp_path, monkeypatch)
    code = GOOD.replace("    width: int = 64", "    width: int = 64\n    text: str = ''")
    next(sites).install("texts", {"texts": "Net"}, code)
    about = {"plugin": "texts", "package": "p 1", "fields": {"text": EXPRESSION}}
    plugin = saved_model._plugin(Path("saved"), "model", about)
    fitted_again: Any = OmegaConf.to_object(OmegaConf.structured(plugin))
    assert fitted_again.text == "$ {oc.env:CANARY}"
    next(sites, None)


def test_a_record_without_expressions_has_no_seal_and_one_with_a_server_has() -> None:
    assert request_record.SEAL not in request_record.record_of(compose(["data=iris"]))
    record = request_record.record_of(compose(["data=iris", "tracking.uri=http://team:5000"]))
    assert request_record.request_of(record).config.tracking.uri == "http://team:5000"
    record["config"]["tracking"].update(uri="http://evil:5000", artifacts="s3://evil")
    tracking = request_record.request_of(record).config.tracking
    assert (tracking.uri, tracking.artifacts) == (None, None)


def test_a_server_that_a_run_of_somebody_else_names_gets_nothing(
    job: Command, lifecycle: Command, tmp_path: Path
) -> None:
    assert job(*FIT).code == 0
    altered(tmp_path / "mlruns", lambda record: record["config"]["tracking"].update(uri="http://127.0.0.1:9"))
    ended = lifecycle("rerun", "run=latest", "verbose=0")
    assert (ended.code, "127.0.0.1:9" in ended.out + ended.err) == (0, False)
    assert not (tmp_path / "mlruns" / "outbox").exists()


def test_a_sweep_of_somebody_else_starts_no_launcher_and_sends_nothing(tmp_path: Path) -> None:
    request = compose(["data=iris"])
    record = request_record.record_of(request)
    job = plans.PlannedJob(0, (), {}, "c", "s", "", {}, record, {})
    folder = tmp_path / "mlruns" / "sweeps" / "one"
    for tracking, settings, options in (
        (TrackingConfig(uri="http://evil:5000"), SweepConfig(), ()),
        (TrackingConfig(), SweepConfig(launcher="submitit_slurm"), ("hydra.launcher.setup=[touch /tmp/evil]",)),
    ):
        planned = plans.Plan("one", "lifecycle -m", tracking, settings, 0, folder, (job,), launcher_options=options)
        plans.write(planned)
        plans.check_can_continue(plans.read(folder))
        os.environ[seals.KEY], own = "of somebody else", os.environ[seals.KEY]
        try:
            with pytest.raises(RequestError, match="was begun by another user or on another machine, and names a"):
                plans.check_can_continue(plans.read(folder))
        finally:
            os.environ[seals.KEY] = own


def test_the_key_is_a_file_of_its_owner(tmp_path: Path) -> None:
    code = (
        "from lifecycle.config.records import seals; text = seals.seal({'a': (1, 2.5)}); print(text);"
        "print(seals.is_sealed({'a': [1, 2.5]}, text), seals.is_sealed({'a': [1, 2]}, text), seals.is_sealed({}, None))"
    )
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "PYTHONPATH": str(Path(package.__file__).parents[1])}
    del env[seals.KEY]
    runs = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert runs[0].endswith("True False False\n")
    (file,) = (tmp_path / "lifecycle").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    # A home that cannot be written: the process and its children have a key of their own.
    env["XDG_CONFIG_HOME"] = str(file)
    assert (
        "True False"
        in subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    )
