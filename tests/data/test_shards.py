"""Parquet files that several processes read, each its own: the result is that of one process."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from lifecycle.api.messages import PYTHON
from lifecycle.contract import Fold
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.table import Table
from lifecycle.data.large import blocks, read, shards
from lifecycle.data.large.disk_rows import DiskRows
from lifecycle.data.large.load import load_large
from lifecycle.data.load import load as load_whole
from lifecycle.data.sources import files
from lifecycle.errors import COMMAND_LINE, Either, LifecycleError, RequestError, Setting
from lifecycle.runtime.team import Team
from tests.data.test_large import ON_DISK, assert_same

SIZES = (90, 0, 40, 70, 200)


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take few rows for many, in small blocks."""
    monkeypatch.setattr(files, "LARGE", 0)
    monkeypatch.setattr(read, "FEWEST_BLOCK_BYTES", 3000)
    monkeypatch.setattr(read, "MOST_BLOCK_BYTES", 3000)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2500)


def rows_of(place: int, number: int) -> pd.DataFrame:
    """Return rows with other texts, times and levels in each file."""
    generator = np.random.default_rng(place)
    rows = pd.DataFrame(
        {
            "a": generator.normal(5, 2, number).round(3),
            "second": 1.7e9 + 1e6 * place + np.arange(number),
            "town": generator.choice([f"town {place}", f"town {place + 1}", "Ely"], number).astype(object),
            "day": [f"{1 + one % 12:02}/{1 + one % 28:02}/2020" for one in range(place, place + number)],
            "kg": [f"{value:.1f} kg" for value in generator.uniform(1, 9, number)],
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.integers(0, 900, number), unit="D"),
            "patient": generator.integers(0, 30, number),
        }
    )
    rows.loc[rows.index % 11 == 3, ["town"]] = None
    rows.loc[rows.index % 13 == 3, "a"] = np.nan
    rows.loc[rows.index[:1], "patient"] = 9999
    rows["y"] = np.where(rows["a"].fillna(5) > 5 + place / 9, "yes", f"no{place // 4}")
    return rows


def write(folder: Path) -> Path:
    """Write files as Spark does, with marks of success and checksums, and one file without rows."""
    folder.mkdir()
    for place, number in enumerate(SIZES):
        rows_of(place, number).to_parquet(folder / f"part-{place:05}.parquet", index=False)
    (folder / "_SUCCESS").write_text("")
    (folder / ".part-00000.parquet.crc").write_bytes(b"crc\0")
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "part-00009.parquet").write_bytes(b"unfinished")
    return folder


def in_team(
    folder: Path, size: int, path: Path, fold: Fold | None = None, seed: int = 3, **fields: Any
) -> list[Dataset]:
    """Load a table with a team whose members are threads."""
    folder.mkdir()

    def load(rank: int) -> Dataset:
        team = Team(rank, size, folder)
        try:
            table = shards.read(Table(path=str(path), target="y", **fields), team)
            return load_large(table, "mine", "table", seed, fold)
        except Exception as error:
            team.failed(error)
            raise

    with ThreadPoolExecutor(size) as threads:
        return list(threads.map(load, range(size)))


@pytest.mark.parametrize("size", [2, 3, 7])
def test_the_rows_of_several_processes_are_those_of_one(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "parts")
    cases: list[dict[str, Any]] = [{}, {"memory_gb": ON_DISK}, {"split": "group", "group": "patient", "rare": 30}]
    cases += [{"drop": ["kg", "town"], "weight": "patient"}]
    for number, fields in enumerate(cases):
        one = load_whole(Table(path=str(path), target="y", **fields), "mine", "table", 3)
        found = in_team(tmp_path / f"team{number}", size, path, **fields)
        for other in found:
            assert_same(one, other)
            assert other.digest == one.digest
            assert type(other.train.inputs) is (DiskRows if "memory_gb" in fields else torch.Tensor)
        assert [list(map(wording.text, found[0].notes)) for wording in (COMMAND_LINE, PYTHON)] == [
            list(map(wording.text, one.notes)) for wording in (COMMAND_LINE, PYTHON)
        ]
        assert sum(rows for _, rows in found[0].shards) == sum(SIZES)
        assert len(found[0].shards) == size


