"""Formats of files of rows: endings and media types. Imports no reader or writer, so that ``--help`` stays fast."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lifecycle.errors import RequestError, Setting, did_you_mean

STANDARD = "-"
"""The path of standard input and output."""


@dataclass(frozen=True)
class Format:
    """A format of files of rows.

    Attributes:
        endings: of the names of such files.
        media_types: in requests to the model server, which takes no databases; and no text/plain, which a web page may
            send to any server.
        is_written: whether predictions can be written in it.
        is_stream: whether standard input and output may have it.
    """

    endings: tuple[str, ...]
    media_types: tuple[str, ...] = ()
    is_written: bool = False
    is_stream: bool = False


CSV, TSV, TEXT, PARQUET, FEATHER = "csv", "tsv", "txt", "parquet", "feather"
JSON, JSON_LINES, EXCEL, SQLITE, NUMPY = "json", "jsonl", "xlsx", "sqlite", "npz"
STATA, SAS, XPORT = "dta", "sas7bdat", "xpt"

TABLE: dict[str, Format] = {
    CSV: Format((".csv",), ("text/csv",), True, True),
    TSV: Format((".tsv", ".tab"), ("text/tab-separated-values",), True, True),
    TEXT: Format((".txt", ".data", ".dat", ".psv", ".arff")),
    PARQUET: Format((".parquet",), ("application/vnd.apache.parquet",), True, True),
    FEATHER: Format(
        (".feather", ".arrow"),
        ("application/vnd.apache.arrow.file", "application/vnd.apache.arrow.stream"),
        True,
        True,
    ),
    JSON: Format((".json",), ("application/json",), True, True),
    JSON_LINES: Format((".jsonl", ".ndjson"), ("application/jsonl", "application/x-ndjson"), True, True),
    EXCEL: Format((".xlsx", ".xlsm"), ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",), True),
    SQLITE: Format((".sqlite", ".sqlite3", ".db")),
    NUMPY: Format((".npz",), ("application/x-npz",)),
    STATA: Format((".dta",)),
    SAS: Format((".sas7bdat",)),
    XPORT: Format((".xpt",)),
}
"""All formats by name."""

CELLS = (CSV, TSV, TEXT)
"""Formats of texts in rows and columns, which the CSV readers read."""

FORMATS = tuple(name for name, about in TABLE.items() if about.is_stream)
"""Formats of standard input and output."""

COMPRESSIONS = (".gz", ".zip", ".bz2", ".xz", ".zst")
"""Endings after that of a format."""

PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth")
ARCHIVES = (".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar")
OLD_SHEETS = (".xls", ".xlsb", ".ods")

IN_R = "In R, write the rows with write.csv(rows, 'rows.csv', row.names=FALSE)."
FOREIGN: dict[str, tuple[str, str]] = {
    ".npy": ("one array", "Save numpy.savez('rows.npz', X=X, y=y)."),
    **dict.fromkeys((".sav", ".zsav"), ("a file of SPSS", "")),
    ".por": ("a file of SPSS", "In SPSS, save it as CSV or as a file of Stata (.dta)."),
    **dict.fromkeys((".rds", ".rda", ".rdata"), ("a file of R", IN_R)),
    ".mat": ("a file of MATLAB", "In MATLAB, write the rows with writetable(rows, 'rows.csv')."),
    **dict.fromkeys((".h5", ".hdf5", ".hdf"), ("an HDF5 file", "")),
    ".orc": ("an ORC file", ""),
    ".avro": ("an Avro file", "Write the rows as Parquet, for instance with Spark."),
    ".xml": ("an XML file", ""),
    **dict.fromkeys((".html", ".htm"), ("a page of the web", "")),
}
"""Ending of files that are not read -> what they are, and how to convert them; "": with pandas."""

WITH_PANDAS = {
    ".sav": "read_spss('{name}')",
    ".zsav": "read_spss('{name}')",
    ".h5": "read_hdf('{name}')",
    ".hdf5": "read_hdf('{name}')",
    ".hdf": "read_hdf('{name}')",
    ".orc": "read_orc('{name}')",
    ".xml": "read_xml('{name}')",
    ".html": "read_html('{name}')[0]",
    ".htm": "read_html('{name}')[0]",
}
"""Ending -> the call of pandas that reads such a file."""

SCHEMES = ("sklearn", "lifecycle", "download", "openml", "hf")
"""What is before the colon of a path that names a data set."""

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Endings of image files."""

