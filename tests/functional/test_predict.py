"""The verb predict: the numbers of Python for rows in any file, the next steps of a series, images a row a file."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import Tensor, nn

import lifecycle as package
from lifecycle.cli.main import main
from lifecycle.data.sources import files
from lifecycle.errors import RequestError
from lifecycle.predict import saved_model
from lifecycle.predict.trained_model import TrainedModel
from tests.conftest import Command, Ended
from tests.forked import COMMAND, Forks, Process

ROWS = 60
Train = Callable[..., "Made"]


class Made:
    """A run that was made once for many tests.

    Attributes:
        folder: where its data are, and ``mlruns``.
        model: as the run returned it.
        saved: folder of the saved model.
        id: of the run.
    """

    def __init__(self, folder: Path, words: list[str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            result = package.run([*words, "tracking.figures=false", "verbose=0"])
        assert result is not None
        self.folder, self.model, self.id = folder, result.model, result.run_id
        self.saved = next(folder.rglob("lifecycle.json")).parent


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Train:
    """Return what trains a little on data in a folder of their own."""

    def train(write: Callable[[Path], None], *words: str) -> Made:
        folder = tmp_path_factory.mktemp("made")
        (folder / "mlruns").mkdir(mode=0o700)
        (folder / "mlruns" / "mlflow.db").write_bytes(empty_database.read_bytes())
        write(folder)
        return Made(folder, [word.replace("{folder}", str(folder)) for word in words])

    return train


def rows() -> pd.DataFrame:
    """Return rows with all that a file can write in more than one way."""
    generator = np.random.default_rng(0)
    width = generator.normal(size=ROWS)
    return pd.DataFrame(
        {
            "id": [f"{row:03}" for row in range(ROWS)],
            "width": width,
            "count": np.where(generator.random(ROWS) < 0.2, "", generator.integers(0, 9, ROWS).astype(str)),
            "length": np.where(generator.random(ROWS) < 0.2, "NA", generator.random(ROWS).astype(str)),
            "zip": generator.choice(["007", "0101", "9", ""], ROWS),
            "colour": generator.choice(["red", "blue", "1"], ROWS),
            "flag": generator.choice(["True", "False", ""], ROWS),
            "ok": generator.choice(["true", "false"], ROWS),
            "kind": np.where(width > 0, "u", "v"),
        }
    )


@pytest.fixture(scope="module")
def table(train: Train) -> Made:
    """Train on a table of :func:`rows`."""
    return train(
        lambda folder: rows().to_csv(folder / "train.csv", index=False),
        *("data=table", "data.path={folder}/train.csv", "data.target=kind", "data.drop=[id]", "trainer.max_epochs=2"),
    )


def month_by_month(number: int = 40) -> pd.DataFrame:
    """Return a series that rises, from January 1960."""
    values = 1000 + np.cumsum(np.random.default_rng(0).normal(5, 3, number))
    return pd.DataFrame({"month": months("1960-01", number), "y": values})


def months(start: str, number: int) -> list[str]:
    return list(pd.date_range(start, periods=number, freq="MS").strftime("%Y-%m"))


@pytest.fixture(scope="module")
def series(train: Train) -> Made:
    """Train on the differences of :func:`month_by_month`."""
    return train(
        lambda folder: month_by_month().to_csv(folder / "s.csv", index=False),
        *("data=series", "data.path={folder}/s.csv", "data.target=y", "data.time=month", "data.window=3"),
        *("data.difference=2", "model=lstm", "model.units=[4]", "trainer.max_epochs=2"),
    )


@pytest.fixture(scope="module")
def images(train: Train) -> Made:
    """Train on a folder of little images."""

    def write(folder: Path) -> None:
        for label in ("cat", "dog"):
            (folder / "pets" / label).mkdir(parents=True)
            for number in range(8):
                draw(folder / "pets" / label / f"{number}.png", number + 10 * (label == "dog"))

    words = ("data=images", "data.path={folder}/pets", "data.shape=[1,8,8]", "model=cnn", "model.channels=[2]")
    return train(write, *words, "trainer.max_epochs=1")


def draw(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def predict(lifecycle: Command, made: Made, *words: str) -> Ended:
    """Run the verb on the saved model by itself, which needs no database."""
    return lifecycle("predict", f"run={made.saved}", *words)


def done(ended: Ended) -> str:
    assert ended.code == 0, ended.err
    return ended.err


READERS: dict[str, Callable[[Any], pd.DataFrame]] = {
    "csv": lambda file: pd.read_csv(file, dtype={"id": "str", "zip": "str", "step": "str"}),
    "parquet": pd.read_parquet,
    "json": lambda file: pd.read_json(file, dtype=False, precise_float=True),
    "jsonl": lambda file: pd.read_json(file, dtype=False, precise_float=True, lines=True),
}
WRITERS: dict[str, Callable[[pd.DataFrame, Any], Any]] = {
    "csv": lambda frame, file: frame.to_csv(file, index=False),
    "parquet": lambda frame, file: frame.to_parquet(file),
    "json": lambda frame, file: frame.to_json(file, orient="records", double_precision=15),
    "jsonl": lambda frame, file: frame.to_json(file, orient="records", lines=True, double_precision=15),
}


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare predictions bit for bit."""
    assert found["predicted"].tolist() == expected["predicted"].tolist()
    for name in expected.columns[1:]:
        np.testing.assert_array_equal(found[name].to_numpy(), expected[name].to_numpy())


