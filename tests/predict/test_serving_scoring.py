"""Requests in MLflow's protocol, compared with MLflow's own server for the same model, and with `predict`."""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import FLAVOR_NAME, PyFuncModel, scoring_server

from lifecycle.data.formats import names, writers
from lifecycle.data.kinds.table import Table
from lifecycle.errors import RequestError
from lifecycle.predict import saved_model
from lifecycle.predict.mlflow_model import PyFunc
from lifecycle.predict.predict_file import predict_file
from lifecycle.predict.serving import scoring
from lifecycle.predict.serving.http_messages import RefusedError
from lifecycle.predict.serving.scoring import Scorer, check_kind
from lifecycle.tracking.models.signature import signature_of
from tests.predict.test_saved_model import KEPT

JSON = "application/json"
MODELS = {name: saved_model.load(KEPT / "v1" / name / "model") for name in ("table", "series")}
SCORERS = {name: Scorer(trained) for name, trained in MODELS.items()}
ROWS = {
    "table": [
        {"age": 59.0, "income": 23.96, "code": "007", "town": "York"},
        {"age": None, "income": 27, "code": "0101", "town": "NA"},
        {"age": 3, "income": 1.5e3, "code": "007", "town": "nowhere"},
    ],
    "series": pd.read_csv(KEPT / "v1" / "series" / "rows.csv").to_dict("records"),
}


def ours(name: str, body: bytes, kind: str = JSON) -> tuple[int, Any]:
    """Return the answer of our server."""
    try:
        kind = check_kind({"content-type": kind})
        return 200, json.loads(b"".join(SCORERS[name].answer(body, kind, lambda: False)))
    except RequestError as error:
        return 400, str(error)
    except RefusedError as error:
        return error.answer.status, str(error)


def mlflows(name: str, body: bytes, kind: str = JSON) -> tuple[int, Any]:
    """Return the answer of MLflow's server for the same model, with the signature that a run records."""
    trained = MODELS[name]
    columns = [*trained.columns, *getattr(trained.data, "optional_columns", ())]
    params = {"horizon": 0} if name == "series" else None
    about = Model(signature=signature_of(columns, None, params), flavors={FLAVOR_NAME: {"loader_module": "-"}})
    model = PyFuncModel(about, PyFunc(trained))
    try:
        answer = scoring_server.invocations(body, kind, model, about.get_input_schema())
    except MlflowException as error:
        return error.get_http_status_code(), error.message
    return answer.status, json.loads(answer.response) if answer.status == 200 else answer.response


