"""Scores rank only runs with the same rows: by the digests of their splits, or by what older runs recorded."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from lifecycle.api.model import Model
from lifecycle.comparison.compare import compare
from lifecycle.config import schema
from lifecycle.data.digests import rows_digest
from lifecycle.data.kinds.array import Array
from lifecycle.data.kinds.images import Images
from lifecycle.data.kinds.series import Series
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.errors import RequestError
from lifecycle.tracking import found_run, ranking
from lifecycle.tracking.found_run import FoundRun
from tests.conftest import Command
from tests.forked import Forks
from tests.made import make, runs_in

VALIDATION, TEST = "split.validation.sha256", "split.test.sha256"
SEEDS = (1, 3, 4, 5, 6, 7, 8, 10)


def sha(rows: Any) -> str:
    """Return the digest of row numbers by hand."""
    return hashlib.sha256(b"".join(int(row).to_bytes(8, "little") for row in sorted(rows))).hexdigest()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory, empty_database: Path, forks: Forks) -> Path:
    """Make eight runs that differ in seed alone, and three with one split; return the working folder."""
    folder = tmp_path_factory.mktemp("seeds")
    make(folder, empty_database, *(("data=iris", f"seed={seed}", "trainer.max_epochs=40") for seed in SEEDS))
    sweep = ("-m", "data.split_seed=0", "seed=1,2,3", "trainer.max_epochs=5", "tracking.experiment=one")
    make(folder, empty_database, sweep, forks=forks)
    return folder


@pytest.fixture
def found(seeds: Path, monkeypatch: pytest.MonkeyPatch) -> list[FoundRun]:
    """Return these runs, in the order they were made in, within their working folder."""
    monkeypatch.chdir(seeds)
    return found_run.find_many(found_run.Which(",".join(run.info.run_id for run in runs_in(seeds))))


def test_the_least_validation_loss_of_eight_splits_is_no_best(found: list[FoundRun], lifecycle: Command) -> None:
    of_splits = found[: len(SEEDS)]
    least = min(of_splits, key=lambda run: run.metrics["kept_val_loss"])
    accuracies = [run.metrics["test_accuracy"] for run in of_splits]
    assert least.metrics["test_accuracy"] == min(accuracies) < max(accuracies)  # the luckiest split
    assert len({run.tags[VALIDATION] for run in of_splits}) == len(SEEDS)
    os.chdir(str(found[0].folder) + "/..")  # `lifecycle` works in a folder of its own
    sentence = (
        "run=best cannot rank 8 runs by kept_val_loss: they have 8 different sets of validation rows, as seed draws "
        "the split too. Train them with one data.split_seed, such as data.split_seed=0, or name the run (`lifecycle "
        "compare` groups them)."
    )
    for words in (
        ("evaluate",),
        ("export", "format=onnx"),
        ("register", "name=iris"),
        ("resume", "trainer.max_epochs=50"),
        ("compare", "output=null"),
    ):
        ended = lifecycle(*words, "run=best")
        assert (ended.code, ended.out, ended.err) == (2, "", f"lifecycle: {sentence}\n"), words
    with pytest.raises(RequestError, match=r'^run="best" cannot rank 8 runs by kept_val_loss: .*such as split_seed=0,'):
        Model.from_run("best")
    with pytest.raises(RequestError, match=r"8 runs by test_accuracy: they have 8 different sets of test rows"):
        Model.from_run("best", metric="test_accuracy")


def test_the_remedy_works_seeds_on_one_split_are_ranked(found: list[FoundRun]) -> None:
    of_one = found[len(SEEDS) :]
    assert len({run.metrics["kept_val_loss"] for run in of_one}) == 3  # the weights differ
    rows = Table(path="sklearn:iris", target="species", split_seed=0, keep_duplicates_together=False)
    iris = load(rows, "iris", "table", seed=77)
    least = min(of_one, key=lambda run: run.metrics["kept_val_loss"])
    best = Model.from_run("best", tracking=schema.TrackingConfig(experiment="one"))
    assert best.run_id == least.id
    assert best._trained is not None
    for kept in (best._trained.provenance, *(run.tags for run in of_one)):
        assert {name: kept[name] for name in (VALIDATION, TEST)} == iris.split_digests
    compared = compare(of_one)
    assert (compared.runs[0], compared.groups, compared.best["kept_val_loss"]) == (least, [0, 0, 0], {0})
    said = str(ranking.refusal(found, ranking.row_sets(found, "kept_val_loss"), "kept_val_loss"))
    assert said.endswith(f", or name a sweep of one split, sweep={least.tags['lifecycle.sweep']}.")


def test_compare_ranks_within_a_group_of_the_same_rows_and_says_why(
    found: list[FoundRun], lifecycle: Command, seeds: Path, tmp_path: Path
) -> None:
    ids = ",".join(str(run.id) for run in found)
    ended = lifecycle("compare", f"run={ids}", "output=groups.html", f"tracking.dir={seeds / 'mlruns'}")
    assert ended.code == 0
    why = "The runs have 9 different splits of the same data, as seed draws the split too: only runs with the same rows"
    assert why in ended.out
    rows = [line.split() for line in ended.out.splitlines() if line.startswith("mlp-iris-")]
    assert [row[2] for row in rows] == [*"12345678", "9", "9", "9"]
    best = min(found[len(SEEDS) :], key=lambda run: run.metrics["kept_val_loss"])
    marked = [row[1] for row in rows if f"{best.metrics['kept_val_loss']:.4f}*" in row]
    assert marked == [str(best.id)[:8]]
    assert not any("*" in line for line in ended.out.splitlines() if re.match(r"mlp-iris-\d +\w+ +[1-8] ", line))
    page = (tmp_path / "groups.html").read_text()
    headings = re.findall(r'<tr class="group"><th[^>]*>(.*?)</th>', page)
    assert headings == [f"Group {at + 1} of 9: iris, 30 validation rows" for at in range(9)]
    # Their digests can be shown.
    assert all(run.tags[VALIDATION][:12] in page for run in found)
    board = page.partition("<tbody>")[2].partition("</table>")[0]
    assert re.findall(r'<tr><td class="number" data-v="(\d+)"', board) == ["1", "2", "3"]  # the last group's alone
    assert page.count("<tbody>") == page.count("</tbody>")
    assert why in page


def test_runs_without_digests_have_the_split_that_their_request_draws(found: list[FoundRun]) -> None:
    """Of runs made before digests were recorded equal requests are ranked, and a run with digests joins them."""
    before = ranking.row_sets(found, "kept_val_loss")

    def without(run: FoundRun, *names: str) -> FoundRun:
        return replace(run, tags={name: value for name, value in run.tags.items() if name not in names})

    for kept in ([], [0, len(SEEDS) + 1]):
        old = [run if at in kept else without(run, VALIDATION, TEST) for at, run in enumerate(found)]
        sets = ranking.row_sets(old, "kept_val_loss")
        assert not any(key.startswith(ranking.UNKNOWN) for key in sets)
        assert [sets.index(key) for key in sets] == [before.index(key) for key in before]  # the same groups
    of_one = [*found[-3:-1], without(found[-1], VALIDATION, TEST, "data.sha256")]
    sets = ranking.row_sets(of_one, "kept_val_loss")
    assert len(set(sets)) == 2
    assert "3 runs by kept_val_loss: 1 of them did not record which validation rows they have. Train again" in (
        str(ranking.refusal(of_one, sets, "kept_val_loss"))
    )


@pytest.mark.parametrize("size", ["0", "0.25"])
def test_old_fits_from_python_say_which_rows_only_where_a_share_was_drawn(size: str) -> None:
    params = {
        "seed": "0",
        "data.path": "X",
        "data.val_size": "0.0",
        "data.validation_split": size,
        "data.test_rows": "a",
    }
    old = [
        FoundRun(str(at), "", params=params, metrics={"kept_val_loss": 1.0}, tags={"data.sha256": "d"}) for at in "ab"
    ]
    assert len(set(ranking.row_sets(old, "kept_val_loss"))) == (2 if size == "0" else 1)


def scored(name: str, val: str, test: str, data: str = "d", **scores: float) -> FoundRun:
    tags = {"lifecycle.higher_is_better": '{"accuracy": true}', "data.sha256": data, VALIDATION: val, TEST: test}
    return FoundRun(name, name, "FINISHED", "lifecycle", params={"data": "iris"}, metrics=scores, tags=tags)


def test_a_score_ranks_by_the_rows_that_it_is_of() -> None:
    some = [scored("a", "1", "t"), scored("b", "2", "t"), scored("c", "1", "u"), scored("d", "1", "t", data="e")]
    some = [FoundRun(run.id, run.name, tags={**run.tags, "evaluate.x.sha256": "x"}) for run in some]

    def same(metric: str) -> list[list[int]]:
        sets = ranking.row_sets(some, metric)
        return [[at for at, key in enumerate(sets) if key == one] for one in dict.fromkeys(sets)]

    assert same("kept_val_loss") == same("val_accuracy") == [[0, 2], [1], [3]]
    assert same("test_accuracy") == same("evaluate_test_loss") == [[0, 1], [2], [3]]
    assert same("training_set_loss") == same("train_loss") == [[0], [1], [2], [3]]
    assert same("evaluate_x_loss") == [[0, 1, 2, 3]]


def test_the_best_of_a_column_is_of_a_group_and_of_the_same_rows() -> None:
    some = [
        scored("a", "1", "t", kept_val_loss=3.0, test_accuracy=0.5),
        scored("b", "1", "t", kept_val_loss=2.0, test_accuracy=0.9),
        scored("c", "2", "t", kept_val_loss=1.0, test_accuracy=1.0),
        scored("d", "2", "u", kept_val_loss=0.5, test_accuracy=0.1),
    ]
    compared = compare(some)
    assert [(run.id, group) for run, group in zip(compared.runs, compared.groups, strict=True)] == [
        ("b", 0),
        ("a", 0),
        ("d", 1),
        ("c", 1),
    ]
    assert compared.best == {"kept_val_loss": {0, 2}, "test_accuracy": {0}}
    by_test = compare(some, "test_accuracy")
    assert [run.id for run in by_test.runs] == ["c", "b", "a", "d"]
    assert by_test.groups == [0, 0, 0, 1]
    assert by_test.best == {"kept_val_loss": {1}, "test_accuracy": {0}}


def test_the_remedy_of_a_series_is_a_number_of_rows() -> None:
    """Shares of the windows are other rows for each window; numbers of rows are the same ones."""
    path = "lifecycle:airline_passengers.csv"
    sizes: list[dict[str, Any]] = [{}, {"val_size": 20, "test_size": 20}]
    for fields in sizes:
        loaded = [
            load(Series(path=path, target="passengers", window=window, **fields), "air", "series", 0)
            for window in (5, 12)
        ]
        assert (loaded[0].split_digests == loaded[1].split_digests) == bool(fields)
    params = [
        {"seed": str(at), "data.window": str(window), "data.val_size": "0.2"} for at, window in enumerate((5, 12))
    ]
    some = [FoundRun(str(at), "", params=one, tags={"data.sha256": "d"}) for at, one in enumerate(params)]
    said = str(ranking.refusal(some, ranking.row_sets(some, "kept_val_loss"), "kept_val_loss"))
    assert "as data.window differs. Train them with data.val_size and data.test_size as numbers of rows, such" in said


def test_digests_are_of_the_rows_that_scikit_learn_draws(tmp_path: Path) -> None:
    labels = np.repeat(["a", "b"], 30)
    frame = pd.DataFrame({"x": np.arange(60.0), "y": labels})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.astype({"x": "float32", "y": "category"}).to_parquet(tmp_path / "rows.parquet")
    rest, test = train_test_split(np.arange(60), test_size=12, random_state=4, stratify=labels)
    _, val = train_test_split(rest, test_size=12, random_state=4, stratify=labels[rest])
    right = {VALIDATION: sha(val), TEST: sha(test)}
    for name in ("rows.csv", "rows.parquet"):
        for fields in ({}, {"memory_gb": 1e-6}, {"split_seed": 4, "seed": 9}):
            seed = int(fields.pop("seed", 4))
            table = Table(path=str(tmp_path / name), target="y", **fields)  # type: ignore[arg-type]
            assert load(table, "rows", "table", seed).split_digests == right, (name, fields)
    arrays = Array(path=str(tmp_path / "rows.csv"), target="y", shape=[1], split_seed=4)
    images = Images(path=str(tmp_path / "rows.csv"), target="y", shape=[1, 1, 1], split_seed=4)
    for plugin, kind in ((arrays, "array"), (images, "images")):
        assert load(plugin, "rows", kind, 0).split_digests == right
    nothing = load(Table(path=str(tmp_path / "rows.csv"), target="y", test_size=0, val_size=0), "rows", "table", 0)
    assert nothing.split_digests == {VALIDATION: "none", TEST: "none"}


def test_fits_from_python_on_one_split_are_ranked(job: Command) -> None:
    X = np.random.default_rng(0).normal(size=(40, 2))  # noqa: N806
    y = np.where(X[:, 0] > 0, "a", "b")
    model, own = Model("mlp", hidden=[2]), {"epochs": 2, "validation_split": 0.25, "track": True, "verbose": 0}
    fitted = {}
    for seed in (1, 2):
        for held in (X, X.astype("float32")):
            model.fit(held, y, seed=seed, split_seed=5, **own)  # type: ignore[arg-type]
            fitted[model.run_id] = found_run.find(found_run.Which(str(model.run_id)))
    assert len({run.tags[VALIDATION] for run in fitted.values()}) == 1
    of_one_type = list(fitted.values())[::2]
    assert len(set(ranking.row_sets(of_one_type, "kept_val_loss"))) == 1
    model.fit(X, y, seed=2, **own)  # type: ignore[arg-type]
    others = found_run.find_many(found_run.Which(f"{model.run_id},{next(iter(fitted))}"))
    assert len({run.tags[VALIDATION] for run in others}) == 2
    said = str(ranking.refusal(others, ranking.row_sets(others, "kept_val_loss"), "kept_val_loss"))
    assert "Fit them with one split_seed, such as split_seed=0" in said


@pytest.mark.parametrize("value", ["-1", "4294967296", "1.5"])
def test_a_seed_of_the_split_out_of_range_is_refused(lifecycle: Command, value: str) -> None:
    ended = lifecycle("data=iris", f"data.split_seed={value}")
    assert ended.code == 2
    assert "data.split_seed" in ended.err
    assert value in ended.err


@given(st.sets(st.integers(0, 2**40), min_size=1, max_size=30), st.sampled_from(["int64", "uint64", ">i8", "float64"]))
def test_the_digest_of_rows_is_of_which_they_are(rows: set[int], dtype: str) -> None:
    held = np.array(list(rows), dtype=dtype)
    assert rows_digest(held) == rows_digest(held[::-1]) == sha(rows)
    assert rows_digest(held[1:]) != sha(rows)