def test_folds_are_those_of_one_process(tmp_path: Path) -> None:
    path, fold = write(tmp_path / "parts"), Fold(1, 4)
    one = load_whole(Table(path=str(path), target="y"), "mine", "table", 3, fold=fold)
    for other in in_team(tmp_path / "team", 2, path, fold):
        assert_same(one, other)


def test_a_column_that_later_files_show_otherwise_is_read_as_by_the_first(tmp_path: Path) -> None:
    path = tmp_path / "parts"
    path.mkdir()
    for place, days in enumerate((["01/02/2020", "03/04/2020"], ["05/13/2020", "06/07/2020"])):
        texts = np.resize(days, 60)
        pd.DataFrame({"x": range(60), "day": texts, "y": np.resize([0, 1], 60)}).to_parquet(path / f"{place}.parquet")
    with pytest.raises(RequestError) as one:
        load_whole(Table(path=str(path), target="y"), "mine", "table", 3)
    with pytest.raises(RequestError) as several:
        in_team(tmp_path / "team", 2, path)
    assert str(several.value) == str(one.value)
    assert "05/13/2020" in str(one.value)
    fields: dict[str, Any] = {"types": {"day": "month_first"}}
    whole = load_whole(Table(path=str(path), target="y", **fields), "mine", "table", 3)
    assert_same(whole, in_team(tmp_path / "again", 2, path, **fields)[1])


def test_gaps_in_the_target_are_counted_over_all_files(tmp_path: Path) -> None:
    path = write(tmp_path / "parts")
    for place in (3, 4):
        rows = rows_of(place, SIZES[place])
        rows.loc[5:9, "y"] = None
        rows.to_parquet(path / f"part-{place:05}.parquet", index=False)
    with pytest.raises(RequestError, match=r"has no value in 10 rows of .*, the first is row 135"):
        in_team(tmp_path / "team", 3, path)


def test_notes_and_errors_of_another_process_are_worded_for_python(tmp_path: Path) -> None:
    path = tmp_path / "parts"
    path.mkdir()
    rows = pd.DataFrame({"x": range(60), "big": np.arange(60), "y": np.resize([0, 1], 60)})
    rows.to_parquet(path / "0.parquet")
    # Whole numbers that double precision rounds, and dates that only the files of the helper have.
    day = np.resize(["03/02/2021", "04/05/2021"], 60)
    later = rows.assign(big=2**53 + np.arange(60) * 3)
    for place, one in enumerate((rows, later)):
        one.assign(day=[None] * 60 if not place else day).to_parquet(path / f"{place}.parquet")
    plugin = Table(path=str(path), target="y")
    whole = load_whole(plugin, "mine", "table", 3)
    notes = [PYTHON.text(note) for note in whole.notes]
    assert any('types={"day": "month_first"}' in note for note in notes), notes
    (found, _) = in_team(tmp_path / "team", 2, path)
    assert [PYTHON.text(note) for note in found.notes] == notes

    error = RequestError(Setting("data.path", "a"), ["has ", Setting("data.drop", ["b"])], 3, Either("Add.", "Use."))
    Team(1, 2, tmp_path).failed(error)
    with pytest.raises(RequestError) as raised:
        Team(0, 2, tmp_path).gathered("step")
    assert str(raised.value) == str(error)
    assert str(raised.value.worded(PYTHON)) == str(error.worded(PYTHON))


