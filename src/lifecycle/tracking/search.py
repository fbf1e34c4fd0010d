"""Finds runs in MLflow by an id or its first characters, ``latest``, ``best``, or the name of a registered model.

Runs in the process that records; :mod:`lifecycle.tracking.found_run` is its client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from lifecycle import layout
from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.tracking import ranking, sweep_runs
from lifecycle.tracking.filters import of_tag
from lifecycle.tracking.models.logged import folder_of, last_model
from lifecycle.tracking.models.registry import model_of, version_of
from lifecycle.tracking.pages import tags
from lifecycle.tracking.replies import RunRecord
from lifecycle.tracking.store import Store

LATEST, BEST, REGISTERED = "latest", "best", "models:/"
# Fewer than four characters would match by chance once there are a few hundred runs.
RUN_ID = re.compile(r"[0-9a-f]{4,32}")

# MLflow refuses to return more at once.
MOST_RUNS = 50_000


def find(
    store: Store, run: str, statuses: Iterable[str], metric: str | None = None, sweep: str | None = None
) -> RunRecord:
    """Return one run.

    Args:
        store: the database; ``latest`` and ``best`` search its experiment, an id all of them.
        run: an id or its first characters, ``latest``, ``best``, or ``models:/...``.
        statuses: MLflow statuses that ``latest`` and ``best`` choose among.
        metric: of ``best``; ``None``: that of the sweep, else see :data:`lifecycle.tracking.ranking.DEFAULTS`.
        sweep: the multirun that ``latest`` and ``best`` search; ``None``: the whole experiment.

    Raises:
        RequestError: there is none, or more than one; lists what there is.
    """
    if run in (LATEST, BEST):
        found = _of_experiment(store, statuses, sweep)
        if run == LATEST:
            chosen = found[0]
        else:
            whole = [one for one in found if not is_pruned(one.data.tags)]
            metric = metric or _metric_of(store, sweep, whole or found)
            chosen = ranking.best_of(whole or found, metric, sweep is not None)
        return described(store, store.client.get_run(chosen.info.run_id))
    if run.startswith(REGISTERED):
        return _registered(store, run)
    return described(store, _by_id(store, run))


def find_many(
    store: Store, runs: list[str], sweep: str | None, statuses: Iterable[str], metric: str | None = None
) -> list[RunRecord]:
    """Return several runs in the given order, or all of a multirun in the order of their start.

    ``best`` chooses among FINISHED runs only.
    """
    if not runs:
        found = [str(run.info.run_id) for run in reversed(_of_experiment(store, statuses, sweep))]
        return [described(store, store.client.get_run(run)) for run in found]
    return [find(store, run, ("FINISHED",) if run == BEST else statuses, metric, sweep) for run in runs]


def histories(client: Any, run: str) -> dict[str, list[tuple[int, float]]]:
    """Return epoch and value of each per-epoch score of a run."""
    names = [name for name in client.get_run(run).data.metrics if name.startswith(("train_", "val_"))]
    return {name: [(point.step, point.value) for point in client.get_metric_history(run, name)] for name in names}


def described(store: Store, run: Any) -> RunRecord:
    """Return a run in plain values."""
    return RunRecord(
        id=run.info.run_id,
        name=run.info.run_name or run.info.run_id,
        status=run.info.status,
        experiment=store.client.get_experiment(run.info.experiment_id).name,
        start_time=run.info.start_time,
        end_time=run.info.end_time,
        folder=str(store.folder),
        artifacts=str(store.locations.path(run.info.artifact_uri)),
        saved=_saved(store, run),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=tags.read(run.data.tags),
    )


def _saved(store: Store, run: Any) -> str | None:
    """Return the folder of the last model that a run saved, or ``None``."""
    model = last_model(store.client, run)
    if model is not None:
        return folder_of(model, store.locations)
    # A run of a vectorised group has no MLflow model until one is needed.
    folder = store.locations.path(run.info.artifact_uri) / layout.SAVED
    return str(folder) if (folder / layout.MANIFEST).is_file() else None


def _of_experiment(store: Store, statuses: Iterable[str], sweep: str | None) -> list[Any]:
    """Return the runs of the experiment, the last first.

    Raises:
        RequestError: none has one of the statuses.
    """
    wanted = tuple(statuses)
    sweep = _last_sweep(store) if sweep == LATEST else sweep
    words = [f"attributes.status = '{wanted[0]}'"] if len(wanted) == 1 else []
    # By signature: a job that was finished by another sweep before is a job of this one too.
    signatures = sweep_runs.signatures_of(store.folder, sweep) if sweep else None
    words += [of_tag(layout.SWEEP, sweep)] if sweep else []
    if signatures is None:
        in_mlflow = store.client.search_runs(
            [store.experiment_id], " and ".join(words), max_results=MOST_RUNS, order_by=["attributes.start_time DESC"]
        )
        found = [tags.name(run) for run in in_mlflow]
    else:
        found = _of_signatures(store, signatures, str(sweep))
    # Several statuses are filtered here: MLflow's filter language has no OR.
    chosen = [
        run
        for run in found
        if layout.COMMAND in run.data.tags
        and run.info.status in wanted
        and not (wanted == ("FINISHED",) and is_pruned(run.data.tags))
    ]
    if chosen:
        return chosen
    place = Setting("tracking.dir", store.folder)
    lacks = f"has no {' or '.join(wanted)} run in experiment {_name(store)}"
    if sweep is None:
        raise RequestError(
            place, lacks, remedy="Run one first, such as lifecycle model=mlp data=iris, or name its folder."
        )
    if signatures is not None and not found:
        raise _without_runs(store, sweep, len(signatures))
    last = store.client.search_runs([store.experiment_id], max_results=1000, order_by=["attributes.start_time DESC"])
    tagged = [run.data.tags.get(layout.SWEEP) for run in last]
    sweeps = list(dict.fromkeys(name for name in tagged if name))
    known = f" Sweeps: {', '.join(sweeps[:5])}." if sweeps else " No run there belongs to a sweep."
    raise RequestError(place, [lacks, " of ", Setting("sweep", sweep)], remedy=f"{did_you_mean(sweep, sweeps)}{known}")


def is_pruned(own: Mapping[str, str]) -> bool:
    """Return whether a search ended a run early: it is FINISHED in MLflow, but has neither scores nor a model."""
    return own.get(layout.STATUS) == layout.PRUNED


def _of_signatures(store: Store, signatures: set[str], sweep: str) -> list[Any]:
    """Return the runs of the jobs of a sweep, the last first; MLflow takes a minute for 10,000.

    They have those attributes of MLflow's runs that choosing one needs.
    """
    name = next(name for name in sweep_runs.names(store.folder) if name.startswith(sweep))
    by_signature = sweep_runs.runs_of(store.folder, _name(store), signatures, name, with_params=True)
    runs = sorted((run for runs in by_signature.values() for run in runs), key=lambda run: -run.started)
    return [
        SimpleNamespace(
            info=SimpleNamespace(
                run_id=run.id,
                status=_in_mlflow(run.status),
                start_time=run.started,
            ),
            data=run,
        )
        for run in runs
    ]


def _in_mlflow(status: str) -> str:
    """Return MLflow's status of a :class:`lifecycle.tracking.sweep_runs.SweepRun`."""
    return {sweep_runs.DEAD: "RUNNING", sweep_runs.PRUNED: "FINISHED"}.get(status, status)


