"""Names for the models of runs, in MLflow's registry: versions of a name, and aliases such as ``champion`` for one.

In the process that talks to MLflow.
"""

from __future__ import annotations

import re
from typing import Any

from lifecycle.errors import RequestError
from lifecycle.tracking.store import Store

SOURCE = re.compile(r"models:/(m-[0-9a-f]+)")
"""Where a version is from; MLflow's database keeps the model's id in this address alone."""


def register(store: Store, run_id: str, name: str, aliases: list[str]) -> dict[str, Any]:
    """Make the model of a run a version of ``name``, and let aliases mean it.

    A model that is a version of this name already is made none again: only its aliases are set.

    Returns:
        The ``version``, whether it is ``new``, and for each alias that moved the version it meant before: ``moved``.

    Raises:
        RequestError: the run saved no model, or MLflow does not take the name or an alias.
    """
    import mlflow.exceptions

    client = store.client
    model = last_model(store, client.get_run(run_id))
    if model is None:
        raise RequestError(f"run {run_id} has no model in MLflow. Train again, and register that run.")
    model_id = model.model_id
    try:
        found = versions(store, name)
        version = next((one.version for one in found if model_of(one) == model_id), None)
        new = version is None
        if version is None:
            if not client.search_registered_models(f"name = {quoted(name)}"):
                client.create_registered_model(name)
            version = client.create_model_version(name, f"models:/{model_id}", run_id=run_id, model_id=model_id).version
        before = dict(client.get_registered_model(name).aliases)
        for alias in aliases:
            client.set_registered_model_alias(name, alias, str(version))
    except mlflow.exceptions.MlflowException as error:
        raise RequestError(f"name={name} cannot be registered: {str(error).splitlines()[0].rstrip('.')}.") from error
    moved = {alias: str(before[alias]) for alias in aliases if str(before.get(alias, version)) != str(version)}
    return {"version": str(version), "new": new, "moved": moved}


def last_model(store: Store, run: Any) -> Any:
    """Return the model that a run saved last: one that was resumed has several, in no order. ``None``: none."""
    outputs = run.outputs.model_outputs if run.outputs is not None else []
    models = [store.client.get_logged_model(one.model_id) for one in outputs]
    whole = [model for model in models if model.status == "READY"] or models
    return max(whole, key=lambda model: model.creation_timestamp, default=None)


def model_of(version: Any) -> str | None:
    """Return the id of the logged model that a version is; ``None`` where it was registered by an address."""
    found = SOURCE.fullmatch(version.source or "")
    return found[1] if found else None


def versions(store: Store, name: str) -> list[Any]:
    """Return the versions of a name, the first first."""
    found = store.client.search_model_versions(f"name = {quoted(name)}")
    return sorted(found, key=lambda one: int(one.version))


def quoted(text: str) -> str:
    """Return a text as MLflow's filters take it; they know no escape, and a text with both quotes finds nothing."""
    return f'"{text.replace(chr(34), "")}"' if "'" in text else f"'{text}'"
