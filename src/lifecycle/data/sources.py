"""Where raw rows come from: a file of the user's, a data set of scikit-learn's, or one shipped with this package."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

SKLEARN_TARGETS = {
    "iris": "species",
    "wine": "cultivar",
    "breast_cancer": "diagnosis",
    "digits": "digit",
    "diabetes": "progression",
}
"""Data sets of scikit-learn, and the name that this package gives the column of their target."""


def read(path: str) -> pd.DataFrame:
    """Return the raw rows at ``path``.

    Args:
        path: a CSV or Parquet file, ``sklearn:<name>``, or ``lifecycle:<file>`` for a file of the package.

    Raises:
        RequestError: nothing is there, or it cannot be read without dropping or shifting something.
    """
    scheme, found, name = path.partition(":")
    if found and scheme == "sklearn":
        return _sklearn(name)
    if found and scheme == "lifecycle":
        with resources.as_file(resources.files("lifecycle.data.embedded") / name) as file:
            return _file(file, path)
    return _file(Path(path).expanduser(), path)


def _sklearn(name: str) -> pd.DataFrame:
    if name not in SKLEARN_TARGETS:
        raise RequestError(
            f"data.path=sklearn:{name} is not known.{did_you_mean(name, SKLEARN_TARGETS)} "
            f"Choose from: {', '.join(SKLEARN_TARGETS)}."
        )
    import sklearn.datasets

    loaded = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = loaded.data.copy()
    classes = loaded.get("target_names")
    target = SKLEARN_TARGETS[name]
    frame[target] = loaded.target if classes is None else [str(classes[code]) for code in loaded.target]
    return frame


def _csv(file: Path) -> pd.DataFrame:
    import pandas as pd

    # pyarrow refuses rows that are too short or too long; pandas' own parsers fill or shift them.
    return pd.read_csv(file, engine="pyarrow")


def _parquet(file: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(file)


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": _csv, ".parquet": _parquet}


def _file(file: Path, path: str) -> pd.DataFrame:
    if not file.is_file():
        raise RequestError(f"data.path={path} is no file{_beside(file)}. Give the path of a CSV or Parquet file.")
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise RequestError(
            f"data.path={path} ends in {file.suffix or 'nothing'}. Give a file ending in {' or '.join(_READERS)}."
        )
    try:
        frame = reader(file)
    except (ValueError, OSError, ImportError) as error:  # pandas' and pyarrow's own errors are ValueErrors
        raise RequestError(f"data.path={path} cannot be read: {_first_line(error)}. Mend the file.") from error
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise RequestError(f"data.path={path} has the column {repeated[0]} twice. Rename one of them.")
    if frame.empty:
        raise RequestError(f"data.path={path} has a header and no rows. Add rows.")
    return frame


def _beside(file: Path) -> str:
    names = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
    return did_you_mean(file.name, names, f"{file.parent}/").replace(" Did", "; did").rstrip("?")


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