def _without_runs(store: Store, sweep: str, jobs: int) -> RequestError:
    """Return the error of a sweep whose jobs ended before their runs began, or were not started."""
    whose = "its only job" if jobs == 1 else f"none of its {jobs} jobs"
    others = [name for name in sweep_runs.names(store.folder) if not name.startswith(sweep)]
    remedy = f"`lifecycle resume sweep={sweep}` runs them and prints what fails; `lifecycle sweep` lists all sweeps"
    remedy += f", such as {', '.join(others[:5])}." if others else "."
    verb = "recorded no run" if jobs == 1 else "recorded a run"
    return RequestError(
        Setting("sweep", sweep), f"has no runs in experiment {_name(store)}: {whose} {verb}", remedy=remedy
    )


def _last_sweep(store: Store) -> str:
    if started := sweep_runs.names(store.folder):
        return started[0]
    found = store.client.search_runs(
        [store.experiment_id], "tags.`lifecycle.sweep` != ''", max_results=1, order_by=["attributes.start_time DESC"]
    )
    if not found:
        raise RequestError(
            Setting("sweep", LATEST),
            ["finds no multirun in ", Setting("tracking.dir", store.folder), f", experiment {_name(store)}"],
            remedy="Start one, such as lifecycle -m seed=1,2,3, or name the runs.",
        )
    return str(found[0].data.tags[layout.SWEEP])


