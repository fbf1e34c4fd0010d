"""Predictions for rows in files of any length: read, predicted and written block by block.

A block is a whole number of passes of the network, counted from the first row, so that the numbers are bit for bit
those of :meth:`lifecycle.saved.TrainedModel.predict` on all rows at once, however long a block is.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from lifecycle.contract import DataSpec
from lifecycle.data import streams, writers
from lifecycle.data.streams import Stream
from lifecycle.errors import RequestError
from lifecycle.predict import column_names, one_thread

if TYPE_CHECKING:
    from lifecycle.saved import TrainedModel

CELLS_AT_ONCE = 1 << 19
"""About how many values of the rows, or numbers in their samples, a block has; all blocks on their way: some 250 MB."""


def predict_file(
    trained: TrainedModel,
    source: str | Path | Iterable[pd.DataFrame],
    output: str | Path,
    rows_at_once: int | None = None,
) -> int:
    """Write rows with their predictions beside them, in the order of the rows.

    All columns of the source are kept, in their order; ``predicted`` and ``probability_<class>`` follow. Cells of a CSV
    file are copied as they stand, ``007`` and ``NA`` too; in Parquet, the model's numbers are numbers and all other
    cells of a CSV file texts. Rows are streamed where each is a sample of its own (tables, images); of a series, whose
    windows overlap, all rows are read at once, and those that no prediction is made for have none.

    Args:
        trained: the model.
        source: a CSV or Parquet file, as the training file was: the target may be there, columns may stand in another
            order, and others beside them. Or frames with such rows, the same columns in each.
        output: a CSV or Parquet file. It is there when all rows are written, or not at all.
        rows_at_once: rows a block, rounded up to whole passes of the network; no number depends on it. ``None``: as
            many as keep those that are on their way to some 250 MB.

    Returns:
        How many rows were written.

    Raises:
        RequestError: a file or a row cannot be used as it is; the message names it, with its number from 0.
    """
    numbers = trained.numbers
    if isinstance(source, str | Path):
        if Path(source).expanduser().resolve() == Path(output).expanduser().resolve():
            raise RequestError(f"output={output} is the input. Give another file.")
        rows = streams.read(source)
    else:
        rows = streams.from_frames(source, numbers)
    trained.check_columns(rows.schema.names)
    _check_names(rows, trained.spec)
    size = sys.maxsize if numbers is None else _rows_of_block(trained, len(rows.schema), rows_at_once)
    convert = numbers or [] if Path(output).suffix.lower() == ".parquet" else []
    tables = _in_order(lambda at, table: _beside(trained, rows, table, at, convert), rows.of(size))
    with contextlib.closing(tables):
        first = next(tables)
        written = 0
        with writers.create(output, first.schema) as writer:
            for table in itertools.chain([first], tables):
                writer.write(table)
                written += len(table)
    return written


def _in_order(work: Callable[[int, pa.Table], pa.Table], tables: Iterable[pa.Table]) -> Generator[pa.Table, None, None]:
    """Yield what work makes of each table and the number of its first row, a block a thread, in order."""
    threads = torch.get_num_threads()
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        at, held = 0, deque[Future[pa.Table]]()
        for table in tables:
            held.append(pool.submit(work, at, table))
            at += len(table)
            if len(held) > threads:
                yield held.popleft().result()
        while held:
            yield held.popleft().result()


def _beside(trained: TrainedModel, rows: Stream, table: pa.Table, at: int, convert: list[str]) -> pa.Table:
    """Return a block with its predictions beside it, and with the columns of texts ``convert`` as numbers.

    Args:
        trained: the model.
        rows: where the block is from.
        table: the block.
        at: number of its first row.
        convert: columns that are numbers.
    """
    names = [*trained.columns, *trained.optional_columns(table.column_names)]
    needed = streams.typed(table.select(names).replace_schema_metadata(), trained.numbers, rows.is_text)
    frame = needed.to_pandas().set_axis(pd.RangeIndex(at, at + len(table)), axis=0)
    samples = trained.samples(frame)
    predictions = trained.predict_samples(samples, frame)
    if not np.array_equal(samples.rows, np.arange(len(table))):
        predictions = predictions.set_axis(samples.rows, axis=0).reindex(range(len(table)))
    for name in convert if rows.is_text else ():
        table = table.set_column(table.schema.get_field_index(name), name, needed[name])
    for name in column_names(trained.spec):
        table = table.append_column(name, pa.Array.from_pandas(predictions[name]))
    return table


def _rows_of_block(trained: TrainedModel, columns: int, asked: int | None) -> int:
    passes = trained.rows_at_once
    wanted = CELLS_AT_ONCE // max(columns, math.prod(trained.spec.input_shape)) if asked is None else asked
    # Up to whole passes of what was asked for; down to them, but for one, where memory says how many.
    return passes * max(1, wanted // passes if asked is None else math.ceil(wanted / passes))


def _check_names(rows: Stream, spec: DataSpec) -> None:
    for name in column_names(spec):
        if name in rows.schema.names:
            raise RequestError(
                f"{rows.name} has a column {name}, and the predictions are to be called so. Rename or remove it."
            )
