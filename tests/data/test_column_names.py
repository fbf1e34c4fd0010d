"""Columns with a name of the predictions are refused before training, with a remedy that works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.api.model import Model
from lifecycle.data.columns import names
from lifecycle.data.sources import files
from lifecycle.errors import RequestError
from lifecycle.predict import saved_model
from tests.conftest import Command

ROWS = 40
QUICK = ("trainer.max_epochs=1", "model=mlp")
generator = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "a": generator.normal(size=ROWS).round(3),
        "predicted": generator.normal(size=ROWS).round(3),
        "y": ["no", "yes"] * (ROWS // 2),
    }
)


def cures(message: str) -> list[list[str]]:
    """Return the arguments of each remedy that a refusal names."""
    arguments = re.sub(r"\.$", "", message.strip().partition("Add ")[2])
    return [shlex.split(cure) for cure in arguments.split(", or ")]


def model_in(folder: Path) -> Path:
    """Return the folder of the last saved model."""
    return max(folder.rglob("weights.safetensors"), key=lambda file: file.stat().st_mtime).parent


def predicted(lifecycle: Command, source: str) -> tuple[pd.DataFrame, str]:
    ended = lifecycle("predict", "run=latest", f"input={source}", "output=out.csv")
    assert ended.code == 0, ended.err
    return pd.read_csv("out.csv"), ended.err


@pytest.mark.parametrize(
    ("name", "ending", "large"),
    [("predicted", "csv", False), ("probability_yes", "csv", True), ("predicted", "parquet", True)],
)
def test_each_remedy_trains_and_predicts_the_file_as_it_is(
    job: Command,
    lifecycle: Command,
    runs: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    ending: str,
    large: bool,
) -> None:
    monkeypatch.setattr(files, "LARGE", 0 if large else files.LARGE)
    frame = FRAME.rename(columns={"predicted": name})
    frame.to_csv("rows.csv", index=False) if ending == "csv" else frame.to_parquet("rows.parquet")
    data = ["data=table", f"data.path=rows.{ending}", "data.target=y"]
    ended = job(*data, *QUICK)
    assert (ended.code, runs()) == (2, [])
    assert ended.err.strip() == (
        f"lifecycle: data=table has a column {name}, which is the name of a column of predictions. Add "
        f"'data.rename={{{name}: {name}_}}', or data.drop=[{name}]."
    )
    rename, drop = cures(ended.err)
    assert job(*data, *QUICK, *rename).code == 0
    found, _ = predicted(lifecycle, f"rows.{ending}")
    assert list(found) == ["a", f"{name}_", "y", "predicted", "probability_no", "probability_yes"]
    np.testing.assert_array_equal(found[f"{name}_"], frame[name])
    assert saved_model.load(model_in(tmp_path)).columns == ("a", f"{name}_")
    assert job("evaluate", "run=latest", f"input=rows.{ending}").code == 0
    found[["a", f"{name}_", "y"]].to_csv("renamed.csv", index=False)  # as the rows of an output are
    again, _ = predicted(lifecycle, "renamed.csv")
    pd.testing.assert_frame_equal(again, found)

    assert job(*data, *QUICK, *drop).code == 0
    found, message = predicted(lifecycle, f"rows.{ending}")
    assert list(found) == ["a", "y", "predicted", "probability_no", "probability_yes"]
    assert f"{name}: left out, since data.drop names it and it is the name of a column of predictions" in message


def test_a_target_and_a_time_that_are_called_so_are_renamed(job: Command, lifecycle: Command, runs: Any) -> None:
    FRAME.drop(columns="y").to_csv("rows.csv", index=False)
    ended = job("data=table", "data.path=rows.csv", "data.target=predicted", *QUICK)
    assert (ended.code, runs()) == (2, [])
    ((rename, target),) = cures(ended.err)
    assert target == "data.target=predicted_"
    assert job("data=table", "data.path=rows.csv", rename, target, *QUICK).code == 0
    assert list(predicted(lifecycle, "rows.csv")[0]) == ["a", "predicted_", "predicted"]

    times = pd.date_range("2020-01-01", periods=ROWS).astype(str)
    pd.DataFrame({"predicted": times, "sales": FRAME["a"]}).to_csv("series.csv", index=False)
    data = ["data=series", "data.path=series.csv", "data.target=sales", "data.window=3", *QUICK]
    ended = job(*data, "data.time=predicted")
    ((rename, time),) = cures(ended.err)
    assert time == "data.time=predicted_"
    assert job(*data, rename, time).code == 0
    assert list(predicted(lifecycle, "series.csv")[0]) == ["predicted_", "predicted"]


def test_other_kinds_refuse_and_rename_too(job: Command, lifecycle: Command, runs: Any) -> None:
    FRAME.to_csv("rows.csv", index=False)
    for arguments in (
        ["data=array", "data.shape=[2]"],
        ["data=images", "data.shape=[1,1,2]"],
    ):
        ended = job(*arguments, "data.path=rows.csv", "data.target=y", *QUICK)
        assert (ended.code, runs()) == (2, [])
        assert job(*arguments, "data.path=rows.csv", "data.target=y", *QUICK, *cures(ended.err)[0]).code == 0
        assert "predicted_" in predicted(lifecycle, "rows.csv")[0]
        for run in runs():
            mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db").delete_run(run.info.run_id)


def test_mlflow_takes_the_columns_under_either_name(job: Command, tmp_path: Path) -> None:
    FRAME.to_csv("rows.csv", index=False)
    rename = "data.rename={predicted: measured}"
    assert job("data=table", "data.path=rows.csv", "data.target=y", *QUICK, rename).code == 0
    model = saved_model.load(model_in(tmp_path))
    expected = model.predict(FRAME)
    pd.testing.assert_frame_equal(model.predict(FRAME.rename(columns={"predicted": "measured"})), expected)
    (folder,) = {file.parent for file in tmp_path.rglob("MLmodel")}
    pd.testing.assert_frame_equal(mlflow.pyfunc.load_model(str(folder)).predict(FRAME), expected)
    with pytest.raises(RequestError, match=r"data\.rename=\{predicted: measured\} is another column of input\."):
        model.predict(FRAME.assign(measured=1.0))


def test_python_refuses_it_with_its_own_remedy() -> None:
    rows = FRAME[["a", "predicted"]]
    with pytest.raises(RequestError, match=r"^X has a column predicted, .* predictions\. Rename the column in X\.$"):
        Model("mlp").fit(rows, FRAME["y"], epochs=1, verbose=0)
    fine = rows.rename(columns={"predicted": "Predicted"})  # names differ by their case
    model = Model("mlp")
    model.fit(fine, pd.Series(FRAME["y"], name="predicted"), epochs=1, verbose=0)
    assert len(model.predict(fine)) == ROWS
    assert model.trained.spec.target_name == "predicted_"


def test_a_name_that_differs_by_its_case_or_is_no_output_is_free(job: Command, lifecycle: Command) -> None:
    frame = FRAME.assign(Predicted=1.5, actual=FRAME["a"] + 1, row=2, probability_maybe=FRAME["a"] * 2)
    frame.drop(columns="predicted").to_csv("rows.csv", index=False)
    assert job("data=table", "data.path=rows.csv", "data.target=y", *QUICK, "data.drop=[Predicted,row]").code == 0
    found, _ = predicted(lifecycle, "rows.csv")
    assert list(found)[-3:] == ["predicted", "probability_no", "probability_yes"]
    assert {"Predicted", "actual", "row", "probability_maybe"} < set(found)


def test_a_name_that_no_word_can_hold_is_dropped_by_a_quoted_one(job: Command) -> None:
    frame = FRAME.rename(columns={"predicted": "probability_>1"}).replace({"y": {"no": "<1", "yes": ">1"}})
    frame.to_csv("rows.csv", index=False)
    data = ["data=table", "data.path=rows.csv", "data.target=y"]
    ended = job(*data, *QUICK)
    assert "rename: {'probability_>1': 'probability_>1_'} to a YAML file of the data set" in ended.err
    assert job(*data, *QUICK, *cures(ended.err)[-1]).code == 0


def test_a_column_next_to_those_of_the_model_is_named_with_a_cure(job: Command, lifecycle: Command) -> None:
    FRAME.drop(columns="predicted").to_csv("rows.csv", index=False)
    FRAME.to_csv("more.csv", index=False)
    assert job("data=table", "data.path=rows.csv", "data.target=y", *QUICK).code == 0
    ended = lifecycle("predict", "run=latest", "input=more.csv", "output=out.csv")
    assert ended.code == 2
    assert (
        "input=more.csv has a column predicted, which is the name of a column of predictions. The model does"
        in ended.err
    )


WRONG = {
    "{predictd: b}": "data.rename=predictd is no column of rows.csv. Did you mean predicted? Columns: a, predicted, y.",
    "{predicted: a}": "data.rename={predicted: a} is another column of rows.csv. Choose a new name.",
    "{predicted: b, a: b}": "data.rename={predicted: b} is given twice. Choose a new name.",
    "{predicted: a, a: predicted}": "data.rename={predicted: a} is another column of rows.csv. Choose a new name.",
    "{predicted: ''}": "data.rename={predicted: } is nothing. Choose a new name.",
    "[predicted]": "data.rename must be a mapping of old names to new ones, got ['predicted']. Write "
    "'data.rename={old: new}'.",
}


@pytest.mark.parametrize("large", [False, True], ids=["whole", "large"])
@pytest.mark.parametrize(("arguments", "message"), WRONG.items())
def test_names_that_do_not_fit_are_refused(
    job: Command, monkeypatch: pytest.MonkeyPatch, arguments: str, message: str, large: bool
) -> None:
    monkeypatch.setattr(files, "LARGE", 0 if large else files.LARGE)
    FRAME.to_csv("rows.csv", index=False)
    ended = job("data=table", "data.path=rows.csv", "data.target=y", *QUICK, f"data.rename={arguments}")
    assert (ended.code, ended.err.strip()) == (2, f"lifecycle: {message}")


@settings(deadline=None)
@given(
    st.text(st.sampled_from("ab1_ /%.\\()[]{}:=,->'é"), min_size=1, max_size=8).map(lambda text: f"probability_{text}x")
)
def test_a_remedy_is_read_as_it_was_meant(name: str) -> None:
    typed = names.override(name, f"{name}_")
    if typed is None:
        assert set(name) & set(">'é")
        return
    (word,) = shlex.split(typed)
    assert OverridesParser.create().parse_override(word).value() == {name: f"{name}_"}
