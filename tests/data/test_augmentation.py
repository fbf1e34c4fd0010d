"""Random changes of training images: of these only, the same for the same seed, and none of the labels."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import kornia
import mlflow
import numpy as np
import pytest
import torch

from lifecycle.config.schema import TrainerConfig
from lifecycle.data.augmentation import CHANGES, Augmentation, Augmenter, _coloured, of_field
from lifecycle.data.batches import Batches
from lifecycle.data.kinds.images import Images
from lifecycle.data.load import load
from lifecycle.errors import RequestError
from lifecycle.fit.trainer import training_batches
from tests.conftest import Command
from tests.data.test_image_folders import pixels, save

IMAGES = torch.from_numpy(np.random.default_rng(0).random((40, 3, 12, 10), dtype=np.float32))


def changed(*changes: str, images: torch.Tensor = IMAGES, seed: int = 1, epoch: int = 0, number: int = 0) -> Any:
    return Augmenter(Augmentation(changes), seed)(images, epoch, number)


def test_a_flip_exchanges_left_and_right_of_about_half() -> None:
    flipped = [torch.equal(one, image.flip(-1)) for one, image in zip(changed("flip"), IMAGES, strict=True)]
    same = [torch.equal(one, image) for one, image in zip(changed("flip"), IMAGES, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 10 < sum(flipped) < 30


def test_a_shift_moves_by_a_tenth_at_most_and_repeats_the_edges() -> None:
    ramp = torch.arange(40, dtype=torch.float32).div(40).expand(20, 1, 40, 40).contiguous()
    moved = (changed("shift", images=ramp) - ramp)[:, :, 8:-8, 8:-8] * 40  # in pixels, away from the edges
    assert 2 < float(moved.abs().max()) <= 4.0001
    assert float(moved.std(dim=(1, 2, 3)).max()) < 1e-3  # the whole image by the same
    plain = torch.full((20, 3, 8, 8), 0.7)
    torch.testing.assert_close(changed("shift", "rotate", images=plain), plain)  # no black corner


def test_a_rotation_keeps_the_middle() -> None:
    image = torch.zeros(20, 1, 21, 21)
    image[:, :, 9:12, 9:12] = 1.0
    turned = changed("rotate", images=image)
    assert not torch.equal(turned, image)
    torch.testing.assert_close(turned[:, :, 10, 10], image[:, :, 10, 10])


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_stay_between_0_and_1_and_places_stay(channels: int) -> None:
    found = changed("colour", images=IMAGES[:, :channels])
    assert found.min() >= 0
    assert found.max() <= 1
    grey = torch.full((20, channels, 4, 4), 0.5)
    spread = changed("colour", images=grey).flatten(1)
    assert float((spread.max(1).values - spread.min(1).values).max()) < 1e-5
    assert 0.05 < float((spread.mean(1) - 0.5).abs().max()) < 0.25


def test_places_and_colours_are_those_of_kornia() -> None:
    generator = torch.Generator().manual_seed(0)
    between, flipped = 2 * torch.rand(40, 3, generator=generator) - 1, torch.rand(40, generator=generator) < 0.5
    mirrored = torch.where(flipped[:, None, None, None], IMAGES.flip(-1), IMAGES)
    all_changes = Augmentation(CHANGES)
    torch.testing.assert_close(all_changes._moved(IMAGES, flipped, torch.zeros(40, 3)), mirrored)
    shift = between[:, 1:] * torch.tensor([1.0, 1.2])  # a tenth of 10 x 12 pixels
    turned = kornia.geometry.rotate(mirrored, -15 * between[:, 0], padding_mode="border")
    found = all_changes._moved(IMAGES, flipped, between * torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(found, turned, atol=1e-4, rtol=0)
    moved = kornia.geometry.translate(mirrored, shift, padding_mode="border")
    found = all_changes._moved(IMAGES, flipped, between * torch.tensor([0.0, 1.0, 1.0]))
    torch.testing.assert_close(found, moved, atol=1e-4, rtol=0)
    factors, middle = 1 + 0.2 * between, IMAGES * 0.2 + 0.4  # no colour is cut off at 0 or 1
    bright = kornia.enhance.adjust_brightness(middle, factors[:, 0] - 1)
    wanted = kornia.enhance.adjust_contrast(bright, factors[:, 1])
    torch.testing.assert_close(_coloured(middle[:, :1], factors), wanted[:, :1])
    wanted = kornia.enhance.adjust_saturation_with_gray_subtraction(wanted, factors[:, 2])
    torch.testing.assert_close(_coloured(middle, factors), wanted, atol=1e-4, rtol=0)


def test_equal_seeds_give_equal_images_and_leave_the_generator() -> None:
    before = torch.get_rng_state()
    first = changed("flip", "shift", "rotate", "colour")
    assert torch.equal(first, changed("flip", "shift", "rotate", "colour"))
    assert torch.equal(torch.get_rng_state(), before)
    for other in ({"seed": 2}, {"epoch": 1}, {"number": 1}):
        assert not torch.equal(first, changed("flip", "shift", "rotate", "colour", **other))


@pytest.mark.parametrize("steps", [1, 3])
def test_batches_are_changed_the_same_however_they_are_chunked(steps: int) -> None:
    targets = torch.arange(40)
    batches = Batches(IMAGES, targets, 8, 5, augment=Augmenter(Augmentation(("flip", "shift")), 5))
    plain = Batches(IMAGES, targets, 8, 5)
    pairs = zip((b for c in batches.chunks(steps) for b in c), plain, strict=True)
    wanted = Augmenter(Augmentation(("flip", "shift")), 5)
    for number, (one, other) in enumerate(pairs):
        assert torch.equal(one[1], other[1])
        assert torch.equal(one[0], wanted(other[0], 0, number))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for number in range(10):
        save(tmp_path / "pets" / "dog" / f"{number}.png", pixels(number, (8, 8, 3)))
        save(tmp_path / "pets" / "cat" / f"{number}.png", pixels(100 + number, (8, 8, 3)))
    return tmp_path / "pets"


def test_training_rows_are_changed_and_no_statistic_is(pets: Path) -> None:
    plain = load(Images(path=str(pets)), "pets", "images", 0)
    found = load(Images(path=str(pets), augment="light"), "pets", "images", 0)
    assert found.augmentation == of_field(["flip", "shift"])
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(found, part).inputs, getattr(plain, part).inputs)
    assert found.digest == plain.digest
    config = TrainerConfig(batch_size=4)
    batch, unchanged = (next(iter(training_batches(config, data, 0))) for data in (found, plain))
    assert not torch.equal(batch[0], unchanged[0])
    assert torch.equal(batch[1], unchanged[1])
    again = replace(found, augmentation=None)
    assert torch.equal(next(iter(training_batches(config, again, 0)))[0], unchanged[0])


@pytest.mark.parametrize("augment", ["strong", ["flip", "flip"], ["zoom"], [], 3])
def test_an_unknown_change_is_refused(augment: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^augment must name each random change .* Use light, or a list of flip, shift,"
    ):
        Images(path="pets", augment=augment)


def test_without_kornia_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "kornia":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        RequestError, match=r"^data\.augment=\[flip\] needs kornia, which is not installed\. Run pip inst"
    ):
        changed("flip")


SCORES = ("train_loss", "val_loss", "test_loss")


def test_an_augmented_run_is_repeated_and_resumed_to_the_same_bits(
    pets: Path, job: Command, runs: Callable[[], list[mlflow.entities.Run]]
) -> None:
    words = ("model=cnn", "data=images", "data.path=pets", "data.augment=[flip,rotate]", "trainer.batch_size=4")
    assert job(*words, "trainer.max_epochs=3", "trainer.early_stopping=false").code == 0
    rerun = job("rerun", "run=latest")
    assert "reproduced: all scores equal" in rerun.out
    assert job("resume", "run=latest", "trainer.max_epochs=4").code == 0
    assert job(*words, "trainer.max_epochs=4", "trainer.early_stopping=false").code == 0
    continued, longer = (run.data.metrics for run in runs()[-2:])
    assert {name: continued[name] for name in SCORES} == {name: longer[name] for name in SCORES}
