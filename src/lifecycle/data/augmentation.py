"""Random changes of training images (``data.augment``), by kornia."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    from torch import Tensor, nn

FLIP, SHIFT, ROTATE, COLOUR = CHANGES = ("flip", "shift", "rotate", "colour")
"""Left and right exchanged in every other image; moved by up to a tenth of each side; turned by up to 15 degrees; and
brightness, contrast and (of colour images) saturation changed by up to a fifth."""

LIGHT = "light"
"""A flip and a shift, which most photographs allow, and which take the least time."""

STREAM = 2
"""Random stream of an epoch; that of the order of rows is 0, and that of dropout 1."""

LARGEST_SHIFT, LARGEST_ANGLE, LARGEST_FACTOR = 0.1, 15.0, 0.2


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

    def module(self, channels: int) -> nn.Module:
        """Return the changes as a module: ``(images, channels, height, width) -> `` the same.

        Args:
            channels: of an image.

        Raises:
            RequestError: kornia is not installed.
        """
        try:
            from kornia import augmentation as kornia
        except ImportError as error:
            remedy = "Run pip install 'nn-lifecycle[augment]'."
            problem = "needs kornia, which is not installed"
            raise RequestError(Setting("data.augment", list(self.changes)), problem, remedy=remedy) from error
        from torch import nn

        found: list[nn.Module] = []
        if FLIP in self.changes:
            found.append(kornia.RandomHorizontalFlip(p=0.5))
        if SHIFT in self.changes or ROTATE in self.changes:  # one interpolation for both
            found.append(
                kornia.RandomAffine(
                    degrees=LARGEST_ANGLE if ROTATE in self.changes else 0.0,
                    translate=(LARGEST_SHIFT, LARGEST_SHIFT) if SHIFT in self.changes else None,
                    padding_mode="border",  # black edges would tell the network how an image was moved
                    p=1.0,
                )
            )
        if COLOUR in self.changes:
            factors = (1 - LARGEST_FACTOR, 1 + LARGEST_FACTOR)
            found += [kornia.RandomBrightness(factors, p=1.0), kornia.RandomContrast(factors, p=1.0)]
            found += [kornia.RandomSaturation(factors, p=1.0)] if channels == 3 else []
        return nn.Sequential(*found)


def of_field(augment: Any) -> Augmentation | None:
    """Return the changes that a checked field names; ``None``: it is null."""
    if augment is None:
        return None
    return Augmentation((FLIP, SHIFT) if augment == LIGHT else tuple(augment))


class Augmenter:
    """Changes mini-batches of training images.

    Args:
        augmentation: the changes.
        channels: of an image.
        seed: of the fit.

    Raises:
        RequestError: kornia is not installed.
    """

    def __init__(self, augmentation: Augmentation, channels: int, seed: int) -> None:
        self._module, self._seed = augmentation.module(channels), seed

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
        # kornia draws from torch's own generator, whose state dropout depends on.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
            changed: Tensor = self._module(images)
        return changed
