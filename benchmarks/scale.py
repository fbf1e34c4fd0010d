"""Measure start-up, batches, large files, streams, long fits and full databases.

    python benchmarks/scale.py                  # all jobs: about an hour on two cores, and 5 GB of temporary disk space
    python benchmarks/scale.py command predict  # some jobs; the others keep their figures
    python benchmarks/scale.py --write          # also write the table into docs/speed.md
    python benchmarks/scale.py --small          # tiny sizes, to check that it runs; compares with no target

Figures are stored in ``scale.json`` next to this file. Memory is the peak of a fresh process (Linux' VmHWM).
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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
BEGIN, END = "<!-- scale: begin -->", "<!-- scale: end -->"
PACKAGES = ("torch", "pytorch-lightning", "mlflow", "pandas", "pyarrow", "scikit-learn")
BLOCK = 250_000  # rows of a file that are generated at once


@dataclass(frozen=True)
class Sizes:
    """The sizes of the jobs."""

    repeats: int = 5
    few: int = 5  # repeats of jobs that take minutes
    batch_rows: int = 400_000
    file_rows: int = 10_000_000
    memory_gb: float = 0.5
    predict_rows: int = 2_000_000
    epochs: tuple[int, ...] = (10, 100, 1_000, 10_000)
    runs: int = 1_000
    whole: bool = True  # all cases of predict, and a warm-up run


SMALL = Sizes(1, 1, 20_000, 5_000, 0.1, 20_000, (1, 2), 3, whole=False)


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        what: name of the measurement.
        unit: unit of the values.
        values: one value per repeat.
        at_most: upper limit of the median.
        at_least: lower limit of the median.
        said: the target as text if it is not a number, or the reason why there are no values.
    """

    what: str
    unit: str
    values: list[float] = field(default_factory=list)
    at_most: float | None = None
    at_least: float | None = None
    said: str = ""

    @property
    def target(self) -> str:
        """The target as text."""
        limits = [f"≤ {self.at_most:g}"] if self.at_most is not None else []
        limits += [f"≥ {self.at_least:,.0f}"] if self.at_least is not None else []
        return ", ".join([*limits, *([self.said] if self.said else [])])

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the target; ``None`` without a target or values."""
        if not self.values or (self.at_most is None and self.at_least is None):
            return None
        middle = statistics.median(self.values)
        return (self.at_most is None or middle <= self.at_most) and (self.at_least is None or middle >= self.at_least)


Job = Callable[[Sizes, Path], Iterator[Figure]]


def cpu_seconds(words: list[str], folder: Path, **environment: str) -> float:
    """Run a command and return its CPU time, including start-up."""
    process = subprocess.Popen(words, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return used.ru_utime + used.ru_stime


def wall_seconds(words: list[str], folder: Path) -> float:
    """Run a command and return its wall time."""
    started = time.perf_counter()
    subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def child(name: str, *arguments: object, folder: Path) -> dict[str, float]:
    """Run one of :data:`CHILDREN` in a fresh process and return its measurements."""
    words = [sys.executable, str(Path(__file__).resolve()), "--child", name, *map(str, arguments)]
    ended = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def peak() -> float:
    """Return the peak memory of this process in bytes; ru_maxrss would include the peak of its parent."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return float(found[1]) * 1024


LIFECYCLE = [sys.executable, "-m", "lifecycle"]


