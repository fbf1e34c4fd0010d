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


def margins(found: np.ndarray) -> list[int]:
    """Return the white rows and columns at the four edges."""
    return [
        margin
        for (first, last), length in zip(drawn(found), found.shape, strict=False)
        for margin in (first, length - 1 - last)
    ]


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
    rows, columns = (slice(first, last + 1) for first, last in drawn(whole))
    assert (cropped[EDGE:-EDGE, EDGE:-EDGE] == whole[rows, columns]).all()
    assert cropped.shape[1] < whole.shape[1]
    assert margins(cropped) == [EDGE] * 4


def test_a_caption_close_to_the_edge_has_the_margin_of_the_other_sides(tmp_path: Path) -> None:
    with picture(tmp_path / "a.png", 4, 3, about="gypsum, 30 rows") as figure:
        figure.subplots()
    assert margins(pixels(tmp_path / "a.png")) == [EDGE] * 4


@pytest.mark.parametrize(
    "title",
    ["A title that is much wider than the picture " * 3, f"White at{' ' * 300}both edges"],
    ids=["letters at the edges", "a gap at the edges"],
)
def test_a_title_that_is_wider_than_its_picture_is_drawn_in_full(tmp_path: Path, title: str) -> None:
    found = write(tmp_path / "a.png", title)
    assert found.shape[1] > 6 * DOTS_AN_INCH
    assert min(margins(found)) >= EDGE - 2
