"""Detects how a text file writes a table, from its first bytes. What a user declares is not detected."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from lifecycle.data.formats.text import cells as cells_of
from lifecycle.data.formats.text import encodings, transcoding
from lifecycle.data.formats.text.dialect import SEPARATORS, SPACE, WORD, Declared, Dialect, Known
from lifecycle.data.formats.text.header import is_header, is_second, repeats

HEAD_BYTES = 1 << 20
"""First bytes of a file that are looked at."""

MOST_HEAD_BYTES, FEWEST_LINES = 1 << 26, 12
"""More of them are looked at, up to this size, where they hold fewer lines."""

MOST_BYTES, MOST_ROWS, MOST_CELLS = 1 << 17, 1000, 10_000
"""Part of them whose cells are compared."""

COMMENTS = ("#", "%", "@")
"""First signs of comment lines. Lines that begin with @ declare columns, as in ARFF files."""

INDEX = "index"
"""The name of a first column without a name, as pandas and R write the names of rows."""

DECLARES = re.compile(r"@(relation|attribute|data)\b", re.IGNORECASE)
"""A line of an ARFF file."""

MOST_PADDED = 200
"""Lines that are searched for spaces around cells."""

MOST_TITLES = 10
"""Lines above the header that are taken for a title."""

ATTRIBUTE = re.compile(r"@attribute\s+('[^']*'|\"[^\"]*\"|\S+?)(?=[\s{])", re.IGNORECASE)


def of_file(file: Path, declared: Declared | None = None, known: Known | None = None) -> Dialect:
    """Return the dialect of a file, from its first bytes.

    Raises:
        ValueError: says what is wrong.
    """
    with file.open("rb") as stream:
        head, is_whole = head_of(stream)
    return detect(head, declared, known, is_whole)


def detect(head: bytes, declared: Declared | None = None, known: Known | None = None, is_whole: bool = True) -> Dialect:
    """Return the dialect of a text file.

    Args:
        head: its first bytes.
        declared: what the user says of it.
        known: the columns that it is to have.
        is_whole: these are all bytes of the file.

    Raises:
        ValueError: it is not text, or what is declared does not fit.
    """
    declared = declared or Declared()
    encoding = declared.encoding or encodings.detect(head, is_whole, "" if known is None else known.encoding)
    lines = _lines(encodings.text_of(head, encoding, is_whole), is_whole)
    top, comment = _top(lines, declared)
    body = [line for line in lines[top:] if line.strip() and not (comment and line.startswith(comment))]
    if not body:
        return Dialect(encoding=encoding, sep=declared.sep or ",", comment=comment, names=declared.names)
    above = lines[:top]
    try:
        sep = declared.sep or _separator(body)
        titles = 0 if declared.header is False or sep == SPACE else _titles(body, sep)
        quote = _quote(body, sep, is_arff=any(map(DECLARES.match, above)))
        padded = _is_padded(body[titles:], sep, quote)
        body = [transcoding.without_padding(line, sep, quote) for line in body] if padded else body
        sample = _sample(body[titles:], sep, quote)
    except csv.Error as error:
        raise ValueError(f"its first line does not hold names of columns: {error}") from error
    found = Dialect(encoding=encoding, sep=sep, quote=quote, comment=comment, titles=titles, padded=padded)
    found = _with_names(found, sample, declared, known, above)
    found = replace(found, units=_units(sample, found, declared))
    first = (found.header and not found.above) + bool(found.units)
    rows = [row for row in sample[first:] if len(row) == len(found.names)]
    columns = list(zip(*rows, strict=True))
    decimal, thousands = _marks_of_numbers(columns)
    skip = _skipped(lines, found, top)
    return replace(
        found,
        skip=skip,
        decimal=declared.decimal or decimal,
        thousands=thousands if declared.thousands is None else declared.thousands,
        missing=declared.with_marks(cells_of.marks_among_words(columns)),
    )


def _units(sample: Sequence[Sequence[str]], found: Dialect, declared: Declared) -> tuple[str, ...]:
    """Return the cells of a line below the header that has no values; empty: there is none."""
    if not found.header or found.above:
        return ()
    below = sample[1:]
    return tuple(below[0]) if below and is_second(below, cells_of.spellings(declared.missing)) else ()


def _lines(text: str, is_whole: bool) -> list[str]:
    """Return the lines of a text, without the last one where it may be cut."""
    part = text[:MOST_BYTES]
    if part.count("\n") < FEWEST_LINES:  # thousands of columns
        part = text
    lines = re.split(r"\r\n|\n|\r", part)
    return lines if (is_whole and len(part) == len(text)) or len(lines) < 3 else lines[:-1]


def _top(lines: Sequence[str], declared: Declared) -> tuple[int, str]:
    """Return the number of blank and comment lines before the table, and the first sign of comments."""
    comment, top = declared.comment or "", 0
    arff = any(map(DECLARES.match, lines[:1000]))
    for line in lines:
        sign = line[:1]
        if line.strip() and not (comment and line.startswith(comment)):
            if declared.comment is not None or sign not in COMMENTS or not (arff or _is_comment(lines, top, sign)):
                break
            comment = sign if sign != "@" else comment
        top += 1
    return top, comment


def _is_comment(lines: Sequence[str], place: int, sign: str) -> bool:
    """Return whether a line at the beginning is a comment rather than a row, or the names of columns such as #id."""
    row = next((line for line in lines[place:] if line.strip() and not line.startswith(sign)), None)
    if sign == "@" or row is None:
        return False
    line = lines[place]
    if not any(line.count(sep) == row.count(sep) > 0 for sep in ",;\t|"):
        return True
    # As many cells as a row has: names or a row, but for the last of several lines of words after the sign.
    around = [*lines[max(0, place - 1) : place], *lines[place + 1 : place + 2]]
    return line[1:2].isspace() and any(other.startswith(sign) for other in around)


