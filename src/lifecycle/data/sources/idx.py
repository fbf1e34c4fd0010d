"""IDX files, the format that MNIST is published in: a header of counts and sizes, then bytes."""

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
    """Return the array in an IDX file, ``uint8``, of the shape that its header states.

    Raises:
        RequestError: the header is no IDX header of bytes, or the sizes in it are not those of the file.
    """
    import numpy as np

    zeros, kind, dims = struct.unpack(">HBB", content[:4]) if len(content) >= 4 else (1, 0, 0)
    if zeros or kind != UNSIGNED_BYTE or not dims or len(content) < 4 + 4 * dims:
        problem = f"is no IDX file of bytes: it begins with {content[:4].hex()}"
        raise RequestError(name, problem, remedy="Download it again.")
    shape = struct.unpack(f">{dims}I", content[4 : 4 + 4 * dims])
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dims)
    if len(values) != math.prod(shape):
        problem = f"states {' x '.join(map(str, shape))} values and holds {len(values)}"
        raise RequestError(name, problem, remedy="Download it again.")
    return values.reshape(shape)


def digits(files: dict[str, bytes]) -> pd.DataFrame:
    """Return MNIST as rows: the training images, then the test images; a column a pixel, and ``digit``.

    Args:
        files: content by name, ``<part>-images-idx3-ubyte`` and ``<part>-labels-idx1-ubyte``.

    Raises:
        RequestError: a file is no IDX file, or there are not as many labels as images.
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
    # One block of bytes: a frame of a block a column takes seconds to make and to read.
    frame = pd.DataFrame(images.reshape(len(images), -1), columns=columns)
    return frame.assign(digit=np.concatenate(labels))
