"""Several labels for a row: how tables have them, the task that they make, its scores and its parts."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from lifecycle.compile import losses
from lifecycle.compile.losses import Loss
from lifecycle.compile.measures import Compared
from lifecycle.compile.metrics import build, check
from lifecycle.config.tasks import TASKS, metrics_of
from lifecycle.contract import MULTILABEL, DataSpec, Fold
from lifecycle.data import dataset
from lifecycle.data import load as load_module
from lifecycle.data.columns import label_sets
from lifecycle.data.kinds.array import Array
from lifecycle.data.kinds.images import Images
from lifecycle.data.kinds.table import Table
from lifecycle.errors import RequestError
from lifecycle.plots import classes
from lifecycle.predict import saved_model
from tests.conftest import Command
from tests.data.test_image_folders import pixels, save

NAMES = ("bird", "cat", "dog")
HELD = np.random.default_rng(3).random((40, 3)) < [0.2, 0.5, 0.4]
SETS = [label_sets.joined(name for name, has in zip(NAMES, row, strict=True) if has) for row in HELD]


def load(plugin: Any, fold: Fold | None = None) -> dataset.Dataset:
    return load_module.load(plugin, "pets", "images", 0, fold=fold, audited=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make forty images, and every kind of table of their labels."""
    top = tmp_path_factory.mktemp("labels")
    for number in range(len(HELD)):
        save(top / "photos" / f"{number}.png", pixels(number))
    files = [f"photos/{number}.png" for number in range(len(HELD))]
    more = {"patient": [f"p{number // 4}" for number in range(40)], "part": ["train"] * 24 + ["val"] * 8 + ["test"] * 8}
    columns = pd.DataFrame({"image": files, **dict(zip(NAMES, HELD.T.astype(int), strict=True)), **more})
    columns.to_csv(top / "columns.csv", index=False)
    for word, sign in {"pipe": "|", "semicolon": ";", "comma": ",", "space": " "}.items():
        cells = [one.replace("|", sign) for one in SETS]
        pd.DataFrame({"image": files, "kinds": cells, **more}).to_csv(top / f"{word}.csv", index=False)
    pairs = [(file, label) for file, one in zip(files, SETS, strict=True) for label in label_sets.split(one) or [None]]
    pd.DataFrame(pairs, columns=["image", "kinds"]).to_csv(top / "rows.csv", index=False)
    with pd.ExcelWriter(top / "book.xlsx") as book:
        columns.to_excel(book, sheet_name="photos", index=False)
        columns.head(2).to_excel(book, sheet_name="notes", index=False)
    with sqlite3.connect(top / "labels.db") as database:
        columns.to_sql("photos", database, index=False)
    database.close()
    return top


