"""Images in a folder with one sub-folder for each class: lists and reads them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.data.formats.names import IMAGE_ENDINGS
from lifecycle.errors import RequestError, Setting, did_you_mean
from lifecycle.runtime.files.digests import sha256
from lifecycle.runtime.quiet import ignored

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FILE, DIGEST = "file", "sha256"  # columns of the raw rows

HIDDEN_FILES = ("thumbs.db", "desktop.ini")
"""Hidden files of Windows, in lower case; on other systems hidden files begin with a dot."""

MODES = {1: "L", 3: "RGB"}
"""Number of channels -> Pillow's mode."""

DEEP = "I;16"
"""What Pillow's modes of grey images of 16 bits begin with."""

TRAIN, VAL, TEST = "train", "validation", "test"
PARTS = {"train": TRAIN, "training": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST, "testing": TEST}
"""Names of folders, in lower case, that hold the classes of one part each -> the part of a sample."""


GIVE_A_FOLDER = "Give a folder with one sub-folder of images for each class"
CONVERTED = ", and each image is converted to it."


def read(path: str, target: str) -> pd.DataFrame:
    """Return one row for each image, sorted by class and name.

    Args:
        path: the folder.
        target: name of the column of classes.

    Raises:
        RequestError: the folder does not exist, or contains something else than images of classes.
    """
    import pandas as pd

    top = Path(path).expanduser()
    if not top.is_dir():
        names = [other.name for other in top.parent.iterdir()] if top.parent.is_dir() else []
        remedy = f"{did_you_mean(top.name, names)} {GIVE_A_FOLDER}, or a CSV or Parquet file."
        raise RequestError(Setting("data.path", path), "is no folder", remedy=remedy)
    # Else the frame would have two columns of one name.
    if target in (FILE, DIGEST):
        problem = "is the name of another column"
        raise RequestError(Setting("data.target", target), problem, remedy="Leave it out, or use another.")
    # The digest of each file makes the digest of the rows one of the images, not only of their names.
    rows = [(file.relative_to(top).as_posix(), folder.name, sha256(file)) for folder, file in _files(path, top)]
    return pd.DataFrame(rows, columns=[FILE, target, DIGEST])


def read_listed(frame: pd.DataFrame, path: str, folder: str, column: str) -> pd.DataFrame:
    """Return rows that name image files, with the digest of each file.

    Args:
        frame: rows of a table.
        path: of the table, for messages.
        folder: to which the names are relative.
        column: of the names.

    Raises:
        RequestError: a file does not exist, or the table has a column of digests.
    """
    if DIGEST in frame.columns:
        problem = f"has the column {DIGEST}, which the digests of the files take"
        raise RequestError(Setting("data.path", path), problem, remedy=["Rename it with ", Setting("data.rename"), "."])
    files = [Path(folder) / str(name) for name in frame[column]]
    for row, file in enumerate(files):
        if not file.is_file():
            problem = f"is no file, in row {row} of {path}"
            raise RequestError(Setting(column, frame[column].iloc[row]), problem, remedy="Fix the path.")
    return frame.assign(**{DIGEST: [sha256(file) for file in files]})


def parts_of(files: Iterable[Any]) -> np.ndarray[Any, Any] | None:
    """Return the part of each file, of a folder with folders for parts; ``None``: the folder has none.

    Args:
        files: as :func:`read` returns them.
    """
    import numpy as np

    places = [str(file).split("/") for file in files]
    if any(len(place) != 3 for place in places):  # part, class, image
        return None
    return np.array([PARTS[place[0].lower()] for place in places], dtype=object)


def _files(path: str, top: Path) -> Iterable[tuple[Path, Path]]:
    """Yield each image with the folder of its class."""
    parts = [entry for entry in _visible(top) if entry.is_dir()]
    names = [PARTS.get(entry.name.lower()) for entry in parts]
    if TRAIN not in names or None in names or len(parts) < 2 or not any(map(_has_folders, parts)):
        yield from _files_of_classes(path, top, top)
        return
    if repeated := next((name for name in names if names.count(name) > 1), None):
        problem = f"has two folders for the part {repeated}"
        raise RequestError(Setting("data.path", path), problem, remedy="Merge them.")
    for part in parts:
        yield from _files_of_classes(path, part, top)


