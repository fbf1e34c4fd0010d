"""Pictures are drawn once, with narrow margins, and nothing of them is cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lifecycle.plots.style import DOTS_AN_INCH, MARGIN, picture

EDGE = round(MARGIN * DOTS_AN_INCH)


def pixels(file: Path) -> np.ndarray:
    """Return the colours of a picture."""
    with Image.open(file) as image:
        assert image.info["dpi"] == pytest.approx((DOTS_AN_INCH, DOTS_AN_INCH), rel=1e-3)
        return np.asarray(image.convert("RGB")).astype(int)


def drawn(found: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and the last row, and column, that are not white."""
    there = (found != 255).any(axis=2)
    return [(int(np.flatnonzero(part)[0]), int(np.flatnonzero(part)[-1])) for part in (there.any(1), there.any(0))]


def write(file: Path, title: str, is_cropped: bool = True) -> np.ndarray:
    """Draw a diagonal line, and return the picture."""
    with picture(file, 6, 3, is_cropped=is_cropped) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1])
        axes.set_box_aspect(1)  # white on both sides
        axes.set_title(title)
    return pixels(file)


def test_white_margins_are_cut_off_and_the_rest_is_as_it_was_drawn(tmp_path: Path) -> None:
    whole, cropped = (write(tmp_path / "a.png", "A line", is_cropped) for is_cropped in (False, True))
    assert whole.shape == (3 * DOTS_AN_INCH, 6 * DOTS_AN_INCH, 3)
    (top, bottom), (left, right) = drawn(whole)
    rows, columns = (slice(max(0, first - EDGE), last + 1 + EDGE) for first, last in ((top, bottom), (left, right)))
    assert (cropped == whole[rows, columns]).all()
    assert cropped.shape != whole.shape
    for (first, last), length in zip(drawn(cropped), cropped.shape, strict=False):
        assert 0 < first <= EDGE
        assert 0 < length - 1 - last <= EDGE


def test_a_title_that_is_wider_than_its_picture_is_drawn_in_full(tmp_path: Path) -> None:
    found = write(tmp_path / "a.png", "A title that is much wider than the picture " * 3)
    assert found.shape[1] > 6 * DOTS_AN_INCH
    _, (left, right) = drawn(found)
    assert min(left, found.shape[1] - 1 - right) >= EDGE - 2