LAYOUTS: dict[str, dict[str, Any]] = {
    "columns.csv": {"target": ["cat", "dog", "bird"]},
    "pipe.csv": {"target": "kinds"},
    "semicolon.csv": {"target": "kinds"},
    "comma.csv": {"target": "kinds"},
    "space.csv": {"target": "kinds", "label_separator": "space"},
    "rows.csv": {"target": "kinds"},
    "book.xlsx": {"target": ["cat", "dog", "bird"], "sheet": "photos"},
    "labels.db": {"target": ["cat", "dog", "bird"], "query": "SELECT * FROM photos"},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_has_the_same_labels(folder: Path, name: str) -> None:
    data = load(Images(path=str(folder / name), file="image", **LAYOUTS[name]))
    # Columns keep the order in which they are named; labels in cells are sorted.
    named = LAYOUTS[name]["target"]
    names = tuple(named) if isinstance(named, list) else NAMES
    assert (data.spec.task, data.spec.num_outputs, data.spec.class_names) == (MULTILABEL, 3, names)
    held = HELD[:, [NAMES.index(one) for one in names]]
    assert data.val is not None
    assert data.test is not None
    for part in (data.train, data.val, data.test):
        assert part.files is not None
        of_file = [int(Path(file).stem) for file in part.files]
        np.testing.assert_array_equal(part.targets.numpy(), held[of_file])
        assert part.targets.dtype == torch.float32
        assert part.labels.tolist() == [SETS[number] for number in of_file]
    assert len(data.train) + len(data.val) + len(data.test) == 40
    assert data.inferred is not None
    none = sum(not one for one in SETS)
    assert data.inferred[1].startswith("3 labels ")
    assert f"{HELD.sum() / 40:.2f} a row; {none} rows have none" in data.inferred[1]


def test_labels_are_in_proportion_in_each_part(folder: Path) -> None:
    data = load(Images(path=str(folder / "pipe.csv"), file="image", target="kinds"))
    assert data.test is not None
    assert data.val is not None
    for at in range(3):
        shares = [float(part.targets[:, at].mean()) for part in (data.train, data.val, data.test)]
        assert all(0 < share < 1 for share in shares)


@pytest.mark.parametrize("fold", [None, Fold(0, 3), Fold(1, 3), Fold(2, 3)])
@pytest.mark.parametrize("target", [{"target": "kinds"}, {"target": "kinds", "task": "classification", "drop": None}])
def test_no_group_of_images_is_divided(folder: Path, fold: Fold | None, target: dict[str, Any]) -> None:
    target = {name: value for name, value in target.items() if value is not None}
    frame = pd.read_csv(folder / "pipe.csv").fillna("none")
    frame.to_csv(folder / "groups.csv", index=False)
    data = load(Images(path=str(folder / "groups.csv"), file="image", group="patient", **target), fold)
    groups = [set(frame["patient"].iloc[part.rows]) for part in (data.train, data.val, data.test) if part is not None]
    assert len(groups) == 3
    assert sum(map(len, groups)) == len(set().union(*groups)) == 10
    assert data.column_kinds["patient"] == "group of the row"


def test_folds_of_groups_hold_each_group_once(folder: Path) -> None:
    plugin = Images(path=str(folder / "columns.csv"), file="image", target=[*NAMES], group="patient")
    tests = [load(plugin, Fold(number, 5)).test for number in range(5)]
    frame = pd.read_csv(folder / "columns.csv")
    groups = [set(frame["patient"].iloc[part.rows]) for part in tests if part is not None]
    assert sorted(name for one in groups for name in one) == sorted(set(frame["patient"]))


def test_a_column_may_say_the_part_of_an_image(folder: Path) -> None:
    data = load(Images(path=str(folder / "columns.csv"), file="image", target=[*NAMES], split_column="part"))
    assert data.val is not None
    assert data.test is not None
    assert [part.rows.tolist() for part in (data.train, data.val, data.test)] == [
        [*range(24)],
        [*range(24, 32)],
        [*range(32, 40)],
    ]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "columns.csv": ({"target": ["cat", "patient"]}, "data.target=patient must hold 0 or 1 for each row where several"),
    "rows.csv": ({"target": "kinds", "task": "classification"}, "data.target=kinds has no value in"),
    "pipe.csv": ({"target": "kinds", "label_separator": ";"}, "data.target=kinds has a label with the sign | in row"),
    "book.xlsx": ({"target": ["cat", "dog"]}, "data.path="),
    "labels.db": ({"target": ["cat", "cow"]}, "data.target=cow is no column of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_label_is_refused(folder: Path, name: str) -> None:
    fields, sentence = REFUSED[name]
    with pytest.raises(RequestError) as caught:
        load(Images(path=str(folder / name), file="image", **fields))
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"target": ["a", "a"]}, r"^target must name different columns, got a, a\. Name each label once\.$"),
        (
            {"target": ["a", "b"], "task": "regression"},
            r"^task must be multilabel for the target a, b, got regression\.",
        ),
        ({"target": ["a", "b"], "label_separator": ";"}, r"^label_separator must be left out, got ';': it separates"),
        ({"target": "a", "label_separator": "::"}, r"^label_separator must be one sign, got '::'\. Or write pipe,"),
        ({"target": ["a", "b"], "group": "b"}, r"^split must use columns of its own, and b is named twice\."),
    ],
)
def test_fields_that_contradict_are_refused(fields: dict[str, Any], sentence: str) -> None:
    for plugin in (Table, Images):
        with pytest.raises(ValueError, match=sentence):
            plugin(path="a.csv", **({"file": "image"} if plugin is Images else {}), **fields)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"target": ["a", "b"]}, r"^target must be one column, got \[a,b\]\. "),
        ({"target": "a", "task": MULTILABEL}, r"^task must be classification or regression, got multilabel\. "),
    ],
)
def test_samples_of_an_array_have_one_target(fields: dict[str, Any], sentence: str) -> None:
    cure = r"Rows of data=array have one target: name one, or use data=table or data=images for several labels\.$"
    with pytest.raises(ValueError, match=sentence + cure):
        Array(path="a.csv", shape=[2, 1], **fields)
    assert Array(path="a.csv", shape=[2, 1], target=["a"]).target == "a"


