"""The audit before training: what it finds, what it does not take for a finding, and how a run shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency, ks_2samp
from sklearn import datasets

import lifecycle
from lifecycle.api.messages import PYTHON
from lifecycle.contract import Split, Target
from lifecycle.data.audit import table_checks
from lifecycle.data.audit.audit import MOST_ROWS, look_at
from lifecycle.data.audit.findings import Audit, AuditError, Finding, check_strict
from lifecycle.data.dataset import Dataset
from lifecycle.data.kinds.table import Table
from lifecycle.data.large.blocks import Blocks
from lifecycle.data.load import load
from lifecycle.errors import COMMAND_LINE
from tests.conftest import artifacts
from tests.made import runs_in
from tests.rows import ImageRows, SeriesRows, TableRows

CASES = Path(__file__).parent / "cases"


def audited(plugin: Any, seed: int = 0) -> Audit:
    found = load(plugin, "mine", "table", seed, audited=True).audit
    assert found is not None
    return found


def lines(plugin: Any, seed: int = 0) -> list[str]:
    return [COMMAND_LINE.text(one.text) for one in audited(plugin, seed).findings]


def clean(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.normal(size=rows), "town": rng.choice(["x", "y"], rows)})
    return frame.assign(y=np.where(frame["a"] + rng.normal(size=rows) > 0, "yes", "no"))


def test_the_case_with_an_identifier_constants_a_copy_and_a_leak() -> None:
    assert lines(Table(path=str(CASES / "idconst.csv"), target="price")) == [
        "const, const2: the same value in all rows, from which nothing is learnt. Add data.drop=[const,const2].",
        "size_copy: the same values as size. Add data.drop=[size_copy].",
        "id: another value in each row, as of an identifier. Add data.drop=[id].",
        "leak: alone predicts the target of held-out rows (R2 0.998 of a tree), as a copy or a consequence of it. Add "
        "data.drop=[leak] unless it is known when predicting.",
    ]
    dropped = ["const", "const2", "size_copy", "id", "leak"]
    assert lines(Table(path=str(CASES / "idconst.csv"), target="price", drop=dropped)) == []


@pytest.mark.parametrize("seed", range(3))
def test_clean_data_have_no_findings(seed: int) -> None:
    assert lines(TableRows(frame=clean(seed=seed)), seed) == []
    for of_scikit_learn in (
        datasets.load_iris,
        datasets.load_wine,
        datasets.load_breast_cancer,
        datasets.load_diabetes,
    ):
        frame = of_scikit_learn(as_frame=True).frame
        assert lines(TableRows(frame=frame, target="target"), seed) == []


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_near_copy_of_the_target_is_a_leak_and_a_good_feature_is_not(task: str) -> None:
    rng = np.random.default_rng(1)
    frame = clean(400).drop(columns="y")
    frame["y"] = (
        rng.choice(["p", "q", "r"], 400) if task == "classification" else frame["a"] * 3 + rng.normal(size=400) * 0.7
    )
    code = frame["y"].map({"p": 5.0, "q": 1.0, "r": 3.0}) if task == "classification" else frame["y"] ** 3
    frame["copy"] = code + rng.normal(size=400) * 0.01
    found = audited(TableRows(frame=frame)).findings
    assert [one.columns for one in found if one.check == "leak"] == [("copy",)]
    # A feature that explains 90% of the target is no copy of it.
    assert [one.check for one in audited(TableRows(frame=frame.drop(columns="copy"))).findings] == []


def test_a_category_that_names_the_class_is_a_leak_and_the_share_of_a_frequent_class_is_not() -> None:
    frame = clean(400)
    frame["y"] = np.where(np.arange(400) % 40 == 0, "rare", "common")
    assert [one.check for one in audited(TableRows(frame=frame)).findings] == []
    frame["mark"] = frame["y"].map({"rare": "r", "common": "c"})
    assert [one.columns for one in audited(TableRows(frame=frame)).findings] == [("mark",)]


def test_a_leak_in_few_held_out_rows_is_not_told_from_luck() -> None:
    frame = clean(30).assign(copy=lambda rows: rows["y"])
    assert [one.check for one in audited(TableRows(frame=frame, test_size=4, val_size=4)).findings] == []
    assert [one.check for one in audited(TableRows(frame=frame, test_size=8, val_size=4)).findings] == ["leak"]


@pytest.mark.parametrize(
    ("name", "values", "is_identifier"),
    [
        ("number", np.arange(200), True),
        ("counter", np.arange(200) * 7 + 3, True),  # rising in the order of the file
        ("anything", np.random.default_rng(0).permutation(200) + 1000, True),  # each number of a range once
        ("customer_id", np.random.default_rng(0).choice(10**6, 200, replace=False), True),
        ("population", np.random.default_rng(0).choice(10**6, 200, replace=False), False),
        ("x", np.random.default_rng(9).normal(size=200), False),
        ("id", np.arange(200) // 2, False),
        ("humidity", np.random.default_rng(0).choice(10**6, 200, replace=False), False),
    ],
)
def test_an_identifier_is_told_from_a_measurement(name: str, values: Any, is_identifier: bool) -> None:
    found = audited(TableRows(frame=clean().assign(**{name: values}))).findings
    assert [one.columns for one in found] == ([(name,)] if is_identifier else [])


def test_the_only_feature_is_neither_an_identifier_nor_a_constant() -> None:
    frame = pd.DataFrame({"x": np.arange(100), "y": np.random.default_rng(0).normal(size=100)})
    assert lines(TableRows(frame=frame)) == []


def test_missing_values_are_listed_and_mentioned_where_they_are_many() -> None:
    frame = clean()
    frame.loc[:9, "a"] = np.nan
    frame.loc[40:99, "b"] = np.nan
    found = audited(TableRows(frame=frame))
    assert found.missing == {"a": 0.05, "b": 0.3}
    assert [COMMAND_LINE.text(one.text) for one in found.findings] == [
        "b (30%): missing values, which are filled. Add data.drop=[b] to do without.",
    ]


def test_drift_is_found_in_numbers_categories_and_missing_values() -> None:
    frame = clean(300)
    late = np.arange(300) >= 240
    frame["shifted"] = np.random.default_rng(2).normal(size=300) + 3 * late
    frame["place"] = np.where(
        late,
        np.random.default_rng(3).choice(["p", "q"], 300, p=[0.9, 0.1]),
        np.random.default_rng(4).choice(["p", "q"], 300),
    )
    frame["gaps"] = np.where(late & (np.arange(300) % 2 > 0), np.nan, np.random.default_rng(5).normal(size=300))
    found = audited(TableRows(frame=frame, test_rows="last")).findings
    assert [COMMAND_LINE.text(one.text) for one in found] == [
        "shifted, place, gaps: other values in test rows than in training rows. Add data.split=random if the rows are "
        "independent.",
    ]
    assert PYTHON.text(found[0].text).endswith("Shuffle the rows first.")
    assert lines(TableRows(frame=frame)) == []


def test_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=80).round(1), rng.normal(0.4, 1, size=50).round(1)
    assert table_checks._distance(one, other) == pytest.approx(ks_2samp(one, other).statistic, abs=1e-12)
    for shift in (0.0, 0.3, 0.6):
        first, second = (
            rng.choice(3, 200, p=[0.5, 0.3, 0.2]) * 1.0,
            rng.choice(3, 90, p=[0.5 - shift / 2, 0.3, 0.2 + shift / 2]) * 1.0,
        )
        counts = np.array([np.bincount(part.astype(int), minlength=3) for part in (first, second)])
        far = np.abs(counts[0] / 200 - counts[1] / 90).sum() / 2 > table_checks.DRIFT
        expected = far and chi2_contingency(counts, correction=False).pvalue < table_checks.SURE
        assert table_checks._categories_drift(first, second, 1) == expected


def test_drift_of_few_rows_by_chance_is_no_finding() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(rng.normal(size=(40, 6)), columns=list("abcdef")).assign(y=rng.normal(size=40))
        assert lines(TableRows(frame=frame), seed) == []


def test_equal_rows_in_test_and_training_are_counted_where_a_rule_divides_them() -> None:
    frame = clean(100)
    both = pd.concat([frame, frame[:15]], ignore_index=True)
    with_last = lines(TableRows(frame=both, test_rows="last", test_size=15))
    assert with_last[0].endswith(
        " of 15 test rows have the features of a training row, so their scores are too good. Add data.split=random, "
        "which keeps equal rows in one part, or remove the copies."
    )
    both["patient"] = np.arange(115)
    found = lines(TableRows(frame=both, group="patient"))
    assert len(found) == 1
    assert " test rows have the features of a training row" in found[0]
    assert lines(TableRows(frame=both.drop(columns="patient"))) == []


def test_rare_and_absent_classes_are_named() -> None:
    frame = clean(100)
    frame.loc[:3, "y"] = "rare"
    assert lines(TableRows(frame=frame)) == [
        "y: fewer than 10 rows of the class rare (4), of which scores say little. Add cv=5 to test on every row, or "
        "class_weights=balanced, or add rows.",
    ]
    frame = clean(100).assign(part=["train"] * 80 + ["test"] * 20)
    frame.loc[80:, "y"] = frame.loc[80:, "y"] + "."
    assert lines(TableRows(frame=frame, split_column="part"))[0] == (
        "y: no training row has the class no., yes., which cannot be learnt. Add data.split=stratified, or correct the "
        "names of the classes."
    )


def test_values_far_from_all_others_are_outliers_of_a_target() -> None:
    rng = np.random.default_rng(9)
    frame = clean(200).assign(y=rng.normal(50, 5, 200))
    assert lines(TableRows(frame=frame)) == []
    frame.loc[[3, 7], "y"] = [9999.0, -800.0]
    low, high = np.quantile(frame["y"], [0.25, 0.75])
    assert lines(TableRows(frame=frame)) == [
        f"y: 2 values far from all others, such as 9999 where half are between {low:.6g} and {high:.6g}. Add "
        "loss=huber, on which they weigh less, or correct them.",
    ]


def test_images_and_series_are_audited_without_their_columns() -> None:
    pixels = pd.DataFrame(np.random.default_rng(0).random((60, 4))).set_axis(list("abcd"), axis=1)
    assert lines(ImageRows(frame=pixels.assign(y=["p", "q", "q"] * 20), shape=[1, 2, 2])) == []
    series = SeriesRows(frame=pd.DataFrame({"y": np.append(np.sin(np.arange(99.0)), 1e5)}))
    assert [one.check for one in audited(series).findings] == ["outliers"]


def test_of_many_rows_a_sample_is_looked_at() -> None:
    rows = 3 * MOST_ROWS
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "code": np.arange(rows), "y": rng.normal(size=rows)})
    found = audited(TableRows(frame=frame, keep_duplicates_together=False))
    assert found.total == rows
    assert MOST_ROWS < found.rows < rows
    assert [one.columns for one in found.findings] == [("code",)]


def test_an_audit_is_a_file_a_tag_and_with_strict_an_error() -> None:
    found = Audit((Finding("constant", "c: the same value", "Add data.drop=[c]", ("c",)),), 5, 10, {"a": 0.5})
    content = json.loads(found.json(["a: rounded"]))
    assert content["findings"] == [
        {"check": "constant", "columns": ["c"], "message": "c: the same value", "option": "Add data.drop=[c]"},
        {"check": "values", "columns": [], "message": "a: rounded", "option": ""},
    ]
    assert (content["rows"], content["rows_checked"], content["missing"]) == (10, 5, {"a": 0.5})
    assert found.tag(["a: rounded"]) == "2 findings: c: the same value; a: rounded"
    assert Audit().tag() == "no findings"
    assert len(Audit((Finding("x", "long " * 500),)).tag()) == 400
    check_strict(Audit())
    with pytest.raises(AuditError) as error:
        check_strict(found, ["a: rounded"])
    assert str(error.value) == (
        "audit=strict found 2 things in the data:\n  c: the same value. Add data.drop=[c].\n  a: rounded\nChange "
        "the data or add the options, or leave audit=strict out."
    )


def test_a_run_records_its_audit(trained: Path) -> None:
    (run,) = runs_in(trained)
    assert run.data.tags["lifecycle.audit"] == "no findings"
    content = json.loads((artifacts(run) / "audit.json").read_text())
    assert content["findings"] == []
    assert content["rows"] == content["rows_checked"] > 0


def test_strict_refuses_before_a_run_is_created(tmp_path: Path) -> None:
    place = f"tracking.dir={tmp_path / 'mlruns'}"
    with pytest.raises(AuditError, match=r"^audit=strict found 4 things in the data:\n  const, const2: the same value"):
        lifecycle.run(["data=table", f"data.path={CASES / 'idconst.csv'}", "data.target=price", place, "audit=strict"])
    assert not (tmp_path / "mlruns").exists()


def test_an_audit_takes_no_part_in_the_data() -> None:
    plugin = Table(path=str(CASES / "idconst.csv"), target="price")
    without: Dataset = load(plugin, "mine", "table", 0)
    with_audit = load(plugin, "mine", "table", 0, audited=True)
    assert without.audit is None
    assert without.digest == with_audit.digest
    assert np.array_equal(without.train.inputs[:], with_audit.train.inputs[:])


def test_of_rows_on_disk_a_few_blocks_are_read() -> None:
    table = Blocks(1, most=4 * 8 * 10)
    assert table.of_some_blocks(3) is None
    for start in range(0, 100, 5):
        table.append([np.arange(start, start + 5, dtype=float)])
    assert table.on_disk
    found = table.of_some_blocks(3)
    assert found is not None
    assert found[[0, -1]].all()
    assert 0 < found.sum() < 100
    labels, every = np.tile(["a", "b"], 50), np.arange(100)
    read: list[int] = []

    def features(rows: Any) -> pd.DataFrame:
        read.extend(rows.tolist())
        return pd.DataFrame({"x": rows * 1.5})

    target = Target("y", "classification")
    result = look_at(features, labels, Split(every[:60], every[60:80], every[80:]), target, among=found)
    assert set(read) == set(np.flatnonzero(found).tolist())
    assert (result.rows, result.total) == (found.sum(), 100)


def test_jobs_with_one_split_share_an_audit() -> None:
    plugin = TableRows(frame=clean(), split_seed=1)
    first = audited(plugin, seed=1)
    assert audited(plugin, seed=2) is first
    assert audited(TableRows(frame=clean(), split_seed=2), seed=1) is not first


def test_another_value_of_audit_is_refused() -> None:
    with pytest.raises(lifecycle.errors.RequestError, match=r"^audit must be one of on, strict, off, got loud\."):
        lifecycle.run(["data=iris", "audit=loud", "verbose=0"])


def test_the_lower_score_counts_so_that_held_out_rows_alone_show_no_leak() -> None:
    iris = datasets.load_iris()
    # In 5 rows of each class a petal's width may happen to name all classes.
    rows = Split(np.arange(0, 150, 2), np.arange(1, 30, 2), np.arange(31, 150, 2))
    column = table_checks.column_of("width", pd.Series(iris.data[:, 3]))
    sample = table_checks.Sample(
        [column],
        iris.target,
        {"train": rows.train, "test": np.array([1, 3, 5, 7, 9, 51, 53, 55, 57, 59, 141, 143, 145])},
        False,
    )
    assert table_checks.leaks(sample, [column]) == []


def test_free_text_is_no_identifier() -> None:
    texts = [f"a house with {row} windows" for row in range(len(clean()))]
    assert lines(TableRows(frame=clean().assign(note=texts))) == []