@pytest.mark.parametrize("ending", READERS)
def test_the_training_file_has_the_bits_of_python_on_the_training_frame(
    lifecycle: Command, table: Made, tmp_path: Path, ending: str
) -> None:
    """Codes with zeros, whole numbers with gaps, words such as NA, truth values with and without gaps."""
    frame = files.read(str(table.folder / "train.csv"))
    assert frame["zip"].dropna().isin(["007", "0101", "9"]).all()
    assert frame["count"].isna().any()
    said = done(predict(lifecycle, table, f"input={table.folder}/train.csv", f"output=out.{ending}"))
    assert said == f"Predicted 60 rows of {table.folder}/train.csv into out.{ending}\n"
    found = READERS[ending](tmp_path / f"out.{ending}")
    same(found, table.model.predict(frame))
    same(found, saved_model.load(table.saved).predict(frame))
    assert found["id"].tolist() == rows()["id"].tolist()  # 007 is no 7
    assert list(found)[:9] == list(rows())


@pytest.mark.parametrize("source", ["parquet", "json", "jsonl"])
def test_a_frame_in_any_file_has_its_bits(lifecycle: Command, table: Made, tmp_path: Path, source: str) -> None:
    frame = files.read(str(table.folder / "train.csv")).drop(columns="kind").round({"width": 9, "length": 9})
    frame = frame[frame.columns[::-1]]  # in another order, without the target
    WRITERS[source](frame, tmp_path / f"in.{source}")
    done(predict(lifecycle, table, f"input=in.{source}", "output=out.csv"))
    found = READERS["csv"](tmp_path / "out.csv")
    same(found, table.model.predict(frame))
    assert list(found) == [*frame.columns, "predicted", "probability_u", "probability_v"]
    assert found["zip"].fillna("").tolist() == frame["zip"].fillna("").tolist()


def test_cells_of_json_stay_what_they_are_in_json(lifecycle: Command, table: Made, tmp_path: Path) -> None:
    given = [
        {"tags": ["a", {"b": None}], "id": 7, "n": 10**20, "t": True, **record(table)},
        {**record(table), "id": "007", "tags": None, "n": 1.5, "t": 'é"\n'},
    ]
    (tmp_path / "in.json").write_text(json.dumps(given))
    for ending in ("json", "jsonl"):
        done(predict(lifecycle, table, "input=in.json", f"output=out.{ending}"))
    found = json.loads((tmp_path / "out.json").read_text())
    for before, after in zip(given, found, strict=True):
        assert {name: after[name] for name in before} == before
    assert list(found[0])[-3:] == ["predicted", "probability_u", "probability_v"]
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == found
    done(predict(lifecycle, table, "input=in.json", "output=out.csv"))
    cells = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert cells["tags"].tolist()[0] == '["a", {"b": null}]'
    assert cells["t"].tolist() == ["true", 'é"\n']


