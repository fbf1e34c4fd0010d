"""Compare many fits at once with the same fits one by one, and print the ratios with their targets.

    python benchmarks/sweeps.py                 # all jobs, about half an hour
    python benchmarks/sweeps.py pima iris       # some jobs; the others keep their figures
    python benchmarks/sweeps.py --write         # also write the table into docs/speed.md
    python benchmarks/sweeps.py iris --pairs 1  # one pair, to check that it runs

Each measurement is a fresh process, which imports everything and fits once before the clock starts; the first two take
turns, and the others are measured once. Times are CPU seconds of the process and of those that it starts, such as the
one that records: they depend less on what else the machine does than seconds of a clock. A measurement covers
everything that a run of a sweep does: data, network, fit, scores with intervals, baselines, history, predictions, saved
model and the rows in MLflow.

* **vectorised**: all fits of the job, as ``sweep.vectorise=auto`` runs them;
* **one by one**: a few of them in one process, as ``sweep.vectorise=off`` runs them, and multiplied;
* **joblib**: the same few by ``joblib.Parallel`` on two cores: its wall time, multiplied;
* **scikit-learn**: ``cross_val_score(MLPClassifier)`` and its like, which records nothing;
* **Keras**: a loop of ``fit`` and ``evaluate``, where Keras is installed (extra ``bench``), which records nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = Path(__file__).with_suffix(".json")
PAGE = HERE.parent / "docs" / "speed.md"
PAIRS = 5
QUIET = ("verbose=0", "tracking.figures=false")
ROWS, COLUMNS = 20_000, 30
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Job:
    """A job of the benchmark.

    Attributes:
        title: for the table.
        words: overrides of all fits.
        vary: the overrides in which the fits differ.
        few: fits that are run one by one.
        target: least ratio of CPU seconds.
    """

    title: str
    words: tuple[str, ...]
    vary: tuple[str, ...]
    few: int
    target: float


PIMA = ("data=pima", "data.scaling=none", "model.hidden=[12]", "model.initializer=glorot_uniform", "optimizer.eps=1e-7")
PIMA += ("trainer.max_epochs=100", "trainer.batch_size=10", "trainer.early_stopping=false")
JOBS = {
    "pima": Job(
        "pima, 100 seeds, 100 epochs",
        (*PIMA, "data.split_seed=0"),
        tuple(f"seed={seed}" for seed in range(100)),
        4,
        25,
    ),
    "iris": Job(
        "iris, 100 seeds, early stopping",
        ("data=iris", "data.split_seed=0"),
        tuple(f"seed={seed}" for seed in range(100)),
        6,
        20,
    ),
    "cv": Job(
        "pima, 10 x 10 cross-validation, 100 epochs",
        (*PIMA, "cv.folds=10", "cv.repeats=10"),
        tuple(f"cv.fold={fold} cv.repeat={repeat}" for repeat in range(10) for fold in range(10)),
        4,
        20,
    ),
    "rates": Job(
        f"{ROWS:,} x {COLUMNS}, batch 256, 32 learning rates, 10 epochs",
        ("data=table", "data.path=rows.csv", "data.target=y", "trainer.batch_size=256", "trainer.max_epochs=10"),
        tuple(f"optimizer.lr={0.0002 * 1.15**number:.6f}" for number in range(32)),
        6,
        3,
    ),
    "sequence": Job(
        "sequence, LSTM with a relu cell, 32 seeds, 300 epochs",
        ("data=sequence", "model=lstm", "model.cell_activation=relu", "trainer.early_stopping=false"),
        tuple(f"seed={seed}" for seed in range(32)),
        4,
        4,
    ),
}


def cpu() -> float:
    """Return the CPU seconds of this process, of those that it has started, and of those that have ended."""
    total = sum(os.times()[:4])
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with suppress(OSError):
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / TICK
    return total


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """Return CPU and wall seconds of a call."""
    started, begun = cpu(), time.perf_counter()
    work()
    return {"cpu": cpu() - started, "wall": time.perf_counter() - begun}


def requests_of(job: Job) -> list[Any]:
    """Return the request of each fit."""
    from lifecycle.config.compose import compose
    from lifecycle.config.records import request_record

    record = request_record.record_of(compose([*job.words, *job.vary[0].split(), *QUIET]))
    return [request_record.request_of(record, words.split()) for words in job.vary]


def vectorised(job: Job) -> dict[str, float]:
    """Run all fits of a job together."""
    from lifecycle.runs import group
    from lifecycle.tracking.store import open_store

    requests = requests_of(job)
    open_store(requests[0].tracking)
    group.run(requests[:2], [None] * 2)
    ended: list[Any] = []
    found = measured(lambda: ended.extend(group.run(requests, [None] * len(requests)).ended))
    if not all(isinstance(one, group.Vectorised) and one.error is None for one in ended):
        raise SystemExit(f"not vectorised: {set(map(str, ended))}")
    return found


def one_by_one(job: Job) -> dict[str, float]:
    """Run some fits of a job one after the other."""
    from lifecycle.runs import pipeline

    requests = requests_of(job)[: job.few + 1]
    pipeline.run(requests.pop())
    found = measured(lambda: [pipeline.run(request) for request in requests])
    return {name: value * len(job.vary) / job.few for name, value in found.items()}


def with_joblib(job: Job) -> dict[str, float]:
    """Run some fits of a job by joblib on two cores."""
    from joblib import Parallel, delayed

    with Parallel(n_jobs=2) as pool:
        pool(delayed(_run)([*job.words, *words.split(), *QUIET]) for words in job.vary[-2:])  # imports
        found = measured(lambda: pool(delayed(_run)([*job.words, *w.split(), *QUIET]) for w in job.vary[: job.few]))
    return {name: value * len(job.vary) / job.few for name, value in found.items()}


def _run(words: list[str]) -> None:
    import lifecycle

    lifecycle.run(words)


def _rows(job: Job) -> tuple[Any, Any]:
    """Return the scaled inputs and the targets of a job, ``(rows, columns)`` and ``(rows,)``."""
    from lifecycle.config.resolve import resolve
    from lifecycle.runs import pipeline

    data = pipeline.loaded(resolve(requests_of(job)[0]))
    import numpy as np

    parts = [part for part in (data.train, data.val, data.test) if part is not None]
    inputs = np.concatenate([np.asarray(part.inputs).reshape(len(part), -1) for part in parts])
    return inputs, np.concatenate([part.labels for part in parts])


def with_sklearn(job: Job) -> dict[str, float]:
    """Do what a user of scikit-learn would do: ``cross_val_score`` of its multilayer perceptron, or a loop."""
    import warnings

    from sklearn.model_selection import cross_val_score, train_test_split
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    inputs, labels = _rows(job)
    options: dict[str, Any] = {"hidden_layer_sizes": (12,), "batch_size": 10, "max_iter": 100, "n_iter_no_change": 100}
    if job is JOBS["iris"]:
        options = {"hidden_layer_sizes": (64, 32), "batch_size": 32, "max_iter": 300, "early_stopping": True}
        options |= {"n_iter_no_change": 30, "validation_fraction": 0.25}

    def work() -> None:
        if job is JOBS["cv"]:
            cross_val_score(MLPClassifier(**options), inputs, labels, cv=10)
            return
        for seed in range(10):
            train, test, of_train, of_test = train_test_split(inputs, labels, random_state=0, stratify=labels)
            MLPClassifier(**options, random_state=seed).fit(train, of_train).score(test, of_test)

    found = measured(work)
    return {name: value * len(job.vary) / 10 for name, value in found.items()}


def with_keras(job: Job) -> dict[str, float]:
    """Do what a user of Keras would do: a loop of compile, fit and evaluate."""
    os.environ.setdefault("KERAS_BACKEND", "jax" if find_spec("jax") else "torch")
    import keras
    import numpy as np
    from sklearn.model_selection import train_test_split

    inputs, labels = _rows(job)
    classes, codes = np.unique(labels, return_inverse=True)
    train, test, of_train, of_test = train_test_split(inputs, codes, random_state=0, stratify=codes)

    def work(count: int) -> None:
        for seed in range(count):
            keras.utils.set_random_seed(seed)
            widths = [64, 32] if job is JOBS["iris"] else [12]
            layers = [keras.layers.Dense(width, activation="relu") for width in widths]
            model = keras.Sequential([*layers, keras.layers.Dense(len(classes), activation="softmax")])
            model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
            stop = (
                [keras.callbacks.EarlyStopping(patience=30, restore_best_weights=True)] if job is JOBS["iris"] else []
            )
            epochs, size = (300, 32) if job is JOBS["iris"] else (100, 10)
            model.fit(train, of_train, epochs=epochs, batch_size=size, validation_split=0.25, callbacks=stop, verbose=0)
            model.evaluate(test, of_test, verbose=0)

    work(1)
    found = measured(lambda: work(3))
    return {name: value * len(job.vary) / 3 for name, value in found.items()}


TOOLS: dict[str, Callable[[Job], dict[str, float]]] = {
    "vectorised": vectorised,
    "one by one": one_by_one,
    "joblib": with_joblib,
    "scikit-learn": with_sklearn,
    "Keras": with_keras,
}
OF_TABLES = ("pima", "iris", "cv")
"""Jobs for which scikit-learn and Keras have the same network."""


def tools_of(name: str) -> list[str]:
    """Return the tools that a job is measured with."""
    others = ["scikit-learn", *(["Keras"] if find_spec("keras") else [])] if name in OF_TABLES else []
    return ["vectorised", "one by one", "joblib", *others]


def measure(name: str, tool: str) -> dict[str, float]:
    """Measure a tool in a fresh process and an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        if name == "rates":
            _write_rows(Path(folder) / "rows.csv")
        command = [sys.executable, str(Path(__file__)), "--measure", name, tool]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{name}, {tool}: {ended.stderr[-2000:]}")
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _write_rows(file: Path) -> None:
    import numpy as np
    import pandas as pd

    draws = np.random.default_rng(0)
    inputs = draws.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    targets = np.tanh(inputs[:, :5].sum(1)) + 0.5 * inputs[:, 5] * inputs[:, 6] + draws.normal(0, 0.1, ROWS)
    pd.DataFrame(inputs, columns=[f"x{n}" for n in range(COLUMNS)]).assign(y=targets).to_csv(file, index=False)


