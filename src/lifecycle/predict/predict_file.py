"""Predicts files of any length: reads, predicts and writes block by block.

Rounding may depend on how many rows pass through a network together. A block is therefore a whole number of passes,
counted from the first row, so that its predictions equal those of
:meth:`lifecycle.predict.trained_model.TrainedModel.predict` on all rows bit for bit, whatever its length.
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
from lifecycle.data.formats.names import CELLS, CSV, EXCEL, JSON, JSON_LINES, STANDARD, endings, is_images, of_output
from lifecycle.data.formats.reading import declared_for
from lifecycle.data.formats.stream import Stream
from lifecycle.data.formats.text.cells import spellings
from lifecycle.data.sources import image_folders, streams
from lifecycle.errors import RequestError, Setting
from lifecycle.predict.outputs import column_names
from lifecycle.runtime.threads import pool

if TYPE_CHECKING:
    from lifecycle.data.sources.source_fields import SourceFields
    from lifecycle.predict.trained_model import TrainedModel

PredictedBlock = tuple[pa.Table, dict[str, Counter[str | None]]]
"""Rows with their predictions, and by column the unseen categories among them with their counts."""

CELLS_AT_ONCE = 1 << 19
"""About how many cells, or numbers of the samples, a block has. All blocks in memory then take some 250 MB."""

IMAGES_AT_ONCE = 256
"""Image files that are read together."""


def predict_file(
    trained: TrainedModel,
    source: str | Path | Iterable[pd.DataFrame],
    output: str | Path,
    rows_at_once: int | None = None,
    form: str = CSV,
    unseen: Unseen | None = None,
    fields: SourceFields | None = None,
) -> int:
    """Write rows with their predictions, in the order of the rows.

    All columns of the source are kept in order; ``predicted`` and ``probability_<class>`` follow. Cells of a CSV file
    are copied verbatim (``007``, ``NA``); in Parquet and JSON, the model's numeric columns are numbers and the other
    columns of a CSV file texts. Tables and images are streamed. The windows of a series overlap, so all its rows are
    read at once; rows without a prediction have empty cells.

    Args:
        trained: the model.
        source: a file, a pattern or an address as :func:`lifecycle.data.sources.files.read` takes it, with the columns
            of the training file, in any order; a target and other columns are allowed. ``-``: standard input. For a
            model of image files also an image, or a folder of images. Or frames, all with the same columns.
        output: a file, which appears once all rows are written. ``-``: standard output.
        rows_at_once: rows of a block, rounded up to whole passes of the network; predictions do not depend on it.
            ``None``: as many as keep the memory of all blocks at some 250 MB.
        form: format of standard input and output, of :data:`lifecycle.data.formats.names.FORMATS`.
        unseen: collects the categories that no training row had.
        fields: the sheet of an Excel file, the query of a database; ``None``: those of the training rows.

    Returns:
        The number of rows written.

    Raises:
        RequestError: a file or a row cannot be used; the message names it, rows by their number from 0.
    """
    output_form = of_output(output, form)
    rows = _without_dropped(_as_trained(trained, _open(trained, source, output, form, fields)), trained, unseen)
    _note_reading(rows, source, unseen)
    _check_names(rows, trained)
    size = sys.maxsize if trained.numbers is None else _block_rows(trained, len(rows.schema), rows_at_once)
    blocks = _in_order(lambda at, table: _predicted(trained, rows, table, at, output_form), rows.of(size))
    with contextlib.closing(blocks):
        first = next(blocks)  # the types of its columns are the schema of the file
        written = 0
        with writers.create(output, first[0].schema, form) as writer:
            for table, categories in itertools.chain([first], blocks):
                writer.write(table)
                written += len(table)
                if unseen is not None:
                    unseen.add(categories)
    return written


def _note_reading(rows: Stream, source: str | Path | Iterable[pd.DataFrame], unseen: Unseen | None) -> None:
    """Report how a text file was read."""
    if unseen is not None and rows.reading:
        unseen.notes.append(f"{rows_name(source)}: {rows.reading}")


def rows_name(source: str | Path | Iterable[pd.DataFrame]) -> str:
    """Return what notes call a source of rows."""
    return Path(source).name if isinstance(source, str | Path) and str(source) != STANDARD else "the input"


def forecast_file(
    trained: TrainedModel,
    source: str | Path,
    output: str | Path,
    horizon: int = 1,
    form: str = CSV,
    fields: SourceFields | None = None,
) -> int:
    """Write the next steps of a series; see :meth:`lifecycle.predict.trained_model.TrainedModel.forecast`.

    Args:
        trained: the model.
        source: as :func:`predict_file` takes it.
        output: as :func:`predict_file` takes it.
        horizon: number of steps to forecast.
        form: as :func:`predict_file` takes it.
        fields: as :func:`predict_file` takes it.

    Returns:
        The number of rows in the source.

    Raises:
        RequestError: a file or a row cannot be used.
    """
    output_form = of_output(output, form)
    rows = _as_trained(trained, _open(trained, source, output, form, fields))
    names = [*trained.columns, *trained.optional_columns(rows.schema.names)]
    (table,) = rows.select(names).of(sys.maxsize)  # one block
    known = stream.typed(
        table.replace_schema_metadata(), trained.numbers, rows.is_text, spellings(trained.marks)
    ).to_pandas()
    ahead = trained.forecast(known, horizon)
    if output_form in (*CELLS, JSON, JSON_LINES, EXCEL) and ahead.iloc[:, 0].dtype.kind == "M":
        # As the source writes them.
        ahead.isetitem(0, times.texts(ahead.iloc[:, 0]))
    found = pa.Table.from_pandas(ahead, preserve_index=False).replace_schema_metadata()
    with writers.create(output, found.schema, form) as writer:
        writer.write(found)
    return len(known)


def _as_trained(trained: TrainedModel, rows: Stream) -> Stream:
    """Return rows with the columns renamed as in training and checked."""
    rows = rows.renamed(trained.new_names(rows.schema.names))
    trained.check_columns(rows.schema.names)
    return rows


def _open(
    trained: TrainedModel,
    source: str | Path | Iterable[pd.DataFrame],
    output: str | Path,
    form: str,
    fields: SourceFields | None,
) -> Stream:
    """Open a source; see :func:`predict_file` for the arguments."""
    if not isinstance(source, str | Path):
        return stream.from_frames(source, trained.numbers)
    if str(source) == STANDARD:
        return readers.read(source, form, declared_for(trained.data), trained.known)
    file = Path(source).expanduser()
    is_table = not is_images(source)
    inputs = streams.local_files(source) if is_table else [file.resolve()]
    if Path(output).expanduser().resolve() in inputs:
        # The output is written while the input is read.
        raise RequestError(Setting("output", output), "is the input", remedy="Give another file.")
    if is_table:
        of_model = declared_for(trained.data)
        return streams.read(source, form, fields or trained.data, declared=of_model, known=trained.known)
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
    rows = stream.from_frames(frames, trained.numbers)
    return replace(rows, shown=rows.schema.names[:1])  # the column of files comes first


def _in_order(
    work: Callable[[int, pa.Table], PredictedBlock], tables: Iterable[pa.Table]
) -> Generator[PredictedBlock, None, None]:
    """Call ``work`` with the first row number and each table, on several threads, and yield the results in order."""
    threads = torch.get_num_threads()
    with pool(threads) as workers:
        at, pending = 0, deque[Future[PredictedBlock]]()
        for table in tables:
            pending.append(workers.submit(work, at, table))
            at += len(table)
            if len(pending) > threads:  # bounds the memory: a fast reader waits for the slowest block
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _predicted(trained: TrainedModel, rows: Stream, table: pa.Table, at: int, form: str) -> PredictedBlock:
    """Return a block with its predictions, and its unseen categories.

    Args:
        trained: the model.
        rows: the source of the block.
        table: the block.
        at: number of its first row, for messages.
        form: format of the output, which decides the types of its cells.
    """
    names = [*trained.columns, *trained.optional_columns(table.column_names)]
    nulls = spellings(trained.marks)
    needed = stream.typed(table.select(names).replace_schema_metadata(), trained.numbers, rows.is_text, nulls)
    # The index numbers the rows of the whole file, for messages.
    frame = needed.to_pandas().set_axis(pd.RangeIndex(at, at + len(table)), axis=0)
    samples = trained.samples(frame)
    predictions = trained.predict_samples(samples, frame)
    if not np.array_equal(samples.rows, np.arange(len(table))):  # the first rows of a series have no full window
        predictions = predictions.set_axis(samples.rows, axis=0).reindex(range(len(table)))
    # Of images, the name of the file is written, and not the pixels.
    table = table if rows.shown is None else table.select(rows.shown)
    table = _as_written(table, needed.select(trained.numbers or []) if rows.is_text else needed.select([]), form)
    for name in column_names(trained.spec):
        table = table.append_column(name, pa.Array.from_pandas(predictions[name]))
    return table, trained.unseen(samples)


def _as_written(table: pa.Table, numbers: pa.Table, form: str) -> pa.Table:
    """Return rows as the output holds them: cells of a CSV file verbatim, or the model's numeric columns as numbers."""
    for i, field in enumerate(table.schema):
        if json_rows.is_json(field) and form not in (JSON, JSON_LINES):
            table = table.set_column(i, field.name, json_rows.plain(table.column(i)))
        if field.name in numbers.column_names and form not in CELLS and not json_rows.is_json(table.schema.field(i)):
            table = table.set_column(i, field.name, numbers[field.name])
    return table


def _block_rows(trained: TrainedModel, columns: int, rows_at_once: int | None) -> int:
    """Return the rows of a block: whole passes of the network, rounded up, or down if memory limits them."""
    rows_of_pass = trained.rows_at_once
    if rows_at_once is not None:
        return rows_of_pass * max(1, math.ceil(rows_at_once / rows_of_pass))
    limit = CELLS_AT_ONCE // max(columns, math.prod(trained.spec.input_shape))
    return rows_of_pass * max(1, limit // rows_of_pass)


def _without_dropped(rows: Stream, trained: TrainedModel, unseen: Unseen | None) -> Stream:
    """Leave out columns that the data plugin drops and whose names the predictions need."""
    taken = [name for name in column_names(trained.spec) if name in dropped_by(trained.data)]
    left_out = [name for name in taken if name in rows.schema.names and name not in trained.columns]
    if not left_out:
        return rows
    if unseen is not None:
        unseen.notes.append(
            f"{', '.join(left_out)}: left out, since data.drop names it and it is the name of a column of predictions"
        )
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
            rows.name, f"has a column {name}, which is the name of a column of predictions", remedy=remedy
        )
