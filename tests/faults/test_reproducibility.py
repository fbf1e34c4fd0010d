"""Other numbers of threads give the same weights, up to the order of sums."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lifecycle.fit import checkpoints
from tests.conftest import Command
from tests.made import runs_in

WITH = """
import sys, torch
from lifecycle.cli.main import main
torch.set_num_threads(int(sys.argv.pop(1)))
sys.exit(main())
"""
"""The command, on so many threads."""
FIT = (
    *("data=digits", "model.hidden=[128]", "trainer.max_epochs=2", "trainer.batch_size=256", "verbose=0"),
    "tracking.figures=false",
)


@pytest.mark.fault(46)
def test_one_thread_and_two_give_the_same_weights(folder: Path, script: Command) -> None:
    for number in "1", "2":
        ended = script(WITH, number, *FIT)
        assert (ended.code, ended.err) == (0, "")
    one, two = (
        checkpoints.read(folder / "mlruns" / "checkpoints" / run.info.run_id / "last.ckpt")["state_dict"]
        for run in runs_in(folder)
    )
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-6)
