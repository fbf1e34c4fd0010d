"""The UI opens on the charts of the runs, and ends at a signal."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from lifecycle import run as lifecycle_run
from lifecycle.plots.style import number
from lifecycle.tracking.store import database_uri
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
    folder: Path

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
    """Start the UI of three runs, the first with pictures, and see that a signal ends it."""
    folder = tmp_path_factory.mktemp("ui")
    ready(folder, empty_database)
    with contextlib.chdir(folder):
        first = lifecycle_run(["data=pima", "trainer.max_epochs=40", "seed=1", "verbose=0"])
        for words in ((), ("optimizer.lr=0.01",)):
            lifecycle_run(["data=pima", "trainer.max_epochs=30", "seed=2", *words, *QUICK])
    assert first is not None
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "lifecycle", "ui", f"port={port}"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield UI(port, process.stdout.readline().strip(), first.run_id, folder)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    process.stdout.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=2)


@pytest.mark.longest
@pytest.mark.slow
def test_the_link_opens_on_the_charts_of_the_runs(ui: UI) -> None:
    found = re.fullmatch(
        rf"http://127.0.0.1:{ui.port}/#/experiments/(\d+)/runs\?workflowType=machine_learning&compareRunsMode=CHART"
        "&viewStateShareKey=lifecycle",
        ui.link,
    )
    assert found, ui.link
    status, _, listed = ui.answer("/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": [found.group(1)]})
    assert status == 200
    names = [run["info"]["run_name"] for run in json.loads(listed)["runs"]]
    assert sorted(names) == ["mlp-pima-1", "mlp-pima-2", "mlp-pima-2-2"]


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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start Debian's Chromium, or skip the test where there is none."""
    program = shutil.which("chromium")
    if program is None or find_spec("playwright") is None:
        pytest.skip("MLflow's pages are not looked at: that needs Chromium (apt-get install chromium) and playwright")
    from playwright.sync_api import sync_playwright

    switched_off = ("gpu", "quic", "background-networking", "component-update", "sync")
    options = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in switched_off)]
    with sync_playwright() as playwright:
        profile = tmp_path_factory.mktemp("profile")
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=program, args=options, viewport={"width": 1400, "height": 900}
        )
        # MLflow opens a panel for its assistant at the first visit.
        closed = {"fab.autoOpenedOnFirstLoad_v1": "true", "panelOpen_v1": "false"}
        context.add_init_script(
            ";".join(f"localStorage.setItem('mlflow.assistant.{key}', '{value}')" for key, value in closed.items())
        )
        yield context
        context.close()


@dataclass(frozen=True)
class Look:
    """Opens pages of the UI, and saves a picture of each: in LIFECYCLE_SCREENSHOTS, if that names a folder."""

    ui: UI
    page: Any
    folder: Path

    def open(self, target: str, wait_for: str) -> None:
        # Not by the hash alone, which would not load the page again.
        self.page.goto("about:blank")
        self.page.goto(target if "://" in target else f"http://127.0.0.1:{self.ui.port}/#/{target}")
        self.page.get_by_text(wait_for).first.wait_for(timeout=60_000)

    def at(self, text: str) -> tuple[float, float]:
        """Return the place of a text on the page, from its upper left corner."""
        found = self.page.get_by_text(text, exact=True).first
        found.wait_for(timeout=30_000)
        box = found.bounding_box()
        return box["x"], box["y"]

    def text(self) -> str:
        return str(self.page.locator("body").inner_text())

    def save(self, name: str) -> None:
        self.page.wait_for_timeout(1500)  # charts are drawn with an animation
        self.page.screenshot(path=str(self.folder / f"{name}.png"))
        assert (self.folder / f"{name}.png").stat().st_size > 20_000


@pytest.fixture
def look(ui: UI, browser: Any, tmp_path: Path) -> Iterator[Look]:
    page = browser.new_page()
    yield Look(ui, page, Path(os.environ.get("LIFECYCLE_SCREENSHOTS", tmp_path)))
    page.close()


@pytest.mark.longest
@pytest.mark.browser
def test_the_first_screen_of_charts_has_both_losses_and_then_the_test_scores(look: Look) -> None:
    look.open(look.ui.link, "Learning curves")
    losses = look.at("val_loss"), look.at("train_loss")
    assert losses[0][0] < losses[1][0]
    assert max(y for _, y in losses) < 600
    assert look.at("Learning curves")[1] < losses[0][1] < look.at("Test scores")[1]
    text = look.text()
    assert not [word for word in ("baseline", "_low", "_high") if word in text]
    assert all(name in text for name in ("mlp-pima-1", "mlp-pima-2", "mlp-pima-2-2"))
    look.save("charts")


@pytest.mark.longest
@pytest.mark.browser
def test_the_table_of_runs_has_model_data_seed_and_scores(look: Look) -> None:
    look.open(look.ui.link.replace("CHART", "TABLE"), "mlp-pima-2-2")
    places = [look.at(name) for name in ("Run Name", "test_accuracy", "test_loss", "data", "model", "seed")]
    assert places == sorted(places)
    assert places[-1][0] < 1400
    look.save("table")


@pytest.mark.longest
@pytest.mark.browser
def test_the_page_of_a_run_describes_it_with_pictures_and_few_tags(look: Look) -> None:
    look.open(f"experiments/1/runs/{look.ui.run}?workflowType=machine_learning", "Description")
    look.page.get_by_text("Show more").click()
    pictures = look.page.locator("img[src*='get-artifact']")
    pictures.first.wait_for(timeout=30_000)
    look.page.wait_for_function(
        "[...document.querySelectorAll('img[src*=get-artifact]')].every(one => one.naturalWidth > 300)", timeout=30_000
    )
    assert pictures.count() == 2
    assert look.page.get_by_text("precision recall").count() == 1  # a link, as it is wide
    assert look.at("Finished")[0] < 1300  # which a wide picture would push off the page
    text = look.text()
    scores = pd.read_csv(next(look.ui.folder.rglob(f"{look.ui.run}/artifacts/scores.csv")), index_col="score")
    low, high = scores.loc["accuracy", ["low", "high"]]
    assert f"{number(low)} to {number(high)}" in text
    assert "trainer.max_epochs=40 seed=1" in text  # how it was started
    assert getpass.getuser() in text
    tags = mlflow.MlflowClient(database_uri(look.ui.folder / "mlruns")).get_run(look.ui.run).data.tags
    shown = [name for name in tags if not name.startswith("mlflow.")]
    assert 3 <= len(shown) <= 8
    assert all(name in text for name in shown)
    assert not [word for word in ("sha256", "version.", "hardware.") if word in text.replace("data.sha256", "sha256")]
    look.save("run")


@pytest.mark.longest
@pytest.mark.browser
def test_the_page_of_a_model_has_its_scores_and_its_data(look: Look) -> None:
    run = mlflow.MlflowClient(database_uri(look.ui.folder / "mlruns")).get_run(look.ui.run)
    look.open(f"experiments/1/models/{run.outputs.model_outputs[0].model_id}", "mlp-pima")
    look.at("test_accuracy")
    text = look.text()
    assert "mlp-pima" in text
    assert "val_loss" in text
    assert "pima (" in text
    look.save("model")


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