def forms(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return bodies with the same rows."""
    columns = list(rows[0])
    lists = [list(row.values()) for row in rows]
    return {
        "split": {"dataframe_split": {"columns": columns, "data": lists}},
        "split with an index": {
            "dataframe_split": {"columns": columns, "data": lists, "index": list(range(5, 5 + len(rows)))}
        },
        "split, other order and more columns": {
            "dataframe_split": {"columns": ["more", *columns[::-1]], "data": [["x", *row[::-1]] for row in lists]}
        },
        "records": {"dataframe_records": rows},
        "inputs by column": {"inputs": {column: [row[column] for row in rows] for column in columns}},
    }


def close(found: Any, expected: Any) -> bool:
    pd.testing.assert_frame_equal(
        pd.DataFrame(found["predictions"]), pd.DataFrame(expected["predictions"]), check_exact=True
    )
    return list(found) == list(expected)


@pytest.mark.parametrize("form", forms("table", ROWS["table"]))
@pytest.mark.parametrize("name", MODELS)
def test_valid_requests_are_answered_as_mlflows_server_answers_them(name: str, form: str) -> None:
    body = json.dumps(forms(name, ROWS[name])[form]).encode()
    (status, answer), (their_status, theirs) = ours(name, body), mlflows(name, body)
    assert (status, their_status) == (200, 200), (answer, theirs)
    assert close(answer, theirs)


def test_a_horizon_is_answered_as_mlflows_server_answers_it() -> None:
    body = json.dumps({"dataframe_records": ROWS["series"], "params": {"horizon": 3}}).encode()
    status, answer = ours("series", body)
    assert (status, answer) == mlflows("series", body)
    assert len(answer["predictions"]) == 3


SPLIT = '{"dataframe_split": {"columns": ["age", "income", "code", "town"], "data": %s}}'
INVALID = {
    "no JSON": "{",
    "a list": "[]",
    "no form": '{"rows": []}',
    "two forms": '{"inputs": [], "dataframe_records": []}',
    "records that are lists": '{"dataframe_records": {"age": 1}}',
    "no rows": '{"dataframe_records": []}',
    "no data": '{"dataframe_split": {"columns": ["age"]}}',
    "a column that is missing": '{"dataframe_records": [{"age": 1, "income": 2, "code": "007"}]}',
    "a text for a number": SPLIT % '[["old", 2, "007", "York"]]',
    "a list for a cell": SPLIT % '[[[1], 2, "007", "York"]]',
    "a row too long": SPLIT % '[[1, 2, "007", "York", 5]]',
    "columns of different lengths": '{"inputs": {"age": [1, 2], "income": [1], "code": ["007"], "town": ["York"]}}',
}


@pytest.mark.parametrize("what", INVALID)
def test_invalid_requests_are_refused_as_mlflows_server_refuses_them(what: str) -> None:
    body = INVALID[what].encode()
    (status, answer), (their_status, theirs) = ours("table", body), mlflows("table", body)
    assert (status, their_status) == (400, 400), (answer, theirs)
    assert len(answer) <= 400


@pytest.mark.parametrize("what", ["a column that is missing", "a text for a number", "a list for a cell"])
def test_a_row_is_refused_with_the_same_message(what: str) -> None:
    body = INVALID[what].encode()
    assert ours("table", body)[1] in mlflows("table", body)[1]


@pytest.mark.parametrize("kind", ["text/plain", "text/csv; charset=latin-1", "application/json; more=x"])
def test_a_type_that_is_not_read_is_refused_likewise(kind: str) -> None:
    assert ours("table", b"{}", kind)[0] == mlflows("table", b"{}", kind)[0] == 415


@pytest.mark.parametrize("kind", [kind for kind in scoring.KINDS if kind != JSON])
def test_each_media_type_is_answered_as_the_same_rows_of_json(tmp_path: Path, kind: str) -> None:
    """Every format of files but databases has one; the text/plain of any web page is none."""
    frame = pd.DataFrame(ROWS["table"])
    file = tmp_path / f"a{names.TABLE[scoring.KINDS[kind]].endings[0]}"
    if kind == "text/tab-separated-values" and importlib.util.find_spec("lifecycle.data.formats.text") is None:
        pytest.skip("only commas are read")
    if kind == "application/x-npz":
        np.savez(
            file,
            X=frame[["age", "income"]].to_numpy(),
            code=frame["code"].to_numpy("U4"),
            town=frame["town"].to_numpy("U9"),
        )
        assert ours("table", file.read_bytes(), kind)[1] == (
            "input has no column age, income, got x0, x1, code, town. This model needs age, income, code, town."
        )
        return
    if kind.endswith("arrow.stream"):
        table = pa.Table.from_pandas(frame)
        with pa.ipc.new_stream(str(file), table.schema) as writer:
            writer.write_table(table)
    else:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        with writers.create(file, table.schema) as writer:
            writer.write(table)
    status, answer = ours("table", file.read_bytes(), kind)
    assert status == 200, answer
    assert close(answer, ours("table", json.dumps({"dataframe_records": ROWS["table"]}).encode())[1])


def test_an_archive_that_was_made_to_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "MOST_UNPACKED", 1)
    content = io.BytesIO()
    np.savez_compressed(content, X=np.zeros((1000, 1000)))
    status, message = ours("table", content.getvalue(), "application/x-npz")
    assert (status, message) == (400, "input cannot be read: it unpacks to 8 MB, more than 1.05 MB. Fix it.")


def test_a_gzip_body_is_unpacked_up_to_the_limit() -> None:
    body, headers = json.dumps({"dataframe_records": ROWS["table"]}).encode(), {"content-encoding": "gzip"}
    assert scoring.unpacked(gzip.compress(body), headers, 1000) == body
    assert scoring.unpacked(body, {}, 1) == body
    for sent, most, status, message in (
        (gzip.compress(body), 10, 413, "The body unpacks to more than 1e-05 MB. Send fewer rows in a request."),
        (body, 1000, 400, "The body is not gzip: Error -3 while decompressing data: incorrect header check. Compress"),
        (gzip.compress(body)[:-9], 1000, 400, "The body is not one whole gzip stream. Compress it again."),
    ):
        with pytest.raises(RefusedError) as caught:
            scoring.unpacked(sent, headers, most)
        assert caught.value.answer.status == status
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"temperature": 1}, "params has temperature, which no prediction takes. Use horizon or missing."),
        ({"horizon": 1.5}, "params.horizon must be a whole number of steps, got 1.5. Give 1 or more."),
        ({"horizon": -1}, "params.horizon must be a whole number of steps, got -1. Give 1 or more."),
        ({"horizon": True}, "params.horizon must be a whole number of steps, got True. Give 1 or more."),
        ([1], "params must be an object, got [1]. Leave it out."),
    ],
)
def test_params_that_mean_nothing_are_refused(params: Any, sentence: str) -> None:
    assert ours("series", json.dumps({"inputs": ROWS["series"], "params": params}).encode()) == (400, sentence)


def test_each_kind_of_body_is_read_as_predict_reads_a_file(tmp_path: Path) -> None:
    trained = MODELS["table"]
    frame = pd.DataFrame(ROWS["table"]).astype({"age": float, "income": float})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text(json.dumps(ROWS["table"]))
    columns = [*SCORERS["table"].answer(json.dumps({"inputs": ROWS["table"]}).encode(), JSON, lambda: False)]
    columns = list(json.loads(b"".join(columns))["predictions"][0])
    kinds = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet", "json": JSON}
    for ending, kind in kinds.items():
        file = tmp_path / f"rows.{ending}"
        predict_file(trained, file, tmp_path / "out.parquet")
        expected = pd.read_parquet(tmp_path / "out.parquet")[columns]
        body = file.read_bytes() if kind != JSON else json.dumps({"dataframe_records": ROWS["table"]}).encode()
        status, answer = ours("table", body, kind)
        assert status == 200
        pd.testing.assert_frame_equal(
            pd.DataFrame(answer["predictions"]), expected, check_exact=True, check_dtype=False
        )


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (
            '"\\ud800"',
            "column town holds half a character (a lone surrogate) in row 1, got '\"\\ud800\"'. Fix the value.",
        ),
        ("[[1]]", "column town holds a list or mapping in row 1, got [[1]]. Give one value."),
        ("[" * 900 + "]" * 900, "column town holds a list or mapping in row 1, got "),
    ],
)
def test_a_cell_that_no_file_could_hold_is_refused(cell: str, sentence: str) -> None:
    body = SPLIT % f'[[1, 2, "007", "York"], [1, 2, "007", {cell}]]'
    status, answer = ours("table", body.encode())
    assert (status, answer[: len(sentence)]) == (400, sentence)


def test_cancelled_work_stops() -> None:
    rows = json.dumps({"inputs": ROWS["table"] * 8192}).encode()
    whole, part = (b"".join(SCORERS["table"].answer(rows, JSON, lambda: left)) for left in (False, True))  # noqa: B023
    assert len(json.loads(whole)["predictions"]) == 3 * 8192
    assert len(json.loads(part)["predictions"]) < 3 * 8192


NUMBERS = st.floats(-1e30, 1e30) | st.integers(-(2**53) + 1, 2**53 - 1) | st.just(0)
TEXTS = st.sampled_from(["a", "b", "007", "1", "1.0", "True"])


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    scaling=st.sampled_from(["standard", "minmax", "none"]),
    numbers=st.integers(0, 3),
    texts=st.integers(0, 2),
    zeros=st.booleans(),
)
def test_the_short_way_makes_the_same_inputs_bit_for_bit(
    data: Any, scaling: str, numbers: int, texts: int, zeros: bool
) -> None:
    names = [f"n{at}" for at in range(numbers)] + [f"t{at}" for at in range(texts)]
    if not names:
        return
    row = st.tuples(*[NUMBERS] * numbers, *[TEXTS] * texts)
    learnt = data.draw(st.lists(row, min_size=3, max_size=6))
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    plugin = Table(target="y", path="-", scaling=scaling, missing_zeros=names[:1] if numbers and zeros else [])
    frame = pd.DataFrame(learnt, columns=names).astype(dict.fromkeys(names[:numbers], float))
    with np.errstate(all="ignore"):
        transformer = plugin.learn(plugin.samples(frame).inputs)
        asked = pd.DataFrame(rows, columns=names).astype(dict.fromkeys(names[:numbers], float))
        expected = plugin.apply(transformer, plugin.samples(asked).inputs)
        order = data.draw(st.permutations(range(len(names))))
        found = plugin.encoder(transformer, names)(
            [names[at] for at in order], [[row[at] for at in order] for row in rows]
        )
    known = all(row[numbers + at] in {other[numbers + at] for other in learnt} for row in rows for at in range(texts))
    is_small = all(abs(cell) < 2**53 for row in rows for cell in row[:numbers])
    needs_care = zeros and numbers and any(row[0] == 0 for row in rows)
    if found is None:
        assert not (known and is_small and np.isfinite(expected).all()) or needs_care
    else:
        assert found.dtype == expected.dtype == np.float32
        np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))


@pytest.mark.parametrize("cell", [None, True, "1", 2**53, 2**63, 10**400, float("nan"), float("inf"), [1], {"a": 1}])
def test_a_cell_that_needs_care_takes_the_long_way(cell: Any) -> None:
    trained = MODELS["table"]
    encoder = trained.encoder()
    assert encoder is not None
    row = {**ROWS["table"][0], "age": cell}
    assert encoder(list(row), [list(row.values())]) is None
    assert encoder(list(row), [list({**row, "age": 1, "town": cell}.values())]) is None
    without = {name: value for name, value in ROWS["table"][0].items() if name != "town"}
    assert encoder(list(without), [list(without.values())]) is None


def test_the_long_way_and_the_short_way_answer_the_same() -> None:
    rows = [{**ROWS["table"][0], "age": number} for number in range(100)]
    short = SCORERS["table"]
    long = Scorer(replace(MODELS["table"]))
    long._encoder = None
    body = json.dumps({"dataframe_records": rows}).encode()
    assert short.answer(body, JSON, lambda: False) == long.answer(body, JSON, lambda: False)
