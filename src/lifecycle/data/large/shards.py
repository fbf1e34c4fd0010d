"""Read many Parquet files with several processes, of which each reads its own files.

The processes then know of each other's rows: what columns mean, targets, texts and hashes are put together in the order
of the files, so that the split and all statistics are those of one process. Only the conversion of rows is divided.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lifecycle.capabilities import large_file_of
from lifecycle.data.columns.meaning.infer import Found
from lifecycle.data.columns.meaning.meaning import Meaning
from lifecycle.data.formats.parquet_blocks import ParquetFile
from lifecycle.data.large import codes
from lifecycle.data.large.blocks import Blocks
from lifecycle.data.large.codes import Codes, TooManyTextsError
from lifecycle.data.large.read import Reader, block_bytes, columns_of, most_bytes
from lifecycle.data.large.scratch import Scratch, check_room
from lifecycle.data.large.sharded_blocks import ShardedBlocks
from lifecycle.data.large.table import LargeTable, TableFields
from lifecycle.data.sources import files
from lifecycle.errors import RequestError, packed, unpacked
from lifecycle.runtime.files.digests import of_several
from lifecycle.runtime.team import Piece, Team

DATA_SHARED = "raw"
"""Name of the file of the rows that a process has read."""


@dataclass(frozen=True)
class Plan:
    """Which process reads which files.

    Attributes:
        files: of all rows, in order.
        rows: of each file.
        most: bytes of rows that may be in memory.
        schemas: that of the first file and that of all, as Arrow writes them.
        wanted: the features.
        others: the other columns that are read.
        shares: positions of the first file of each process, and the number of files at the end.
    """

    files: list[str]
    rows: list[int]
    most: int
    schemas: list[str]
    wanted: list[str]
    others: list[str]
    shares: list[int]

    def of(self, rank: int) -> tuple[list[Path], int]:
        """Return the files of a process, and the number of their first row."""
        start, stop = self.shares[rank : rank + 2]
        return [Path(file) for file in self.files[start:stop]], sum(self.rows[:start])


def shares(rows: Sequence[int], processes: int) -> list[int]:
    """Return the first file of each process, and the number of files at the end.

    Each process reads consecutive files, so that the order of the rows is that of the files. The largest number of rows
    of a process is as small as it can be with whole files. With fewer files than processes, the last ones read none.

    >>> shares([5, 5, 5, 5], 2), shares([90, 5, 5, 5], 2), shares([5], 3)
    ([0, 2, 4], [0, 1, 4], [0, 1, 1, 1])
    """
    low, high = max(rows, default=0), sum(rows)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(_filled(rows, middle)) <= processes else (middle + 1, high)
    found = _filled(rows, low)
    return [*found, *[len(rows)] * (processes + 1 - len(found))]


def _filled(rows: Sequence[int], most: int) -> list[int]:
    """Return the first file of each process where none reads more than ``most`` rows and each as many as it may."""
    found, inside = [0], 0
    for place, number in enumerate(rows):
        if inside + number > most:
            found.append(place)
            inside = 0
        inside += number
    return found


def read(plugin: TableFields, team: Team) -> LargeTable:
    """Read the files of this process, and return the table of all rows.

    Args:
        plugin: its fields determine the columns.
        team: the processes. The main process reads the schemas and numbers of rows of all files, the others none.

    Raises:
        RequestError: a file cannot be read, or its columns cannot be used.
    """
    try:
        plan = Plan(**team.of_main("plan", lambda: _planned(plugin, team.size)))
        own, pieces = _agreed(plugin, team, plan)
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors
        raise files.unreadable(plugin.path, error) from error
    table = _together(own, pieces, team).finish()
    table.team = team
    table.shards = tuple((len(plan.of(rank)[0]), piece.value["sizes"][0]) for rank, piece in enumerate(pieces))
    return table


def _planned(plugin: TableFields, processes: int) -> dict[str, Any]:
    found = large_file_of(plugin)
    assert isinstance(found, tuple)  # noqa: S101 - only several files are read by several processes
    most = most_bytes(plugin.memory_gb)
    file = ParquetFile(found, block_bytes(most), plugin)
    wanted, others = columns_of(plugin, file)
    rows = [parquet.read_metadata(one).num_rows for one in found]
    check_room(4 * len(wanted) * sum(rows))
    schemas = [base64.b64encode(schema.serialize().to_pybytes()).decode() for schema in file.schemas]
    return asdict(Plan([str(one) for one in found], rows, most, schemas, wanted, others, shares(rows, processes)))


def _agreed(plugin: TableFields, team: Team, plan: Plan) -> tuple[Reader, list[Piece]]:
    """Return the files of this process as they were read, and what each process has found.

    What a column means is decided by the first block of rows with a value, which is in the files of one process. The
    others read theirs again, if by their own first block they have read them otherwise.
    """
    meanings: dict[str, Meaning | None] = {}
    reader, error = _read_own(plugin, team, plan, meanings)
    while True:
        value, arrays = _state(reader, error)
        pieces = team.gathered(f"found{len(meanings)}", value, **arrays)
        of_processes = [{name: _meaning(one) for name, one in piece.value["decided"].items()} for piece in pieces]
        agreed = {name: one for decided in reversed(of_processes) for name, one in decided.items()}
        if all(agreed[name] == one for decided in of_processes for name, one in decided.items()):
            break
        if any(agreed[name] != one for name, one in of_processes[team.rank].items()):
            reader, error = _read_own(plugin, team, plan, agreed)
        meanings = agreed
    if error is not None:
        raise error
    wrong = next((piece.value["error"] for piece in pieces if piece.value["error"]), None)
    if wrong is not None:
        raise RequestError.unpacked(wrong)
    return reader, pieces


def _read_own(
    plugin: TableFields, team: Team, plan: Plan, meanings: dict[str, Meaning | None]
) -> tuple[Reader, RequestError | None]:
    """Read the files of this process, as far as they can be read."""
    own, first = plan.of(team.rank)
    schemas = [pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text))) for text in plan.schemas]
    file = ParquetFile(own, block_bytes(plan.most), plugin, schemas)
    scratch = Scratch(team.folder / f"{DATA_SHARED}.{team.rank}")
    reader = Reader(plugin, file, plan.wanted, plan.most, (scratch, first))
    reader.meanings.of_blocks |= meanings
    reader.meanings.found |= {name: Found(one) for name, one in meanings.items() if one is not None}
    try:
        for table in file.tables([*plan.wanted, *plan.others]):
            reader.add(table)
    except RequestError as error:
        return reader, error
    except (ValueError, OSError) as error:
        return reader, files.unreadable(plugin.path, error)
    return reader, None


def _meaning(value: Any) -> Meaning | None:
    return None if value is None else Meaning(**{**value, "order": tuple(value["order"])})


def _state(reader: Reader, error: RequestError | None) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Return what the other processes have to know of the rows of this one."""
    assert isinstance(reader.blocks, Blocks)  # noqa: S101 - for the types
    sizes, offsets = reader.blocks.shared()
    decided = reader.meanings.of_blocks
    value = {
        "error": None if error is None else error.packed(),
        "decided": {name: None if one is None else asdict(one) for name, one in decided.items()},
        "notes": {name: list(map(packed, one.notes)) for name, one in reader.meanings.found.items()},
        "rounded": {name: packed(note) for name, note in reader.notes.items()},
        "sizes": sizes,
        "codes": {name: [one.texts, one.counts, one.first] for name, one in reader.codes.items() if one.texts},
        "texts": sorted(reader.texts),
        "numbers": sorted(reader.numbers),
        "missing": reader.missing,
        "limits": {name: list(map(float, ends)) for name, ends in reader.limits.items()},
        "without_target": reader.without_target,
        "digests": reader.file.digests if isinstance(reader.file, ParquetFile) else [],
        "columns": {name: _as_text(parts) for name, parts in reader.of_split.items()},
    }
    arrays = {name: found for name, found in _arrays(reader).items() if found}
    return value, {"offsets": offsets, **{name: np.concatenate(found) for name, found in arrays.items()}}


