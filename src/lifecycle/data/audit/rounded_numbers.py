"""Warnings about whole numbers that double precision rounds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.capabilities import path_of
from lifecycle.contract import DataPlugin, Target
from lifecycle.data.columns import rounding
from lifecycle.data.formats import csv
from lifecycle.data.formats.text import transcoding
from lifecycle.data.formats.text.dialect import Dialect, dialect_of
from lifecycle.data.sources import files
from lifecycle.errors import Text

DIGITS = "^ *[+-]?[0-9]{16,} *$"
"""A whole number in a CSV file that double precision may round: 2^53 has 16 digits."""


def notes(frame: pd.DataFrame, names: Iterable[str], file: Path | None, target: str) -> list[Text]:
    """Return warnings about columns of numbers, a sentence each.

    Args:
        frame: the rows.
        names: of columns.
        file: the CSV file that the rows were read from, with its columns in the same order; ``None``: another source.
        target: the column that is predicted.
    """
    found, in_doubt = {}, []
    for name in names:
        rounded = rounding.first_rounded(frame[name])
        if rounded is not None:
            found[name] = rounded
        # The parser returns float64 for whole numbers beyond 64 bits, and where another row has a fraction or a gap.
        # Only the text of the file shows which numbers were whole.
        elif file is not None and frame[name].dtype == np.float64 and (frame[name].abs() >= rounding.EXACT).any():
            in_doubt.append(name)
    if file is not None and in_doubt:
        places = [list(frame.columns).index(name) for name in in_doubt]
        read = zip(in_doubt, in_csv(file, places, dialect_of(frame)), strict=True)
        found |= {name: rounded for name, rounded in read if rounded is not None}
    return [rounding.note(name, *rounded, is_target=name == target) for name, rounded in found.items()]


def notes_on(plugin: DataPlugin, frame: pd.DataFrame, target: Target, in_memory: bool) -> list[Text]:
    """Return the warnings about the rows of a data plugin.

    Args:
        plugin: where the rows are from.
        frame: the rows.
        target: what is predicted.
        in_memory: the rows are a Python caller's, who was already warned of features by ``rounding.warn``.
    """
    names = [target.name] if target.task == "regression" else []
    if not in_memory:
        names += [name for name in plugin.columns(frame) if name not in names]
    return notes(frame, names, files.csv_file(path_of(plugin), plugin), target.name)


def in_csv(file: Path, places: list[int], dialect: Dialect | None = None) -> list[tuple[int, int] | None]:
    """Return the first rounded whole number of each of some columns of a CSV file, and what it becomes.

    Args:
        file: the CSV file.
        places: positions of the columns in it.
        dialect: of the file; ``None``: a plain one.

    Returns:
        ``(number, rounded number)`` for each column; ``None``: no number is rounded.
    """
    import pyarrow as pa
    from pyarrow import compute
    from pyarrow import csv as arrow_csv

    dialect = dialect or Dialect()
    header = csv.header(file) if dialect.is_plain else list(dialect.names)
    own: dict[str, Any] = {} if dialect.is_plain else {"column_names": header, "skip_rows": dialect.skip}
    parsing = arrow_csv.ParseOptions(delimiter=dialect.delimiter, quote_char=dialect.quote, newlines_in_values=True)
    names = [header[place] for place in places]
    found: dict[str, tuple[int, int] | None] = dict.fromkeys(names)
    # As texts and block by block: a number type would round here too, and the file may be larger than memory.
    converting = arrow_csv.ConvertOptions(include_columns=names, column_types=dict.fromkeys(names, pa.string()))
    with (
        transcoding.opened(file, dialect) as stream,
        arrow_csv.open_csv(stream, arrow_csv.ReadOptions(block_size=1 << 20, **own), parsing, converting) as reader,
    ):
        for batch in reader:
            for name in [name for name in names if found[name] is None]:
                texts = batch.column(name)
                whole = texts.filter(compute.match_substring_regex(texts, DIGITS))
                found[name] = rounding.first_rounded(np.array([int(text) for text in whole.to_pylist()], dtype=object))
            if None not in found.values():
                break
    return list(found.values())
