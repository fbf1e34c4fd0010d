"""A model can predict the file that it was trained on, whatever its columns mean, and reads it as in training."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.data.formats import readers
from lifecycle.data.formats.stream import typed
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.errors import RequestError
from lifecycle.plugins.mlp import MLP
from lifecycle.predict import saved_model
from lifecycle.predict.trained_model import TrainedModel

ROWS = 24


def money(value: float) -> str:
    return f"CHF {value:,.2f}".replace(",", "'")


def german(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def day(number: float) -> pd.Timestamp:
    return pd.Timestamp("2019-06-03") + pd.Timedelta(days=int(abs(number)) % 3000)


WRITTEN: dict[str, Any] = {
    "plain": lambda x: f"{x:.3f}",
    "unit": lambda x: f"{x:.2f} kg",
    "attached unit": lambda x: f"{x:.1f}km",
    "percent": lambda x: f"{int(x)}%",
    "currency": money,
    "currency after": lambda x: f"{x:.0f} €",
    "thousands": lambda x: f"{x:,.1f}",
    "decimal comma": german,
    "parentheses": lambda x: f"({abs(x):.1f})" if x < 0 else f"{x:.1f}",
    "iso": lambda x: f"{day(x):%Y-%m-%d}",
    "stamp": lambda x: f"{day(x):%Y-%m-%d} {int(abs(x)) % 24:02}:30",
    "day first": lambda x: f"{day(x):%d/%m/%Y}",
    "points": lambda x: f"{day(x):%d.%m.%y}",
    "month name": lambda x: f"{day(x):%b-%y}",
    "long": lambda x: f"{day(x).day} {day(x):%B %Y}",
    "packed": lambda x: f"{day(x):%Y%m%d}",
    "month": lambda x: f"{day(x):%Y%m}",
    "quarter": lambda x: f"{day(x).year}Q{day(x).quarter}",
    "week": lambda x: f"{day(x):%G-W%V}",
    "clock": lambda x: f"{int(abs(x)) % 24}:{int(abs(x)) % 60:02}",
    "duration": lambda x: f"{pd.Timedelta(seconds=round(x, 1))}",
    "hours": lambda x: f"{int(abs(x))}:{int(abs(x)) % 60:02}:07",
    "iso duration": lambda x: f"P{int(abs(x)) % 9}DT{abs(x):.1f}S",
    "hours and minutes": lambda x: f"{int(abs(x)) % 30}h {int(abs(x)) % 60}m",
    "truth": lambda x: "yes" if x > 0 else "No",
    "word": lambda x: ["red", "Blue ", "green"][int(abs(x)) % 3],
    "code": lambda x: f"{int(abs(x)) % 50:05}",
    "text": lambda x: f"the {int(abs(x))} rooms are near lake number {int(abs(x)) % 7}",
    "identifier": lambda x: f"id{x}",
}


def written(values: list[float], kind: str, gaps: bool) -> list[str]:
    return ["" if gaps and row % 9 == 4 else WRITTEN[kind](value) for row, value in enumerate(values)]


def trained_on(plugin: Table) -> tuple[TrainedModel, Any]:
    """Return a model with fitted preprocessing and an untrained network; and its data."""
    data = load(plugin, "mine", "table", 0)
    model = MLP(hidden=[2])
    found = TrainedModel(
        model_name="mlp",
        model=model,
        data_name="mine",
        data_kind="table",
        data=Table(**asdict(data.plugin)),  # as a saved model has it
        spec=data.spec,
        preprocessing=data.preprocessing,
        network=model.build(data.spec).eval(),
        columns=data.columns,
        settings={},
    )
    return found, data


def inputs_of_file(model: TrainedModel, file: Path) -> np.ndarray[Any, Any]:
    """Return the inputs of a file's rows, read as `lifecycle predict` does."""
    rows = readers.read(file)
    (table,) = rows.select(list(model.columns)).of(sys.maxsize)
    frame = typed(table, model.numbers, rows.is_text).to_pandas()
    return model.inputs(model.samples(frame), frame).numpy()


def inputs_of_training(data: Any) -> np.ndarray[Any, Any]:
    parts = [part for part in (data.train, data.val, data.test) if part is not None]
    order = np.argsort(np.concatenate([part.rows for part in parts]))
    return np.concatenate([np.asarray(part.inputs[0 : len(part)]) for part in parts])[order]


@settings(deadline=None, max_examples=20)
@given(
    kinds=st.lists(st.sampled_from(sorted(WRITTEN)), min_size=1, max_size=3),
    values=st.lists(st.floats(-9999, 99999), min_size=ROWS, max_size=ROWS, unique=True),
    gaps=st.booleans(),
    scaling=st.sampled_from(["standard", "minmax", "none"]),
)
def test_a_file_is_read_for_a_prediction_as_it_was_for_training(
    kinds: list[str], values: list[float], gaps: bool, scaling: str
) -> None:
    columns = {f"{kind} {place}": written(values, kind, gaps) for place, kind in enumerate(kinds)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.csv"
        pd.DataFrame({**columns, "y": np.arange(ROWS) / 7}).to_csv(file, index=False)
        try:
            model, data = trained_on(Table(path=str(file), target="y", scaling=scaling))
        except RequestError as error:
            refused = str(error)
        else:
            np.testing.assert_array_equal(inputs_of_file(model, file), inputs_of_training(data))
            return
    assert "Add data." in refused or "add data." in refused  # such as a column without a value: the option is named


@pytest.mark.parametrize("kind", sorted(WRITTEN))
def test_each_kind_of_column_is_kept_by_a_saved_model(kind: str, tmp_path: Path) -> None:
    values = [-50.5, *np.linspace(1001, 99999, ROWS - 1).tolist()]
    file = tmp_path / "a.csv"
    rows = pd.DataFrame({"x": written(values, kind, gaps=True), "y": np.arange(ROWS) / 7})
    rows.to_csv(file, index=False)
    model, data = trained_on(Table(path=str(file), target="y"))
    saved_model.check_preprocessing(data.preprocessing, "data")
    saved_model.save(model, tmp_path / "saved")
    loaded = saved_model.load(tmp_path / "saved")
    np.testing.assert_array_equal(inputs_of_file(loaded, file), inputs_of_training(data))
    parts = [file.with_name(f"{end}.csv") for end in "ab"]  # types do not depend on the rows of a block
    for part, some in zip(parts, (rows[:5], rows[5:]), strict=True):
        some.to_csv(part, index=False)
    both = np.concatenate([inputs_of_file(loaded, part) for part in parts])
    np.testing.assert_array_equal(both, inputs_of_training(data))
