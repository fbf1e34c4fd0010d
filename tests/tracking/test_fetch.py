"""Copies of runs of a server: a server that somebody else writes to cannot choose where files go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lifecycle.errors import RequestError
from lifecycle.tracking.servers import fetch
from lifecycle.tracking.transfer.run_copy import ModelCopy, RunCopy

RUN = "a" * 32
WHOLE = RunCopy(RUN, "r", "e", "FINISHED", 1, 2, models=[ModelCopy(f"m-{RUN}", "model", 1, 2)])


def run(**tags: str) -> Any:
    info = SimpleNamespace(run_id="b" * 32, status="FINISHED")
    return SimpleNamespace(info=info, data=SimpleNamespace(tags=tags))


@pytest.mark.parametrize(
    ("copy", "problem"),
    [
        (RunCopy("../../x", "r", "e", "FINISHED", 1, 2), "'../../x' is no id of a run"),
        (RunCopy(RUN, "r", "../../e", "FINISHED", 1, 2), "'../../e' is no name of an experiment"),
        (RunCopy(RUN, "r", "e", "FINISHED", 1, 2, models=[ModelCopy("../m", "m", 1, 2)]), "'../m' is no id of a model"),
        (
            RunCopy(
                RUN, "r", "e", "FINISHED", 1, 2,
                models=[ModelCopy(f"m-{RUN}", "m", 1, 2, tags={"lifecycle.model_id": "../../../.ssh"})],
            ),
            "'../../../.ssh' is no id of a model",
        ),
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(copy: RunCopy, problem: str) -> None:
    with pytest.raises(RequestError, match=f"cannot be copied from http://h: {problem}. Use another run."):
        fetch._as_here(copy, run(), "http://h")


def test_a_run_is_the_one_of_its_folder() -> None:
    own = fetch._as_here(WHOLE, run(), "http://h")
    assert own.tags == {"lifecycle.server": "http://h", "lifecycle.server_run": "b" * 32}
    assert fetch.own_id(run(**{"lifecycle.run_id": "../x"})) == "b" * 32
