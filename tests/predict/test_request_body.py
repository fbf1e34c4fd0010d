"""The JSON body of a request: the same rows in each of MLflow's forms, and all else refused in a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.errors import RequestError
from lifecycle.predict.serving import request_body

COLUMNS = ["a", "b (cm)", "c"]
CELLS = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
DEEP = "[" * 1000 + "]" * 1000
EXAMPLE = 'Write {"dataframe_records": [{"a": 1, "b (cm)": 1, ...}]}.'


def rows_of(form: str, value: Any) -> request_body.Rows:
    return request_body.parse(json.dumps({form: value}).encode(), COLUMNS)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5))
def test_each_form_holds_the_same_rows(rows: list[tuple[Any, ...]]) -> None:
    data = [list(row) for row in rows]
    records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    by_column = {name: [row[at] for row in rows] for at, name in enumerate(COLUMNS)}
    expected = request_body.Rows(COLUMNS, data)
    assert rows_of("dataframe_split", {"columns": COLUMNS, "data": data}) == expected
    assert rows_of("dataframe_records", records) == expected
    for form in ("inputs", "instances"):
        assert rows_of(form, data) == rows_of(form, records) == rows_of(form, by_column) == expected


def test_a_value_that_an_object_lacks_is_missing_and_params_are_kept() -> None:
    found = request_body.parse(b'{"inputs": [{"a": 1}, {"c": 2}], "params": {"horizon": 3}}', COLUMNS)
    assert found == request_body.Rows(["a", "c"], [[1, None], [None, 2]], {"horizon": 3})
    assert request_body.parse(b'{"inputs": [1, 2]}', ["a"]).data == [[1], [2]]


WRONG = {
    '{"inputs": [[1, 1, 1], [1]]}': "row 1 has 1 of 3 values, and none for b (cm), c. Give a value",
    '{"dataframe_split": {"columns": ["a", "c"], "data": [[]]}}': "row 0 has 0 of 2 values, and none for a, c. Give",
    '{"instances": [[1, 2, 3, 4]]}': "row 0 has 4 values for 3 columns. Give one for each column.",
    '{"inputs": [1, 2, 3]}': "row 0 must be a list of 3 values, got 1. Give a list of lists.",
    '{"inputs": {"a": [1, 2], "c": [1]}}': "inputs must have as many values for each column, got 2 for a, 1 for c.",
    '{"inputs": 5}': f"inputs must be a list of rows, got 5. {EXAMPLE}",
    '{"dataframe_records": [[1]]}': f"dataframe_records must be objects, got [1] in row 0. {EXAMPLE}",
    '{"dataframe_split": [[1]]}': 'dataframe_split must be {"columns": [...], "data": [[...], ...]}, got [[1]].',
    '{"inputs": [], "params": 5}': "params must be an object, got 5. Leave it out.",
    '{"rows": [[1]]}': "the body must be an object with one of dataframe_split, dataframe_records, inputs",
    '{"inputs": [], "instances": []}': "the body must be an object with one of",
    "[[1, 1, 1]]": f"inputs, instances, got [[1, 1, 1]]. {EXAMPLE}",
    '{"inputs": [{"a": 1, "a": 2}]}': "the body is no JSON: it has a twice.",
    '{"inputs": [[1, 2, Infinity]]}': "the body is no JSON: it holds Infinity, which is no number of JSON.",
    "{": "the body is no JSON: Expecting property name enclosed in double quotes",
    "\x89": "the body is no JSON: ",
    DEEP: "the body is nested too deeply. Give one value a cell.",
    f'{{"dataframe_records": [{{"a": {DEEP}}}]}}': "the body is nested too deeply. Give one value a cell.",
    json.dumps({"inputs": [["x" * 5000]]}): "row 0 has 1 of 3 values",
    json.dumps({"inputs": "x" * 5000}): f"inputs must be a list of rows, got {'x' * 60}....",
}


@pytest.mark.parametrize(("body", "sentence"), WRONG.items(), ids=[body[:30] for body in WRONG])
def test_a_body_that_holds_no_rows_is_refused(body: str, sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        request_body.parse(body.encode("latin-1"), COLUMNS)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("levels", range(900, 1000, 7))
def test_no_depth_is_a_recursion_error(levels: int) -> None:
    body = f'{{"inputs": [[1, 2, {"[" * levels}{"]" * levels}]]}}'.encode()
    try:
        assert request_body.parse(body, COLUMNS).data
    except RequestError as error:
        assert str(error) == "the body is nested too deeply. Give one value a cell."  # noqa: PT017 - which of the two depends on the stack
