"""Run every worked example over its seeds and compare the median score with the published figure.

    python benchmarks/worked_examples.py                 # all of them: about an hour on two cores
    python benchmarks/worked_examples.py pima car_sales  # some of them; the others keep their figures
    python benchmarks/worked_examples.py --write         # also write the table into docs/worked-examples.md

The score of every run is stored in ``worked_examples.json``. No preset was chosen with the seeds of ``SEEDS``.
``choose_presets.py`` compares ``_best`` presets with alternatives on validation rows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import lifecycle

RESULTS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).parents[1] / "docs" / "worked-examples.md"
BEGIN, END = "<!-- worked examples: begin -->", "<!-- worked examples: end -->"
SEEDS = tuple(range(1, 31))
FEW = SEEDS[:5]  # for MNIST, where a run takes minutes
CONFIDENCE, RESAMPLES = 0.95, 10_000


@dataclass(frozen=True)
class Example:
    """One row of the table.

    Attributes:
        experiment: name in ``conf/experiment``.
        score: name of a score of the run, or ``"epochs"`` for the number of epochs.
        published: the figure published in the tutorials.
        aim: the target of the median, as text.
        reaches: tests whether a median, rounded to ``digits``, reaches the target.
        lowest: limit below which no seed may be.
        seeds: one run for each.
        more: options after the experiment.
    """

    experiment: str
    score: str
    published: str
    aim: str = ""
    reaches: Callable[[float], bool] | None = None
    seeds: tuple[int, ...] = SEEDS
    more: tuple[str, ...] = ()
    digits: str = ".3f"
    lowest: float = float("-inf")

    @property
    def words(self) -> str:
        """The arguments of the command ``lifecycle``."""
        return " ".join([f"+experiment={self.experiment}", *self.more])


EXAMPLES = [
    Example("pima", "training_set_accuracy", "0.77"),
    Example("pima", "training_set_accuracy", "", more=("data.scaling=standard",)),
    Example("pima_best", "test_accuracy", "", "≥ 0.76", lambda found: found >= 0.76),
    Example("ionosphere", "test_accuracy", "0.94"),
    Example("ionosphere_best", "test_accuracy", "", "≥ 0.94", lambda found: found >= 0.94),
    Example("iris", "test_accuracy", "0.98"),
    Example("iris_best", "test_accuracy", "", "≥ 0.96, none under 0.90", lambda found: found >= 0.96, lowest=0.9),
    Example("boston_housing", "test_mse", "60", digits=".1f"),
    Example("boston_housing_best", "test_mse", "", "≤ 15", lambda found: found <= 15, digits=".1f"),
    Example("mnist", "test_accuracy", "0.98 to 0.987", "≥ 0.985", lambda found: found >= 0.985, FEW, digits=".4f"),
    Example("mnist_best", "test_accuracy", "", "≥ 0.993", lambda found: found >= 0.993, FEW, digits=".4f"),
    Example("car_sales", "test_mae", "about 2,800", "≤ 2,900", lambda found: found <= 2900, digits=",.0f"),
    Example("car_sales_best", "test_mae", "", "< 1,960", lambda found: found < 1960, digits=",.0f"),
    Example("sequence", "training_set_mse", "4.5e-5", "≤ 4.5e-5", lambda found: found <= 4.5e-5, digits=".1e"),
    Example("sequence_best", "training_set_mse", "", "≤ 4.5e-5", lambda found: found <= 4.5e-5, digits=".1e"),
    Example("learning_curves", "training_set_accuracy", "a plot"),
    Example("early_stopping", "epochs", "about 50", digits=".0f"),
]


def run(example: Example, seed: int, folder: str) -> float:
    """Run an example with one seed, and return its score."""
    words = [*example.words.split(), f"seed={seed}", "verbose=0", f"tracking.dir={folder}", "tracking.figures=false"]
    result = lifecycle.run(words)
    if example.score == "epochs":
        return float(len(result.history.rows))
    return result.scores[example.score]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of the median, with a fixed random seed.

    Args:
        values: one score per seed.
    """
    rng = np.random.default_rng(0)
    resamples = rng.choice(np.asarray(values, np.float64), size=(RESAMPLES, len(values)))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(np.median(resamples, axis=1), [tail, 100 - tail])
    return float(low), float(high)


def row(example: Example, found: Sequence[float]) -> str:
    """Return the row of an example: median, interval and range of its scores, and whether the target is reached.

    Args:
        example: the example.
        found: one score per seed.
    """
    middle = float(np.median(found))
    median, low, high, least, most = (
        f"{value:{example.digits}}" for value in (middle, *interval(found), min(found), max(found))
    )
    reached = ""
    if example.reaches is not None:
        rounded, lowest = (float(value.replace(",", "")) for value in (median, least))
        reached = ": yes" if example.reaches(rounded) and lowest >= example.lowest else ": **no**"
    score = example.score.replace("training_set_", "training-set ").replace("test_", "test ")
    shown = f"{median} [{low}, {high}] | {least} to {most}"
    return f"| `{example.words}` | {score} | {example.published} | {shown} | {example.aim}{reached} |"


def table(results: dict[str, Any]) -> str:
    """Return the figures as a table in Markdown."""
    found = results["examples"]
    lines = ["| `lifecycle ...` | score | published | ours | range | to reach |", "|---|---|---|---|---|---|"]
    lines += [row(example, [*found[example.words].values()]) for example in EXAMPLES if example.words in found]
    return "\n".join(lines)


def write_page(results: dict[str, Any]) -> None:
    """Write the table between its marks in docs/worked-examples.md."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


def main() -> None:
    """Run the examples one after the other, and store the scores of each when its last seed has run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="experiments; default: all")
    parser.add_argument("--seeds", type=int, help="number of seeds to run")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the figures")
    parser.add_argument("--write", action="store_true", help="also write the table into docs/worked-examples.md")
    asked = parser.parse_args()
    if unknown := set(asked.names) - {example.experiment for example in EXAMPLES}:
        parser.error(f"no such experiment: {', '.join(sorted(unknown))}")
    results = json.loads(asked.results.read_text()) if asked.results.exists() else {"examples": {}}
    with tempfile.TemporaryDirectory() as folder:
        for example in EXAMPLES:
            if asked.names and example.experiment not in asked.names:
                continue
            found = {str(seed): run(example, seed, folder) for seed in example.seeds[: asked.seeds]}
            middle = float(np.median([*found.values()]))
            print(f"{example.words:45} {example.score:22} {middle:{example.digits}}", flush=True)
            results["examples"][example.words] = found
            results["date"] = datetime.now(UTC).date().isoformat()
            asked.results.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{table(results)}")
    if asked.write:
        write_page(results)


if __name__ == "__main__":
    main()
