"""Dates with a time of day, in files of each format: a model predicts its training file, and the times after it."""

from __future__ import annotations

import datetime
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lifecycle
from lifecycle.data.columns import times
from lifecycle.data.kinds.array import Array
from lifecycle.data.kinds.images import Images
from lifecycle.data.kinds.series import Series
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.data.sources import files
from lifecycle.errors import RequestError
from lifecycle.plugins.lstm import LSTM
from lifecycle.plugins.mlp import MLP
from lifecycle.predict.mlflow_model import PyFunc
from lifecycle.predict.predict_file import forecast_file, predict_file
from lifecycle.predict.serving.scoring import Scorer
from lifecycle.predict.trained_model import TIME_STEP, TrainedModel
from tests.conftest import Command, artifacts

ROWS, BERLIN = 40, "Europe/Berlin"
SUMMER = "2024-03-20"  # clocks in Berlin are put forward on 2024-03-31


def trained(plugin: Any) -> TrainedModel:
    """Return a model with fitted preprocessing and an untrained network."""
    data = load(plugin, "mine", "mine", 0)
    torch.manual_seed(0)
    model: Any = LSTM(units=[4]) if plugin.sample_dim == 2 else MLP(hidden=[4])
    return TrainedModel(
        model_name="mine",
        model=model,
        data_name="mine",
        data_kind="mine",
        data=data.plugin,
        spec=data.spec,
        preprocessing=data.preprocessing,
        network=model.build(data.spec).eval(),
        columns=data.columns,
        settings={},
        provenance={TIME_STEP: data.time_step},
    )


def dated(freq: str, form: str, start: str = SUMMER, tz: str | None = None) -> list[str]:
    """Return the texts of 42 times, the last two of which a file leaves out."""
    return list(pd.date_range(start, periods=ROWS + 2, freq=freq, tz=tz).strftime(form))


def with_offsets(freq: str) -> list[str]:
    """Return times in Berlin as Python writes them, some with +01:00 and some with +02:00."""
    return [moment.isoformat() for moment in pd.date_range(SUMMER, periods=ROWS + 2, freq=freq, tz=BERLIN)]


SHAPES = {
    "days": dated("D", "%Y-%m-%d"),
    "hours and minutes": dated("h", "%Y-%m-%d %H:%M"),
    "seconds": dated("10s", "%Y-%m-%d %H:%M:%S"),
    "milliseconds": [f"{text}.{milli}" for text in dated("s", "%Y-%m-%d %H:%M:%S") for milli in ("250", "750")],
    "nanoseconds": [f"2024-03-20 00:00:00.0000{row:02}123" for row in range(ROWS + 2)],
    "T and Z": dated("h", "%Y-%m-%dT%H:%M:%SZ"),
    "T and Z, minutes": dated("D", "%Y-%m-%dT%H:%MZ"),
    "an offset": dated("h", "%Y-%m-%dT%H:%M:%S+01:00"),
    "an offset without a colon": dated("D", "%Y-%m-%d %H:%M:%S-0530"),
    "an offset of hours": dated("D", "%Y-%m-%d %H:%M:%S+01"),
    "days over a clock change": with_offsets("D"),
    "hours over a clock change": with_offsets("8h"),
    "months": dated("MS", "%Y-%m", "1990-01-01"),
    "months as dates": dated("MS", "%Y-%m-%d", "1990-01-01"),
    "months with a time of day": dated("MS", "%Y-%m-%d %H:%M:%S", "1990-01-01"),
    "ends of months with a time of day": dated("ME", "%Y-%m-%d %H:%M", "1990-01-01"),
    "months east of Greenwich": dated("MS", "%Y-%m-%dT%H:%M:%S+01:00", "1990-01-01"),
    "quarters with a time of day": dated("QS", "%Y-%m-%dT%H:%M", "1990-01-01"),
    "business days with a time of day": dated("B", "%Y-%m-%d %H:%M"),
    "hours alone": dated("h", "%Y-%m-%dT%H"),
    "dates and noons": [
        text if row >= ROWS else text.removesuffix(" 00:00") for row, text in enumerate(dated("12h", "%Y-%m-%d %H:%M"))
    ],
    "years": dated("YS", "%Y", "1900-01-01"),
}


