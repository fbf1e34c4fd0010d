"""In a notebook: a real kernel of Jupyter's runs a fit, and shows the bar, the tables and the pictures."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import KernelManager
from PIL import Image

SECONDS = 120

MADE = """
import numpy as np
from lifecycle import Model
X = np.random.default_rng(0).normal(size=(40, 2))
y = X[:, 0] > 0
model = Model("mlp", hidden=[4])
"""


class Notebook:
    """Runs cells, and returns the output of each: texts by stream, and MIME bundles."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def run(self, code: str) -> tuple[str, list[dict[str, Any]]]:
        """Return the printed and the displayed output of a cell."""
        texts, shown = [], []

        def hook(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                texts.append(content["text"])
            elif message["msg_type"] in ("display_data", "execute_result"):
                shown.append(content["data"])

        reply = self.client.execute_interactive(code, output_hook=hook, timeout=SECONDS, allow_stdin=False)["content"]
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", []))
        return "".join(texts), shown


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Notebook]:
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "mlruns").mkdir()
    shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=SECONDS)
    cells = Notebook(client)
    cells.run(MADE)
    yield cells
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def test_a_fit_shows_a_bar_that_ends_full(notebook: Notebook) -> None:
    printed, shown = notebook.run("history = model.fit(X, y, epochs=5, validation_split=0.2)")
    last = printed.strip().splitlines()[-1].rpartition("\r")[2]
    assert "100%" in last
    assert "5/5" in last
    assert "val_loss 0." in last
    assert shown == []
    printed, _ = notebook.run(
        '_ = model.fit(X, y, epochs=200, validation_split=0.2, patience=1, monitor="val_accuracy"); print(len(_.rows))'
    )
    epochs = int(printed.strip().splitlines()[-1])
    assert epochs < 200
    assert f"{epochs}/{epochs}" in printed  # it stopped early, and is done


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (2, 3)])
def test_verbose_controls_the_output(notebook: Notebook, verbose: int, lines: int) -> None:
    printed, shown = notebook.run(f"_ = model.fit(X, y, epochs=3, verbose={verbose})")
    assert printed + str(shown) == "[]" if not lines else "epoch 3/3" in printed + str(shown)
    assert "%|" not in printed


def test_summary_history_and_pictures_have_rich_displays(notebook: Notebook) -> None:
    notebook.run("history = model.fit(X, y, epochs=3, verbose=0)")
    (summary,) = notebook.run("model.summary()")[1]
    assert "<td>Linear</td>" in summary["text/html"]
    assert "total parameters: 17" in summary["text/plain"]
    (history,) = notebook.run("history")[1]
    assert "<th>train_loss</th>" in history["text/html"]
    (diagram,) = notebook.run("model.plot()")[1]
    assert "<svg" in diagram["image/svg+xml"]
    (curves,) = notebook.run("history.plot()")[1]
    assert Image.open(io.BytesIO(base64.b64decode(curves["image/png"]))).width > 300


def test_a_tracked_fit_prints_its_run_too(notebook: Notebook) -> None:
    printed, shown = notebook.run(
        "_ = model.fit(X, y, epochs=2, track=True); print(Model.from_run('latest').predict(X).dtype)"
    )
    everything = printed + "".join(found.get("text/plain", "") for found in shown)
    assert "Scores" in everything
    assert "mlp-table-0" in everything
    assert printed.strip().splitlines()[-1] == "bool"


def test_an_error_is_one_message(notebook: Notebook) -> None:
    reply = notebook.client.execute_interactive(
        "model.fit(X, y, epochs=0)", output_hook=lambda _: None, timeout=SECONDS, allow_stdin=False
    )["content"]
    assert reply["traceback"] == ["RequestError: epochs must be 1 or more, got 0. The default is 300."]


def test_a_run_is_shown_as_a_card(notebook: Notebook) -> None:
    words = ["data=iris", "trainer.max_epochs=1", "verbose=0", "tracking.figures=false"]
    (card,) = notebook.run(f"import lifecycle; lifecycle.run({words})")[1]
    assert "<b>mlp on iris: 1 epoch, weights of epoch 1; stopped because max_epochs=1 was reached." in card["text/html"]
    assert "<td>test_accuracy</td>" in card["text/html"]
    assert len(card["text/html"]) < 2500
    assert card["text/plain"].startswith("<run ")
    assert len(card["text/plain"]) < 200


def test_the_bar_starts_at_0_and_ends_at_100_percent(notebook: Notebook) -> None:
    printed, _ = notebook.run("_ = model.fit(X, y, epochs=3)")
    bars = [part for part in printed.replace("\n", "\r").split("\r") if "%|" in part]
    assert bars[0].startswith("  0%|")
    assert "0/3" in bars[0]
    assert bars[-1].startswith("100%|")
    assert "3/3" in bars[-1]
    printed, _ = notebook.run("_ = model.fit(X, y, epochs=2, resume=True)")
    assert "3/5" in printed
    assert "5/5" in printed
