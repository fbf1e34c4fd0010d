"""Several labels a row: each way to predict answers the same, and folds are those of single fits."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from lifecycle import Model
from lifecycle.data.columns import label_sets
from lifecycle.saved import _load_pyfunc
from lifecycle.sweeps.results import out_of_fold
from tests.conftest import Command, ready
from tests.forked import Forks
from tests.functional.test_serve import end, start
from tests.functional.test_sweep_faults import run_in

NAMES = ("bird", "cat", "dog")
INPUTS = np.random.default_rng(0).normal(size=(60, 3))
HELD = (INPUTS + 0.3 * np.random.default_rng(1).normal(size=INPUTS.shape) > [0.8, 0.0, 0.3]).astype(int)
FRAME = pd.DataFrame(INPUTS, columns=["a", "b", "c"])


def test_each_way_to_predict_answers_the_same(forks: Forks, lifecycle: Command, tmp_path: Path) -> None:
    model = Model("mlp", hidden=[8]).compile(lr=0.05)
    model.fit(FRAME, pd.DataFrame(HELD, columns=[*NAMES]), epochs=3, verbose=0)
    folder = model.save(tmp_path / "saved")
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    assert lifecycle("predict", f"run={folder}", "input=rows.csv", "output=out.csv").code == 0
    columns = ["predicted", *(f"probability_{name}" for name in NAMES)]
    expected = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)[columns]
    assert "" in set(expected["predicted"])  # a row without a label
    assert expected["predicted"].tolist() == [
        label_sets.joined(np.array(NAMES)[row == 1]) for row in model.predict(FRAME)
    ]
    pd.testing.assert_frame_equal(_load_pyfunc(str(folder)).predict(FRAME), expected, check_dtype=False)
    served = start(forks, folder, tmp_path)
    try:
        answers = [
            served.post((tmp_path / "rows.csv").read_bytes(), "text/csv"),
            served.json(dataframe_records=FRAME.to_dict("records")),
        ]
    finally:
        assert end(served, signal.SIGINT) == 0
    for status, body in answers:
        assert status == 200
        pd.testing.assert_frame_equal(pd.DataFrame(body["predictions"])[columns], expected, check_dtype=False)


def test_folds_are_fitted_together_and_predict_each_row_once(
    forks: Forks, tmp_path: Path, empty_database: Path
) -> None:
    ready(tmp_path, empty_database)
    FRAME.assign(**dict(zip(NAMES, HELD.T, strict=True))).to_csv(tmp_path / "rows.csv", index=False)
    words = ("data=table", "data.path=rows.csv", "data.target=[bird,cat,dog]", "cv=3", "trainer.max_epochs=2")
    ended = run_in(forks, tmp_path, *words, "sweep.vectorise=check", "tracking.figures=false")
    assert (ended.code, ended.err) == (0, "")
    assert "\nChecked: weights differ by at most " in ended.out
    assert "\nVectorised 3 of 3 fits in 1 group\n" in ended.out
    (file,) = tmp_path.rglob("out_of_fold.csv")
    found = pd.read_csv(file)
    assert found["row"].tolist() == [*range(60)]
    assert found["actual"].fillna("").tolist() == [label_sets.joined(np.array(NAMES)[row == 1]) for row in HELD]
    probabilities = found[[f"probability_{name}" for name in NAMES]].to_numpy()
    scores = out_of_fold.scores_of(found)
    assert scores["accuracy"] == pytest.approx(reference.accuracy_score(HELD, probabilities > 0.5))
    of_labels = [reference.log_loss(HELD[:, at], probabilities[:, at]) for at in range(3)]
    assert scores["log_loss"] == pytest.approx(np.mean(of_labels))
    # torchmetrics has no such metric of several labels.
    refused = run_in(forks, tmp_path, *words[:3], "metrics=[accuracy,cohen_kappa]")
    assert refused.code == 2
    assert "metrics=cohen_kappa cannot be used by its name alone (" in refused.err