def _titles(lines: Sequence[str], sep: str) -> int:
    """Return the number of lines of one cell above a table of several columns with a header."""
    rows = _rows(lines, sep, most=200)
    filled = [sum(1 for cell in row if cell.strip()) for row in rows]
    # A spreadsheet fills the lines of a title with empty cells.
    above = next((place for place, cells in enumerate(filled) if cells > 1), 0)
    above += len(rows) > above + 1 and len(rows[above]) == len(rows[above + 1]) and repeats(rows[above:])
    table = rows[above:]
    width = len(table[0]) if table else 0
    if not 0 < above <= MOST_TITLES or len(table) < 3 or width < 2 or {len(row) for row in table} != {width}:
        return 0
    return above if is_header(table) else 0


def _rows(lines: Sequence[str], sep: str, quote: str = '"', most: int = MOST_ROWS) -> list[list[str]]:
    """Return the cells of lines; a quoted cell may go over several."""
    if sep == SPACE:
        return [[_unquoted(word) for word in WORD.findall(line)] for line in lines[:most]]
    rows: list[list[str]] = []
    try:
        for row in csv.reader((f"{line}\n" for line in lines), delimiter=sep, quotechar=quote):
            if row:
                rows.append(row)
            if len(rows) >= most:
                break
    except csv.Error:
        if not rows:
            raise
    return rows


def _unquoted(word: str) -> str:
    if len(word) < 2 or word[0] != word[-1] or word[0] not in "\"'":
        return word
    return word[1:-1].replace('\\"', '"').replace('""', '"') if word[0] == '"' else word[1:-1]


