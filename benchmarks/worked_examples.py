"""Run every worked example over its seeds, and print what was published beside what comes out.

    python benchmarks/worked_examples.py                 # all of them: about an hour on two cores, most of it MNIST
    python benchmarks/worked_examples.py pima car_sales  # some of them; the others keep the figures they have
    python benchmarks/worked_examples.py --write         # write the table into README.md as well

Figures are kept in ``worked_examples.json`` beside this file, each run's own score among them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lifecycle

RESULTS = Path(__file__).with_suffix(".json")
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- worked examples: begin -->", "<!-- worked examples: end -->"
TEN, THREE = tuple(range(1, 11)), (1, 2, 3)


@dataclass(frozen=True)
class Example:
    """One row of the table.

    Attributes:
        experiment: its name in ``conf/experiment``.
        score: what is reported: a score of the run, ``"epochs"`` or ``"weights_epoch"``.
        published: the figure of the tutorials.
        aim: the figure that the median is to reach.
        reaches: whether the median, rounded as it is printed, reaches it.
        lowest: no seed may be below this.
        seeds: one run each.
        more: words beside the experiment.
    """

    experiment: str
    score: str
    published: str
    aim: str = ""
    reaches: Callable[[float], bool] | None = None
    seeds: tuple[int, ...] = TEN
    more: tuple[str, ...] = ()
    digits: str = ".3f"
    lowest: float = float("-inf")

    @property
    def words(self) -> str:
        """What one types after ``lifecycle``."""
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
    Example("mnist", "test_accuracy", "0.98 to 0.987", "≥ 0.985", lambda found: found >= 0.985, THREE, digits=".4f"),
    Example("mnist_best", "test_accuracy", "", "≥ 0.993", lambda found: found >= 0.993, THREE, digits=".4f"),
    Example("car_sales", "test_mae", "about 2,800", "≤ 2,900", lambda found: found <= 2900, digits=",.0f"),
    Example("car_sales_best", "test_mae", "", "< 1,960", lambda found: found < 1960, digits=",.0f"),
    Example("sequence", "training_set_mse", "4.5e-5", "≤ 4.5e-5", lambda found: found <= 4.5e-5, digits=".1e"),
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


def table(results: dict[str, Any]) -> str:
    """Return the figures as a table in Markdown."""
    lines = ["| `lifecycle ...` | score | published | ours, median (range) | to reach |", "|---|---|---|---|---|"]
    for example in EXAMPLES:
        if example.words not in results["examples"]:
            continue
        found = list(results["examples"][example.words].values())
        middle = statistics.median(found)
        low, high = min(found), max(found)
        rounded, lowest = (float(f"{value:{example.digits}}".replace(",", "")) for value in (middle, low))
        reached = ""
        if example.reaches is not None:
            reached = ": yes" if example.reaches(rounded) and lowest >= example.lowest else ": **no**"
        shown = f"{middle:{example.digits}} ({low:{example.digits}} to {high:{example.digits}})"
        score = example.score.replace("training_set_", "training-set ").replace("test_", "test ")
        lines.append(f"| `{example.words}` | {score} | {example.published} | {shown} | {example.aim}{reached} |")
    return "\n".join(lines)


def write_readme(results: dict[str, Any]) -> None:
    """Put the table between its marks in the README."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


def main() -> None:
    """Run what is asked, one after the other, keeping each figure as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="experiments; all where none is named")
    parser.add_argument("--seeds", type=int, help="the first so many seeds alone")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the figures")
    parser.add_argument("--write", action="store_true", help="write the table into README.md as well")
    asked = parser.parse_args()
    if unknown := set(asked.names) - {example.experiment for example in EXAMPLES}:
        parser.error(f"no such experiment: {', '.join(sorted(unknown))}")
    results = json.loads(asked.results.read_text()) if asked.results.exists() else {"examples": {}}
    with tempfile.TemporaryDirectory() as folder:
        for example in EXAMPLES:
            if asked.names and example.experiment not in asked.names:
                continue
            found = {str(seed): run(example, seed, folder) for seed in example.seeds[: asked.seeds]}
            middle = statistics.median(found.values())
            print(f"{example.words:45} {example.score:22} {middle:{example.digits}}", flush=True)
            results["examples"][example.words] = found
            results["date"] = datetime.now(UTC).date().isoformat()
            asked.results.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{table(results)}")
    if asked.write:
        write_readme(results)


if __name__ == "__main__":
    main()
