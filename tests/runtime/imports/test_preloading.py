"""PyTorch's library is loaded while a configuration is composed, and nothing waits for it."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from lifecycle.runtime.imports import preloading

LOADED = """
import sys
from pathlib import Path
from lifecycle.runtime.imports import preloading

def is_loaded():
    return preloading.LIBRARY in Path("/proc/self/maps").read_text()

assert not is_loaded()
preloading.load_libraries().join()
assert is_loaded() and "torch" not in sys.modules
import torch
assert torch.ones(3).sum() == 3
assert preloading.load_libraries() is None
"""
ENDING = """
import time
from lifecycle.runtime.imports import preloading

class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(1)  # while Python takes its modules apart, the library is there

slow = Slow()
preloading.load_libraries()
"""
COMPOSED = """
import sys
from lifecycle.runtime.imports import preloading
for name in preloading.LOADED_BEFORE:
    __import__(name)

def libraries():
    files = {name: str(getattr(module, "__file__", "")) for name, module in list(sys.modules.items())}
    return {name for name, file in files.items() if file.endswith(".so")}

from lifecycle.cli import hydra_app, main
before = libraries()
hydra_app._start = lambda request: print(sorted(libraries() - before), "torch" in sys.modules)
hydra_app.preloading.load_libraries = lambda: print("loads")
sys.argv[1:] = WORDS
main.main()
"""
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux loads it early")


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a new Python."""
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@linux
def test_the_library_is_loaded_before_pytorch_is_imported(tmp_path: Path) -> None:
    ended = run(LOADED, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


@linux
def test_a_program_that_ends_while_the_library_is_loaded_ends_well(tmp_path: Path) -> None:
    ended = run(ENDING, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


@linux
def test_composing_loads_no_library_that_would_wait_for_it(tmp_path: Path) -> None:
    ended = run(COMPOSED.replace("WORDS", "['data=iris']"), tmp_path)
    assert (ended.stdout, ended.stderr) == ("loads\n[] False\n", "")


@pytest.mark.parametrize("word", ["-m", "--multirun", "--help"])
def test_a_command_that_runs_nothing_itself_loads_nothing(tmp_path: Path, word: str) -> None:
    ended = run(COMPOSED.replace("WORDS", f"['data=iris', 'seed=x', {word!r}]"), tmp_path)
    assert "loads" not in ended.stdout


def test_another_system_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert preloading.load_libraries() is None


@linux
@pytest.mark.parametrize("name", preloading.OF_GPUS)
def test_a_pytorch_for_gpus_loads_its_libraries_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "lib").mkdir()
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(preloading, "find_spec", lambda _: ModuleSpec("torch", None, origin=str(tmp_path / "a.py")))
    loading = preloading.load_libraries()  # a library that is not there: nothing is loaded, and nothing is said
    assert loading is not None
    loading.join()
    (tmp_path / "lib" / name).touch()
    assert preloading.load_libraries() is None


def test_without_pytorch_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(preloading, "find_spec", lambda _: None)
    assert preloading.load_libraries() is None
