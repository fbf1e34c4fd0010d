"""Where rows come from: several files, databases, addresses. Servers are real ones, on this machine."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import json
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import _openml

from lifecycle.data.digests import digest
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.data.sources import databases, files, streams
from lifecycle.data.sources.addresses import fetch
from lifecycle.data.sources.source_fields import SourceFields
from lifecycle.errors import RequestError, Setting
from lifecycle.runtime.files.digests import sha256

FRAME = pd.DataFrame({"a": [1.5, 2.5, 3.5, 4.5], "b": ["x", "y", "007", "z"], "c": [1, 2, 3, 4]})
TEXT = FRAME.to_csv(index=False).encode()


def refused(path: Path | str, fields: Any = None) -> str:
    with pytest.raises(RequestError) as caught:
        files.read(str(path), fields)
    assert len(str(caught.value)) <= 400
    return str(caught.value).replace(f"data.path={path} ", "", 1)


def parts(folder: Path, ending: str = "csv", cut: int = 2) -> str:
    """Write the rows in two files, and return their pattern."""
    for number, frame in enumerate((FRAME[:cut], FRAME[cut:])):
        file = folder / f"part-{number}.{ending}"
        if ending.startswith("csv"):
            frame.to_csv(file, index=False)
        elif ending == "json":
            frame.to_json(file, orient="records")
        else:
            getattr(frame.reset_index(drop=True), f"to_{ending}")(file)
    return str(folder / f"part-*.{ending}")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "feather", "json"])
def test_several_files_are_one_in_the_order_of_their_names(tmp_path: Path, ending: str) -> None:
    pattern = parts(tmp_path, ending)
    found = files.read(pattern)
    pd.testing.assert_frame_equal(found, FRAME)
    assert digest(found) == digest(files.read(str(tmp_path)))  # the folder of these files alone
    (table,) = streams.read(pattern).of(10)
    assert table.num_rows == 4
    assert [str(value).strip('"') for value in table["b"].to_pylist()] == FRAME["b"].tolist()


def test_codes_and_texts_of_one_file_hold_for_all(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("code,n\n1,1\n2,2")  # without a line end
    (tmp_path / "2.csv").write_bytes(b"\xef\xbb\xbfcode,n\r\n007,NA\r\n")
    found = files.read(f"{tmp_path}/*.csv")
    assert found["code"].tolist() == ["1", "2", "007"]
    assert found["n"].tolist()[:2] == [1, 2]


def test_files_without_names_of_columns_are_joined_whole(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("1,a\n2,b\n")
    (tmp_path / "2.csv").write_text("3,c\n4,d\n")
    joined = files.csv_file(f"{tmp_path}/*.csv")
    assert joined is not None
    assert joined.read_text() == "1,a\n2,b\n3,c\n4,d\n"
    (tmp_path / "2.csv").write_text("1,a\n4,d\n")
    with pytest.raises(
        RequestError, match=r"2\.csv begins with the same row as 1\.csv, which may hold names or values"
    ):
        files.csv_file(f"{tmp_path}/*.csv")


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_a_file_with_other_columns_is_named(tmp_path: Path, ending: str) -> None:
    pattern = parts(tmp_path, ending)
    other = FRAME.rename(columns={"c": "d"})
    file = tmp_path / f"part-1.{ending}"
    {"csv": lambda: other.to_csv(file, index=False), "parquet": lambda: other.to_parquet(file)}.get(
        ending, lambda: other.to_json(file, orient="records")
    )()
    wanted = f"part-1.{ending} has no column c and has the column d, unlike part-0.{ending}. Give files with the same"
    assert wanted in refused(pattern)
    with pytest.raises(RequestError, match=r"^input=\S+part-1.*has no column c and has the column d"):
        streams.read(pattern)


def test_a_file_with_other_values_in_a_column_is_named(tmp_path: Path) -> None:
    pattern = parts(tmp_path, "parquet")
    FRAME.assign(c=["a", "b", "c", "d"]).to_parquet(tmp_path / "part-1.parquet")
    assert "part-1.parquet has texts in column c, and part-0.parquet has numbers. Use one of the two." in refused(
        pattern
    )
    # A column without any value has no kind.
    FRAME[:2].assign(c=[None, None]).to_parquet(tmp_path / "part-0.parquet")
    FRAME[2:].to_parquet(tmp_path / "part-1.parquet")
    assert files.read(pattern)["c"].tolist()[2:] == [3, 4]
    assert files.read(pattern)["c"].dtype == "float64"


def test_only_the_names_of_columns_and_comments_above_them_are_left_out(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.csv").write_text(f'# unit: cm\n\n"a\n(cm)",b\n{number},x\n# 1,y\n')
    joined = files.csv_file(f"{tmp_path}/*.csv")
    assert joined is not None
    assert joined.read_text() == '# unit: cm\n\n"a\n(cm)",b\n0,x\n# 1,y\n1,x\n# 1,y\n'
    for text, message in (
        (
            "Export of today\na,b\n1,2\n",
            "begins with the line 'Export of today', which has fewer cells than the next. Re",
        ),
        ("", "is empty. Add rows, or move it away."),
        ("\ufeffa,b\n1,2\n".encode("utf-16-le"), "is UTF-16, and one of several files. Save it as UTF-8."),
    ):
        (tmp_path / "1.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        assert f"1.csv {message}" in refused(f"{tmp_path}/*.csv")


@pytest.mark.parametrize(("header", "rows"), [("true", ["1,2", "3,4", "5,6"]), ("false", ["1,2", "3,4", "1,2", "5,6"])])
def test_whether_a_first_row_of_numbers_holds_names_can_be_declared(
    tmp_path: Path, header: str, rows: list[str]
) -> None:
    (tmp_path / "1.csv").write_text("1,2\n3,4\n")
    (tmp_path / "2.csv").write_text("1,2\n5,6\n")
    joined = files.csv_file(f"{tmp_path}/*.csv", SimpleNamespace(header=header))
    assert joined is not None
    assert joined.read_text().split() == rows


def test_a_fault_in_one_of_several_files_names_it_and_its_line(tmp_path: Path) -> None:
    pattern = parts(tmp_path)
    with (tmp_path / "part-1.csv").open("a") as file:
        file.write("1,2\n")
    assert "part-1.csv cannot be read: line 4 has 2 cells, and the header has 3 (1,2). Fix the file." in refused(
        pattern
    )


def test_patterns_and_folders_that_stand_for_no_rows_are_refused(tmp_path: Path) -> None:
    assert refused(f"{tmp_path}/*.csv") == f"matches no file. Check the folder {tmp_path} and the pattern."
    inner = tmp_path / "top" / "year=2020"
    inner.mkdir(parents=True)
    FRAME.to_parquet(inner / "a.parquet")
    remedy = "has folders such as year=2020, whose values are in no file. Write the rows without partitionBy, with the "
    for path in (tmp_path / "top", f"{tmp_path}/top/*/*.parquet", f"{tmp_path}/top/**/*.parquet"):
        assert refused(path).startswith(remedy), path
    inner.rename(inner.with_name("a"))
    assert refused(tmp_path / "top").startswith("is a folder of folders, such as a. Give one of them, or all with ")
    pd.testing.assert_frame_equal(files.read(f"{tmp_path}/top/**/*.parquet"), FRAME)
    (tmp_path / "top" / "a" / "_SUCCESS").write_text("")
    pd.testing.assert_frame_equal(files.read(str(tmp_path / "top" / "a")), FRAME)
    FRAME.to_csv(tmp_path / "top" / "a" / "b.csv")
    assert refused(tmp_path / "top" / "a").startswith(
        "has files of several formats, a.parquet and b.csv. Give files of"
    )


def test_a_name_with_brackets_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_bytes(TEXT)
    pd.testing.assert_frame_equal(files.read(str(tmp_path / "a[1].csv")), FRAME)


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz"])
def test_several_large_files_are_read_as_the_rows_in_memory(tmp_path: Path, ending: str) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=900), "k": generator.choice(["a", "b"], 900), "w": 1})
    frame["y"] = frame["x"] * 2 + (frame["k"] == "a")
    for number in range(3):
        some = frame[number * 300 : (number + 1) * 300]
        # One file has whole numbers where the others have fractions.
        some = some.astype({"w": "float64"}) if number == 1 else some
        file = tmp_path / f"part-{number}.{ending}"
        some.to_parquet(file) if ending == "parquet" else some.to_csv(file, index=False)
    pattern = f"{tmp_path}/part-*.{ending}"
    large = load(Table(path=pattern, target="y", memory_gb=1e-6), "a", "table", 0)
    small = load(Table(path=pattern, target="y"), "a", "table", 0)
    np.testing.assert_allclose(large.train.inputs[:], small.train.inputs[:], atol=1e-5)
    np.testing.assert_array_equal(large.train.rows, small.train.rows)
    found = files.large_file(pattern, 1)
    assert found is not None
    assert large.digest == sha256(found)
    if ending == "parquet":
        digests = [sha256(tmp_path / f"part-{number}.parquet") for number in range(3)]
        assert large.digest == hashlib.sha256("".join(digests).encode()).hexdigest()
        frame.rename(columns={"w": "v"}).to_parquet(tmp_path / "part-2.parquet")
        with pytest.raises(RequestError, match=r"part-2\.parquet and part-0\.parquet differ in the column v"):
            Table(path=pattern, target="y", memory_gb=1e-6).large()


def test_a_large_compressed_file_has_the_digest_of_its_content(tmp_path: Path) -> None:
    content = ("x,y\n" + "1.5,2\n2.5,4\n3.5,1\n" * 300).encode()
    (tmp_path / "a.csv").write_bytes(content)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content))
    plain, packed = (
        Table(path=str(tmp_path / name), target="y", memory_gb=1e-6).large() for name in ("a.csv", "a.csv.gz")
    )
    assert plain is not None
    assert packed is not None
    assert plain.digest == packed.digest == hashlib.sha256(content).hexdigest()


# Databases


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "a.db"
    connection = sqlite3.connect(file)
    FRAME.to_sql("houses", connection, index=False)
    FRAME[:1].to_sql("other flats", connection, index=False)
    connection.close()
    return file


@pytest.mark.parametrize("prefix", ["", "sqlite:///"])
def test_rows_of_a_database(database: Path, prefix: str) -> None:
    path = f"{prefix}{database}"
    message = refused(path)
    assert message == "has the tables houses, other flats. Add data.query=houses, or data.query='SELECT ...'."
    pd.testing.assert_frame_equal(files.read(path, SourceFields(query="houses")), FRAME)
    assert len(files.read(path, SourceFields(query="other flats"))) == 1
    query = (
        "WITH some AS (SELECT * FROM houses) SELECT a, c AS n FROM some "
        "WHERE b <> ';' AND a > 2 -- a comment; \nORDER BY a"
    )
    assert files.read(path, SourceFields(query=query)).to_dict("list") == {"a": [2.5, 3.5, 4.5], "n": [2, 3, 4]}
    (table,) = streams.read(path, fields=SourceFields(query="houses")).of(10)
    assert table["b"].to_pylist() == FRAME["b"].tolist()


@pytest.mark.parametrize("prefix", ["", "sqlite:///"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("house", "is no table. Did you mean houses? Tables: houses, other flats."),
        ("DROP TABLE houses", "is no SELECT statement. Databases are only read: use data.query='SELECT ...'."),
        ("/* SELECT */ DELETE FROM houses", "is no SELECT statement. Databases are only read: use data.query='SELECT"),
        ("SELECT 1; DROP TABLE houses", "has more than one statement. Give one SELECT statement."),
        ("WITH x AS (SELECT 1) DELETE FROM houses", "cannot be read: attempt to write a readonly database. Fix the"),
        ("SELECT absent FROM houses", "cannot be read: no such column: absent. Fix the statement."),
    ],
)
def test_a_statement_that_is_no_question_is_refused(database: Path, prefix: str, query: str, message: str) -> None:
    before = database.read_bytes()
    with pytest.raises(RequestError) as caught:
        files.read(f"{prefix}{database}", SourceFields(query=query))
    assert str(caught.value).startswith(f"data.query={query} {message}")
    assert database.read_bytes() == before


def test_what_a_table_cannot_hold_is_refused(database: Path) -> None:
    assert refused(database, SourceFields(query="SELECT a, b AS a FROM houses")) == (
        "returns the column a twice. Rename one in data.query with AS."
    )
    assert refused(database, SourceFields(query="SELECT * FROM houses WHERE a > 9")) == (
        "returns no rows. Change data.query."
    )
    assert refused(database, SourceFields(query="SELECT zeroblob(3) AS z FROM houses")) == (
        "holds bytes in column z. Leave it out in data.query."
    )


def test_addresses_of_databases_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(f"sqlite:///{tmp_path}/no.db").startswith("is no file. Give the path of")
    assert refused("nothing://host/name").startswith("begins with nothing://, which is not known. Give https://, s3://")
    monkeypatch.setitem(sys.modules, "oracledb", None)
    assert "needs a driver: " in refused("oracle+oracledb://host/name")
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert refused("postgresql://me:secret@host/name") == (
        "data.path=postgresql://***@host/name is a database, which needs SQLAlchemy. Type pip install "
        "'nn-lifecycle[sql]'."
    )


def test_each_dialect_is_told_not_to_write(database: Path) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    # SQLite's own statement in place of the ones of servers: the transaction is rolled back in any case.
    with databases._read_only(engine, Setting("data.query", "houses")) as connection:
        connection.exec_driver_sql("DELETE FROM houses")
    engine.dispose()
    assert len(files.read(str(database), SourceFields(query="houses"))) == 4


# Servers


@dataclass
class Server:
    """A web server of this machine.

    Attributes:
        address: without a path.
        content: path, with its query -> content.
        types: path -> media type, of others than text/csv.
        requested: paths in order, with the status of the answer.
        headers: of the requests.
    """

    address: str = ""
    content: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    requested: list[tuple[str, int]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    cut_off: bool = False
    stop: Callable[[], None] = lambda: None


def handler_of(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            content = server.content.get(self.path)
            etag = "" if content is None else f'"{hashlib.sha256(content).hexdigest()[:8]}"'
            status = 404 if content is None else 304 if self.headers.get("If-None-Match") == etag else 200
            server.requested.append((self.path, status))
            self.send_response(status)
            sent = content if status == 200 and content is not None else b""
            self.send_header("Content-Length", str(len(sent)))
            if etag:
                self.send_header("ETag", etag)
            self.send_header("Content-Type", server.types.get(self.path, "text/csv"))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(sent[: len(sent) // 2] if server.cut_off else sent)

        do_HEAD = do_GET  # noqa: N815 - the name is Python's

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("LIFECYCLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "SECONDS_VALID", 0)  # each use asks the server
    found = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(found)) as http:
        found.address = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def stop() -> None:
            http.shutdown()
            thread.join()
            http.server_close()

        found.stop = stop
        yield found
        if thread.is_alive():
            stop()


def test_a_file_of_a_server_is_fetched_once_and_again_when_it_changes(
    server: Server, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    server.content["/rows.csv?token=abc"] = TEXT
    address = f"{server.address}/rows.csv?token=abc".replace("http://", "http://me:secret@")
    pd.testing.assert_frame_equal(files.read(address), FRAME)
    shown = capfd.readouterr().err
    assert shown.startswith(
        f"Downloading {server.address.replace('//', '//***@')}/rows.csv?token=*** (0.04 kB) to {tmp_path}"
    )
    assert server.headers[0]["authorization"].startswith("Basic ")
    pd.testing.assert_frame_equal(files.read(address), FRAME)
    assert [status for _, status in server.requested] == [200, 304]
    server.content["/rows.csv?token=abc"] = FRAME[:2].to_csv(index=False).encode()
    assert len(files.read(address)) == 2
    kept = "".join(file.read_text() for file in (tmp_path / "cache").rglob(".about.json"))
    assert json.loads(kept)["sha256"] == hashlib.sha256(server.content["/rows.csv?token=abc"]).hexdigest()
    assert "secret" not in kept
    assert "abc" not in kept
    capfd.readouterr()
    server.stop()
    assert len(files.read(address)) == 2
    wanted = (
        f"?token=*** cannot be reached (no connection). The file of {json.loads(kept)['fetched']} UTC is used, from"
    )
    assert wanted in capfd.readouterr().err


@pytest.mark.parametrize("name", ["..%2F..%2Fevil.csv", ".about.csv", "a%5C..%5Cb.csv"])
def test_a_name_of_a_server_is_no_path(server: Server, tmp_path: Path, name: str) -> None:
    server.content[f"/x/{name}"] = TEXT
    for _ in range(2):
        pd.testing.assert_frame_equal(files.read(f"{server.address}/x/{name}"), FRAME)
    assert [status for _, status in server.requested] == [200, 304]
    (kept,) = tmp_path.rglob("*.csv")
    assert kept.parent.parent == tmp_path / "cache" / "remote"
    assert kept.name in ("evil.csv", "about.csv", "b.csv")


def test_a_compressed_file_and_a_stream_of_a_server(server: Server) -> None:
    server.content["/a.csv.gz"] = gzip.compress(TEXT)
    pd.testing.assert_frame_equal(files.read(f"{server.address}/a.csv.gz"), FRAME)
    (table,) = streams.read(f"{server.address}/a.csv.gz").of(10)
    assert table["c"].to_pylist() == ["1", "2", "3", "4"]
    assert files.csv_file(f"{server.address}/a.csv.gz") is not None


def test_the_media_type_tells_the_format_of_an_address_without_ending(server: Server) -> None:
    server.content["/export?id=3"] = FRAME.to_json(orient="records", lines=True).encode()
    server.types["/export?id=3"] = "application/x-ndjson; charset=utf-8"
    pd.testing.assert_frame_equal(files.read(f"{server.address}/export?id=3"), FRAME)
    server.content["/page"] = b"<html>"
    server.types["/page"] = "text/html; charset=utf-8"
    assert refused(f"{server.address}/page") == (
        "is a web page rather than a file of rows. Give the address of the file itself, such as that of a link named "
        "raw or download."
    )
    server.content["/odd"], server.types["/odd"] = b"x", "application/octet-stream"
    assert refused(f"{server.address}/odd").startswith("ends in nothing. Give a file ending in .csv")


def test_a_server_that_has_no_file_or_is_not_there_is_one_message(server: Server, tmp_path: Path) -> None:
    address = f"{server.address}/no.csv"
    assert refused(address) == "could not be fetched: the server answers 404 Not Found. Check the address."
    server.content["/no.csv"], server.cut_off = TEXT, True
    assert refused(address) == "could not be fetched: the connection was cut off. Check the address and the connection."
    server.stop()
    assert refused(address) == "could not be fetched: no connection. Check the address and the connection."
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.suffix == ".csv"]


def test_a_file_of_the_cache_that_was_altered_is_fetched_again(server: Server, tmp_path: Path) -> None:
    server.content["/a.csv"] = TEXT
    files.read(f"{server.address}/a.csv")
    (kept,) = (tmp_path / "cache").rglob("a.csv")
    kept.write_text("altered")
    pd.testing.assert_frame_equal(files.read(f"{server.address}/a.csv"), FRAME)


def parquet(frame: pd.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.to_parquet(content, index=False)
    return content.getvalue()


def test_a_data_set_of_the_hugging_face_hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    base = "/api/datasets/someone/houses/parquet"
    shards = [f"{server.address}{base}/default/train/{number}.parquet" for number in range(2)]
    server.content[base] = json.dumps({"default": {"train": shards}}).encode()
    for shard, frame in zip(shards, (FRAME[:2], FRAME[2:]), strict=True):
        server.content[urlsplit(shard).path] = parquet(frame)
    pd.testing.assert_frame_equal(files.read("hf:someone/houses"), FRAME)
    assert {headers["authorization"] for headers in server.headers} == {"Bearer hf_secret"}
    (table,) = streams.read("hf:someone/houses").of(10)
    assert table["a"].to_pylist() == FRAME["a"].tolist()
    server.content[base] = json.dumps({"default": {"train": shards[:1], "test": shards[1:]}}).encode()
    assert refused("hf:someone/houses") == "has the splits train, test. Name one, as in hf:someone/houses:train."
    pd.testing.assert_frame_equal(files.read("hf:someone/houses:test"), FRAME[2:].reset_index(drop=True))
    pd.testing.assert_frame_equal(files.read("hf:someone/houses:default:test"), FRAME[2:].reset_index(drop=True))
    assert refused("hf:someone/houses:tset") == "has no split tset. Choose from: train, test."
    assert refused("hf:someone/nothing").startswith("could not be fetched: the server answers 404 Not Found.")
    server.stop()
    assert len(files.read("hf:someone/houses:train")) == 2


ARFF = """@RELATION houses
@ATTRIBUTE a REAL
@ATTRIBUTE b {x, y, 007, z}
@ATTRIBUTE c INTEGER
@DATA
1.5,x,1
2.5,y,2
?,007,3
4.5,z,4
"""


def test_a_data_set_of_openml(
    server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("_DATA_INFO", "_DATA_FEATURES", "_DATA_QUALITIES"):  # scikit-learn has no setting for its server
        monkeypatch.setattr(_openml, name, getattr(_openml, name).replace("https://www.openml.org", server.address))
    description = {
        "id": "7",
        "name": "houses",
        "description": "made up",
        "version": "1",
        "format": "ARFF",
        "status": "active",
        "file_id": "7",
        "default_target_attribute": "c",
        "url": f"{server.address}/data/v1/download/7/houses.arff",
        "md5_checksum": hashlib.md5(ARFF.encode()).hexdigest(),
    }
    kinds = {"a": "numeric", "b": "nominal", "c": "numeric"}
    features = [
        {
            "index": str(number),
            "name": name,
            "data_type": kind,
            "is_target": str(name == "c").lower(),
            "is_ignore": "false",
            "is_row_identifier": "false",
            "number_of_missing_values": "0",
        }
        for number, (name, kind) in enumerate(kinds.items())
    ]
    server.content = {
        "/api/v1/json/data/7": json.dumps({"data_set_description": description}).encode(),
        "/api/v1/json/data/features/7": json.dumps({"data_features": {"feature": features}}).encode(),
        "/api/v1/json/data/qualities/7": json.dumps({"data_qualities": {"quality": []}}).encode(),
        "/data/v1/download/7/houses.arff": ARFF.encode(),
    }
    found = files.read("openml:7")
    assert "Downloading openml:7 to " in capfd.readouterr().err
    assert found["a"].tolist()[:2] == [1.5, 2.5]
    assert found["a"].isna().tolist() == [False, False, True, False]
    assert found["b"].astype(str).tolist() == ["x", "y", "007", "z"]
    server.stop()
    assert len(files.read("openml:7")) == 4  # of the cache
    assert capfd.readouterr().err == ""
    assert refused("openml:iris").startswith("must end in the number of a data set. Search https://www.openml.org for")


def test_a_data_set_that_openml_does_not_have(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_openml, "_DATA_INFO", f"{server.address}/{{}}")
    monkeypatch.setattr(_openml, "time", SimpleNamespace(sleep=lambda _: None))  # between attempts
    assert refused("openml:8") == "could not be fetched: the server answers 404 Not Found. Check the number."


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Have the server be one of S3's, with a bucket of two files."""
    for name, value in {
        "AWS_ENDPOINT_URL": server.address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for number, frame in enumerate((FRAME[:2], FRAME[2:])):
        server.content[f"/bucket/part-{number}.parquet"] = parquet(frame)
    return server


def test_files_of_s3(bucket: Server, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("s3fs")
    pd.testing.assert_frame_equal(files.read("s3://bucket/part-0.parquet"), FRAME[:2])
    assert "Downloading s3://bucket/part-0.parquet (" in capfd.readouterr().err
    pd.testing.assert_frame_equal(files.read("s3://bucket/part-0.parquet"), FRAME[:2])
    assert capfd.readouterr().err == ""  # only asked whether it has changed
    bucket.content["/bucket/part-0.parquet"] = parquet(FRAME[:3])
    assert len(files.read("s3://bucket/part-0.parquet")) == 3
    assert refused("s3://bucket/no.parquet") == "is no file there. Check the address."


def test_a_file_of_google_storage(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("gcsfs")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.address)
    content = parquet(FRAME)
    media = "/download/storage/v1/b/bucket/o/a.parquet?alt=media"
    about = {"name": "a.parquet", "bucket": "bucket", "size": str(len(content)), "etag": "1", "generation": "1"}
    about |= {"timeCreated": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z"}
    server.content[media] = content
    server.types["/storage/v1/b/bucket/o/a.parquet"] = "application/json"
    server.content["/storage/v1/b/bucket/o/a.parquet"] = json.dumps(
        {**about, "mediaLink": f"{server.address}{media}"}
    ).encode()
    for _ in range(2):
        pd.testing.assert_frame_equal(files.read("gs://bucket/a.parquet"), FRAME)
    assert [path for path, _ in server.requested].count(media) == 1
    assert caplog.text == ""


def test_without_the_package_of_a_storage_the_extra_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(importlib.import_module("fsspec.registry")._registry, "s3", raising=False)
    assert (
        refused("s3://bucket/a.csv") == "needs a package of fsspec for s3://. Type pip install 'nn-lifecycle[remote]'."
    )