def test_a_label_without_rows_and_a_single_label_are_refused(folder: Path) -> None:
    frame = pd.read_csv(folder / "columns.csv").assign(bird=0)
    frame.to_csv(folder / "none.csv", index=False)
    with pytest.raises(RequestError, match=r"^data\.target=labels is 0 in all rows for bird, which cannot be learnt\."):
        load(Images(path=str(folder / "none.csv"), file="image", target=[*NAMES]))
    frame.assign(kinds="cat").to_csv(folder / "none.csv", index=False)
    with pytest.raises(RequestError, match=r"^data\.target=kinds has one label only, cat\. Give rows of two labels"):
        load(Images(path=str(folder / "none.csv"), file="image", target="kinds", task=MULTILABEL))


labels = st.lists(st.sampled_from([*NAMES]), unique=True)


@given(st.lists(labels, min_size=1, max_size=30), st.sampled_from(["|", ";", ","]))
def test_cells_and_columns_give_the_labels_that_were_written(rows: list[list[str]], sign: str) -> None:
    cells = [f" {sign} ".join(row) for row in rows]
    wanted = ["|".join(sorted(row)) for row in rows]
    assert label_sets.of_cells(cells, sign, "kinds").tolist() == wanted
    frame = pd.DataFrame({name: [int(name in row) for row in rows] for name in NAMES})
    assert label_sets.of_columns(frame, NAMES).tolist() == wanted
    assert [label_sets.split(one) for one in wanted] == [sorted(row) for row in rows]
    strata = label_sets.strata(np.array(wanted, dtype=object))
    assert all(one in row or (not row and one == "") for one, row in zip(strata, rows, strict=True))


PREDICTED = np.round(np.random.default_rng(5).random((40, 3)), 2)
SCORES = {
    "accuracy": lambda truth, found, _: reference.accuracy_score(truth, found),
    "hamming_distance": lambda truth, found, _: reference.hamming_loss(truth, found),
    "f1": lambda truth, found, _: reference.f1_score(truth, found, average="macro"),
    "f1_micro": lambda truth, found, _: reference.f1_score(truth, found, average="micro"),
    "precision": lambda truth, found, _: reference.precision_score(truth, found, average="macro"),
    "precision_micro": lambda truth, found, _: reference.precision_score(truth, found, average="micro"),
    "recall": lambda truth, found, _: reference.recall_score(truth, found, average="macro"),
    "recall_micro": lambda truth, found, _: reference.recall_score(truth, found, average="micro"),
    "auroc": lambda truth, _, values: reference.roc_auc_score(truth, values),
    "average_precision": lambda truth, _, values: reference.average_precision_score(truth, values),
}
SPEC = DataSpec(MULTILABEL, (4,), 3, "kinds", NAMES)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_of_scikit_learn(name: str, weighted: bool) -> None:
    weights = np.random.default_rng(6).integers(0, 4, 40).astype(float) if weighted else None
    repeats = np.arange(40) if weights is None else np.repeat(np.arange(40), weights.astype(int))
    truth, values = HELD.astype(np.int64)[repeats], PREDICTED[repeats]
    wanted = SCORES[name](truth, (values > 0.5).astype(int), values)
    metric = build(SPEC, name)
    for rows in np.array_split(np.arange(40), 3):
        metric.update(Compared(PREDICTED, HELD.astype(np.int64), weights).take(rows))
    assert metric.compute() == pytest.approx(wanted, abs=1e-12)
    assert set(SCORES) == set(TASKS[MULTILABEL].metrics)


def test_names_of_metrics() -> None:
    assert metrics_of(MULTILABEL, ["exact_match", "ExactMatch", "F1Score"]) == ("accuracy", "f1")
    check(SPEC, metrics_of(MULTILABEL, [*SCORES, "jaccard_index", "specificity"]))
    with pytest.raises(RequestError, match=r"^metrics=cohen_kappa cannot be used by its name alone"):
        check(SPEC, ["cohen_kappa"])


def test_the_loss_and_its_weights_are_those_of_torch() -> None:
    logits, targets = torch.randn(40, 3, generator=torch.manual_seed(0)), torch.from_numpy(HELD).float()
    weights = losses.class_weights("balanced", SPEC, targets)
    assert weights is not None
    torch.testing.assert_close(weights, ((1 - targets).sum(0) / targets.sum(0)))
    loss = Loss("binary_crossentropy", class_weights=weights)
    torch.testing.assert_close(loss(logits, targets), torch.nn.BCEWithLogitsLoss()(logits, targets))
    wanted = torch.nn.BCEWithLogitsLoss(pos_weight=weights, reduction="none")(logits, targets)
    torch.testing.assert_close(loss(logits, targets, weighted=True), wanted.mean())
    torch.testing.assert_close(loss.of_rows(logits, targets, weighted=True), wanted.mean(1))
    with pytest.raises(RequestError, match=r"needs rows of each label to train on, got none of bird\."):
        losses.class_weights("balanced", SPEC, targets * torch.tensor([0.0, 1.0, 1.0]))


