"""The verb rerun: a run repeated from its record, and what is said where it comes to something else."""

from __future__ import annotations

import contextlib
import io
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from lifecycle.cli.main import main
from lifecycle.tracking import provenance
from lifecycle.tracking.pages.tags import name as with_names
from lifecycle.tracking.pages.tags import stored
from lifecycle.tracking.provenance import Difference
from lifecycle.tracking.store import database_uri
from tests.conftest import Command, Ended, artifacts

Run = mlflow.entities.Run


@dataclass
class Trained:
    """A folder with a run of a few epochs, and its data."""

    folder: Path
    command: Command
    original: str

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(database_uri(self.folder / "mlruns"))

    @property
    def run(self) -> Run:
        return with_names(self.client.get_run(self.original))

    def last(self) -> Run:
        (run,) = self.client.search_runs(["1"], order_by=["attributes.start_time DESC"], max_results=1)
        return with_names(run)

    def rerun(self, *words: str) -> Ended:
        return self.command("rerun", f"run={self.original}", *words)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Trained]:
    """Make a run of two epochs on a table with texts and missing values, and of that a copy to be tampered with."""
    folder = tmp_path_factory.mktemp("rerun")
    (folder / "mlruns").mkdir(mode=0o700)
    shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    frame = pd.DataFrame({"size": np.arange(80.0), "town": [("a", "b", None)[row % 3] for row in range(80)]})
    frame.assign(price=np.arange(80.0) * 3).to_csv(folder / "houses.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)

        def command(*words: str) -> Ended:
            patch.setattr(sys, "argv", ["lifecycle", *words])
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main()
            return Ended(code, out.getvalue(), err.getvalue())

        words = ["data=table", "data.path=houses.csv", "data.target=price", "model.dropout=0.2", "seed=4"]
        assert command(*words, "trainer.max_epochs=2", "tracking.figures=false", "verbose=0").code == 0
        made = Trained(folder, command, "")
        made.original = made.last().info.run_id
        yield made


@pytest.fixture
def tampered(trained: Trained) -> Iterator[Callable[..., None]]:
    """Change tags of the run, and put them back."""
    before, changed = trained.run.data.tags, []

    def change(**tags: str) -> None:
        for key, value in tags.items():
            changed.append(name := key.replace("__", "."))
            trained.client.set_tag(trained.original, stored(name), value)

    yield change
    for name in changed:
        if name in before:
            trained.client.set_tag(trained.original, stored(name), before[name])
        else:
            trained.client.delete_tag(trained.original, stored(name))


@pytest.fixture
def files(trained: Trained) -> Iterator[Callable[[Path, str, str], None]]:
    """Change the text of a file, and put it back."""
    before: dict[Path, str] = {}

    def change(file: Path, old: str, new: str) -> None:
        before[file] = text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    yield change
    for file, text in before.items():
        file.write_text(text)


def test_a_run_that_comes_to_the_same_is_reproduced(trained: Trained) -> None:
    ended = trained.rerun()
    assert (ended.code, ended.out, ended.err) == (0, "reproduced: all scores equal\n", "")
    again, run = trained.last(), trained.run
    assert again.info.run_id != run.info.run_id
    assert (again.info.status, again.info.run_name) == ("FINISHED", f"{run.info.run_name}-2")
    assert again.data.tags["lifecycle.rerun_of"] == run.info.run_id
    assert again.data.params == run.data.params
    assert again.data.metrics == run.data.metrics
    assert again.data.tags["lifecycle.command"] == f"lifecycle rerun run={run.info.run_id}"


def test_a_repetition_can_be_shown_and_repeated_itself_from_another_folder(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = trained.rerun(f"tracking.dir={trained.folder / 'mlruns'}", "verbose=2")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == f"Rerun     of mlp-table-4 ({trained.original})"
    assert lines[1].startswith("Data      table: 80 rows")
    assert lines[-1] == "reproduced: all scores equal"
    again = trained.last()
    assert again.data.tags["lifecycle.rerun_of"] == trained.original
    ended = trained.command("rerun", f"run={again.info.run_id}", f"tracking.dir={trained.folder / 'mlruns'}")
    assert ended.out.splitlines()[-1] == "reproduced: all scores equal"
    assert not list(tmp_path.iterdir())


def test_other_data_are_the_first_cause_to_be_named(
    trained: Trained, files: Callable[[Path, str, str], None], tampered: Callable[..., None]
) -> None:
    files(trained.folder / "houses.csv", "77.0,,231.0", "77.0,,233.0")
    tampered(version__numpy="1.0.0")
    ended = trained.rerun("verbose=2")
    run, again = trained.run, trained.last()
    was, now = run.data.tags["data.sha256"], again.data.tags["data.sha256"]
    assert was != now
    first = [f"          data.sha256 was {was}, is {now}", f"          version.numpy was 1.0.0, is {np.__version__}"]
    assert ended.out.splitlines()[1:3] == first
    assert "reproduced" not in ended.out
    assert (ended.code, again.info.status) == (1, "FINISHED")
    lines = ended.err.splitlines()
    assert lines[0] == (
        f"lifecycle: not reproduced: run mlp-table-4 ({run.info.run_id}) and its repetition {again.info.run_id} differ"
    )
    before, after = run.data.metrics["test_loss"], again.data.metrics["test_loss"]
    assert f"  test_loss: {before!r} -> {after!r} ({after - before:+.3g})" in lines
    loss = [pd.read_csv(artifacts(one) / "history.csv")["train_loss"][0] for one in (run, again)]
    assert f"  history.csv from epoch 1 of 2 on: train_loss: {float(loss[0])!r} -> {float(loss[1])!r}" in ended.err
    assert "\n  the weights: sha256 " in ended.err
    assert lines[-1] == (
        f"probable cause: the data (data.sha256 was {was}, is {now}); "
        f"less probable: version.numpy was 1.0.0, is {np.__version__}"
    )


@pytest.mark.parametrize(
    ("tags", "cause"),
    [
        ({"hardware__cpu": "an abacus"}, "hardware (hardware.cpu was an abacus, is "),
        ({"mlflow__source__git__commit": "abc"}, "the commit (mlflow.source.git.commit was abc, is "),
        (
            {"version__torch": "1.0", "hardware__threads": "99"},
            "versions (version.torch was 1.0, is 2.",
        ),
        ({"git__dirty": "true"}, "the commit (git.dirty was true, is "),
        ({}, "none recorded; a plugin may draw random numbers with a seed other than the run's"),
    ],
    ids=["hardware", "commit", "versions first", "dirty", "none"],
)
def test_the_likeliest_cause_is_named(
    trained: Trained,
    files: Callable[[Path, str, str], None],
    tampered: Callable[..., None],
    tags: dict[str, str],
    cause: str,
) -> None:
    table = artifacts(trained.run) / "history.csv"
    loss = repr(float(pd.read_csv(table)["val_loss"][1]))
    files(table, loss, "0.5")  # as if the run had come to something else
    tampered(**tags)
    ended = trained.rerun()
    assert (ended.code, ended.out) == (1, "")
    lines = ended.err.splitlines()
    assert lines[1:-1] == [f"  history.csv from epoch 2 of 2 on: val_loss: 0.5 -> {loss} ({float(loss) - 0.5:+.3g})"]
    assert lines[-1].startswith(f"probable cause: {cause}")


def test_a_score_and_weights_that_differ_by_a_bit_are_named(
    trained: Trained, files: Callable[[Path, str, str], None]
) -> None:
    run = trained.run
    value = run.data.metrics["test_mae"]
    above = math.nextafter(value, math.inf)
    trained.client.log_metric(trained.original, "test_mae", above, step=1)
    (manifest,) = (file for file in trained.folder.rglob("lifecycle.json") if run.info.run_id in file.read_text())
    digest = json.loads(manifest.read_text())["sha256"]["weights.safetensors"]
    files(manifest, digest, "0" * 64)
    try:
        lines = trained.rerun().err.splitlines()
    finally:
        trained.client.log_metric(trained.original, "test_mae", value, step=2)
    assert lines[1:-1] == [
        f"  test_mae: {above!r} -> {value!r} ({value - above:+.3g})",
        f"  the weights: sha256 {'0' * 16}... -> {digest[:16]}...",
    ]


def test_epochs_that_are_missing_are_named(trained: Trained, files: Callable[[Path, str, str], None]) -> None:
    table = artifacts(trained.run) / "history.csv"
    files(table, "\n2,", "\n\n#")
    text = table.read_text()
    table.write_text(text[: text.index("\n\n#") + 1])
    lines = trained.rerun().err.splitlines()
    assert lines[1:-1] == ["  history.csv had 1 epochs, has 2"]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("seed=5", "seed must stay 4 in a repetition of run mlp-table-4 (ID), got 5. Leave it out, or begin a new run"),
        (
            "trainer.max_epochs=9",
            "trainer.max_epochs must stay 2 in a repetition of run mlp-table-4 (ID), got 9.",
        ),
        ("data=iris", "data=iris cannot change a recorded run. Write field=value"),
    ],
)
def test_a_repetition_changes_nothing(trained: Trained, word: str, sentence: str) -> None:
    before = trained.last().info.run_id
    ended = trained.rerun(word)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.replace(trained.original, "ID").startswith(f"lifecycle: {sentence}")
    assert trained.last().info.run_id == before


