"""MLflow's model registry: versions of registered models, and aliases such as ``champion``.

Used in the process that records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lifecycle.errors import RequestError, Setting, did_you_mean, first_line
from lifecycle.tracking.filters import quoted
from lifecycle.tracking.models.logged import last_model
from lifecycle.tracking.replies import Registered

ADDRESS = re.compile(r"models:/([^@/]*)(?:@(.+)|/(.+))?")
SOURCE = re.compile(r"models:/(m-[0-9a-f]+)")
"""The source of a model version; MLflow's database keeps the id of the logged model only here."""


def register(client: Any, run_id: str, name: str, aliases: list[str]) -> Registered:
    """Register the model of a run as a version of ``name``, and point aliases to it.

    A model that is a version of this name already gets no second version, only the aliases.

    Raises:
        RequestError: the run saved no model, or MLflow does not take the name or an alias.
    """
    import mlflow.exceptions

    model = last_model(client, client.get_run(run_id))
    if model is None:
        raise RequestError(f"run {run_id}", "has no model in MLflow", remedy="Train again, and register that run.")
    model_id = model.model_id
    try:
        found = versions(client, name)
        version = next((one.version for one in found if model_of(one) == model_id), None)
        new = version is None
        if version is None:
            # Creating a version would not create the name; creating an existing name would raise.
            if not client.search_registered_models(f"name = {quoted(name)}"):
                client.create_registered_model(name)
            with _tracking_uri(client.tracking_uri):
                source = f"models:/{model_id}"
                version = client.create_model_version(name, source, run_id=run_id, model_id=model_id).version
        # Read before the aliases are moved, to say which version each one had.
        before = dict(client.get_registered_model(name).aliases)
        for alias in aliases:
            client.set_registered_model_alias(name, alias, str(version))
    except mlflow.exceptions.MlflowException as error:
        problem = f"cannot be registered: {first_line(error)}"
        raise RequestError(Setting("name", name), problem, remedy="Correct this, and register it again.") from error
    moved = {alias: str(before[alias]) for alias in aliases if str(before.get(alias, version)) != str(version)}
    return Registered(str(version), new, moved)


@contextmanager
def _tracking_uri(address: str) -> Iterator[None]:
    """Let MLflow look for a logged model at an address within the block: a registry in a database asks no client."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def model_of(version: Any) -> str | None:
    """Return the id of the logged model of a version; ``None``: it was registered from another address."""
    found = SOURCE.fullmatch(version.source or "")
    return found[1] if found else None


def version_of(client: Any, address: str, where: str) -> Any:
    """Return the version behind ``models:/name@alias``, ``models:/name/3`` or ``models:/name`` (the last version).

    Args:
        client: ``mlflow.MlflowClient``.
        address: of the version.
        where: the registry, for messages.

    Raises:
        RequestError: there is none, or it belongs to no run.
    """
    import mlflow.exceptions

    parts = ADDRESS.fullmatch(address)
    name, alias, version = parts.groups() if parts else ("", None, None)
    try:
        if alias is not None:
            found = client.get_model_version_by_alias(name, alias)
        elif version not in (None, "latest"):
            found = client.get_model_version(name, version)
        else:
            found = next(reversed(versions(client, name)), None)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        found = None
    if found is None:
        known = [model.name for model in client.search_registered_models(max_results=20)]
        there = f"Registered: {', '.join(known)}." if known else "No model is registered there."
        raise RequestError(
            Setting("run", address),
            f"is no registered model in {where}",
            remedy=f"{did_you_mean(name, known)} {there} Write models:/<name>@<alias> or models:/<name>/<version>; "
            "`lifecycle register` registers one.",
        )
    if not found.run_id:
        raise RequestError(
            Setting("run", address),
            f"is {found.name} version {found.version}, which belongs to no run",
            remedy="`lifecycle register` registers one that does.",
        )
    return found


def versions(client: Any, name: str) -> list[Any]:
    """Return the versions of a registered model in ascending order."""
    found = client.search_model_versions(f"name = {quoted(name)}")
    return sorted(found, key=lambda one: int(one.version))
