"""The verb serve: MLflow's model server, whose answers are those of predict, and whose refusals say why."""

from __future__ import annotations

import http.client
import json
import shlex
import shutil
import signal
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lifecycle.predict import saved_model
from lifecycle.predict.serving import server
from tests.conftest import Command
from tests.forked import Forks, Process
from tests.functional.test_ui import free_port
from tests.predict.test_saved_model import KEPT
from tests.security.test_untrusted_files import strange_mlmodel

TABLE, SERIES = KEPT / "v1" / "table", KEPT / "v1" / "series"


@dataclass(frozen=True)
class Served:
    """A server in a process of its own, and what it printed."""

    folder: Path
    process: Process
    link: str
    printed: str

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(urllib.parse.urlsplit(self.link).port or 0)

    def post(self, body: str | bytes, kind: str | None) -> tuple[int, Any]:
        """Return the status and the body of an answer."""
        address = urllib.parse.urlsplit(self.link)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        headers = {} if kind is None else {"Content-Type": kind}
        connection.request("POST", address.path, body.encode() if isinstance(body, str) else body, headers)
        answer = connection.getresponse()
        status, text = answer.status, answer.read()
        connection.close()
        return status, json.loads(text)

    def json(self, **body: Any) -> tuple[int, Any]:
        """Do so for JSON."""
        return self.post(json.dumps(body), "application/json")


def start(forks: Forks, folder: Path, cwd: Path, *words: str) -> Served:
    process = Process(forks, ["serve", f"run={folder}", f"port={free_port()}", *words], cwd)
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("Ctrl-C"):
        line = process.stdout.readline()
        assert line, process.communicate()
        lines.append(line)
    return Served(folder, process, lines[1].strip(), "".join(lines))


def end(served: Served, number: int) -> int:
    served.process.send_signal(number)
    served.process.communicate(timeout=30)
    return served.process.wait()