def table(results: dict[str, Any]) -> str:
    """Return the table of all figures, in Markdown."""
    heads = ["job", "vectorised", "one by one", "ratio", "target", "joblib, 2 cores", "scikit-learn", "Keras"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, job in JOBS.items():
        if name not in results["jobs"]:
            continue
        rounds = results["jobs"][name]
        cells = [job.title]
        cells += [f"{_median(rounds, tool, 'cpu')} s" for tool in ("vectorised", "one by one")]
        cells += [f"**{_ratio(rounds)}**", f"≥ {job.target:g}", f"{_median(rounds, 'joblib', 'wall')} s of the clock"]
        cells += [f"{_median(rounds, tool, 'cpu')} s" for tool in ("scikit-learn", "Keras")]
        lines.append(f"| {' | '.join(cells).replace('- s', '-')} |")
    return "\n".join([*lines, "", results["machine"]])


def _ratio(rounds: list[dict[str, Any]]) -> str:
    ratios = [one["one by one"]["cpu"] / one["vectorised"]["cpu"] for one in rounds]
    return f"{statistics.median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g}, {len(ratios)})"


def _median(rounds: list[dict[str, Any]], tool: str, what: str) -> str:
    known = [one[tool][what] for one in rounds if tool in one]
    return f"{statistics.median(known):.3g}" if known else "-"


def _machine() -> str:
    packages = ("torch", "scikit-learn", "mlflow", *(["keras"] if find_spec("keras") else []))
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}."


