"""Finds runs of a server, and copies those that a command needs into the folder of runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lifecycle import layout
from lifecycle.config.tracking_address import identity
from lifecycle.errors import LifecycleError, RequestError, Setting, TrackingError
from lifecycle.tracking import ranking, search
from lifecycle.tracking.filters import of_tag
from lifecycle.tracking.models.registry import model_of, version_of
from lifecycle.tracking.pages import tags
from lifecycle.tracking.replies import RunRecord
from lifecycle.tracking.servers import fetch, remote, remote_models
from lifecycle.tracking.servers.explained import explanation
from lifecycle.tracking.store import Store
from lifecycle.tracking.transfer import local

MOST_RUNS = 1000
"""Runs of an experiment that ``best`` and ``latest`` look at, the last first."""


@dataclass(frozen=True)
class Lookup:
    """The runs of a folder and of a server.

    Attributes:
        store: the local database.
        client: ``mlflow.MlflowClient`` of the server.
        address: what the server is known by, see :func:`lifecycle.config.tracking_address.identity`.
    """

    store: Store
    client: Any
    address: str

    def find(self, run: str, statuses: Iterable[str], metric: str | None, sweep: str | None) -> RunRecord:
        """Return one run, as :func:`lifecycle.tracking.search.find` does; one of the server only is copied first.

        Raises:
            RequestError: there is none, or it was recorded by another program.
            TrackingError: the server does not answer, and the folder does not have the run.
        """
        wanted = tuple(statuses)
        if run in (search.LATEST, search.BEST):
            elsewhere = self._fetch_candidate(run, wanted, metric, sweep)
            return elsewhere or search.find(self.store, run, wanted, metric, sweep)
        if run.startswith(search.REGISTERED):
            return self._registered(run)
        try:
            return search.find(self.store, run, wanted, metric, sweep)
        except RequestError as missing:
            if not search.RUN_ID.fullmatch(run) or "is the beginning of" in str(missing):
                raise
            found = self._asked(lambda: self._by_id(run))
            if found is None:
                problem = f"is no run in {self.store.folder}, nor on {self.address}"
                raise RequestError(Setting("run", run), problem, remedy=missing.remedy) from missing
        return self._copied(found)

    def find_many(
        self, runs: list[str], sweep: str | None, statuses: Iterable[str], metric: str | None
    ) -> list[RunRecord]:
        """Return several runs, as :func:`lifecycle.tracking.search.find_many` does."""
        wanted = tuple(statuses)
        if runs:
            return [self.find(run, ("FINISHED",) if run == search.BEST else wanted, metric, sweep) for run in runs]
        for run in self._of_experiment(wanted, sweep):
            self._copied(run)
        return search.find_many(self.store, runs, sweep, wanted, metric)

    def histories(self, run: str) -> dict[str, list[tuple[int, float]]]:
        """Return epoch and value of each score that a run records once an epoch; of the folder, or of the server."""
        if local.has(self.store.folder, run):
            return search.histories(self.store.client, run)
        found: dict[str, list[tuple[int, float]]] = self._asked(lambda: search.histories(self.client, run))
        return found

    def _copied(self, run: Any) -> RunRecord:
        if not fetch.is_ours(run) or fetch.is_running(run):
            return foreign(self.client, run)
        own = self._asked(lambda: fetch.fetch(self.client, run, self.store, self.address))
        return search.described(self.store, self.store.client.get_run(own))

    def _by_id(self, run: str) -> Any | None:
        """Return a run of the server by the beginning of either of its ids."""
        experiments = [one.experiment_id for one in self.client.search_experiments()]
        for query in (f"attributes.run_id LIKE '{run}%'", f"tags.`{layout.RUN_ID}` LIKE '{run}%'"):
            found = self.client.search_runs(experiments, query, max_results=5)
            if len(found) == 1:
                return found[0]
            if found:
                some = ", ".join(f"{one.info.run_id} ({one.info.run_name})" for one in found)
                problem = f"is the beginning of {len(found)} runs on {self.address}: {some}"
                raise RequestError(Setting("run", run), problem, remedy="Type more of it.")
        return None

    def _fetch_candidate(
        self, run: str, statuses: tuple[str, ...], metric: str | None, sweep: str | None
    ) -> RunRecord | None:
        """Copy the run of the server that ``latest`` or ``best`` means, if it is not one of the folder.

        Returns:
            The run where another machine is at work on it; else ``None``.
        """
        try:
            found = self._of_experiment(statuses, sweep)
        except TrackingError:
            if self._has_any(statuses, sweep):
                return None  # the server is away, and what is here can be used
            raise
        if not found:
            return None
        if run == search.LATEST:
            chosen = found[0]
        else:
            whole = [one for one in found if not search.is_pruned(one.data.tags)]
            chosen = ranking.best_of(whole or found, metric, sweep is not None)
        if local.has(self.store.folder, fetch.own_id(chosen)):
            return None
        copied = self._copied(chosen)
        return copied if copied.folder is None else None

    def _of_experiment(self, statuses: tuple[str, ...], sweep: str | None) -> list[Any]:
        name = self.store.client.get_experiment(self.store.experiment_id).name

        def asked() -> list[Any]:
            experiment = self.client.get_experiment_by_name(name)
            if experiment is None:
                return []
            words = "" if sweep is None or sweep == search.LATEST else of_tag(layout.SWEEP, sweep)
            return list(
                self.client.search_runs(
                    [experiment.experiment_id], words, max_results=MOST_RUNS, order_by=["attributes.start_time DESC"]
                )
            )

        found = [tags.name(run) for run in self._asked(asked)]
        return [one for one in found if layout.COMMAND in one.data.tags and one.info.status in statuses]

    def _has_any(self, statuses: tuple[str, ...], sweep: str | None) -> bool:
        try:
            search.find(self.store, search.LATEST, statuses, None, sweep)
        except LifecycleError:
            return False
        return True

    def _registered(self, address: str) -> RunRecord:
        """Return the run of a version of a registered model of the server, with the model of the version."""
        version = self._asked(lambda: version_of(self.client, address, self.address))
        run = self._asked(lambda: self.client.get_run(version.run_id))
        own = self._copied(run)
        model_id = model_of(version)
        if model_id is None:
            return own
        model = self._asked(lambda: self.client.get_logged_model(model_id))
        return search.with_model(self.store, own, str(model.tags.get(remote_models.MODEL_TAG, model_id)))

    def _asked(self, ask: Any) -> Any:
        """Ask the server.

        Raises:
            TrackingError: it does not answer, or refuses.
        """
        try:
            return ask()
        except LifecycleError:
            raise
        except Exception as error:  # MLflow's and the network's errors have no common base
            why = explanation(error, self.address)
            raise TrackingError(f"the server {self.address} cannot be asked: {why}.") from error


def lookup_of(store: Store, address: str) -> Lookup:
    """Return the runs of a folder and of a server."""
    return Lookup(store, remote.client_of(address), identity(address))


def foreign(client: Any, run: Any) -> RunRecord:
    """Return a run that is not copied: of another program, or at work on another machine. It can be compared."""
    return RunRecord(
        id=run.info.run_id,
        name=run.info.run_name or run.info.run_id,
        status=run.info.status,
        experiment=client.get_experiment(run.info.experiment_id).name,
        start_time=run.info.start_time,
        end_time=run.info.end_time,
        folder=None,
        artifacts=None,
        saved=None,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=tags.read(run.data.tags),
    )