def record(made: Made) -> dict[str, Any]:
    """Return one row as JSON has it."""
    row: dict[str, Any] = json.loads(
        files.read(str(made.folder / "train.csv")).drop(columns=["id", "kind"]).iloc[[5]].to_json(orient="records")
    )[0]
    return row


@pytest.mark.parametrize("form", READERS)
def test_rows_go_through_standard_input_and_output_and_nothing_else_does(
    table: Made,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
    form: str,
) -> None:
    frame = files.read(str(table.folder / "train.csv")).round({"width": 9, "length": 9})
    WRITERS[form](frame, tmp_path / "given")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "given").read_bytes())))
    words = [] if form == "csv" else [f"format={form}"]
    monkeypatch.setattr(sys, "argv", ["lifecycle", "predict", f"run={table.saved}", "input=-", "output=-", *words])
    assert main() == 0
    out, err = capfdbinary.readouterr()
    assert err == b"Predicted 60 rows of standard input\n"
    same(READERS[form](io.BytesIO(out)), table.model.predict(frame))


def test_a_reader_may_close_standard_output_early(table: Made, tmp_path: Path, forks: Forks) -> None:
    """As ``lifecycle predict input=- output=- < in.csv | head -1`` does."""
    pd.concat([rows()] * 500).to_csv(tmp_path / "in.csv", index=False)
    code = f"import os\nos.dup2(os.open('in.csv', os.O_RDONLY), 0)\n{COMMAND}"
    process = Process(forks, ["predict", f"run={table.saved}", "input=-", "output=-"], tmp_path, code=code)
    assert process.stdout is not None
    assert process.stdout.readline() == ",".join([*rows(), "predicted,probability_u,probability_v\n"])
    process.stdout.close()
    assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 0


def test_a_run_is_named_as_a_person_calls_it_and_a_file_that_is_there_is_replaced(
    lifecycle: Command, table: Made, tmp_path: Path
) -> None:
    (tmp_path / "out.csv").write_text("yesterday's")
    words = [f"tracking.dir={table.folder}/mlruns", f"input={table.folder}/train.csv", "output=out.csv"]
    assert "Predicted 60 rows" in done(lifecycle("predict", "run=latest", *words))
    frame = files.read(str(table.folder / "train.csv"))
    same(READERS["csv"](tmp_path / "out.csv"), table.model.predict(frame))
    assert lifecycle("predict", f"run={table.id[:8]}", *words).code == 0


@pytest.mark.fault(30)
def test_categories_that_no_training_row_had_are_counted_and_reported(
    lifecycle: Command, table: Made, tmp_path: Path
) -> None:
    frame = rows().assign(colour=["teal", "mauve", "teal", ""] + ["red"] * (ROWS - 4), zip="10")
    frame.to_csv(tmp_path / "in.csv", index=False)
    refusal = predict(lifecycle, table, "input=in.csv", "output=out.csv")
    assert "input has no value in row 3, column colour, and every training row had one." in refusal.err
    said = done(predict(lifecycle, table, "input=in.csv", "output=out.csv", "missing=impute")).splitlines()
    assert said == [
        "zip: 1 value in 60 rows was never seen in training (10): encoded as no known category",
        "colour: 2 values in 3 rows were never seen in training (teal, mauve): encoded as no known category",
        "colour: no value in 1 row, and every training row had one: encoded as no known category",
        "Predicted 60 rows of in.csv into out.csv",
    ]
    found = READERS["csv"](tmp_path / "out.csv")
    assert found["probability_u"].notna().all()
    same(found, table.model.predict(files.read(str(tmp_path / "in.csv")).assign(zip="10"), missing="impute"))


