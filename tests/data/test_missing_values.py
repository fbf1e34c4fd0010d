"""A missing value in a column without missing values in the run is refused, or filled with missing=impute."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer

from lifecycle.api.model import Model
from lifecycle.errors import DataWarning, RequestError
from lifecycle.predict import saved_model
from lifecycle.predict.serving.http_messages import JSON
from lifecycle.predict.serving.scoring import CSV, Scorer
from lifecycle.predict.trained_model import TrainedModel
from lifecycle.sklearn import LifecycleClassifier
from tests.conftest import Command
from tests.predict.test_saved_model import KEPT

COLUMNS = [f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")]
LACKING = f"input has no value in row 1, columns {', '.join(COLUMNS[1:])}, and every training row had one. "
CURE = "Give a value, or add missing=impute to fill it as in training."
ROW = dict.fromkeys(COLUMNS, 1)
FILES = {
    "short.json": json.dumps([ROW, {COLUMNS[0]: 1}]),
    "short.jsonl": f"{json.dumps(ROW)}\n{json.dumps({COLUMNS[0]: 1})}\n",
    "short.csv": f"{','.join(COLUMNS)}\n1,1,1,1\n1,,,\n",
}


@pytest.fixture
def folder(trained: Path) -> Path:
    """Return the folder of a model of iris, whose rows have no gaps."""
    (file,) = (trained / "mlruns").rglob("weights.safetensors")
    return file.parent


@pytest.fixture
def iris(folder: Path) -> TrainedModel:
    """Return that model."""
    return saved_model.load(folder)


def filled(model: TrainedModel) -> pd.DataFrame:
    """Return predictions for the rows of ``FILES``, their gaps filled with scikit-learn's medians of training rows."""
    imputer: SimpleImputer = model.preprocessing.inputs.named_transformers_["numbers"][0]
    medians = dict(zip(COLUMNS, imputer.statistics_, strict=True))
    return model.predict(pd.DataFrame([ROW, {**medians, COLUMNS[0]: 1.0}]))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("standard", [False, True], ids=["file", "pipe"])
def test_short_rows_of_a_file_are_refused_or_filled(
    lifecycle: Command,
    folder: Path,
    iris: TrainedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    standard: bool,
) -> None:
    (tmp_path / name).write_text(FILES[name])
    arguments = [f"input={'-' if standard else name}", "output=out.csv", *([f"format={name[6:]}"] if standard else [])]
    for missing in ([], ["missing=refuse"], ["missing=impute"]):
        with (tmp_path / name).open() as rows, monkeypatch.context() as patch:
            patch.setattr("sys.stdin", rows)
            ended = lifecycle("predict", f"run={folder}", *arguments, *missing)
        if missing != ["missing=impute"]:
            assert (ended.code, ended.err.strip()) == (2, f"lifecycle: {LACKING}{CURE}")
            assert not (tmp_path / "out.csv").exists()
    assert ended.code == 0
    message = f"{COLUMNS[1]}: no value in 1 row, and every training row had one: filled with the training median"
    assert ended.err.splitlines()[0] == message
    found = pd.read_csv(tmp_path / "out.csv")[list(filled(iris).columns)]
    pd.testing.assert_frame_equal(found, filled(iris), check_dtype=False, rtol=1e-9)


def test_an_empty_row_of_a_csv_file_and_one_of_parquet_are_refused(
    lifecycle: Command, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "blank.csv").write_text(f"{','.join(COLUMNS)}\n1,1,1,1\n,,,\n")
    rows = pd.read_csv(tmp_path / "blank.csv").drop(columns=COLUMNS[1]).assign(**{COLUMNS[1]: 1.0})
    rows.to_parquet(tmp_path / "blank.parquet")
    for name, named in {"blank.csv": COLUMNS, "blank.parquet": [COLUMNS[0], *COLUMNS[2:]]}.items():
        ended = lifecycle("predict", f"run={folder}", f"input={name}", "output=out.csv")
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert f"input has no value in row 1, columns {', '.join(named)}, and every training row had" in ended.err


