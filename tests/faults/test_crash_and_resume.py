"""Runs that are interrupted again and again."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.conftest import artifacts
from tests.forked import Forks, Process
from tests.functional.test_resume import OFTEN, points, rows
from tests.made import runs_in

EPOCHS = 200
FIT = (
    *("data=iris", "model.dropout=0.2", f"trainer.max_epochs={EPOCHS}", "trainer.early_stopping=false"),
    *("tracking.figures=false", "verbose=2"),
)


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