def command(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Measure help, completion and ``--cfg job``, which start no run."""
    line = "lifecycle model="
    asked = {
        "`--help`": (["--help"], {}),
        "completion": (["-sc", "query=bash"], {"COMP_LINE": line, "COMP_POINT": str(len(line))}),
        "`--cfg job`": (["--cfg", "job"], {}),
    }
    for what, (words, environment) in asked.items():
        cpu_seconds([*LIFECYCLE, *words], folder, **environment)  # warm-up: fills the file cache and writes bytecode
        found = [cpu_seconds([*LIFECYCLE, *words], folder, **environment) for _ in range(sizes.repeats)]
        yield Figure(what, "s of CPU", found, at_most=0.5)


def iris(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Measure the first command of the README, in a folder with a database."""
    words = [*LIFECYCLE, "model=mlp", "data=iris"]
    if sizes.whole:
        wall_seconds(words, folder)
    found = [wall_seconds(words, folder) for _ in range(sizes.repeats)]
    yield Figure("`lifecycle model=mlp data=iris`, from command to prompt", "s", found, at_most=5)


def batches(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Compare an epoch of our shuffled batches of 4,096 rows with an epoch of a DataLoader."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from lifecycle.compile.stepping import MOST_BYTES
    from lifecycle.data.batches import Batches, Chunks

    class Laid:
        """The mini-batches as ``fit`` uses them, copied in chunks of many batches."""

        def __iter__(self) -> Iterator[Any]:
            for chunk in Chunks(batches, max(1, MOST_BYTES // (4 * size * 20))):
                yield from chunk

    rows, size = sizes.batch_rows, min(4096, sizes.batch_rows // 4)
    inputs, targets = torch.randn(rows, 20), torch.randint(0, 3, (rows,))
    batches, ours = Batches(inputs, targets, size, shuffle_seed=0), Laid()
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=size, shuffle=True)

    def iterate(source: Any) -> float:
        started = time.perf_counter()
        seen = sum(len(batch[0]) for batch in source)
        assert seen == rows
        return rows / (time.perf_counter() - started)

    def train(source: Any) -> float:
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        started = time.perf_counter()
        for batch in source:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(batch[0]), batch[1]).backward()
            optimizer.step()
        return rows / (time.perf_counter() - started)

    for what, measure in {"batches alone": iterate, "batches and a plain loop training an MLP": train}.items():
        pairs = [(measure(ours), measure(loader)) for _ in range(sizes.repeats)]
        yield Figure(f"{what}: rows a second, ours", "rows/s", [mine for mine, _ in pairs])
        yield Figure(f"{what}: rows a second, DataLoader", "rows/s", [theirs for _, theirs in pairs])
        ratios = [mine / theirs for mine, theirs in pairs]
        yield Figure(f"{what}: ours over DataLoader", "times", ratios, at_least=20)


def make_table(file: Path, rows: int, columns: int, kind: str = "numbers") -> None:
    """Write random numbers ``x0``, ``x1``, ...; ``mixed`` adds missing values and the categories `town` and `code`."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    generator = np.random.default_rng(0)

    def block(length: int) -> Any:
        numbers = generator.normal(size=(columns, length)).astype(np.float32).round(5)
        made = {f"x{i}": pa.array(row) for i, row in enumerate(numbers)}
        if kind == "mixed":
            made["x0"] = pa.array(numbers[0], mask=generator.random(length) < 0.1)
            made["town"] = pa.array(generator.choice(["Bath", "York", "Ely", "Hull"], length))
            made["code"] = pa.array(generator.choice(["007", "0101", "0999"], length))
        return pa.table(made)

    first = block(min(BLOCK, rows))
    csv = file.suffix == ".csv"
    with pa.csv.CSVWriter(file, first.schema) if csv else pa.parquet.ParquetWriter(file, first.schema) as writer:
        writer.write_table(first)
        for start in range(BLOCK, rows, BLOCK):
            writer.write_table(block(min(BLOCK, rows - start)))


def csv(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Compare loading a large CSV file, ready to train, with ``pandas.read_csv``, in fresh processes."""
    file = folder / "large.csv"
    make_table(file, sizes.file_rows, 20)
    matrix = sizes.file_rows * 20 * 4
    pairs = [(child("load", file, folder=folder), child("pandas", file, folder=folder)) for _ in range(sizes.few)]
    what = f"CSV file of {sizes.file_rows:,} rows of 20 numbers"
    yield Figure(f"{what}: load, split and scale", "s", [ours["seconds"] for ours, _ in pairs])
    yield Figure(f"{what}: pandas.read_csv", "s", [theirs["seconds"] for _, theirs in pairs])
    ratios = [ours["seconds"] / theirs["seconds"] for ours, theirs in pairs]
    yield Figure(f"{what}: time over pandas'", "times", ratios, at_most=1.3)
    ratios = [ours["cpu"] / theirs["cpu"] for ours, theirs in pairs]
    yield Figure(f"{what}: processor time over pandas', which other work on the machine changes less", "times", ratios)
    ratios = [ours["peak"] / matrix for ours, _ in pairs]
    yield Figure(f"{what}: the process's peak memory over the float32 matrix", "times", ratios, at_most=2.2)
    ratios = [(ours["peak"] - ours["before"]) / matrix for ours, _ in pairs]
    yield Figure(f"{what}: the same without what the imports take", "times", ratios)
    ratios = [(theirs["peak"] - theirs["before"]) / matrix for _, theirs in pairs]
    yield Figure(f"{what}: the same of pandas", "times", ratios)
    file.unlink()


def parquet(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Train one epoch on a Parquet file that is larger than the memory limit.

    The memory is that of the rows: the peak of the process less its peak after a little job, which imported all that
    a job imports. The limit holds for the rows; targets, row numbers and predictions come in addition, and are counted.
    """
    from lifecycle.data.kinds.table import Table

    size = sizes.file_rows * 20 * 4 / 1e9
    what = f"training on a Parquet file of {size:.2g} GB of float32 with data.memory_gb={sizes.memory_gb}"
    if "memory_gb" not in {entry.name for entry in fields(Table)}:
        yield Figure(f"{what}: peak memory", "GB", said="skipped: data=table has no field memory_gb")
        return
    make_table(folder / "large.parquet", sizes.file_rows, 20)
    make_table(folder / "little.parquet", 1_000, 20)
    found = [child("train", "large.parquet", sizes.memory_gb, folder=folder) for _ in range(sizes.few)]
    memory = [(figures["peak"] - figures["before"]) / 1e9 for figures in found]
    yield Figure(f"{what}: peak memory above that of a little job", "GB", memory, at_most=sizes.memory_gb)
    yield Figure(f"{what}: one epoch, from command to scores", "s", [figures["seconds"] for figures in found])
    (folder / "large.parquet").unlink()


CASES = {
    "CSV to CSV, 8 numbers": (8, "numbers", ".csv", 300_000),
    "CSV to CSV, 20 numbers": (20, "numbers", ".csv", 300_000),
    "Parquet to Parquet, 8 numbers": (8, "numbers", ".parquet", 300_000),
    "Parquet to Parquet, 20 numbers": (20, "numbers", ".parquet", 300_000),
    "CSV to CSV, 8 numbers, one with gaps, and 2 categories": (8, "mixed", ".csv", None),
}
"""Cases of predict: number of columns, their kind, file extension, target in rows per second."""


def predict(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Predict files with a classifier of three classes; all columns are copied into the output."""
    cases = CASES if sizes.whole else dict(list(CASES.items())[-1:])
    for what, (columns, kind, ending, to_reach) in cases.items():
        _save_model(folder, columns, kind)
        few, many = sizes.predict_rows // 4, sizes.predict_rows
        for rows in (few, many):
            make_table(folder / f"{rows}{ending}", rows, columns, kind)
        found = [
            (child("predict", f"{few}{ending}", folder=folder), child("predict", f"{many}{ending}", folder=folder))
            for _ in range(sizes.repeats)
        ]
        rates = [many / figures["seconds"] for _, figures in found]
        yield Figure(f"predict {many:,} rows, {what}", "rows/s", rates, at_least=to_reach)
        growth = [figures["peak"] / before["peak"] for before, figures in found]
        yield Figure(f"predict, {what}: peak memory over that of {few:,} rows", "times", growth, at_most=1.1)
        for rows in (few, many):
            (folder / f"{rows}{ending}").unlink()


def _save_model(folder: Path, columns: int, kind: str) -> None:
    import numpy as np
    import pandas as pd

    import lifecycle
    from lifecycle.predict import saved_model

    make_table(folder / "train.parquet", 2_000, columns, kind)
    frame = pd.read_parquet(folder / "train.parquet")
    total = frame.filter(regex="^x").sum(axis=1)
    frame.assign(y=np.array(["low", "middle", "high"])[np.digitize(total, [-1, 1])]).to_parquet(
        folder / "train.parquet"
    )
    words = ["data=table", f"data.path={folder / 'train.parquet'}", "data.target=y", "model=mlp", "verbose=0"]
    result = lifecycle.run([*words, "trainer.max_epochs=2", "tracking.figures=false", f"tracking.dir={folder}/mlruns"])
    saved_model.save(result.model, folder / "model")


def epochs(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Measure the cost of a step of a small fit, including all overhead, for increasing numbers of epochs."""
    found = {}
    for count in sizes.epochs:
        repeats = sizes.few if count >= 10_000 else sizes.repeats
        found[count] = [1e6 * child("fit", count, folder=folder)["seconds_a_step"] for _ in range(repeats)]
        yield Figure(f"iris, {count:,} epochs of 3 steps: fit", "µs/step", found[count])
    *others, last = sizes.epochs
    least = min(statistics.median(found[count]) for count in others)
    ratios = [value / least for value in found[last]]
    what = f"iris: a step of {last:,} epochs over the cheapest of {', '.join(f'{count:,}' for count in others)}"
    yield Figure(what, "times", ratios, at_most=1.2)


def runs(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    """Compare a run in a database with one run and in a database with a thousand runs."""
    words = [*LIFECYCLE, "model=mlp", "data=iris", "verbose=0", "tracking.figures=false"]
    one, many = folder / "one", folder / "many"
    for place, count in ((one, 1), (many, sizes.runs)):
        place.mkdir()
        _fill(place, count)
    pairs = [(wall_seconds(words, one), wall_seconds(words, many)) for _ in range(sizes.repeats)]
    yield Figure(
        "`lifecycle model=mlp data=iris tracking.figures=false` after 1 run and its next", "s", [a for a, _ in pairs]
    )
    yield Figure(f"the same after {sizes.runs:,} runs", "s", [b for _, b in pairs])
    ratios = [b / a for a, b in pairs]
    yield Figure(f"a run after {sizes.runs:,} runs over one after 1", "times", ratios, at_most=1.1)


def _fill(folder: Path, count: int) -> None:
    """Add finished runs to a database, as this package records them, without their files."""
    from mlflow.entities import Metric, Param

    from lifecycle.config.schema import TrackingConfig
    from lifecycle.tracking.store import open_store

    store = open_store(TrackingConfig(dir=str(folder / "mlruns")))
    params = [Param(f"field_{number}", "0.5") for number in range(40)]
    points = [Metric(name, 0.5, 0, step) for name in ("train_loss", "val_loss", "val_accuracy") for step in range(50)]
    for number in range(count):
        tags = {"lifecycle.command": "lifecycle", "mlflow.runName": f"mlp-iris-{number}"}
        run_id = store.client.create_run(store.experiment_id, tags=tags).info.run_id
        store.client.log_batch(run_id, metrics=points, params=params)
        store.client.set_terminated(run_id)


def _timed(work: Callable[[], object]) -> dict[str, float]:
    before, started, cpu = peak(), time.perf_counter(), time.process_time()
    work()
    found = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    return found | {"before": before, "peak": peak()}


def load_child(file: str) -> dict[str, float]:
    """Load a CSV file like a run."""
    from lifecycle.config.compose import compose
    from lifecycle.config.resolve import resolve
    from lifecycle.data.load import load

    job = resolve(compose(["data=table", f"data.path={file}", "data.target=x19"]))
    return _timed(lambda: load(job.data, job.data_name, job.data_kind, job.seed))


def pandas_child(file: str) -> dict[str, float]:
    """Read a CSV file with pandas."""
    import pandas as pd

    return _timed(lambda: pd.read_csv(file))


def train_child(file: str, memory_gb: str) -> dict[str, float]:
    """Train one epoch on a large file, after a small file so that all imports are done."""
    import lifecycle

    def train(path: str) -> None:
        words = ["data=table", f"data.path={path}", "data.target=x19", f"data.memory_gb={memory_gb}", "verbose=0"]
        lifecycle.run([*words, "trainer.max_epochs=1", "trainer.batch_size=512", "tracking.figures=false"])

    train("little.parquet")
    return _timed(lambda: train(file))


def predict_child(file: str) -> dict[str, float]:
    """Predict a file with the model in the working folder."""
    from lifecycle.predict import predict_file, saved_model

    model = saved_model.load(Path("model"))
    return _timed(lambda: predict_file.predict_file(model, file, f"out{Path(file).suffix}"))


def fit_child(count: str) -> dict[str, float]:
    """Fit iris for ``count`` epochs and time only :func:`lifecycle.fit.trainer.fit`."""
    import lifecycle
    from lifecycle.fit import trainer

    original, seconds = trainer.fit, []

    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        history = original(*arguments, **named)
        seconds.append(time.perf_counter() - started)
        return history

    trainer.fit = timed
    words = ["model=mlp", "data=iris", f"trainer.max_epochs={count}", "trainer.early_stopping=false", "verbose=0"]
    lifecycle.run([*words, "tracking.figures=false"])
    return {"seconds_a_step": seconds[0] / (3 * int(count))}


JOBS: dict[str, Job] = {job.__name__: job for job in (command, iris, batches, csv, parquet, predict, epochs, runs)}
CHILDREN = {
    "load": load_child,
    "pandas": pandas_child,
    "train": train_child,
    "predict": predict_child,
    "fit": fit_child,
}


def machine() -> dict[str, str]:
    """Return the date, the machine and the package versions."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": cpu[1] if cpu else platform.processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
    }


def table(results: dict[str, Any]) -> str:
    """Return the figures as a table in Markdown."""
    lines = ["| what | target | median (min to max, how many) | reached |", "|---|---|---|---|"]
    for name in JOBS:
        for entry in results["jobs"].get(name, []):
            figure = Figure(**entry)
            word = {None: "", True: "yes", False: "**no**"}[None if results.get("small") else figure.reached]
            lines.append(f"| {figure.what} | {figure.target} | {shown(figure)} | {word} |")
    facts = results["machine"]
    versions = ", ".join(f"{name} {facts[name]}" for name in PACKAGES)
    lines += [
        "",
        f"{facts['date']}, {facts['processor']}, {facts['cores']} cores, Python {facts['python']}, {versions}.",
    ]
    return "\n".join(lines)


def shown(figure: Figure) -> str:
    """Format the values of a figure: ``0.41 (0.40 to 0.43, 5) s``."""
    if not figure.values:
        return ""
    numbers = [statistics.median(figure.values), min(figure.values), max(figure.values)]
    middle, low, high = (f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}" for number in numbers)
    return f"{middle} ({low} to {high}, {len(figure.values)}) {figure.unit}"


def write_page(results: dict[str, Any], page: Path = PAGE) -> None:
    """Write the table between its marks in the page."""
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{page.name} has no {BEGIN} and {END}. Add them where the table goes.")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


def main() -> None:
    """Measure the chosen jobs one after the other and store the figures of each."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(CHILDREN[sys.argv[2]](*sys.argv[3:])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"jobs; default: all: {', '.join(JOBS)}")
    parser.add_argument("--small", action="store_true", help="tiny sizes, once; compares with no target")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the figures")
    parser.add_argument("--write", action="store_true", help="also write the table into docs/speed.md")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(JOBS):
        parser.error(f"no such job: {', '.join(sorted(unknown))}. Choose from: {', '.join(JOBS)}")
    if asked.small and (asked.write or asked.results == RESULTS):
        parser.error("--small keeps no figures for a page. Leave --write out, and name another file with --results")
    results = json.loads(asked.results.read_text()) if asked.results.exists() else {"jobs": {}}
    results["small"] = asked.small
    for name, job in JOBS.items():
        if asked.names and name not in asked.names:
            continue
        figures = []
        with tempfile.TemporaryDirectory() as folder:
            for figure in job(SMALL if asked.small else Sizes(), Path(folder)):
                print(f"{figure.what:75} {shown(figure) or figure.said}", flush=True)
                figures.append(asdict(figure))
        results["jobs"][name] = figures
        results["machine"] = machine()
        asked.results.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{table(results)}")
    if asked.write:
        write_page(results)


if __name__ == "__main__":
    main()
