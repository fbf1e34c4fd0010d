"""A plugin by a third party: a real package, installed by pip, and nothing changed anywhere else."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from tests.conftest import Command, ready

Runs = Callable[[], list[mlflow.entities.Run]]
EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install the example outside the environment, and return the folder to put on the path."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(EXAMPLE)]
    subprocess.run(pip, check=True)
    return str(target)


@pytest.mark.slow
def test_its_name_works_in_a_new_process(
    python: Command, runs: Runs, installed: str, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    words = [
        "model=residual",
        "data=wine",
        "model.width=16",
        "trainer.max_epochs=30",
        "verbose=0",
        "tracking.figures=false",
    ]
    assert python(*words, PYTHONPATH=installed).code == 0
    (run,) = runs()
    assert run.data.params["model.width"] == "16"
    assert run.data.metrics["test_accuracy"] > 0.8


@pytest.mark.slow
def test_it_is_listed_and_its_fields_are_checked(
    lifecycle: Command, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed)
    assert "cnn, lstm, mlp, residual, sequential" in lifecycle("--help").out
    listed = lifecycle("plugins").out
    assert "residual lifecycle-residual 0.1.0 A residual network, for rows of a table." in " ".join(listed.split())
    sentences = {
        "model.widht=3": "model.widht is not a field of model=residual, got 3. Did you mean model.width?",
        "model.width=0": "model.width must be 1 or more, got 0. The default is 32.",
        "data=digits": "model=residual needs samples of shape (features), got (channels, height, width)",
    }
    for word, sentence in sentences.items():
        ended = lifecycle("model=residual", word)
        assert ended.code == 2
        assert sentence in ended.err


@pytest.mark.slow
def test_its_own_test_passes_the_conformance_kit(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(installed)
    (file,) = (EXAMPLE / "tests").glob("test_*.py")
    tests = [test for name, test in runpy.run_path(str(file)).items() if name.startswith("test_")]
    assert len(tests) == 1
    tests[0]()
