"""Checks of the folds of a cross-validation before anything is trained."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from lifecycle.capabilities import large_file_of
from lifecycle.contract import DataPlugin, Fold
from lifecycle.data.columns import targets, weights
from lifecycle.data.preprocessing import clean_targets
from lifecycle.data.resolving import resolved
from lifecycle.data.splits import draw

MOST_ROWS = 20_000
"""Rows of which every repetition is checked."""


def check_can_be_folded(plugin: DataPlugin, seed: int, folds: int, repeats: int) -> None:
    """Divide the rows of a plugin as the runs of its folds will; a large file is not read for that.

    Args:
        plugin: the data plugin.
        seed: of the split.
        folds: number of folds.
        repeats: number of repetitions.

    Raises:
        RequestError: there are fewer rows, or fewer of a class, than folds; or the plugin has no folds.
    """
    if large_file_of(plugin) is not None:
        return
    frame = plugin.read()
    plugin = resolved(plugin, frame)
    target = plugin.describe_target(frame)
    samples, _ = weights.kept(targets.labelled(plugin, plugin.samples(frame)), None, weights.key_of(plugin))
    labels = clean_targets(np.asarray(samples.targets), target)
    # Rare classes may be missing in the validation rows of some folds only. To divide many rows takes long, and they
    # have many of each class.
    checked = range(repeats) if len(labels) <= MOST_ROWS else (0,)
    for repeat, fold in itertools.product(checked, range(folds)):
        draw(plugin, replace(samples, targets=labels), target.task, seed, Fold(fold, folds, repeat))
