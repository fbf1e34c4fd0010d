"""The verb register: names in MLflow's registry, by which all verbs find a model again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest

import lifecycle as package
from lifecycle.predict import saved_model
from lifecycle.tracking.store import database_uri
from tests.conftest import Command, Ended
from tests.predict.test_saved_model import KEPT

Register = Callable[..., Ended]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Train two little models, and return the folder of their runs."""
    folder = tmp_path_factory.mktemp("registered") / "mlruns"
    folder.mkdir(mode=0o700)
    shutil.copy(empty_database, folder)
    for seed in (1, 2):
        words = ["data=iris", "trainer.max_epochs=1", f"seed={seed}", "verbose=0", "tracking.figures=false"]
        package.run([*words, f"tracking.dir={folder}"])
    return folder


@pytest.fixture
def client(place: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(database_uri(place))


@pytest.fixture
def ids(client: mlflow.MlflowClient) -> list[str]:
    """Return the runs, the first first."""
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return [run.info.run_id for run in sorted(found, key=lambda run: run.info.start_time)]


@pytest.fixture
def register(lifecycle: Command, place: Path) -> Register:
    return lambda *words: lifecycle("register", f"tracking.dir={place}", *words)


def test_a_version_of_a_name_with_aliases_is_made(
    register: Register, client: mlflow.MlflowClient, ids: list[str], place: Path
) -> None:
    ended = register("run=latest", "name=iris", "alias=[champion,staging]")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"Registered the model of run mlp-iris-2 ({ids[1]}) as iris version 1.",
        "  models:/iris@champion",
        "  models:/iris@staging",
        "  models:/iris/1",
        "Use it: lifecycle predict 'run=models:/iris@champion' input=new.csv output=predicted.csv",
    ]
    (version,) = client.search_model_versions("name = 'iris'")
    assert (version.run_id, version.status) == (ids[1], "READY")
    assert client.get_registered_model("iris").aliases == {"champion": 1, "staging": 1}
    mlflow.set_tracking_uri(client.tracking_uri)
    found = mlflow.pyfunc.load_model("models:/iris@champion").predict(four())
    (folder,) = [file.parent for file in place.rglob("lifecycle.json") if f'"{ids[1]}"' in file.read_text()]
    pd.testing.assert_frame_equal(found, saved_model.load(folder).predict(four()))


def four() -> pd.DataFrame:
    names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
    return pd.DataFrame([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], columns=names)


def test_the_same_model_again_is_no_second_version_and_an_alias_moves(
    register: Register, client: mlflow.MlflowClient, ids: list[str]
) -> None:
    assert register(f"run={ids[0]}", "name=moving", "alias=champion").code == 0
    second = register(f"run={ids[1][:10]}", "name=moving", "alias=champion")
    assert "as moving version 2.\n  models:/moving@champion, which was version 1\n" in second.out
    again = register(f"run={ids[0]}", "name=moving", "alias=champion")
    assert again.code == 0
    assert (
        f"The model of run mlp-iris-1 ({ids[0]}) is moving version 1 already; no new version was created" in again.out
    )
    assert "  models:/moving@champion, which was version 2\n" in again.out
    assert sorted(one.version for one in client.search_model_versions("name = 'moving'")) == [1, 2]
    assert client.get_registered_model("moving").aliases == {"champion": 1}
    plain = register(f"run={ids[0]}", "name=moving")
    assert "Use it: lifecycle predict 'run=models:/moving/1' " in plain.out
    assert client.get_registered_model("moving").aliases == {"champion": 1}


def test_all_verbs_find_it_by_its_names(
    register: Register, lifecycle: Command, ids: list[str], place: Path, tmp_path: Path
) -> None:
    for run in ids:
        assert register(f"run={run}", "name=found it", f"alias=a{ids.index(run)}").code == 0
    four().to_csv(tmp_path / "new.csv", index=False)
    expected = {}
    for run in ids:
        file = f"{run}.csv"
        lifecycle("predict", f"tracking.dir={place}", f"run={run}", "input=new.csv", f"output={file}")
        expected[run] = (tmp_path / file).read_text()
    assert expected[ids[0]] != expected[ids[1]]
    names = {"@a0": ids[0], "@a1": ids[1], "/1": ids[0], "/2": ids[1], "": ids[1], "/latest": ids[1]}
    for number, (called, run) in enumerate(names.items()):
        words = [f"run=models:/found it{called}", f"tracking.dir={place}", "input=new.csv", f"output={number}.csv"]
        ended = lifecycle("predict", *words)
        assert ended.code == 0, ended.err
        assert (tmp_path / f"{number}.csv").read_text() == expected[run], called