def test_one_value_that_files_write_differently_is_one_category(
    lifecycle: Command, train: Train, table: Made, tmp_path: Path
) -> None:
    frame = files.read(str(table.folder / "train.csv")).assign(colour="1")
    expected = table.model.predict(frame)
    numbers = frame.assign(colour=[1.0] * (ROWS - 1) + [np.nan])  # as a reader that sees gaps takes the column
    same(table.model.predict(numbers, missing="impute")[:-1], expected[:-1])
    WRITERS["parquet"](numbers, tmp_path / "in.parquet")
    assert "colour: no value in 1 row" in done(
        predict(lifecycle, table, "input=in.parquet", "output=out.csv", "missing=impute")
    )
    same(READERS["csv"](tmp_path / "out.csv")[:-1], expected[:-1])


WRONG: dict[str, tuple[str, str]] = {
    "a column is missing": (
        "id,width\n1,2\n",
        "input has no column count, length, zip, colour, flag, ok, got id, width. "
        "This model needs width, count, length, zip, colour, flag, ok.",
    ),
    "a text among numbers": (
        "width,count,length,zip,colour,flag,ok\n1,2,3,9,red,True,true\n1,2,wide,9,red,True,true\n",
        "column length holds numbers, got 'wide' in row 1. Fix the value.",
    ),
    "nothing": ("", "input=in.csv is empty. Give a line with the names of the columns, and one row or more."),
    "a header alone": (
        "width,count,length,zip,colour,flag,ok\n",
        "input=in.csv has no rows. Give one or more to predict.",
    ),
    "a column twice": ("width,width\n1,2\n", "input=in.csv cannot be read: it has the column width twice. Fix it."),
    "a row too short": (
        "width,count,length,zip,colour,flag,ok\n1,2\n",
        "input=in.csv cannot be read: line 2 has 2 cells, and the header has 7 (1,2). Fix it.",
    ),
    "a picture": ("\x89PNG", "input=in.csv cannot be read: it is not UTF-8 (invalid start byte at byte 0). Fix it."),
}


@pytest.mark.parametrize("standard", [False, True], ids=["file", "standard input"])
@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=list(WRONG))
def test_rows_that_cannot_be_predicted_are_refused_and_leave_no_file(
    lifecycle: Command,
    table: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    said: str,
    standard: bool,
) -> None:
    (tmp_path / "in.csv").write_bytes(text.encode("latin-1"))
    if standard:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode("latin-1"))))
        said = said.replace("input=in.csv", "input=-")
    ended = predict(lifecycle, table, "input=-" if standard else "input=in.csv", "output=out.csv")
    assert (ended.code, ended.out, ended.err) == (2, "", f"lifecycle: {said}\n")
    assert [file.name for file in tmp_path.iterdir()] == ["in.csv"]


WORDS = {
    "": "run, input, output are not chosen. Type for instance lifecycle predict run=latest input=new.csv output=",
    "run=latest input=in.csv": "output is not chosen. Type for instance lifecycle predict run=latest",
    "run=latest input=no.csv output=out.csv": "input=no.csv is no file. Did you mean in.csv? Give the path of a CSV,",
    "run=latest input=in.csv output=out.xls": "output=out.xls ends in .xls. Give a file ending in .csv, .tsv, .parquet",
    "run=latest input=in.csv output=a/b.csv": "output=a/b.csv is in a folder that does not exist. Make a, or give",
    "run=latest input=- output=- format=xml": "format must be one of csv, tsv, parquet, feather, json, jsonl, got xml",
    "run=latest input=in.csv output=out.csv format=csv": "format=csv is for standard input and output, and neither",
    "run=latest input=in.csv output=out.csv horizon=-1": "horizon must be 0 or more and below 1000001, got -1. Leave",
    "run=latest input=in.csv output=out.csv horizon=a": "horizon must be a whole number, got a.",
    "run=latest inpt=in.csv": "inpt is not a field of lifecycle predict, got in.csv. Did you mean input?",
    "run=latest input=in.csv output=out.csv": "tracking.dir=mlruns has no runs yet. Run one first,",
}


