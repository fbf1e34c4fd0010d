"""profile=true: phases that add up to the whole, sampled stacks, and the files of a run."""

from __future__ import annotations

import builtins
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pandas as pd
import pytest

import lifecycle
from lifecycle.profiling import clock, files
from lifecycle.profiling.clock import phase, profiled
from tests.conftest import Command, artifacts
from tests.packages import Site, fresh_site
from tests.profiling.test_files import frames, phases

Runs = Callable[[], list[mlflow.entities.Run]]
site = pytest.fixture(fresh_site, name="site")
FILES = ("profile.csv", "profile.html")
ON: Any = SimpleNamespace(config=SimpleNamespace(profile=True))
OFF: Any = SimpleNamespace(config=SimpleNamespace(profile=False))


@pytest.fixture
def profile() -> Iterator[clock.Profile]:
    """Profile the test."""
    with profiled(ON):
        found = clock.current()
        assert found is not None
        yield found


@phase("outer")
def outer(seconds: float) -> str:
    time.sleep(seconds)
    with phase("inner"):
        inner_work()
    return "done"


def inner_work() -> None:
    time.sleep(0.2)


def functions(profile: clock.Profile, name: str) -> set[tuple[str, ...]]:
    """Return the stacks seen in a phase, by the names of their functions."""
    return {tuple(text.split("\0")[0] for text in stack) for phase, stack in profile.stacks if phase == name}


def test_a_phase_is_exclusive_of_those_within_it_and_all_add_up_to_the_whole(profile: clock.Profile) -> None:
    began = time.perf_counter()
    assert outer(0.1) == "done"
    took = time.perf_counter() - began
    time.sleep(0.05)
    profile.stop()
    assert profile.seconds["outer"] >= 0.1
    assert profile.seconds["inner"] >= 0.2
    assert profile.seconds["outer"] + profile.seconds["inner"] < took
    assert profile.seconds["other"] >= 0.05
    assert sum(profile.seconds.values()) == pytest.approx(profile.whole)
    assert "start" not in profile.seconds  # that is of a command alone


def test_stacks_begin_where_their_phase_does(profile: clock.Profile) -> None:
    outer(0.1)
    profile.stop()
    assert ("outer",) in functions(profile, "outer")
    assert ("inner_work",) in functions(profile, "inner")
    seen = sum(seconds for (name, _), seconds in profile.stacks.items() if name == "inner")
    assert seen == pytest.approx(profile.seconds["inner"], abs=0.1)


def test_a_phase_that_an_error_ends_is_over_and_so_are_those_within_it(profile: clock.Profile) -> None:
    @phase("outer")
    def broken() -> None:
        profile.enter("never left", sys._getframe())
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken()
    time.sleep(0.05)
    profile.stop()
    assert profile.seconds["never left"] > 0
    assert profile.seconds["other"] >= 0.05


def test_other_threads_are_not_counted(profile: clock.Profile) -> None:
    thread = threading.Thread(target=outer, args=(0.0,))
    thread.start()
    thread.join()
    profile.stop()
    assert set(profile.seconds) <= {"other", "import"}


