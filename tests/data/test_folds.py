"""Folds: scikit-learn's, each row a test row once, and nothing learnt from rows outside the training rows of a fold."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

from lifecycle.contract import DataPlugin, Fold, Samples, Split
from lifecycle.data.dataset import Dataset
from lifecycle.data.folds import check_can_be_folded
from lifecycle.data.kinds.table import Table
from lifecycle.data.large import blocks, read
from lifecycle.data.load import load
from lifecycle.data.sources import files
from lifecycle.data.splits import Shuffled, check_folds, chronological_fold, draw
from lifecycle.errors import RequestError
from tests.rows import ImageRows, SeriesRows, TableRows, held_out, labels

SEEDS = st.integers(0, 2**32 - 1)


def samples(targets: Any) -> Samples:
    targets = np.asarray(targets)
    return Samples(np.zeros((len(targets), 1)), targets, np.arange(len(targets)))


def divide(targets: Any, fold: Fold, task: str = "classification", seed: int = 0, **fields: Any) -> Split:
    return Shuffled(**fields).split_fold(samples(targets), task, seed, fold)


def parts(split: Split) -> list[list[int]]:
    return [split.train.tolist(), split.val.tolist(), split.test.tolist()]


@given(st.lists(st.integers(8, 20), min_size=1, max_size=4), st.integers(2, 5), SEEDS)
def test_the_folds_of_classes_are_scikit_learns(sizes: list[int], folds: int, seed: int) -> None:
    targets = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    expected = StratifiedKFold(folds, shuffle=True, random_state=seed).split(targets, targets)
    for index, (_, test) in enumerate(expected):
        assert divide(targets, Fold(index, folds), seed=seed, val_size=0).test.tolist() == test.tolist()


@given(st.integers(6, 60), st.integers(2, 6), SEEDS)
def test_the_folds_of_values_are_scikit_learns(rows: int, folds: int, seed: int) -> None:
    targets = np.random.default_rng(seed).normal(size=rows)
    for index, (train, test) in enumerate(KFold(folds, shuffle=True, random_state=seed).split(targets)):
        found = divide(targets, Fold(index, folds), "regression", seed, val_size=0)
        assert parts(found) == [train.tolist(), [], test.tolist()]


@given(
    st.integers(20, 60), st.integers(2, 6), st.integers(0, 5), SEEDS, st.sampled_from(["classification", "regression"])
)
def test_each_row_is_a_test_row_once_in_each_repetition(
    rows: int, folds: int, repeat: int, seed: int, task: str
) -> None:
    targets = np.arange(rows) % 3 if task == "classification" else np.arange(rows) / 7
    splits = [divide(targets, Fold(index, folds, repeat), task, seed, val_size=6) for index in range(folds)]
    assert sorted(itertools.chain.from_iterable(split.test.tolist() for split in splits)) == list(range(rows))
    for split in splits:
        assert sorted(itertools.chain(*parts(split))) == list(range(rows))
        assert len(split.val) == 6
        assert all(part == sorted(part) for part in parts(split))


@given(st.integers(20, 80), st.integers(2, 6), st.sampled_from([0.1, 0.2, 0.25]), SEEDS)
def test_validation_rows_are_of_the_size_that_is_asked_for(rows: int, folds: int, size: float, seed: int) -> None:
    assume(folds * (rows - math.ceil(rows / folds) - math.ceil(rows * size)) > 0)
    values = np.arange(rows, dtype=float)
    for index in range(folds):
        of_all = divide(values, Fold(index, folds), "regression", seed, val_size=size)
        assert len(of_all.val) == math.ceil(round(rows * size, 6))
        of_rest = divide(values, Fold(index, folds), "regression", seed, validation_split=size)
        assert len(of_rest.val) == math.ceil(round((rows - math.ceil(rows / folds)) * size, 6))
        assert not {*of_all.val} & ({*of_all.test} | {*of_all.train})


@given(st.lists(st.integers(15, 40), min_size=2, max_size=4), st.integers(2, 5), st.integers(0, 3), SEEDS)
def test_each_part_of_a_fold_has_the_classes_in_proportion(
    sizes: list[int], folds: int, repeat: int, seed: int
) -> None:
    targets = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    for index in range(folds):
        split = divide(targets, Fold(index, folds, repeat), seed=seed)
        tested, validated = Counter(targets[split.test].tolist()), Counter(targets[split.val].tolist())
        for label, size in enumerate(sizes):
            assert math.floor(size / folds) <= tested[label] <= math.ceil(size / folds)
            rest = size - tested[label]
            assert abs(validated[label] - rest * len(split.val) / (len(targets) - len(split.test))) < 1


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_repetitions_seeds_and_folds_differ(task: str) -> None:
    targets = [0, 1] * 30
    folds = itertools.product(range(4), range(3), (0, 1))
    splits = [divide(targets, Fold(index, 3, repeat), task, seed) for repeat, index, seed in folds]
    assert len({tuple(split.test) for split in splits}) == len(splits)
    assert len({tuple(split.val) for split in splits}) == len(splits)


def test_the_repetitions_of_one_seed_are_not_those_of_the_next() -> None:
    """A seed that was counted up for each repetition would give the second of seed 0 and the first of seed 1 alike."""
    drawn = {
        (seed, repeat): tuple(divide([0, 1] * 30, Fold(0, 3, repeat), seed=seed).test)
        for seed, repeat in itertools.product(range(4), range(4))
    }
    assert len(set(drawn.values())) == 16


@given(SEEDS, st.integers(0, 3), st.sampled_from(["classification", "regression"]))
def test_a_fold_is_a_function_of_seed_and_repetition(seed: int, repeat: int, task: str) -> None:
    targets, fold = [0, 1] * 20, Fold(1, 3, repeat)
    assert parts(divide(targets, fold, task, seed)) == parts(divide(targets, fold, task, seed))


def test_a_split_seed_draws_the_folds_in_place_of_the_seed() -> None:
    targets, fold = [0, 1] * 20, Fold(1, 3, 1)
    with_own = parts(divide(targets, fold, seed=5, split_seed=7))
    assert with_own == parts(divide(targets, fold, seed=7)) == parts(divide(targets, fold, seed=9, split_seed=7))
    assert with_own != parts(divide(targets, fold, seed=5))


def test_all_rows_are_trained_on_or_tested_where_there_is_no_validation() -> None:
    split = divide([0, 1] * 10, Fold(0, 4), val_size=0)
    assert (len(split.train), len(split.val), len(split.test)) == (15, 0, 5)


def test_leaving_one_out_is_a_fold_for_each_row() -> None:
    splits = [divide(np.arange(5.0), Fold(index, 5), "regression", val_size=1) for index in range(5)]
    assert sorted(int(row) for split in splits for row in split.test) == list(range(5))
    assert {tuple(map(len, parts(split))) for split in splits} == {(3, 1, 1)}


# Rows of tables, images and series, loaded as runs load them.

ROWS = 48


def table(seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    rows = pd.DataFrame({"a": generator.normal(5, 2, ROWS), "y": labels(ROWS)})
    rows["colour"] = generator.choice(["red", "blue"], ROWS)
    rows.loc[::7, "a"] = np.nan
    return rows


def load_fold(plugin: DataPlugin, fold: Fold, seed: int = 0) -> Dataset:
    return load(plugin, "mine", "table", seed, fold=fold)


def assert_same_training(before: Dataset, after: Dataset) -> None:
    """Compare the training rows as the network gets them, and the description of the data."""
    np.testing.assert_array_equal(before.train.rows, after.train.rows)
    torch.testing.assert_close(after.train.inputs[:], before.train.inputs[:], rtol=0, atol=0)
    torch.testing.assert_close(after.train.targets, before.train.targets, rtol=0, atol=0)
    assert before.spec == after.spec


NUMBERS = st.floats(-1e6, 1e6)
WORDS = st.sampled_from(["red", "blue", "mauve", None])
FOLDS = [Fold(index, 3, repeat) for index in range(3) for repeat in range(2)]


@settings(max_examples=8)
@given(st.data(), st.sampled_from(FOLDS), st.sampled_from(["standard", "minmax"]))
def test_what_the_test_and_validation_rows_of_a_fold_hold_moves_no_statistic(
    data: st.DataObject, fold: Fold, scaling: str
) -> None:
    rows = table()
    before = load_fold(TableRows(frame=rows, scaling=scaling, keep_duplicates_together=False), fold)
    changed, others = rows.copy(), held_out(before)
    changed["colour"] = changed["colour"].astype(object)
    changed.loc[others, "a"] = data.draw(st.lists(NUMBERS, min_size=len(others), max_size=len(others)))
    changed.loc[others, "colour"] = data.draw(st.lists(WORDS, min_size=len(others), max_size=len(others)))
    after = load_fold(TableRows(frame=changed, scaling=scaling, keep_duplicates_together=False), fold)
    assert_same_training(before, after)
    filled, scaled = (
        [one.preprocessing.inputs.named_transformers_["numbers"][at] for one in (before, after)] for at in (0, 1)
    )
    assert filled[0].statistics_.tolist() == filled[1].statistics_.tolist()
    assert scaled[0].scale_.tolist() == scaled[1].scale_.tolist()


def test_the_statistics_of_a_fold_are_those_of_its_training_rows() -> None:
    rows, found = table(), {}
    for fold in FOLDS:
        data = load_fold(TableRows(frame=rows), fold)
        numbers = data.preprocessing.inputs.named_transformers_["numbers"]
        of_train = rows["a"].to_numpy()[data.train.rows]
        median = np.nanmedian(of_train)
        whole = np.where(np.isnan(of_train), median, of_train)
        assert numbers[0].statistics_[0] == median
        assert numbers[1].mean_[0] == pytest.approx(whole.mean())
        assert numbers[1].scale_[0] == pytest.approx(whole.std())
        found[fold] = numbers[1].mean_[0]
    assert len(set(found.values())) == len(FOLDS)  # each fold learns its own


def test_what_a_training_row_of_a_fold_holds_does_move_its_statistics() -> None:
    rows, fold = table(), FOLDS[3]
    before = load_fold(TableRows(frame=rows), fold)
    rows.loc[before.train.rows[0], "a"] = 1000.0
    after = load_fold(TableRows(frame=rows), fold)
    assert before.test is not None
    assert after.test is not None
    assert not torch.equal(before.test.inputs[:], after.test.inputs[:])


def test_the_scale_of_a_regressions_target_is_learnt_from_the_training_rows_of_a_fold() -> None:
    rows = table().drop(columns="y").assign(y=np.random.default_rng(1).normal(100, 20, ROWS))
    for fold in FOLDS[:3]:
        before = load_fold(TableRows(frame=rows, task="regression"), fold)
        changed = rows.copy()
        changed.loc[held_out(before), "y"] = 1e6
        after = load_fold(TableRows(frame=changed, task="regression"), fold)
        assert_same_training(before, after)
        targets = rows["y"].to_numpy()[before.train.rows]
        expected = (targets - targets.mean()) / targets.std()
        np.testing.assert_allclose(before.train.targets.numpy().ravel(), expected, rtol=1e-4, atol=1e-5)


def test_a_category_that_only_the_test_rows_of_a_fold_have_becomes_zeros() -> None:
    rows = table()
    tested = load_fold(TableRows(frame=rows), FOLDS[0]).test
    assert tested is not None
    rows["colour"] = rows["colour"].astype(object)
    rows.loc[tested.rows, "colour"] = "mauve"
    data = load_fold(TableRows(frame=rows), FOLDS[0])
    assert data.test is not None
    assert data.spec.feature_names == ("a", "colour_blue", "colour_red")
    assert not data.test.inputs[:][:, 1:].any()


def test_pixels_are_scaled_by_the_training_rows_of_a_fold() -> None:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.integers(0, 200, (ROWS, 4)), columns=[f"p{at}" for at in range(4)])
    rows["y"] = labels(ROWS)
    before = load_fold(ImageRows(frame=rows, shape=[1, 2, 2]), FOLDS[1])
    changed = rows.copy()
    changed.loc[held_out(before), ["p0", "p1", "p2", "p3"]] = 255
    assert_same_training(before, load_fold(ImageRows(frame=changed, shape=[1, 2, 2]), FOLDS[1]))


@given(st.integers(12, 60), st.integers(2, 5), st.integers(0, 3))
def test_the_folds_of_a_series_are_scikit_learns_blocks_and_never_train_on_later_rows(
    rows: int, folds: int, val: int
) -> None:
    assume(val < rows // (folds + 1) and rows >= 2 * (folds + 1))
    for index, (before, test) in enumerate(TimeSeriesSplit(folds).split(np.arange(rows))):
        split = chronological_fold(rows, val, Fold(index, folds))
        assert split.test.tolist() == test.tolist()
        assert [*split.train, *split.val] == before.tolist()
        assert len(split.val) == val
        assert split.train.max() < min([*split.val, *split.test])
        assert not len(split.val) or split.val.max() < split.test.min()


@settings(max_examples=8)
@given(st.integers(0, 3), st.integers(0, 50))
def test_a_series_learns_from_what_is_before_its_fold(index: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=45)
    fold = Fold(index, 4)
    before = load_fold(SeriesRows(frame=pd.DataFrame({"y": values}), val_size=3), fold, seed)
    assert before.test is not None
    assert before.val is not None
    assert before.train.rows.max() < before.val.rows.min() <= before.val.rows.max() < before.test.rows.min()
    changed = values.copy()
    changed[before.val.rows.min() :] = 1e6  # all that comes later
    after = load_fold(SeriesRows(frame=pd.DataFrame({"y": changed}), val_size=3), fold, seed)
    assert_same_training(before, after)


def test_the_folds_of_a_series_have_nothing_to_do_with_the_seed() -> None:
    plugin = SeriesRows(frame=pd.DataFrame({"y": np.arange(45.0)}), val_size=3, difference=0)
    one, other = (load_fold(plugin, Fold(2, 4), seed) for seed in (0, 1))
    np.testing.assert_array_equal(one.train.rows, other.train.rows)
    assert one.test is not None
    # 40 windows of 5 in 5 blocks of 8: the third fold is the fourth block.
    assert one.test.rows.tolist() == list(range(29, 37))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_table_that_is_read_in_blocks_has_the_same_folds(
    ending: str, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.concat([table(seed) for seed in range(4)], ignore_index=True)
    rows["y"] = rows["y"] if task == "classification" else np.random.default_rng(0).normal(size=len(rows))
    rows["w"] = np.arange(len(rows)) % 5 * 1.0  # some rows have no weight, and are in no part
    path = tmp_path / f"rows.{ending}"
    rows.to_csv(path, index=False) if ending == "csv" else rows.to_parquet(path, index=False)
    for fold in (FOLDS[0], FOLDS[5]):
        plugin = Table(path=str(path), target="y", weight="w")
        whole = load_fold(plugin, fold, seed=3)
        with monkeypatch.context() as patch:
            patch.setattr(files, "LARGE", 0)
            patch.setattr(read, "FEWEST_BLOCK_BYTES", 3000)
            patch.setattr(read, "MOST_BLOCK_BYTES", 3000)
            patch.setattr(blocks, "BLOCK_BYTES", 2500)
            patch.setattr(blocks, "ROWS_AT_ONCE", 37)
            assert plugin.large() is not None
            parted = load_fold(plugin, fold, seed=3)
        assert parted.spec == whole.spec
        for name in ("train", "val", "test"):
            one, other = getattr(whole, name), getattr(parted, name)
            np.testing.assert_array_equal(one.rows, other.rows)
            assert one.labels.tolist() == other.labels.tolist()
            torch.testing.assert_close(other.inputs[:], one.inputs[:], rtol=1e-5, atol=2e-6)
            assert (rows["w"].to_numpy()[one.rows] > 0).all()


def test_a_large_table_with_a_rare_class_is_refused_by_the_name_of_the_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table()
    rows.loc[:1, "y"] = "rare"
    rows.to_csv(tmp_path / "rows.csv", index=False)
    monkeypatch.setattr(files, "LARGE", 0)
    plugin = Table(path=str(tmp_path / "rows.csv"), target="y")
    with pytest.raises(
        RequestError,
        match=r"^cv\.folds=3 is more than the 2 samples of class rare\. Use at most 2\. Or add data\.split=random\.$",
    ):
        load_fold(plugin, Fold(0, 3))


def test_more_folds_than_samples_of_a_class_are_refused_with_the_rarest() -> None:
    targets = np.array(["a"] * 9 + ["b"] * 4 + ["c"] * 6)
    sentence = "cv.folds=5 is more than the 4 samples of class b. Use at most 4. Or add data.split=random."
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        divide(targets, Fold(0, 5))
    check_folds(targets, len(targets), 4)
    sentence = (
        "cv.folds=2 is more than the 1 samples of class d. Merge rare classes, or leave it out. "
        "Or add data.split=random."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        divide([*targets, "d"], Fold(0, 2))


def test_more_folds_than_samples_are_refused() -> None:
    sentence = "cv.folds=6 is more than the 5 samples. Use at most 5."
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        divide(np.arange(5.0), Fold(0, 6), "regression", val_size=0)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"val_size": 12},
            "data.val_size=12 leaves no training rows of the 10 that are not in a fold. Hold out less, or give more "
            "rows.",
        ),
        (
            {"validation_split": 0.99},
            "data.validation_split=0.99 leaves no training rows of the 10 that are not in a fold. Hold out less, or "
            "give more rows.",
        ),
    ],
)
def test_folds_without_rows_to_train_on_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        divide(np.arange(20.0), Fold(0, 2), "regression", **fields)


def test_a_class_that_a_part_of_a_fold_lacks_is_refused() -> None:
    with pytest.raises(RequestError, match=r"data\.val_size"):
        divide(["a"] * 30 + ["b"] * 3, Fold(0, 3), val_size=4)


def test_fixed_test_rows_have_no_folds() -> None:
    sentence = (
        "data.test_rows=last fixes the test rows, and in cross-validation each row is a test row once. "
        "Leave out cv.folds, or use data.test_rows=random."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        divide([0, 1] * 10, Fold(0, 2), test_rows="last")


def test_a_series_that_is_too_short_or_is_repeated_is_refused() -> None:
    sentence = "cv.repeats must be 1 for a series, which has one order of time. Leave it out."
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        chronological_fold(40, 0, Fold(0, 4, 1))
    sentence = "cv.folds=4 is too many for a series of 9 samples. Use at most 3."
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        chronological_fold(9, 0, Fold(0, 4))
    assert len(chronological_fold(40, 7, Fold(0, 4)).train) == 1


def test_the_validation_share_of_a_series_is_one_of_what_is_before_the_fold() -> None:
    plugin = SeriesRows(frame=pd.DataFrame({"y": np.arange(65.0)}))
    found = [load_fold(plugin, Fold(index, 5)) for index in range(5)]
    for one in found:
        assert one.val is not None
        before = len(one.train.rows) + len(one.val.rows)
        assert len(one.val.rows) == math.ceil(round(before * 0.2, 6))


class NoFolds:
    """A data plugin of an earlier version, without ``split_fold``."""

    def split(self, samples: Samples, task: str, seed: int) -> Split:
        """Train on all samples but the last two."""
        every = np.arange(len(samples.rows))
        return Split(every[:-2], every[-2:-1], every[-1:])


def test_a_plugin_without_folds_has_one_split_only() -> None:
    plugin: Any = NoFolds()
    assert parts(draw(plugin, samples([0, 1, 0, 1]), "classification", 0)) == [[0, 1], [2], [3]]
    sentence = (
        "cv.folds=5 needs a data plugin that divides into folds, and NoFolds has no split_fold. "
        "Leave it out, or add that method to the plugin."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        draw(plugin, samples([0, 1, 0, 1]), "classification", 0, Fold(0, 5))


def test_folds_are_checked_by_the_rows_that_a_run_divides(tmp_path: Path) -> None:
    rows = table()
    rows["w"] = 1.0
    rows.loc[rows.index[rows["y"] == "b"][4:], "w"] = 0.0  # four rows of b count
    plugin = TableRows(frame=rows, weight="w")
    with pytest.raises(
        RequestError,
        match=r"^cv\.folds=5 is more than the 4 samples of class b\. Use at most 4\. Or add data\.split=random\.$",
    ):
        check_can_be_folded(plugin, 0, 5, 1)
    check_can_be_folded(plugin, 0, 2, 3)
    with pytest.raises(RequestError, match=r"^cv\.repeats must be 1 for a series, "):
        check_can_be_folded(SeriesRows(frame=pd.DataFrame({"y": np.arange(60.0)}), val_size=2), 0, 3, 2)
