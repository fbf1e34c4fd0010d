"""Runs that are interrupted again and again."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.conftest import artifacts
from tests.forked import COMMAND, Forks, Process
from tests.functional.test_resume import OFTEN, points, rows
from tests.made import runs_in

EPOCHS = 200
FIT = (
    *("data=iris", "model.dropout=0.2", f"trainer.max_epochs={EPOCHS}", "trainer.early_stopping=false"),
    *("tracking.figures=false", "verbose=2"),
)


STOPPED_IN_SAVE = f"""
import builtins, io, os, signal, torch
saved = torch.save

class Stopping(io.BufferedIOBase):
    def __init__(self, file):
        self.file, self.writes = file, 0

    def write(self, content):
        self.writes += 1
        if self.writes == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.file.write(content)

def save(content, file, *arguments, **options):
    if not os.path.exists("stopped") and "state_dict" in content:
        builtins.open("stopped", "w").close()
        file = Stopping(file)
    saved(content, file, *arguments, **options)

torch.save = save
{COMMAND}"""
"""The command, which gets SIGTERM in the middle of writing its first checkpoint."""


@pytest.mark.fault(3, 5)
@pytest.mark.parametrize("many", [(), ("-m", "seed=1,2", "sweep.vectorise=off")], ids=["run", "sweep"])
def test_a_signal_while_a_checkpoint_is_written_leaves_a_run_that_is_resumed(
    forks: Forks, folder: Path, many: tuple[str, ...]
) -> None:
    words = [*many, "data=iris", "trainer.max_epochs=3", "tracking.figures=false"]
    process = Process(forks, words, folder, code=STOPPED_IN_SAVE)
    _, err = process.communicate(timeout=120)
    # In a sweep, the process of the job gets the signal, and another one runs the next job.
    said = "lifecycle: job 1: seed=1 ended its process; " if many else "lifecycle: stopped by SIGTERM\n"
    assert (process.wait(), err[: len(said)], "Traceback" in err) == (1 if many else 143, said, False)
    run, *others = runs_in(folder)
    assert (run.info.status, run.data.tags["lifecycle.error"]) == ("KILLED", "stopped by SIGTERM")
    assert [other.info.status for other in others] == ["FINISHED"] * bool(many)
    again = Process(forks, ["resume", "sweep=latest"] if many else ["resume", "run=latest"], folder)
    _, err = again.communicate(timeout=120)
    assert (again.wait(), err) == (0, "")
    assert {run.info.status for run in runs_in(folder)} == {"FINISHED"}


@pytest.mark.slow
@pytest.mark.fault(9)
def test_a_run_that_is_interrupted_again_and_again_fits_little_twice(forks: Forks, folder: Path) -> None:
    whole = Process(forks, [*FIT], folder, code=OFTEN)
    assert whole.communicate(timeout=200)[1] == ""
    fitted: list[int] = []
    words = [*FIT]
    for epoch in (20, 21, 150, EPOCHS):
        process = Process(forks, words, folder, code=OFTEN)
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.match(r"epoch (\d+)/", line):
                fitted.append(int(found[1]))
                if fitted[-1] == epoch:
                    break
        if epoch < EPOCHS:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        fitted += [int(number) for number in re.findall(r"^epoch (\d+)/", out, re.MULTILINE)]
        if epoch < EPOCHS:
            assert (process.wait(), err) == (130, "lifecycle: stopped by SIGINT\n")
        words = ["resume", f"run={runs_in(folder)[-1].info.run_id}", "verbose=2"]
    assert (process.wait(), err) == (0, "")
    assert sorted(set(fitted)) == list(range(1, EPOCHS + 1))
    assert len(fitted) <= 1.5 * EPOCHS
    one, other = runs_in(folder)
    assert other.info.status == "FINISHED"
    assert rows(other) == rows(one)
    assert points(folder, other) == points(folder, one)
    assert (artifacts(other) / "predictions.csv").read_bytes() == (artifacts(one) / "predictions.csv").read_bytes()
