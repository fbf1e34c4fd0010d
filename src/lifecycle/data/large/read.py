"""Read a table too large for a frame in blocks, with the same types and errors as a table that is read at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lifecycle.data.audit import rounded_numbers
from lifecycle.data.columns import features, remedies, rounding, targets
from lifecycle.data.columns.meaning.meaning import TEXT as FREE_TEXT
from lifecycle.data.columns.names import place
from lifecycle.data.formats.csv_blocks import EMPTY, NUMBER, TEXT, TIME, AsTextError, CsvFile, kind_of, reread
from lifecycle.data.formats.parquet_blocks import ParquetFile
from lifecycle.data.large import text_rows
from lifecycle.data.large.blocks import AnyArray, Blocks
from lifecycle.data.large.codes import MOST_TEXTS, Codes, TooManyTextsError
from lifecycle.data.large.meanings import Meanings
from lifecycle.data.large.scratch import Scratch
from lifecycle.data.large.sharded_blocks import ShardedBlocks
from lifecycle.data.large.table import LargeTable, TableFields, too_many_classes
from lifecycle.data.large.text_rows import Chunks
from lifecycle.data.sources import files
from lifecycle.data.splits import duplicates
from lifecycle.errors import RequestError, Setting, Text
from lifecycle.runtime.memory import free_memory

FEWEST_BLOCK_BYTES, MOST_BLOCK_BYTES = 256 * 1024, 4 * 1024**2
"""Limits of the bytes of a file that are parsed together: what fits into the CPU's cache is fastest."""


def read(plugin: TableFields, file: Path | tuple[Path, ...]) -> LargeTable:
    """Read a file, or several of Parquet, once unless a later block shows that a column of numbers holds texts.

    Args:
        plugin: its fields determine the columns.
        file: at its path; of several all have the same columns.

    Raises:
        RequestError: the file cannot be read, or its columns cannot be used.
    """
    most = most_bytes(plugin.memory_gb)
    try:
        found = _opened(file, block_bytes(most), plugin)
        wanted, of_rows = columns_of(plugin, found)
        while True:
            reader = Reader(plugin, found, wanted, most)
            if isinstance(found, CsvFile):
                found.codes |= set(reader.meanings.reads_as_texts())
            try:
                for table in found.tables([*wanted, *of_rows]):
                    reader.add(table)
                texts = (codes.texts for codes in reader.codes.values())
                if isinstance(found, CsvFile) and found.finds_late_marks(texts):
                    continue
                return reader.finish()
            except AsTextError as error:
                assert isinstance(found, CsvFile)  # noqa: S101 - for the types
                found.texts[error.name] = error
            except ValueError as error:
                if not (isinstance(found, CsvFile) and found.turned_out_otherwise(error)):
                    raise
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors
        raise files.unreadable(plugin.path, error) from error


