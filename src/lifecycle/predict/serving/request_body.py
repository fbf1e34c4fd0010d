"""Reads the rows in the JSON body of a request to the model server, in any of MLflow's formats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lifecycle.data.formats import json as json_rows
from lifecycle.errors import RequestError

SPLIT, RECORDS, INPUTS, INSTANCES = "dataframe_split", "dataframe_records", "inputs", "instances"
FORMS = (SPLIT, RECORDS, INPUTS, INSTANCES)
PARAMS = "params"

MOST_SHOWN, MOST_NAMED = 60, 4
"""Most characters of a value, and most columns, in a message."""


@dataclass(frozen=True)
class Rows:
    """The rows of a request.

    Attributes:
        columns: their names, as in the request, which may repeat one.
        data: a list for each row with a value for each column; ``None``: a missing value.
        params: parameters of the prediction, such as the horizon.
    """

    columns: list[str]
    data: list[list[Any]]
    params: dict[str, Any] = field(default_factory=dict)


def parse(body: bytes, columns: Sequence[str]) -> Rows:
    """Parse the body of a request.

    Args:
        body: JSON: an object with one of ``dataframe_split``, ``dataframe_records``, ``inputs`` and ``instances``.
        columns: that a prediction needs; rows without names have these, in this order.

    Raises:
        RequestError: it is no JSON or has no known format, or a row has too few or too many values.
    """
    try:
        return _rows(json_rows.parse(body), columns)
    except RecursionError as error:  # Python's JSON parser recurses into each bracket
        raise RequestError("the body", "is nested too deeply", remedy="Give one value a cell.") from error
    except ValueError as error:  # no JSON, or no UTF-8
        raise RequestError("the body", f"is no JSON: {error}", remedy=_example(columns)) from error


def _rows(content: Any, columns: Sequence[str]) -> Rows:
    forms = [form for form in FORMS if form in content] if isinstance(content, dict) else []
    unknown = [name for name in content if name not in (*FORMS, PARAMS)] if isinstance(content, dict) else []
    if len(forms) != 1 or unknown:
        got = _quoted(", ".join(map(str, content)) or "nothing" if isinstance(content, dict) else content)
        raise RequestError("the body", f"must be an object with one of {', '.join(FORMS)}", got, _example(columns))
    params = content.get(PARAMS) or {}
    if not isinstance(params, dict):
        raise RequestError("params", "must be an object", _quoted(params), "Leave it out.")
    value = content[forms[0]]
    names, data = _split(value) if forms[0] == SPLIT else _any(forms[0], value, list(columns))
    return Rows(names, data, params)


def _split(value: Any) -> tuple[list[str], list[list[Any]]]:
    data = value.get("data") if isinstance(value, dict) else None
    # Its "index" is ignored, as MLflow does.
    names = value.get("columns") if isinstance(value, dict) else None
    if not isinstance(data, list) or not isinstance(names, list):
        raise RequestError(SPLIT, 'must be {"columns": [...], "data": [[...], ...]}', _quoted(value))
    return list(map(str, names)), _checked(data, list(map(str, names)))


def _any(form: str, value: Any, columns: list[str]) -> tuple[list[str], list[list[Any]]]:
    """Return rows given as objects or lists, or as a list of values for each column."""
    if isinstance(value, Mapping) and form != RECORDS:
        return _of_columns(form, value)
    if not isinstance(value, list):
        raise RequestError(form, "must be a list of rows", _quoted(value), _example(columns))
    if all(isinstance(row, Mapping) for row in value):
        # Rows may lack a key; the order of columns is that of their first occurrence.
        names = list(dict.fromkeys(name for row in value for name in row)) or columns
        return names, [[row.get(name) for name in names] for row in value]
    if form == RECORDS:
        at = next(at for at, row in enumerate(value) if not isinstance(row, Mapping))
        raise RequestError(form, "must be objects", f"{_quoted(value[at])} in row {at}", _example(columns))
    # MLflow's tensors of one feature are plain lists of values.
    if len(columns) == 1 and not any(isinstance(row, list | Mapping) for row in value):
        return columns, [[row] for row in value]
    return columns, _checked(value, columns)


def _of_columns(form: str, value: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    lists = {name: cells if isinstance(cells, list) else [cells] for name, cells in value.items()}
    lengths = {name: len(cells) for name, cells in lists.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{number} for {name}" for name, number in list(lengths.items())[:MOST_NAMED])
        raise RequestError(form, "must have as many values for each column", counts, "Give one a row, or null.")
    return list(lists), [list(row) for row in zip(*lists.values(), strict=True)]


def _checked(data: list[Any], names: list[str]) -> list[list[Any]]:
    """Check that each row is a list with a value for each column, since a shorter one does not say which is missing."""
    for at, row in enumerate(data):
        if not isinstance(row, list):
            raise RequestError(
                f"row {at}", f"must be a list of {len(names)} values", _quoted(row), "Give a list of lists."
            )
        if len(row) < len(names):
            lacking = names[len(row) :]
            more = f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
            raise RequestError(
                f"row {at}",
                f"has {len(row)} of {len(names)} values, and none for {', '.join(lacking[:MOST_NAMED])}{more}",
                remedy="Give a value for each column, or null.",
            )
        if len(row) > len(names):
            raise RequestError(
                f"row {at}", f"has {len(row)} values for {len(names)} columns", remedy="Give one for each column."
            )
    return data


def _example(columns: Sequence[str]) -> str:
    """Return a remedy with a body of one row, of which two columns are shown."""
    row = dict.fromkeys(columns[:2], 1)
    more = ", ..." if len(columns) > len(row) else ""
    return f'Write {{"{RECORDS}": [{json.dumps(row, ensure_ascii=False)[:-1]}{more}}}]}}.'


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
