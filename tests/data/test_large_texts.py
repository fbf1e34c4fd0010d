"""Free text in tables on disk: the inputs are those of a table in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.data import steps
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.table import Table
from lifecycle.data.large import codes, read, text_rows
from lifecycle.data.load import load
from lifecycle.errors import RequestError
from lifecycle.predict.saved_model import check_preprocessing
from tests.data.test_large import ON_DISK
from tests.data.test_shards import in_team

ROWS = 500


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a file of a few kilobytes read in several blocks."""
    monkeypatch.setattr(read, "FEWEST_BLOCK_BYTES", 4096)
    monkeypatch.setattr(read, "MOST_BLOCK_BYTES", 4096)
    monkeypatch.setattr(text_rows, "ROWS_AT_ONCE", 70)


def rows(words: int, seed: int = 0) -> pd.DataFrame:
    """Return rows with two columns of texts, some of them missing, empty or equal to an earlier row."""
    generator = np.random.default_rng(seed)
    names = np.array([f"Word{number}" for number in range(words)])
    shares = 1 / (1 + np.arange(words))

    def texts() -> list[str]:
        lengths = generator.integers(3, 12, ROWS)
        return [" ".join(generator.choice(names, length, p=shares / shares.sum())) + "!" for length in lengths]

    found = pd.DataFrame({"note": texts(), "x": generator.normal(size=ROWS).round(3), "title": texts()})
    found["town"] = generator.choice(["Ely", "Ayr"], ROWS)
    found.loc[::9, "note"] = None
    found["y"] = np.where(found["title"].str.contains("Word1 "), "yes", "no")
    found.loc[400:420] = found.loc[10:30].to_numpy()  # equal rows, which are in one part
    return found


def write(found: pd.DataFrame, file: Path) -> Path:
    found.to_csv(file, index=False) if file.suffix == ".csv" else found.to_parquet(file, index=False)
    return file


def both(file: Path, memory_gb: float = ON_DISK, **fields: Any) -> tuple[Dataset, Dataset]:
    """Return a file's data as read at once, and as read block by block."""
    fields = {"target": "y", **fields}
    one, other = (
        load(Table(path=str(file), memory_gb=limit, **fields), "mine", "table", 1) for limit in (None, memory_gb)
    )
    return one, other


def assert_same(whole: Dataset, parted: Dataset) -> None:
    assert parted.spec == whole.spec
    assert parted.column_kinds == whole.column_kinds
    assert parted.plugin.types == whole.plugin.types
    assert (parted.num_rows, parted.num_missing, parted.notes) == (whole.num_rows, whole.num_missing, whole.notes)
    assert parted.preprocessing.gaps == whole.preprocessing.gaps
    for name in ("train", "val", "test"):
        one, other = getattr(whole, name), getattr(parted, name)
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_allclose(other.inputs[:].numpy(), one.inputs[:].numpy(), rtol=2e-5, atol=2e-5)
    first, second = (data.preprocessing.inputs.named_transformers_ for data in (whole, parted))
    assert first.keys() == second.keys()
    for step in [name for name in first if name.startswith("texts")]:
        (count, svd, scaler), (other_count, other_svd, other_scaler) = first[step], second[step]
        assert count.vocabulary_ == other_count.vocabulary_
        np.testing.assert_allclose(other_count.idf_, count.idf_, rtol=1e-12)
        for key in ("components_", "singular_values_", "explained_variance_", "explained_variance_ratio_"):
            np.testing.assert_allclose(getattr(other_svd, key), getattr(svd, key), rtol=1e-7, atol=1e-8)
        assert other_scaler.n_samples_seen_ == scaler.n_samples_seen_
        assert type(other_scaler.n_samples_seen_) is type(scaler.n_samples_seen_)
    check_preprocessing(parted.preprocessing, "data=mine")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (80, {}),
        (80, {"scaling": "minmax"}),
        (900, {"scaling": "none"}),
        (900, {"types": {"note": "text", "title": "text", "town": "text"}}),
        (20, {"weight": "x2", "split": "stratified"}),
    ],
    ids=["fewer words than rows", "minmax", "more words than rows", "declared", "fewer words than inputs"],
)
def test_inputs_are_those_of_a_table_in_memory(tmp_path: Path, ending: str, words: int, fields: dict[str, Any]) -> None:
    found = rows(words).assign(x2=np.arange(ROWS) % 3 + 0.5)
    for memory_gb in (ON_DISK, 1e-4):  # 1e-4: read in blocks, with the inputs in memory
        whole, parted = both(write(found, tmp_path / f"a.{ending}"), memory_gb, **fields)
        assert_same(whole, parted)
        assert [kind for kind in whole.column_kinds.values() if kind == "text"] or "free text" in str(
            whole.column_kinds
        )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("most", [5, 60, 300])
def test_more_texts_than_memory_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, most: int
) -> None:
    found = rows(80)
    file = write(found, tmp_path / f"a.{ending}")
    whole, _ = both(file)
    monkeypatch.setattr(codes, "MOST_TEXTS", most)
    fields = {"types": {"note": "text", "title": "text"}} if most < 20 else {}
    whole, parted = both(file, **fields)
    assert_same(whole, parted)
    if not fields:
        texts = found.assign(title=[f"id{row}" for row in range(ROWS)])
        with pytest.raises(RequestError, match=r"different texts in the first \d+ rows of column title"):
            both(write(texts, tmp_path / f"b.{ending}"))


def test_of_many_words_the_most_frequent_ones_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MOST_WORDS", 40)
    whole, parted = both(write(rows(200), tmp_path / "a.csv"))
    assert_same(whole, parted)
    assert len(whole.preprocessing.inputs.named_transformers_["texts0"][0].vocabulary_) == 40


@pytest.mark.parametrize(("words", "most"), [(80, 10**5), (900, 10**5), (80, 60), (80, 250)])
def test_several_processes_learn_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: int, most: int
) -> None:
    path = tmp_path / "parts"
    path.mkdir()
    found = rows(words)
    for place, (start, stop) in enumerate([(0, 120), (120, 300), (300, 500)]):
        found[start:stop].to_parquet(path / f"{place}.parquet", index=False)
    whole, _ = both(path)
    monkeypatch.setattr(codes, "MOST_TEXTS", most)
    for other in in_team(tmp_path / "team", 2, path, memory_gb=ON_DISK, seed=1):
        assert_same(whole, other)


def test_texts_without_words_are_refused_as_in_memory(tmp_path: Path) -> None:
    texts = ["! ? ...." + "." * row for row in range(ROWS)]
    file = write(rows(80).assign(note=texts), tmp_path / "a.csv")
    messages = []
    for limit in (None, ON_DISK):
        with pytest.raises(RequestError) as error:
            load(Table(path=str(file), target="y", memory_gb=limit, types={"note": "text"}), "mine", "table", 1)
        messages.append(str(error.value))
    sentence = "column note is a column of texts, and no training row has a word. Add data.drop=[note]."
    assert messages == [sentence] * 2
