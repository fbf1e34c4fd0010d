"""Prints the short table of speed and quality in the README, from what the other benchmarks have stored.

``python benchmarks/summary.py --write`` also writes it into README.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import speed_table
import worked_examples
from peers.jobs import JOBS

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- summary: begin -->", "<!-- summary: end -->"
SHOWN = {
    "pima": "pima_best",
    "iris": "iris_best",
    "boston_housing": "boston_housing_best",
    "mnist": "mnist_best",
    "car_sales": "car_sales_best",
}
"""Job of ``speed.json`` -> preset of ``worked_examples.json`` whose score is shown with it."""


def table() -> str:
    """Return the table: for each job the published score and ours, and the medians of the time ratios."""
    examples = json.loads((HERE / "worked_examples.json").read_text())["examples"]
    jobs = json.loads((HERE / "speed.json").read_text())["jobs"]
    lines = ["| job | published score | our preset | fit / loop | fit / Keras | command / Keras's script |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, preset in SHOWN.items():
        cells = [name, *_scores(name, preset, examples), *_times(jobs[name])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _sweeps(json.loads((HERE / "sweeps.json").read_text())["jobs"]["pima"])])


def _scores(name: str, preset: str, examples: dict[str, Any]) -> tuple[str, str]:
    published = next(one for one in worked_examples.EXAMPLES if one.experiment == name)
    ours = next(one for one in worked_examples.EXAMPLES if one.experiment == preset)
    median = statistics.median(examples[ours.words].values())
    return f"{_words(published.score)} {published.published}", f"{_words(ours.score)} {median:{ours.digits}}"


def _words(score: str) -> str:
    return score.replace("training_set_", "training-set ").replace("test_", "test ")


def _times(record: dict[str, Any]) -> list[str]:
    pairs = (("warm", "loop"), ("fit", speed_table.KERAS), ("process", speed_table.KERAS))
    return [speed_table.number(statistics.median(speed_table.ratios(record, kind, "ours", who))) for kind, who in pairs]


def _sweeps(rounds: list[dict[str, Any]]) -> str:
    """Return a sentence on a hundred fits together."""
    cpu = {
        tool: statistics.median(one[tool]["cpu"] for one in rounds if tool in one)
        for tool in ("vectorised", "one by one", "scikit-learn", "Keras")
    }
    times = ", ".join(f"{name} {cpu[name]:.3g}" for name in ("one by one", "scikit-learn", "Keras"))
    return (
        'Ratios of times, medians: below 1 is faster; "loop" is a hand-written PyTorch loop. '
        f"100 seeds of pima in one sweep take {cpu['vectorised']:.3g} s of CPU time ({times})."
    )


def write(readme: Path = README) -> None:
    """Write the table between its marks in the README."""
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}")


def main() -> None:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table into README.md")
    assert set(SHOWN) <= set(JOBS)
    if parser.parse_args().write:
        write()
    else:
        print(table())


if __name__ == "__main__":
    main()