def test_a_word_that_is_none_of_the_two_is_refused(lifecycle: Command, iris: TrainedModel) -> None:
    for command, arguments in {"predict": ["input=a.csv", "output=b.csv"], "evaluate": [], "serve": []}.items():
        ended = lifecycle(command, "run=latest", *arguments, "missing=imputed")
        assert ended.code == 2
        assert "missing must be one of refuse, impute, got imputed. Did you mean impute?" in ended.err
    with pytest.raises(
        RequestError, match=r"^missing must be refuse or impute, got fill\. Leave it out to refuse missing values\.$"
    ):
        iris.predict(pd.DataFrame([ROW]), missing="fill")


def test_labelled_rows_are_refused_or_filled(job: Command, lifecycle: Command, tmp_path: Path) -> None:
    job("model=mlp", "data=iris", "trainer.max_epochs=1")
    (weights,) = (tmp_path / "mlruns").rglob("weights.safetensors")
    pd.DataFrame([{**ROW, "species": "setosa"}, {COLUMNS[0]: 1, "species": "virginica"}]).to_csv("new.csv", index=False)
    ended = lifecycle("evaluate", "run=latest", "input=new.csv")
    assert (ended.code, ended.err.strip()) == (2, f"lifecycle: {LACKING}{CURE}")
    ended = lifecycle("evaluate", "run=latest", "input=new.csv", "missing=impute", "tracking.figures=false")
    assert ended.code == 0
    assert f"{COLUMNS[1]}: no value in 1 row, and every training row had one: filled with" in ended.out
    table = next((tmp_path / "mlruns").rglob("evaluate/new/predictions.csv"))
    expected = filled(saved_model.load(weights.parent))
    found = pd.read_csv(table)[list(expected.columns)]
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)


def answered(model: TrainedModel, **body: Any) -> pd.DataFrame:
    """Return the predictions that the server answers JSON with."""
    parts = Scorer(model).answer(json.dumps(body).encode(), JSON, lambda: False)
    return pd.DataFrame(json.loads(b"".join(parts))["predictions"])


def test_the_server_and_mlflow_refuse_or_fill(iris: TrainedModel, trained: Path) -> None:
    records = [ROW, {COLUMNS[0]: 1}]
    with pytest.raises(RequestError) as caught:
        answered(iris, dataframe_records=records)
    assert str(caught.value) == LACKING + CURE
    with pytest.raises(RequestError, match=r"^row 1 has 1 of 4 values, and none for sepal width \(cm\), petal length"):
        answered(iris, inputs=[[1, 1, 1, 1], [1]])
    text = f"{','.join(COLUMNS)}\n1,1,1,1\n1,,,\n".encode()
    with pytest.raises(RequestError, match="input has no value in row 1, columns sepal width"):
        Scorer(iris).answer(text, CSV, lambda: False)
    for found in (
        answered(iris, dataframe_records=records, params={"missing": "impute"}),
        answered(replace(iris, missing="impute"), dataframe_records=records),
    ):
        pd.testing.assert_frame_equal(found, filled(iris), check_dtype=False, rtol=1e-9)

    (around,) = {file.parent for file in trained.rglob("MLmodel")}
    model, rows = mlflow.pyfunc.load_model(str(around)), pd.DataFrame(records)
    with pytest.raises(mlflow.MlflowException, match="no value in row 1, columns"):
        model.predict(rows)
    found = model.predict(rows, params={"missing": "impute"})
    pd.testing.assert_frame_equal(found, filled(iris), rtol=1e-9)


def test_python_refuses_or_fills_and_a_saved_model_remembers(tmp_path: Path) -> None:
    table, y = load_iris(return_X_y=True, as_frame=True)
    table.iloc[3, 0] = np.nan
    model = Model("mlp", hidden=[4])
    model.fit(table, y, epochs=2, verbose=0)
    again = Model.load(model.save(tmp_path / "saved"))
    manifest = json.loads((tmp_path / "saved" / "lifecycle.json").read_text())
    assert manifest["data"]["gaps"] == [table.columns[0]]
    rows = table.iloc[:5].copy()
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))  # the gap of row 3 is like one of training
    rows.iloc[2, 1] = np.nan
    message = r"X has no value in row 2, column sepal width \(cm\), and every .* or add missing=\"impute\" to fill"
    for one in (model, again):
        for call in (
            one.predict,
            one.predict_proba,
            lambda table, one=one, **fields: one.evaluate(table, y[:5], **fields),
        ):
            with pytest.raises(RequestError, match=message):
                call(rows)
            assert call(rows, missing="impute") is not None
    np.testing.assert_allclose(
        model.predict_proba(rows, missing="impute"), model.predict_proba(rows.fillna(table.median())), rtol=1e-6
    )