def _metric_of(store: Store, sweep: str | None, runs: list[Any]) -> str | None:
    """Return the score that a sweep is ranked by; ``None``: it names none, or not all of its runs have it.

    Raises:
        RequestError: it is a search with several objectives.
    """
    if sweep is None:
        return None
    named = sweep_runs.metrics_of(store.folder, _last_sweep(store) if sweep == LATEST else sweep)
    if len(named) > 1:
        problem = f"is not defined in a search with {len(named)} objectives"
        remedy = f"Name one: {' or '.join(f'metric={name}' for name in named)}."
        raise RequestError(Setting("run", BEST), problem, remedy=remedy)
    return next((name for name in named if all(name in run.data.metrics for run in runs)), None)


def _registered(store: Store, address: str) -> RunRecord:
    """Return the run behind ``models:/name@alias``, ``models:/name/3`` or ``models:/name`` (the last version)."""
    found = version_of(store.client, address, str(store.folder))
    run = described(store, store.client.get_run(found.run_id))
    model_id = model_of(found)
    return run if model_id is None else with_model(store, run, model_id)


def with_model(store: Store, run: RunRecord, model_id: str) -> RunRecord:
    """Return a run with one of its models: a resumed run has another by now than the one that was registered."""
    return replace(run, saved=folder_of(store.client.get_logged_model(model_id), store.locations))


def _by_id(store: Store, run: str) -> Any:
    import mlflow.exceptions

    if not RUN_ID.fullmatch(run):
        raise RequestError(
            Setting("run", run),
            "is no run",
            remedy="Write a run's id or its first 4 or more characters, latest, best, models:/<name>@<alias>, or a "
            "folder with a saved model.",
        )
    try:  # a whole id is the common case, and one query
        return store.client.get_run(run)
    except mlflow.exceptions.MlflowException:
        pass
    experiments = [experiment.experiment_id for experiment in store.client.search_experiments()]
    found = [
        one
        for one in store.client.search_runs(experiments, f"attributes.run_id LIKE '{run}%'", max_results=MOST_RUNS)
        if one.info.run_id.startswith(run)
    ]
    if not found:  # its id on a server
        found = list(store.client.search_runs(experiments, f"tags.`{layout.SERVER_RUN}` LIKE '{run}%'", max_results=5))
    if len(found) == 1:
        return found[0]
    if not found:
        raise RequestError(
            Setting("run", run),
            f"is no run in {store.folder}",
            remedy=["`lifecycle ui` shows all; or name another ", Setting("tracking.dir"), "."],
        )
    some = ", ".join(f"{one.info.run_id[: len(run) + 4]} ({one.info.run_name})" for one in found[:5])
    raise RequestError(Setting("run", run), f"is the beginning of {len(found)} runs: {some}", remedy="Type more of it.")


def _name(store: Store) -> str:
    return str(store.client.get_experiment(store.experiment_id).name)
