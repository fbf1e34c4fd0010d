"""Runs found in MLflow by what a person calls them: an id or its beginning, ``latest``, ``best``, a model's name.

In the process that talks to MLflow; :mod:`lifecycle.runs` is what asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lifecycle.errors import RequestError, did_you_mean
from lifecycle.store import Store, artifacts

LATEST, BEST, REGISTERED = "latest", "best", "models:/"
RUN_ID = re.compile(r"[0-9a-f]{4,32}")
MODEL = re.compile(r"models:/([^@/]*)(?:@(.+)|/(.+))?")
DIRECTIONS = "lifecycle.higher_is_better"
"""Tag: for each score of a run whether more is better."""

MOST_RUNS = 50_000
DEFAULTS = ("kept_val_loss", "test_loss", "training_set_loss")
"""What ``best`` goes by where no metric is named: the first that all runs have. Test rows choose last."""


def find(
    store: Store, run: str, statuses: Iterable[str], metric: str | None = None, sweep: str | None = None
) -> dict[str, Any]:
    """Return one run.

    Args:
        store: the database; ``latest`` and ``best`` look within its experiment, an id anywhere.
        run: what it is called.
        statuses: of MLflow's, which ``latest`` and ``best`` choose among.
        metric: that ``best`` goes by; ``None``: see :data:`DEFAULTS`.
        sweep: the multirun that ``latest`` and ``best`` look within; ``None``: the whole experiment.

    Raises:
        RequestError: there is none, or more than one; says what there is.
    """
    if run in (LATEST, BEST):
        found = _of_experiment(store, statuses, sweep)
        return described(store, found[0] if run == LATEST else _best(found, metric))
    if run.startswith(REGISTERED):
        return _registered(store, run)
    return described(store, _by_id(store, run))


def find_many(store: Store, runs: list[str], sweep: str | None, statuses: Iterable[str]) -> list[dict[str, Any]]:
    """Return several runs, in the order they are named in; or all of a multirun, in the order they were started."""
    if sweep is not None:
        return [described(store, run) for run in reversed(_of_experiment(store, statuses, sweep))]
    return [find(store, run, statuses) for run in runs]


def described(store: Store, run: Any) -> dict[str, Any]:
    """Return what is to be known of a run, in plain values."""
    return {
        "id": run.info.run_id,
        "name": run.info.run_name or run.info.run_id,
        "status": run.info.status,
        "experiment": store.client.get_experiment(run.info.experiment_id).name,
        "start_time": run.info.start_time,
        "end_time": run.info.end_time,
        "folder": str(store.folder),
        "artifacts": str(artifacts(run)),
        "saved": _saved(store, run),
        "params": dict(run.data.params),
        "metrics": dict(run.data.metrics),
        "tags": dict(run.data.tags),
    }


def _saved(store: Store, run: Any) -> str | None:
    """Return the folder of the model that a run saved last, if it did."""
    models = run.outputs.model_outputs if run.outputs is not None else []
    if not models:
        return None
    location = store.client.get_logged_model(models[-1].model_id).artifact_location
    return str(_path_of(location) / "data" / "saved")


def _path_of(location: str) -> Path:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(location).path))


def _of_experiment(store: Store, statuses: Iterable[str], sweep: str | None) -> list[Any]:
    """Return the runs of the experiment, the last started first.

    Raises:
        RequestError: there is none with such a status.
    """
    wanted = tuple(statuses)
    words = [f"attributes.status = '{wanted[0]}'"] if len(wanted) == 1 else []
    words += [f"tags.`lifecycle.sweep` = {_quoted(sweep)}"] if sweep else []
    found = [
        run
        for run in store.client.search_runs(
            [store.experiment_id],
            " and ".join(words),
            max_results=MOST_RUNS,
            order_by=["attributes.start_time DESC"],
        )
        if "lifecycle.command" in run.data.tags and run.info.status in wanted
    ]
    if found:
        return list(found)
    where = f"tracking.dir={store.folder} has no {' or '.join(wanted)} run in experiment {_name(store)}"
    if sweep is None:
        raise RequestError(f"{where}. Run one first, such as lifecycle model=mlp data=iris, or name its folder.")
    last = store.client.search_runs([store.experiment_id], max_results=1000, order_by=["attributes.start_time DESC"])
    tagged = [run.data.tags.get("lifecycle.sweep") for run in last]
    sweeps = list(dict.fromkeys(name for name in tagged if name))
    known = f" Sweeps: {', '.join(sweeps[:5])}." if sweeps else " No run there is of a sweep."
    raise RequestError(f"{where} of sweep={sweep}.{did_you_mean(sweep, sweeps)}{known}")


def _best(runs: list[Any], metric: str | None) -> Any:
    data = sorted({run.data.tags.get("lifecycle.data", "") for run in runs})
    if len(data) > 1:
        raise RequestError(
            f"run=best compares runs on the same data, and these are on {', '.join(data)}. Name a sweep=..., a "
            "tracking.experiment=... or the run itself."
        )
    names = sorted({name for run in runs for name in run.data.metrics})
    if metric is None:
        metric = next((name for name in DEFAULTS if all(name in run.data.metrics for run in runs)), None)
        if metric is None:
            raise RequestError(f"run=best has no score that all {len(runs)} runs have. Name one with metric=....")
    having = [run for run in reversed(runs) if metric in run.data.metrics]  # of equal ones, the one started first
    if not having:
        scores = [name for name in names if name.startswith(("kept_", "test_", "training_set_"))]
        hint = did_you_mean(metric, names)
        raise RequestError(f"metric={metric} is a score of none of these runs.{hint} Scores: {', '.join(scores)}.")
    better = _more_is_better(having[0], metric)
    return sorted(having, key=lambda run: run.data.metrics[metric], reverse=better)[0]


def _more_is_better(run: Any, metric: str) -> bool:
    directions = json.loads(run.data.tags.get(DIRECTIONS, "{}"))
    return next((bool(better) for name, better in directions.items() if metric.endswith(f"_{name}")), False)


def _registered(store: Store, address: str) -> dict[str, Any]:
    """Return the run behind ``models:/name@alias``, ``models:/name/3`` or ``models:/name`` (the last version)."""
    import mlflow.exceptions

    parts = MODEL.fullmatch(address)
    name, alias, version = parts.groups() if parts else ("", None, None)
    try:
        if alias is not None:
            found = store.client.get_model_version_by_alias(name, alias)
        elif version not in (None, LATEST):
            found = store.client.get_model_version(name, version)
        else:
            versions = store.client.search_model_versions(f"name = {_quoted(name)}")
            found = max(versions, key=lambda one: int(one.version), default=None)
    except mlflow.exceptions.MlflowException:
        found = None
    if found is None:
        known = [model.name for model in store.client.search_registered_models(max_results=20)]
        there = f"Registered: {', '.join(known)}." if known else "No model is registered there."
        raise RequestError(
            f"run={address} is no registered model in {store.folder}.{did_you_mean(name, known)} {there} Write "
            "models:/<name>@<alias> or models:/<name>/<version>; `lifecycle register` makes one."
        )
    run = described(store, store.client.get_run(found.run_id))
    return {**run, "registered": f"{found.name} version {found.version}"}


def _by_id(store: Store, run: str) -> Any:
    import mlflow.exceptions

    if not RUN_ID.fullmatch(run):
        raise RequestError(
            f"run={run} is no run. Write a run's id or its first 4 or more characters, latest, best, "
            "models:/<name>@<alias>, or a folder with a saved model."
        )
    try:
        return store.client.get_run(run)
    except mlflow.exceptions.MlflowException:
        pass
    experiments = [experiment.experiment_id for experiment in store.client.search_experiments()]
    found = [
        one
        for one in store.client.search_runs(experiments, f"attributes.run_id LIKE '{run}%'", max_results=MOST_RUNS)
        if one.info.run_id.startswith(run)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise RequestError(
            f"run={run} is no run in {store.folder}. `lifecycle ui` shows all; or name another tracking.dir."
        )
    some = ", ".join(f"{one.info.run_id[: len(run) + 4]} ({one.info.run_name})" for one in found[:5])
    raise RequestError(f"run={run} is the beginning of {len(found)} runs: {some}. Type more of it.")


def _name(store: Store) -> str:
    return str(store.client.get_experiment(store.experiment_id).name)


def _quoted(text: str) -> str:
    """Return a text as MLflow's filters take it; they know no escape, and a text with both quotes finds nothing."""
    return f'"{text.replace(chr(34), "")}"' if "'" in text else f"'{text}'"
