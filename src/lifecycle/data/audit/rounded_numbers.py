"""Whole numbers of a data set that double precision rounds: what the user is told of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lifecycle.capabilities import path_of
from lifecycle.contract import DataPlugin, Target
from lifecycle.data.columns import rounding
from lifecycle.data.formats import csv
from lifecycle.data.sources import files

DIGITS = "^ *[+-]?[0-9]{16,} *$"
"""A whole number in a CSV file that may be beyond it."""


def notes(frame: pd.DataFrame, names: Iterable[str], file: Path | None, target: str) -> list[str]:
    """Return what a person must know of columns of numbers, a sentence each.

    Args:
        frame: the rows.
        names: of columns.
        file: the CSV file that they are from, with the columns in its order; ``None``: they are from elsewhere.
        target: the column that is predicted.
    """
    found, in_doubt = {}, []
    for name in names:
        rounded = rounding.first_rounded(frame[name])
        if rounded is not None:
            found[name] = rounded
        elif file is not None and frame[name].dtype == np.float64 and (frame[name].abs() >= rounding.EXACT).any():
            in_doubt.append(name)  # whole numbers beyond 64 bits, or some numbers have a fraction
    if file is not None and in_doubt:
        places = [list(frame.columns).index(name) for name in in_doubt]
        read = zip(in_doubt, in_csv(file, places), strict=True)
        found |= {name: rounded for name, rounded in read if rounded is not None}
    cures = {name: rounding.drop(name, name == target) for name in found}
    return [rounding.note(name, *rounded, cures[name]) for name, rounded in found.items()]


def notes_on(plugin: DataPlugin, frame: pd.DataFrame, target: Target, is_given: bool) -> list[str]:
    """Return the notes on the rows of a data plugin; a caller is warned of features by ``rounding.warn``."""
    names = [target.name] if target.task == "regression" else []
    if not is_given:
        names += [name for name in plugin.columns(frame) if name not in names]
    return notes(frame, names, files.csv_file(path_of(plugin)), target.name)


def in_csv(file: Path, places: list[int]) -> list[tuple[int, int] | None]:
    """Return the first whole number that is rounded of columns of a CSV file, by their places in it."""
    import pyarrow as pa
    from pyarrow import compute
    from pyarrow import csv as arrow_csv

    names = [csv.header(file)[place] for place in places]
    found: dict[str, tuple[int, int] | None] = dict.fromkeys(names)
    with arrow_csv.open_csv(
        file,
        arrow_csv.ReadOptions(block_size=1 << 20),
        arrow_csv.ParseOptions(newlines_in_values=True),
        arrow_csv.ConvertOptions(include_columns=names, column_types=dict.fromkeys(names, pa.string())),
    ) as reader:
        for batch in reader:
            for name in [name for name in names if found[name] is None]:
                texts = batch.column(name)
                whole = texts.filter(compute.match_substring_regex(texts, DIGITS))
                found[name] = rounding.first_rounded(np.array([int(text) for text in whole.to_pylist()], dtype=object))
            if None not in found.values():
                break
    return list(found.values())
