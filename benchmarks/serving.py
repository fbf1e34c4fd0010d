"""Measure the model server: a server process, real sockets, and one client that sends requests one at a time.

    python benchmarks/serving.py            # about a minute on two cores
    python benchmarks/serving.py --write    # also write the table into docs/serve.md
    python benchmarks/serving.py --small    # few requests, to check that it runs; compares with no target

Figures are stored in ``serving.json`` next to this file. CPU time is that of the server process, from Linux' /proc. The
target of the latency assumes an idle core.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from scale import Figure, machine, shown

RESULTS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).parents[1] / "docs" / "serve.md"
BEGIN, END = "<!-- serving: begin -->", "<!-- serving: end -->"
COLUMNS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROW = [5.1, 3.5, 1.4, 0.2]
JSON = {"Content-Type": "application/json"}
PACKAGES = ("torch", "pandas", "pyarrow", "scikit-learn")


@dataclass(frozen=True)
class Sizes:
    """The sizes of the measurements."""

    repeats: int = 5
    warm: int = 200
    requests: int = 1_000
    large_rows: int = 300_000
    slow_requests: int = 100


SMALL = Sizes(1, 5, 20, 2_000, 5)


class Client:
    """A connection to a server, and the resources used by the server process."""

    def __init__(self, port: int, pid: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.pid = pid

    def post(self, body: bytes, kind: str = JSON["Content-Type"]) -> bytes:
        """Send rows and return the response."""
        self.connection.request("POST", "/invocations", body, {"Content-Type": kind})
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return content

    def cpu_seconds(self) -> float:
        """Return the CPU time used by the server so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Return the current memory of the server in MB."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return float(found[1]) * 1024 / 1e6


@contextmanager
def served(folder: Path) -> Iterator[Client]:
    """Train a model of iris, serve it in another process, and stop the server at the end."""
    import lifecycle

    words = ["model=mlp", "data=iris", "trainer.max_epochs=5", "verbose=0", "tracking.figures=false"]
    lifecycle.run([*words, f"tracking.dir={folder}/mlruns"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "lifecycle", "serve", "run=latest", f"port={port}"]
    server = subprocess.Popen(
        [*command, f"tracking.dir={folder}/mlruns", "max_body_mb=50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        while not (line := server.stdout.readline()).startswith("Ctrl-C"):
            assert line, "the server did not start"
        yield Client(port, server.pid)
    finally:
        server.terminate()
        server.communicate(timeout=30)


def split(rows: int, first: Any = ROW[0]) -> bytes:
    """Return a request body with a number of rows."""
    data = [[first, *ROW[1:]], *[ROW] * (rows - 1)]
    return json.dumps({"dataframe_split": {"columns": COLUMNS, "data": data}}).encode()


def timed(client: Client, body: bytes, count: int, kind: str = JSON["Content-Type"]) -> tuple[float, list[float]]:
    """Return the CPU milliseconds per request, and the sorted latencies in milliseconds."""
    latencies = []
    before = client.cpu_seconds()
    for _ in range(count):
        started = time.perf_counter()
        client.post(body, kind)
        latencies.append(1e3 * (time.perf_counter() - started))
    return 1e3 * (client.cpu_seconds() - before) / count, sorted(latencies)


def figures(sizes: Sizes, client: Client) -> Iterator[Figure]:
    """Measure single rows, and the memory before and after a large body."""
    timed(client, split(1), sizes.warm)
    found = [timed(client, split(1), sizes.requests) for _ in range(sizes.repeats)]
    yield Figure("one row of JSON: CPU of the server a request", "ms", [cpu for cpu, _ in found], at_most=3)
    yield Figure("one row of JSON: latency, median", "ms", [times[len(times) // 2] for _, times in found])
    ends = [times[int(0.99 * len(times))] for _, times in found]
    yield Figure("one row of JSON: latency, 99th percentile", "ms", ends, at_most=10)
    rows = f"{','.join(COLUMNS)}\n{','.join(map(str, ROW))}\n".encode()
    for what, body, kind in (
        ("one row of JSON with a number as a text", split(1, "5.1"), JSON["Content-Type"]),
        ("one row of CSV", rows, "text/csv"),
    ):
        cpu = [timed(client, body, sizes.slow_requests, kind)[0] for _ in range(sizes.repeats)]
        yield Figure(f"{what}: CPU of the server a request", "ms", cpu)
    body = split(sizes.large_rows)
    before, seconds = client.megabytes(), []
    for _ in range(sizes.repeats):
        seconds.append(timed(client, body, 1)[1][0] / 1e3)
    what = f"{sizes.large_rows:,} rows of JSON, {len(body) / 1e6:.1f} MB"
    yield Figure(f"{what}: latency", "s", seconds)
    time.sleep(1)
    yield Figure("memory of the server before", "MB", [before])
    yield Figure("memory of the server a second after", "MB", [client.megabytes()], at_most=round(before) + 50)


def table(results: dict[str, Any]) -> str:
    """Return the figures as a table in Markdown."""
    lines = ["| what | target | median (min to max, how many) | reached |", "|---|---|---|---|"]
    for entry in results["figures"]:
        figure = Figure(**entry)
        word = {None: "", True: "yes", False: "**no**"}[None if results["small"] else figure.reached]
        lines.append(f"| {figure.what} | {figure.target} | {shown(figure)} | {word} |")
    facts = results["machine"]
    versions = ", ".join(f"{name} {facts[name]}" for name in PACKAGES)
    return "\n".join(
        [
            *lines,
            "",
            f"{facts['date']}, {facts['processor']}, {facts['cores']} cores, load {facts['load']}, {versions}.",
        ]
    )


def write_page(results: dict[str, Any], page: Path = PAGE) -> None:
    """Write the table between its marks in the page."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page.name} has no {BEGIN} and {END}. Add them where the table goes.")
    page.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


def main() -> None:
    """Measure, print the table, and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="few requests; compares with no target")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the figures")
    parser.add_argument("--write", action="store_true", help="also write the table into docs/serve.md")
    given = parser.parse_args()
    if given.small and (given.write or given.results == RESULTS):
        parser.error("--small keeps no figures for a page. Leave --write out, and name another file with --results")
    found = []
    load = f"{os.getloadavg()[0]:.1f}"
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as client:
        for figure in figures(SMALL if given.small else Sizes(), client):
            print(f"{figure.what:70} {shown(figure)}", flush=True)
            found.append(asdict(figure))
    results = {"small": given.small, "figures": found, "machine": {**machine(), "load": load}}
    given.results.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{table(results)}")
    if given.write:
        write_page(results)


if __name__ == "__main__":
    main()
