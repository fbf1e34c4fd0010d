"""The UI opens on the charts of the runs, and ends at a signal."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lifecycle import run as lifecycle_run
from tests.conftest import QUICK, Command, ready


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class UI:
    """A UI in a process of its own, with the link that it printed."""

    port: int
    link: str
    run: str

    def answer(
        self, target: str, body: dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Return the status, headers and body of an answer; a path is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        content = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", target, content, {**kind, **headers})
        with contextlib.closing(connection), connection.getresponse() as answer:
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read().decode(errors="replace")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[UI]:
    """Start the UI of two runs, and see that a signal ends it."""
    folder = tmp_path_factory.mktemp("ui")
    ready(folder, empty_database)
    with contextlib.chdir(folder):
        for seed in (1, 2):
            lifecycle_run(["data=iris", "trainer.max_epochs=1", f"seed={seed}", *QUICK])
    (summary, *_) = folder.rglob("summary.txt")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "lifecycle", "ui", f"port={port}"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield UI(port, process.stdout.readline().strip(), summary.parents[1].name)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    process.stdout.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=2)


@pytest.mark.longest
@pytest.mark.slow
def test_the_link_opens_on_the_charts_of_the_runs(ui: UI) -> None:
    found = re.fullmatch(
        rf"http://127.0.0.1:{ui.port}/#/experiments/(\d+)/runs\?workflowType=machine_learning&compareRunsMode=CHART",
        ui.link,
    )
    assert found, ui.link
    status, _, listed = ui.answer("/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": [found.group(1)]})
    assert status == 200
    assert sorted(run["info"]["run_name"] for run in json.loads(listed)["runs"]) == ["mlp-iris-1", "mlp-iris-2"]


@pytest.mark.fault(40)
@pytest.mark.longest
@pytest.mark.slow
def test_pages_of_other_sites_get_nothing(ui: UI) -> None:
    experiments = "/ajax-api/2.0/mlflow/experiments"
    for host in ("evil.example", f"evil.example:{ui.port}", f"127.0.0.1.evil.example:{ui.port}"):
        for target in ("/", f"{experiments}/search?max_results=5"):
            assert ui.answer(target, Host=host)[0] == 403
    site = {"Origin": "http://evil.example"}
    assert ui.answer(f"{experiments}/create", {"name": "x"}, **site)[0] == 403
    _, headers, _ = ui.answer(f"{experiments}/search?max_results=5", **site)
    assert "access-control-allow-origin" not in headers  # so that a browser hides the answer
    assert ui.answer(f"/get-artifact?run_uuid={ui.run}&path=summary.txt")[0] == 200
    outside = [
        "../../../../mlflow.db",
        "%2e%2e/%2e%2e/%2e%2e/%2e%2e/mlflow.db",
        "%252e%252e%252fmlflow.db",
        "/etc/passwd",
    ]
    paths = [f"/get-artifact?run_uuid={ui.run}&path={path}" for path in outside]
    paths += ["/static-files/../../../../etc/passwd", "/api/2.0/mlflow-artifacts/artifacts/../../etc/passwd"]
    for path in paths:
        status, _, body = ui.answer(path)
        assert status in (400, 404), path
        assert "root:" not in body
    assert ui.answer("/ajax-api/2.0/mlflow/registered-models/create", {"name": "m"})[0] == 200
    source = {"name": "m", "source": "file:///etc", "run_id": ui.run}
    status, _, body = ui.answer("/ajax-api/2.0/mlflow/model-versions/create", source)
    assert (status, "Invalid model version source" in body) == (400, True)


@pytest.mark.longest
@pytest.mark.slow
def test_the_ui_listens_on_this_machine_only(ui: UI) -> None:
    # The whole of 127.0.0.0/8 is this machine: a server on all addresses would answer on each.
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", ui.port), timeout=2)


def test_without_runs_it_says_what_to_do_first(lifecycle: Command) -> None:
    ended = lifecycle("ui")
    assert ended.code == 2
    assert "tracking.dir=mlruns has no runs yet. Run one first, such as lifecycle model=mlp data=iris" in ended.err


def test_a_port_that_is_taken_is_named_with_another(lifecycle: Command, job: Command) -> None:
    assert job("trainer.max_epochs=1").code == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = lifecycle("ui", f"port={port}")
    assert ended.code == 2
    assert f"port={port} is taken. Use another, such as port={port + 1}." in ended.err


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("port=abc", "port must be a whole number, got abc."),
        ("port=0", "port must be 1 or more and below 65536, got 0."),
        ("prot=5", "prot is not a field of lifecycle ui, got 5. Did you mean port?"),
    ],
)
def test_a_wrong_word_is_one_sentence(lifecycle: Command, word: str, sentence: str) -> None:
    ended = lifecycle("ui", word)
    assert ended.code == 2
    assert sentence in ended.err
