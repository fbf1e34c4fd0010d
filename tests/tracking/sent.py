"""What tests of servers compare: a run in a folder, and the same run on a server."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from lifecycle.data.sources import files
from tests.conftest import Command
from tests.tracking.servers import MLflowServer

CHECKPOINTS = ["checkpoints/last.ckpt", "checkpoints/last.ckpt.sha256"]


def local_points(folder: Path, run: str) -> list[tuple[str, float, int, int]]:
    """Return the points of a run in a folder, sorted, as :meth:`MLflowServer.points` does."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        return sorted(
            database.execute("SELECT key, value, timestamp, step FROM metrics WHERE run_uuid = ?", (run,)).fetchall()
        )


def check_same(server: MLflowServer, folder: Path, run: Any, address: str = "") -> None:
    """Check that a run on the server is the one in a folder: points, parameters, tags, artifacts, model, data set."""
    own = run.data.tags["lifecycle.run_id"]
    with sqlite3.connect(folder / "mlflow.db") as database:
        status, ended = database.execute("SELECT status, end_time FROM runs WHERE run_uuid = ?", (own,)).fetchone()
        params = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (own,)).fetchall())
        tags = dict(database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (own,)).fetchall())
    assert (run.info.status, run.info.end_time) == (status, ended)
    assert server.points(run) == local_points(folder, own) != []
    assert run.data.params == params
    assert tags.pop("lifecycle.server_run") == run.info.run_id
    assert tags.pop("lifecycle.server") == (address or server.address)
    assert {key: value for key, value in run.data.tags.items() if key in tags} == tags
    (files_of_run,) = folder.glob(f"artifacts/*/{own}/artifacts")
    there = sorted(path.relative_to(files_of_run).as_posix() for path in files_of_run.rglob("*") if path.is_file())
    assert {name for name in server.files(run) if name not in there} <= {
        *CHECKPOINTS,
        "mlflow_model.json",
        "files.sha256",
    }
    assert set(there) <= set(server.files(run))
    assert run.inputs.dataset_inputs[0].dataset.name == "iris"


def weights(folder: Path, run: str) -> str:
    """Return the digest of the weights that a run has saved last."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        (model,) = database.execute(
            "SELECT model_id FROM logged_models WHERE source_run_id = ? ORDER BY creation_timestamp_ms DESC", (run,)
        ).fetchone()
    (file,) = folder.rglob(f"{model}/artifacts/data/saved/weights.safetensors")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)


def sync(lifecycle: Command, *to: str) -> None:
    """Send what waits: the end of a run waits only shortly for a server, and a busy machine is slow."""
    wait_until(lambda: lifecycle("sync", *to).code == 0)


def predict_elsewhere(lifecycle: Command, run: Any, *to: str) -> None:
    """Predict with a run of a server in a folder of runs that has none, which copies it."""
    files.read("sklearn:iris").drop(columns="species").to_csv("in.csv", index=False)
    words = (f"run={run.info.run_id}", "input=in.csv", "output=elsewhere.csv", "tracking.dir=elsewhere")
    ended = lifecycle("predict", *words, *to)
    assert ended.code == 0, ended.err
    predicted = pd.read_csv("elsewhere.csv")
    assert len(predicted) == 150
    assert len(list(Path("elsewhere").rglob("weights.safetensors"))) == 1


def assert_none_has(secrets: Iterable[str], *folders: Path, texts: Iterable[str] = ()) -> None:
    """Check that neither a file of folders nor a text has one of these words."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert files
    for secret in secrets:
        assert secret
        assert not [file for file in files if secret.encode() in file.read_bytes()], secret
        assert not [text for text in texts if secret in text], secret