@pytest.fixture(scope="module")
def table(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a model whose rows have gaps, codes and texts; MLflow's files around it are a stranger's."""
    place = tmp_path_factory.mktemp("served")
    shutil.copytree(TABLE / "model", place / "saved")
    around = strange_mlmodel(place / "saved", place / "canary")
    served = start(forks, around, around / "code")
    yield served
    assert end(served, signal.SIGINT) == 0
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(served.link, timeout=2)


ROWS = pd.read_csv(TABLE / "rows.csv", dtype={"code": str}, keep_default_na=False, na_values=[""])
PREDICTED = pd.read_csv(TABLE / "predictions.csv")
PLAIN = ROWS.astype(object).where(ROWS.notna(), None)


def check(answer: tuple[int, Any], expected: pd.DataFrame = PREDICTED) -> None:
    status, body = answer
    assert status == 200, body
    assert list(body) == ["predictions"]
    found = pd.DataFrame(body["predictions"])
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-6, atol=1e-9)


def test_csv_rows_are_answered_with_what_predict_gives(table: Served) -> None:
    assert {"007", "0101"} <= set(ROWS["code"])  # codes
    assert "NA" in set(ROWS["town"])  # a word, which is not a missing value
    check(table.post((TABLE / "rows.csv").read_bytes(), "text/csv"))
    check(table.post((TABLE / "rows.csv").read_bytes(), "text/csv; charset=utf-8"))
    shuffled = ROWS[["town", "code", "income", "age"]].assign(more="x").to_csv(index=False)
    check(table.post(shuffled, "text/csv"))


def test_mlflows_files_around_a_model_which_name_code_are_not_read(table: Served) -> None:
    assert 'open("' in (table.folder / "code" / "strange_loader.py").read_text().replace("'", '"')
    check(table.json(dataframe_records=PLAIN.to_dict("records")))
    assert not (table.folder.parent / "canary").exists()


def test_json_rows_are_answered_with_what_predict_gives(table: Served) -> None:
    columns, values = list(PLAIN), PLAIN.to_numpy().tolist()
    check(table.json(dataframe_split={"columns": columns, "data": values}))
    check(table.json(dataframe_records=PLAIN.to_dict("records")))
    check(table.json(inputs={name: PLAIN[name].tolist() for name in columns}))
    for form in ("inputs", "instances"):
        check(table.json(**{form: values}))
        check(table.json(**{form: PLAIN.to_dict("records")}))
    one = PLAIN.iloc[[1]].to_dict("records")
    check(table.json(dataframe_records=one), PREDICTED.iloc[[1]].reset_index(drop=True))


def row(**cells: Any) -> dict[str, Any]:
    return {**PLAIN.iloc[0].to_dict(), **cells}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in row().items() if key != name}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([without("age")], "input has no column age, got income, code, town. This model needs age, income, code, town"),
        ([row(), row(age="old")], "column age holds numbers, got 'old' in row 1. Fix the value."),
        ([row(age=[1, 2])], "column age holds a list or mapping in row 0, got [1, 2]. Give one value."),
        ([row(income={"a": 1})], "column income holds a list or mapping in row 0, got {'a': 1}. Give one value."),
        ([row(income=1e400)], "the body is no JSON: it holds Infinity, which is no number of JSON. Write"),
        ([], "input has no rows. Give one or more to predict."),
    ],
)
def test_a_bad_row_is_a_400_that_says_why(table: Served, rows: list[Any], sentence: str) -> None:
    status, body = table.json(dataframe_records=rows)
    assert status == 400
    assert sentence in body["message"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("age,income,code\n1,2,007\n", "input has no column town, got age, income, code. This model needs age"),
        ("age,income,code,town\n1,2,007,York\nx,2,007,York\n", "column age holds numbers, got 'x' in row 1. Fix"),
        ("age,income,code,town\n", "input has no rows. Give one or more to predict."),
        ("", "input is empty. Give a line with the names of the columns, and one row or more."),
        (
            "age,income,code,town\n1,2,007\n",
            "input cannot be read: line 2 has 3 cells, and the header has 4 (1,2,",
        ),
        ("age,age,income,code,town\n1,1,2,007,York\n", "input cannot be read: it has the column age twice. Fix it."),
        (b"age,income,code,town\n1,2,007,Z\x00\xfcrich\n", "input cannot be read: "),
    ],
)
def test_csv_that_cannot_be_read_is_a_400_that_says_why(table: Served, text: str | bytes, sentence: str) -> None:
    status, body = table.post(text, "text/csv")
    assert status == 400
    assert sentence in body["message"]
    assert "tmp" not in body["message"]


def test_a_body_that_is_no_json_is_a_400(table: Served) -> None:
    status, body = table.post("{", "application/json")
    assert status == 400
    assert body["message"].startswith("the body is no JSON: Expecting property name enclosed in double quotes")
    split = {"columns": ["age", "age", "income", "code", "town"], "data": [[1, 1, 2, "007", "York"]]}
    assert table.json(dataframe_split=split)[0] == 400


def test_json_that_holds_no_rows_is_a_400_that_says_why(table: Served) -> None:
    deep = "[" * 1000 + "]" * 1000
    for body, sentence in {
        f'{{"inputs": {deep}}}': "the body is nested too deeply. Give one value a cell.",
        '{"inputs": [[59, 2, "007", "York"], [1]]}': "row 1 has 1 of 4 values, and none for income, code, town. Give",
        '{"rows": []}': "the body must be an object with one of dataframe_split, dataframe_records, inputs, instances",
    }.items():
        status, answer = table.post(body, "application/json")
        assert (status, answer["message"][: len(sentence)]) == (400, sentence)


def test_a_request_that_names_no_type_is_a_400(table: Served) -> None:
    status, body = table.post("age\n1\n", None)
    assert (status, body["message"]) == (400, "the request has no Content-Type. Give text/csv or application/json.")


def test_the_example_that_it_prints_works(table: Served) -> None:
    assert table.printed.startswith(f"{table.folder} answers rows on\n")
    (command,) = [line for line in table.printed.splitlines() if "curl" in line]
    words = shlex.split(command)
    assert words[:2] == ["curl", "-H"]
    assert words[-1] == table.link
    status, body = table.post(words[words.index("-d") + 1], words[2].removeprefix("Content-Type: "))
    assert status == 200
    assert len(body["predictions"]) == 1


def test_a_series_is_put_in_order_by_its_times_and_sigterm_ends_with_143(forks: Forks, tmp_path: Path) -> None:
    served = start(forks, SERIES / "model", tmp_path)
    try:
        rows, expected = pd.read_csv(SERIES / "rows.csv"), pd.read_csv(SERIES / "predictions.csv")
        mixed = rows.sample(frac=1, random_state=0)
        check(served.post(mixed.to_csv(index=False), "text/csv"), expected)
        check(served.json(dataframe_split=mixed.to_dict("split")), expected)
        status, body = served.json(dataframe_records=rows.head(2).to_dict("records"))
        assert status == 400
        assert "data.window=4 and data.difference=1 need 6 rows or more, got 2" in body["message"]
        (command,) = [line for line in served.printed.splitlines() if "curl" in line]
        words = shlex.split(command)
        assert served.post(words[words.index("-d") + 1], "application/json")[0] == 200
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as begun:
            body = words[words.index("-d") + 1].encode()
            head = "POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: "
            begun.sendall(f"{head}{len(body)}\r\n\r\n".encode())
            time.sleep(0.2)
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            begun.sendall(body)  # a request in progress is answered before the server ends
            answer = begun.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"Connection: close" in answer
    finally:
        code = end(served, signal.SIGTERM)
    assert code == 143
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(served.link, timeout=2)


def test_a_port_that_is_taken_is_named_with_another(lifecycle: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = lifecycle("serve", f"run={TABLE / 'model'}", f"port={port}")
    assert ended.code == 2
    assert f"port={port} is taken. Use another, such as port={port + 1}." in ended.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["port=0"], "port must be 1 or more and below 65536, got 0."),
        ([], "run is not chosen. Add run=latest"),
        (["run=nowhere"], "tracking.dir=mlruns has no runs yet."),
        (["rnu=latest"], "rnu is not a field of lifecycle serve, got latest. Did you mean run?"),
    ],
)
def test_a_wrong_word_is_one_sentence(lifecycle: Command, words: list[str], sentence: str) -> None:
    ended = lifecycle("serve", *([] if "port" in "".join(words) else [f"port={free_port()}"]), *words)
    assert ended.code == 2
    assert sentence in ended.err


def test_a_model_that_was_altered_is_not_served(lifecycle: Command, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (TABLE / "model").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "weights.safetensors").write_bytes(b"x")
    ended = lifecycle("serve", f"run={folder}", f"port={free_port()}")
    assert ended.code == 1
    assert "weights.safetensors is not the file that was saved: its sha256 differs." in ended.err


def test_long_rows_are_shown_as_a_file() -> None:
    trained = saved_model.load(TABLE / "model")
    link = "http://127.0.0.1:1/invocations"
    assert all(f'"{name}"' in server.example(trained, link) for name in trained.columns)
    wide = replace(trained, columns=("a" * 200, "b" * 200, "c" * 200))
    assert server.example(wide, link) == f"curl -H 'Content-Type: text/csv' --data-binary @new.csv {link}"


def test_command_python_mlflow_and_server_predict_the_same(
    trained: Path, lifecycle: Command, forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    from lifecycle.api.model import Model

    folder = shutil.copytree(trained, tmp_path / "place")
    monkeypatch.chdir(folder)
    (manifest,) = folder.rglob("lifecycle.json")
    model = Model.load(manifest.parent)
    rows = model.trained.data.read()
    rows.to_csv("rows.csv", index=False)
    assert lifecycle("predict", f"run={manifest.parent}", "input=rows.csv", "output=out.csv").code == 0
    columns = ["predicted", *(f"probability_{name}" for name in model.classes_)]
    expected = pd.read_csv("out.csv")[columns]
    assert model.predict(rows).tolist() == expected["predicted"].tolist()
    assert (model.predict_proba(rows) == expected[columns[1:]].to_numpy()).all()
    loaded = mlflow.pyfunc.load_model(str(manifest.parents[2]))
    pd.testing.assert_frame_equal(loaded.predict(rows), expected, check_exact=True, check_dtype=False)
    served = start(forks, manifest.parent, folder)
    try:
        status, body = served.post(Path("rows.csv").read_bytes(), "text/csv")
    finally:
        assert end(served, signal.SIGINT) == 0
    assert status == 200
    found = pd.DataFrame(body["predictions"])[columns]
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)
