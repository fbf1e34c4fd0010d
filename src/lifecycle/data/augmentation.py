"""Random changes of training images (``data.augment``), interpolated by kornia."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    from torch import Generator, Tensor

FLIP, SHIFT, ROTATE, COLOUR = CHANGES = ("flip", "shift", "rotate", "colour")
"""Left and right exchanged in every other image; moved by up to a tenth of each side; turned by up to 15 degrees; and
brightness, contrast and (of colour images) saturation changed by up to a fifth."""

LIGHT = "light"
"""A flip and a shift, which most photographs allow, and which take the least time."""

STREAM = 2
"""Random stream of an epoch; that of the order of rows is 0, and that of dropout 1."""

LARGEST_SHIFT, LARGEST_ANGLE, LARGEST_FACTOR = 0.1, 15.0, 0.2

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey of an image (ITU-R BT.601)."""

DRAWS = 7
"""Random numbers of an image: a flip, an angle, two shifts, and the three factors of colour."""


def check(augment: Any) -> None:
    """Check the field of a data plugin.

    Raises:
        ValueError: it is neither null, ``light`` nor a list of changes.
    """
    if augment is None or augment == LIGHT:
        return
    known = isinstance(augment, Sequence) and not isinstance(augment, str) and bool(augment)
    if not (known and all(change in CHANGES for change in augment) and len(set(augment)) == len(augment)):
        remedy = f"Use {LIGHT}, or a list of {', '.join(CHANGES)}."
        raise ValueError(f"augment must name each random change of training images once, got {augment}. {remedy}")


@dataclass(frozen=True)
class Augmentation:
    """Random changes of images with pixels from 0 to 1.

    Attributes:
        changes: of :data:`CHANGES`.
    """

    changes: tuple[str, ...]

    def check(self) -> None:
        """Check that kornia is installed.

        Raises:
            RequestError: it is not.
        """
        try:
            import kornia.geometry.transform  # noqa: F401
        except ImportError as error:
            remedy = "Run pip install 'nn-lifecycle[augment]'."
            problem = "needs kornia, which is not installed"
            raise RequestError(Setting("data.augment", list(self.changes)), problem, remedy=remedy) from error

    def apply(self, images: Tensor, generator: Generator) -> Tensor:
        """Return changed images: one interpolation for all changes of place, and one product for those of colour.

        Args:
            images: ``(images, channels, height, width) float32``.
            generator: of the random numbers, on the processor.
        """
        import torch

        drawn = torch.rand(len(images), DRAWS, generator=generator).to(images.device)
        between = 2 * drawn[:, 1:] - 1  # from -1 to 1
        flipped = drawn[:, 0] < 0.5 if FLIP in self.changes else torch.zeros_like(drawn[:, 0], dtype=torch.bool)
        if SHIFT in self.changes or ROTATE in self.changes:
            images = self._moved(images, flipped, between[:, :3])
        elif FLIP in self.changes:
            from kornia.geometry.transform import hflip

            images = torch.where(flipped[:, None, None, None], hflip(images), images)
        return _coloured(images, 1 + LARGEST_FACTOR * between[:, 3:]) if COLOUR in self.changes else images

    def _moved(self, images: Tensor, flipped: Tensor, between: Tensor) -> Tensor:
        """Return flipped, shifted and rotated images.

        Args:
            images: ``(images, channels, height, width)``.
            flipped: ``(images,) bool``.
            between: ``(images, 3)`` of the angle and the shifts, from -1 to 1.
        """
        import torch
        from kornia.geometry.transform import warp_affine

        height, width = images.shape[-2:]
        size = torch.tensor([width, height], dtype=images.dtype, device=images.device)
        centre = (size - 1) / 2
        angle = between[:, 0] * (math.radians(LARGEST_ANGLE) if ROTATE in self.changes else 0.0)
        shift = between[:, 1:] * size * (LARGEST_SHIFT if SHIFT in self.changes else 0.0)
        side = 1 - 2 * flipped.to(images.dtype)
        cosine, sine = angle.cos(), angle.sin()
        turn = torch.stack([cosine * side, -sine, sine * side, cosine], dim=1).view(-1, 2, 2)
        matrix = torch.cat([turn, (centre + shift - turn @ centre)[:, :, None]], dim=2)
        # Black edges would tell the network how an image was moved.
        found: Tensor = warp_affine(images, matrix, (height, width), padding_mode="border", align_corners=True)
        return found


def _coloured(images: Tensor, factors: Tensor) -> Tensor:
    """Return images with another brightness (added), contrast (a factor) and, of three channels, saturation.

    Args:
        images: ``(images, channels, height, width)`` from 0 to 1.
        factors: ``(images, 3)`` around 1.
    """
    import torch

    channels = images.shape[1]
    bright, contrast, saturation = (factors[:, at, None, None] for at in range(3))
    mixed = torch.eye(channels, device=images.device).expand(len(images), -1, -1)
    if channels == 3:
        grey = torch.tensor(GREY, device=images.device).expand(3, 3)
        mixed = saturation * mixed + (1 - saturation) * grey
    # Grey weights sum to 1, so that saturation does not change what is added to all channels.
    added = (contrast * (bright - 1)).expand(-1, channels, 1)
    changed: Tensor = torch.baddbmm(added, contrast * mixed, images.flatten(2))
    return changed.clamp_(0, 1).view_as(images)


def of_field(augment: Any) -> Augmentation | None:
    """Return the changes that a checked field names; ``None``: it is null."""
    if augment is None:
        return None
    return Augmentation((FLIP, SHIFT) if augment == LIGHT else tuple(augment))


class Augmenter:
    """Changes mini-batches of training images.

    Args:
        augmentation: the changes.
        seed: of the fit.

    Raises:
        RequestError: kornia is not installed.
    """

    def __init__(self, augmentation: Augmentation, seed: int) -> None:
        augmentation.check()
        self._augmentation, self._seed = augmentation, seed

    def __call__(self, images: Tensor, epoch: int, number: int) -> Tensor:
        """Return changed images; a mini-batch of an epoch is always changed in the same way.

        Args:
            images: ``(images, channels, height, width) float32`` from 0 to 1.
            epoch: from 0.
            number: of the mini-batch in the epoch, and of the process.
        """
        import numpy as np
        import torch

        key = [self._seed, epoch, STREAM, number]
        # A generator of its own: the state of torch's is that of dropout.
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        with torch.no_grad():
            return self._augmentation.apply(images, generator)
