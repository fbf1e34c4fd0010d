"""The limits of the model server: real sockets to a real process, with limits that are small."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lifecycle.plugins.mlp import MLP
from lifecycle.predict import saved_model
from tests.conftest import Command
from tests.forked import Forks
from tests.functional.test_serve import TABLE, Served, end, start

ROW = {"age": 59.0, "income": 23.96, "code": "007", "town": "York"}
BODY = json.dumps({"dataframe_records": [ROW]}).encode()
LIMITS = (
    "hosts=[models.lan]",
    "max_body_mb=0.2",
    "max_requests=2",
    "max_connections=6",
    "header_seconds=0.7",
    "body_seconds=0.7",
    "answer_seconds=1",
    "idle_seconds=1.5",
)
HEAD = b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
SLOW_ROWS = 8192 * 8


def slow_model(folder: Path) -> Path:
    """Save a model whose network takes more than a second for 8,192 rows, in one call that cannot be interrupted."""
    trained = saved_model.load(TABLE / "model")
    model = MLP(hidden=[2000, 2000])
    saved_model.save(replace(trained, model=model, network=model.build(trained.spec)), folder)
    return folder


@pytest.fixture(scope="module")
def server(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = start(forks, TABLE / "model", tmp_path_factory.mktemp("limits"), *LIMITS)
    yield served
    assert end(served, signal.SIGINT) == 0


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return slow_model(tmp_path_factory.mktemp("slow") / "model")


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=30)


def read(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the next answer; (0, {}, b"") where the server closes without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = connection.recv(65536)
        if not block:
            assert data == b""
            return 0, {}, b""
        data += block
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return int(first.split()[1]), headers, body


def request(
    served: Served, method: str = "GET", target: str = "/ping", body: bytes = b"", **headers: str | None
) -> tuple[int, dict[str, str], Any]:
    """Send a request on a new connection; ``host=None`` leaves the header out."""
    sent = {"host": f"127.0.0.1:{served.port}", "content-length": str(len(body)) if body else None} | headers
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items() if value is not None]
    with connect(served) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body)
        status, found, content = read(connection)
    return status, found, json.loads(content) if content.strip() else None


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", "models.lan", "models.lan:80"]
)
def test_hosts_of_this_machine_and_added_ones_are_answered(server: Served, host: str) -> None:
    assert request(server, host=host.format(port=server.port))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "127.0.0.2",
        "[::2]",
        "localhost:x",
        "localhost-",
        "evil.example,localhost",
        "",
    ],
)
@pytest.mark.parametrize(("method", "target"), [("GET", "/ping"), ("POST", "/invocations"), ("GET", "/nothing")])
@pytest.mark.fault(40)
def test_a_foreign_host_is_refused(server: Served, method: str, target: str, host: str) -> None:
    body = BODY if method == "POST" else b""
    status, _, answer = request(server, method, target, body, host=host.format(port=server.port))
    assert status == 400
    assert answer["error_code"] == "BAD_REQUEST"
    assert "Host header is " in answer["message"]
    assert "answers to 127.0.0.1, [::1], localhost, models.lan. Use one of these, or add" in answer["message"]


def test_a_whole_address_names_the_host_too(server: Served) -> None:
    assert request(server, target=f"http://localhost:{server.port}/ping")[0] == 200
    for target, host in {
        "http://evil.example/ping": "localhost",
        "http://localhost@evil.example/ping": "localhost",
        "http://localhost/ping": "evil.example",
    }.items():
        status, _, answer = request(server, target=target, host=host)
        assert (status, "evil.example' , and" in answer["message"] or "evil.example" in answer["message"]) == (
            400,
            True,
        )


def test_a_request_names_one_host(server: Served) -> None:
    assert request(server, host=None)[0] == 400
    assert request(server, host="localhost\r\nhost: evil.example")[0] == 400
    with connect(server) as connection:
        connection.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        status, _, body = read(connection)
    assert status == 400
    assert b"The Host header is missing" in body


@pytest.mark.fault(40)
@pytest.mark.parametrize("site", ["http://evil.example", "null", "http://localhost:1"])
def test_pages_of_other_sites_get_nothing(server: Served, site: str) -> None:
    """A browser hides an answer without CORS headers, and asks before it sends JSON or CSV."""
    asks = {"origin": site, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    answers = [request(server, "OPTIONS", "/invocations", **asks)]
    # What a page may send without asking: none of these is read.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None):
        answers.append(request(server, "POST", "/invocations", BODY, origin=site, content_type=kind))
    assert [status for status, _, _ in answers] == [405, 415, 415, 415, 400]
    answers.append(request(server, "POST", "/invocations", BODY, origin=site, content_type="application/json"))
    assert answers[-1][0] == 200
    for target in ("/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/static/../lifecycle.json"):
        answers.append(request(server, "GET", target, origin=site))
        assert answers[-1][0] == 404
    assert not [name for _, headers, _ in answers for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "target", "status", "sentence"),
    [
        ("GET", "/docs", 404, "There is no /docs. Use POST /invocations for predictions, or GET /ping, /health, /ver"),
        ("GET", "/openapi.json", 404, "There is no /openapi.json."),
        ("GET", "/redoc", 404, "There is no /redoc."),
        ("GET", "/", 404, "There is no /."),
        ("GET", "/invocations", 405, "/invocations takes no GET. Use POST."),
        ("DELETE", "/ping", 405, "/ping takes no DELETE. Use GET."),
    ],
)
def test_an_unknown_path_is_refused(server: Served, method: str, target: str, status: int, sentence: str) -> None:
    found, headers, answer = request(server, method, target)
    assert (found, answer["message"][: len(sentence)]) == (status, sentence)
    assert headers["content-type"] == "application/json"


def test_invalid_http_is_refused(server: Served) -> None:
    for sent, status in {
        b"hello\r\n\r\n": 400,
        b"GET /ping HTTP/1.1\r\nhost: localhost\r\na:" + b"x" * 70_000: 431,
    }.items():
        with connect(server) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(sent)
            found, _, body = read(connection)
        assert found == status
        assert json.loads(body)["message"].startswith("The request is no valid HTTP/1.1: ")


@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        ({"content_type": "text/plain"}, 415, "Content-Type is 'text/plain', which is not read. Give text/csv or app"),
        ({"content_type": "text/csv; charset=latin-1"}, 415, "Content-Type is 'text/csv; charset=latin-1', which is"),
        ({"content_type": "application/json", "content_encoding": "br"}, 415, "Content-Encoding is 'br', which"),
    ],
)
def test_a_type_that_is_not_read_is_refused(server: Served, headers: Any, status: int, sentence: str) -> None:
    found, _, answer = request(server, "POST", "/invocations", BODY, **headers)
    assert (found, answer["message"][: len(sentence)]) == (status, sentence)


LARGE = "The body is larger than max_body_mb=0.2 MB. Send fewer rows in a request, or use lifecycle predict for a file."


def test_a_large_body_is_refused_before_it_is_sent(server: Served) -> None:
    with connect(server) as connection:
        connection.sendall(
            b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: 25000000\r\nexpect: 100-continue\r\n\r\n"
        )
        status, headers, body = read(connection)
    assert (status, json.loads(body)["message"]) == (413, LARGE)
    assert headers["connection"] == "close"


def test_a_large_body_in_chunks_is_refused_while_it_is_sent(server: Served) -> None:
    with connect(server) as connection:
        connection.sendall(
            b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for _ in range(10):
            connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
        status, _, body = read(connection)
    assert (status, json.loads(body)["message"]) == (413, LARGE)


def test_a_chunked_body_is_answered_after_100_continue(server: Served) -> None:
    with connect(server) as connection:
        connection.sendall(
            b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
        assert read(connection)[0] == 200


def drip(connection: socket.socket, data: bytes) -> None:
    """Send a byte now and then, each well within any timeout by itself, until the server has enough."""
    with contextlib.suppress(OSError):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(0.2)


@pytest.mark.parametrize("what", ["headers", "body"])
def test_a_slow_client_is_refused(server: Served, what: str) -> None:
    head = (
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n"
    )
    with connect(server) as connection:
        if what == "body":
            connection.sendall(head)
        sender = threading.Thread(target=drip, args=(connection, head if what == "headers" else b" " * 99))
        sender.start()
        status, headers, body = read(connection)
        connection.close()
        sender.join()
    name = "header_seconds" if what == "headers" else "body_seconds"
    assert status == 408
    assert json.loads(body)["message"].startswith(f"The {what} took more than {name}=0.7. Send ")
    assert headers["connection"] == "close"


def test_a_client_that_does_not_read_its_answers_is_disconnected(server: Served) -> None:
    asked, data = slow_request(6000), b""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", server.port))
        with contextlib.suppress(ConnectionError):  # else the server would still wait, which is a TimeoutError
            for _ in range(200):
                connection.sendall(asked)
        with contextlib.suppress(ConnectionError):
            while block := connection.recv(65536):
                data += block
    assert data.count(b"HTTP/1.1 ") == data.count(b"HTTP/1.1 200 ") < 200
    assert request(server)[0] == 200


def test_idle_connections_are_closed(server: Served) -> None:
    with connect(server) as silent, connect(server) as used:
        used.sendall(b"GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert read(used)[0] == 200
        assert read(silent)[0] == read(used)[0] == 0


def test_a_connection_serves_one_request_after_the_other(server: Served) -> None:
    one = HEAD % len(BODY) + BODY
    with connect(server) as connection:
        for _ in range(2):
            connection.sendall(one)
            assert read(connection)[0] == 200
        connection.sendall(2 * one + b"GET /version HTTP/1.1\r\nhost: localhost\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while block := connection.recv(65536):
            data += block
    assert data.count(b"HTTP/1.1 200 ") == 3


def test_a_connection_too_many_is_refused(server: Served) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(connect(server))
        time.sleep(0.1)
        status, headers, answer = request(server)
        assert (status, headers["retry-after"]) == (429, "1")
        assert (
            answer["message"]
            == "The server has max_connections=6 open connections. Send the request again after a second."
        )
    time.sleep(0.1)
    assert request(server)[0] == 200


def test_a_request_too_many_is_refused(server: Served) -> None:
    head = (
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n"
    )
    with connect(server) as first, connect(server) as second:
        first.sendall(head)
        second.sendall(head)
        time.sleep(0.1)
        status, headers, answer = request(server, "POST", "/invocations", BODY, content_type="application/json")
        assert (status, headers["retry-after"]) == (429, "1")
        assert answer["message"].startswith(
            "The server has max_requests=2 requests in progress. Send the request again"
        )
        assert request(server)[0] == 200
    time.sleep(0.1)
    assert request(server, "POST", "/invocations", BODY, content_type="application/json")[0] == 200


def slow_request(rows: int = SLOW_ROWS) -> bytes:
    one = json.dumps(list(ROW.values()))
    body = f'{{"dataframe_split": {{"columns": {json.dumps(list(ROW))}, "data": [{",".join([one] * rows)}]}}}}'.encode()
    return HEAD % len(body) + body


def test_other_requests_are_answered_and_a_disconnected_client_cancels_its_work(
    forks: Forks, slow: Path, tmp_path: Path
) -> None:
    served = start(forks, slow, tmp_path)
    try:
        with connect(served) as running, connect(served) as waiting:
            running.sendall(slow_request())
            waiting.sendall(slow_request())
            time.sleep(1.5)  # the body is read, the network is running
            for _ in range(5):
                assert request(served)[0] == 200
                assert request(served, host="evil.example")[0] == 400
            running.setblocking(False)
            with pytest.raises(BlockingIOError):  # it is not answered yet
                running.recv(1)
        one = {"content_type": "application/json"}
        assert request(served, "POST", "/invocations", BODY, **one)[0] == 200
        with connect(served) as running:
            running.sendall(slow_request())
            time.sleep(1.5)
            code, took, lines = ended_by(served, signal.SIGINT)
    finally:
        served.process.kill()
        served.process.communicate()
    assert sum('"POST' in line for line in lines) == 1  # none of those who left was answered
    assert (code, took < 5) == (0, True)


def ended_by(served: Served, number: int) -> tuple[int, float, list[str]]:
    """Send a signal, and return the exit code, the seconds until then, and the lines of standard error."""
    started = time.monotonic()
    served.process.send_signal(number)
    _, err = served.process.communicate(timeout=30)
    return served.process.returncode, time.monotonic() - started, str(err).splitlines()


def test_a_signal_ends_the_server_within_5_seconds_whatever_clients_do(
    forks: Forks, slow: Path, tmp_path: Path
) -> None:
    served = start(forks, slow, tmp_path)
    with ThreadPoolExecutor() as pool, connect(served) as head, connect(served) as body, connect(served) as idle:
        idle.sendall(b"GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert read(idle)[0] == 200
        head.sendall(HEAD[:20])
        body.sendall(HEAD % 99)
        with connect(served) as running:
            running.sendall(slow_request())
            time.sleep(1.5)
            ended = pool.submit(ended_by, served, signal.SIGTERM)
            assert read(head)[0] == read(idle)[0] == 0
            code, took, lines = ended.result()
    assert (code, took < 5) == (143, True)
    assert lines[-1] == "lifecycle: stopped by SIGTERM; a prediction that was running is abandoned"


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("max_body_mb=0", "max_body_mb must be above 0, got 0.0. The default is 10.0."),
        ("max_requests=0", "max_requests must be 1 or more, got 0. The default is 16."),
        ("header_seconds=-1", "header_seconds must be above 0, got -1.0. The default is 10.0."),
        ("hosts=[a.lan:80]", "hosts has 'a.lan:80', which is no host name. Use names such as hosts=[models.lan]."),
        ("hosts=['*']", "hosts has '*', which is no host name."),
    ],
)
def test_an_invalid_limit_is_refused(lifecycle: Command, word: str, sentence: str) -> None:
    ended = lifecycle("serve", f"run={TABLE / 'model'}", word)
    assert ended.code == 2
    assert sentence in ended.err
