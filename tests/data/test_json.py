"""Rows of JSON: objects in a list or one after the other, read lazily; errors have the number of the row."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.data.formats import json as json_rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["a", "é", 'q"', ""]), VALUES), min_size=1, max_size=12)


def read(content: bytes) -> list[dict[str, Any]]:
    """Return rows with the cells that they have, as Python's values."""
    schema, batches = json_rows.read(io.BytesIO(content))
    rows = pa.Table.from_batches(list(batches), schema).to_pylist()
    return [{name: None if cell is None else json.loads(cell) for name, cell in row.items()} for row in rows]


@settings(deadline=None, max_examples=60)
@given(RECORDS, st.sampled_from(["list", "indented", "lines", "together"]), st.integers(1, 40))
def test_every_value_is_found_however_much_is_read_at_once(records: list[dict[str, Any]], form: str, size: int) -> None:
    content = {
        "list": json.dumps(records),
        "indented": " \n" + json.dumps(records, indent=2, ensure_ascii=False) + "\n",
        "lines": "\n".join(map(json.dumps, records)),
        "together": "\ufeff" + "".join(json.dumps(record, ensure_ascii=False) + "\r\n" for record in records),
    }[form].encode(errors="surrogatepass")
    names = list(dict.fromkeys(name for record in records for name in record))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "BYTES_AT_ONCE", size)
        patch.setattr(json_rows, "ROWS_AT_ONCE", 5 if names and len(records) < 5 else 20)
        found = read(content)
    if names:
        assert found == [{name: record.get(name) for name in names} for record in records]


DEEP = "[" * 100_000 + "]" * 100_000  # more than any limit of recursion that a library sets
REQUEST = "it is a request to a model server, with {}, rather than rows: a list of objects such as"
WRONG = {
    DEEP: "row 0 is nested too deeply",
    f'{{"a": 1}}\n{{"a": {DEEP}}}': "row 1 is nested too deeply",
    f'[{{"a": {{"b": {DEEP}}}}}]': "row 0 is nested too deeply",
    '{"inputs": [[1, 2]]}': REQUEST.format("inputs"),
    '{"instances": [{"a": 1}]}': REQUEST.format("instances"),
    '[{"dataframe_split": {"columns": ["a"], "data": [[1]]}}]': REQUEST.format("dataframe_split"),
    '[{"a": 1}, {"a": }]': "row 1 is no JSON: Expecting value",
    '[{"a": 1} {"a": 2}]': "no comma follows row 0",
    '[{"a": 1}, {"a": 2}': "its list has no end after row 1",
    '[{"a": 1}] {"a": 2}': "its list ends after row 0, and more follows",
    '{"a": 1}\n[1]': 'row 1 is a list rather than an object such as {"width": 1.5}',
    "[1]": 'row 0 is a number rather than an object such as {"width": 1.5}',
    '{"a": 1, "a": 2}': "row 0 has a twice",
    '{"a": Infinity}': "row 0 holds Infinity, which is no number of JSON",
    '{"a": "b': "row 0 is no JSON: Unterminated string starting at",
    "a,b\n1,2\n": "row 0 is no JSON: Expecting value",
}


@pytest.mark.parametrize(("content", "message"), WRONG.items())
def test_what_is_no_list_of_objects_is_refused_by_its_row(content: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        read(content.encode())


def test_a_value_that_python_has_no_number_for_is_missing() -> None:
    assert read(b'[{"a": NaN, "b": 1}]') == [{"a": None, "b": 1}]


def test_a_column_that_comes_late_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "ROWS_AT_ONCE", 2)
    assert read(b'{"a": 1} {"b": 2} {"a": 3}') == [{"a": 1, "b": None}, {"a": None, "b": 2}, {"a": 3, "b": None}]
    with pytest.raises(ValueError, match=r"^row 2 has c, which none of the first 2 rows has$"):
        read(b'{"a": 1} {"b": 2} {"c": 3}')


def test_texts_are_plain_without_their_quotes() -> None:
    column = pa.chunked_array([['"a\\"b"', "1.50", None, "true", '{"c": 1}']])
    assert json_rows.plain(column).to_pylist() == ['a"b', "1.50", None, "true", '{"c": 1}']


def test_a_fault_at_the_beginning_is_refused_without_reading_on() -> None:
    stream = io.BytesIO(b'{"a": oh}' + b'{"a": 1}' * 100_000)
    with pytest.raises(ValueError, match="row 0 is no JSON"):
        json_rows.read(stream)
    assert stream.tell() == json_rows.BYTES_AT_ONCE


def test_the_stream_is_read_lazily() -> None:
    content = b'[{"a": 1}' + b', {"a": 1}' * 200_000 + b"]"
    stream = io.BytesIO(content)
    _, batches = json_rows.read(stream)
    assert sum(len(next(batches)) for _ in range(3)) == 3 * json_rows.ROWS_AT_ONCE
    assert stream.tell() < len(content) / 4
    assert sum(map(len, batches)) == 200_001 - 3 * json_rows.ROWS_AT_ONCE
