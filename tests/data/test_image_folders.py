"""Images in a folder with one sub-folder for each class: read unchanged; other files are refused by name."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lifecycle.data import dataset
from lifecycle.data import load as load_module
from lifecycle.data.columns.kinds import column_kinds, describe
from lifecycle.data.kinds.images import Images
from lifecycle.data.sources import image_folders
from lifecycle.errors import RequestError
from lifecycle.testing import check_data_plugin
from tests.conftest import Command
from tests.rows import held_out

Make = Callable[..., Path]


def pixels(seed: int, shape: tuple[int, ...] = (6, 5)) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def save(file: Path, values: np.ndarray[Any, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(file)
    return file


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Make a folder of ten grey images of 6 x 5 in each of two classes."""
    for number in range(10):
        save(tmp_path / "pets" / "dog" / f"{number}.png", pixels(number))
        save(tmp_path / "pets" / "cat" / f"{number}.png", pixels(100 + number))
    return tmp_path / "pets"


def load(folder: Path, **fields: Any) -> dataset.Dataset:
    return load_module.load(Images(path=str(folder), **fields), "pets", "images", 0)


def refused(folder: Path, **fields: Any) -> str:
    with pytest.raises(RequestError) as caught:
        load(folder, **fields)
    return str(caught.value).replace(str(folder), "pets")


def test_a_sub_folder_is_a_class_and_its_images_are_its_rows(pets: Path) -> None:
    (pets / ".DS_Store").write_bytes(b"")
    (pets / "dog" / "Thumbs.db").write_bytes(b"")
    plugin = Images(path=str(pets))
    frame = plugin.read()
    assert list(frame) == ["file", "label", "sha256"]
    assert frame["file"].tolist() == [f"{kind}/{number}.png" for kind in ("cat", "dog") for number in range(10)]
    assert frame["label"].tolist() == ["cat"] * 10 + ["dog"] * 10
    samples = plugin.samples(frame)
    wanted = np.stack([pixels(100 + n) for n in range(10)] + [pixels(n) for n in range(10)])[:, np.newaxis]
    np.testing.assert_array_equal(np.asarray(samples.inputs), wanted)
    assert describe(column_kinds(plugin, frame)) == "image files: file"


def test_pixels_are_divided_by_255(pets: Path) -> None:
    data = load(pets)
    assert data.spec.input_shape == (1, 6, 5)
    assert data.spec.class_names == ("cat", "dog")
    assert data.spec.target_name == "label"
    assert data.columns == ("file",)
    raw = Images(path=str(pets)).samples(Images(path=str(pets)).read()).inputs
    np.testing.assert_allclose(data.train.inputs.numpy(), np.asarray(raw)[data.train.rows] / np.float32(255), rtol=1e-6)
    brighter = load(pets, max_value=510)
    np.testing.assert_allclose(brighter.train.inputs.numpy() * 2, data.train.inputs.numpy(), rtol=1e-6)


