"""A saved model: three files, no pickle, refused when altered, and the same predictions from raw rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.preprocessing import FunctionTransformer

import lifecycle as package
from lifecycle import saved
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.errors import RequestError, SavedModelError

FRAME = load_iris(as_frame=True).data


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """Return a folder that a run saved, to be spoilt."""
    (manifest,) = trained.rglob("lifecycle.json")
    return shutil.copytree(manifest.parent, tmp_path / "saved")


def change(folder: Path, **entries: object) -> None:
    file = folder / "lifecycle.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


def test_it_is_three_files_and_says_where_it_is_from(folder: Path) -> None:
    names = ["lifecycle.json", "preprocessing.skops", "weights.safetensors"]
    assert sorted(file.name for file in folder.iterdir()) == names
    manifest = json.loads((folder / "lifecycle.json").read_text())
    assert manifest["format"] == 1
    assert manifest["model"]["plugin"] == "mlp"
    assert manifest["model"]["package"] == f"nn-lifecycle {package.__version__}"
    assert manifest["model"]["fields"]["hidden"] == [64, 32]
    assert manifest["spec"]["class_names"] == ["setosa", "versicolor", "virginica"]
    assert manifest["compile"]["optimizer"]["name"] == "adam"
    assert manifest["provenance"]["epoch"] == 2


def test_columns_may_be_reordered_and_more_are_ignored(folder: Path) -> None:
    trained = saved.load(folder)
    expected = trained.predict(FRAME)
    shuffled = FRAME[FRAME.columns[::-1]].assign(note="x")
    pd.testing.assert_frame_equal(trained.predict(shuffled), expected)


def test_a_missing_column_is_named(folder: Path) -> None:
    rows = FRAME.drop(columns="petal width (cm)")
    with pytest.raises(
        RequestError, match=r"input has no column petal width \(cm\), got sepal length.*This model needs"
    ):
        saved.load(folder).predict(rows)


@pytest.mark.parametrize("name", ["weights.safetensors", "preprocessing.skops"])
def test_an_altered_file_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(SavedModelError, match=rf"{name} is not the file that was saved: its sha256 differs"):
        saved.load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    with pytest.raises(SavedModelError, match=r"is no saved model: it has no weights.safetensors"):
        saved.load(folder)


def test_a_later_format_is_refused(folder: Path) -> None:
    change(folder, format=99)
    with pytest.raises(SavedModelError, match=r"has the format 99, and this version reads 1. Update nn-lifecycle."):
        saved.load(folder)


def test_a_manifest_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "lifecycle.json").write_text("{")
    with pytest.raises(SavedModelError, match=r"lifecycle.json cannot be read"):
        saved.load(folder)


def test_a_plugin_that_is_not_installed_is_named_with_its_package(folder: Path) -> None:
    change(folder, model={"plugin": "gone", "package": "lifecycle-gone 1.0", "fields": {}})
    with pytest.raises(SavedModelError, match=r"lifecycle-gone 1.0.*model=gone is not installed"):
        saved.load(folder)


def test_preprocessing_that_would_run_code_is_refused_and_runs_none(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    evil = FunctionTransformer(Path(str(canary)).touch)
    skops.io.dump({"inputs": evil, "target": None}, folder / "preprocessing.skops")
    names = ("preprocessing.skops", "weights.safetensors")
    change(folder, sha256={name: saved.sha256(folder / name) for name in names})
    with pytest.raises(SavedModelError, match=r"preprocessing.skops holds .*, which is no known preprocessing"):
        saved.load(folder)
    assert not canary.exists()


@pytest.mark.parametrize("gone", ["model", "spec", "sha256"])
def test_a_manifest_that_lacks_a_part_is_refused(folder: Path, gone: str) -> None:
    manifest = json.loads((folder / "lifecycle.json").read_text())
    del manifest[gone]
    (folder / "lifecycle.json").write_text(json.dumps(manifest))
    with pytest.raises(SavedModelError, match=r"does not hold together|is not the file that was saved"):
        saved.load(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    manifest = json.loads((folder / "lifecycle.json").read_text())
    manifest["model"]["fields"]["hidden"] = [5]
    (folder / "lifecycle.json").write_text(json.dumps(manifest))
    with pytest.raises(SavedModelError, match=r"does not hold together \(RuntimeError"):
        saved.load(folder)


def test_what_cannot_be_saved_is_refused_before_training() -> None:
    learnt = Preprocessing(FunctionTransformer(len), None)
    with pytest.raises(RequestError, match=r"data=mine learnt .*, which a saved model cannot hold"):
        saved.check_preprocessing(learnt, "data=mine")


def test_no_rows_are_refused(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"^input has no rows\. Give one or more to predict\.$"):
        saved.load(folder).predict(FRAME.iloc[:0])
