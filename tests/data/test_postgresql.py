"""Rows of a real PostgreSQL server: types, reading only, and credentials that stay out of all that is left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from lifecycle.data.columns import types
from lifecycle.data.sources import files
from lifecycle.data.sources.source_fields import SourceFields
from lifecycle.errors import RequestError
from tests.conftest import Command
from tests.postgresql_server import PostgreSQL

TABLE = """CREATE TABLE sold (area numeric(8, 2), rooms int, price double precision, built date, at timestamp,
    listed timestamptz, garden boolean, kind text, zip char(5), number bigint, code uuid, opens time, took interval,
    nothing text)"""
ROWS = """INSERT INTO sold SELECT
    CASE WHEN i % 9 = 1 THEN null ELSE 50 + i * 0.25 END, 1 + i % 5, 1000 * i, date '1990-01-30' + i,
    timestamp '2020-01-01 08:30' + i * interval '5 hours', timestamptz '2020-03-01 08:00+02' + i * interval '1 day',
    CASE WHEN i % 11 = 1 THEN null ELSE i % 3 = 0 END, (array['flat', 'house', null])[1 + i % 3],
    lpad('' || i % 7, 5, '0'),
    i * 3000000000, ('00000000-0000-0000-0000-' || lpad('' || i, 12, '0'))::uuid, time '08:05', interval '90 minutes',
    null FROM generate_series(1, 60) i"""


@pytest.fixture(scope="module")
def address(postgresql: PostgreSQL) -> str:
    statements = (TABLE, ROWS, "CREATE TABLE visits (a int)", "CREATE TABLE odd (a int, pairs jsonb, tags int[])")
    rows = "INSERT INTO odd VALUES (1, '{\"a\": 1}', '{1, 2}')"
    return postgresql.create_database("houses", *statements, rows)


def test_columns_have_the_types_of_the_database(address: str) -> None:
    frame = files.read(address, SourceFields(query="sold"))
    plain = {name: types.plain(frame[name]) for name in frame.columns}
    assert {name: str(column.dtype).partition("[")[0] for name, column in plain.items()} == {
        "area": "float64",
        "rooms": "int64",
        "price": "float64",
        "built": "object",
        "at": "datetime64",
        "listed": "datetime64",
        "garden": "object",
        "kind": "str",
        "zip": "str",
        "number": "int64",
        "code": "str",
        "opens": "object",
        "took": "timedelta64",
        "nothing": "object",
    }
    first = {name: column.iloc[2] for name, column in plain.items()}
    assert first["area"] == 50.75
    assert (first["rooms"], first["price"], first["number"]) == (4, 3000.0, 9_000_000_000)
    assert (str(first["built"]), first["at"]) == ("1990-02-02", pd.Timestamp("2020-01-01 23:30"))
    assert first["listed"] == pd.Timestamp("2020-03-04 06:00", tz="UTC")
    assert (first["garden"], first["kind"], first["zip"]) == (True, "flat", "00003")
    assert first["code"] == "00000000-0000-0000-0000-000000000003"
    assert (str(first["opens"]), first["took"]) == ("08:05:00", pd.Timedelta(minutes=90))
    missing = {name: int(column.isna().sum()) for name, column in plain.items() if column.isna().any()}
    assert missing == {"area": 7, "garden": 6, "kind": 20, "nothing": 60}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (None, "data.path={address} has the tables odd, sold, visits. Add data.query=odd, or data.query='SELECT"),
        ("sale", "is no table. Tables: odd, sold, visits."),
        ("DELETE FROM sold", "is no SELECT statement. Databases are only read"),
        (
            "WITH gone AS (DELETE FROM sold RETURNING *) SELECT * FROM gone",
            "cannot be read: cannot execute SELECT in a read-only transaction. Fix the statement.",
        ),
        (
            "SELECT nextval('counter') AS a",
            "cannot be read: cannot execute nextval() in a read-only transaction. Fix the statement.",
        ),
        ("SELECT absent FROM sold", 'cannot be read: column "absent" does not exist. Fix the statement.'),
    ],
)
def test_the_server_itself_refuses_to_write(
    postgresql: PostgreSQL, address: str, query: str | None, message: str
) -> None:
    postgresql.execute("houses", "CREATE SEQUENCE IF NOT EXISTS counter")
    with pytest.raises(RequestError) as caught:
        files.read(address, SourceFields(query=query))
    shown = address.replace(f"{postgresql.user}:{postgresql.password}@", "***@")
    assert message.format(address=shown) in str(caught.value)
    assert postgresql.password not in str(caught.value)
    assert len(files.read(address, SourceFields(query="SELECT rooms FROM sold"))) == 60


def test_an_address_without_a_driver_uses_one_that_is_installed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # SQLAlchemy's first choice
    of_host = address.replace("postgresql://", "postgres://")
    assert len(files.read(of_host, SourceFields(query="sold"))) == 60
    for module in ("psycopg2", "pg8000"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RequestError, match=r"needs a driver: .*psycopg.* pip install 'psycopg\[binary\]'\.$"):
        files.read(address, SourceFields(query="sold"))


def test_what_the_server_says_of_a_login_names_no_credential(postgresql: PostgreSQL) -> None:
    wrong = postgresql.address("houses", password="Wrong-Battery-8")
    with pytest.raises(RequestError) as caught:
        files.read(wrong)
    message = str(caught.value)
    assert "cannot be read: " in message
    assert "password authentication failed" in message
    assert "Wrong-Battery-8" not in message
    with pytest.raises(RequestError, match='database "absent" does not exist'):
        files.read(postgresql.address("absent"))


def test_a_run_records_no_credential_and_predicts_from_the_database(
    postgresql: PostgreSQL,
    address: str,
    job: Command,
    lifecycle: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOUSES_PASSWORD", postgresql.password)
    path = 'data.path="' + postgresql.address("houses", password="${oc.env:HOUSES_PASSWORD}") + '"'
    query = "SELECT area, rooms, garden, zip, at, price FROM sold ORDER BY number"  # commas without quotes
    ended = job("data=table", path, f"data.query={query}", "data.target=price", "trainer.max_epochs=1", "verbose=1")
    assert ended.code == 0, ended.err
    assert "60 rows (13 values missing)" in ended.out
    output = lifecycle("predict", "run=latest", f"input={address}", "query=sold", "output=out.csv")
    assert output.code == 0, output.err
    assert len(pd.read_csv(tmp_path / "out.csv")) == 60
    again = lifecycle("evaluate", "run=latest", f"data.path={address}", f"data.query={query}")
    assert again.code == 0, again.err
    failed = lifecycle("data", f"data.path={address}", "data.query=absent")
    assert failed.err.startswith("lifecycle: data.query=absent is no table. ")
    texts = [ended.out, ended.err, output.out, output.err, again.out, again.err, failed.out, failed.err]
    kept = [file.read_bytes().decode("latin-1") for file in tmp_path.rglob("*") if file.is_file()]
    assert len(kept) > 5
    assert not [text for text in (*texts, *kept) if postgresql.password in text]


def test_the_card_of_a_table_names_all_columns_that_cannot_be_read(address: str, lifecycle: Command) -> None:
    ended = lifecycle("data", f"data.path={address}", "data.query=odd")
    assert ended.err.endswith(
        "has a dict in column pairs and a list in column tags. Use numbers or texts, or add data.drop=[pairs,tags].\n"
    )
    ended = lifecycle("data", f"data.path={address}", "data.query=odd", "data.drop=[pairs,tags]")
    assert ended.code == 0, ended.err
    assert "pairs   dropped" in ended.out