def test_scikit_learns_estimators_fill_where_they_are_refused() -> None:
    table, y = load_iris(return_X_y=True, as_frame=True)
    rows = table.assign(**{table.columns[1]: table.iloc[:, 1].mask(table.index == 7)})
    with pytest.raises(RequestError, match="no value in row 7, column sepal width"):
        LifecycleClassifier(epochs=1).fit(table, y).predict(rows)
    assert len(LifecycleClassifier(epochs=1, missing="impute").fit(table, y).predict(rows)) == len(table)


def test_gaps_of_validation_rows_alone_are_filled_with_a_warning() -> None:
    table, y = load_iris(return_X_y=True, as_frame=True)
    val = table.iloc[::5].copy()
    val.iloc[0, 2] = np.nan
    model = Model("mlp", hidden=[4])
    with pytest.warns(DataWarning, match=r"^petal length \(cm\): values are missing in validation or test rows alone"):
        model.fit(table, y, epochs=1, validation_data=(val, y.iloc[::5]), verbose=0)
    assert model.trained.preprocessing.gaps == {"petal length (cm)"}
    model.predict(val)  # a model predicts the rows that it was made with


def test_a_model_that_was_saved_before_fills_and_says_so(lifecycle: Command, tmp_path: Path) -> None:
    folder = KEPT / "v1" / "table"
    ended = lifecycle("predict", f"run={folder / 'model'}", f"input={folder / 'rows.csv'}", "output=out.csv")
    assert ended.code == 0
    assert ended.err.splitlines()[0] == "age: no value in 3 rows: filled with the training median"
    assert saved_model.load(folder / "model").preprocessing.gaps is None


@pytest.fixture(scope="module")
def fitted() -> Callable[[frozenset[int]], Model]:
    """Return a model whose training rows had gaps in some of three columns; each is made once."""
    known: dict[frozenset[int], Model] = {}

    def fit(gaps: frozenset[int]) -> Model:
        if gaps not in known:
            table = frame(np.random.default_rng(0).integers(0, 5, (30, 3)), {(0, column) for column in gaps})
            known[gaps] = Model("mlp", hidden=[2])
            known[gaps].fit(table, np.arange(30) % 2, epochs=1, verbose=0)
        return known[gaps]

    return fit


def frame(values: Any, gaps: set[tuple[int, int]]) -> pd.DataFrame:
    """Return two columns of numbers and one of texts, some of them missing."""
    rows = pd.DataFrame(values, columns=["a", "b", "c"]).astype({"a": "float64", "b": "Int64", "c": "str"})
    for row, column in gaps:
        rows.iloc[row, column] = pd.NA if column == 1 else np.nan
    return rows


PLACES = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=4)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.frozensets(st.integers(0, 2)), PLACES)
def test_a_row_is_refused_where_a_column_was_complete(
    fitted: Callable[[frozenset[int]], Model], gaps: frozenset[int], places: set[tuple[int, int]]
) -> None:
    model, rows = fitted(gaps), frame(np.arange(18).reshape(6, 3) % 5, places)
    wrong = sorted((row, column) for row, column in places if column not in gaps)
    if not wrong:
        assert len(model.predict(rows)) == 6
        return
    with pytest.raises(RequestError, match=f"no value in row {wrong[0][0]}, column") as caught:
        model.predict(rows)
    named = str(caught.value).partition("column")[2].partition(", and")[0].lstrip("s ").split(", ")
    assert named == ["abc"[column] for row, column in wrong if row == wrong[0][0]]
    assert len(model.predict(rows, missing="impute")) == 6
