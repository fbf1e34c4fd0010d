"""Ways to divide rows: by group, time, a column, a file; equal rows together; rare classes; and their messages."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, TimeSeriesSplit

from lifecycle.config.compose import compose
from lifecycle.config.records.request_record import record_of, request_of
from lifecycle.contract import Fold, Samples, Split
from lifecycle.data.external import load as load_external
from lifecycle.data.kinds.array import Array
from lifecycle.data.kinds.images import Images
from lifecycle.data.kinds.table import Table
from lifecycle.data.large import blocks, read
from lifecycle.data.load import load
from lifecycle.data.sources import files
from lifecycle.data.splits import Shuffled, draw, stratified
from lifecycle.data.splits.duplicates import SINGLE, bits_of, hashes, kept_together, sets_of
from lifecycle.data.splits.groups import MOST_BY_CLASS, group_folds
from lifecycle.data.splits.in_time import ranks
from lifecycle.errors import RequestError
from tests.rows import TableRows

CASES = Path(__file__).parent / "cases"
SEEDS = st.integers(0, 2**32 - 1)
EXAMPLES = settings(max_examples=30)


def parts(split: Split) -> list[np.ndarray[Any, Any]]:
    return [split.train, split.val, split.test]


def assert_complete(split: Split, total: int) -> None:
    assert sorted(itertools.chain(*(part.tolist() for part in parts(split)))) == list(range(total))
    for part in parts(split):
        assert part.tolist() == sorted(part.tolist())


def samples(targets: Any, **fields: Any) -> Samples:
    targets = np.asarray(targets)
    return Samples(np.arange(len(targets), dtype=float).reshape(-1, 1), targets, np.arange(len(targets)), **fields)


def table(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.choice(["x", "y"], rows)})
    frame["patient"] = [f"p{row // 6}" for row in range(rows)]
    frame["when"] = pd.date_range("2024-01-01", periods=-(-rows // 3)).repeat(3)[:rows].strftime("%Y-%m-%d")
    frame["part"] = rng.choice(["Train", "valid", " TEST "], rows, p=[0.5, 0.25, 0.25])
    frame["y"] = rng.choice(["no", "yes"], rows)
    return frame


def split_of(frame: pd.DataFrame, seed: int = 0, fold: Fold | None = None, **fields: Any) -> Split:
    plugin = TableRows(frame=frame, **fields)
    found, target = plugin.samples(frame), plugin.describe_target(frame)
    return draw(plugin, found, target.task, seed, fold)


# Groups


@EXAMPLES
@given(st.lists(st.integers(1, 8), min_size=6, max_size=40), SEEDS, st.booleans())
def test_a_group_is_in_one_part_and_the_parts_have_about_their_sizes(
    sizes: list[int], seed: int, is_classes: bool
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(seed)
    targets = rng.choice(["a", "b"], len(groups)) if is_classes else rng.normal(size=len(groups))
    plugin = Table(path="x.csv", target="y", group="g")
    task = "classification" if is_classes else "regression"
    found = samples(targets, groups=groups)
    split = plugin.split_samples(found, task, seed)
    assert_complete(split, len(groups))
    of_parts = [set(groups[part].tolist()) for part in parts(split)]
    assert all(of_parts)
    assert not any(one & other for one, other in itertools.combinations(of_parts, 2))
    again = plugin.split_samples(found, task, seed)
    assert all(np.array_equal(one, other) for one, other in zip(parts(split), parts(again), strict=True))


def test_parts_of_many_small_groups_have_the_sizes_and_classes_that_are_asked_for() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 5)
    targets = np.where(rng.random(1000) < 0.2, "rare", "common")
    split = Table(path="x.csv", target="y", group="g").split_samples(
        samples(targets, groups=groups), "classification", 1
    )
    assert [len(part) for part in parts(split)] == pytest.approx([600, 200, 200], abs=15)
    shares = [(targets[part] == "rare").mean() for part in parts(split)]
    assert shares == pytest.approx([(targets == "rare").mean()] * 3, abs=0.02)
    assert split.report == ("by g: 120 groups in training, 40 in validation, 40 in test",)
    other = Table(path="x.csv", target="y", group="g").split_samples(
        samples(targets, groups=groups), "classification", 2
    )
    assert split.test.tolist() != other.test.tolist()


@EXAMPLES
@given(st.lists(st.integers(1, 8), min_size=5, max_size=30), SEEDS, st.sampled_from([0, 1]))
def test_folds_of_groups_divide_none_and_test_each_row_once(sizes: list[int], seed: int, repeat: int) -> None:
    assume(3 * max(sizes) <= sum(sizes))  # else the other folds may have too few rows to hold out some of them
    groups = np.repeat([f"g{number}" for number in range(len(sizes))], sizes)
    targets = np.random.default_rng(seed).choice(["a", "b"], len(groups))
    plugin = Table(path="x.csv", target="y", group="g")
    tested: list[int] = []
    for index in range(3):
        split = plugin.split_fold(samples(targets, groups=groups), "classification", seed, Fold(index, 3, repeat))
        assert_complete(split, len(groups))
        of_parts = [set(groups[part].tolist()) for part in parts(split)]
        assert not any(one & other for one, other in itertools.combinations(of_parts, 2))
        tested += split.test.tolist()
    assert sorted(tested) == list(range(len(groups)))


def test_folds_of_groups_are_those_of_scikit_learn_and_of_similar_sizes() -> None:
    rng = np.random.default_rng(3)
    groups, targets = rng.integers(0, 30, 400), rng.choice(["a", "b", "c"], 400)
    found = group_folds(groups, targets, 5, seed=7)
    theirs = StratifiedGroupKFold(5, shuffle=True, random_state=7).split(groups, targets, groups)
    for number, (_, test) in enumerate(theirs):
        assert np.flatnonzero(found == number).tolist() == test.tolist()
    for labels in (None, targets):
        sizes = np.bincount(group_folds(groups, labels, 5, seed=7))
        assert sizes.max() - sizes.min() <= 30


def test_folds_of_very_many_groups_are_of_equal_sizes() -> None:
    groups = np.repeat(np.arange(MOST_BY_CLASS + 500), 2)
    sizes = np.bincount(group_folds(groups, np.tile(["a", "b"], len(groups) // 2), 5, seed=0))
    assert sizes.tolist() == [len(groups) // 5] * 5


def test_a_column_of_groups_is_no_feature_and_predictions_do_not_need_it() -> None:
    frame = table()
    data = load(TableRows(frame=frame, group="patient", drop=["when", "part"]), "mine", "table", 0)
    assert data.columns == ("a", "b")
    assert data.column_kinds["patient"] == "group of the row"
    of_parts = [set(frame["patient"].iloc[part.rows]) for part in (data.train, data.val, data.test) if part is not None]
    assert not any(one & other for one, other in itertools.combinations(of_parts, 2))


def test_fewer_groups_than_parts_or_folds_are_refused() -> None:
    frame = table(12)
    sentence = (
        "data.group=patient has 2 groups, and 3 parts need one each. Do without a part (data.val_size=0, or "
        "data.test_size=0), or add groups."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        split_of(frame, group="patient")
    assert len(split_of(frame, group="patient", val_size=0).test) == 6
    sentence = "data.group=patient has 2 groups, and 3 folds need one each. Lower cv.folds."
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        split_of(frame, fold=Fold(0, 3), group="patient")


# Time


@EXAMPLES
@given(st.lists(st.integers(0, 30), min_size=30, max_size=80), SEEDS)
def test_in_order_of_time_no_time_is_in_two_parts_and_test_rows_are_the_last(times: list[int], seed: int) -> None:
    assume(len(set(times)) >= 3)
    plugin = Table(path="x.csv", target="y", time="t")
    moments = ranks(pd.Series(times))
    split = plugin.split_samples(samples(np.zeros(len(times)), moments=moments), "regression", seed)
    assert_complete(split, len(times))
    train, val, test = (np.array(times)[part] for part in parts(split))
    assert train.max() < val.min() <= val.max() < test.min()


def test_in_order_of_time_by_hand() -> None:
    frame = table(120).sample(frac=1, random_state=1).reset_index(drop=True)
    split = split_of(frame, time="when", drop=["patient", "part"])
    when = pd.to_datetime(frame["when"])
    assert [len(part) for part in parts(split)] == [72, 24, 24]
    assert when[split.test].min() == pd.Timestamp("2024-02-02")  # day 33 of 40, of three rows each
    for texts in (frame["when"], when, pd.to_datetime(frame["when"]).astype("int64") / 1e9):
        assert ranks(texts).tolist() == (when - when.min()).dt.days.tolist()


def test_folds_in_time_are_blocks_that_end_where_the_time_changes() -> None:
    of_rows = np.arange(60)
    plugin = Table(path="x.csv", target="y", time="t", val_size=0)
    for index, (before, test) in enumerate(TimeSeriesSplit(4).split(of_rows)):
        split = plugin.split_fold(samples(of_rows, moments=of_rows), "regression", 0, Fold(index, 4))
        assert split.test.tolist() == test.tolist()
        assert split.train.tolist() == before.tolist()
    twice = of_rows // 7
    with_val = Table(path="x.csv", target="y", time="t")
    for index in range(4):
        split = with_val.split_fold(samples(of_rows, moments=twice), "regression", 0, Fold(index, 4))
        train, val, test = (set(twice[part].tolist()) for part in parts(split))
        assert max(train) < min(val) <= max(val) < min(test)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda plugin, found: plugin.split_samples(found, "regression", 0),
            "data.time=t has 2 different times, and 3 parts need one each. Do without a part (data.val_size=0, or "
            "data.test_size=0).",
        ),
        (
            lambda plugin, found: plugin.split_fold(found, "regression", 0, Fold(0, 4)),
            "data.time=t has 2 different times, too few for 4 folds. Lower cv.folds.",
        ),
        (
            lambda plugin, found: plugin.split_fold(found, "regression", 0, Fold(0, 2, 1)),
            "cv.repeats must be 1 for rows in order of time, of which there is one. Leave it out.",
        ),
    ],
)
def test_too_few_times_and_repetitions_are_refused(call: Any, sentence: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        call(Table(path="x.csv", target="y", time="t"), samples(np.zeros(20), moments=np.arange(20) // 10))


# A column, or a file


def test_a_column_says_the_part_of_each_row_in_usual_spellings() -> None:
    frame = table()
    split = split_of(frame, split_column="part", drop=["patient", "when"])
    for rows, value in zip(parts(split), ("Train", "valid", " TEST "), strict=True):
        assert set(frame["part"].iloc[rows]) == {value}
    assert_complete(split, len(frame))
    assert split.report == ("as part says",)


def test_other_values_of_the_column_can_be_declared() -> None:
    frame = table().assign(part=np.arange(120) % 4 == 0)
    sentence = (
        "data.split_column=part has the value True in row 0, and the parts are train, validation and test. Say what "
        "its values mean (False, True): 'data.split_values={True: test}'."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        split_of(frame, split_column="part")
    split = split_of(frame, split_column="part", split_values={True: "test", False: "Train"})
    assert split.test.tolist() == list(range(0, 120, 4))
    assert len(split.val) == 18  # a fifth of the 90 others
    assert split.report == ("as part says; validation rows drawn from the training rows",)
    of_numbers = split_of(
        table().assign(part=np.arange(120) % 4),
        split_column="part",
        split_values={0: "test", 1: "dev", 2: "train", 3: "train"},
    )
    assert of_numbers.val.tolist() == list(range(1, 120, 4))
    with pytest.raises(
        ValueError, match=r"^split_values must map values of data\.split_column to train, validation or"
    ):
        Table(path="x.csv", target="y", split_column="part", split_values={0: "somewhere"})


def test_a_column_without_training_rows_is_refused() -> None:
    with pytest.raises(RequestError, match=r"^data\.split_column has no rows to train on\. Say which with"):
        split_of(table().assign(part="test"), split_column="part")


def write(folder: Path, name: str, frame: pd.DataFrame) -> str:
    frame.to_csv(folder / name, index=False)
    return str(folder / name)


def test_a_file_of_test_rows_is_all_of_them_and_says_which_row_is_which(tmp_path: Path) -> None:
    frame = table().drop(columns=["patient", "when", "part"])
    path, test_path = write(tmp_path, "train.csv", frame[:90]), write(tmp_path, "test.csv", frame[90:].assign(more=1))
    plugin = Table(path=path, target="y", test_path=test_path)
    data = load(plugin, "mine", "table", 0)
    assert data.test is not None
    assert data.val is not None
    assert data.test.rows.tolist() == list(range(30))
    assert data.test.files is not None
    assert set(data.test.files) == {test_path}
    assert set(data.train.files if data.train.files is not None else []) == {path}
    assert (len(data.train), len(data.val)) == (72, 18)
    assert data.test.labels.tolist() == frame["y"][90:].tolist()
    assert sorted([*data.train.rows, *data.val.rows]) == list(range(90))
    assert data.split_report == (f"test rows from {test_path}; validation rows drawn from the training rows",)
    changed = frame[90:].assign(a=0.0)
    other = load(Table(path=path, target="y", test_path=write(tmp_path, "test.csv", changed)), "mine", "table", 0)
    assert data.test_digest != other.test_digest
    assert data.digest != other.digest
    # Nothing is learnt from the test rows.
    assert np.array_equal(data.train.inputs[:], other.train.inputs[:])


def test_a_file_of_test_rows_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    frame = table().drop(columns=["patient", "when", "part"])
    path = write(tmp_path, "train.csv", frame)
    bad = write(tmp_path, "test.csv", frame.drop(columns="a"))
    sentence = (
        f"data.test_path={bad} lacks the column a of the training rows, got b, y. Give a file with the same columns."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        Table(path=path, target="y", test_path=bad).read()
    bad = write(tmp_path, "test.csv", frame.assign(a="much"))
    sentence = (
        f"data.test_path={bad} has texts in column a, and the training rows have numbers. Write the column in the"
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}"):
        Table(path=path, target="y", test_path=bad).read()
    with pytest.raises(RequestError, match=r"^data\.path=.*nowhere\.csv is no file"):
        Table(path=path, target="y", test_path=str(tmp_path / "nowhere.csv")).read()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"split_column": "part"},
            "data.split_column=part fixes the test rows, and in cross-validation each row is a test row once. Leave "
            "out cv.folds, or use data.split=random.",
        ),
        (
            {"split": "none"},
            "data.split=none has no test rows, and in cross-validation each row is a test row once. Leave "
            "out cv.folds, or use data.split=random.",
        ),
    ],
)
def test_fixed_test_rows_have_no_folds(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        split_of(table(), fold=Fold(0, 3), **fields)


def test_other_rows_are_scored_without_the_columns_of_the_split(tmp_path: Path) -> None:
    frame = table().drop(columns=["part"])
    trained = load(TableRows(frame=frame, group="patient", drop=["when"]), "mine", "table", 0)
    plugin = Table(path=write(tmp_path, "new.csv", frame[["a", "b", "y"]]), target="y", group="patient", drop=["when"])
    scored = load_external(plugin, "new", "table", trained.spec, trained.preprocessing, trained.columns)
    assert len(scored.scored) == 120


# All in training, and how fields go together


def test_with_none_all_rows_train() -> None:
    split = split_of(table(), split="none")
    assert [len(part) for part in parts(split)] == [120, 0, 0]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"group": "g", "time": "t"},
            "split must say which of data.group and data.time divides the rows, got null. Use data.split=group.",
        ),
        (
            {"split": "group"},
            "group must be given with data.split=group, got nothing. Add data.group=<name of the group column>.",
        ),
        (
            {"split": "files"},
            "test_path must be given with data.split=files, got nothing. Add data.test_path=test.csv.",
        ),
        ({"group": "y"}, "split must use columns of its own, and y is named twice. Name another column."),
        (
            {"group": "g", "test_rows": "last"},
            "test_rows=last is for rows that are divided at random, got data.split=group. Leave it out.",
        ),
        (
            {"split": "by hand"},
            "split must be one of random, stratified, group, time, column, files, none, got by hand.",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        Table(path="x.csv", target="y", **fields)


def test_of_two_columns_split_says_which_counts_and_neither_is_a_feature() -> None:
    frame = table()
    plugin = TableRows(frame=frame, group="patient", time="when", split="time", drop=["part"])
    assert plugin.columns(frame) == ["a", "b"]
    split = split_of(frame, group="patient", time="when", split="time", drop=["part"])
    assert split.report == ("by when: the first rows train, the last ones test",)


def test_images_and_arrays_have_the_rules_that_suit_them() -> None:
    assert Images(path="folder", split="random").rule == "random"
    with pytest.raises(ValueError, match=r"^group must be given with data\.split=group, got nothing"):
        Images(path="folder", split="group")
    frame = pd.DataFrame({"x0": np.arange(30.0), "x1": 0.0, "g": np.arange(30) // 3, "y": np.arange(30) % 2})
    plugin = Array(path="x.csv", target="y", shape=[2], group="g")
    assert plugin.samples(frame).inputs.shape == (30, 2)
    split = plugin.split_samples(plugin.samples(frame), "classification", 0)
    assert not set(split.test // 3) & set(split.train // 3)


# Classes


def test_random_is_scikit_learns_split_without_classes_and_stratified_is_the_default() -> None:
    targets = np.array(["a"] * 90 + ["b"] * 30)
    by_chance = Shuffled(split="random").split_samples(samples(targets), "classification", 4)
    assert by_chance.test.tolist() == stratified(samples(targets), (72, 24, 24), "regression", 4).test.tolist()
    default, named = (
        Shuffled(split=rule).split_samples(samples(targets), "classification", 4) for rule in (None, "stratified")
    )
    assert default.test.tolist() == named.test.tolist()
    assert Counter(targets[default.test]) == {"a": 18, "b": 6}
    assert default.report == ()
    with pytest.raises(RequestError, match=r"^data\.split=stratified needs classes, and values are to be predicted\."):
        Shuffled(split="stratified").split_samples(samples(np.arange(30.0)), "regression", 4)


@EXAMPLES
@given(SEEDS, st.integers(1, 2), st.integers(0, 2))
def test_classes_of_too_few_rows_are_divided_at_random_with_one_row_of_each_in_training(
    seed: int, size: int, others: int
) -> None:
    targets = np.array(["a"] * 30 + ["b"] * 20 + ["rare"] * size + ["other"] * others)
    found = samples(targets)
    split = Shuffled().split_samples(found, "classification", seed)
    assert_complete(split, len(targets))
    assert [len(part) for part in parts(split)] == list(Shuffled().counts(len(targets)))[:1] + list(
        Shuffled().counts(len(targets))
    )[1:]
    assert set(targets[split.train]) == set(targets)
    assert "rare" in str(split.report)
    common = [Counter(targets[part].tolist())["b"] for part in parts(split)]
    assert common == pytest.approx([12, 4, 4], abs=2)
    with pytest.raises(RequestError, match=r"or add data\.split=random\.$"):
        Shuffled(split="stratified").split_samples(found, "classification", seed)


def test_rare_classes_are_reported_by_name_and_number() -> None:
    split = Shuffled().split_samples(samples(["a"] * 30 + ["b"] * 2 + ["c"]), "classification", 0)
    assert split.report == (
        "by class; 2 classes have too few rows to be in each part, which are divided at random: b (2), c (1)",
    )
    many = Shuffled().split_samples(samples(np.repeat(np.arange(10), 2)), "classification", 0)
    assert many.report == (
        "at random, not by class: 10 classes are too many, or too small, for the sizes of the parts",
    )
    assert set(np.repeat(np.arange(10), 2)[many.train]) == set(range(10))


# Duplicates


def assert_together(split: Split, number: np.ndarray[Any, Any]) -> None:
    for one, other in itertools.combinations(parts(split), 2):
        assert not (set(number[one].tolist()) & set(number[other].tolist())) - {SINGLE}


@EXAMPLES
@given(st.lists(st.integers(1, 3), min_size=40, max_size=80), SEEDS, st.booleans())
def test_equal_rows_are_in_one_part_and_in_one_fold(copies: list[int], seed: int, is_classes: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.repeat(np.arange(len(copies)), copies))
    targets = np.where(rows % 3 > 0, "a", "b") if is_classes else rows * 1.0
    frame = pd.DataFrame({"x": rows * 0.1, "town": [f"t{row}" for row in rows]})
    found, task = Samples(frame, targets, np.arange(len(rows))), "classification" if is_classes else "regression"
    sizes = np.bincount(rows)
    number = np.where(sizes[rows] > 1, rows, SINGLE)
    split = Shuffled().split_samples(found, task, seed)
    assert_complete(split, len(rows))
    assert_together(split, number)
    assert [len(part) for part in parts(split)] == pytest.approx(Shuffled().counts(len(rows)), abs=3)
    if is_classes:
        for part in parts(split):
            assert (targets[part] == "a").mean() == pytest.approx((targets == "a").mean(), abs=0.1)
    again = Shuffled().split_samples(found, task, seed)
    assert all(np.array_equal(one, other) for one, other in zip(parts(split), parts(again), strict=True))
    tested: list[int] = []
    for index in range(3):
        fold = Shuffled().split_fold(found, task, seed, Fold(index, 3))
        assert_complete(fold, len(rows))
        assert_together(fold, number)
        tested += fold.test.tolist()
    assert sorted(tested) == list(range(len(rows)))


def test_without_duplicates_the_split_is_that_of_earlier_versions() -> None:
    rng = np.random.default_rng(0)
    found = Samples(rng.normal(size=(100, 3)), rng.choice(["a", "b"], 100), np.arange(100))
    for seed in range(5):
        own = Shuffled().split_samples(found, "classification", seed)
        earlier = stratified(found, (60, 20, 20), "classification", seed)
        assert all(np.array_equal(one, other) for one, other in zip(parts(own), parts(earlier), strict=True))
        assert own.report == ()


def test_one_divided_pair_moves_two_rows_of_its_class() -> None:
    part = np.repeat([0, 1, 2], [60, 20, 20])
    number = np.full(100, SINGLE)
    number[[0, 99]] = 5  # a pair in training and test
    labels = np.where(np.arange(100) % 4 == 3, "a", "b")
    labels[[0, 99]] = "a"
    found = kept_together(part, type("Two", (), {"number": number, "coarse": False})(), labels, seed=0)
    assert found[0] == found[99] == 0
    moved = np.flatnonzero(found != part)
    assert len(moved) == 2
    assert set(labels[moved]) == {"a"}
    assert np.bincount(found).tolist() == [60, 20, 20]


def test_the_case_with_every_other_row_twice() -> None:
    plugin = Table(path=str(CASES / "duprows.csv"), target="price")
    frame = plugin.read()
    assert len(frame) == 300
    data = load(plugin, "duprows", "table", 0)
    rows = frame.drop(columns="price").apply(tuple, axis=1)
    of_parts = [set(rows.iloc[part.rows]) for part in (data.train, data.val, data.test) if part is not None]
    assert not any(one & other for one, other in itertools.combinations(of_parts, 2))
    assert [len(part) for part in (data.train, data.val, data.test) if part is not None] == [180, 60, 60]
    assert data.split_report == ("200 of 300 rows have the features of another one; such rows are in one part",)
    apart = load(
        Table(path=str(CASES / "duprows.csv"), target="price", keep_duplicates_together=False), "d", "table", 0
    )
    assert apart.test is not None
    assert apart.test.rows.tolist() == stratified(samples(frame["price"]), (180, 60, 60), "regression", 0).test.tolist()
    assert set(rows.iloc[apart.test.rows]) & set(rows.iloc[apart.train.rows])


def test_a_table_of_few_different_rows_is_divided_as_it_is_and_says_so() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.choice(["x", "y"], 200), "b": rng.choice(["x", "y"], 200), "y": rng.choice([0, 1], 200)}
    )
    found = split_of(frame)
    expected = split_of(frame, keep_duplicates_together=False)
    assert all(np.array_equal(one, other) for one, other in zip(parts(found), parts(expected), strict=True))
    assert found.report == ("200 of 200 rows have the features of another one, too many to keep such rows in one part",)
    # Many different rows, of which most have several targets: other people with the same answers, and no copies.
    answers = pd.DataFrame(rng.integers(0, 4, (400, 3)).astype(str), columns=list("abc")).assign(
        y=rng.choice([0, 1], 400)
    )
    assert "too many" in str(split_of(answers).report)


@EXAMPLES
@given(st.lists(st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0])), min_size=2, max_size=30))
def test_hashes_are_equal_for_equal_values_alone(values: list[float]) -> None:
    frame = pd.DataFrame({"x": values, "y": 1.0})
    found, flat = hashes(frame), hashes(frame.to_numpy())
    assert found is not None
    assert flat is not None
    for one, other in itertools.combinations(range(len(values)), 2):
        equal = values[one] == values[other] or (np.isnan(values[one]) and np.isnan(values[other]))
        assert (found[one] == found[other]) == equal
        assert (flat[one] == flat[other]) == equal


def test_whole_numbers_pixels_and_texts_have_different_hashes() -> None:
    grid = np.array(list(itertools.product(range(40), repeat=3)))
    for rows in (pd.DataFrame(grid), pd.DataFrame(grid * 1.0), pd.DataFrame(grid.astype(str)), grid.astype(np.uint8)):
        found = hashes(rows)
        assert found is not None
        assert len(np.unique(found)) == len(grid)
    assert hashes(np.empty((4, 0))) is None
    assert sets_of(bits_of(np.arange(5.0)), None, 2) is None


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    "fields",
    [{}, {"group": "patient"}, {"time": "when"}, {"split_column": "part"}, {"split": "random", "weight": "w"}],
)
def test_a_table_that_is_read_in_blocks_is_divided_in_the_same_way(
    ending: str, fields: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.concat([table(150), table(150)[:40]], ignore_index=True).assign(w=1.0)
    path = tmp_path / f"rows.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path, index=False)
    drop = [name for name in ("patient", "when", "part", "w") if name not in fields.values()]
    plugin = Table(path=str(path), target="y", drop=drop, **fields)  # type: ignore[arg-type]
    whole = load(plugin, "mine", "table", 3, audited=True)
    monkeypatch.setattr(files, "LARGE", 0)
    monkeypatch.setattr(read, "FEWEST_BLOCK_BYTES", 3000)
    monkeypatch.setattr(read, "MOST_BLOCK_BYTES", 3000)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2500)
    assert plugin.large() is not None
    parted = load(plugin, "mine", "table", 3, audited=True)
    for name in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(parted, name).rows, getattr(whole, name).rows)
    assert parted.split_report == whole.split_report
    assert parted.column_kinds == whole.column_kinds
    assert parted.audit is not None
    assert whole.audit is not None
    assert [one.what for one in parted.audit.findings] == [one.what for one in whole.audit.findings]


def test_a_run_of_an_earlier_version_keeps_its_split() -> None:
    record = record_of(compose(["data=table", "data.path=a.csv", "data.target=y"]))
    assert request_of(record).config.data.keep_duplicates_together is True
    for name in ("keep_duplicates_together", "split", "group"):
        del record["config"]["data"][name]
    assert request_of(record).config.data.keep_duplicates_together is False
    series = record_of(compose(["data=series", "data.path=a.csv", "data.target=y", "model=lstm"]))
    assert "keep_duplicates_together" not in request_of(series).config.data
