"""Read the rows of a job like a tutorial's script, with pandas, NumPy and scikit-learn, each imported where needed.

The split has its own random seed: it has as many training rows as ours, but not the same ones.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rows:
    """Training and test rows; if none are held out, the test rows are the training rows.

    Inputs are ``(rows, *sample) float32``; targets ``(rows,)`` int64 codes (multiclass) or float32.
    """

    inputs: Array
    targets: Array
    test_inputs: Array
    test_targets: Array


def job_of_command_line() -> dict[str, Any]:
    """Read the job from the file that is the first argument; see :func:`peers.jobs.describe`."""
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    return job


def print_report(seconds: float, work: dict[str, int], scores: dict[str, float], **more: Any) -> None:
    """Print the report of a script as its last line: seconds of the fit, work and scores."""
    print(json.dumps({"fit": seconds, "work": work, "scores": scores, "threads": os.cpu_count(), **more}))


def read(job: dict[str, Any]) -> Rows:
    """Return the rows of a job."""
    if job["name"] == "mnist":
        return _mnist(job["data"])
    if "window" in job["data"]:
        return _series(job["data"])
    return _table(job["data"], job["task"], job["seed"])


def _mnist(data: dict[str, Any]) -> Rows:
    with np.load(data["path"]) as file:
        images = [(file[name] / np.float32(data["max_value"]))[:, None] for name in ("x_train", "x_test")]
        codes = [file[name].astype(np.int64) for name in ("y_train", "y_test")]
    return Rows(images[0], codes[0], images[1], codes[1])  # images: (rows, 1, 28, 28)


def _series(data: dict[str, Any]) -> Rows:
    import pandas as pd

    values = pd.read_csv(data["path"])[data["target"]].to_numpy(dtype=np.float32)
    window, test = data["window"], int(data["test_size"])
    windows = np.stack([values[at - window : at] for at in range(window, len(values))])[:, :, None]
    targets = values[window:]
    if not test:
        return Rows(windows, targets, windows, targets)
    return Rows(windows[:-test], targets[:-test], windows[-test:], targets[-test:])


def _table(data: dict[str, Any], task: str, seed: int) -> Rows:
    inputs, targets = _columns(data, task)
    if not data["test_size"]:
        return Rows(inputs, targets, inputs, targets)
    from sklearn.model_selection import train_test_split

    train, test, train_targets, test_targets = train_test_split(
        inputs, targets, test_size=data["test_size"], random_state=seed
    )
    return Rows(train, train_targets, test, test_targets)


def _columns(data: dict[str, Any], task: str) -> tuple[Array, Array]:
    kind = np.int64 if task == "multiclass" else np.float32
    if data["path"].startswith("sklearn:"):
        from sklearn import datasets

        loaded = getattr(datasets, "load_" + data["path"].removeprefix("sklearn:"))()
        return loaded.data.astype(np.float32), loaded.target.astype(kind)
    import pandas as pd

    frame = pd.read_csv(data["path"])
    targets = frame.pop(data["target"])
    if not pd.api.types.is_numeric_dtype(targets):
        from sklearn.preprocessing import LabelEncoder

        targets = LabelEncoder().fit_transform(targets)
    return frame.to_numpy(dtype=np.float32), np.asarray(targets, dtype=kind)
