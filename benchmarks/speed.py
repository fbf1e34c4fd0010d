"""Compare the speed of lifecycle with its alternatives in interleaved pairs, and print the ratios with their targets.

    python benchmarks/speed.py                   # all jobs: an hour or more, most of it for the peers
    python benchmarks/speed.py pima iris         # some jobs; the others keep their figures
    python benchmarks/speed.py --write           # also write the tables into docs/speed.md
    python benchmarks/speed.py start             # the whole command against importing PyTorch
    python benchmarks/speed.py iris --small      # one pair with few epochs, to check that it runs; keeps no figures

Each job is an experiment preset. The benchmark times:

* fit in one warm process, in turns: ours (with history to MLflow and both checkpoints), a hand-written loop, and the
  usual Lightning stack; all start from the same weights and rows, after one fit that is not counted;
* fit in fresh processes, as users experience it: ours, Keras on each installed backend, scikit-learn, Lightning;
* ``start``: ``lifecycle data=iris``, with all defaults, against ``python -c "import torch"`` and scikit-learn's script;
* whole processes: ``lifecycle +experiment=...`` with all defaults in a folder with a database, and the peers' scripts,
  which read, fit, evaluate and predict. Files are downloaded before the measurements.

Each peer reports its rows, steps, epochs and parameters; if they differ from ours, the benchmark stops. The modules in
``peers/`` say what each peer does in addition or leaves out. Keras comes with the extra ``bench``, or from another
interpreter with ``--keras-python``. All times are stored in ``speed.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lifecycle.data.sources import downloads
from peers.jobs import JOBS, Timed, describe
from peers.versions import backends, versions
from speed_table import KERAS, START, details, number, start_up, table, write_page, write_start_up

HERE = Path(__file__).parent
RESULTS = Path(__file__).with_suffix(".json")
PAIRS = 5
JUDGED = ("ours", "loop", KERAS)
"""Tools with a target; the others may be timed less often."""
PEERS = ("loop", "lightning", "keras-tensorflow", "keras-jax", "keras-torch", "sklearn")
DENSE = "mlp"
"""The only model that scikit-learn also has."""


@dataclass
class Bench:
    """The setup of the measurements.

    Attributes:
        folder: working folder of all processes, with an MLflow database.
        pairs: number of measurements.
        few: number of measurements of tools that are not in :data:`JUDGED`.
        small: use few epochs and no warm-up.
        keras_python: interpreter that has Keras.
        peers: the chosen tools of :data:`PEERS` that are installed.
        versions: package versions by interpreter.
    """

    folder: Path
    pairs: int
    few: int
    small: bool
    keras_python: str
    peers: list[str]
    versions: dict[str, dict[str, str]] = field(default_factory=dict)

    def prepare(self) -> None:
        """Create the databases before anything is timed."""
        opening = "from lifecycle.config.schema import TrackingConfig\n"
        opening += "from lifecycle.tracking.store import open_store\nopen_store(TrackingConfig())"
        run([sys.executable, "-c", opening], self.folder)
        (self.folder / "lightning").mkdir()
        shutil.copy(self.folder / "mlruns" / "mlflow.db", self.database)

    @property
    def database(self) -> Path:
        """The database of the Lightning stack."""
        return self.folder / "lightning" / "mlflow.db"

    def measure(self, timed: Timed) -> dict[str, Any]:
        """Measure a job and return its record: all times, the work done, the machine and the versions."""
        job = describe(timed, self.folder, self.small)
        file = self.folder / f"{timed.name}.json"
        file.write_text(json.dumps(job))
        warm = self._warm(file)
        fresh = self._fresh(job, file)
        check_equal_work(job, {**{f"warm {name}": found for name, found in warm.items()}, **fresh})
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "pairs": self.pairs,
            "pairs_of_others": min(self.few, self.pairs),
            "words": " ".join(job["words"]),
            "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()},
            "versions": self.versions,
            "work": warm["ours"]["work"] | {"batch_size": job["batch_size"]},
            "threads": {name: found["threads"] for name, found in warm.items()},
            "samples": {
                "warm": {name: found["fit"] for name, found in warm.items()},
                "fit": {name: found["fit"] for name, found in fresh.items()},
                "process": {name: found["process"] for name, found in fresh.items()},
            },
            "scores": {
                "warm": {name: found["scores"] for name, found in warm.items()},
                "fit": {name: found["scores"] for name, found in fresh.items()},
            },
        }

    def start(self) -> dict[str, Any]:
        """Time the whole command, the import of PyTorch, and scikit-learn's whole script, in turns."""
        file = self.folder / "start.json"
        file.write_text(json.dumps(describe(JOBS["iris"], self.folder, self.small)))
        commands = {
            "ours": [sys.executable, "-m", "lifecycle", "data=iris", *(["trainer.max_epochs=2"] if self.small else [])],
            "torch": [sys.executable, "-c", "import torch"],
            "sklearn": [sys.executable, "-m", "peers.sklearn_mlp", str(file)],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for pair in range(self.pairs + (not self.small)):
            for name, command in commands.items():
                seconds, _ = run(command, self.folder, PYTHONPATH=str(HERE))
                if pair or self.small:  # the first fills the file cache and writes bytecode
                    times[name].append(seconds)
                    print(f"  whole process       {name:18} {number(seconds)} s", flush=True)
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()},
            "versions": self.versions,
            "samples": {"process": times},
        }

    def _warm(self, file: Path) -> dict[str, Any]:
        """Time fits in one process, in turns."""
        peers = [name for name in ("loop", "lightning") if name in self.peers]
        few = min(self.few, self.pairs)
        arguments = [str(file), str(self.pairs), str(few), "0" if self.small else "1", str(self.database), *peers]
        _, found = self._script("warm", arguments)
        for name, times in found.items():
            print(f"  fit, warm process   {name:18} {' '.join(map(number, times['fit']))} s", flush=True)
        return found

    def _fresh(self, job: dict[str, Any], file: Path) -> dict[str, Any]:
        """Time fresh processes, in turns."""
        names = ["ours", *in_processes(self.peers, job["model_name"])]
        if not self.small:  # warm-up: fills the file cache and writes bytecode
            short = {**job, "epochs": 1, "words": [*job["words"], "trainer.max_epochs=1"]}
            once = file.with_suffix(".once.json")
            once.write_text(json.dumps(short))
            for name in names:
                self._once(name, short, once)
        found: dict[str, Any] = {name: {"fit": [], "process": [], "scores": []} for name in names}
        for pair in range(self.pairs):
            for name in names:
                if pair >= self.few and name not in JUDGED:
                    continue
                seconds, report = self._once(name, job, file)
                found[name]["process"].append(seconds)
                found[name]["fit"].append(report["fit"])
                found[name]["scores"].append(report["scores"])
                found[name] |= {"work": report["work"]}
                print(f"  fresh process       {name:18} {number(report['fit'])} s of {number(seconds)} s", flush=True)
        return found

    def _once(self, name: str, job: dict[str, Any], file: Path) -> tuple[float, dict[str, Any]]:
        """Run a tool once; return the seconds of the process and its report (ours: the command, and a separate fit)."""
        if name == "ours":
            seconds, _ = run([sys.executable, "-m", "lifecycle", *job["words"]], self.folder)
            return seconds, self._script("ours", [str(file)])[1]
        if name == "lightning":
            return self._script("lightning_stack", [str(file), str(self.database)])
        if name == "sklearn":
            return self._script("sklearn_mlp", [str(file)])
        backend = name.removeprefix("keras-")
        return self._script("keras_script", [str(file)], self.keras_python, KERAS_BACKEND=backend)

    def _script(
        self, module: str, arguments: list[str], python: str = sys.executable, **environment: str
    ) -> tuple[float, dict[str, Any]]:
        seconds, out = run(
            [python, "-m", f"peers.{module}", *arguments], self.folder, PYTHONPATH=str(HERE), **environment
        )
        report: dict[str, Any] = json.loads(out.splitlines()[-1])
        return seconds, report