@pytest.mark.parametrize(("words", "said"), WORDS.items())
def test_options_that_cannot_be_met_are_refused(lifecycle: Command, tmp_path: Path, words: str, said: str) -> None:
    (tmp_path / "in.csv").write_text("a\n1\n")
    ended = lifecycle("predict", *words.split())
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"lifecycle: {said}")


def test_a_horizon_is_for_series(lifecycle: Command, table: Made, tmp_path: Path) -> None:
    ended = predict(lifecycle, table, f"input={table.folder}/train.csv", "output=out.csv", "horizon=3")
    assert ended.code == 2
    assert ended.err.startswith(
        "lifecycle: horizon=3 is for series, and the model predicts the rows of table independently of"
    )
    with pytest.raises(
        RequestError, match=r"^horizon=3 is for series, and this model predicts each row independently\."
    ):
        table.model.forecast(rows(), 3)


def one_by_one(model: TrainedModel, frame: pd.DataFrame, horizon: int) -> list[float]:
    """Return a forecast by the plain way: a row whose value is not known yet, again and again."""
    frame = frame[["y"]].reset_index(drop=True)
    for _ in range(horizon):
        found = model.predict(pd.concat([frame, pd.DataFrame({"y": [0.0]})], ignore_index=True))["predicted"].iloc[-1]
        frame = pd.concat([frame, pd.DataFrame({"y": [found]})], ignore_index=True)
    return frame["y"].tolist()[-horizon:]


@pytest.mark.parametrize("ending", READERS)
def test_a_series_is_forecast_after_its_last_row(lifecycle: Command, series: Made, tmp_path: Path, ending: str) -> None:
    frame = month_by_month()
    shuffled = frame.sample(frac=1, random_state=0).assign(note="x")
    shuffled.to_csv(tmp_path / "in.csv", index=False)
    said = done(predict(lifecycle, series, "input=in.csv", f"output=out.{ending}", "horizon=4"))
    assert said == f"Forecast 4 steps after the 40 rows of in.csv into out.{ending}\n"
    found = READERS[ending](tmp_path / f"out.{ending}")
    assert list(found) == ["month", "predicted"]
    assert found["month"].tolist() == ["1963-05", "1963-06", "1963-07", "1963-08"]
    np.testing.assert_allclose(found["predicted"], one_by_one(series.model, frame, 4), rtol=1e-6)
    pd.testing.assert_frame_equal(found, series.model.forecast(shuffled, 4), check_exact=True, check_dtype=False)


def test_one_step_is_foretold_unless_more_are_asked_for_and_0_predicts_the_given_rows(
    lifecycle: Command, series: Made, tmp_path: Path
) -> None:
    month_by_month().to_json(tmp_path / "in.json", orient="records", double_precision=15)
    done(predict(lifecycle, series, "input=in.json", "output=one.csv"))
    assert pd.read_csv(tmp_path / "one.csv")["month"].tolist() == ["1963-05"]
    assert "Predicted 40 rows" in done(predict(lifecycle, series, "input=in.json", "output=rows.csv", "horizon=0"))
    found = pd.read_csv(tmp_path / "rows.csv")
    assert found["month"].tolist() == month_by_month()["month"].tolist()
    assert found["predicted"][:5].isna().all()
    given = pd.read_json(tmp_path / "in.json", dtype=False, precise_float=True)
    np.testing.assert_array_equal(found["predicted"][5:], series.model.predict(given)["predicted"])


def test_a_forecast_needs_what_the_window_sees_and_no_row_more(
    lifecycle: Command, series: Made, tmp_path: Path
) -> None:
    whole, last = month_by_month(), month_by_month().iloc[-5:]
    last.to_csv(tmp_path / "in.csv", index=False)
    done(predict(lifecycle, series, "input=in.csv", "output=out.csv", "horizon=3"))
    pd.testing.assert_frame_equal(series.model.forecast(last, 3), series.model.forecast(whole, 3))
    last.iloc[1:].to_csv(tmp_path / "in.csv", index=False)
    ended = predict(lifecycle, series, "input=in.csv", "output=out2.csv")
    assert ended.err == (
        "lifecycle: data.window=3 and data.difference=2 need 5 rows or more, got 4. Give more rows, or train with a "
        "shorter window.\n"
    )
    with pytest.raises(RequestError, match=r"need 6 rows or more, got 5\."):
        series.model.predict(last)


