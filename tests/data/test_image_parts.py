"""Images with 16 bits, in folders for training and test images, or named by a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.contract import Fold
from lifecycle.data import dataset
from lifecycle.data import load as load_module
from lifecycle.data.kinds.images import Images
from lifecycle.data.sources import image_folders
from lifecycle.errors import RequestError
from tests.conftest import Command
from tests.data.test_image_folders import pixels, save


def load(path: Path, fold: Fold | None = None, **fields: Any) -> dataset.Dataset:
    return load_module.load(Images(path=str(path), **fields), "pets", "images", 0, fold=fold)


def refused(path: Path, fold: Fold | None = None, **fields: Any) -> str:
    with pytest.raises(RequestError) as caught:
        load(path, fold, **fields)
    return str(caught.value).replace(str(path), "pets")


def deep(seed: int, shape: tuple[int, ...] = (6, 5)) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 65_536, shape).astype(np.uint16)


def folder_of_parts(top: Path, *parts: str, number: int = 6) -> Path:
    for place, part in enumerate(parts):
        for kind in ("cat", "dog"):
            for image in range(number):
                save(top / part / kind / f"{image}.png", pixels(100 * place + image))
    return top


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_are_read_in_full(tmp_path: Path, ending: str) -> None:
    for kind in ("a", "b"):
        for number in range(5):
            save(tmp_path / kind / f"{number}.{ending}", deep(number))
    images = image_folders.load(str(tmp_path), [f"a/3.{ending}"], [])
    np.testing.assert_array_equal(images[0, 0], deep(3))
    data = load(tmp_path)
    names = Images(path=str(tmp_path)).read()["file"].to_numpy()[data.train.rows]
    wanted = np.stack([deep(int(Path(name).stem)) for name in names])[:, np.newaxis] / np.float32(65_535)
    np.testing.assert_allclose(data.train.inputs[:], wanted, rtol=1e-6)


def test_8_and_16_bits_have_one_scale(tmp_path: Path) -> None:
    save(tmp_path / "a" / "0.png", pixels(1))
    save(tmp_path / "a" / "1.png", pixels(1).astype(np.uint16) * 257)
    images = image_folders.load(str(tmp_path), ["a/0.png", "a/1.png"], [])
    assert images.dtype == np.uint16
    np.testing.assert_array_equal(images[0], images[1])
    # A model of images of 16 bits takes one of 8 bits, which is as bright.
    plugin = Images(path=str(tmp_path))
    learnt = plugin.learn(images)
    eight = plugin.apply(learnt, image_folders.load(str(tmp_path), ["a/0.png"], []))
    np.testing.assert_allclose(eight, plugin.apply(learnt, images[:1]), rtol=1e-6)


def test_16_bits_are_resized_without_loss_of_depth(tmp_path: Path) -> None:
    save(tmp_path / "x.png", np.full((6, 4), 12_345, np.uint16))
    np.testing.assert_array_equal(image_folders.load("", [tmp_path / "x.png"], [1, 3, 2], False), 12_345)
    assert image_folders.load("", [tmp_path / "x.png"], [3, 3, 2], False).shape == (1, 3, 3, 2)


def test_folders_for_parts_are_the_split(tmp_path: Path) -> None:
    data = load(folder_of_parts(tmp_path, "train", "val", "test"))
    assert data.val is not None
    assert data.test is not None
    for part, name in ((data.train, "train"), (data.val, "val"), (data.test, "test")):
        assert part.files is not None
        assert {file.partition("/")[0] for file in part.files} == {name}
        assert len(part) == 12
    assert data.spec.class_names == ("cat", "dog")
    assert data.spec.target_name == "label"


def test_a_part_without_a_folder_is_drawn_from_the_training_images(tmp_path: Path) -> None:
    data = load(folder_of_parts(tmp_path, "training", "TEST", number=10))
    assert data.val is not None
    assert data.test is not None
    assert data.test.files is not None
    assert [len(part) for part in (data.train, data.val, data.test)] == [16, 4, 20]
    assert {file.partition("/")[0] for file in data.test.files} == {"TEST"}
    assert sorted(data.val.labels) == ["cat", "cat", "dog", "dog"]
    assert not set(data.train.rows) & set(data.val.rows)


def test_classes_that_are_called_train_and_test_are_classes(tmp_path: Path) -> None:
    for kind in ("train", "test"):
        for number in range(6):
            save(tmp_path / kind / f"{number}.png", pixels(number))
    assert load(tmp_path).spec.class_names == ("test", "train")


def test_folders_for_parts_have_no_folds_and_one_name_each(tmp_path: Path) -> None:
    top = folder_of_parts(tmp_path, "train", "test")
    assert refused(top, Fold(0, 3)) == (
        "cv.folds=3 needs rows that may be divided anew, and pets has folders for its parts. Leave it out, or give a "
        "folder with one sub-folder for each class as data.path."
    )
    folder_of_parts(tmp_path, "training")
    assert refused(top) == "data.path=pets has two folders for the part train. Merge them."


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Make a table of twenty images with a class and a size each."""
    rows = []
    for number in range(20):
        save(tmp_path / "photos" / f"{number}.png", pixels(number))
        rows.append((f"photos/{number}.png", "cat" if number % 2 else "dog", number / 7))
    pd.DataFrame(rows, columns=["image", "kind", "weight"]).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "labels.csv"


