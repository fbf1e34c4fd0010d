"""Files from a stranger run no code: whatever a folder or checkpoint holds, it is read as data or refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import skops.io
import torch
from sklearn.preprocessing import FunctionTransformer

from lifecycle.errors import LifecycleError, SavedModelError
from lifecycle.fit import checkpoints
from lifecycle.predict import saved_model
from lifecycle.runtime.files.digests import sha256
from tests.conftest import Command
from tests.functional.test_ui import free_port
from tests.predict.test_saved_model import KEPT

TABLE = KEPT / "v1" / "table"


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.canary}",)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Return the file that a stranger's code would make."""
    return tmp_path / "canary"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a saved model that a stranger may change."""
    return Path(shutil.copytree(TABLE / "model", tmp_path / "strange"))


def sign(folder: Path, **entries: Any) -> None:
    """Update the digests of a folder: they detect accidents, not an attacker."""
    manifest = {**json.loads((folder / "lifecycle.json").read_text()), **entries}
    names = ("weights.safetensors", "preprocessing.skops")
    saved_model.write_manifest({**manifest, "sha256": {name: sha256(folder / name) for name in names}}, folder)


def weights_are_a_pickle(folder: Path, canary: Path) -> None:
    (folder / "weights.safetensors").write_bytes(pickle.dumps(Evil(canary)))
    sign(folder)


def weights_are_a_checkpoint(folder: Path, canary: Path) -> None:
    torch.save({"weight": Evil(canary)}, folder / "weights.safetensors")
    sign(folder)


def preprocessing_is_a_pickle(folder: Path, canary: Path) -> None:
    (folder / "preprocessing.skops").write_bytes(pickle.dumps(Evil(canary)))
    sign(folder)


def preprocessing_calls_a_function(folder: Path, canary: Path) -> None:
    skops.io.dump({"inputs": FunctionTransformer(Path(canary).touch), "target": None}, folder / "preprocessing.skops")
    sign(folder)


def preprocessing_names(module: str, name: str, loader: str) -> Callable[[Path, Path], None]:
    """Return a function that writes a skops schema naming a function or class by module and name."""

    def change(folder: Path, canary: Path) -> None:
        node = {"__class__": name, "__module__": module, "__loader__": loader, "__id__": 2}
        arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "__id__": 3}
        text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "__id__": 4, "is_json": True}
        arguments["content"] = [{**text, "content": json.dumps(f"touch {canary}")}]  # type: ignore[assignment]
        schema = {
            **{"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "__id__": 1},
            "key_types": {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []},
            "content": {
                "inputs": {**node, "content": arguments, "attrs": arguments, "args": arguments, "obj": arguments},
                "target": {**text, "content": "null", "__id__": 5},
            },
            "protocol": 2,
            "_skops_version": skops.__version__,
        }
        with zipfile.ZipFile(folder / "preprocessing.skops", "w") as archive:
            archive.writestr("schema.json", json.dumps(schema))
        sign(folder)

    change.__name__ = f"{loader} of {module}.{name}"
    return change


def plugin_is(kind: str, name: object) -> Callable[[Path, Path], None]:
    """Return a function that lets a manifest name code in its own folder as its plugin."""

    def change(folder: Path, canary: Path) -> None:
        (folder / "strange.py").write_text(f"open({str(canary)!r}, 'w')\nclass Model: pass\n")
        about = json.loads((folder / "lifecycle.json").read_text())[kind]
        sign(folder, **{kind: {**about, "plugin": name}})

    change.__name__ = f"{kind} is {name}"
    return change


def fields_say_what_to_make(folder: Path, canary: Path) -> None:
    about = json.loads((folder / "lifecycle.json").read_text())["model"]
    target = {"_target_": "os.system", "_args_": [f"touch {canary}"]}
    sign(folder, model={**about, "fields": {**about["fields"], "hidden": target, **target}})


def a_link_leads_elsewhere(folder: Path, canary: Path) -> None:
    elsewhere = canary.with_name("elsewhere")
    elsewhere.write_bytes(pickle.dumps(Evil(canary)))
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to(elsewhere)


def a_device(folder: Path, canary: Path) -> None:
    (folder / "lifecycle.json").unlink()
    (folder / "lifecycle.json").symlink_to("/dev/zero")


def a_pipe(folder: Path, canary: Path) -> None:
    (folder / "preprocessing.skops").unlink()
    os.mkfifo(folder / "preprocessing.skops")


CRAFTED = [
    weights_are_a_pickle,
    weights_are_a_checkpoint,
    preprocessing_is_a_pickle,
    preprocessing_calls_a_function,
    preprocessing_names("os", "system", "FunctionNode"),
    preprocessing_names("os", "system", "ObjectNode"),
    preprocessing_names("posix", "system", "TypeNode"),
    preprocessing_names("os", "system", "PartialNode"),
    preprocessing_names("operator", "methodcaller", "OperatorFuncNode"),
    preprocessing_names("operator", "attrgetter", "OperatorFuncNode"),
    preprocessing_names("builtins", "eval", "MethodNode"),
    preprocessing_names("subprocess", "Popen", "ObjectNode"),
    plugin_is("model", "strange:Model"),
    plugin_is("model", "strange"),
    plugin_is("model", "../strange.py"),
    plugin_is("data", "os.system"),
    plugin_is("data", ["table"]),
    fields_say_what_to_make,
    a_link_leads_elsewhere,
    a_device,
    a_pipe,
]


def check(ended: Any, canary: Path) -> None:
    """Assert that a command refused in one sentence, without a traceback, and that no stranger's code was run."""
    assert not canary.exists()
    assert ended.code in (1, 2)
    assert ended.err.startswith("lifecycle: ")
    assert "Traceback" not in ended.err
    assert len(ended.err.strip().splitlines()) == 1, ended.err


