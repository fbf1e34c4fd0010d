"""`kill -9` of the process that records a run, alone: another one takes its place, and the run is complete."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow
import pytest

from lifecycle.tracking.store import database_uri
from tests.conftest import Ended, artifacts
from tests.forked import Forks, Process
from tests.made import runs_in

FIT = ("data=iris", "trainer.early_stopping=false", "tracking.figures=false", "tracking.uri=local", "verbose=2")
KILL = """
import os, signal, sys, threading
from pathlib import Path
from lifecycle.cli.main import main
from lifecycle.tracking import client, run
moment, run.SECONDS_BETWEEN = sys.argv.pop(1), 0.0

def kill(recorder):
    os.kill(recorder._process.pid, signal.SIGKILL)
    recorder._process.wait()

if moment == "before it is used":
    borrow = client.borrow
    def borrow_killed():
        run.borrow, first = borrow, borrow()
        kill(first)
        return first
    run.borrow = borrow_killed
write, killed = client.Client._write, []
def killing(self, message, number):
    name = type(message).__name__
    if name == moment.removeprefix("after ") and not killed:
        killed.append(name)
        if moment.startswith("after "):
            write(self, message, number)
        kill(self)
    write(self, message, number)
client.Client._write = killing
sys.exit(main())
"""
"""The command; it kills the process that records as it sends it a message, or when it has sent it."""
MOMENTS = (
    *("before it is used", "CreateRun", "LogRequest", "LogMetrics", "after LogMetrics", "LogFile", "LogModel"),
    *("after LogModel", "FinishRun", "after FinishRun"),
)


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(one, marks=() if one in ("LogMetrics", "after FinishRun") else pytest.mark.longest)
        for one in MOMENTS
    ],
)
def test_a_run_is_complete_when_the_process_that_records_it_was_killed(forks: Forks, folder: Path, moment: str) -> None:
    process = Process(forks, [moment, *FIT, "trainer.max_epochs=20"], folder, code=KILL)
    out, err = process.communicate(timeout=200)
    ended = Ended(process.wait(), out, err)
    assert (ended.code, ended.err) == (0, "")
    assert "Traceback" not in ended.out
    (run,) = runs_in(folder)
    assert run.info.status == "FINISHED"
    assert run.info.run_id in out
    client = mlflow.MlflowClient(database_uri(folder / "mlruns"))
    epochs = len(re.findall(r"^epoch ", out, re.MULTILINE))
    assert epochs == 20
    for name in ("train_loss", "val_loss"):
        steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
        assert steps == list(range(1, 21)), name
    assert len(client.get_metric_history(run.info.run_id, "test_loss")) == 1
    assert run.data.params["trainer.max_epochs"] == "20"
    assert len(run.inputs.dataset_inputs) == 1
    assert len(client.search_logged_models([run.info.experiment_id])) == 1
    assert {"history.csv", "predictions.csv", "request.json"} <= {file.name for file in artifacts(run).iterdir()}
    assert not list((folder / "mlruns" / "spool").glob("*.jsonl"))


def test_a_run_that_has_ended_stays_finished_where_the_process_that_sends_it_is_killed(
    forks: Forks, folder: Path
) -> None:
    words = [*FIT[:-2], "verbose=1", "tracking.uri=http://127.0.0.1:9", "trainer.max_epochs=2"]
    process = Process(forks, ["after Deliver", *words], folder, code=KILL)
    out, err = process.communicate(timeout=200)
    assert (process.wait(), err) == (0, "")
    said = " ".join(out.split())
    assert "not yet in full on http://127.0.0.1:9: the process that records the run ended (exit code -9)" in said
    assert [run.info.status for run in runs_in(folder)] == ["FINISHED"]


def test_a_process_that_is_killed_again_and_again_is_reported(forks: Forks, folder: Path) -> None:
    code = KILL.replace(" and not killed", "")
    process = Process(forks, ["LogMetrics", *FIT, "trainer.max_epochs=20"], folder, code=code)
    out, err = process.communicate(timeout=200)
    assert process.wait() == 1
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert "the process that records the run ended (exit code -9)" in err
    shown = Process(forks, ["compare", "run=latest", "output=null"], folder)  # which records what is in the journal
    assert shown.communicate(timeout=200)[1] == ""
    assert [run.info.status for run in runs_in(folder)] == ["FAILED"]
    assert not list((folder / "mlruns" / "spool").glob("*.jsonl"))