def rows_of(when: Any) -> pd.DataFrame:
    return pd.DataFrame({"when": when, "y": np.arange(len(when)) % 7 + 0.5})


def write(frame: pd.DataFrame, file: Path) -> Path:
    """Write rows as a CSV, Parquet or JSON file."""
    if file.suffix == ".csv":
        frame.to_csv(file, index=False)
    elif file.suffix == ".parquet":
        frame.to_parquet(file, index=False)
    else:
        frame.to_json(file, orient="records", lines=file.suffix == ".jsonl")
    return file


def read(file: Path) -> list[str]:
    """Return the times of a file as it has them, without a type."""
    if file.suffix == ".csv":
        return list(pd.read_csv(file, dtype=str)["when"])
    if file.suffix == ".parquet":
        return [str(value) for value in pq.read_table(file)["when"].to_pylist()]
    texts = file.read_text()
    found = [json.loads(line) for line in texts.splitlines()] if file.suffix == ".jsonl" else json.loads(texts)
    return [str(row["when"]) for row in found]


TYPED = ("days", "nanoseconds", "T and Z", "days over a clock change", "months with a time of day", "years")


@pytest.mark.parametrize(
    ("shape", "kind"), [*((shape, "csv") for shape in SHAPES), *((shape, "parquet") for shape in TYPED)]
)
def test_a_series_predicts_its_training_file_and_forecasts_in_its_time_format(
    shape: str, kind: str, tmp_path: Path
) -> None:
    """Times and predictions are the same whatever kind of file, frame or body holds the rows to predict."""
    texts = SHAPES[shape][: ROWS + 2]
    frame, wanted = rows_of(texts[:ROWS]), texts[ROWS:]
    file = write(frame, tmp_path / f"train.{kind}")
    plugin = Series(path=str(file), target="y", time="when", window=4)
    model = trained(plugin)
    data = load(plugin, "mine", "series", 0)
    assert data.test is not None
    assert data.test.times is not None
    assert data.test.times.tolist() == texts[ROWS - len(data.test) : ROWS]
    wholly = model.predict(plugin.read())["predicted"].to_numpy()
    for ending in ("csv", "parquet", "json"):
        source, output = write(frame, tmp_path / f"in.{ending}"), tmp_path / f"out.{ending}"
        assert predict_file(model, source, output) == ROWS
        assert read(output) == texts[:ROWS]
        assert forecast_file(model, source, output, horizon=2) == ROWS
        assert read(output) == wanted
    mixed = frame.sample(frac=1, random_state=1)
    np.testing.assert_array_equal(PyFunc(model).predict(mixed)["predicted"], wholly)
    found = PyFunc(model).predict(pd.DataFrame(json.loads(mixed.to_json(orient="records"))), {"horizon": 2})
    assert found["when"].map(str).tolist() == wanted


UNITS = ["s", "ms", "us", "ns"]