@pytest.mark.filterwarnings("ignore:.*input example was not provided:UserWarning")
def test_a_version_stays_the_model_that_was_registered(
    register: Register, lifecycle: Command, client: mlflow.MlflowClient, ids: list[str], place: Path, tmp_path: Path
) -> None:
    assert register(f"run={ids[0]}", "name=kept").code == 0
    four().to_csv(tmp_path / "new.csv", index=False)
    words = ["run=models:/kept/1", f"tracking.dir={place}", "input=new.csv"]
    assert lifecycle("predict", *words, "output=before.csv").code == 0
    log_another(client, ids[0], place, tmp_path)
    assert lifecycle("predict", *words, "output=after.csv").code == 0
    assert (tmp_path / "after.csv").read_text() == (tmp_path / "before.csv").read_text()
    assert lifecycle("predict", *words[1:], f"run={ids[0]}", "output=other.csv").code == 0
    assert (tmp_path / "other.csv").read_text() != (tmp_path / "before.csv").read_text()
    assert "as kept version 2." in register(f"run={ids[0]}", "name=kept").out


def log_another(client: mlflow.MlflowClient, run_id: str, place: Path, tmp_path: Path) -> None:
    """Let a run save another model, as one does that is resumed."""
    from lifecycle.config.schema import TrackingConfig
    from lifecycle.tracking.backend import Backend
    from lifecycle.tracking.messages import FinishRun, LogModel, ReopenRun

    manifests = sorted(place.rglob("lifecycle.json"))
    (folder,) = [one.parent for one in manifests if f'"{run_id}"' in one.read_text()]
    trained = saved_model.load(folder)
    for parameter in trained.network.parameters():
        parameter.data.mul_(2)
    saved_model.save(trained, tmp_path / "saved")
    backend = Backend()
    backend.handle(ReopenRun(str(tmp_path), vars(TrackingConfig(dir=str(place))), run_id))
    backend.handle(LogModel(str(tmp_path / "saved"), list(trained.columns), {"predicted": "string"}))
    backend.handle(FinishRun())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run=latest"], "name is not chosen. Add name=<name>, for instance name=iris."),
        (["run=latest", "name=a/b"], "name=a/b cannot be the name of a model: no / : @ \\ % or quotes"),
        (["run=latest", "name=a:b"], "Use for instance name=iris."),
        (["run=latest", "name=a@b"], "name=a@b cannot be the name of a model"),
        (["run=latest", "name=.."], "name=.. cannot be the name of a model"),
        (["run=latest", f"name={'x' * 256}"], "at most 255 characters"),
        (["run=latest", "name=ok", "alias=latest"], "alias=latest cannot be an alias: letters, digits, _ and -"),
        (["run=latest", "name=ok", "alias=v12"], "neither latest nor v and a number. Use for instance alias=champion."),
        (["run=latest", "name=ok", "alias=[a,b c]"], "alias=b c cannot be an alias"),
        (["name=ok"], "run is not chosen. Add run=latest"),
        (["run=ffffffff", "name=ok"], "run=ffffffff is no run in"),
        (["run=models:/nobody@champion", "name=ok"], "run=models:/nobody@champion is no registered model in"),
        (["run=latest", "name=ok", "aliass=x"], "aliass is not a field of lifecycle register, got x. Did you mean"),
    ],
)
def test_what_cannot_be_registered_is_one_sentence(
    register: Register, client: mlflow.MlflowClient, words: list[str], sentence: str
) -> None:
    ended = register(*words)
    assert ended.code == 2
    assert sentence in ended.err
    assert not client.search_model_versions("name = 'ok'")


def test_a_folder_is_no_run(register: Register) -> None:
    folder = KEPT / "v1" / "table" / "model"
    ended = register(f"run={folder}", "name=ok")
    assert ended.code == 2
    assert f"run={folder} is a folder with a saved model, and only a run's model can be registered." in ended.err


@pytest.mark.parametrize("name", ["iris", "two words", "Ünder-score_1.5", "a"])
def test_names_that_mlflow_takes_are_taken(register: Register, client: mlflow.MlflowClient, name: str) -> None:
    ended = register("run=latest", f"name={name}", "alias=one-1")
    assert ended.code == 0, ended.err
    assert client.get_model_version_by_alias(name, "one-1").name == name