@pytest.mark.parametrize("craft", CRAFTED, ids=lambda craft: craft.__name__)
@pytest.mark.fault(38)
def test_a_crafted_folder_is_refused_in_a_sentence_and_runs_nothing(
    folder: Path, canary: Path, craft: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)  # where Python would find a module of the stranger's
    monkeypatch.syspath_prepend(str(folder.parent))
    craft(folder, canary)
    with pytest.raises(SavedModelError) as caught:
        saved_model.load(folder)
    assert not canary.exists()
    assert len(str(caught.value).splitlines()) == 1
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("verb", ["predict", "serve", "export"])
@pytest.mark.parametrize("craft", [weights_are_a_pickle, preprocessing_calls_a_function, CRAFTED[-9]])
def test_each_subcommand_refuses_it(
    lifecycle: Command, folder: Path, canary: Path, verb: str, craft: Callable[[Path, Path], None]
) -> None:
    craft(folder, canary)
    words = {
        "predict": [f"input={TABLE / 'rows.csv'}", "output=out.csv"],
        "serve": [f"port={free_port()}"],
        "export": ["format=safetensors", "output=out"],
    }[verb]
    check(lifecycle(verb, f"run={folder}", *words), canary)
    assert not [file for file in folder.parent.iterdir() if file.name.startswith((".export", "out"))]


def strange_mlmodel(folder: Path, canary: Path) -> Path:
    """Put MLflow's files around a good saved model: a loader of the stranger's, and code on the way to it."""
    around = folder.parent / "model"
    shutil.copytree(folder, around / "data" / "saved")
    (around / "code").mkdir()
    for name in ("strange_loader", "sitecustomize", "lifecycle_strange"):
        (around / "code" / f"{name}.py").write_text(f"open({str(canary)!r}, 'w')\n")
    (around / "MLmodel").write_text(
        "flavors:\n  python_function:\n    code: code\n    data: data/saved\n    loader_module: strange_loader\n"
        "    python_version: 3.11.0\n    env: conda.yaml\n"
    )
    (around / "python_model.pkl").write_bytes(pickle.dumps(Evil(canary)))
    return around


@pytest.mark.fault(38)
def test_mlflows_files_around_a_model_are_not_read(lifecycle: Command, folder: Path, canary: Path) -> None:
    around = strange_mlmodel(folder, canary)
    ended = lifecycle("predict", f"run={around}", f"input={TABLE / 'rows.csv'}", "output=out.csv")
    assert ended.code == 0, ended.err
    assert lifecycle("export", f"run={around}", "format=safetensors", "output=out").code == 0
    found = pd.read_csv(canary.with_name("out.csv"))["predicted"]
    assert found.tolist() == pd.read_csv(TABLE / "predictions.csv")["predicted"].tolist()
    assert not canary.exists()


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
@pytest.mark.parametrize("kind", ["pickle", "torch", "legacy", "zip", "empty", "text"])
@pytest.mark.fault(37)
def test_a_crafted_checkpoint_is_refused_in_a_sentence_and_runs_nothing(
    tmp_path: Path, canary: Path, name: str, kind: str
) -> None:
    path, content = tmp_path / name, io.BytesIO()
    evil = {"state_dict": {"weight": torch.zeros(2)}, "hyper_parameters": Evil(canary)}
    if kind in ("torch", "legacy"):
        torch.save(evil, content, _use_new_zipfile_serialization=kind == "torch")
    elif kind == "zip":
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(evil))
            archive.writestr("archive/version", "3\n")
    else:
        content.write({"pickle": pickle.dumps(evil), "empty": b"", "text": b"no checkpoint"}[kind])
    path.write_bytes(content.getvalue())
    path.with_name(f"{name}.sha256").write_text(f"{sha256(path)}  {name}\n")
    with pytest.raises(SavedModelError, match=rf"{name} .*\. Do not use it\.$") as caught:
        checkpoints.read(path)
    assert not canary.exists()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.fault(37)
def test_classes_named_in_a_checkpoint_are_not_imported(tmp_path: Path, canary: Path) -> None:
    says = {"_instantiator": "os.system", "_class_path": "strange.Model", "command": f"touch {canary}"}
    checkpoint = {"epoch": 1, "hyper_parameters": says, "datamodule_hyper_parameters": says}
    checkpoints.CheckedCheckpointIO().save_checkpoint(checkpoint, tmp_path / "last.ckpt")
    assert checkpoints.CheckedCheckpointIO().load_checkpoint(tmp_path / "last.ckpt", weights_only=False) == checkpoint
    assert not canary.exists()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/best.ckpt", "s3://bucket/best.ckpt", "file:///etc/passwd"])
@pytest.mark.fault(37)
def test_an_address_is_no_checkpoint_and_no_run(
    lifecycle: Command, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connected(*_: object) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(socket.socket, "connect", connected)
    with pytest.raises(LifecycleError, match=r"is missing\. Give the path of a checkpoint that a run wrote"):
        checkpoints.read(Path(address))
    Path("a.csv").write_text("x\n1\n")
    for verb, words in {"predict": ["input=a.csv", "output=b.csv"], "serve": [f"port={free_port()}"]}.items():
        ended = lifecycle(verb, f"run={address}", *words)
        assert ended.code == 2
        assert "tracking.dir=mlruns has no runs yet." in ended.err