@pytest.mark.parametrize(
    ("freq", "zone"),
    [
        *((freq, zone) for freq in ("D", "h") for zone in (None, "UTC", BERLIN, "+05:30")),
        *((freq, BERLIN) for freq in ("MS", "B", "6h")),
    ],
)
def test_timestamps_of_a_parquet_file_keep_unit_and_zone(zone: str | None, freq: str, tmp_path: Path) -> None:
    moments = pd.date_range(SUMMER, periods=ROWS + 2, freq=freq, tz=zone)
    for unit in UNITS if (freq, zone) == ("h", BERLIN) else UNITS[-1:]:
        frame = rows_of(moments[:ROWS].as_unit(unit))
        file = write(frame, tmp_path / "a.parquet")
        frame = pd.read_parquet(file)  # which has no seconds, but milliseconds
        model = trained(Series(path=str(file), target="y", time="when", window=4))
        assert predict_file(model, file, tmp_path / "out.parquet") == ROWS
        assert pd.read_parquet(tmp_path / "out.parquet")["when"].equals(frame["when"])
        forecast_file(model, file, tmp_path / "out.parquet", horizon=2)
        found = pd.read_parquet(tmp_path / "out.parquet")["when"]
        assert found.tolist() == list(moments[ROWS:])
        assert str(found.dtype) == str(frame["when"].dtype)
        # As texts they are what pandas writes, in predictions.csv and in a forecast's CSV or JSON file.
        in_words = times.texts(pd.Series(moments)).tolist()
        for ending in ("csv", "json"):
            forecast_file(model, file, tmp_path / f"out.{ending}", horizon=2)
            assert read(tmp_path / f"out.{ending}") == in_words[ROWS:]
        predict_file(model, file, tmp_path / "out.csv")
        assert read(tmp_path / "out.csv") == [str(moment) for moment in moments[:ROWS]]
        forecast_file(model, tmp_path / "out.csv", tmp_path / "again.csv", horizon=1)  # and what was written is read
        assert pd.Timestamp(read(tmp_path / "again.csv")[0]) == moments[ROWS]