@given(st.lists(st.integers(0, 50), max_size=9), st.integers(1, 5))
def test_shares_are_consecutive_complete_and_as_equal_as_whole_files_allow(rows: list[int], processes: int) -> None:
    found = shards.shares(rows, processes)
    assert found == sorted(found)
    assert (found[0], found[-1], len(found)) == (0, len(rows), processes + 1)
    most = max((sum(rows[start:stop]) for start, stop in pairwise(found)), default=0)

    def least(left: list[int], number: int) -> int:
        """Return the smallest possible maximum, by trying all."""
        if number == 1:
            return sum(left)
        return min(max(sum(left[:cut]), least(left[cut:], number - 1)) for cut in range(len(left) + 1))

    assert most == least(rows, min(processes, 3)) if processes <= 3 else most <= least(rows, 3)


LOADS = """
import sys
from itertools import pairwise
from pathlib import Path
import numpy as np
from lifecycle.data import load
from lifecycle.data.kinds.table import Table
from lifecycle.runtime import team as teams

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
team = teams.Team(rank, 2, folder)
with teams.joined(team):
    try:
        found = load.load(Table(path="parts", target="y", memory_gb=1e-6), "mine", "table", 3)
    except Exception as error:
        team.failed(error)
        sys.exit(f"{type(error).__name__}: {error}")
np.savez(f"{rank}.npz", inputs=found.train.inputs[:], rows=found.train.rows, targets=found.train.targets)
"""


def in_processes(folder: Path, places: list[Path]) -> list[subprocess.CompletedProcess[str]]:
    """Load ``parts`` of two working folders with a process in each."""
    folder.mkdir()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LOADS, str(rank), str(folder)], cwd=place, stderr=subprocess.PIPE, text=True
        )
        for rank, place in enumerate(places)
    ]
    return [subprocess.CompletedProcess([], one.wait(), "", one.communicate()[1]) for one in started]


def without_pages(file: Path) -> None:
    """Overwrite all rows of a Parquet file; its footer, with their number and types, stays."""
    content = bytearray(file.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little") + 8
    content[4:-footer] = bytes(len(content) - footer - 4)
    file.write_bytes(content)
    assert parquet.read_metadata(file).num_rows


def test_each_process_opens_its_own_files_only(tmp_path: Path) -> None:
    places = [tmp_path / "main", tmp_path / "helper"]
    for place in places:
        place.mkdir()
        write(place / "parts")
    whole = load_whole(Table(path=str(places[0] / "parts"), target="y", memory_gb=ON_DISK), "mine", "table", 3)
    plan = shards.shares(SIZES, 2)
    assert plan == [0, 4, 5]
    # The helper has no file of the main process, which has the footers of the helper's files, but not their rows.
    without_pages(places[0] / "parts" / "part-00004.parquet")
    for number in range(4):
        (places[1] / "parts" / f"part-{number:05}.parquet").unlink()
    assert [(one.returncode, one.stderr) for one in in_processes(tmp_path / "team", places)] == [(0, "")] * 2
    for rank, place in enumerate(places):
        found = np.load(place / f"{rank}.npz")
        np.testing.assert_array_equal(found["rows"], whole.train.rows)
        np.testing.assert_allclose(found["inputs"], whole.train.inputs[:].numpy(), rtol=1e-5, atol=2e-6)
        np.testing.assert_array_equal(found["targets"], whole.train.targets.numpy())

    # A file that the helper cannot read ends both, with a message that the main process prints.
    without_pages(places[1] / "parts" / "part-00004.parquet")
    main, helper = in_processes(tmp_path / "again", places)
    assert (main.returncode, helper.returncode) == (1, 1)
    assert "RequestError: data.path=parts cannot be read: " in main.stderr
    assert "Fix the file." in main.stderr


def test_a_process_that_is_gone_ends_the_others(tmp_path: Path) -> None:
    team = Team(0, 2, tmp_path, lambda rank: -9 if rank else None)
    with pytest.raises(LifecycleError, match=r"ended while it read its files, with exit code -9"):
        team.gathered("step")
