"""A run on a text file without a header: what it reports and records, and the same rows in other dialects."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

import lifecycle as package
from lifecycle.predict import predict_file, saved_model
from lifecycle.tracking.pages import tags
from tests.conftest import Command

ROWS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Return a folder with a run on rows.csv, which has no header and marks of missing values."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "mlruns").mkdir(mode=0o700)
    (folder / "mlruns" / "mlflow.db").write_bytes(empty_database.read_bytes())
    rng = np.random.default_rng(0)
    width = rng.normal(size=ROWS).round(3)
    rows = pd.DataFrame(
        {
            "id": [f"r{row}" for row in range(ROWS)],
            "width": [str(value) if row % 9 else "?" for row, value in enumerate(width)],
            "colour": [["red", "green", "?"][row % 3] for row in range(ROWS)],
            "count": [str(row % 5) if row % 11 else "-999" for row in range(ROWS)],
            "kind": np.where(width + rng.normal(0, 0.2, ROWS) > 0, "M", "R"),
        }
    )
    rows.to_csv(folder / "rows.csv", index=False, header=False)
    rows.drop(columns="kind").to_csv(folder / "rows.tsv.csv", index=False, header=False, sep="\t")
    (folder / "commented.csv").write_text("# later\n# rows\n" + rows.to_csv(index=False, header=False, sep=";"))
    rows.iloc[:, :2].to_csv(folder / "short.csv", index=False, header=False)
    rows.set_axis(["c0", "c1", "c2", "c3", "c4"], axis=1).to_csv(folder / "named.csv", index=False)
    words = ["data=table", "data.path=rows.csv", "data.target=-1", "data.drop=[0]", "data.missing=[?,-999]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        package.run([*words, "trainer.max_epochs=2", "tracking.figures=false", "verbose=0"])
    return folder


def test_the_dialect_is_recorded_with_the_run_and_the_model(folder: Path) -> None:
    words = "rows.csv: comma, no header (columns c0 to c4), ?, -999 are missing"
    found = mlflow.MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db").search_runs(["1"])[0]
    assert tags.name(found).data.tags["lifecycle.reading"] == words
    manifest = json.loads(next(folder.rglob("lifecycle.json")).read_text())
    assert manifest["provenance"]["reading"] == {
        "names": ["c0", "c1", "c2", "c3", "c4"],
        "header": False,
        "missing": ["?", "-999"],
    }
    assert manifest["data"]["fields"]["target"] == "c4"
    assert manifest["data"]["fields"]["drop"] == ["c0"]


def test_the_same_rows_in_any_dialect_have_the_same_predictions(folder: Path, tmp_path: Path) -> None:
    trained = saved_model.load(next(folder.rglob("lifecycle.json")).parent)
    found = []
    for name in ("rows.csv", "rows.tsv.csv", "commented.csv", "named.csv"):
        assert predict_file.predict_file(trained, folder / name, tmp_path / "out.csv") == ROWS
        out = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
        assert out["c1"][0] == "?"  # cells are copied as they are
        found.append(out[["predicted", "probability_M"]])
    for other in found[1:]:
        pd.testing.assert_frame_equal(other, found[0])
    # As a frame without the marks, the same rows.
    rows = pd.read_csv(folder / "named.csv", na_values=["?", "-999"])
    pd.testing.assert_frame_equal(trained.predict(rows)[["predicted", "probability_M"]], found[0], rtol=1e-6)
    rows = pd.read_csv(folder / "named.csv", na_values={"c1": ["?"]})
    pd.testing.assert_frame_equal(trained.predict(rows)[["predicted", "probability_M"]], found[0], rtol=1e-6)


def test_commands_report_how_they_read(folder: Path, lifecycle: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    shown = lifecycle("data", "table", "data.path=rows.csv", "data.target=-1", "data.drop=[0]")
    assert "Read      comma, no header (columns c0 to c4), ? is missing\n" in shown.out
    predicted = lifecycle("predict", "run=latest", "input=rows.tsv.csv", "output=out.csv")
    assert "rows.tsv.csv: tab, no header (columns c0 to c3), ? is missing" in predicted.out + predicted.err
    scored = lifecycle("evaluate", "run=latest", "input=commented.csv", "missing=impute")
    assert scored.code == 0, scored.err
    assert "Read      commented.csv: semicolon, lines that begin with # are comments, no header (col" in scored.out
    assert "These are the rows of the run itself" in scored.out
    refused = lifecycle("predict", "run=latest", "input=short.csv", "output=out.csv")
    assert refused.code == 2
    assert "it has no header and 2 columns, and the training file has 5, or 4 without c4. Fix it." in refused.err