_OF_ENDING = {ending: name for name, about in TABLE.items() for ending in about.endings}
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def format_of(name: str) -> str | None:
    """Return the format of a file by its name, whose ending may be followed by those of compressions.

    >>> format_of("a.csv.gz"), format_of("A.PARQUET"), format_of("a.zip")
    ('csv', 'parquet', None)
    """
    file = Path(name)
    while file.suffix.lower() in COMPRESSIONS:
        file = file.with_suffix("")
    return _OF_ENDING.get(file.suffix.lower())


def compression_of(name: str) -> str | None:
    """Return the ending of a name that says how the file is compressed."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix in COMPRESSIONS else None


def scheme_of(path: str) -> str | None:
    """Return the scheme of an address such as ``https://host/a.csv``, in lower case; ``None``: no address."""
    found = _ADDRESS.match(path)
    return found[1].lower() if found else None


def name_in(path: str) -> str:
    """Return the last name of a path or an address, without what follows ``?``.

    >>> name_in("https://me:pw@host/data/a.csv.gz?token=x"), name_in("data/a.csv")
    ('a.csv.gz', 'a.csv')
    """
    return Path(urlsplit(path).path if scheme_of(path) else path).name


def stem_of(path: str) -> str:
    """Return the last name of a path or an address without endings of formats and compressions.

    >>> stem_of("https://host/a.csv.gz?token=x"), stem_of("v1.2.csv"), stem_of("part-*.csv")
    ('a', 'v1.2', 'part-*')
    """
    file = Path(name_in(path))
    while file.suffix.lower() in COMPRESSIONS:
        file = file.with_suffix("")
    return file.stem


def is_pattern(path: str) -> bool:
    """Return whether a path stands for several files, such as ``part-*.csv``; not if a file has this name."""
    if scheme_of(path) or not any(sign in path for sign in "*?["):
        return False
    return not Path(path).expanduser().exists()


def is_elsewhere(path: str) -> bool:
    """Return whether a path is an address, or a name such as ``sklearn:iris``, rather than a file of this machine."""
    return scheme_of(path) is not None or path.partition(":")[0] in SCHEMES


def of_input(path: str | Path, form: str = CSV) -> str | None:
    """Check that a file of rows exists and that its format is known.

    Args:
        path: the file, or ``-``; of an address, a database or a pattern nothing is checked.
        form: the format of standard input.

    Returns:
        The format; ``None``: only reading shows it.

    Raises:
        RequestError: the file does not exist, or its format is not known.
    """
    text = str(path)
    if text == STANDARD:
        return form
    file = Path(path).expanduser()
    if file.is_dir() or (not file.exists() and (is_elsewhere(text) or is_pattern(text))):
        return None
    if not file.is_file():
        raise no_file(Setting("input", path), file)
    return ending(file.name, Setting("input", path))


def no_file(key: Setting, file: Path) -> RequestError:
    """Return the error of a file that does not exist, with the nearest name of its folder."""
    names = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
    remedy = f"{did_you_mean(file.name, names)} Give the path of a CSV, Parquet or JSON file."
    return RequestError(key, "is no file", remedy=remedy)