def main() -> None:
    """Measure, store and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", choices=[*JOBS, []], help="jobs to measure; all by default")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="rounds of all tools")
    parser.add_argument("--write", action="store_true", help="write the table into docs/speed.md")
    parser.add_argument("--measure", nargs=2, metavar=("JOB", "TOOL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, tool = options.measure
        found = TOOLS[tool](JOBS[name])
        print(f"\n{json.dumps(found)}")
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"jobs": {}}
    for name in options.jobs or JOBS:
        rounds: list[dict[str, Any]] = []
        for number in range(options.pairs):
            rounds.append({})
            # What has no target is measured once.
            for tool in tools_of(name) if number == 0 else ("vectorised", "one by one"):
                rounds[-1][tool] = measure(name, tool)
                seconds = rounds[-1][tool]
                print(f"{name}, {tool}: {seconds['cpu']:.1f} s of CPU, {seconds['wall']:.1f} s", flush=True)
        results["jobs"][name] = rounds
        results["machine"] = _machine()
        if options.pairs >= PAIRS:
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    if options.write:
        _put(PAGE, table(results))


def _put(page: Path, text: str) -> None:
    """Put a table between the marks of a page."""
    inner = f"<!-- sweeps: begin -->\n{text}\n<!-- sweeps: end -->"
    pattern = re.compile(r"<!-- sweeps: begin -->.*<!-- sweeps: end -->", re.DOTALL)
    page.write_text(pattern.sub(lambda _: inner, page.read_text()))


if __name__ == "__main__":
    main()
