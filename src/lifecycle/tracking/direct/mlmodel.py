"""The MLflow model of a run: its folder, as ``mlflow.pyfunc`` writes it, and its rows."""

from __future__ import annotations

import json
import platform
import shutil
import sqlite3
import time
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from lifecycle.tracking.database.tables import insert
from lifecycle.tracking.messages import LogModel
from lifecycle.tracking.models.logged import LOADER, OF_EPOCHS, OF_SOURCE, is_same, name_of
from lifecycle.tracking.provenance import user, versions
from lifecycle.tracking.transfer.locations import path_of
from lifecycle.tracking.transfer.run_copy import READY

TYPES = {int: "long", str: "string"}


def record(database: sqlite3.Connection, message: LogModel, run: str, experiment: int, artifacts: str) -> None:
    """Write the folder of a model, and add its rows.

    Args:
        database: of the run.
        message: the saved model, and what its signature needs.
        run: the run.
        experiment: of the run.
        artifacts: address of the artifacts of the run.
    """
    before = (
        "SELECT artifact_location FROM logged_models WHERE source_run_id = ? AND status = ? ORDER BY rowid DESC LIMIT 1"
    )
    found = database.execute(before, (run, READY)).fetchone()
    if found is not None and is_same(path_of(found[0]) / "data" / Path(message.folder).name, Path(message.folder)):
        return  # the run was killed after its model was logged, and has been resumed
    own = f"m-{uuid.uuid4().hex}"
    place = f"{artifacts.removesuffix(f'/{run}/artifacts')}/models/{own}/artifacts"
    created = int(time.time() * 1000)
    _write_folder(path_of(place), place, own, run, message)
    row = (
        own,
        experiment,
        name_of(message.name),
        place,
        created,
        int(time.time() * 1000),
        READY,
        "active",
        None,
        run,
        None,
    )
    insert(database, "logged_models", [row])
    params = database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)).fetchall()
    insert(database, "logged_model_params", [(own, experiment, key, value) for key, value in params])
    tags = _tags(database, run).items()
    insert(database, "logged_model_tags", [(own, experiment, key, value) for key, value in tags])
    insert(database, "inputs", [(uuid.uuid4().hex, "RUN_OUTPUT", run, "MODEL_OUTPUT", own, message.step)])
    _add_scores(database, own, run, experiment, message.step)


def _tags(database: sqlite3.Connection, run: str) -> dict[str, str]:
    """Return the tags of a model: who made it, and with what."""
    of_run = dict(database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)))
    return {name: text for name, text in of_run.items() if name.startswith(OF_SOURCE)} | user()


def _add_scores(database: sqlite3.Connection, own: str, run: str, experiment: int, step: int) -> None:
    """Give a model the scores that its run has at a step, and its final ones, these with the data set of the run."""
    found = "SELECT key, timestamp, step, value, is_nan FROM metrics WHERE run_uuid = ? AND step = ?"
    points = database.execute(found, (run, step)).fetchall()
    at_step = [
        (own, key, at, step, None if nan else value, experiment, run, None, None)
        for key, at, step, value, nan in points
    ]
    named = (
        "SELECT name, digest FROM datasets JOIN inputs ON source_id = dataset_uuid "
        "WHERE source_type = 'DATASET' AND destination_id = ? LIMIT 1"
    )
    data = database.execute(named, (run,)).fetchone() or (None, None)
    last = "SELECT key, timestamp, step, value FROM latest_metrics WHERE run_uuid = ? AND step <> ? AND NOT is_nan"
    final = [
        (own, key, at, step, value, experiment, run, *data)
        for key, at, step, value in database.execute(last, (run, step))
        if not key.startswith(OF_EPOCHS)
    ]
    insert(database, "logged_model_metrics", at_step + final)


def _write_folder(folder: Path, place: str, own: str, run: str, message: LogModel) -> None:
    """Write the folder of a model.

    Args:
        folder: is created.
        place: its address.
        own: id of the model.
        run: the run.
        message: the saved model.
    """
    saved = Path(message.folder)
    shutil.copytree(saved, folder / "data" / saved.name)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    python = platform.python_version()
    needed = [f"{name}=={version}" for name, version in versions().items() if name != "python"]
    (folder / "requirements.txt").write_text("\n".join(needed))
    pip, tools = metadata.version("pip"), [_pinned(name) for name in ("pip", "setuptools", "wheel")]
    conda = {
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", f"pip<={pip}", {"pip": needed}],
        "name": "mlflow-env",
    }
    _write_yaml(folder / "conda.yaml", conda)
    build = {"python": python, "build_dependencies": tools, "dependencies": ["-r requirements.txt"]}
    _write_yaml(folder / "python_env.yaml", build)
    model = {
        "artifact_path": place,
        "flavors": {
            "python_function": {
                "code": None,
                "data": f"data/{saved.name}",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": LOADER,
                "python_version": python,
                "streamable": False,
            }
        },
        "is_signature_from_type_hint": False,
        "mlflow_version": metadata.version("mlflow"),
        "model_id": own,
        "model_size_bytes": size,
        "model_uuid": own,
        "prompts": None,
        "run_id": run,
        "signature": _signature(message),
        "type_hint_from_example": False,
        "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
    }
    _write_yaml(folder / "MLmodel", model)


def _pinned(name: str) -> str:
    """Return a package with its version, or its name if it is not installed."""
    try:
        return f"{name}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


def _write_yaml(file: Path, content: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(content, default_flow_style=False, sort_keys=False, allow_unicode=True))


def _signature(message: LogModel) -> dict[str, str | None]:
    """Return the signature of a model as its file has it; see :mod:`lifecycle.tracking.models.signature`."""
    inputs = [{"type": "any", "name": name, "required": False} for name in message.columns]
    outputs = [{"type": kind, "name": name, "required": True} for name, kind in message.outputs.items()]
    params = [
        {"name": name, "default": default, "shape": None, "type": TYPES[type(default)]}
        for name, default in message.params.items()
    ]
    return {
        "inputs": json.dumps(inputs),
        "outputs": json.dumps(outputs),
        "params": json.dumps(params) if params else None,
    }