def _sample(lines: Sequence[str], sep: str, quote: str) -> list[list[str]]:
    """Return the first rows that have as many cells as the first has."""
    first = _rows(lines[:1], sep, quote, 1) or [[""]]
    most = max(3, MOST_CELLS // max(1, len(first[0])))
    rows = _rows(lines, sep, quote, min(MOST_ROWS, most)) or first
    widths = Counter(map(len, rows[1:]))
    common = widths.most_common(1)[0][0] if widths else len(rows[0])
    # R names the columns but not that of the names of rows.
    if sep in (SPACE, "\t") and len(rows) > 1 and len(rows[0]) == common - 1 and widths[common] == len(rows) - 1:
        rows[0] = ["", *rows[0]]
    return [rows[0], *(row for row in rows[1:] if len(row) == len(rows[0]))]


def _separator(lines: Sequence[str]) -> str:
    """Return the separator: that which gives every line the same number of cells, the comma first."""
    sample = lines[: 200 if len(lines) > 200 else len(lines)]
    best, most = ",", _evenness(sample, ",")
    for sep in SEPARATORS:
        if sep == "," or not any(_contains(line.strip(), sep) for line in sample[:2]):
            continue
        even = _evenness(sample, sep)
        if not even or (sep == SPACE and not _numbers_between_spaces(sample)):
            continue
        if even > most or (even == most and _within(sample, best, sep)):
            best, most = sep, even
    return best


def _contains(line: str, sep: str) -> bool:
    return len(line.split()) > 1 if sep == SPACE else sep in line


def _evenness(lines: Sequence[str], sep: str) -> float:
    """Return the share of rows with the most common number of cells; 0: that is one, or no row can be read."""
    try:
        widths = Counter(map(len, _rows(lines, sep)))
    except csv.Error:
        return 0.0
    if not widths:
        return 0.0
    width, count = widths.most_common(1)[0]
    if (
        sep in (SPACE, "\t")
        and len(widths) == 2
        and widths.get(width - 1) == 1
        and len(_rows(lines[:1], sep)[0]) < width
    ):
        count += 1  # the header of R
    return count / sum(widths.values()) if width > 1 else 0.0


def _within(lines: Sequence[str], outer: str, inner: str) -> bool:
    """Return whether ``inner`` separates cells that ``outer`` cuts or joins."""
    if outer == ",":
        # 1,5;2,5: the comma is a decimal mark.
        numbers = [cell for row in _rows(lines, inner) for cell in row if "," in cell]
        return bool(numbers) and all(cells_of.NUMBER.fullmatch(cell.strip()) for cell in numbers)
    if outer == "\t" and inner == SPACE:
        # Numbers in columns of fixed width, and one tab.
        rows = _rows(lines, outer)
        return any(
            all(_numbers_between_spaces([cell]) and SPACE in cell.strip() for cell in column)
            for column in zip(*(row for row in rows if len(row) == len(rows[0])), strict=True)
        )
    return False


def _numbers_between_spaces(lines: Sequence[str]) -> bool:
    # Without the header; what is between quotes is a cell as well.
    words = [word for line in (lines[1:] or lines)[-50:] for word in WORD.findall(line)]
    cells = sum(cells_of.is_number(word) or _unquoted(word) != word for word in words)
    return cells >= len(words) / 2 if words else False


def _quote(lines: Sequence[str], sep: str, is_arff: bool) -> str:
    """Return the quotation mark: the single one if the double one is not used, and cells need it."""
    sample = lines[:200]
    if any('"' in line for line in sample) or not any("'" in line for line in sample) or sep == SPACE:
        return '"'
    first = [cell.strip() for cell in _rows(sample[:1], sep)[0]]
    cells = [cell.strip() for row in _rows(sample, sep, "'") for cell in row]
    if any(cell.startswith("'") != cell.endswith("'") for cell in cells):
        return '"'
    plain, quoted = (Counter(map(len, _rows(sample, sep, mark))) for mark in ('"', "'"))
    all_quoted = all(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in first)
    return "'" if is_arff or all_quoted or len(quoted) < len(plain) else '"'


def _is_padded(lines: Sequence[str], sep: str, quote: str) -> bool:
    """Return whether cells are padded with spaces, as in ``a, b`` or ``a | b``: in the header, or in all rows."""
    if sep == SPACE:
        return False
    sample = lines[:MOST_PADDED]
    if any(line.count(quote) % 2 for line in sample):  # a cell of several lines
        return False
    rows = [transcoding.cells_of(line, sep, quote) for line in sample]
    after = [all(cell[:1] == " " for cell in row[1:]) for row in rows if len(row) > 1]
    before = [all(cell[-1:] == " " for cell in row[:-1]) for row in rows if len(row) > 1]
    return any(bool(found) and (found[0] or all(found[1:])) for found in (after, before) if len(found) > 1)


def _names_above(lines: Sequence[str], width: int, sep: str) -> tuple[list[str], bool]:
    """Return names that comment lines give to the columns, and whether they declare them as those of ARFF files do."""
    attributes = [found[1] for line in lines if (found := ATTRIBUTE.match(line))]
    if len(attributes) == width:
        return [_unquoted(name) for name in attributes], True
    last = next((line for line in reversed(lines) if line.strip()), "")
    names = [name.strip() for name in (_rows([last.lstrip("#% ")], sep, most=1) or [[]])[0]]
    fits = len(names) == width > 1 and len(set(names)) == width and all(names) and last[:1] in COMMENTS
    return (names if fits and not any(map(cells_of.is_number, names)) else []), False


def _with_names(
    found: Dialect, sample: list[list[str]], declared: Declared, known: Known | None, lines: Sequence[str]
) -> Dialect:
    """Return a dialect with its header and names.

    Args:
        found: the dialect without them.
        sample: its first rows.
        declared: what the user says.
        known: the columns that it is to have.
        lines: comments above the table.

    Raises:
        ValueError: the number of declared names is not that of the columns.
    """
    first, width = sample[0], len(sample[0])
    above, is_arff = _names_above(lines, width, found.sep)
    header = declared.header
    if header is None:
        header = not is_arff and _has_header(sample, declared, known)
    if declared.names:
        if len(declared.names) != width:
            raise ValueError(f"it has {width} columns, and data.names names {len(declared.names)}")
        replaced = tuple(first) if header and tuple(first) != declared.names else ()
        return replace(found, header=header, names=declared.names, kept=False, replaced=replaced)
    if not header:
        if above:
            return replace(found, header=True, names=tuple(above), kept=False, above=True)
        return replace(found, header=False, names=_positions(width, known), kept=False)
    if known is not None and (of_model := known.names_for(first)):
        return replace(found, names=of_model, kept=False, replaced=tuple(first))
    names = tuple(first)
    if width > 1 and not first[0].strip() and all(name.strip() for name in first[1:]):
        index = INDEX if INDEX not in first else f"{INDEX}_"
        return replace(found, names=(index, *first[1:]), index=True, kept=False)
    return replace(found, names=names, kept=not found.padded)


def _has_header(sample: list[list[str]], declared: Declared, known: Known | None) -> bool:
    first = sample[0]
    if declared.names and list(declared.names) == first:
        return True
    if known is not None and known.names and not known.header:
        # Rows for a model whose training file has no header: names are c0, c1, ... or those that were declared.
        return bool(set(first) & set(known.names)) or (is_header(sample) and _has_numbers(sample))
    return bool(known is not None and set(first) & {*known.names, *known.replaced}) or is_header(sample)


def _has_numbers(sample: list[list[str]]) -> bool:
    """Return whether some cell of the rows below the first is a number: then comparing types decides."""
    return any(cells_of.is_number(cell) for row in sample[1:] for cell in row)


def _positions(width: int, known: Known | None) -> tuple[str, ...]:
    """Return the names of columns without a header: c0, c1, ..., or those of the training file.

    Raises:
        ValueError: the number of columns is another than that of the training file.
    """
    if known is None or not known.names:
        return tuple(f"c{place}" for place in range(width))
    without = tuple(name for name in known.names if name != known.target)
    for names in (known.names, without, tuple(name for name in known.names if name in known.needed)):
        if len(names) == width:
            return names
    counts = f"{len(known.names)}, or {len(without)} without {known.target}" if known.target else str(len(known.names))
    raise ValueError(f"it has no header and {width} columns, and the training file has {counts}")


def _marks_of_numbers(columns: Sequence[Sequence[str]]) -> tuple[str, str]:
    """Return the decimal mark and the separator of thousands of all columns that show one and agree."""
    found = [cells_of.decimal_mark(cell for cell in column if not cells_of.is_missing(cell)) for column in columns]
    decimals = {decimal for decimal, _ in found if decimal}
    thousands = {sign for _, sign in found if sign}
    decimal = decimals.pop() if len(decimals) == 1 else "."
    sign = thousands.pop() if len(thousands) == 1 else ""
    return decimal, "" if sign == decimal else sign


def _skipped(lines: Sequence[str], found: Dialect, top: int) -> int:
    """Return the lines before the first row of values."""
    for _ in range(found.titles + (found.header and not found.above) + bool(found.units)):
        while top < len(lines) and (not lines[top].strip() or (found.comment and lines[top].startswith(found.comment))):
            top += 1
        if found.sep == SPACE:
            top += 1
            continue
        reader = csv.reader((f"{line}\n" for line in lines[top:]), delimiter=found.sep, quotechar=found.quote)
        next(reader, None)
        top += reader.line_num
    return top


def head_of(stream: IO[bytes]) -> tuple[bytes, bool]:
    """Return the first bytes of a stream, with some whole lines; and whether these are all bytes."""
    found, lines = io.BytesIO(), 0
    while found.tell() < HEAD_BYTES or lines < FEWEST_LINES:
        block = stream.read(max(1, HEAD_BYTES - found.tell() if found.tell() < HEAD_BYTES else HEAD_BYTES))
        if not block:
            return found.getvalue(), True
        found.write(block)
        lines += block.count(b"\n")
        if found.tell() >= MOST_HEAD_BYTES:
            break
    return found.getvalue(), False