def _has_folders(folder: Path) -> bool:
    return any(entry.is_dir() for entry in _visible(folder))


def _files_of_classes(path: str, folder_of_classes: Path, top: Path) -> Iterable[tuple[Path, Path]]:
    entries, key = _visible(folder_of_classes), Setting("data.path", path)
    folders = [entry for entry in entries if entry.is_dir()]
    if not folders:
        raise RequestError(key, "has no sub-folders", remedy=f"{GIVE_A_FOLDER}.")
    loose = next((entry for entry in entries if not entry.is_dir()), None)
    if loose:
        raise RequestError(key, f"has {loose.name} outside the sub-folders of the classes", remedy="Move it away.")
    if len(folders) < 2:
        raise RequestError(key, f"has one class only, {folders[0].name}", remedy=f"{GIVE_A_FOLDER}, two or more.")
    for folder in folders:
        files = _visible(folder)
        if not files:
            raise RequestError(key, f"has no image in {folder.name}", remedy="Add images, or remove the folder.")
        for file in files:
            name = file.relative_to(top).as_posix()
            if file.is_dir():
                remedy = "Give the folder whose sub-folders are the classes."
                raise RequestError(key, f"has the folder {name} within a class", remedy=remedy)
            if file.suffix.lower() not in IMAGE_ENDINGS:
                raise _no_image(key, name)
            yield folder, file


def _no_image(key: Setting, name: str) -> RequestError:
    remedy = f"Move it away; images end in {', '.join(IMAGE_ENDINGS)}."
    return RequestError(key, f"has {name}, which is no image", remedy=remedy)


def images_in(path: str) -> list[str]:
    """Return the paths of the images in a folder and its sub-folders, or of one image.

    Raises:
        RequestError: a file is not an image, or there is none.
    """
    top = Path(path).expanduser()
    if top.is_file():
        return [str(top)]
    found = []
    for folder in [top, *(entry for entry in sorted(top.rglob("*")) if entry.is_dir())]:
        # rglob() enters hidden folders too.
        if any(part.startswith(".") for part in folder.relative_to(top).parts):
            continue
        for file in _visible(folder):
            if file.is_file() and file.suffix.lower() not in IMAGE_ENDINGS:
                raise _no_image(Setting("input", path), file.relative_to(top).as_posix())
            found += [str(file)] if file.is_file() else []
    if not found:
        remedy = f"Give a folder with files that end in {', '.join(IMAGE_ENDINGS)}."
        raise RequestError(Setting("input", path), "has no images", remedy=remedy)
    return found


def _visible(folder: Path) -> list[Path]:
    # Sorted by name: the order of iterdir depends on the file system, and the split depends on the order.
    entries = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return sorted((entry for entry in entries if entry.name.lower() not in HIDDEN_FILES), key=lambda entry: entry.name)


def load(path: str, files: Iterable[Any], shape: list[int], listed: bool = True) -> np.ndarray[Any, Any]:
    """Read images into ``(images, channels, height, width) uint8``; ``uint16`` if one has 16 bits.

    Args:
        path: the folder of the training images.
        files: names of files.
        shape: convert each image to grey or colour (without transparency) and resize it to this shape; ``[]``: all
            must have the shape of the first.
        listed: the names are relative to ``path``, as :func:`read` returns them; otherwise relative to the working
            folder or, where no such file exists, to ``path``.

    Raises:
        RequestError: names the file that cannot be used.
    """
    import numpy as np

    images: list[np.ndarray[Any, Any]] = []
    first = ""
    for name in files:
        image = _read(_locate(path, str(name), listed), shape)
        if images and image.shape != images[0].shape:
            channels = max(len(image), len(images[0]))
            height, width = images[0].shape[1:]
            raise RequestError(
                Setting("data.path", path),
                f"has images of different shapes: {first} is {_sizes(images[0])} and {name} is {_sizes(image)}",
                remedy=["Add for instance ", Setting("data.shape", [channels, height, width]), CONVERTED],
            )
        first = first or str(name)
        images.append(image)
    if any(image.dtype == np.uint16 for image in images):  # 255 of 8 bits is as bright as 65,535 of 16
        images = [image if image.dtype == np.uint16 else image * np.uint16(257) for image in images]
    return np.stack(images)


