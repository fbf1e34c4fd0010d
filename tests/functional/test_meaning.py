"""A file whose columns are more than plain numbers and categories, through the commands: train, predict, evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lifecycle.predict import saved_model
from lifecycle.predict.serving.scoring import Scorer
from tests.conftest import Command, artifacts
from tests.data.test_meaning_predicts import written

ROWS = 60
VALUES = np.random.default_rng(0).uniform(-999, 99999, ROWS).round(2).tolist()
KINDS = {"price": "currency", "share": "percent", "when": "day first", "flag": "truth", "town": "word", "note": "text"}
FOUND = {
    "price": {"kind": "number", "unit": "CHF", "decimal": ".", "thousands": "'"},
    "share": {"kind": "number", "unit": "%", "decimal": "."},
    "when": {"kind": "time", "notation": "day_first"},
    "flag": "boolean",
    "note": "text",
    "size": ["S", "M", "L"],
}


def test_a_file_is_trained_on_predicted_evaluated_and_served(
    job: Command, lifecycle: Command, runs: Any, tmp_path: Path
) -> None:
    columns: dict[str, Any] = {name: written(VALUES, kind, gaps=False) for name, kind in KINDS.items()}
    rows = pd.DataFrame({**columns, "size": ["S", "M", "L"] * (ROWS // 3), "y": np.arange(ROWS) / 7})
    rows.to_csv(tmp_path / "a.csv", index=False)
    ended = job(
        "data=table", "data.path=a.csv", "data.target=y", "data.types={size: [S, M, L]}", "trainer.max_epochs=1",
        "verbose=1",
    )  # fmt: skip
    assert (ended.code, ended.err) == (0, "")
    assert "2 numbers (price in CHF, share in %), 1 true or false: flag, 1 with dates or times: when" in ended.out
    (run,) = runs()
    # The request is recorded as it was typed, and the model has what was found.
    request = json.loads((artifacts(run) / "request.json").read_text())
    assert request["config"]["data"]["types"] == {"size": ["S", "M", "L"]}
    folder = next((tmp_path / "mlruns").rglob("lifecycle.json")).parent
    assert json.loads((folder / "lifecycle.json").read_text())["data"]["fields"]["types"] == FOUND
    predicted = lifecycle("predict", "run=latest", "input=a.csv", "output=out.csv")
    assert (predicted.code, predicted.err) == (0, f"Predicted {ROWS} rows of a.csv into out.csv\n")
    out = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert out["price"].tolist() == rows["price"].tolist()
    evaluated = lifecycle("evaluate", "run=latest", "input=a.csv")
    assert (evaluated.code, evaluated.err) == (0, "")
    body = rows.drop(columns="y").to_csv(index=False).encode()
    answer = json.loads(b"".join(Scorer(saved_model.load(folder)).answer(body, "text/csv", lambda: False)))
    np.testing.assert_allclose([row["predicted"] for row in answer["predictions"]], out["predicted"].astype(float))


def test_jobs_that_are_fitted_together_save_the_types_too(job: Command, tmp_path: Path) -> None:
    rows = pd.DataFrame({"price": written(VALUES, "currency", gaps=False), "y": np.arange(ROWS) / 7})
    rows.to_csv(tmp_path / "a.csv", index=False)
    ended = job("-m", "data=table", "data.path=a.csv", "data.target=y", "trainer.max_epochs=1", "seed=0,1")
    assert ended.code == 0, ended.err
    saved = [json.loads(file.read_text()) for file in (tmp_path / "mlruns").rglob("lifecycle.json")]
    assert len(saved) >= 2
    assert all(one["data"]["fields"]["types"] == {"price": FOUND["price"]} for one in saved)


def test_what_is_wrong_with_a_type_is_one_sentence(lifecycle: Command, tmp_path: Path) -> None:
    pd.DataFrame({"w": ["1 kg", "2 lb"] * 20, "y": np.arange(40) / 7}).to_csv(tmp_path / "a.csv", index=False)
    arguments = ("data=table", "data.path=a.csv", "data.target=y")
    ended = lifecycle(*arguments, "data.types={w: numbre}")
    assert ended.code == 2
    assert ended.err.startswith("lifecycle: data.types must be number, boolean, category,")
    ended = lifecycle(*arguments, "data.types={w: number}")
    assert ended.code == 2
    sentence = "column w holds numbers in kg, got 2 lb in row 1. Fix the value, or add data.types={w: category}."
    assert ended.err.startswith(f"lifecycle: {sentence}")


def test_the_columns_of_a_file_are_described_before_a_target_is_chosen(lifecycle: Command, tmp_path: Path) -> None:
    rows = pd.DataFrame({
        "price": written(VALUES, "currency", gaps=False), "when": written(VALUES, "stamp", gaps=True),
        "grade": np.arange(ROWS) % 5, "id": np.arange(ROWS),
    })  # fmt: skip
    rows.to_csv(tmp_path / "a.csv", index=False)
    out = lifecycle("data", "data.path=a.csv").out
    assert "Target    not named; data.target=<column> names the column to predict" in out
    assert max(map(len, out.splitlines())) <= 80
    lines = out.splitlines()
    assert any(line.startswith("price   number in CHF        0        60") and "CHF" in line[30:] for line in lines)
    assert any(line.startswith("when    time") for line in lines)
    words = " ".join(out.split())
    assert "grade: 5 different whole numbers; if they are codes, data.types={grade: category}" in words
    assert "id: another whole number in each row; if it is an identifier, data.types={id: drop}" in words
    card = lifecycle("data", "table", "data.path=a.csv", "data.target=grade").out
    assert "Audit     id: another value in each row, as of an identifier. Add data.drop=[id]." in card
    assert "data.types={id: drop}" not in card  # the audit has named it
    assert "Task      5 different whole numbers are classes; data.task=regression predicts a value" in card