def run(command: list[str], folder: Path, **environment: str) -> tuple[float, str]:
    """Run a process; return its wall time in seconds and its output.

    Raises:
        RuntimeError: the process failed; the message has its error output.
    """
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "MLFLOW_DISABLE_TELEMETRY": "true"}
    cache = {downloads.CACHE: str(downloads.folder().absolute())}  # the process has another working folder
    started = time.perf_counter()
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **quiet, **cache, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
    return seconds, ended.stdout


def in_processes(peers: list[str], model_name: str) -> list[str]:
    """Return the peers that run a job in fresh processes: scikit-learn has only dense networks."""
    return [name for name in peers if name != "loop" and (name != "sklearn" or model_name == DENSE)]


def check_equal_work(job: dict[str, Any], found: dict[str, Any]) -> None:
    """Check that all tools did the same work.

    Raises:
        RuntimeError: a peer did other work than ours; the message names both.
    """
    ours = found["ours"]["work"]
    # PyTorch's LSTM has two biases for each gate, Keras has one.
    model = job["model"]
    second = 4 * sum(model["units"]) if model.get("cell_activation") == "tanh" else 0
    for name, report in found.items():
        missing = second if name.startswith("keras") else 0
        expected = ours | {"parameters": ours["parameters"] - missing}
        if report["work"] != expected:
            raise RuntimeError(f"{name} of {job['name']} did {report['work']}, and ours {expected}: not equal work.")


