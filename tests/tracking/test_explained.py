"""Why a server has not taken something, in one sentence with the cure."""

from __future__ import annotations

import importlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from lifecycle.tracking import client
from lifecycle.tracking.servers import databases, remote
from lifecycle.tracking.servers.explained import explanation, may_have_lost
from lifecycle.tracking.transfer import timeouts

ADDRESS = "http://host:5000"


def raised(act: Callable[[], Any]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever a library raises
        act()
    return caught.value


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("boto3", "nn-lifecycle[s3]"),
        ("google.cloud.storage", "google-cloud-storage"),
        ("azure.storage.blob", "azure-storage-blob"),
        ("hdfs", "hdfs"),
    ],
)
def test_a_package_that_is_missing_is_named_with_what_installs_it(module: str, package: str) -> None:
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    top = module.partition(".")[0]
    assert explanation(error, ADDRESS) == (
        f"it needs the package {top}, which is not installed: pip install '{package}'"
    )


@pytest.mark.parametrize("driver", ["mysql", "mysql+pymysql", "postgresql", "postgres"])
def test_a_database_that_is_away_is_reported_at_once_and_not_after_100_seconds(driver: str) -> None:
    importlib.import_module("pymysql")
    address = f"{driver}://jane:hunter2@127.0.0.1:9/team"
    error = raised(lambda: remote.client_of(address))
    assert explanation(error, address) == "it refuses connections: no server is running there"


@pytest.mark.parametrize("driver", ["mysql", "postgresql"])
def test_a_database_that_is_away_may_have_lost_what_it_confirmed(driver: str) -> None:
    pytest.importorskip("pymysql")
    address = f"{driver}://jane:hunter2@127.0.0.1:9/team"
    assert may_have_lost(raised(lambda: remote.client_of(address)))


@pytest.mark.parametrize(
    ("said", "doubts"),
    [
        ("API request to endpoint /api failed with error code 503 != 200", True),
        ("INTERNAL_ERROR: (psycopg2.errors.AdminShutdown) terminating connection", True),
        ("TEMPORARILY_UNAVAILABLE: Response: {'error_code': 'TEMPORARILY_UNAVAILABLE'}", True),
        ("API request to http://host:5000/api failed with exception: Read timed out", True),
        ("API request to endpoint /api failed with error code 403 != 200", False),
        ("RESOURCE_DOES_NOT_EXIST: Run with id 500 not found", False),
        ("API request to endpoint /api failed with error code 429 != 200", False),
    ],
)
def test_a_refusal_loses_nothing_and_a_fault_of_the_server_may(said: str, doubts: bool) -> None:
    assert may_have_lost(MlflowException(said)) is doubts


def test_a_local_database_that_is_locked_is_no_fault_of_the_server(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as one, closing(sqlite3.connect(tmp_path / "a.db")) as other:
        one.execute("BEGIN EXCLUSIVE")
        other.execute("PRAGMA busy_timeout = 0")
        assert not may_have_lost(raised(lambda: other.execute("BEGIN IMMEDIATE")))


def test_an_address_has_a_driver_and_ends_its_waits() -> None:
    assert databases.with_driver("mysql://h/db") == (
        "mysql+pymysql://h/db?connect_timeout=10&read_timeout=60&write_timeout=60"
    )
    assert databases.with_driver("postgres://h/db?connect_timeout=3") == (
        "postgresql+psycopg2://h/db?connect_timeout=3&tcp_user_timeout=60000&keepalives_idle=30&keepalives_interval=10"
    )
    assert databases.with_driver("mysql+other://h/db") == "mysql+other://h/db"
    assert databases.with_driver("databricks://profile") == "databricks://profile"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "Failed to upload a.txt to runs/a.txt: An error occurred (NoSuchBucket) when calling PutObject",
            "the bucket of its artifacts does not exist",
        ),
        (
            "Unable to locate credentials",
            "its artifacts are on S3, and no credentials are set: set AWS_ACCESS_KEY_ID and",
        ),
        ("The config profile (mine) could not be found", "AWS_PROFILE is mine, which the files of AWS do not have"),
        ("An error occurred (403) when calling the HeadObject operation: Forbidden", "does not accept the credentials"),
        (
            "API request to endpoint /x failed with error code 401 != 200. Response body: ''",
            "set MLFLOW_TRACKING_USERNAME",
        ),
        ("401 Client Error: UNAUTHORIZED for url: http://host", "it does not accept the name or the password"),
        (
            "403 Client Error: FORBIDDEN for url: http://host",
            "it does not permit this to the user of MLFLOW_TRACKING_US",
        ),
        ("PERMISSION_DENIED: Permission denied", "it does not permit this to the user of MLFLOW_TRACKING_USERNAME and"),
        ("(1049, \"Unknown database 'team'\")", "it has no such database: create it there"),
        ('FATAL:  database "team" does not exist', "it has no such database: create it there"),
        ("Run with id=401 was not found at http://a:b@host", "Run with id=401 was not found at http://***@host"),
    ],
)
def test_what_a_library_says_becomes_a_sentence(said: str, why: str) -> None:
    assert why in explanation(Exception(said), ADDRESS)


def test_of_several_files_the_failure_of_the_first_is_said() -> None:
    text = (
        "The following failures occurred while downloading one or more artifacts from http://host/artifacts:\n"
        "##### File a.csv #####\nHTTPConnectionPool(host='host', port=5000): Read timed out. (read timeout=10)\n"
    )
    assert explanation(Exception(text), ADDRESS) == "it does not answer"


def test_requests_for_files_wait_longer_the_larger_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(300_000_000)  # a hole, which takes no room

    def now() -> str:
        return os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]

    with timeouts.of_files():
        assert now() == "120"
        with timeouts.of_files(large):
            assert now() == "300"
        assert now() == "120"
    assert now() == "10"


def test_the_number_before_a_message_of_mysql_is_left_out() -> None:
    import pymysql

    error = pymysql.err.OperationalError(1114, "The table 'metrics' is full")
    assert explanation(error, ADDRESS) == "The table 'metrics' is full"


def test_databricks_is_asked_with_its_own_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    error = raised(lambda: remote.client_of("databricks://mine").search_experiments())
    assert explanation(error, "databricks://mine") == (
        "no credentials of Databricks are found: set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile of "
        "~/.databrickscfg, as in databricks://<profile>"
    )
    assert "set DATABRICKS_HOST and DATABRICKS_TOKEN" in explanation(Exception("error code 401 != 200"), "databricks")


def test_other_credentials_need_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before = client.credentials()
    for name in ("MLFLOW_S3_ENDPOINT_URL", "AWS_PROFILE", "DATABRICKS_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.setenv(name, "a")
        assert client.credentials() != before, name
        before = client.credentials()