def test_images_that_are_dark_stay_dark(pets: Path) -> None:
    for file in pets.rglob("*.png"):
        save(file, pixels(1) // 5)
    assert float(load(pets).train.inputs.max()) == pytest.approx((pixels(1) // 5).max() / 255)


def test_the_target_may_have_another_name(pets: Path) -> None:
    assert load(pets, target="animal").spec.target_name == "animal"
    assert refused(pets, target="sha256") == (
        "data.target=sha256 is the name of another column. Leave it out, or use another."
    )


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "webp", "tif", "PNG"])
def test_colours_come_first_and_any_lossless_format_is_read(tmp_path: Path, ending: str) -> None:
    colours = {"a": pixels(1, (4, 5, 3)), "b": pixels(2, (4, 5, 3))}
    for kind, values in colours.items():
        file = tmp_path / kind / f"x.{ending}"
        file.parent.mkdir()
        Image.fromarray(values).save(file, **({"lossless": True} if ending == "webp" else {}))
    shape = [3, 4, 5] if ending == "gif" else []  # a GIF has a palette
    images = image_folders.load(str(tmp_path), [f"a/x.{ending}", f"b/x.{ending}"], shape)
    assert images.shape == (2, 3, 4, 5)
    np.testing.assert_array_equal(images, np.stack([values.transpose(2, 0, 1) for values in colours.values()]))


def test_images_are_converted_to_a_shape_that_is_given(pets: Path) -> None:
    save(pets / "cat" / "0.png", pixels(7, (12, 10, 3)))
    images = image_folders.load(str(pets), ["cat/0.png", "cat/1.png"], [1, 12, 10])
    np.testing.assert_array_equal(images[0, 0], np.asarray(Image.fromarray(pixels(7, (12, 10, 3))).convert("L")))
    larger = Image.fromarray(pixels(101)).resize((10, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images[1, 0], np.asarray(larger))
    coloured = image_folders.load(str(pets), ["cat/1.png"], [3, 6, 5])
    np.testing.assert_array_equal(coloured[0], np.stack([pixels(101)] * 3))
    assert load(pets, shape=[3, 8, 8]).spec.input_shape == (3, 8, 8)


def test_the_digest_is_of_the_pixels_and_not_of_the_place(pets: Path) -> None:
    before = load(pets).digest
    moved = pets.rename(pets.with_name("moved"))
    assert load(moved).digest == before
    save(moved / "dog" / "3.png", pixels(3) ^ 1)
    assert load(moved).digest != before


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(200, 10**6))
def test_what_the_held_out_images_hold_moves_no_statistic(pets: Path, seed: int) -> None:
    before = load(pets)
    names = Images(path=str(pets), keep_duplicates_together=False).read()["file"]
    for row in held_out(before):
        save(pets / names[row], pixels(seed + int(row)))
    after = load(pets)
    assert before.train.rows.tolist() == after.train.rows.tolist()
    np.testing.assert_array_equal(before.train.inputs.numpy(), after.train.inputs.numpy())
    assert before.preprocessing.inputs.scale_.tolist() == after.preprocessing.inputs.scale_.tolist()


def test_a_folder_keeps_the_contract(pets: Path) -> None:
    check_data_plugin("images", path=str(pets))


def test_images_of_different_shapes_are_refused_by_name(pets: Path) -> None:
    save(pets / "dog" / "4.png", pixels(1, (7, 5)))
    assert refused(pets) == (
        "data.path=pets has images of different shapes: cat/0.png is 1 x 6 x 5 and dog/4.png is 1 x 7 x 5. Add for "
        "instance data.shape=[1,6,5], and each image is converted to it."
    )


def bomb(file: Path, side: int = 60_000) -> None:
    """Write a PNG that claims to be of `side` x `side` pixels."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0), b"IDAT" + zlib.compress(b"\0"), b"IEND"]
    framed = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(framed))


def animation(file: Path) -> None:
    first, *others = (Image.fromarray(pixels(seed)) for seed in (1, 2, 3))
    first.save(file.with_suffix(".gif"), save_all=True, append_images=others)
    file.unlink()


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no image": (
        lambda file: file.write_bytes(b"hello"),
        "dog/4.png cannot be read as an image: Pillow does not know its format. Fix or remove it.",
    ),
    "nothing": (lambda file: file.write_bytes(b""), "dog/4.png cannot be read as an image: Pillow does not know its f"),
    "cut off": (
        lambda file: file.write_bytes(file.read_bytes()[:50]),
        "dog/4.png cannot be read as an image: ",
    ),
    "a bomb": (bomb, "dog/4.png is too large: Image size (3600000000 pixels) exceeds limit of"),
    "half a bomb": (
        lambda file: bomb(file, 10_000),  # of which Pillow only warns
        "dog/4.png is too large: Image size (100000000 pixels) exceeds limit of",
    ),
    "an animation": (animation, "dog/4.gif has 3 frames. Save each frame as a file."),
    "32 bits": (
        lambda file: Image.fromarray(pixels(1).astype(np.float32)).save(file.with_suffix(".tif")),
        "dog/4.tif has pixels of 32 bits (mode F). Save it with 8 or 16 bits.",
    ),
    "a palette": (
        lambda file: Image.fromarray(pixels(1)).convert("P").save(file),
        "dog/4.png is neither grey nor red, green and blue (mode P). Add data.shape=[3,6,5], and each image is conv",
    ),
    "a text": (
        lambda file: (file.parent / "notes.txt").write_text("hello"),
        "has dog/notes.txt, which is no image. Move it away; images end in .png, .jpg,",
    ),
    "a folder in a class": (
        lambda file: (file.parent / "young").mkdir(),
        "has the folder dog/young within a class. Give the folder whose sub-folders are the classes.",
    ),
    "a loose image": (
        lambda file: save(file.parents[1] / "loose.png", pixels(1)),
        "has loose.png outside the sub-folders of the classes. Move it away.",
    ),
    "an empty class": (
        lambda file: (file.parents[1] / "emu").mkdir(),
        "has no image in emu. Add images, or remove the folder.",
    ),
}


@pytest.mark.parametrize(("harm", "sentence"), FAULTS.values(), ids=list(FAULTS))
def test_what_is_not_fit_is_refused_by_name(pets: Path, harm: Callable[[Path], object], sentence: str) -> None:
    harm(pets / "dog" / "4.png")
    message = refused(pets)
    assert sentence in message
    assert "\n" not in message


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    none = "data.path=pets has no sub-folders. Give a folder with one sub-folder of images for each class."
    assert refused(tmp_path / "pets") == none
    save(tmp_path / "pets" / "loose.png", pixels(1))
    assert refused(tmp_path / "pets") == none
    (tmp_path / "pets" / "loose.png").unlink()
    save(tmp_path / "pets" / "cat" / "1.png", pixels(1))
    assert refused(tmp_path / "pets").startswith(
        "data.path=pets has one class only, cat. Give a folder with one sub-folder of images for each class, two or"
    )


def test_a_folder_that_is_not_there_is_refused_with_the_nearest(pets: Path) -> None:
    with pytest.raises(
        RequestError,
        match=rf"^data\.path={re.escape(str(pets))}s is no folder\. Did you mean pets\? Give a folder with one su",
    ):
        load(pets.with_name("petss"))


def test_classes_named_by_numbers_are_in_order_of_their_value(tmp_path: Path) -> None:
    for kind in ("9", "10", "11"):
        for number in range(5):
            save(tmp_path / kind / f"{number}.png", pixels(number))
    assert load(tmp_path).spec.class_names == ("9", "10", "11")


def test_a_run_on_a_folder_predicts_new_files(pets: Path, job: Command, tmp_path: Path) -> None:
    import lifecycle
    from lifecycle.predict import saved_model

    assert job("--version").code == 0  # the working folder is ready
    arguments = ["model=mlp", "data=images", "data.path=pets", "trainer.max_epochs=2"]
    result = lifecycle.run([*arguments, "verbose=0", "tracking.figures=false"])
    frame = Images(path="pets").read()
    of_test = result.model.predict(frame)["predicted"].to_numpy()[result.predictions["row"]]
    assert of_test.tolist() == result.predictions["predicted"].tolist()
    # Elsewhere, without the folder: a path of one's own is enough.
    pets.rename(tmp_path / "gone")
    model = saved_model.load(next((tmp_path / "mlruns").rglob("lifecycle.json")).parent)
    again = model.predict(pd.DataFrame({"file": [f"gone/{name}" for name in frame["file"]]}))
    pd.testing.assert_frame_equal(again, result.model.predict(frame.assign(file=[f"gone/{n}" for n in frame["file"]])))
    with pytest.raises(RequestError, match=r"^file=cat/0\.png is neither in pets nor in the working folder\. Give the"):
        model.predict(frame)
    save(tmp_path / "large.png", pixels(1, (9, 9)))
    with pytest.raises(RequestError, match=r"^input has samples of 1 x 9 x 9, and this model takes 1 x 6 x 5\."):
        model.predict(pd.DataFrame({"file": ["large.png"]}))


def test_a_run_on_a_folder_names_each_rows_file_and_its_model_does_not(pets: Path, job: Command) -> None:
    import json

    import yaml

    arguments = ["model=mlp", f"data.path={pets}", "trainer.max_epochs=1", "tracking.figures=false"]
    assert job("data=images", *arguments).err == ""
    table = pd.read_csv(next(pets.parent.rglob("predictions.csv")))
    assert list(table) == ["row", "file", "actual", "predicted", "probability_cat", "probability_dog"]
    assert table["file"].tolist() == Images(path=str(pets)).read()["file"][table["row"]].tolist()
    assert [name.split("/")[0] for name in table["file"]] == table["actual"].tolist()
    signature = yaml.safe_load(next(pets.parent.rglob("MLmodel")).read_text())["signature"]
    outputs = [column["name"] for column in json.loads(signature["outputs"])]
    assert outputs == ["predicted", "probability_cat", "probability_dog"]
    assert [column["name"] for column in json.loads(signature["inputs"])] == ["file"]


def test_a_users_file_is_the_one_in_the_working_folder(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save(tmp_path / "here" / "cat" / "1.png", pixels(55))
    plugin = Images(path=str(pets))
    frame = plugin.read()
    rows = pd.DataFrame({"file": ["cat/1.png", "cat/2.png"]})
    here, in_path = np.asarray(plugin.samples(rows).inputs)
    np.testing.assert_array_equal(here[0], pixels(55))
    np.testing.assert_array_equal(in_path[0], pixels(102))  # only data.path has it
    listed = np.asarray(plugin.samples(frame).inputs)
    np.testing.assert_array_equal(listed[1, 0], pixels(101))  # what training read
    assert load(pets).digest == load(pets.rename(tmp_path / "moved")).digest


def test_images_some_of_which_are_in_colours_are_advised_to_be_all(pets: Path) -> None:
    save(pets / "dog" / "4.png", pixels(1, (7, 5, 3)))
    assert refused(pets).endswith("Add for instance data.shape=[3,6,5], and each image is converted to it.")
    save(pets / "cat" / "0.png", pixels(1, (8, 9, 3)))
    assert refused(pets) == (
        "data.path=pets has images of different shapes: cat/0.png is 3 x 8 x 9 and cat/1.png is 1 x 6 x 5. Add for "
        "instance data.shape=[3,8,9], and each image is converted to it."
    )
    assert load(pets, shape=[3, 8, 9]).spec.input_shape == (3, 8, 9)
