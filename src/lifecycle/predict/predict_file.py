"""Predictions for rows in files of any length: read, predicted and written block by block.

A block is a whole number of passes of the network, counted from the first row, so that the numbers are bit for bit
those of :meth:`lifecycle.predict.trained_model.TrainedModel.predict` on all rows at once, however long a block is.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from lifecycle.capabilities import ReadsImageFiles, dropped_by
from lifecycle.data.audit.unseen_categories import MOST_NAMED, Unseen
from lifecycle.data.columns import times
from lifecycle.data.formats import json as json_rows
from lifecycle.data.formats import readers, stream, writers
from lifecycle.data.formats.names import CSV, JSON, JSON_LINES, PARQUET, STANDARD, endings, is_images, of_output
from lifecycle.data.formats.stream import Stream
from lifecycle.data.sources import image_folders
from lifecycle.errors import RequestError, Setting
from lifecycle.predict.outputs import column_names
from lifecycle.runtime.threads import pool

if TYPE_CHECKING:
    from lifecycle.predict.trained_model import TrainedModel

Part = tuple[pa.Table, dict[str, Counter[str | None]]]
"""A block with its predictions, and the categories in it that no training row had, by column."""

CELLS_AT_ONCE = 1 << 19
"""About how many values of the rows, or numbers in their samples, a block has; all blocks on their way: some 250 MB."""

IMAGES_AT_ONCE = 256
"""Files that are turned into rows together."""


def predict_file(
    trained: TrainedModel,
    source: str | Path | Iterable[pd.DataFrame],
    output: str | Path,
    rows_at_once: int | None = None,
    form: str = CSV,
    unseen: Unseen | None = None,
) -> int:
    """Write rows with their predictions beside them, in the order of the rows.

    All columns of the source are kept, in their order; ``predicted`` and ``probability_<class>`` follow. Cells of a CSV
    file are copied as they stand, ``007`` and ``NA`` too; in Parquet and JSON, the model's numbers are numbers and all
    other cells of a CSV file texts. Rows are streamed where each is a sample of its own (tables, images); of a series,
    whose windows overlap, all rows are read at once, and those that no prediction is made for have none.

    Args:
        trained: the model.
        source: a CSV, Parquet or JSON file, as the training file was: the target may be there, columns may stand in
            another order, and others beside them. ``-``: standard input. For a model of image files also such a file,
            or a folder of them. Or frames with such rows, the same columns in each.
        output: a CSV, Parquet or JSON file; it is there when all rows are written, or not at all. ``-``: standard
            output.
        rows_at_once: rows a block, rounded up to whole passes of the network; no number depends on it. ``None``: as
            many as keep those that are on their way to some 250 MB.
        form: ``csv``, ``parquet``, ``json`` or ``jsonl``: what standard input and output hold.
        unseen: is told what no training row had.

    Returns:
        How many rows were written.

    Raises:
        RequestError: a file or a row cannot be used as it is; the message names it, with its number from 0.
    """
    numbers = trained.numbers
    form_of_output = of_output(output, form)
    rows = _open(trained, source, output, form)
    rows = rows.renamed(trained.new_names(rows.schema.names))
    trained.check_columns(rows.schema.names)
    rows = _without_dropped(rows, trained, unseen)
    _check_names(rows, trained)
    size = sys.maxsize if numbers is None else _rows_of_block(trained, len(rows.schema), rows_at_once)
    parts = _in_order(lambda at, table: _beside(trained, rows, table, at, form_of_output), rows.of(size))
    with contextlib.closing(parts):
        first = next(parts)
        written = 0
        with writers.create(output, first[0].schema, form) as writer:
            for table, others in itertools.chain([first], parts):
                writer.write(table)
                written += len(table)
                if unseen is not None:
                    unseen.add(others)
    return written


def forecast_file(
    trained: TrainedModel, source: str | Path, output: str | Path, horizon: int = 1, form: str = CSV
) -> int:
    """Write the next steps of a series; see :meth:`lifecycle.predict.trained_model.TrainedModel.forecast`.

    Args:
        trained: the model.
        source: as :func:`predict_file` takes it.
        output: likewise.
        horizon: how many steps to foretell.
        form: likewise.

    Returns:
        How many rows there are before them.

    Raises:
        RequestError: a file or a row cannot be used as it is.
    """
    form_of_output = of_output(output, form)
    rows = _open(trained, source, output, form)
    rows = rows.renamed(trained.new_names(rows.schema.names))
    trained.check_columns(rows.schema.names)
    names = [*trained.columns, *trained.optional_columns(rows.schema.names)]
    (table,) = rows.select(names).of(sys.maxsize)
    known = stream.typed(table.replace_schema_metadata(), trained.numbers, rows.is_text).to_pandas()
    ahead = trained.forecast(known, horizon)
    if form_of_output != PARQUET and ahead.iloc[:, 0].dtype.kind == "M":
        ahead.isetitem(0, times.texts(ahead.iloc[:, 0]))
    found = pa.Table.from_pandas(ahead, preserve_index=False).replace_schema_metadata()
    with writers.create(output, found.schema, form) as writer:
        writer.write(found)
    return len(known)


def _open(trained: TrainedModel, source: str | Path | Iterable[pd.DataFrame], output: str | Path, form: str) -> Stream:
    if not isinstance(source, str | Path):
        return stream.from_frames(source, trained.numbers)
    if str(source) == STANDARD:
        return readers.read(source, form)
    file = Path(source).expanduser()
    if file.resolve() == Path(output).expanduser().resolve():
        raise RequestError(Setting("output", output), "is the input", remedy="Give another file.")
    if not is_images(source):
        return readers.read(source)
    if not isinstance(trained.data, ReadsImageFiles):
        more = len(trained.columns) - MOST_NAMED
        named = ", ".join(trained.columns[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        what = "a folder" if file.is_dir() else "an image"
        raise RequestError(
            Setting("input", source),
            f"is {what}, and this model takes the columns {named}",
            remedy=f"Give a file ending in {endings()}.",
        )
    return _images(trained, image_folders.images_in(str(source)))


def _images(trained: TrainedModel, files: list[str]) -> Stream:
    data: Any = trained.data
    some = (files[at : at + IMAGES_AT_ONCE] for at in range(0, len(files), IMAGES_AT_ONCE))
    frames = (data.rows_of_files(names, trained.columns, trained.preprocessing.inputs) for names in some)
    return replace(stream.from_frames(frames, trained.numbers), shown=[image_folders.FILE])


def _in_order(work: Callable[[int, pa.Table], Part], tables: Iterable[pa.Table]) -> Generator[Part, None, None]:
    """Yield what work makes of each table and the number of its first row, a block a thread, in order."""
    threads = torch.get_num_threads()
    with pool(threads) as workers:
        at, held = 0, deque[Future[Part]]()
        for table in tables:
            held.append(workers.submit(work, at, table))
            at += len(table)
            if len(held) > threads:
                yield held.popleft().result()
        while held:
            yield held.popleft().result()


def _beside(trained: TrainedModel, rows: Stream, table: pa.Table, at: int, form: str) -> Part:
    """Return a block with its predictions beside it, and what in it no training row had.

    Args:
        trained: the model.
        rows: where the block is from.
        table: the block.
        at: number of its first row.
        form: of the file that it is for: what types a cell may have there.
    """
    names = [*trained.columns, *trained.optional_columns(table.column_names)]
    needed = stream.typed(table.select(names).replace_schema_metadata(), trained.numbers, rows.is_text)
    frame = needed.to_pandas().set_axis(pd.RangeIndex(at, at + len(table)), axis=0)
    samples = trained.samples(frame)
    predictions = trained.predict_samples(samples, frame)
    if not np.array_equal(samples.rows, np.arange(len(table))):
        predictions = predictions.set_axis(samples.rows, axis=0).reindex(range(len(table)))
    table = table if rows.shown is None else table.select(rows.shown)
    table = _as_written(table, needed.select(trained.numbers or []) if rows.is_text else needed.select([]), form)
    for name in column_names(trained.spec):
        table = table.append_column(name, pa.Array.from_pandas(predictions[name]))
    return table, trained.unseen(samples)


def _as_written(table: pa.Table, numbers: pa.Table, form: str) -> pa.Table:
    """Return rows of texts as their file is to hold them: as they stand, or numbers as numbers."""
    for i, field in enumerate(table.schema):
        if json_rows.is_json(field) and form not in (JSON, JSON_LINES):
            table = table.set_column(i, field.name, json_rows.plain(table.column(i)))
        if field.name in numbers.column_names and form != CSV and not json_rows.is_json(table.schema.field(i)):
            table = table.set_column(i, field.name, numbers[field.name])
    return table


def _rows_of_block(trained: TrainedModel, columns: int, asked: int | None) -> int:
    passes = trained.rows_at_once
    wanted = CELLS_AT_ONCE // max(columns, math.prod(trained.spec.input_shape)) if asked is None else asked
    # Up to whole passes of what was asked for; down to them, but for one, where memory says how many.
    return passes * max(1, wanted // passes if asked is None else math.ceil(wanted / passes))


def _without_dropped(rows: Stream, trained: TrainedModel, unseen: Unseen | None) -> Stream:
    """Leave out columns that the model's data drop and that predictions are called."""
    taken = [name for name in column_names(trained.spec) if name in dropped_by(trained.data)]
    left_out = [name for name in taken if name in rows.schema.names and name not in trained.columns]
    if not left_out:
        return rows
    if unseen is not None:
        unseen.notes.append(f"{', '.join(left_out)}: left out, since data.drop names it and a prediction is called so")
    return rows.select([name for name in rows.schema.names if name not in left_out])


def _check_names(rows: Stream, trained: TrainedModel) -> None:
    for name in column_names(trained.spec):
        if name not in rows.schema.names:
            continue
        if name in trained.columns:  # a model of before preflight.check_names
            remedy = f"Train again with data.rename={{{name}: {name}_}}, or use TrainedModel.predict from Python."
        else:
            remedy = "The model does not read it: rename it in the file, or remove it."
        raise RequestError(
            [rows.name], f"has a column {name}, which is the name of a column of predictions", remedy=remedy
        )