def processor() -> str:
    """Return the name of the processor."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def installed(asked: list[str], keras_python: str) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return the chosen peers that are installed, and the package versions by interpreter."""
    found = {"ours": versions()}
    if any(name.startswith("keras") for name in asked):
        command = [keras_python, "-m", "peers.versions"]
        _, out = run(command, HERE, PYTHONPATH=str(HERE))
        found["keras"] = json.loads(out)
    there = [f"keras-{backend}" for backend in backends(found.get("keras", {}))]
    missing = [name for name in asked if name.startswith("keras") and name not in there]
    if missing:
        print(f"{', '.join(missing)}: not installed in {keras_python}, and left out. pip install -e '.[bench]'")
    return [name for name in asked if name not in missing], found


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="job", help=f"default: all: {', '.join([*JOBS, START])}")
    parser.add_argument("--pairs", type=int, help=f"number of measurements; default: {PAIRS}")
    parser.add_argument("--few", type=int, help="number of measurements of tools without a target, which are slow")
    parser.add_argument("--small", action="store_true", help="one pair with few epochs; keeps no figures")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS, help="default: all installed ones")
    parser.add_argument("--keras-python", default=sys.executable, help="interpreter that has Keras; default: this one")
    parser.add_argument("--results", type=Path, help=f"file of the figures; default: {RESULTS.name} next to this file")
    parser.add_argument("--write", action="store_true", help="also write the tables into docs/speed.md")
    asked = parser.parse_args(words)
    if unknown := sorted(set(asked.names) - {*JOBS, START}):
        parser.error(f"no such job: {', '.join(unknown)}. Choose from {', '.join([*JOBS, START])}.")
    if asked.pairs is not None and asked.pairs < 1:
        parser.error(f"--pairs must be at least 1, got {asked.pairs}. Leave it out for {PAIRS}.")
    if asked.few is not None and asked.few < 1:
        parser.error(f"--few must be at least 1, got {asked.few}. Leave it out for --pairs.")
    if asked.small and asked.write:
        parser.error("--small compares with no target and has no table for the page. Leave out --write.")
    asked.pairs = asked.pairs or (1 if asked.small else PAIRS)
    asked.few = asked.few or asked.pairs
    asked.results = asked.results or (None if asked.small else RESULTS)
    return asked


def main() -> None:
    """Measure the chosen jobs one after the other and store the figures of each."""
    asked = parsed()
    peers, found = installed(asked.peers, asked.keras_python)
    kept = asked.results is not None and asked.results.exists()
    results = json.loads(asked.results.read_text()) if kept else {"jobs": {}}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), asked.pairs, asked.few, asked.small, asked.keras_python, peers, found)
        bench.prepare()
        for name in asked.names or [*JOBS, START]:
            print(name, flush=True)
            if name == START:
                results[START] = bench.start()
            else:
                results["jobs"][name] = bench.measure(JOBS[name])
            if asked.results:
                asked.results.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{table(results)}\n\n{details(results)}\n\n{start_up(results)}")
    if asked.write:
        write_page(results)
        write_start_up(results)


if __name__ == "__main__":
    main()
