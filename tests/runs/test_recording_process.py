"""The pictures that the process that records draws: half of them in a fork, where that is safe."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from lifecycle.plots import artifacts
from lifecycle.tracking import worker
from tests.conftest import Command
from tests.plots.test_artifacts import history, labelled, predictions, spec_of

DRAW = """
import json, resource, sys, threading
from pathlib import Path
from lifecycle.runs import recording_process
from lifecycle.tracking.messages import LogFigures
threading.Thread(target=threading.Event().wait, daemon=True, name=sys.argv[1]).start()
message = LogFigures(**json.loads(Path("message.json").read_text()))
Path("drawn").mkdir()
recording_process.draw(Path("drawn"), message)
print("forked" if resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime > 0.01 else "alone")
"""


@pytest.mark.parametrize(("thread", "how"), [(worker.READER, "forked"), ("another", "alone")])
def test_pictures_are_drawn_in_two_processes_unless_another_thread_runs(
    script: Command, tmp_path: Path, thread: str, how: str
) -> None:
    frame, spec, fitted = predictions(labelled(3)), spec_of(labelled(3)), history(3, 1, 1)
    wanted, look = tmp_path / "wanted", artifacts.Look("iris, 30 test rows, run mlp-iris-0")
    wanted.mkdir()
    artifacts.write_pictures(wanted, fitted, frame, spec, look)
    frame.to_parquet(tmp_path / "rows.parquet")
    message = {"history": asdict(fitted), "predictions": str(tmp_path / "rows.parquet"), "spec": asdict(spec)}
    (tmp_path / "message.json").write_text(json.dumps({**message, "about": look.about}))
    ended = script(DRAW, thread)
    assert (ended.code, ended.out, ended.err) == (0, f"{how}\n", "")
    drawn = {file.name: file.read_bytes() for file in (tmp_path / "drawn").iterdir()}
    assert drawn == {file.name: file.read_bytes() for file in wanted.iterdir()}
    assert sorted(drawn) == sorted(artifacts.pictures_of(spec))
