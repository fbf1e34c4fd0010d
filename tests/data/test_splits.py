"""Splits: the parts are disjoint, complete, stratified, and a function of the seed only."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from lifecycle.contract import Samples, Split
from lifecycle.data.splits import Shares, Shuffled, chronological, stratified
from lifecycle.errors import RequestError

SHARES = st.floats(0.05, 0.45)


def samples(labels: Any) -> Samples:
    labels = np.asarray(labels)
    return Samples(np.zeros((len(labels), 1)), labels, np.arange(len(labels)))


def divide(labels: Any, shares: Shares, task: str = "classification", seed: int = 0) -> Split:
    return stratified(samples(labels), shares.counts(len(labels)), task, seed)


def enough(total: int, test: float, val: float) -> bool:
    """Return whether shares leave a row to train on, computed in another way than in the code."""
    return total - math.ceil(total * test) - math.ceil(total * val) >= 1


def parts(split: Split) -> list[list[int]]:
    return [split.train.tolist(), split.val.tolist(), split.test.tolist()]


@given(st.integers(3, 2000), SHARES, SHARES)
def test_counts_are_all_the_rows_and_held_out_parts_are_rounded_up(total: int, test: float, val: float) -> None:
    assume(enough(total, test, val))
    num_train, num_val, num_test = Shares(test, val).counts(total)
    assert num_train + num_val + num_test == total
    assert num_train >= 1
    assert 0 <= num_test - total * test < 1 + 1e-6 or num_test == pytest.approx(total * test)
    assert 0 <= num_val - total * val < 1 + 1e-6 or num_val == pytest.approx(total * val)


def test_counts_by_hand() -> None:
    assert Shares(0.2, 0.2).counts(150) == (90, 30, 30)
    assert Shares(0.2, 0.2).counts(10) == (6, 2, 2)
    assert Shares(0.2, 0.2).counts(11) == (5, 3, 3)
    assert Shares(0.1, 0.0).counts(30) == (27, 0, 3)  # 30 * 0.1 is 3.0000000000000004 in floats
    assert Shares(0.7, 0.1).counts(10) == (2, 1, 7)  # 10 * 0.7 likewise


def test_from_1_on_a_size_is_a_number_of_samples() -> None:
    assert Shares(12, 0.2).counts(100) == (68, 20, 12)
    assert Shares(12.0, 3.0).counts(20) == (5, 3, 12)  # OmegaConf makes 12.0 of 12
    assert Shares(1, 1).counts(10) == (8, 1, 1)
    assert Shares(0.25, 5).counts(20) == (10, 5, 5)


@given(st.integers(2, 500), st.integers(1, 400), st.integers(0, 400))
def test_numbers_of_samples_are_held_out_as_they_are_or_refused(total: int, test: int, val: int) -> None:
    val_size = float(val) if val != 0 else 0.0
    if total - test - val < 1:
        with pytest.raises(RequestError, match=f"^data.test_size={test} and data.val_size={val} leave no training"):
            Shares(test, val_size).counts(total)
    else:
        assert Shares(test, val_size).counts(total) == (total - test - val, val, test)


def test_with_a_test_size_of_0_nothing_is_held_out() -> None:
    assert Shares(0, 0).counts(10) == (10, 0, 0)
    assert Shares(0, 0.2).counts(10) == (8, 2, 0)
    split = divide([0, 1] * 10, Shares(0, 0.2))
    assert (len(split.train), len(split.val), len(split.test)) == (16, 4, 0)
    assert chronological(Shares(0, 0).counts(5)).train.tolist() == [0, 1, 2, 3, 4]


@given(st.integers(3, 1000), st.floats(0.0, 0.9), st.floats(0.0, 0.45))
def test_a_validation_split_is_keras_share_of_the_rows_that_do_not_test(total: int, split: float, test: float) -> None:
    num_test = Shares(test, 0).counts(total)[2]
    assume(math.floor((total - num_test) * (1 - split)) >= 1)
    num_train, num_val, again = Shares(test, validation_split=split).counts(total)
    assert again == num_test
    # Keras: split_at = floor(n * (1 - validation_split)); a share of 0.30000000000000004 may be rounded either way.
    assert abs(num_train - math.floor((total - num_test) * (1 - split))) <= (
        abs((total - num_test) * split - round((total - num_test) * split)) < 1e-5
    )
    assert num_train + num_val + num_test == total


def test_a_validation_split_by_hand() -> None:
    assert Shares(20, validation_split=0.25).counts(100) == (60, 20, 20)
    assert Shares(0, validation_split=0.33).counts(768) == (514, 254, 0)
    assert Shares(0.2, validation_split=0.0).counts(10) == (8, 0, 2)


REFUSED = [
    ({"test_size": -1.0}, "test_size must be 0 or more, got -1.0. The default is 0.2."),
    ({"test_size": math.nan}, "test_size must be 0 or more, got nan. The default is 0.2."),
    ({"test_size": math.inf}, "test_size must be 0 or more and finite, got inf. The default is 0.2."),
    (
        {"test_size": 12.5},
        "test_size must be a share below 1 or a whole number of samples, got 12.5. Use for instance 12.",
    ),
    ({"val_size": -0.1}, "val_size must be 0 or more, got -0.1. The default is 0.2."),
    (
        {"val_size": 1.5},
        "val_size must be a share below 1 or a whole number of samples, got 1.5. Use for instance 1.",
    ),
    (
        {"test_size": 0.5, "val_size": 0.5},
        "test_size and data.val_size must sum to less than 1, got 0.5 and 0.5. Leave some rows to train on.",
    ),
    (
        {"validation_split": 1.0},
        "validation_split must be 0 or more and below 1, got 1.0. Leave it out for the default.",
    ),
    (
        {"validation_split": 0.1, "val_size": 0.3},
        "validation_split stands in place of data.val_size, got 0.1 and 0.3. Give one of them.",
    ),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_shares_out_of_range_are_refused(values: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Shares(**values)


def test_too_few_rows_to_train_on_are_refused_with_shares_and_total() -> None:
    with pytest.raises(
        RequestError,
        match=r"^data\.test_size=0\.2 and data\.val_size=0\.2 leave no training rows of 2 samples\. "
        r"Hold out less, or give more rows\.$",
    ):
        Shares().counts(2)


def divided(labels: Any, shares: Shares, seed: int) -> Split:
    """Split, and skip examples that are refused because a class would be missing in a part."""
    try:
        return divide(labels, shares, seed=seed)
    except RequestError as error:
        assume("cannot put each class in every part" not in str(error))
        raise


@given(st.lists(st.integers(6, 40), min_size=1, max_size=4), SHARES, st.floats(0.0, 0.45), st.integers(0, 2**32 - 1))
def test_parts_are_disjoint_complete_and_of_the_counts(sizes: list[int], test: float, val: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assume(enough(len(labels), test, val))
    counts = Shares(test, val).counts(len(labels))
    assume(all(count == 0 or count >= len(sizes) for count in counts))
    split = divided(labels, Shares(test, val), seed=seed)
    assert sorted(itertools.chain(*parts(split))) == list(range(len(labels)))
    assert tuple(map(len, parts(split))) == counts


@given(st.lists(st.integers(10, 60), min_size=2, max_size=4), st.integers(0, 2**32 - 1), SHARES, SHARES)
def test_each_part_has_the_classes_in_proportion(sizes: list[int], seed: int, test: float, val: float) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    assume(enough(len(labels), test, val))
    _, num_val, num_test = Shares(test, val).counts(len(labels))
    assume(min(num_val, num_test, len(labels) - num_val - num_test) >= len(sizes))
    split = divided(labels, Shares(test, val), seed=seed)
    tested, validated = Counter(labels[split.test].tolist()), Counter(labels[split.val].tolist())
    for label, size in enumerate(sizes):
        assert abs(tested[label] - size * num_test / len(labels)) < 1
        rest = size - tested[label]
        assert abs(validated[label] - rest * num_val / (len(labels) - num_test)) < 1


@given(st.integers(0, 2**32 - 1), st.sampled_from(["classification", "regression"]))
def test_the_same_seed_gives_the_same_split(seed: int, task: str) -> None:
    labels = [0, 1] * 20
    assert parts(divide(labels, Shares(), task, seed)) == parts(divide(labels, Shares(), task, seed))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_other_seeds_give_other_splits(task: str) -> None:
    splits = [parts(divide([0, 1] * 20, Shares(), task, seed)) for seed in range(6)]
    assert all(one[2] != other[2] and one[1] != other[1] for one, other in itertools.combinations(splits, 2))


def test_rows_are_shuffled_before_they_are_divided_and_kept_in_order_within_a_part() -> None:
    split = divide(np.arange(100.0), Shares(), "regression")
    assert split.test.tolist() != list(range(80, 100))
    for part in parts(split):
        assert part == sorted(part)


@given(st.integers(5, 300), st.integers(0, 60), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_without_classes_the_parts_are_those_of_scikit_learn(total: int, val: int, test: int, seed: int) -> None:
    assume(total - val - test >= 1)
    rest, of_parts = np.arange(total), []
    for count in (test, val):
        rest, held_out = train_test_split(rest, test_size=count, random_state=seed) if count else (rest, rest[:0])
        of_parts.insert(0, sorted(held_out.tolist()))
    assert parts(stratified(samples(np.zeros(total)), (total - val - test, val, test), "regression", seed)) == [
        sorted(rest.tolist()),
        *of_parts,
    ]


def test_the_values_of_a_regression_do_not_move_the_split() -> None:
    one, other = (divide(values, Shares(), "regression", 3) for values in (np.arange(50.0), np.zeros(50)))
    assert parts(one) == parts(other)


def test_without_a_share_for_validation_there_is_none() -> None:
    split = divide([0, 1] * 10, Shares(val_size=0.0))
    assert (len(split.train), len(split.val), len(split.test)) == (16, 0, 4)


def test_more_classes_than_held_out_rows_are_refused() -> None:
    with pytest.raises(
        RequestError,
        match=r"^data\.test_size and data\.val_size cannot put each class in every part: 8 samples to hold out, "
        r"10 classes, 2 of class 0\. Change the shares, add rows, or merge classes, "
        r"or add data\.task=regression if these are values, or add data\.split=random\.$",
    ):
        divide(np.repeat(np.arange(10), 2), Shares())


def test_a_class_of_one_row_is_refused() -> None:
    with pytest.raises(
        RequestError,
        match=r"^data\.target has the class rare in row 20 alone, and 3 parts need a row of each class\. Remove "
        r"row 20 or give it another class, add rows, or do without a part \(data\.val_size=0, data\.test_size=0\), "
        r"or add data\.split=random\.$",
    ):
        divide(["common"] * 20 + ["rare"], Shares())
    for cured in (["common"] * 20, ["common"] * 21, ["common"] * 20 + ["rare"] * 10):  # removed, merged, more of them
        divide(cured, Shares())
    divide(["common"] * 20 + ["rare"], Shares(test_size=0, val_size=0))


def test_a_class_that_is_left_out_of_the_training_rows_is_refused() -> None:
    with pytest.raises(RequestError, match=r"cannot put each class in every part: .*2 of class rare"):
        divide(["common"] * 50 + ["rare"] * 2, Shares(test_size=0.9, val_size=0.0))


def test_a_class_that_is_left_out_of_the_test_rows_is_refused() -> None:
    with pytest.raises(RequestError, match=r"has the class rare in rows 50, 51 alone, and 3 parts need .* give them"):
        divide(["common"] * 50 + ["rare"] * 2, Shares())


@given(st.integers(3, 500), SHARES, st.floats(0.0, 0.45))
def test_a_chronological_split_trains_on_the_past_and_tests_on_the_end(total: int, test: float, val: float) -> None:
    assume(enough(total, test, val))
    counts = Shares(test, val).counts(total)
    split = chronological(counts)
    assert list(itertools.chain(*parts(split))) == list(range(total))
    assert tuple(map(len, parts(split))) == counts


def last(labels: Any, task: str = "classification", seed: int = 0, **fields: Any) -> Split:
    return Shuffled(test_rows="last", **fields).split_samples(samples(labels), task, seed)


@given(st.integers(0, 2**32 - 1), st.integers(2, 20), st.integers(0, 20))
def test_the_last_rows_test_and_the_others_are_drawn_by_class(seed: int, num_test: int, num_val: int) -> None:
    labels = [0, 1] * 30
    assume(num_val != 1)
    split = last(labels, seed=seed, test_size=num_test, val_size=num_val)
    assert split.test.tolist() == list(range(60 - num_test, 60))
    assert sorted([*split.train, *split.val]) == list(range(60 - num_test))
    validated = Counter(np.array(labels)[split.val].tolist())
    assert abs(validated[0] - validated[1]) <= 1


def test_validation_rows_are_drawn_at_random_where_the_last_rows_test() -> None:
    splits = [last([0, 1] * 30, seed=seed, test_size=10) for seed in range(4)]
    assert len({tuple(split.val) for split in splits}) == 4
    assert len({tuple(split.test) for split in splits}) == 1
    assert parts(last([0, 1] * 30, seed=1, test_size=10)) == parts(splits[1])


def test_the_last_rows_of_a_regression_test_too() -> None:
    assert last(np.arange(20.0), "regression", test_size=5).test.tolist() == [15, 16, 17, 18, 19]


def test_a_class_that_only_some_test_rows_lack_is_no_fault_of_last_rows() -> None:
    assert len(last([0, 1, 2] * 10 + [0, 1] * 3, test_size=6).test) == 6


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        (["a", "b"] * 10 + ["a"] * 6, "tests on the class a"),
        (["a", "b"] * 10 + ["a", "c"] * 3, "leaves the class c to the test rows"),
    ],
)
def test_last_rows_in_order_of_their_classes_are_refused(labels: list[str], what: str) -> None:
    sentence = f"data.test_rows=last {what} alone, in 6 rows. Use data.test_rows=random, or order the rows otherwise."
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        last(labels, test_size=6)


def test_another_place_of_the_test_rows_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^test_rows must be one of random, last, got first\. The default is random\.$"
    ):
        Shuffled(test_rows="first")


@pytest.mark.parametrize("labels", [list(range(3, 23)), [f"{row / 2:g}" for row in range(-10, 10)]])
def test_rare_numbers_that_are_taken_for_classes_are_refused_with_the_task_of_values(labels: list[Any]) -> None:
    with pytest.raises(
        RequestError,
        match=r"rows, or merge classes, or add data\.task=regression if these are values, or add data\.split=random\.$",
    ):
        divide(labels, Shares())
    with pytest.raises(RequestError, match=r"rows, or merge classes, or add data\.split=random\.$"):
        divide([*labels[1:], "none"], Shares())
