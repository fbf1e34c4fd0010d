"""The MLflow run: its folder, its parameters, and the status that it truly ended with."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from lifecycle.config import compose
from lifecycle.config.request import Request
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import Interrupted, RequestError, TrainingError
from lifecycle.tracking import client
from lifecycle.tracking.parameters import flatten
from lifecycle.tracking.run import record_failure, track
from lifecycle.tracking.store import database_uri, open_store
from tests import forked
from tests.conftest import Command, artifacts

Runs = Callable[[], list[mlflow.entities.Run]]


@pytest.fixture
def request_of(job: Command) -> Callable[..., Request]:
    """Compose a request in the working folder, whose database is ready."""
    return lambda *words: compose.compose(list(words))


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (TrainingError("the loss is nan"), "FAILED", "the loss is nan"),
        (ZeroDivisionError("by zero"), "FAILED", "ZeroDivisionError: by zero"),
        (Interrupted(15), "KILLED", "stopped by SIGTERM"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt: "),
        (SystemExit(3), "FAILED", "SystemExit: 3"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_run_is_closed_as_it_ended_and_keeps_what_was_logged(
    request_of: Callable[..., Request], runs: Runs, error: BaseException, status: str, said: str
) -> None:
    def end() -> None:
        with track(request_of("seed=4")) as run:
            run.log_epoch({"epoch": 1, "train_loss": 0.5})
            raise error

    with pytest.raises(type(error)):
        end()
    (found,) = runs()
    assert found.info.status == status
    assert found.info.end_time >= found.info.start_time
    assert found.data.tags["lifecycle.error"] == said
    assert found.data.metrics["train_loss"] == 0.5


def test_a_run_whose_interruption_a_library_replaced_is_killed(request_of: Callable[..., Request], runs: Runs) -> None:
    def end() -> None:
        with track(request_of()):
            try:
                raise Interrupted(15)
            finally:
                raise RuntimeError("the file is not whole")  # as torch.save does

    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        end()
    (found,) = runs()
    assert (found.info.status, found.data.tags["lifecycle.error"]) == ("KILLED", "stopped by SIGTERM")


def test_a_fault_that_is_no_sentence_leaves_its_traceback(request_of: Callable[..., Request], runs: Runs) -> None:
    record_failure(request_of(), ZeroDivisionError("by zero"))
    (found,) = runs()
    assert found.info.status == "FAILED"
    assert "ZeroDivisionError: by zero" in (artifacts(found) / "error.txt").read_text()


def test_a_long_parameter_is_cut_and_whole_in_the_file(request_of: Callable[..., Request], runs: Runs) -> None:
    wide = ",".join(["100"] * 3000)
    with track(request_of(f"model.hidden=[{wide}]")):
        pass
    (found,) = runs()
    assert len(found.data.params["model.hidden"]) == 6000
    config = OmegaConf.load(artifacts(found) / "config.yaml")
    assert len(config.model.hidden) == 3000


LISTS = """
from mlflow.utils import requirements_utils
requirements_utils._init_modules_to_packages_map = lambda: open("listed", "w").close()
"""
"""Lets MLflow leave a file in the working folder where it would list the files of all packages, which takes long."""


def test_the_files_of_all_packages_are_not_listed_for_a_model(
    job: Command, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forked, "RECORDER", LISTS + forked.RECORDER)
    client.end_all()
    assert job("trainer.max_epochs=1").code == 0
    client.end_all()  # its process is for no other test
    (run,) = runs()
    (model,) = run.outputs.model_outputs
    (requirements,) = (tmp_path / "mlruns").rglob(f"{model.model_id}/artifacts/requirements.txt")
    assert any(line.startswith("torch==") for line in requirements.read_text().splitlines())
    assert not (tmp_path / "listed").exists()


def test_history_is_sent_at_the_end_without_loss(request_of: Callable[..., Request], runs: Runs) -> None:
    with track(request_of()) as run:
        for epoch in range(1, 1502):
            run.log_epoch({"epoch": epoch, "train_loss": 1 / epoch})
    client = mlflow.MlflowClient(database_uri(run.folder))
    points = client.get_metric_history(run.id, "train_loss")
    assert [point.step for point in points] == list(range(1, 1502))
    assert runs()[0].info.status == "FINISHED"


def test_the_folder_is_for_its_owner_alone_and_made_with_those_above_it(tmp_path: Path) -> None:
    store = open_store(TrackingConfig(dir=str(tmp_path / "a" / "b")))
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert store.uri == database_uri(tmp_path / "a" / "b")
    experiment = store.client.get_experiment(store.experiment_id)
    assert experiment.artifact_location == (tmp_path / "a" / "b" / "artifacts" / "lifecycle").as_uri()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"tracking.dir=.*/file/runs cannot be written: Not a directory. Name"):
        open_store(TrackingConfig(dir=str(tmp_path / "file" / "runs")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RequestError, match=r"cannot be written: Permission denied"):
        open_store(TrackingConfig(dir=str(tmp_path)))


def test_an_experiment_that_was_deleted_is_named(request_of: Callable[..., Request]) -> None:
    config = request_of().tracking
    store = open_store(config)
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(RequestError, match=r"tracking.experiment=lifecycle was deleted.*Restore it there, or name"):
        open_store(config)


nested = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=5) | st.lists(st.integers(), max_size=3),
    lambda children: st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), children, min_size=1, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), nested, max_size=4))
def test_flattening_keeps_every_value_under_its_dotted_key(tree: dict[str, object]) -> None:
    def leaf(key: str) -> object:
        node: object = tree
        for part in key.split("."):
            assert isinstance(node, dict)
            node = node[part]
        return node

    def leaves(node: object) -> int:
        return sum(map(leaves, node.values())) if isinstance(node, dict) else 1

    flat = flatten(tree)
    assert len(flat) == leaves(tree)
    assert all(value == leaf(key) for key, value in flat.items())


def test_the_description_of_the_data_is_in_the_request_and_no_parameter(
    request_of: Callable[..., Request], runs: Runs
) -> None:
    request = request_of("data=iris")
    with track(request):
        pass
    (found,) = runs()
    of_data = {key for key in found.data.params if key.startswith("data.")}
    assert {f"data.{name}" for name in request.config.data} - of_data == {"data.source", "data.licence", "data.note"}
    config = OmegaConf.load(artifacts(found) / "config.yaml")
    assert config.data.source == request.config.data.source != ""
