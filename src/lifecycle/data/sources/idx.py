"""IDX files, the format of MNIST: a header with the shape, then bytes."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

UNSIGNED_BYTE = 0x08
PARTS = ("train", "t10k")  # 60,000 and 10,000 images, in this order


def parse(content: bytes, name: str) -> np.ndarray[Any, Any]:
    """Return the array of an IDX file, ``uint8``, with the shape in its header.

    Args:
        content: of the file.
        name: of the file, for messages.

    Raises:
        RequestError: the header is not an IDX header of bytes, or does not fit the size of the file.
    """
    import numpy as np

    zeros, kind, dims = struct.unpack(">HBB", content[:4]) if len(content) >= 4 else (1, 0, 0)
    if zeros or kind != UNSIGNED_BYTE or not dims or len(content) < 4 + 4 * dims:
        problem = f"is no IDX file of bytes: it begins with {content[:4].hex()}"
        raise RequestError(name, problem, remedy="Download it again.")
    # IDX files are big-endian.
    shape = struct.unpack(f">{dims}I", content[4 : 4 + 4 * dims])
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dims)
    if len(values) != math.prod(shape):
        problem = f"states {' x '.join(map(str, shape))} values and holds {len(values)}"
        raise RequestError(name, problem, remedy="Download it again.")
    return values.reshape(shape)


def digits(files: dict[str, bytes]) -> pd.DataFrame:
    """Return MNIST as rows: the training images, then the test images; one column for each pixel, and ``digit``.

    Args:
        files: name -> content, ``<part>-images-idx3-ubyte`` and ``<part>-labels-idx1-ubyte``.

    Raises:
        RequestError: a file is not an IDX file, or the numbers of labels and images differ.
    """
    import numpy as np
    import pandas as pd

    pixels, labels = [], []
    for part in PARTS:
        names = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
        images, codes = (parse(files[name], name) for name in names)
        if images.ndim != 3 or codes.ndim != 1 or len(images) != len(codes):
            problem = f"has the shape {codes.shape} and {names[0]} {images.shape}: not one label for each image"
            raise RequestError(names[1], problem, remedy="Download both again.")
        pixels.append(images)
        labels.append(codes)
    images = np.concatenate(pixels)
    _, height, width = images.shape
    columns = [f"pixel_{row}_{column}" for row in range(height) for column in range(width)]
    # From one array, so that pandas keeps one block of memory: with a block for each column, it needs seconds.
    frame = pd.DataFrame(images.reshape(len(images), -1), columns=columns)
    return frame.assign(digit=np.concatenate(labels))