def test_a_run_without_scores_is_to_be_resumed_first(trained: Trained) -> None:
    client = trained.client
    client.update_run(trained.original, status="KILLED")
    try:
        ended = trained.rerun()
    finally:
        client.update_run(trained.original, status="FINISHED")
    assert (ended.code, ended.err) == (
        2,
        f"lifecycle: run mlp-table-4 ({trained.original}) is KILLED: it has no scores to compare with. "
        f"`lifecycle resume run={trained.original}` continues it.\n",
    )


def test_a_folder_with_a_saved_model_is_no_run(trained: Trained) -> None:
    (manifest, *_) = trained.folder.rglob("lifecycle.json")
    ended = trained.command("rerun", f"run={manifest.parent}")
    assert ended.code == 2
    assert ended.err.endswith("is a folder with a saved model and no run. Name its run.\n")


def test_the_machine_is_recorded_with_each_run(trained: Trained) -> None:
    tags = trained.run.data.tags
    assert {name: tags.get(name) for name in provenance.hardware()} == provenance.hardware()
    assert all(provenance.hardware().values())


def test_what_was_not_recorded_is_no_difference() -> None:
    then = {"version.torch": "2.0", "data.sha256": "a", "git.dirty": "false", "lifecycle.model": "mlp"}
    now = {"version.torch": "2.1", "hardware.cpu": "x", "data.sha256": "b", "mlflow.source.git.commit": "c"}
    assert provenance.differences(then, now) == [
        Difference("data.sha256", "a", "b"),
        Difference("version.torch", "2.0", "2.1"),
        Difference("git.dirty", "false", "nothing"),
    ]
    assert provenance.differences(then, then) == []
