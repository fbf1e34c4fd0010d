"""Predictions of files: equal to a prediction of all rows at once, whatever the blocks, after the user's cells."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lifecycle.contract import DataPlugin
from lifecycle.data.kinds.images import Images
from lifecycle.data.kinds.table import Table
from lifecycle.errors import RequestError
from lifecycle.plugins.cnn import CNN
from lifecycle.plugins.lstm import LSTM
from lifecycle.plugins.mlp import MLP
from lifecycle.predict import predict_file as predict_file_module
from lifecycle.predict import saved_model
from lifecycle.predict.predict_file import predict_file
from lifecycle.predict.trained_model import TrainedModel
from tests.rows import ImageRows, SeriesRows, TableRows, load_rows

ROWS = 500


def trained(plugin: DataPlugin, model: Any) -> TrainedModel:
    """Return a model whose data are learnt and whose network is as it begins."""
    data = load_rows(plugin)
    torch.manual_seed(0)
    return TrainedModel(
        model_name="mine",
        model=model,
        data_name="mine",
        data_kind="mine",
        data=plugin,
        spec=data.spec,
        preprocessing=data.preprocessing,
        network=model.build(data.spec).eval(),
        columns=data.columns,
        settings={},
        provenance={},
    )


def raw(rows: int = ROWS) -> pd.DataFrame:
    """Return rows with two numbers, one that has gaps, and two categories, one of codes."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": generator.normal(size=rows),
            "gaps": np.where(generator.random(rows) < 0.3, np.nan, generator.integers(0, 9, rows)),
            "town": generator.choice(["York", "Bath, Avon", 'the "Hill"'], rows),
            "zip": generator.choice(["007", "0101", "9"], rows),
        }
    )
    return frame.assign(y=np.digitize(frame["a"], [-0.5, 0.5]))


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """Return a classifier of three classes for :func:`raw` rows."""
    return trained(TableRows(frame=raw()), MLP(hidden=[8]))