def _sizes(image: np.ndarray[Any, Any]) -> str:
    return " x ".join(map(str, image.shape))


def _locate(path: str, name: str, listed: bool) -> Path:
    direct, inside = Path(name).expanduser(), Path(path).expanduser() / name
    file = inside if listed or not direct.is_file() else direct
    if not file.is_file():
        problem = f"is neither in {path} nor in the working folder"
        raise RequestError(Setting("file", name), problem, remedy="Give the path of an image.")
    return file


def _read(file: Path, shape: list[int]) -> np.ndarray[Any, Any]:
    """Return one image: ``(channels, height, width) uint8``, or ``uint16`` of 16 bits."""
    import numpy as np
    from PIL import Image

    try:
        with ignored(Image.DecompressionBombWarning), Image.open(file) as image:
            _check_size(image, file, Image.MAX_IMAGE_PIXELS)
            _check_kind(image, file, shape)
            is_deep = image.mode.startswith(DEEP)
            convert = _converted_deep if is_deep else _converted
            pixels = np.asarray(convert(image, shape) if shape else image, dtype=np.uint16 if is_deep else np.uint8)
    except Image.DecompressionBombError as error:
        problem = f"is too large: {str(error).partition(',')[0]}"
        raise RequestError(str(file), problem, remedy="Make it smaller.") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:  # Pillow's errors for damaged files
        why = "Pillow does not know its format" if "cannot identify" in str(error) else str(error)
        raise RequestError(str(file), f"cannot be read as an image: {why}", remedy="Fix or remove it.") from error
    # Pillow has the channels last, and torch first.
    return pixels[np.newaxis] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _converted(image: Any, shape: list[int]) -> Any:
    from PIL import Image

    channels, height, width = shape
    converted = image.convert(MODES[channels])
    return converted if image.size == (width, height) else converted.resize((width, height), Image.Resampling.BILINEAR)


def _converted_deep(image: Any, shape: list[int]) -> np.ndarray[Any, Any]:
    """Resize a grey image of 16 bits; as a colour image it has three equal channels."""
    import numpy as np
    from PIL import Image

    channels, height, width = shape
    pixels = np.asarray(image, dtype=np.uint16)
    if image.size != (width, height):  # Pillow interpolates in single precision, which holds 16 bits exactly
        large = Image.fromarray(pixels.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.rint(np.asarray(large)).astype(np.uint16)
    return pixels if channels == 1 else np.stack([pixels] * channels, axis=-1)


def _check_size(image: Any, file: Path, most: int | None) -> None:
    """Refuse images of which Pillow only warns: a small compressed file may have more pixels than fit into memory."""
    pixels = image.width * image.height
    if most is not None and pixels > most:
        problem = f"is too large: Image size ({pixels} pixels) exceeds limit of {most} pixels"
        raise RequestError(str(file), problem, remedy="Make it smaller.")


def _check_kind(image: Any, file: Path, shape: list[int]) -> None:
    """Refuse images that would lose information when read as one image of 8 or 16 bits."""
    # Some of Pillow's formats have no attribute n_frames.
    if getattr(image, "n_frames", 1) > 1:
        raise RequestError(str(file), f"has {image.n_frames} frames", remedy="Save each frame as a file.")
    if image.mode.startswith(DEEP):
        return
    if image.mode.startswith(("I", "F")):
        problem = f"has pixels of 32 bits (mode {image.mode})"
        raise RequestError(str(file), problem, remedy="Save it with 8 or 16 bits.")
    if not shape and image.mode not in MODES.values():
        width, height = image.size
        raise RequestError(
            str(file),
            f"is neither grey nor red, green and blue (mode {image.mode})",
            remedy=["Add ", Setting("data.shape", [3, height, width]), CONVERTED],
        )
