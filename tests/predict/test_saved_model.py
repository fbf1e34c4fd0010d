"""A saved model: three files, no pickle, refused when altered, and the same predictions from raw rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.preprocessing import FunctionTransformer

import lifecycle as package
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.errors import RequestError, SavedModelError
from lifecycle.predict import saved_model
from lifecycle.runtime.files.digests import sha256

FRAME = load_iris(as_frame=True).data
KEPT = Path(__file__).parents[1] / "saved_models"
"""Models saved by each version of the format, with raw rows and their predictions."""


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a little and return the folder that the run saved."""
    place = tmp_path_factory.mktemp("runs")
    package.run(["data=iris", "trainer.max_epochs=2", "verbose=0", "tracking.figures=false", f"tracking.dir={place}"])
    (manifest,) = place.rglob("lifecycle.json")
    return manifest.parent


@pytest.fixture
def folder(trained_once: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder."""
    return Path(shutil.copytree(trained_once, tmp_path / "saved"))


def manifest_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "lifecycle.json").read_text()))


def change(folder: Path, **entries: object) -> None:
    """Write other entries into a manifest, with the digest that they have."""
    saved_model.write_manifest({**manifest_of(folder), **entries}, folder)


def digests(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in ("preprocessing.skops", "weights.safetensors")}


def test_a_saved_model_is_three_files_with_its_provenance(folder: Path) -> None:
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


@pytest.mark.fault(31)
def test_columns_may_be_reordered_and_more_are_ignored(folder: Path) -> None:
    trained = saved_model.load(folder)
    expected = trained.predict(FRAME)
    shuffled = FRAME[FRAME.columns[::-1]].assign(note="x")
    pd.testing.assert_frame_equal(trained.predict(shuffled), expected)


@pytest.mark.fault(31)
def test_a_missing_column_is_named(folder: Path) -> None:
    rows = FRAME.drop(columns="petal width (cm)")
    with pytest.raises(
        RequestError, match=r"input has no column petal width \(cm\), got sepal length.*This model needs"
    ):
        saved_model.load(folder).predict(rows)


@pytest.mark.parametrize("name", ["weights.safetensors", "preprocessing.skops"])
@pytest.mark.parametrize("fault", ["altered", "truncated"])
def test_an_altered_file_is_refused(folder: Path, name: str, fault: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content if fault == "altered" else content[:-10])
    with pytest.raises(SavedModelError, match=rf"{name} is not the file that was saved: its sha256 differs"):
        saved_model.load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    with pytest.raises(SavedModelError, match=r"is no saved model: it has no weights.safetensors"):
        saved_model.load(folder)


def test_a_later_format_is_refused(folder: Path) -> None:
    change(folder, format=99)
    with pytest.raises(SavedModelError, match=r"has the format 99, and this version reads 1. Update nn-lifecycle."):
        saved_model.load(folder)


def test_a_manifest_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "lifecycle.json").write_text("{")
    with pytest.raises(SavedModelError, match=r"lifecycle.json cannot be read"):
        saved_model.load(folder)


def test_a_plugin_that_is_not_installed_is_named_with_its_package(folder: Path) -> None:
    change(folder, model={"plugin": "gone", "package": "lifecycle-gone 1.0", "fields": {}})
    with pytest.raises(SavedModelError, match=r"lifecycle-gone 1.0.*model=gone is not installed"):
        saved_model.load(folder)


@pytest.mark.parametrize("kind", ["table", "series"])
@pytest.mark.parametrize("version", sorted(folder.name for folder in KEPT.iterdir()))
def test_a_model_of_an_older_version_predicts_the_same(version: str, kind: str) -> None:
    place = KEPT / version / kind
    rows = pd.read_csv(place / "rows.csv", dtype={"code": str}, keep_default_na=False, na_values=[""])
    found, expected = saved_model.load(place / "model").predict(rows), pd.read_csv(place / "predictions.csv")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-6, atol=1e-6)


def test_inputs_are_prepared_without_the_weights(folder: Path) -> None:
    trained = saved_model.load(folder)
    (folder / "weights.safetensors").unlink()
    inputs = saved_model.prepare(folder, FRAME)
    assert inputs.dtype == np.float32
    expected = trained.preprocessing.inputs.transform(FRAME)
    np.testing.assert_allclose(inputs, expected, rtol=1e-6)
    with pytest.raises(RequestError, match=r"input has no column petal width \(cm\)"):
        saved_model.prepare(folder, FRAME.drop(columns="petal width (cm)"))


def test_a_column_that_is_there_twice_is_refused(folder: Path) -> None:
    twice = pd.concat([FRAME, FRAME["petal width (cm)"]], axis=1)
    with pytest.raises(RequestError, match=r"^input has the column petal width \(cm\) twice. Give it once.$"):
        saved_model.load(folder).predict(twice)


def test_preprocessing_that_would_run_code_is_refused_and_runs_none(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    evil = FunctionTransformer(Path(str(canary)).touch)
    skops.io.dump({"inputs": evil, "target": None}, folder / "preprocessing.skops")
    change(folder, sha256=digests(folder))
    with pytest.raises(SavedModelError, match=r"preprocessing.skops holds .*, which is no known preprocessing"):
        saved_model.load(folder)
    assert not canary.exists()


@pytest.mark.parametrize("gone", ["model", "data", "spec", "compile", "provenance"])
def test_a_manifest_that_lacks_a_part_is_refused(folder: Path, gone: str) -> None:
    manifest = manifest_of(folder)
    del manifest[gone]
    saved_model.write_manifest(manifest, folder)
    with pytest.raises(SavedModelError, match=rf"is inconsistent \(KeyError: '{gone}'\). Take the model from"):
        saved_model.load(folder)


def test_a_manifest_without_digests_is_refused(folder: Path) -> None:
    manifest = manifest_of(folder)
    del manifest["sha256"]
    (folder / "lifecycle.json").write_text(json.dumps(manifest))
    with pytest.raises(SavedModelError, match=r"weights.safetensors is not the file that was saved"):
        saved_model.load(folder)


def test_an_altered_manifest_is_refused(folder: Path) -> None:
    file = folder / "lifecycle.json"
    file.write_text(file.read_text().replace('"versicolor"', '"virginica2"'))
    with pytest.raises(SavedModelError, match=r"lifecycle.json is not the file that was saved: its sha256 differs"):
        saved_model.load(folder)


def test_a_manifest_of_the_first_ones_which_had_no_digest_of_themselves_is_read(folder: Path) -> None:
    expected = saved_model.load(folder).predict(FRAME)
    manifest = manifest_of(folder)
    del manifest["sha256"]["lifecycle.json"]
    (folder / "lifecycle.json").write_text(json.dumps(manifest))
    pd.testing.assert_frame_equal(saved_model.load(folder).predict(FRAME), expected)


@pytest.mark.parametrize("text", ["[]", "null", '"format"', "1e999", "[" * 100_000, '{"sha256": 3}'])
def test_a_manifest_that_is_no_mapping_is_refused(folder: Path, text: str) -> None:
    (folder / "lifecycle.json").write_text(text)
    with pytest.raises(SavedModelError, match=r"lifecycle.json cannot be read: .* Take the model from its run again"):
        saved_model.load(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["model"]["fields"]["hidden"] = [5]
    saved_model.write_manifest(manifest, folder)
    with pytest.raises(
        SavedModelError, match=r"has 0\.weight of the shape \(64, 4\), and the network of lifecycle\.json \(5, 4\)"
    ):
        saved_model.load(folder)


def test_preprocessing_that_cannot_be_saved_is_refused_before_training() -> None:
    learnt = Preprocessing(FunctionTransformer(len), None)
    with pytest.raises(RequestError, match=r"data=mine learnt .*, which a saved model cannot hold"):
        saved_model.check_preprocessing(learnt, "data=mine")


def test_no_rows_are_refused(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"^input has no rows\. Give one or more to predict\.$"):
        saved_model.load(folder).predict(FRAME.iloc[:0])