def test_without_times_steps_have_numbers(lifecycle: Command, series: Made, tmp_path: Path) -> None:
    month_by_month()[["y"]].to_csv(tmp_path / "in.csv", index=False)
    done(predict(lifecycle, series, "input=in.csv", "output=out.csv", "horizon=2"))
    found = pd.read_csv(tmp_path / "out.csv")
    assert found["step"].tolist() == [1, 2]
    np.testing.assert_array_equal(found["predicted"], series.model.forecast(month_by_month(), 2)["predicted"])


def test_as_many_steps_are_forecast_as_were_trained(job: Command, lifecycle: Command, tmp_path: Path) -> None:
    month_by_month().assign(price=1.0).to_csv(tmp_path / "in.csv", index=False)
    words = ("data=series", "data.path=in.csv", "data.target=y", "data.time=month", "data.horizon=3")
    assert job(*words).code == 0
    ask = ("predict", "run=latest", "input=in.csv", "output=out.csv")
    assert lifecycle(*ask).err == "Forecast 3 steps after the 40 rows of in.csv into out.csv\n"
    assert pd.read_csv(tmp_path / "out.csv")["month"].tolist() == months("1963-05", 3)
    assert lifecycle(*ask, "horizon=1").err.startswith("Forecast 1 step after")


def test_rows_of_another_step_than_the_training_rows_are_refused_with_both(
    lifecycle: Command, series: Made, tmp_path: Path
) -> None:
    days = month_by_month().assign(month=pd.date_range("2020-01-01", periods=40).strftime("%Y-%m-%d"))
    days.to_csv(tmp_path / "in.csv", index=False)
    for words in ([], ["horizon=0"]):
        ended = predict(lifecycle, series, "input=in.csv", "output=out.csv", *words)
        assert (ended.code, ended.err) == (
            2,
            "lifecycle: data.time=month has steps of 1 day, and this model was trained on steps of 1 month. Give rows "
            "that are as far apart as those.\n",
        )
    older = replace(series.model, provenance={"run_id": "1"})  # as models were saved before the step was kept
    assert older.forecast(days, 1)["month"].tolist() == ["2020-02-10"]
    ends = month_by_month(6).assign(
        month=["2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30", "2020-05-31", "2020-06-30"]
    )
    assert series.model.forecast(ends, 2)["month"].tolist() == ["2020-07-31", "2020-08-31"]


class Growing(nn.Module):
    """A network whose forecasts leave all bounds."""

    def forward(self, steps: Tensor) -> Tensor:
        """Return ``(batch, 1)`` values."""
        return steps[:, -1].abs() * 1e9 + 1e9


def test_a_forecast_that_leaves_all_bounds_and_one_of_nothing_are_refused(series: Made) -> None:
    frame = month_by_month()
    with pytest.raises(RequestError, match=r"^horizon must be 1 or more, got 0\. Give the number of steps"):
        series.model.forecast(frame, 0)
    growing = replace(series.model, network=Growing())
    assert growing.forecast(frame, 2)["predicted"].iloc[-1] > 1e15
    with pytest.raises(
        RequestError, match=r"^horizon=9 is too far: the forecast is \d.*e\+\d+ at step [3-8]\. Forecast fewer steps\.$"
    ):
        growing.forecast(frame, 9)
    frame.loc[7, "y"] = np.nan
    with pytest.raises(RequestError, match=r"^data\.target=y is nan in row 7\. Fix or remove the row\.$"):
        series.model.forecast(frame, 1)


