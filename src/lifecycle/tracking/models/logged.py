"""The MLflow models of runs: what they are called, which tags and scores of their run they have, and their files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.runtime.files.digests import sha256
from lifecycle.tracking.transfer.locations import Locations, path_of

LOADER = "lifecycle.saved"
"""The module that loads a model; it is written into every model: the path must stay."""

OF_SOURCE = "mlflow.source."
"""Beginning of the names of tags of a run that its model has too; the page of the model shows them as "Logged from"."""

OF_EPOCHS = ("train_", "val_", "lr", "epoch")
"""Beginnings of the names of scores that a run has once an epoch."""

_NOT_IN_NAMES = re.compile(r"[/:.%\"']")


def name_of(text: str) -> str:
    """Return the name of a model without the characters that MLflow refuses.

    >>> name_of("mlp-iris: 1")
    'mlp-iris- 1'
    """
    return _NOT_IN_NAMES.sub("-", text) or "model"


def last_model(client: Any, run: Any) -> Any:
    """Return the last model of a run, or ``None``; a run that was resumed has several, in no order."""
    outputs = run.outputs.model_outputs if run.outputs is not None else []
    models = [client.get_logged_model(one.model_id) for one in outputs]
    # A run that was killed while it logged a model leaves one that is PENDING.
    whole = [model for model in models if model.status == "READY"] or models
    return max(whole, key=lambda model: model.creation_timestamp, default=None)


def is_same(saved: Path, folder: Path) -> bool:
    """Return whether a saved model is complete and equal to the one in another folder."""
    try:
        then, now = (json.loads((model / layout.MANIFEST).read_text()) for model in (saved, folder))
        digests = {
            name: digest for name, digest in then["sha256"].items() if name != layout.MANIFEST
        }  # the manifest cannot contain its own digest
        whole = all(sha256(saved / name) == digest for name, digest in digests.items())
    except (OSError, ValueError):
        return False
    weights = [manifest.pop("sha256")[layout.WEIGHTS] for manifest in (then, now)]
    return whole and weights[0] == weights[1] and bool(then == now)


def folder_of(model: Any, locations: Locations | None = None) -> str:
    """Return the folder of the saved model within the files of an MLflow model.

    Args:
        model: ``mlflow.entities.LoggedModel``.
        locations: of its store; ``None``: the store is where its database says.
    """
    address = model.artifact_location
    return str((path_of(address) if locations is None else locations.path(address)) / "data" / "saved")


def is_saved(client: Any, run: Any, folder: Path) -> bool:
    """Return whether the last model of a run is complete and equal to the one in a folder."""
    model = last_model(client, run)
    return model is not None and is_same(Path(folder_of(model)), folder)
