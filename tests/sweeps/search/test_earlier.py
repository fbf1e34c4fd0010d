"""Earlier runs that a search begins with, read from a real database."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import pytest

from lifecycle import layout
from lifecycle.sweeps import signature
from lifecycle.sweeps.plan import Plan, PlannedJob
from lifecycle.sweeps.planning import Signatures
from lifecycle.sweeps.search import composing, earlier
from lifecycle.tracking.store import database_uri
from tests.conftest import ready
from tests.sweeps.search.conftest import Make

RATE = "optimizer.lr=tag(log,interval(1e-4,0.1))"


@pytest.fixture
def plan(make: Make, tmp_path: Path, empty_database: Path) -> Plan:
    """Return a search in whose database no run is recorded."""
    ready(tmp_path, empty_database)
    return make("data=iris", RATE, "sweep.trials=5")


def record(plan: Plan, job: PlannedJob, loss: float, **tags: str) -> None:
    """Record a finished run of a job as a run does."""
    client = mlflow.MlflowClient(database_uri(plan.place))
    known = client.get_experiment_by_name("lifecycle")
    of = known.experiment_id if known else client.create_experiment("lifecycle", (plan.place / "files").as_uri())
    run = client.create_run(of, tags={layout.DATA_DIGEST: job.data, **tags})
    folder = Path(urlsplit(run.info.artifact_uri).path)
    folder.mkdir(parents=True)
    (folder / layout.REQUEST).write_text(json.dumps(dict(job.record)))
    client.log_metric(run.info.run_id, "kept_val_loss", loss)
    client.set_terminated(run.info.run_id, "FINISHED")


def job_of(plan: Plan, rate: str) -> PlannedJob:
    (job,) = composing.jobs_of(plan, {"optimizer.lr": rate}, Signatures())
    return job


def rates(plan: Plan) -> dict[str, list[float]]:
    return {values["optimizer.lr"]: scores for values, scores, _ in earlier.trials_of(plan)}


def test_a_score_that_is_no_number_begins_no_search(plan: Plan) -> None:
    for rate, loss in (("0.01", 0.5), ("0.02", math.nan), ("0.04", 0.0)):
        job = job_of(plan, rate)
        record(plan, job, loss, **{layout.SIGNATURE: job.signature})
    assert rates(plan) == {"0.01": [0.5], "0.04": [0.0]}


def test_a_run_of_other_code_begins_no_search(plan: Plan) -> None:
    now, before, alone, older = (job_of(plan, rate) for rate in ("0.01", "0.02", "0.03", "0.04"))
    then = {**before.code, "model mlp file": "0" * 64}
    record(plan, now, 0.5, **{layout.SIGNATURE: now.signature})
    record(plan, before, 0.5, **{layout.SIGNATURE: signature.signature_of(before.record, before.data, then)})
    record(plan, alone, 0.5, **{"version.torch": alone.code["torch"]})
    record(plan, older, 0.5, **{"version.torch": "1.0"})
    assert list(rates(plan)) == ["0.01", "0.03"]
    # A single run does not say which file of a plugin it had.
    assert plan.search is not None
    (base,) = plan.search.bases
    developed = replace(plan, search=replace(plan.search, bases=(replace(base, code=then),)))
    assert list(rates(developed)) == ["0.02"]
