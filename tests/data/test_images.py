"""Images: columns of pixels become arrays, with a scale that is fitted to the training images only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.data.kinds.images import Images
from lifecycle.errors import RequestError
from tests.rows import ImageRows, held_out, labels, load_rows

ROWS = 30
SHAPE = [2, 3, 4]


def pixels(seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 200, (ROWS, 24))


def frame(values: np.ndarray[Any, Any]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"p{i}" for i in range(values.shape[1])]).assign(y=labels(len(values)))


def test_pixel_columns_are_channels_then_rows_then_columns() -> None:
    plugin = ImageRows(frame=frame(pixels()), shape=SHAPE)
    images = np.asarray(plugin.samples(plugin.frame).inputs)
    assert images.shape == (ROWS, 2, 3, 4)
    assert images.dtype == np.float32
    for channel, row, column in ((0, 0, 0), (0, 1, 2), (1, 2, 3)):
        np.testing.assert_array_equal(images[:, channel, row, column], pixels()[:, channel * 12 + row * 4 + column])


def test_the_target_may_stand_between_the_pixels() -> None:
    rows = frame(pixels())
    moved = rows[["p0", "y", *[f"p{i}" for i in range(1, 24)]]]
    one, other = (ImageRows(frame=f, shape=SHAPE).samples(f) for f in (rows, moved))
    np.testing.assert_array_equal(np.asarray(one.inputs), np.asarray(other.inputs))


def test_pixels_are_divided_by_the_largest_of_the_training_images() -> None:
    data = load_rows(ImageRows(frame=frame(pixels()), shape=SHAPE))
    largest = pixels()[data.train.rows].max()
    np.testing.assert_allclose(
        data.test.inputs.numpy(), pixels()[data.test.rows].reshape(-1, 2, 3, 4) / largest, rtol=1e-6
    )
    assert data.spec.input_shape == (2, 3, 4)
    assert data.spec.feature_names == ()


def test_pixels_are_divided_by_the_largest_value_that_is_named() -> None:
    data = load_rows(ImageRows(frame=frame(pixels()), shape=SHAPE, max_value=510))
    np.testing.assert_allclose(
        data.train.inputs.numpy(), pixels()[data.train.rows].reshape(-1, 2, 3, 4) / 510, rtol=1e-6
    )


def test_images_all_black_stay_black() -> None:
    data = load_rows(ImageRows(frame=frame(np.zeros((ROWS, 24))), shape=SHAPE))
    assert not data.train.inputs.any()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 10**6))
def test_what_the_held_out_images_hold_moves_no_statistic(seed: int, factor: int) -> None:
    values = pixels(seed)
    before = load_rows(ImageRows(frame=frame(values), shape=SHAPE, keep_duplicates_together=False), seed)
    changed = values.copy()
    changed[held_out(before)] *= factor
    after = load_rows(ImageRows(frame=frame(changed), shape=SHAPE, keep_duplicates_together=False), seed)
    np.testing.assert_array_equal(before.train.inputs.numpy(), after.train.inputs.numpy())
    assert before.preprocessing.inputs.scale_.tolist() == after.preprocessing.inputs.scale_.tolist()


def test_raw_images_without_the_target_are_samples_without_targets() -> None:
    plugin = ImageRows(frame=frame(pixels()), shape=SHAPE)
    assert plugin.samples(plugin.frame[plugin.columns(plugin.frame)]).targets is None


def test_a_missing_pixel_is_refused_with_its_row() -> None:
    values = pixels().astype(float)
    values[7, 3] = np.nan
    plugin = ImageRows(frame=frame(values), shape=SHAPE)
    with pytest.raises(
        RequestError, match=r"^data\.path=memory\.csv misses a pixel in row 7, column p3\. Fix or remove the row\.$"
    ):
        plugin.samples(plugin.frame)


def test_a_pixel_that_is_no_number_is_refused_with_its_value() -> None:
    values = pixels().astype(object)
    values[7, 3] = "dark"
    plugin = ImageRows(frame=frame(values), shape=SHAPE)
    with pytest.raises(
        RequestError, match=r"^data\.path=memory\.csv has a pixel that is no number: .*'dark'\. Fix the pixel\.$"
    ):
        plugin.samples(plugin.frame)


def test_a_shape_of_another_number_of_pixels_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    frame(pixels()).to_csv(file, index=False)
    with pytest.raises(
        RequestError,
        match=rf"^data\.shape=\[1,5,5\] needs 25 pixel columns in addition to y, got 24 in {re.escape(str(file))}\. "
        r"Give the shape of these images\.$",
    ):
        Images(path=str(file), target="y", shape=[1, 5, 5]).read()
    assert len(Images(path=str(file), target="y", shape=SHAPE).read()) == ROWS


REFUSED = [
    (
        {"shape": []},
        "shape must be channels, height and width, got []. Use for instance [1,28,28], or data.file=<column>",
    ),
    (
        {"shape": [8, 8]},
        "shape must be channels, height and width, got [8, 8]. Use for instance [1,28,28], or data.file=<column>",
    ),
    ({"max_value": 0.0}, "max_value must be above 0, got 0.0. Leave it out for the default."),
    (
        {"task": "class"},
        "task must be one of classification, multilabel, regression, got class. Leave it out for the default.",
    ),
    ({"path": ""}, "path must be given, got nothing. Add for instance data.path=houses.csv."),
    ({"val_size": -1.0}, "val_size must be 0 or more, got -1.0. The default is 0.2."),
    ({"target": ""}, "target must be given, got nothing. Add for instance data.target=price."),
    (
        {"path": "pets", "shape": [9, 8, 3]},
        "shape must begin with 1 (grey) or 3 (red, green, blue) for image files, got [9, 8, 3]. Use for instance [3,9",
    ),
    ({"path": "pets", "shape": [2, 8, 8]}, "shape must begin with 1 (grey) or 3 (red, green, blue) for image files"),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_a_field_out_of_range_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        Images(**{"path": "a.csv", "target": "y", "shape": [1, 8, 8], **values})


def test_a_shape_without_pixels_is_refused_with_a_cure_that_works() -> None:
    with pytest.raises(ValueError, match=r"^shape must be channels, height and width, got \[0, 8, 8\]\. ") as caught:
        Images(path="a.csv", target="y", shape=[0, 8, 8])
    assert "The default is []" not in str(caught.value)


def test_pixels_of_one_byte_stay_so_until_they_are_scaled() -> None:
    rows = frame(pixels())
    small = pd.concat([rows.iloc[:, :-1].astype(np.uint8), rows["y"]], axis=1)
    one, other = (load_rows(ImageRows(frame=f, shape=SHAPE)) for f in (rows, small))
    assert np.asarray(ImageRows(frame=small, shape=SHAPE).samples(small).inputs).dtype == np.uint8
    np.testing.assert_allclose(one.train.inputs.numpy(), other.train.inputs.numpy(), rtol=1e-6)
    assert other.column_kinds == {**{f"p{i}": "pixel" for i in range(24)}, "y": "target"}