def test_mlflow_forecasts_with_a_horizon(series: Made) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{series.folder}/mlruns/mlflow.db")
    model, frame = mlflow.pyfunc.load_model(f"runs:/{series.id}/lstm-series"), month_by_month()
    pd.testing.assert_frame_equal(model.predict(frame, params={"horizon": 3}), series.model.forecast(frame, 3))
    pd.testing.assert_frame_equal(model.predict(frame), series.model.predict(frame))


def test_a_folder_of_images_is_predicted_a_row_a_file(lifecycle: Command, images: Made, tmp_path: Path) -> None:
    for number, name in enumerate(["b.png", "a.png", "more/deep/c.png"]):
        draw(tmp_path / "new" / name, 100 + number)
    (tmp_path / "new" / ".hidden").mkdir()
    (tmp_path / "new" / ".hidden" / "notes.txt").write_text("")
    done(predict(lifecycle, images, "input=new", "output=out.csv"))
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found) == ["file", "predicted", "probability_cat", "probability_dog"]
    assert found["file"].tolist() == ["new/a.png", "new/b.png", "new/more/deep/c.png"]
    same(found, images.model.predict(found[["file"]]))
    assert "Predicted 1 row of new/b.png" in done(predict(lifecycle, images, "input=new/b.png", "output=one.json"))
    (one,) = json.loads((tmp_path / "one.json").read_text())
    assert one["file"] == "new/b.png"
    found.assign(id=range(3))[["id", "file"]].to_csv(tmp_path / "names.csv", index=False)
    done(predict(lifecycle, images, "input=names.csv", "output=named.csv"))
    same(pd.read_csv(tmp_path / "named.csv"), images.model.predict(found[["file"]]))


def test_folders_that_hold_no_images_are_refused(lifecycle: Command, images: Made, table: Made, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    said = predict(lifecycle, images, "input=new", "output=out.csv").err
    assert said.startswith("lifecycle: input=new has no images. Give a folder with files that end in .png, .jpg,")
    draw(tmp_path / "new" / "a.png", 0)
    (tmp_path / "new" / "notes.txt").write_text("")
    said = predict(lifecycle, images, "input=new", "output=out.csv").err
    assert said.startswith("lifecycle: input=new has notes.txt, which is no image. Move it away; images end in .png,")
    ended = predict(lifecycle, table, "input=new", "output=out.csv")
    assert (ended.code, ended.err) == (
        2,
        "lifecycle: input=new is a folder, and this model takes the columns width, count, length, zip, colour, flag, "
        "ok. Give a file ending in .csv, .tsv, .txt, .data, .parquet, .feather, .json, .jsonl, .xlsx, .sqlite, "
        ".npz, .dta, .sas7bdat or .xpt.\n",
    )
    assert not (tmp_path / "out.csv").exists()


def test_what_cannot_be_done_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from lifecycle.cli.main import main; sys.argv = ['lifecycle', 'predict', 'run=latest', "
        "'input=no.csv', 'output=out.csv']; code = main(); sys.exit(code if 'torch' not in sys.modules else 9)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (
        2,
        "lifecycle: input=no.csv is no file. Give the path of a CSV, Parquet or JSON file.\n",
    )


PAGE = (Path(__file__).parents[2] / "docs" / "predict.md").read_text()


def test_the_page_shows_what_its_commands_print(lifecycle: Command, job: Command, tmp_path: Path) -> None:
    """But for the digits of a prediction."""

    def plain(text: str) -> str:
        return re.sub(r"\d+\.\d{6,}", "*", text)

    given, written = re.findall(r"```csv\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "new.csv").write_text(given)
    with resources.as_file(resources.files("lifecycle.data.embedded") / "airline_passengers.csv") as file:
        shutil.copy(file, tmp_path / "passengers.csv")
    shown = re.findall(r"```sh\n([^`]*)```\n\n```text\n([^`]*)```", PAGE)
    assert len(shown) == 2
    for commands, printed in shown:
        train, use = (shlex.split(line)[1:] for line in commands.splitlines())
        assert job(*train).code == 0
        ended = lifecycle(*use)
        assert plain(printed) in (plain(ended.out), plain(ended.err))
    assert plain((tmp_path / "out.csv").read_text()) == plain(written)