def test_the_audit_names_rare_labels(folder: Path) -> None:
    plugin = Images(path=str(folder / "columns.csv"), file="image", target=[*NAMES])
    audit = load(plugin).audit
    assert audit is not None
    assert [str(one.text) for one in audit.findings if "fewer than 10 rows of the label bird" in str(one.text)]


def test_counts_and_report_of_labels() -> None:
    found = [label_sets.joined(np.array(NAMES)[row]) for row in PREDICTED > 0.5]
    predictions = pd.DataFrame({"actual": [one or None for one in SETS], "predicted": found})
    counts = classes.counts_of_labels(predictions, NAMES).set_index("label")
    matrices = reference.multilabel_confusion_matrix(HELD, PREDICTED > 0.5)
    for name, matrix in zip(NAMES, matrices, strict=True):
        order = ["true_negative", "false_positive", "false_negative", "true_positive"]
        assert counts.loc[name, order].tolist() == matrix.ravel().tolist()
    assert "samples avg" in classes.report(predictions, NAMES, of_labels=True)


def test_a_run_on_several_labels_from_training_to_prediction(
    folder: Path, job: Command, lifecycle: Command, tmp_path: Path
) -> None:
    for name in ("photos", "pipe.csv", "columns.csv"):
        (tmp_path / name).symlink_to(folder / name)
    words = ("model=mlp", "data=images", "data.path=pipe.csv", "data.file=image", "data.target=kinds")
    first = job(*words, "trainer.max_epochs=2", "trainer.early_stopping=false", "verbose=1")
    assert first.code == 0
    assert "3 labels of kinds, separated by pipe" in first.out
    assert lifecycle("predict", "run=latest", "input=pipe.csv", "output=out.csv").code == 0
    found = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    probabilities = found[[f"probability_{name}" for name in NAMES]].to_numpy()
    assert found["predicted"].tolist() == [label_sets.joined(np.array(NAMES)[row]) for row in probabilities > 0.5]
    assert lifecycle("evaluate", "run=latest", "data.path=pipe.csv").code == 0
    assert job("resume", "run=latest", "trainer.max_epochs=3").code == 0
    assert "reproduced: all scores equal" in job("rerun", "run=latest").out
    exported = lifecycle("export", "run=latest", "format=torch_export", "output=program")
    assert exported.code == 0
    signature = json.loads((tmp_path / "program" / "signature.json").read_text())
    assert signature["outputs"]["columns"] == [f"probability_{name}" for name in NAMES]
    model = next((tmp_path / "mlruns").rglob("lifecycle.json")).parent
    trained = saved_model.load(model)
    assert trained.spec.task == MULTILABEL
    assert trained.spec.class_names == NAMES
    pictures = {file.name for file in (tmp_path / "mlruns").rglob("*.png")}
    assert {"labels.png", "roc.png", "precision_recall.png"} <= pictures
    assert "confusion_matrix.png" not in pictures


def test_rows_of_a_table_may_have_several_labels(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).normal(size=(40, 2))
    frame = pd.DataFrame(inputs, columns=["a", "b"])
    frame.assign(**dict(zip(NAMES, HELD.T, strict=True))).to_csv(tmp_path / "columns.csv", index=False)
    frame.assign(kinds=[one.replace("|", ";") for one in SETS]).to_csv(tmp_path / "cells.csv", index=False)
    columns = load(Table(path=str(tmp_path / "columns.csv"), target=[*NAMES]))
    cells = load(Table(path=str(tmp_path / "cells.csv"), target="kinds", task=MULTILABEL))
    for data in (columns, cells):
        assert data.columns == ("a", "b")
        np.testing.assert_array_equal(data.train.targets.numpy(), HELD[data.train.rows])
    assert cells.plugin.label_separator == "semicolon"
    assert columns.column_kinds["cat"] == cells.column_kinds["kinds"] == "target"
    with pytest.raises(
        RequestError, match=r"or add data\.task=multilabel to read several labels in a cell, or none\.$"
    ):
        load(Table(path=str(tmp_path / "cells.csv"), target="kinds"))