def test_a_table_names_images_and_their_labels(table: Path) -> None:
    data = load(table, file="image", target="kind")
    assert data.spec.class_names == ("cat", "dog")
    assert data.spec.input_shape == (1, 6, 5)
    assert data.column_kinds == {
        "image": "file",
        "kind": "target",
        "weight": "not read",
        "sha256": "digest of the file",
    }
    first = int(data.train.rows[0])
    np.testing.assert_allclose(data.train.inputs[:1].numpy()[0, 0], pixels(first) / np.float32(255), rtol=1e-6)
    changed = save(table.parent / "photos" / "0.png", pixels(77))
    assert load(table, file="image", target="kind").digest != data.digest
    changed.unlink()
    assert (
        refused(table, file="image", target="kind") == "image=photos/0.png is no file, in row 0 of pets. Fix the path."
    )


def test_a_value_may_be_learnt_from_images(table: Path) -> None:
    data = load(table, file="image", target="weight")
    assert data.spec.task == "regression"
    assert data.train.labels.tolist() == (data.train.rows / 7).tolist()


def test_a_table_of_images_that_is_not_fit_is_refused(table: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^shape must be .*, got \[\]\. Use for instance \[1,28,28\], or data\.file=<c"
    ):
        Images(path=str(table), target="kind")
    with pytest.raises(ValueError, match=r"^file must be left out for a folder of images, got image\. Leave it out\.$"):
        Images(path=str(table.parent), file="image")
    with pytest.raises(
        ValueError, match=r"^test_path must be left out for images, got a\.csv\. Use data\.split_column, or "
    ):
        Images(path=str(table), file="image", target="kind", test_path="a.csv")
    assert refused(table, file="picture", target="kind").startswith("data.file=picture is no column of pets.")
    frame = pd.read_csv(table).rename(columns={"weight": "sha256"})
    frame.to_csv(table, index=False)
    assert refused(table, file="image", target="kind") == (
        "data.path=pets has the column sha256, which the digests of the files take. Rename it with data.rename."
    )


def test_a_model_predicts_the_table_that_it_was_trained_on(
    table: Path, job: Command, lifecycle: Command, tmp_path: Path
) -> None:
    words = ("data=images", "data.path=labels.csv", "data.file=image", "data.target=kind")
    assert job("model=mlp", *words, "trainer.max_epochs=2").code == 0
    for source in ("labels.csv", "photos"):
        assert lifecycle("predict", "run=latest", f"input={source}", "output=out.csv").code == 0
        assert sorted(pd.read_csv(tmp_path / "out.csv")["image"].map(lambda name: Path(name).stem).astype(int)) == [
            *range(20)
        ]