def test_the_import_of_a_module_does_not_count_for_the_phase_that_imports_it(
    profile: clock.Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_module_outside.py").write_text("import slow_module_inside, time\ntime.sleep(0.1)\n")
    (tmp_path / "slow_module_inside.py").write_text("import time\ntime.sleep(0.1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    began = time.perf_counter()
    with phase("data"):
        import slow_module_outside  # noqa: F401
    took = time.perf_counter() - began
    profile.stop()
    assert profile.seconds["import"] >= 0.2
    assert profile.seconds["data"] < took - 0.2
    stacks = {
        tuple(Path(text.split("\0")[1]).stem for text in stack) for name, stack in profile.stacks if name == "import"
    }
    assert {("slow_module_outside",), ("slow_module_outside", "slow_module_inside")} <= stacks


def test_entering_and_leaving_a_context_is_a_phase_and_so_are_the_methods_of_what_it_gives(
    profile: clock.Profile,
) -> None:
    class Slow:
        def __enter__(self) -> Slow:
            time.sleep(0.1)
            return self

        def __exit__(self, *error: object) -> None:
            time.sleep(0.1)
            left.append(error[1])

        def work(self) -> str:
            time.sleep(0.1)
            return "done"

    left: list[object] = []
    began = time.perf_counter()
    with clock.timed("slow", Slow()) as slow:
        time.sleep(0.2)
        assert slow.work() == "done"
    took = time.perf_counter() - began
    raised = ValueError("passed to it")
    with pytest.raises(ValueError, match="passed to it"), clock.timed("slow too", Slow()):
        raise raised
    profile.stop()
    assert 0.3 <= profile.seconds["slow"] < took - 0.2
    assert profile.seconds["slow too"] >= 0.2
    assert profile.seconds["other"] >= 0.2
    assert left == [None, raised]


def test_without_it_nothing_is_timed_wrapped_or_started() -> None:
    before, threads = builtins.__import__, threading.active_count()
    with profiled(OFF):
        assert clock.current() is None
        assert (builtins.__import__, threading.active_count()) == (before, threads)
        assert files.callbacks() == []
        assert outer(0.0) == "done"


def test_all_is_as_before_when_it_is_over() -> None:
    before, threads = builtins.__import__, threading.active_count()

    def broken() -> None:
        assert builtins.__import__ is not before
        assert threading.active_count() == threads + 1
        assert len(files.callbacks()) == 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), profiled(ON):
        broken()
    assert (builtins.__import__, threading.active_count()) == (before, threads)
    assert clock.current() is None


def read(folder: Path) -> dict[str, float]:
    """Return the seconds of a run's phases; the file says of each what share of the whole it is."""
    table = pd.read_csv(folder / "profile.csv")
    assert list(table.columns) == ["phase", "seconds", "share"]
    assert table["share"].sum() == pytest.approx(1, abs=1e-5)
    assert (table["seconds"] / table["seconds"].sum() - table["share"]).abs().max() < 1e-5
    return dict(zip(table["phase"], table["seconds"], strict=True))


SLOW_DATA = """
import time
from dataclasses import dataclass

import pandas as pd

from lifecycle.data.kinds.table import Table

@dataclass
class Slow(Table):
    "Rows that take long to read."
    path: str = "none"
    target: str = "y"

    def read(self):
        wait_for_rows()
        return pd.DataFrame({"x": range(40), "y": ["a", "b"] * 20})

def wait_for_rows():
    time.sleep(0.7)
"""
SLOW_NETWORK = """
import time
from dataclasses import dataclass
from torch import nn

class Network(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.layer = nn.Linear(spec.input_shape[0], spec.num_outputs)
        self.register_state_dict_pre_hook(lambda *_: time.sleep(0.1))

    def forward(self, inputs):
        time.sleep(0 if self.training else 0.3)
        return self.layer(inputs)

@dataclass
class Net:
    "Slow where it is not fitted."

    def build(self, spec):
        return Network(spec)
"""


def test_a_run_leaves_where_its_time_went(job: Command, runs: Runs, site: Site) -> None:
    site.install("slowdata", {"slow_rows": "Slow"}, SLOW_DATA, group="lifecycle.data")
    site.install("slownet", {"slow_net": "Net"}, SLOW_NETWORK)
    began = time.perf_counter()
    words = ["data=slow_rows", "model=slow_net", "trainer.max_epochs=2", "verbose=1", "tracking.figures=true"]
    ended = job("profile=true", *words)
    took = time.perf_counter() - began
    assert (ended.code, ended.err) == (0, "")
    (run,) = runs()
    seconds = read(artifacts(run))
    assert [name for name in clock.PHASES if name != "start"] == list(seconds)
    assert took / 2 < sum(seconds.values()) < took
    assert seconds["data"] >= 0.7
    assert seconds["validation"] >= 2 * 0.3
    assert seconds["checkpoint"] >= 3 * 0.1  # at the start, the best, and at the end
    assert min(seconds[name] for name in ("evaluate", "predict")) >= 0.3
    assert seconds["fit"] + seconds["save"] + seconds["pictures"] + seconds["tracking"] < took - 2.2
    page = (artifacts(run) / "profile.html").read_text()
    assert frames(page)["wait_for_rows"] > 0.3  # 0.7 on a quiet machine
    assert phases(page) == pytest.approx(seconds, abs=1e-3)
    assert run.data.params["profile"] == "True"
    lines = ended.out.splitlines()
    (first,) = (number for number, line in enumerate(lines) if line.startswith("Profile "))
    assert lines[first] == f"Profile   {sum(seconds.values()):.2f} s in total"
    assert lines[first + 1].split() == ["phase", "seconds", "share"]
    assert [line.rsplit(maxsplit=2)[:2] for line in lines[first + 2 : -1]] == [
        [name, f"{value:.2f}"] for name, value in seconds.items()
    ]
    assert lines[-1].split(maxsplit=1)[0] == "profile.csv,"
    assert lines[-1].strip().startswith(f"{', '.join(FILES)} in mlruns/artifacts/")


def test_without_it_there_are_no_files_and_no_pyinstrument(
    job: Command, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "pyinstrument"]:
        monkeypatch.delitem(sys.modules, name)
    assert job("trainer.max_epochs=1", "tracking.figures=false").code == 0
    assert not any((artifacts(runs()[0]) / name).exists() for name in FILES)
    assert "pyinstrument" not in sys.modules


def test_a_run_that_fails_leaves_what_there_is(job: Command, runs: Runs) -> None:
    ended = job("profile=true", "optimizer.lr=1e30", "optimizer=sgd")
    assert ended.code == 1
    (run,) = runs()
    assert run.info.status == "FAILED"
    seconds = read(artifacts(run))
    assert {"data", "fit", "tracking"} <= set(seconds)
    assert not {"evaluate", "save"} & set(seconds)
    assert all((artifacts(run) / name).is_file() for name in FILES)


def test_a_request_that_cannot_be_met_ends_the_profile_too(job: Command, runs: Runs) -> None:
    assert job("profile=true", "trainer.monitor=val_mae").code == 2
    assert runs() == []
    assert clock.current() is None
    ended = job("profile=perhaps")
    assert ended.code == 2
    assert "profile must be true or false, got perhaps" in ended.err


IN_THE_WAY = """
from dataclasses import dataclass
from pathlib import Path
from torch import nn

class Network(nn.Linear):
    def forward(self, inputs):
        for run in Path("mlruns/checkpoints").glob("*"):
            artifacts = Path("mlruns/artifacts/lifecycle") / run.name / "artifacts"
            (artifacts / "profile.csv").mkdir(parents=True, exist_ok=True)
        return super().forward(inputs)

@dataclass
class Net:
    "A folder has the name of a file that is to be written."

    def build(self, spec):
        return Network(spec.input_shape[0], spec.num_outputs)
"""


def test_a_profile_that_cannot_be_written_is_reported_and_the_run_stays_finished(
    job: Command, runs: Runs, site: Site
) -> None:
    site.install("acme", {"in_the_way": "Net"}, IN_THE_WAY)
    ended = job("profile=true", "model=in_the_way", "trainer.max_epochs=1", "verbose=1", "tracking.figures=false")
    assert ended.code == 0
    assert runs()[0].info.status == "FINISHED"
    assert ended.out.splitlines()[-1].strip() == "not written: Is a directory"


def test_a_run_from_python_is_profiled_from_its_call(job: Command, runs: Runs) -> None:
    assert job("--version").code == 0  # the working folder is ready
    began = time.perf_counter()
    lifecycle.run(["profile=true", "trainer.max_epochs=1", "verbose=0", "tracking.figures=false"])
    took = time.perf_counter() - began
    seconds = read(artifacts(runs()[0]))
    assert "start" not in seconds
    assert sum(seconds.values()) < took


def test_each_job_of_a_sweep_has_its_own_profile_and_the_first_has_the_start(
    python: Command, runs: Runs, tmp_path: Path, empty_database: Path
) -> None:
    (tmp_path / "mlruns").mkdir(mode=0o700)
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(empty_database.read_bytes())
    began = time.perf_counter()
    ended = python("-m", "profile=true", "seed=0,1", "trainer.max_epochs=1", "tracking.figures=false")
    took = time.perf_counter() - began
    assert (ended.code, ended.err) == (0, "")
    first, second = (read(artifacts(run)) for run in runs())
    assert 0 < first["start"] < sum(first.values()) / 2
    assert "start" not in second
    assert first["import"] > 1 > second["import"]
    assert sum(first.values()) + sum(second.values()) < took
    page = (artifacts(runs()[0]) / "profile.html").read_text()
    assert "lifecycle/runs/pipeline.py" in page
    assert "pytorch_lightning" in page
    assert "importlib._bootstrap" not in page.partition("const sessionData = ")[2]
    assert phases(page) == pytest.approx(first, abs=1e-3)  # with the start, which has no samples