@settings(deadline=None, max_examples=20)
@given(
    st.datetimes(datetime.datetime(1980, 1, 1), datetime.datetime(2035, 1, 1)),
    st.sampled_from(["h", "D", "30min", "W", "2D"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_days_continue_by_the_local_clock_and_hours_by_utc(start: datetime.datetime, freq: str, zone: str) -> None:
    start = start.replace(hour=12 if freq in ("D", "W", "2D") else start.hour, minute=0, second=0, microsecond=0)
    first = pd.Timestamp(start).tz_localize("UTC").tz_convert(zone) if freq in ("h", "30min") else pd.Timestamp(start)
    all_of_them = pd.date_range(first, periods=60, freq=freq)
    if all_of_them.tz is None:
        all_of_them = all_of_them.tz_localize(zone)
    column = pd.Series(all_of_them[:50], name="when")
    assert times.after(column, 10, times.step(column)).tolist() == list(all_of_them[50:])
    as_texts = pd.Series([moment.isoformat() for moment in column], name="when")
    assert times.step(as_texts) == times.step(column)
    times.check_step(as_texts, times.step(column[:10]))  # type: ignore[arg-type]
    found = times.after(as_texts, 10, None)
    assert found.str[-6:].eq(as_texts.iloc[-1][-6:]).all()  # a text has an offset, and no zone that would change it
    if freq in ("h", "30min"):
        assert pd.to_datetime(found, utc=True).tolist() == list(all_of_them[50:].tz_convert("UTC"))
    else:
        assert found.str[:19].tolist() == [moment.isoformat()[:19] for moment in all_of_them[50:]]


def test_a_step_that_was_trained_without_a_clock_change_holds_over_one() -> None:
    days = pd.Series(pd.date_range("2024-03-01", periods=60, tz=BERLIN), name="when")
    winter = times.step(days[:20])
    assert asdict(winter) == {"unit": "microsecond", "size": 86_400_000_000}  # type: ignore[arg-type]
    times.check_step(days, winter)  # type: ignore[arg-type]
    assert times.after(days[:30], 2, winter).tolist() == list(days[30:32])
    noons = pd.Series(pd.date_range("2024-03-29 12:00", periods=12, freq="24h", tz="UTC").tz_convert(BERLIN))
    assert times.after(noons[:10], 2, times.step(noons[:10])).tolist() == list(noons[10:])  # 24 hours are no day there


def test_a_time_that_the_clocks_leave_out_is_the_next_and_one_that_is_there_twice_the_first() -> None:
    early = pd.Series(pd.date_range("2024-03-28 02:30", periods=3, tz=BERLIN), name="when")
    assert times.after(early, 2, None).map(str).tolist() == ["2024-03-31 03:00:00+02:00", "2024-04-01 02:30:00+02:00"]
    early = pd.Series(pd.date_range("2024-10-24 02:30", periods=3, tz=BERLIN), name="when")
    assert times.after(early, 1, None).map(str).tolist() == ["2024-10-27 02:30:00+02:00"]


def test_dates_of_python_keep_their_zone() -> None:
    zone = ZoneInfo(BERLIN)
    moments = [datetime.datetime(2024, 3, day, tzinfo=zone) for day in (29, 30, 31)]
    column = pd.Series(moments, dtype=object, name="when")
    assert times.after(column, 1, None).map(str).tolist() == ["2024-04-01 00:00:00+02:00"]
    arrow = pd.Series(pd.date_range("2024-03-29 08:00", periods=3, freq="h"), name="when").astype(
        "timestamp[us][pyarrow]"
    )
    assert times.after(arrow, 1, None).map(str).tolist() == ["2024-03-29 11:00:00"]
    assert times.texts(arrow).tolist() == ["2024-03-29 08:00:00", "2024-03-29 09:00:00", "2024-03-29 10:00:00"]


REFUSED = {
    "now in row 1, which is no time. Write times as 1960, 1960-01": ["2024-01-01 00:00", "now"],
    "NaT in row 1, which is no time": pd.Series([pd.Timestamp("2024-01-01"), None]),
    "2024-01-01 00:00+01:00 in row 0, with an offset from UTC, and 2024-01-02 00:00 in row 1, without one. Write all": [
        "2024-01-01 00:00+01:00",
        "2024-01-02 00:00",
    ],
}


@pytest.mark.parametrize(("sentence", "values"), REFUSED.items())
def test_what_is_no_certain_time_is_refused(sentence: str, values: Any) -> None:
    with pytest.raises(RequestError, match=f"^data\\.time=when is {re.escape(sentence)}"):
        times.order(pd.Series(values, name="when"))


@pytest.mark.parametrize(
    ("values", "following"),
    [(range(202401, 202413), 202501), (range(20240101, 20240132), 20240201), ([202411, 202412, 202501], 202502)],
)
def test_whole_numbers_that_are_dates_are_continued_as_dates(values: Any, following: int, tmp_path: Path) -> None:
    file = write(rows_of(list(values)), tmp_path / "a.csv")
    frame = Series(path=str(file), target="y", time="when").read()
    assert times.after(frame["when"], 1, None).tolist() == [following]


@pytest.mark.parametrize("values", [range(202400, 202500), range(1704067200, 1704067200 + 36000, 3600), range(9)])
def test_other_whole_numbers_are_numbers(values: Any, tmp_path: Path) -> None:
    file = write(rows_of(list(values)), tmp_path / "a.csv")
    frame = Series(path=str(file), target="y", time="when").read()
    assert times.after(frame["when"], 1, None).tolist() == [values[-1] + values.step]


STAMPS = ["days", "hours and minutes", "nanoseconds", "T and Z", "days over a clock change", "hours alone"]


def table_of(shape: str) -> pd.DataFrame:
    texts = SHAPES[shape][:ROWS]
    return pd.DataFrame({"when": texts, "x": np.arange(ROWS) % 11, "y": np.arange(ROWS) / 7})


def holders(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return rows whose times are of each type that pandas has for them."""
    texts = frame["when"]
    dates = pd.to_datetime(texts, format="ISO8601", utc=True)
    columns = {
        "texts": texts,
        "objects": texts.astype(object),
        "categories": texts.astype("category"),
        "arrow texts": texts.astype(pd.ArrowDtype(pa.string())),
        "dates in UTC": dates,
        "dates": dates.dt.tz_localize(None),
        "seconds": dates.dt.tz_localize(None).astype("datetime64[s]"),
        "arrow dates": dates.astype("timestamp[us, UTC][pyarrow]"),
        "periods": dates.dt.tz_localize(None).dt.to_period("s"),
        "days of Python": dates.dt.date,
        "dates of Python": dates.astype(object),
        "durations": dates - dates.iloc[0],
    }
    return {name: frame.assign(when=column) for name, column in columns.items()}


@pytest.mark.parametrize("shape", STAMPS)
def test_a_column_of_times_in_a_table_is_learnt_from_and_its_file_is_predicted(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = table_of(shape)
    for kind in ("csv", "parquet"):
        file = write(frame, tmp_path / f"a.{kind}")
        model = trained(Table(path=str(file), target="y"))
        large = load(Table(path=str(file), target="y", memory_gb=1e-7), "mine", "table", 0)
        assert large.spec == model.spec
        assert model.columns == ("when", "x")
        assert "when_elapsed" in model.spec.feature_names
        expected = model.predict(frame)["predicted"].to_numpy()
        for ending in ("csv", "parquet", "jsonl"):
            source, output = write(frame, tmp_path / f"in.{ending}"), tmp_path / f"out.{ending}"
            assert predict_file(model, source, output) == ROWS
            assert read(output) == list(frame["when"])
        np.testing.assert_array_equal(PyFunc(model).predict(frame)["predicted"], expected)
        with file.open("rb") as stream:
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
            predict_file(model, "-", tmp_path / "out.csv", form=kind)
        assert read(tmp_path / "out.csv") == list(frame["when"])


@pytest.mark.parametrize("holder", holders(table_of("seconds")))
def test_times_of_every_type_are_learnt_from_in_a_frame_or_file(holder: str, tmp_path: Path) -> None:
    frame = holders(table_of("seconds"))[holder]
    file = tmp_path / "a.parquet"
    frame.to_parquet(file)
    limits = [None] if holder == "periods" else [None, 1e-7]  # pandas' own type of Parquet is not read in blocks
    specs = {load(Table(path=str(file), target="y", memory_gb=limit), "mine", "table", 0).spec for limit in limits}
    assert len(specs) == 1
    model = trained(Table(path=str(file), target="y"))
    assert len(model.predict(frame)) == ROWS


def test_an_array_of_times_is_refused() -> None:
    stamps = pd.date_range("2024", periods=6).to_numpy().reshape(3, 2)
    with pytest.raises(RequestError, match=r"^X holds times\. Turn them into numbers\.$"):
        lifecycle.Model("mlp").fit(stamps, [1.0, 2.0, 3.0], epochs=1, verbose=0)


@pytest.mark.parametrize("holder", [name for name in holders(table_of("seconds")) if "texts" not in name])
def test_times_are_no_numbers_where_a_model_was_trained_on_numbers(holder: str, tmp_path: Path) -> None:
    frame = holders(table_of("seconds"))[holder]
    model = trained(Table(path=str(write(table_of("seconds"), tmp_path / "a.csv")), target="y", drop=["when"]))
    odd = frame.drop(columns="x").rename(columns={"when": "x"})
    with pytest.raises(RequestError, match=r"^column x holds numbers, got .* in row 0\."):
        model.predict(odd)
    odd.to_parquet(tmp_path / "odd.parquet")
    with pytest.raises(RequestError, match=r"^column x holds numbers, got .* in row 0\."):
        predict_file(model, tmp_path / "odd.parquet", tmp_path / "out.csv")


def test_times_are_no_values_of_arrays_images_or_targets(tmp_path: Path) -> None:
    stamps = pd.date_range("2024-03-20 08:00", periods=ROWS, freq="h")
    frame = pd.DataFrame({"a": 1.0, "b": stamps, "y": np.arange(ROWS) / 7})
    file = write(frame, tmp_path / "a.parquet")
    sentence = r"has times in the column b\. Turn them into numbers\.$"
    with pytest.raises(RequestError, match=sentence):
        load(Array(path=str(file), target="y", shape=[2, 1]), "mine", "array", 0)
    with pytest.raises(RequestError, match=sentence):
        load(Images(path=str(file), target="y", shape=[1, 1, 2]), "mine", "images", 0)
    for task, kind in (("regression", "table"), (None, "series")):
        plugin: Any = (
            Table(path=str(file), target="b", task=task) if kind == "table" else Series(path=str(file), target="b")
        )
        sentence = r"^data\.target=b holds (times|text \(could not convert .*\)), and values are to be predicted\. Name"
        with pytest.raises(RequestError, match=sentence):
            load(plugin, "mine", kind, 0)


def test_a_target_of_times_is_one_of_classes_as_the_file_writes_them(tmp_path: Path) -> None:
    texts = ["2024-03-20 08:00", "2024-03-20 09:30"] * (ROWS // 2)
    frame = pd.DataFrame({"x": np.arange(ROWS) % 2, "y": texts})
    file = write(frame, tmp_path / "a.csv")
    for limit in (None, 1e-7):
        data = load(Table(path=str(file), target="y", memory_gb=limit), "mine", "table", 0)
        assert data.spec.class_names == ("2024-03-20 08:00", "2024-03-20 09:30")
    stamps = write(frame.assign(y=pd.to_datetime(frame["y"])), tmp_path / "a.parquet")
    data = load(Table(path=str(stamps), target="y"), "mine", "table", 0)
    assert data.spec.class_names == ("2024-03-20 08:00:00", "2024-03-20 09:30:00")


def test_a_csv_file_keeps_its_times_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        "when,day,zip,x\n2024-01-01 00:00,2024-01-01,007,1\n,2024-01-02,008,2\n2024-01-01 02:00,2024-01-03,009,3\n"
    )
    frame = files.read(str(file))
    assert frame["when"].fillna("none").tolist() == ["2024-01-01 00:00", "none", "2024-01-01 02:00"]
    assert frame["day"].tolist() == [datetime.date(2024, 1, day) for day in (1, 2, 3)]
    assert frame["zip"].tolist() == ["007", "008", "009"]
    assert frame["x"].dtype == np.int64


def test_an_hourly_file_goes_through_the_whole_command(
    job: Command, lifecycle: Command, runs: Any, tmp_path: Path
) -> None:
    texts = SHAPES["hours and minutes"]
    write(rows_of(texts[:ROWS]), tmp_path / "a.csv")
    arguments = ["data=series", "model=lstm", "data.path=a.csv", "data.target=y", "data.time=when", "data.window=4"]
    ended = job(*arguments, "trainer.max_epochs=1", "tracking.figures=true")
    assert (ended.code, ended.err) == (0, "")
    (run,) = runs()
    table = pd.read_csv(artifacts(run) / "predictions.csv", dtype=str)
    assert table["time"].tolist() == texts[ROWS - len(table) : ROWS]
    assert (artifacts(run) / "forecast.png").stat().st_size > 5000
    card = lifecycle("data", "series", *(word for word in arguments[2:]))
    assert f"when time 0 40 {texts[0]} to {texts[ROWS - 1]}" in " ".join(card.out.split())
    assert lifecycle("predict", "run=latest", "input=a.csv", "output=out.csv", "horizon=2").code == 0
    assert read(tmp_path / "out.csv") == texts[ROWS : ROWS + 2]
    assert lifecycle("evaluate", "run=latest", "input=a.csv").code == 0
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
    found = model.predict(pd.read_csv(tmp_path / "a.csv"), params={"horizon": 2})
    assert found["when"].tolist() == texts[ROWS : ROWS + 2]


@pytest.mark.parametrize("shape", ["days over a clock change", "hours and minutes", "months with a time of day"])
def test_the_server_takes_times_and_answers_with_times_in_their_form(shape: str, tmp_path: Path) -> None:
    frame = rows_of(SHAPES[shape][:ROWS])
    model = trained(Series(path=str(write(frame, tmp_path / "a.csv")), target="y", time="when", window=4))
    scorer, expected = Scorer(model), model.predict(frame)["predicted"].tolist()
    mixed = frame.sample(frac=1, random_state=1)
    bodies = {
        "text/csv": mixed.to_csv(index=False),
        "application/json": json.dumps({"dataframe_split": mixed.to_dict("split")}),
    }
    for kind, body in bodies.items():
        answer = json.loads(b"".join(scorer.answer(body.encode(), kind, lambda: False)))
        assert [row["predicted"] for row in answer["predictions"]] == expected