def _arrays(reader: Reader) -> dict[str, list[np.ndarray[Any, Any]]]:
    return {"target": reader.target, "weights": reader.weights, "hashes": reader.hashes}


def _as_text(parts: list[pa.ChunkedArray]) -> str:
    """Return the chunks of a column as Arrow writes them, in base64."""
    chunks = [chunk for part in parts for chunk in part.chunks]
    if not chunks:
        return ""
    sink = pa.BufferOutputStream()
    table = pa.table({"values": pa.chunked_array(chunks)})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue().to_pybytes()).decode()


def _of_text(text: str) -> list[pa.ChunkedArray]:
    return [pa.ipc.open_stream(base64.b64decode(text)).read_all()["values"]] if text else []


def _together(own: Reader, pieces: list[Piece], team: Team) -> Reader:
    """Return a reader as if this process had read all files."""
    whole = Reader(own.plugin, own.file, own.wanted, own.most)
    whole.file.digest = of_several([digest for piece in pieces for digest in piece.value["digests"]])
    whole.meanings = own.meanings
    known = {name for name, one in own.meanings.of_blocks.items() if one is not None}
    for piece in reversed(pieces):  # the first file in which a column has a value decides
        for name, one in piece.value["decided"].items():
            if one is not None and name not in known:
                whole.meanings.found[name] = Found(_meaning(one), list(map(unpacked, piece.value["notes"][name])))
        whole.notes |= {name: unpacked(note) for name, note in piece.value["rounded"].items()}
    # Texts that are too many for the memory of one process are on disk in all.
    texts = {name for piece in pieces for name in piece.value["texts"]} | _too_many(own, pieces)
    for name in sorted(texts - own.texts.keys()):
        own.move_to_disk(name)
    whole.texts = own.texts
    shards = []
    for rank, piece in enumerate(pieces):
        kept = {name: one for name, one in piece.value["codes"].items() if name not in texts}
        remap = {name: _joined(whole, name, *one) for name, one in kept.items()}
        shards.append(_shard(own, piece, remap, team, rank))
        _add(whole, piece, remap.get(own.plugin.target))
    whole.blocks = ShardedBlocks(shards, team.rank)
    return whole


