"""The servers of docs/tracking.md, where each keeps artifacts, and what is done with a run on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A row of the table: where runs are sent to."""

    server: str
    artifacts: str


PLACES: dict[str, Place] = {
    "sqlite": Place("`mlflow server` on SQLite", "through the server"),
    "postgresql": Place("`mlflow server` on PostgreSQL", "through the server"),
    "mariadb, s3": Place("`mlflow server` on MariaDB", "through the server, on S3"),
    "s3": Place("`mlflow server` on SQLite", "on S3, by the client"),
    "basic-auth": Place("`mlflow server --app-name basic-auth`", "through the server"),
    "database sqlite": Place("SQLite, without a server", "a folder"),
    "database postgresql": Place("PostgreSQL, without a server", "a folder"),
    "database mariadb": Place("MariaDB, without a server", "a folder"),
    "databricks": Place("MLflow's client of Databricks, to an `mlflow server`", "a shared folder, by the client"),
}

ACTIONS: dict[str, str] = {
    "run": "run",
    "outage": "outage, `sync`",
    "predict": "`predict`",
    "evaluate": "`evaluate`",
    "resume": "`resume`",
    "rerun": "`rerun`",
    "compare": "`compare`",
    "export": "`export`",
    "serve": "`serve`",
    "register": "`register`",
    "alias": "`models:/`",
}
"""Name -> head of its column. Other than ``run``, ``outage`` and ``compare``: in another folder than the run's."""