def block_bytes(most: int) -> int:
    """Return the bytes of a file that are parsed together, where ``most`` may be in memory."""
    return max(FEWEST_BLOCK_BYTES, min(MOST_BLOCK_BYTES, most // 8))


def _opened(file: Path | tuple[Path, ...], at_once: int, plugin: TableFields) -> ParquetFile | CsvFile:
    several = file if isinstance(file, tuple) else (file,)
    if several[0].suffix.lower() == ".parquet":
        return ParquetFile(several, at_once, plugin)
    return CsvFile(several[0], at_once, plugin)


def columns_of(plugin: TableFields, found: ParquetFile | CsvFile) -> tuple[list[str], list[str]]:
    """Return the features, and the other columns that are read, of which the target is the last one.

    Raises:
        RequestError: there is no such column, or its values cannot be used.
    """
    place(plugin, found.names)
    weight = {} if plugin.weight is None else {"weight": plugin.weight}
    for key, column in {"target": plugin.target, **weight, **plugin.columns_of_split}.items():
        targets.check_name(found.names, plugin.path, key, column)
    wanted = plugin.feature_columns(found.names)
    if isinstance(found, ParquetFile):
        _check_types(plugin, found, wanted)
    return wanted, [*plugin.columns_of_split.values(), *weight.values(), plugin.target]


def most_bytes(memory_gb: float | None) -> int:
    """Return the bytes of rows that may be in memory."""
    if memory_gb is not None:
        return int(memory_gb * 1e9)
    free = free_memory()
    # More than any machine has: no limit where the system does not say how much is free.
    return 2**62 if free is None else free // 2


def _check_types(plugin: TableFields, file: ParquetFile, wanted: list[str]) -> None:
    """Refuse columns that hold neither numbers nor texts."""
    for name in (*wanted, plugin.target):
        if file.is_plain(name) or (name in wanted and kind_of(file.types[name]) == TIME):
            continue
        if name != plugin.target:
            features.check(file.first_rows(name), (), plugin.path)  # a clearer message for lists
        problem = f"has values of the type {file.types[name]} in column {name}"
        if name in wanted:
            remedy: Text = ["Use numbers or texts, or ", remedies.drop(name), "."]
            raise RequestError(Setting("data.path", plugin.path), problem, remedy=remedy)
        raise RequestError(Setting("data.target", name), problem, remedy="Name another column.")


class Reader:
    """Stores the columns of a file block by block, and decides at the end what each column holds.

    Args:
        plugin: its fields determine the columns.
        file: to read.
        wanted: the features.
        most: bytes of rows that may be in memory.
        shard: where the rows are stored, and the number of the first one, if these are some of the files, and other
            processes read the others; ``None``: these are all.
    """

    def __init__(
        self,
        plugin: TableFields,
        file: CsvFile | ParquetFile,
        wanted: list[str],
        most: int,
        shard: tuple[Scratch, int] | None = None,
    ) -> None:
        self.plugin, self.file, self.wanted, self.most = plugin, file, wanted, most
        scratch, self.first = shard or (None, 0)
        self.is_shard = shard is not None
        # The other half is for targets, and for parsing.
        self.blocks: Blocks | ShardedBlocks = Blocks(len(wanted), most // 2, scratch)
        self.codes: dict[str, Codes] = {}
        self.texts: dict[str, Chunks] = {}
        self._hashes_of_texts: dict[str, AnyArray] = {}  # of the rows that are added
        self.meanings = Meanings(plugin)
        self.numbers: set[str] = set()
        self.missing = dict.fromkeys(wanted, 0)
        self.target: list[AnyArray] = []
        self.weights: list[AnyArray] = []
        self.without_target: list[int] = []  # number of rows without a target, and the first of them
        self.labelled: list[AnyArray] = []  # which rows have one, where the others are left out
        self.known: pa.ChunkedArray | None = None  # a value of the target, which stands for those that are missing
        self.hashes: list[AnyArray] = []
        self.of_split: dict[str, list[pa.ChunkedArray]] = {name: [] for name in plugin.columns_of_split.values()}
        self.limits: dict[str, tuple[float, float]] = {}
        self.notes: dict[str, Text] = {}
        self.in_doubt: set[str] = set()  # columns of a CSV file with numbers that may have been rounded

    def add(self, table: pa.Table) -> None:
        """Store the next rows."""
        assert isinstance(self.blocks, Blocks)  # noqa: S101 - for the types
        row = self.first + self.blocks.num_rows
        self._add_target(table[self.plugin.target], row)
        if self.plugin.weight is not None:
            self.weights.append(table[self.plugin.weight].to_numpy())
        columns = [self._feature(name, table[name], row) for name in self.wanted]
        self.blocks.append(columns)
        for name, parts in self.of_split.items():
            parts.append(table[name])
        if self.plugin.keep_duplicates_together:
            hashes = np.zeros(len(columns[0]), dtype=np.uint64)
            for name, values in zip(self.wanted, columns, strict=True):
                hashes = duplicates.added(hashes, self._bits(name, values))
            self.hashes.append(hashes)

    def _filled(self, column: pa.ChunkedArray, missing: AnyArray) -> pa.ChunkedArray:
        """Return a block of the target with a known value in place of each missing one: these rows are never used."""
        if not missing.all():
            self.known = column.slice(int(missing.argmin()), 1)
        if self.known is None or not missing.any():
            return column
        places = np.where(missing, len(column), np.arange(len(column)))
        return pa.chunked_array([*column.chunks, *self.known.cast(column.type).chunks]).take(pa.array(places))

    def _bits(self, name: str, values: AnyArray) -> AnyArray:
        """Return ``uint64`` that are equal for equal values of a column, in all processes that read some rows."""
        if name in self.texts:
            return self._hashes_of_texts.pop(name)
        if name not in self.codes:
            return duplicates.bits_of(values)
        hashes = self.codes[name].hashes
        return np.asarray(hashes[np.nan_to_num(values, nan=len(hashes) - 1).astype(np.int64)])

    def _add_target(self, column: pa.ChunkedArray, row: int) -> None:
        missing = column.is_null(nan_is_null=True).to_numpy()
        if missing.any():
            first = self.without_target[1] if self.without_target else row + int(missing.argmax())
            self.without_target = [(self.without_target or [0])[0] + int(missing.sum()), first]
        if self.plugin.missing_target == targets.DROP:
            column = self._filled(column, missing)
            self.labelled.append(~missing)
        elif missing.any():
            return
        if (meaning := self.meanings.of_block(self.plugin.target, column, row)) is not None:
            self.target.append(self.meanings.values(self.plugin.target, meaning, column, row))
        elif kind_of(column.type) == TEXT:
            self.target.append(self._coded(self.plugin.target, column, row).astype(np.int32))
        else:
            self.target.append(column.to_numpy())
            if len(column) and np.abs(self.target[-1].astype(np.float64)).max() >= rounding.EXACT:
                self._doubt(self.plugin.target, column)

    def _feature(self, name: str, column: pa.ChunkedArray, row: int) -> AnyArray:
        """Return a column as float64 numbers, or as the codes of its texts."""
        kind = kind_of(column.type)
        if (meaning := self.meanings.of_block(name, column, row)) is not None:
            self.numbers.add(name)
            self.codes.pop(name, None)  # of blocks without a value, which have no texts
            values = self.meanings.values(name, meaning, column, row)
            if name in self.plugin.missing_zeros:
                values = np.where(values == 0, np.nan, values)
        elif kind == TEXT:
            values = self._coded(name, column, row)
        elif kind == NUMBER and name in self.meanings.reads_as_texts():
            values = self._coded(name, column.cast(pa.string()), row)
        elif kind == EMPTY:
            values = np.full(len(column), np.nan)
        else:
            self.numbers.add(name)
            values = column.cast("float64", safe=False).to_numpy()  # whole numbers may be rounded, which is noted
            if name in self.plugin.missing_zeros:
                values = np.where(values == 0, np.nan, values)
            low, high = values.min(), values.max()
            self._limit(name, values, low, high)
            if low > -rounding.EXACT and high < rounding.EXACT:
                return values  # and none is missing
            if (np.abs(values) >= rounding.EXACT).any():
                self._doubt(name, column)
            if len(wrong := np.flatnonzero(np.abs(values) > features.LARGEST)):
                raise features.too_large(name, self.plugin.path, values[wrong[0]], row + int(wrong[0]))
        self.missing[name] += int(np.isnan(values).sum())
        return values

    def _limit(self, name: str, values: AnyArray, low: float, high: float) -> None:
        """Extend the least and the greatest value of a column by those of a block, which are NaN if one is missing."""
        if np.isnan(low):
            low, high = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
        known = self.limits.get(name, (low, high))
        self.limits[name] = float(min(known[0], low)), float(max(known[1], high))

    def _doubt(self, name: str, column: pa.ChunkedArray) -> None:
        """Add a warning about rounded whole numbers; those of a CSV file are looked up in its text at the end."""
        if isinstance(self.file, CsvFile):
            self.in_doubt.add(name)
        elif name not in self.notes and (found := rounding.first_rounded(column.to_pandas(types_mapper=pd.ArrowDtype))):
            self.notes[name] = rounding.note(name, *found, is_target=name == self.plugin.target)

    def _coded(self, name: str, column: pa.ChunkedArray, row: int) -> AnyArray:
        if name not in self.texts:
            codes = self.codes.setdefault(name, Codes())
            try:
                return codes.add(column, row)
            except TooManyTextsError as error:
                is_text = self.meanings.is_free_text(name, codes.texts, sum(codes.counts))
                if name == self.plugin.target or not is_text:
                    raise self.refusal(name, row + len(column)) from error
            self.move_to_disk(name)
        values, self._hashes_of_texts[name] = text_rows.add(self.texts[name], column)
        return values

    def move_to_disk(self, name: str) -> None:
        """Have a column be one of free text, whose rows are on disk, rather than one of codes."""
        codes, number, (start, stop) = self.codes.pop(name, Codes()), self.wanted.index(name), self.blocks.own_rows
        offset = np.float32(self.blocks.offset(number))
        rows = (self.blocks.column(number, some) + offset for some in text_rows.row_numbers(start, stop))
        self.texts[name] = text_rows.of_codes(codes, rows, self.first + start)

    def refusal(self, name: str, rows: int) -> RequestError:
        """Return the error of a column with too many different texts, by what these are."""
        path, why = self.plugin.path, self.file.texts.get(name)
        if name == self.plugin.target:
            if why is not None and why.text is not None and self.plugin.task != "classification":
                return targets.mixed(name, why.text, why.row)
            return too_many_classes(name)
        if why is not None and why.text is not None:
            return features.mixed(name, path, why.text, why.row)
        return features.too_many(name, path, MOST_TEXTS + 1, f"first {rows}")

    def finish(self) -> LargeTable:
        """Decide what each column holds, and return the table."""
        plugin, name = self.plugin, self.plugin.target
        if not self.blocks.num_rows:
            raise files.no_rows(plugin.path)
        if self.without_target and (not self.labelled or not self.labelled[0].any()):
            missing, first = self.without_target
            raise targets.gaps(
                plugin.path, "target", name, missing, first, instead=() if self.labelled else targets.LEAVING_OUT
            )
        for column in self.wanted:
            self._decide_kind(column)
        plugin.check_typed([*self.wanted, name])
        others = {*self.codes, *self.texts}
        plugin.check_numbers(self.file.names, [column for column in self.wanted if column not in others])
        target, classes = np.concatenate(self.target), None
        # Else the parts would stay in memory next to the whole.
        self.target.clear()
        pa.default_memory_pool().release_unused()  # pyarrow keeps the memory of the parsed blocks otherwise
        if name in self.codes:
            kind, values = self._reread(name)
            if kind in (TEXT, TIME):
                classes, target = self._classes(name, target)
            else:
                target = values[target]
        return LargeTable(
            plugin=plugin.with_meanings(self.meanings.found),
            most=self.most,
            names=self.file.names,
            features=self.wanted,
            blocks=self.blocks,
            codes={column: self.codes[column] for column in self.wanted if column in self.codes},
            texts={column: self.texts[column] for column in self.wanted if column in self.texts},
            target=target,
            classes=classes,
            missing=self.missing,
            digest=self.file.digest,
            weights=np.concatenate(self.weights) if self.weights else None,
            notes=self.notes | self._notes_in_csv(),
            dialect=self.file.dialect if isinstance(self.file, CsvFile) else None,
            readings=[note for one in self.meanings.found.values() for note in one.notes],
            hashes=np.concatenate(self.hashes) if self.hashes else None,
            of_split=self._columns_of_split(),
            labelled=np.concatenate(self.labelled) if self.without_target else None,
            limits={column: set(ends) for column, ends in self.limits.items()},
        )

    def _classes(self, name: str, target: AnyArray) -> tuple[AnyArray | None, AnyArray]:
        """Return the classes of a target of texts, and the position of each row's among them; or ``None`` and values.

        The texts may be numbers with units, which only all of them show.
        """
        codes = self.codes[name]
        found, values = self.meanings.of_codes(name, codes, self.blocks.num_rows)
        if values is None or found is None or self.plugin.task == "classification":
            return np.array(codes.texts, dtype=object), target
        return None, values[target]

    def _columns_of_split(self) -> pd.DataFrame:
        """Return the columns that say how rows are divided, as a file that is read at once has them."""
        found: dict[str, Any] = {}
        for name, parts in self.of_split.items():
            chunks = [chunk for part in parts for chunk in part.chunks]
            parts.clear()
            if len(kinds := {chunk.type for chunk in chunks}) > 1:  # numbers in some blocks, and texts in others
                kind = pa.string() if any(map(pa.types.is_string, kinds)) else pa.float64()
                chunks = [chunk.cast(kind) for chunk in chunks]
            column = pa.chunked_array(chunks)
            found[name] = column.to_pandas(types_mapper={pa.string(): pd.StringDtype(na_value=np.nan)}.get)
        frame = pd.DataFrame(found)
        targets.check_columns(frame, self.plugin.path, self.plugin.columns_of_split)
        return frame

    def _notes_in_csv(self) -> dict[str, Text]:
        names = [name for name in (*self.wanted, self.plugin.target) if name in self.in_doubt]
        if not names or not isinstance(self.file, CsvFile):
            return {}
        places = [self.file.names.index(name) for name in names]
        found = rounded_numbers.in_csv(self.file.file, places, self.file.dialect)
        pairs = {name: one for name, one in zip(names, found, strict=True) if one is not None}
        target = self.plugin.target
        return {name: rounding.note(name, *one, is_target=name == target) for name, one in pairs.items()}

    def _decide_kind(self, name: str) -> None:
        """Decide whether a column holds numbers or categories.

        Raises:
            RequestError: it holds neither; see :mod:`lifecycle.data.columns.features`.
        """
        if name in self.numbers:
            if self.missing[name] and name in self.file.truths:
                # Truth values with gaps are objects in pandas, and so categories of these names.
                self.codes[name] = Codes(["False", "True"])
            return
        if name in self.texts:
            self.meanings.set_free_text(name)
            return
        if name not in self.codes and isinstance(self.file, CsvFile):
            return  # a column without values
        codes = self.codes.setdefault(name, Codes())
        kind, values = self._reread(name)
        if kind in (TEXT, TIME) or name in self.meanings.reads_as_texts():
            meaning, found = self.meanings.of_codes(name, codes, self.blocks.num_rows)
            if meaning is not None and meaning.kind == FREE_TEXT:
                self.move_to_disk(name)
            if found is None:
                return
            values = found
        self._look_up(name, values.astype(np.float64))

    def _look_up(self, name: str, numbers: AnyArray) -> None:
        """Have a column of codes be one of numbers: that of each text."""
        codes = self.codes.pop(name)
        if name in self.plugin.missing_zeros:
            numbers[numbers == 0] = np.nan
        self.missing[name] += int(np.array(codes.counts)[np.isnan(numbers)].sum())
        self.blocks.tables[self.wanted.index(name)] = np.append(numbers, np.nan)

    def _reread(self, name: str) -> tuple[str, AnyArray]:
        """Return the kind of a column of texts in a file that is read at once, and the value of each text."""
        texts = self.codes[name].texts
        if isinstance(self.file, CsvFile) and name not in self.file.codes and texts:
            return reread(texts)
        return TEXT, np.array(texts, dtype=object)
