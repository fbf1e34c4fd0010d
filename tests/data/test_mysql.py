"""Rows of a real MariaDB server, which speaks MySQL's protocol: types, reading only, and credentials that stay out."""

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
from tests.mariadb_server import MariaDB

pytestmark = pytest.mark.longest

TABLE = """CREATE TABLE sold (area decimal(8, 2), rooms int, price double, built date, at datetime, garden boolean,
    kind enum('flat', 'house'), zip char(5), number bigint unsigned, opens time, year year, nothing text)"""
ROWS = """INSERT INTO sold SELECT
    CASE WHEN seq % 9 = 1 THEN null ELSE 50 + seq * 0.25 END, 1 + seq % 5, 1000 * seq + 0.1,
    date_add('1990-01-30', INTERVAL seq DAY), date_add('2020-01-01 08:30', INTERVAL 5 * seq HOUR), seq % 3 = 0,
    elt(1 + seq % 3, 'flat', 'house', null), lpad(seq % 7, 5, '0'), seq * 3000000000, '08:05', 1990 + seq % 10, null
    FROM seq_1_to_60"""


@pytest.fixture(scope="module")
def address(mariadb: MariaDB) -> str:
    statements = (TABLE, ROWS, "CREATE TABLE visits (a int)", "CREATE SEQUENCE counter", "CREATE TABLE odd (b bit(8))")
    return mariadb.create_database("houses", *statements, "INSERT INTO odd VALUES (b'1')")


def test_columns_have_the_types_of_the_database(address: str) -> None:
    frame = files.read(address, SourceFields(query="sold"))
    plain = {name: types.plain(frame[name]) for name in frame.columns}
    assert {name: str(column.dtype).partition("[")[0] for name, column in plain.items()} == {
        "area": "float64",
        "rooms": "int64",
        "price": "float64",
        "built": "object",
        "at": "datetime64",
        "garden": "int64",
        "kind": "str",
        "zip": "str",
        "number": "int64",
        "opens": "timedelta64",
        "year": "int64",
        "nothing": "object",
    }
    first = {name: column.iloc[2] for name, column in plain.items()}
    assert (first["area"], first["rooms"], first["price"], first["number"]) == (50.75, 4, 3000.1, 9_000_000_000)
    assert (str(first["built"]), first["at"]) == ("1990-02-02", pd.Timestamp("2020-01-01 23:30"))
    assert (first["garden"], first["kind"], first["zip"], first["year"]) == (1, "flat", "00003", 1993)
    assert first["opens"] == pd.Timedelta(hours=8, minutes=5)
    missing = {name: int(column.isna().sum()) for name, column in plain.items() if column.isna().any()}
    assert missing == {"area": 7, "kind": 20, "nothing": 60}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (None, "data.path={address} has the tables odd, sold, visits. Add data.query=odd, or data.query='SELECT"),
        ("sale", "is no table. Tables: odd, sold, visits."),
        ("DELETE FROM sold", "is no SELECT statement. Databases are only read"),
        ("SELECT * FROM sold INTO OUTFILE '/tmp/sold.csv'", "is no SELECT statement. Databases are only read"),
        ("SELECT 1 /*!50000 INTO OUTFILE '/tmp/sold.csv' */", "is no SELECT statement. Databases are only read"),
        ("SELECT nextval(counter) AS a", "cannot be read: Cannot execute statement in a READ ONLY transaction. Fix"),
        ("SELECT absent FROM sold", "cannot be read: Unknown column 'absent' in 'SELECT'. Fix the statement."),
        ("odd", "data.path={address} holds bytes in column b. Leave it out in data.query."),
    ],
)
def test_the_database_is_only_read(mariadb: MariaDB, address: str, query: str | None, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        files.read(address, SourceFields(query=query))
    shown = address.replace(f"{mariadb.user}:{mariadb.password}@", "***@")
    assert message.format(address=shown) in str(caught.value)
    assert len(files.read(address, SourceFields(query="SELECT rooms FROM sold"))) == 60


def test_a_statement_may_have_percent_signs_and_quotes_of_mysql(address: str) -> None:
    query = "SELECT `rooms`, concat('a;%s', \"b\") AS text FROM sold WHERE kind LIKE 'h%' -- ; a comment"
    frame = files.read(address, SourceFields(query=query))
    assert (len(frame), set(frame["text"])) == (20, {"a;%sb"})


def test_drivers_and_refusals(mariadb: MariaDB, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("mysql", "mysql+pymysql", "mariadb", "mariadb+pymysql"):
        assert len(files.read(mariadb.address("houses", scheme=scheme), SourceFields(query="sold"))) == 60
    said = {
        mariadb.address("houses", password="Wrong-Battery-8"): "Access denied for user 'keeper'@'127.0.0.1'",
        mariadb.address("absent"): "Unknown database 'absent'",
        address.replace(f":{mariadb.port}/", ":9/"): "Can't connect to MySQL server on '127.0.0.1'",
    }
    for wrong, why in said.items():
        with pytest.raises(RequestError) as caught:
            files.read(wrong, SourceFields(query="sold"))
        message = str(caught.value)
        assert message.startswith("data.path=mysql://***@127.0.0.1:")
        assert f"cannot be read: {why}" in message
        assert message.endswith(". Check the address and the connection.")
    with pytest.raises(RequestError, match=r"needs a driver: .*MySQLdb.* pip install 'mysqlclient'\.$"):
        files.read(mariadb.address("houses", scheme="mysql+mysqldb"))
    for module in ("MySQLdb", "pymysql", "mysql.connector"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RequestError, match=r"needs a driver: .*MySQLdb.* pip install 'nn-lifecycle\[mysql\]'\.$"):
        files.read(address)


def test_a_run_records_no_credential_and_predicts_from_the_database(
    mariadb: MariaDB, address: str, job: Command, lifecycle: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSES_PASSWORD", mariadb.password)
    path = 'data.path="' + mariadb.address("houses", password="${oc.env:HOUSES_PASSWORD}") + '"'
    query = "data.query=SELECT area, rooms, garden, zip, at, price FROM sold ORDER BY number"
    ended = job("data=table", path, query, "data.target=price", "trainer.max_epochs=1", "verbose=1")
    assert ended.code == 0, ended.err
    assert "60 rows (7 values missing)" in ended.out
    output = lifecycle("predict", "run=latest", f"input={address}", "query=sold", "output=out.csv")
    assert output.code == 0, output.err
    assert len(pd.read_csv(tmp_path / "out.csv")) == 60
    texts = [ended.out, ended.err, output.out, output.err]
    kept = [file.read_bytes().decode("latin-1") for file in tmp_path.rglob("*") if file.is_file()]
    assert len(kept) > 5
    assert not [text for text in (*texts, *kept) if mariadb.password in text]