def _too_many(own: Reader, pieces: list[Piece]) -> set[str]:
    """Return the columns of free text with more different texts than are kept in memory."""
    found = set()
    for name in own.wanted:
        of_column = [piece.value["codes"][name] for piece in pieces if name in piece.value["codes"]]
        different = list(dict.fromkeys(text for texts, _, _ in of_column for text in texts))
        rows = sum(sum(counts) for _, counts, _ in of_column)
        if len(different) > codes.MOST_TEXTS and own.meanings.is_free_text(name, different, rows):
            found.add(name)
    return found


def _joined(whole: Reader, name: str, texts: list[str], counts: list[int], first: list[int]) -> np.ndarray[Any, Any]:
    """Return the codes that the texts of a process have among those of all."""
    try:
        return whole.codes.setdefault(name, Codes()).joined(texts, counts, first)
    except TooManyTextsError as error:
        raise whole.refusal(name, max(first)) from error


def _shard(own: Reader, piece: Piece, remap: dict[str, np.ndarray[Any, Any]], team: Team, rank: int) -> Blocks:
    """Return the blocks of a process."""
    if rank == team.rank:
        assert isinstance(own.blocks, Blocks)  # noqa: S101 - for the types
        found = own.blocks
    else:
        scratch = Scratch(team.folder / f"{DATA_SHARED}.{rank}")
        found = Blocks.of_file(scratch, len(own.wanted), piece.value["sizes"], piece.arrays["offsets"])
    of_features = {own.wanted.index(name): codes for name, codes in remap.items() if name in own.wanted}
    found.tables = {place: np.append(codes.astype(np.float64), np.nan) for place, codes in of_features.items()}
    return found


def _add(whole: Reader, piece: Piece, codes: np.ndarray[Any, Any] | None) -> None:
    """Add what one process has found; ``codes``: of its texts of the target."""
    value, arrays = piece.value, piece.arrays
    whole.numbers |= set(value["numbers"])
    for name, number in value["missing"].items():
        whole.missing[name] += number
    for name, (low, high) in value["limits"].items():
        known = whole.limits.get(name, (low, high))
        whole.limits[name] = min(known[0], low), max(known[1], high)
    if value["without_target"]:
        number, first = value["without_target"]
        before = whole.without_target or [0, first]
        whole.without_target = [before[0] + number, before[1]]
    for name, text in value["columns"].items():
        whole.of_split[name] += _of_text(text)
    for name, found in _arrays(whole).items():
        if name in arrays:
            values = arrays[name]
            found.append(codes[values].astype(np.int32) if name == "target" and codes is not None else values)
