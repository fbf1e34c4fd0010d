"""A data set: parts, codes, spec and digest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec
from lifecycle.data.kinds.series import Series
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.errors import RequestError
from tests.rows import ImageRows, SeriesRows, TableRows, labels, load_rows

ROWS = 40


def table(**columns: Any) -> TableRows:
    return TableRows(frame=pd.DataFrame({"a": np.arange(ROWS) % 11, "b": np.arange(ROWS) * 0.5, **columns}))


def test_a_binary_data_set_has_one_output_and_column_targets_of_0_and_1() -> None:
    data = load_rows(table(y=["no", "yes"] * 20))
    assert data.spec == DataSpec(BINARY, (2,), 1, "y", ("no", "yes"), ("a", "b"))
    assert data.train.targets.dtype == torch.float32
    assert data.train.targets[:, 0].tolist() == [float(label == "yes") for label in data.train.labels]


def test_a_data_set_of_more_classes_has_an_output_each_and_codes_for_targets() -> None:
    data = load_rows(table(y=labels(ROWS, 4)))
    assert data.spec == DataSpec(MULTICLASS, (2,), 4, "y", ("a", "b", "c", "d"), ("a", "b"))
    assert data.train.targets.dtype == torch.int64
    assert [data.spec.class_names[code] for code in data.test.targets] == data.test.labels.tolist()


def test_a_regression_has_one_output_and_column_targets_on_the_training_scale() -> None:
    data = load_rows(table(y=np.arange(ROWS) * 1.5))
    assert data.spec == DataSpec(REGRESSION, (2,), 1, "y", (), ("a", "b"))
    train = np.arange(ROWS)[data.train.rows] * 1.5
    np.testing.assert_allclose(data.preprocessing.target_scale, (train.mean(), train.std()))
    np.testing.assert_allclose(
        data.test.targets.numpy()[:, 0], (data.test.rows * 1.5 - train.mean()) / train.std(), rtol=1e-5
    )
    np.testing.assert_array_equal(data.test.labels, data.test.rows * 1.5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_every_row_is_in_exactly_one_part_with_its_own_label(seed: int, classes: int) -> None:
    plugin = table(y=labels(ROWS, classes))
    data = load_rows(plugin, seed)
    assert data.val is not None
    parts = [data.train, data.val, data.test]
    assert sorted(np.concatenate([part.rows for part in parts]).tolist()) == list(range(ROWS))
    for part in parts:
        assert len(part) == len(part.inputs) == len(part.targets) == len(part.labels)
        assert part.labels.tolist() == plugin.frame["y"][part.rows].tolist()
    assert data.num_rows == ROWS


def test_the_same_seed_gives_the_same_data_and_another_seed_others() -> None:
    one, same, other = (load_rows(table(y=labels(ROWS)), seed) for seed in (1, 1, 2))
    assert torch.equal(one.train.inputs, same.train.inputs)
    assert one.test.rows.tolist() == same.test.rows.tolist() != other.test.rows.tolist()
    assert one.digest == same.digest == other.digest


def test_without_a_share_for_validation_there_is_none() -> None:
    data = load_rows(replace(table(y=labels(ROWS)), val_size=0.0))
    assert data.val is None
    assert (len(data.train), len(data.test)) == (32, 8)


def test_the_example_is_of_raw_rows_without_the_target() -> None:
    plugin = table(y=labels(ROWS))
    assert load_rows(plugin).columns == ("a", "b")


@pytest.mark.parametrize(
    "make",
    [
        lambda: TableRows(frame=pd.DataFrame({"x": range(ROWS), "y": labels(ROWS)})),
        lambda: ImageRows(frame=pd.DataFrame({"p": range(ROWS), "y": labels(ROWS)}), shape=[1, 1, 1]),
        lambda: SeriesRows(frame=pd.DataFrame({"y": np.arange(ROWS, dtype=float)})),
    ],
    ids=["table", "images", "series"],
)
def test_samples_have_the_number_of_axes_that_their_kind_declares(make: Callable[[], Any]) -> None:
    plugin = make()
    data = load_rows(plugin)
    assert len(data.spec.input_shape) == plugin.sample_dim
    assert data.train.inputs.dtype == torch.float32
    assert tuple(data.train.inputs.shape[1:]) == data.spec.input_shape


def test_data_without_the_target_column_are_refused() -> None:
    class WithoutTarget(TableRows):
        """Rows whose target is described and not there."""

        def describe_target(self, frame: pd.DataFrame) -> Any:
            """Describe a target that no row has."""
            return replace(super().describe_target(frame.assign(y=labels(len(frame)))), name="z")

    plugin = WithoutTarget(frame=pd.DataFrame({"x": range(ROWS)}))
    with pytest.raises(RequestError, match=r"^data=mine has no target column z\. Name one with data\.target\.$"):
        load_rows(plugin)


def test_an_input_that_is_no_finite_number_is_refused_with_its_row() -> None:
    class Raw(TableRows):
        """Rows that go to the network as they are."""

        def apply(self, transformer: Any, inputs: pd.DataFrame) -> Any:
            """Return the rows unscaled."""
            return inputs.to_numpy(dtype=np.float32)

    values = np.arange(ROWS, dtype=float)
    values[17] = np.nan
    plugin = Raw(frame=pd.DataFrame({"x": values, "y": labels(ROWS)}))
    with pytest.raises(
        RequestError,
        match=r"^data=mine has a value that is no finite number in row 17\. Fix or remove the row\.$",
    ):
        load_rows(plugin)


def test_a_target_too_large_for_the_scale_of_training_is_refused_with_its_row() -> None:
    values = np.arange(ROWS) * 1.5
    row = int(load_rows(table(y=values)).test.rows[0])
    values[row] = 1e60
    with pytest.raises(RequestError, match=rf"row {row}\b.*(Fix|[Rr]emove)"):
        load_rows(table(y=values))


REFUSED: list[tuple[Any, str]] = [
    (["same"] * ROWS, r"^data\.target=y has one class only, same\. Give rows of two classes or more\.$"),
    (
        [0.5, np.inf] * 20,
        r"^data\.target=y is inf in row 1 and in 19 other rows, too large to learn from\. Fix or remove the rows\.$",
    ),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_targets_that_cannot_be_learnt_are_refused(values: Any, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        load_rows(table(y=values))


def test_the_shipped_data_sets_load_as_what_they_are() -> None:
    iris = load(Table(path="sklearn:iris", target="species"), "iris", "table", 0)
    assert (iris.spec.task, iris.spec.input_shape, iris.spec.num_outputs) == (MULTICLASS, (4,), 3)
    assert iris.spec.class_names == ("setosa", "versicolor", "virginica")
    assert (len(iris.train), iris.num_rows, iris.name, iris.kind) == (90, 150, "iris", "table")
    sequence = load(Series(path="lifecycle:sequence.csv", target="value", window=1), "sequence", "series", 0)
    assert (sequence.spec.task, sequence.spec.input_shape) == (REGRESSION, (1, 1))


BASE = pd.DataFrame({"n": np.arange(ROWS), "word": ["p", "q"] * 20, "y": labels(ROWS)})


def digest(frame: pd.DataFrame) -> str:
    return load_rows(TableRows(frame=frame)).digest


def changed(column: str, row: int, value: Any) -> pd.DataFrame:
    frame = BASE.copy()
    frame.loc[row, column] = value
    return frame


OTHERS = {
    "a number": changed("n", 3, 99),
    "a word": changed("word", 3, "r"),
    "a target": changed("y", 3, "a"),
    "a name": BASE.rename(columns={"n": "m"}),
    "a type": BASE.astype({"n": "float64"}),
    "a width": BASE.astype({"n": "int32"}),
    "the order of rows": BASE.iloc[::-1].reset_index(drop=True),
    "the order of columns": BASE[["word", "n", "y"]],
    "a row less": BASE.iloc[:-1],
    "a column more": BASE.assign(more=0),
    "a missing value": changed("word", 3, None),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_the_digest_changes_with(other: pd.DataFrame) -> None:
    assert digest(other) != digest(BASE)


def test_the_digest_is_of_the_rows_alone() -> None:
    assert digest(BASE.copy()) == digest(BASE)
    assert digest(BASE.set_index(np.arange(ROWS) + 100)) == digest(BASE)
    plugin = TableRows(frame=BASE, test_size=0.4, val_size=0.1)
    assert load_rows(plugin, seed=9).digest == digest(BASE)


@settings(deadline=None, max_examples=12)
@given(st.integers(0, ROWS - 1), st.integers(-(2**40), 2**40))
def test_the_digest_changes_with_any_number_and_back_with_it(row: int, value: int) -> None:
    other = changed("n", row, value)
    assert (digest(other) == digest(BASE)) == (value == row)


def test_where_nothing_is_held_out_the_training_rows_are_scored() -> None:
    data = load_rows(replace(table(y=labels(ROWS)), test_size=0.0))
    assert data.test is None
    assert data.scored is data.train
    assert data.scored_on == "training_set"
    assert (len(data.train), data.val is not None and len(data.val)) == (32, 8)


def test_the_digest_of_a_wide_frame_of_one_type_is_of_all_its_values() -> None:
    values = np.random.default_rng(0).integers(0, 256, (ROWS, 60)).astype(np.uint8)
    wide = pd.DataFrame(values, columns=[f"p{number}" for number in range(60)]).assign(y=labels(ROWS))
    other = wide.copy()
    other.loc[ROWS - 1, "p59"] ^= 1
    swapped = wide.copy()
    swapped.iloc[:, :2] = wide.iloc[:, 1::-1].to_numpy()
    apart = pd.concat([wide[[name]] for name in wide], axis=1)  # a block a column, the same values
    assert len({digest(frame) for frame in (wide, other, swapped)}) == 3
    assert digest(apart) == digest(wide)
