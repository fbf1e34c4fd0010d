"""Print validation scores of ``_best`` presets next to those of their alternatives.

    python benchmarks/choose_presets.py                 # all of them: about 15 minutes on two cores
    python benchmarks/choose_presets.py iris_best       # some of them

A fifth of the rows is held out for validation, the network is fitted for the preset's number of epochs, and the last
weights are scored, so validation rows do not select an epoch. Test rows are not used, and the seeds differ from those
of ``worked_examples.py``. ``sequence_best`` has no rows to hold out: its score is that of its training rows.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile

import lifecycle

SEEDS = tuple(range(101, 131))
CANDIDATES = {
    "ionosphere_best": ("", "model.activation=gelu", "label_smoothing=0.1", "model.hidden=[64,64,64]"),
    "iris_best": ("", "model.activation=relu", "label_smoothing=0", "model.hidden=[32]"),
    "boston_housing_best": ("", "model.dropout=0", "model.activation=tanh", "model.activation=gelu"),
    "sequence_best": ("", "optimizer.lr=0.003", "schedule=none", "trainer.max_epochs=500"),
}
"""Preset -> options that change it; "" is the unchanged preset."""


def score(preset: str, change: str, seed: int, folder: str) -> float:
    """Fit a changed preset with one seed, and return its validation accuracy or MSE."""
    held_out = [] if preset == "sequence_best" else ["data.val_size=0.2"]
    words = [f"+experiment={preset}", *held_out, *change.split(), f"seed={seed}", "trainer.restore_best=false"]
    result = lifecycle.run([*words, "verbose=0", f"tracking.dir={folder}", "tracking.figures=false"])
    if not held_out:
        return result.scores["training_set_mse"]
    last = result.history.rows[-1]
    return last["val_accuracy"] if "val_accuracy" in last else last["val_mse"]


def main() -> None:
    """Print one row of a Markdown table for each candidate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="presets; default: all")
    parser.add_argument("--seeds", type=int, help="number of seeds to run")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(CANDIDATES):
        parser.error(f"no such preset: {', '.join(sorted(unknown))}. Choose from: {', '.join(CANDIDATES)}.")
    print("| preset | change | mean | median | range |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for preset in asked.names or CANDIDATES:
            for change in CANDIDATES[preset]:
                found = [score(preset, change, seed, folder) for seed in SEEDS[: asked.seeds]]
                mean, median = statistics.mean(found), statistics.median(found)
                shown = f"{mean:.4g} | {median:.4g} | {min(found):.3g} to {max(found):.3g}"
                print(f"| `{preset}` | {f'`{change}`' if change else 'none'} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