@pytest.fixture(autouse=True)
def small_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 16 rows go through a network at once, so that little files have many blocks."""
    monkeypatch.setattr("lifecycle.predict.trained_model.ROWS_AT_ONCE", 16)


def read_back(file: Path) -> pd.DataFrame:
    """Return a file as its user would read it, codes as texts."""
    if file.suffix == ".parquet":
        return pd.read_parquet(file)
    return pd.read_csv(file, dtype=dict.fromkeys(["zip", "a,b"], "str"))


def check(model: TrainedModel, frame: pd.DataFrame, output: Path) -> None:
    """Compare a file with the predictions of all rows at once, bit for bit."""
    found, expected = read_back(output), model.predict(frame)
    assert list(found) == [*frame.columns, *expected.columns]
    assert found["predicted"].astype(str).tolist() == expected["predicted"].tolist()
    shares = list(expected.columns[1:])
    np.testing.assert_array_equal(found[shares].to_numpy(), expected[shares].to_numpy())


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_rows_are_in_order_and_equal_a_prediction_of_all_rows(
    model: TrainedModel, tmp_path: Path, source: str, ending: str
) -> None:
    frame = raw()
    write = {"csv": lambda file: frame.to_csv(file, index=False), "parquet": frame.to_parquet}
    write[source](tmp_path / f"in.{source}")
    assert predict_file(model, tmp_path / f"in.{source}", tmp_path / f"out.{ending}", rows_at_once=16) == ROWS
    check(model, frame, tmp_path / f"out.{ending}")
    found = read_back(tmp_path / f"out.{ending}")
    np.testing.assert_array_equal(found["a"], frame["a"])
    np.testing.assert_array_equal(found["gaps"], frame["gaps"])
    assert found["zip"].tolist() == frame["zip"].tolist()
    assert found["town"].tolist() == frame["town"].tolist()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([f"in.{source}", f"out.{ending}"])


@given(rows=st.integers(1, 90), block=st.integers(1, 100))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bit_depends_on_the_length_of_a_block(model: TrainedModel, tmp_path: Path, rows: int, block: int) -> None:
    frame = raw(ROWS).iloc[:rows]
    frame.to_parquet(tmp_path / "in.parquet")
    assert predict_file(model, tmp_path / "in.parquet", tmp_path / "out.parquet", rows_at_once=block) == rows
    found = pd.read_parquet(tmp_path / "out.parquet")[list(model.predict(frame))]
    pd.testing.assert_frame_equal(found, model.predict(frame), check_exact=True)


def test_rounding_in_a_pass_of_other_rows_is_that_of_single_precision(model: TrainedModel) -> None:
    frame = raw()
    whole = model.predict(frame).drop(columns="predicted").to_numpy()
    alone = np.vstack([model.predict(frame.iloc[[i]]).drop(columns="predicted").to_numpy() for i in range(40)])
    np.testing.assert_allclose(alone, whole[:40], rtol=1e-5)


def test_a_block_is_whole_passes_and_about_as_many_values_as_are_allowed(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [predict_file_module._block_rows(model, 5, asked) for asked in (1, 16, 17)] == [16, 16, 32]
    monkeypatch.setattr(predict_file_module, "CELLS_AT_ONCE", 1000)
    assert predict_file_module._block_rows(model, 20, None) == 48  # 50 would be too many, 3 passes are not
    assert predict_file_module._block_rows(model, 5000, None) == 16
    wide = trained(ImageRows(frame=pixels(), shape=[1, 8, 8]), CNN(channels=[2]))
    assert predict_file_module._block_rows(wide, 65, None) == 16
    monkeypatch.setattr("lifecycle.predict.trained_model.NUMBERS_AT_ONCE", 200)
    assert wide.rows_at_once == 3  # of 64 pixels
    monkeypatch.setattr("lifecycle.predict.trained_model.NUMBERS_AT_ONCE", 20)
    assert wide.rows_at_once == 1


def test_a_column_has_the_same_type_in_each_block(model: TrainedModel, tmp_path: Path) -> None:
    """Empty, whole, with fractions, as texts: a block of each, and the codes 007 and 9."""
    gaps = ["", "3", "2.5", "NA", "nan", " 4 ", "1e1", "007"]
    number = [math.nan, 3, 2.5, math.nan, math.nan, 4, 10, 7]
    cells = [gaps[row // 16] for row in range(16 * len(gaps))]
    zips = ["9" if row < 64 else "007" for row in range(len(cells))]
    lines = [f"{zip_},{gap},1,York" for zip_, gap in zip(zips, cells, strict=True)]
    (tmp_path / "in.csv").write_text("\n".join(["zip,gaps,a,town", *lines]) + "\n")
    for ending in ("csv", "parquet"):
        predict_file(model, tmp_path / "in.csv", tmp_path / f"out.{ending}", rows_at_once=16)
    frame = pd.DataFrame({"a": 1.0, "gaps": [number[row // 16] for row in range(len(cells))], "town": "York"})
    expected = model.predict(frame.assign(zip=zips))
    with (tmp_path / "out.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [row["gaps"] for row in found] == cells  # as they stood
    assert [float(row["probability_1"]) for row in found] == expected["probability_1"].tolist()
    table = pq.read_table(tmp_path / "out.parquet")
    assert [str(table.schema.field(name).type) for name in ("zip", "gaps", "a")] == ["string", "double", "double"]
    np.testing.assert_array_equal(table["gaps"].to_pandas(), frame["gaps"])
    assert table["probability_1"].to_pylist() == expected["probability_1"].tolist()


def test_whole_numbers_of_a_category_are_texts_in_each_block_of_parquet(model: TrainedModel, tmp_path: Path) -> None:
    frame = raw(64).assign(zip=pd.array([9] * 63 + [None], dtype="Int64"))
    frame.to_parquet(tmp_path / "in.parquet")
    predict_file(replace(model, missing="impute"), tmp_path / "in.parquet", tmp_path / "out.csv", rows_at_once=16)
    expected = model.predict(frame.assign(zip=["9"] * 63 + [None]), missing="impute")
    np.testing.assert_array_equal(read_back(tmp_path / "out.csv")["probability_0"], expected["probability_0"])


def test_truth_values_of_a_csv_file_are_the_numbers_that_they_were_while_learning(tmp_path: Path) -> None:
    frame = pd.DataFrame({"flag": [True, False] * 32, "y": ["u", "v"] * 32})
    model = trained(TableRows(frame=frame), MLP(hidden=[4]))
    frame.to_csv(tmp_path / "in.csv", index=False)
    predict_file(model, tmp_path / "in.csv", tmp_path / "out.csv", rows_at_once=16)
    expected = model.predict(frame)
    assert expected["probability_u"].nunique() == 2
    np.testing.assert_array_equal(read_back(tmp_path / "out.csv")["probability_u"], expected["probability_u"])


def test_columns_may_be_in_another_order_with_others_and_without_a_target(model: TrainedModel, tmp_path: Path) -> None:
    frame = raw(40)[["zip", "town", "gaps", "a"]].assign(note="x,y", **{"a,b": [f"{row:03}" for row in range(40)]})
    frame.to_csv(tmp_path / "in.csv", index=False)
    predict_file(model, tmp_path / "in.csv", tmp_path / "out.csv")
    check(model, frame, tmp_path / "out.csv")
    assert read_back(tmp_path / "out.csv")["a,b"].tolist() == frame["a,b"].tolist()


def test_rows_may_come_in_frames_of_any_lengths(model: TrainedModel, tmp_path: Path) -> None:
    frame = raw().assign(gaps=[None] * 100 + list(range(400)))
    parts = [frame.iloc[:7], frame.iloc[7:100], frame.iloc[100:333].astype({"gaps": int}), frame.iloc[333:]]
    for ending in ("csv", "parquet"):
        assert predict_file(model, iter(parts), tmp_path / f"out.{ending}", rows_at_once=32) == ROWS
        check(model, frame.astype({"gaps": float}), tmp_path / f"out.{ending}")


def test_a_regression_has_values_in_its_own_units(tmp_path: Path) -> None:
    frame = raw().assign(y=np.linspace(900, 1100, ROWS))
    model = trained(TableRows(frame=frame), MLP(hidden=[8]))
    frame.to_csv(tmp_path / "in.csv", index=False)
    predict_file(model, tmp_path / "in.csv", tmp_path / "out.csv", rows_at_once=64)
    found = read_back(tmp_path / "out.csv")
    np.testing.assert_array_equal(found["predicted"], model.predict(frame)["predicted"])
    assert 700 < found["predicted"].mean() < 1300


def pixels(rows: int = 40) -> pd.DataFrame:
    values = np.random.default_rng(0).integers(0, 256, (rows, 64))
    return pd.DataFrame(values, columns=[f"p{i}" for i in range(64)]).assign(y=["even", "odd"] * (rows // 2))


def test_images_in_rows_of_pixels_are_streamed(tmp_path: Path) -> None:
    frame = pixels()
    model = trained(ImageRows(frame=frame, shape=[1, 8, 8]), CNN(channels=[2]))
    frame.to_csv(tmp_path / "in.csv", index=False)
    predict_file(model, tmp_path / "in.csv", tmp_path / "out.parquet", rows_at_once=16)
    check(model, frame, tmp_path / "out.parquet")


@pytest.mark.parametrize("largest", [255.0, 17.0])
def test_a_model_of_rows_of_pixels_predicts_image_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: float
) -> None:
    monkeypatch.setattr(predict_file_module, "IMAGES_AT_ONCE", 7)
    frame = pixels()
    model = trained(ImageRows(frame=frame, shape=[1, 8, 8], max_value=largest), CNN(channels=[2]))
    columns = [name for name in frame if name != "y"]
    (tmp_path / "new").mkdir()
    for row, values in enumerate(frame[columns].to_numpy(dtype=np.uint8)):
        Image.fromarray(values.reshape(8, 8)).save(tmp_path / "new" / f"{row:02}.png")
    assert predict_file(model, tmp_path / "new", tmp_path / "out.csv", rows_at_once=16) == 40
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found) == ["file", "predicted", "probability_even", "probability_odd"]
    assert found["file"].tolist() == [f"{tmp_path}/new/{row:02}.png" for row in range(40)]
    expected = model.predict(frame[columns] * (largest / 255))  # as bright as the training images
    np.testing.assert_allclose(found["probability_odd"], expected["probability_odd"], rtol=1e-6)
    if largest == 255:
        np.testing.assert_array_equal(found["probability_odd"], expected["probability_odd"])
    deep = trained(ImageRows(frame=frame, shape=[4, 4, 4]), CNN(channels=[2]))
    message = refused(deep, tmp_path / "new", tmp_path / "deep.csv")
    assert message.endswith(
        "is an image, and data.shape=[4,4,4] is neither grey nor red, green and blue. Give a table with a column for "
        "each pixel."
    )


def test_images_are_read_block_by_block_by_the_names_of_their_files(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(20):
            image = Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8))
            image.save(tmp_path / "images" / label / f"{number:02}.png")
    model = trained(Images(path=str(tmp_path / "images")), CNN(channels=[2]))
    names = pd.DataFrame({"id": range(40), "file": [f"{k}/{i:02}.png" for i in range(20) for k in ("cat", "dog")]})
    names.to_csv(tmp_path / "in.csv", index=False)
    predict_file(model, tmp_path / "in.csv", tmp_path / "out.csv", rows_at_once=16)
    check(model, names, tmp_path / "out.csv")


def test_a_series_is_read_whole_and_rows_without_a_prediction_have_none(tmp_path: Path) -> None:
    frame = pd.DataFrame({"year": range(1900, 1960), "y": np.arange(60.0) ** 1.5})
    model = trained(SeriesRows(frame=frame, time="year", window=3, test_size=0.2), LSTM(units=[4]))
    shuffled = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    shuffled.to_csv(tmp_path / "in.csv", index=False)
    assert predict_file(model, tmp_path / "in.csv", tmp_path / "out.csv", rows_at_once=16) == 60
    found = read_back(tmp_path / "out.csv")
    assert found["year"].tolist() == shuffled["year"].tolist()
    in_time = found.sort_values("year")["predicted"].to_numpy()
    assert np.isnan(in_time[:3]).all()
    np.testing.assert_array_equal(in_time[3:], model.predict(frame)["predicted"])


def refused(model: TrainedModel, source: Any, output: Path, rows_at_once: int | None = None) -> str:
    with pytest.raises(RequestError) as caught:
        predict_file(model, source, output, rows_at_once)
    assert not output.exists()
    assert not list(output.parent.glob(".*"))
    return str(caught.value)


def test_a_value_that_is_no_number_is_named_with_its_row_in_the_file(model: TrainedModel, tmp_path: Path) -> None:
    frame = raw().astype({"a": object})
    frame.loc[333, "a"] = "many"
    frame.to_csv(tmp_path / "in.csv", index=False)
    message = refused(model, tmp_path / "in.csv", tmp_path / "out.csv", rows_at_once=16)
    assert message == "column a holds numbers, got 'many' in row 333. Fix the value."
    raw().assign(a=[np.inf if row == 222 else 0.0 for row in range(ROWS)]).to_parquet(tmp_path / "in.parquet")
    message = refused(model, tmp_path / "in.parquet", tmp_path / "out.csv", rows_at_once=16)
    assert message == "column a holds numbers, got inf in row 222. Fix the value."
    raw().assign(a=[1e300 if row == 111 else 0.0 for row in range(ROWS)]).to_parquet(tmp_path / "in.parquet")
    message = refused(model, tmp_path / "in.parquet", tmp_path / "out.csv", rows_at_once=16)
    assert message == "input has a value that is no finite number in row 111. Fix the row."


def test_a_missing_pixel_is_named_with_its_row_in_the_file(tmp_path: Path) -> None:
    model = trained(ImageRows(frame=pixels(), shape=[1, 8, 8]), CNN(channels=[2]))
    frame = pixels().astype({"p5": float})
    frame.loc[35, "p5"] = np.nan
    frame.to_csv(tmp_path / "in.csv", index=False)
    message = refused(model, tmp_path / "in.csv", tmp_path / "out.csv", rows_at_once=16)
    assert message.endswith("misses a pixel in row 35, column p5. Fix or remove the row.")


def test_an_existing_output_is_kept_if_the_rows_cannot_be_predicted(model: TrainedModel, tmp_path: Path) -> None:
    frame = raw().astype({"a": object})
    frame.loc[333, "a"] = "many"
    frame.to_csv(tmp_path / "in.csv", index=False)
    (tmp_path / "out.csv").write_text("yesterday's")
    with pytest.raises(RequestError, match=r"in row 333"):
        predict_file(model, tmp_path / "in.csv", tmp_path / "out.csv", rows_at_once=16)
    assert (tmp_path / "out.csv").read_text() == "yesterday's"
    assert not list(tmp_path.glob(".*"))


def test_rows_that_cannot_be_predicted_are_refused_before_the_output_is_written(
    model: TrainedModel, tmp_path: Path
) -> None:
    file, output = tmp_path / "in.csv", tmp_path / "out.csv"
    raw().drop(columns="zip").to_csv(file, index=False)
    message = refused(model, file, output)
    assert message == "input has no column zip, got a, gaps, town, y. This model needs a, gaps, town, zip."
    raw().assign(predicted=1).to_csv(file, index=False)
    assert refused(model, file, output) == (
        f"input={file} has a column predicted, which is the name of a column of predictions. The model does "
        "not read it: rename it in the file, or remove it."
    )
    raw().assign(probability_2=1).to_csv(file, index=False)
    assert "has a column probability_2," in refused(model, file, output)
    with pytest.raises(RequestError, match=r"^output=.*in\.csv is the input\. Give another file\.$"):
        predict_file(model, file, tmp_path / "." / "in.csv")


def test_torch_has_its_threads_back_and_its_work_is_done_on_one(model: TrainedModel, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    used = []
    model.network.register_forward_hook(lambda *_: used.append(torch.get_num_threads()))
    raw().to_parquet(tmp_path / "in.parquet")
    predict_file(model, tmp_path / "in.parquet", tmp_path / "out.csv", rows_at_once=16)
    model.predict(raw())
    assert used == [1] * 2 * math.ceil(ROWS / 16)
    assert torch.get_num_threads() == before


MEASURE = """
import re, sys
from pathlib import Path
from lifecycle import saved
from lifecycle.predict.predict_file import predict_file
predict_file(saved.load(Path(sys.argv[1])), sys.argv[2], sys.argv[3], rows_at_once=8192)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(400, 8)), columns=list("abcdefgh"))
    plugin = TableRows(frame=frame.assign(y=["u", "v"] * 200))
    model = trained(plugin, MLP(hidden=[8]))
    model = replace(model, model_name="mlp", data_kind="table", data=Table(path="a.csv", target="y"))
    saved_model.save(model, tmp_path / "model")
    peaks = []
    for repeats in (400, 2800):
        table = pa.concat_tables([pa.Table.from_pandas(frame)] * repeats).combine_chunks()
        file = tmp_path / f"in.{ending}"
        pa.csv.write_csv(table, file) if ending == "csv" else pq.write_table(table, file, row_group_size=len(table))
        words = [sys.executable, "-c", MEASURE, str(tmp_path / "model"), str(file), str(tmp_path / f"out.{ending}")]
        peaks.append(int(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
    assert peaks[1] < peaks[0] + 70 * 1024, peaks  # KiB; 960,000 more rows are 61 MB as numbers and 146 MB as texts