def of_output(path: str | Path, form: str = CSV) -> str:
    """Return the format of a file to write, by its ending.

    Args:
        path: the file, or ``-``.
        form: the format of standard output.

    Raises:
        RequestError: the format is not known or cannot be written, or the folder does not exist.
    """
    if str(path) == STANDARD:
        return form
    key = Setting("output", path)
    if scheme_of(str(path)):
        raise RequestError(key, "is an address", remedy="Give a file of this machine.")
    file = Path(path).expanduser()
    found = format_of(file.name)
    if found is None or not TABLE[found].is_written:
        raise RequestError(
            key,
            f"ends in {_suffixes(file.name)}",
            remedy=f"Give a file ending in {endings(written=True)}, or one of these with .gz.",
        )
    # Checked here, so that a command fails before it has predicted anything.
    if not file.parent.is_dir():
        problem = "is in a folder that does not exist"
        raise RequestError(key, problem, remedy=f"Make {file.parent}, or give another file.")
    return found


def is_images(path: str | Path) -> bool:
    """Return whether a path is that of an image, or of a folder of anything else than files of rows."""
    file = Path(path).expanduser()
    if str(path) == STANDARD:
        return False
    if file.is_dir():
        inner = [other.name for other in file.iterdir() if other.is_file()]
        has_images = any(Path(name).suffix.lower() in IMAGE_ENDINGS for name in inner)
        return has_images or not any(map(format_of, inner))
    return file.is_file() and file.suffix.lower() in IMAGE_ENDINGS


def endings(written: bool = False) -> str:
    """Return the endings of files that can be read, or written, for messages."""
    names = [about.endings[0] for about in TABLE.values() if about.is_written or not written]
    if not written:
        names.insert(names.index(".txt") + 1, ".data")
    return f"{', '.join(names[:-1])} or {names[-1]}"


def ending(name: str, key: Setting) -> str | None:
    """Return the format of a file by its name; ``None``: it is compressed, and its content has the format.

    Raises:
        RequestError: the format is not known, or not read for a reason that is given.
    """
    found = format_of(name)
    suffix = Path(name).suffix.lower()
    inner = _inner(name)
    is_known_inside = inner == "" or (suffix == ".zip" and inner not in (*PICKLES, *ARCHIVES))
    if found is not None or (suffix in COMPRESSIONS and is_known_inside):
        return found
    problem = f"ends in {_suffixes(name)}"
    remedy = f"Give a file ending in {endings()}; or one of these with {', '.join(COMPRESSIONS)}."
    inner = inner or suffix
    if inner in PICKLES:
        problem = f"ends in {inner}, which is a pickle: to read it would run the code in it"
        remedy = "Save the rows as Parquet, for instance with frame.to_parquet('rows.parquet')."
    elif inner in ARCHIVES:
        problem, remedy = f"ends in {_suffixes(name)}, an archive of several files", "Unpack it, and give a file of it."
    elif inner in OLD_SHEETS:
        problem, remedy = f"ends in {inner}", "Save it as .xlsx."
    elif inner in FOREIGN:
        problem, remedy = _foreign(name, inner)
    raise RequestError(key, problem, remedy=remedy)


def _foreign(name: str, inner: str) -> tuple[str, str]:
    """Return what a file that is not read is, and how to convert it."""
    what, remedy = FOREIGN[inner]
    if inner in WITH_PANDAS:
        call = WITH_PANDAS[inner].format(name=Path(name).name)
        module = " (which needs pyreadstat)" if "spss" in call else " (which needs tables)" if "hdf" in call else ""
        remedy = f"Convert it in Python with pandas.{call}.to_parquet('rows.parquet'){module}."
    return f"ends in {inner}, {what}", remedy


def _inner(name: str) -> str:
    """Return the ending before those of compressions, in lower case."""
    file = Path(name)
    while file.suffix.lower() in COMPRESSIONS:
        file = file.with_suffix("")
    return file.suffix.lower()


def _suffixes(name: str) -> str:
    """Return the last ending of a name, with one before it that says more, for messages."""
    file = Path(name)
    if file.suffix.lower() in COMPRESSIONS and _inner(name):
        return f"{Path(name).with_suffix('').suffix}{file.suffix}"
    return file.suffix or "nothing"
