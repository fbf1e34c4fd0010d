"""The UI opens on the charts of the runs, and ends at a signal."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import Command


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.longest
@pytest.mark.slow
def test_the_link_opens_on_the_charts_of_the_runs(job: Command, tmp_path: Path) -> None:
    for seed in (1, 2):
        assert job("trainer.max_epochs=1", f"seed={seed}").code == 0
    port = free_port()
    ui = subprocess.Popen(
        [sys.executable, "-m", "lifecycle", "ui", f"port={port}"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert ui.stdout is not None
    ui.stdout.readline()
    link = ui.stdout.readline().strip()
    found = re.fullmatch(
        rf"http://127.0.0.1:{port}/#/experiments/(\d+)/runs\?workflowType=machine_learning&compareRunsMode=CHART", link
    )
    assert found, link
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/runs/search",
        data=json.dumps({"experiment_ids": [found.group(1)]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        listed = json.load(answer)["runs"]
    assert sorted(run["info"]["run_name"] for run in listed) == ["mlp-iris-1", "mlp-iris-2"]
    ui.send_signal(signal.SIGINT)
    assert ui.wait(timeout=30) == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=2)


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
