"""The rows of the table in SECURITY.md that are tested nowhere else, and that each row names a test that exists."""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import json
import pickle
import re
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
import torch

from lifecycle.data.formats import writers
from lifecycle.data.sources import files, scratch_files, unpack
from lifecycle.errors import RequestError, SavedModelError
from lifecycle.fit import checkpoints
from lifecycle.predict import expected_size, saved_model
from lifecycle.runtime.files.digests import sha256
from tests.conftest import Command
from tests.predict.test_saved_model import KEPT
from tests.security.test_untrusted_files import Evil, sign

ROOT = Path(__file__).parents[2]
TABLE = KEPT / "v1" / "table"
SECRET = "hunter2canary"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Return the file that a stranger's code would make."""
    return tmp_path / "canary"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a saved model that a stranger may change."""
    return Path(shutil.copytree(TABLE / "model", tmp_path / "strange"))


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "lifecycle.json").read_text())
    return found


def named_in(text: str) -> list[list[str]]:
    """Return the tests that each row of the tables of a Markdown text names."""
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    rows = [row for row in rows if not row.startswith(("| threat", "| vulnerability"))]
    return [re.findall(r"`(tests/[\w/]+\.py::\w+)`", row) for row in rows]


def test_each_row_of_the_tables_names_tests_that_exist() -> None:
    rows = named_in((ROOT / "SECURITY.md").read_text())
    assert len(rows) >= 25
    for row in rows:
        assert row
        for name in row:
            file, _, function = name.partition("::")
            tree = ast.parse((ROOT / file).read_text())
            assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


def checkpoint(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.with_name(f"{path.name}.sha256").write_text(f"{sha256(path)}  {path.name}\n")
    return path


@pytest.mark.fault(37)
def test_no_variable_makes_checkpoints_run_code(tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    content = io.BytesIO()
    torch.save({"state_dict": Evil(canary)}, content)
    path = checkpoint(tmp_path / "last.ckpt", content.getvalue())
    for read in (checkpoints.read, checkpoints.CheckedCheckpointIO().load_checkpoint):
        with pytest.raises(SavedModelError, match=r"holds more than tensors and plain values. Do not use it\.$"):
            read(path)
    assert not canary.exists()


def zipped(**parts: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, part in parts.items():
            archive.writestr(f"archive/{name}", part)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return content.getvalue()


def storage(numbers: int) -> bytes:
    """Return the pickle of a tensor of so many numbers."""
    shape = b"(J" + struct.pack("<i", numbers) + b"t"
    of = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
    of += b"X\x03\x00\x00\x00cpuJ" + struct.pack("<i", numbers) + b"tQ"
    return b"\x80\x02" + of + b"K\x00" + shape + b"(K\x01t\x89ccollections\nOrderedDict\n)RtR."


@pytest.mark.fault(37)
def test_a_checkpoint_that_lies_of_its_tensors_is_refused(tmp_path: Path) -> None:
    good = checkpoint(tmp_path / "good.ckpt", zipped(**{"data.pkl": storage(1), "data/0": struct.pack("<f", 3.0)}))
    assert checkpoints.read(good).tolist() == [3.0]  # type: ignore[attr-defined]
    crafted = {
        "a storage of more numbers than its file": {"data.pkl": storage(1 << 28), "data/0": struct.pack("<f", 3.0)},
        "an item set in a list": {"data.pkl": b"\x80\x02]K\x00K\x01s."},
        "items set in a text": {"data.pkl": b"\x80\x02X\x01\x00\x00\x00a(K\x00K\x01u."},
        "items appended to a mapping": {"data.pkl": b"\x80\x02}(K\x00K\x01e."},
    }
    for case, parts in crafted.items():
        with pytest.raises(SavedModelError, match=r"Do not use it\.$"):
            print(case, checkpoints.read(checkpoint(tmp_path / "last.ckpt", zipped(**parts))))


@pytest.mark.parametrize(
    ("plugin", "fields", "said"),
    [
        ("mlp", {"hidden": [10**6, 10**6]}, r"has 0\.weight of the shape \(4, 9\), and the network .* \(1000000, 9\)"),
        ("mlp", {"hidden": [4, 10**6, 10**6]}, r"of the shape"),
        ("mlp", {"hidden": [4] * 200}, r"of fewer layers than lifecycle\.json describes"),
        (
            "sequential",
            {"layers": [{"dense": 10**6}, {"dense": 10**6}, "output"]},
            r"which has 1,000,014,000,003 numbers",
        ),
    ],
)
def test_a_manifest_that_asks_for_a_huge_network_is_refused_before_it_is_built(
    folder: Path, plugin: str, fields: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected_size, "MOST_SHARED", 100)  # ten thousand layers take seconds
    about = manifest(folder)["model"]
    sign(folder, model={**about, "plugin": plugin, "fields": fields})
    with pytest.raises(SavedModelError, match=said):
        saved_model.load(folder)


def with_arrays(folder: Path, change: Any) -> None:
    """Change the arrays in a model's preprocessing."""
    file = folder / "preprocessing.skops"
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, change(part) if name.endswith(".npy") else part)
    sign(folder)


def longer(array: bytes) -> bytes:
    """Return a .npy file whose header asks for 10^15 numbers."""
    (size,) = struct.unpack("<H", array[8:10])
    header = re.sub(rb"\(\d*,?\s*\d*\)", b"(1000000000000000,)", array[10 : 10 + size])
    header = header.rstrip() + b"\n"
    return array[:8] + struct.pack("<H", len(header)) + header + array[10 + size :]


def test_a_manifest_that_asks_for_a_huge_array_is_refused(folder: Path) -> None:
    spec, data = manifest(folder)["spec"], manifest(folder)["data"]
    for shape in ([10**5, 10**5], [2**63], [0], [-1], ["a"]):
        sign(folder, spec={**spec, "input_shape": shape})
        with pytest.raises(SavedModelError, match=r"has samples of .* Do not use it\.$"):
            saved_model.load(folder)
    image = {"path": "a.csv", "file": "f", "target": "y", "shape": [3, 10**5, 10**5]}
    sign(folder, spec=spec, data={**data, "plugin": "images", "fields": image})
    with pytest.raises(
        SavedModelError, match=r"shape must have at most 268,435,456 numbers, got \[3, 100000, 100000\]"
    ):
        saved_model.load(folder)
    sign(folder, data=data)
    with_arrays(folder, longer)
    with pytest.raises(SavedModelError, match=r"is inconsistent \(.*\)\. Take the model from its run again\.$"):
        saved_model.load(folder)


def test_a_preprocessing_that_unpacks_to_a_multiple_of_its_size_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert saved_model.MOST_UNPACKED == 100_000_000
    monkeypatch.setattr(saved_model, "MOST_UNPACKED", 1_000_000)
    with_arrays(folder, lambda array: array + bytes(1_000_000))
    assert (folder / "preprocessing.skops").stat().st_size < 100_000
    with pytest.raises(SavedModelError, match=r"is inconsistent \(ValueError: it unpacks to .* MB, more than 1 MB\)"):
        saved_model.load(folder)


def test_a_long_manifest_is_not_read(folder: Path) -> None:
    with (folder / "lifecycle.json").open("r+b") as stream:
        stream.truncate(saved_model.MOST_MANIFEST + 1)  # a sparse file
    with pytest.raises(SavedModelError, match=r"lifecycle\.json has more than 100 MB\. Do not use it\.$"):
        saved_model.load(folder)


@pytest.mark.fault(38)
def test_a_program_of_torch_export_is_no_model(lifecycle: Command, canary: Path, tmp_path: Path) -> None:
    Path("rows.csv").write_text("x\n1\n")
    for name in ("model.pt2", "folder/model.pt2"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        parts = {"data/weights/model.pt": pickle.dumps(Evil(canary)), "models/model.json": b"{}"}
        file.write_bytes(zipped(**parts))
        for run in (file, file.parent) if file.parent != tmp_path else (file,):
            for words in (["predict", "input=rows.csv", "output=out.csv"], ["export", "format=onnx", "output=out"]):
                ended = lifecycle(words[0], f"run={run}", *words[1:])
                assert ended.code == 2
                assert re.search(r"has no runs yet|is a folder without lifecycle\.json", ended.err), ended.err
                assert "Traceback" not in ended.err
    assert not canary.exists()


def refused(path: Path) -> str:
    with pytest.raises(RequestError) as caught:
        files.read(str(path))
    return str(caught.value)


OUT = (
    "../out.csv",
    "../../../../../../tmp/lifecycle-out.csv",
    "/tmp/lifecycle-out.csv",
    "a/../../out.csv",
    "..\\out.csv",
)


@pytest.mark.parametrize("name", OUT)
def test_no_archive_writes_outside_of_the_temporary_folder(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "in" / "rows.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(name, "x,y\n1,2\n")
    assert files.read(str(archive)).to_dict("list") == {"x": [1], "y": [2]}  # the name counts for nothing
    with tarfile.open(archive.with_name("rows.tar.gz"), "w:gz") as packed:
        packed.addfile(member := tarfile.TarInfo(name), io.BytesIO())
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(member)
    assert "rows.tar.gz" in refused(archive.with_name("rows.tar.gz"))
    assert sorted(file.name for file in archive.parent.iterdir()) == ["rows.tar.gz", "rows.zip"]
    assert [file.name for file in tmp_path.iterdir()] == ["in"]
    assert not Path("/tmp/lifecycle-out.csv").exists()
    temporary = [file for file in scratch_files._folder().rglob("*") if file.is_file()]
    assert all(file.resolve().is_relative_to(scratch_files._folder().resolve()) for file in temporary)


def test_a_link_in_a_zip_is_a_text_and_no_link(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as packed:
        link = zipfile.ZipInfo("rows.csv")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
    assert "/etc/passwd" in refused(tmp_path / "rows.zip") or "rows" in refused(tmp_path / "rows.zip")
    assert not [file for file in scratch_files._folder().rglob("*") if file.is_symlink()]


@pytest.mark.parametrize("ending", ["gz", "bz2", "zst", "zip"])
def test_an_archive_that_was_made_to_fill_the_disk_is_refused(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "ALWAYS_UNPACKED", 1 << 20)  # a gigabyte takes seconds
    content, file = b"x,y\n" + b"1,2\n" * (1 << 19), tmp_path / f"rows.csv.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("rows.csv", content)
    else:
        pack = {"gz": gzip.compress, "bz2": bz2.compress, "zst": lambda rows: pa.compress(rows, "zstd", asbytes=True)}
        file.write_bytes(pack[ending](content))
    monkeypatch.setattr(unpack, "MOST_RATIO", 100)
    assert re.search(r"unpacks to more than 0\.\d+ GB, over 100 times its size\. Unpack it yourself", refused(file))


FORMULAS = ["=1+2", "=cmd|'/C calc'!A0", "+1+2", "-2+3", "@SUM(A1)", '=HYPERLINK("http://evil.example")']


def test_a_formula_is_a_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"word": FORMULAS, "n": range(len(FORMULAS))})
    frame.to_csv(tmp_path / "a.csv", index=False)
    found = files.read(str(tmp_path / "a.csv"))
    assert found["word"].tolist() == FORMULAS
    for ending in (".csv", ".xlsx"):
        target = tmp_path / f"out{ending}"
        rows = pa.Table.from_pandas(found, preserve_index=False)
        with writers.create(target, rows.schema) as writer:
            writer.write(rows)
        assert files.read(str(target))["word"].tolist() == FORMULAS
    cells = [row[0] for row in openpyxl.load_workbook(tmp_path / "out.xlsx").active.iter_rows(min_row=2)]
    assert [(cell.value, cell.data_type) for cell in cells] == [(formula, "s") for formula in FORMULAS]


@pytest.mark.fault(41)
def test_no_file_of_a_run_holds_a_secret_of_the_environment(
    job: Command, lifecycle: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unused = (
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "DATABRICKS_TOKEN",
        "HF_TOKEN",
    )
    for name in ("SECRET", *unused):
        monkeypatch.setenv(name, f"{SECRET}-{name.lower()}")
    words = ("data.note=${oc.env:SECRET}", "data.source='by ${oc.env:SECRET} of ${data.note}'")
    shown = job("model=mlp", "data=iris", "trainer.max_epochs=1", "tracking.run_name=of-${oc.env:SECRET}", *words)
    assert shown.code == 0, shown.err
    failed = job("model=mlp", "data=iris", "data.path=${oc.env:SECRET}.csv", *words)
    assert failed.code == 2
    predicted = lifecycle("predict", "run=latest", "input=${oc.env:SECRET}.csv", "output=out.csv")
    assert predicted.code == 2
    for ended in (shown, failed, predicted):
        assert SECRET not in ended.out + ended.err
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"mlflow.db", "lifecycle.json", "request.json", "config.yaml"} <= {file.name for file in written}
    assert [file for file in written if SECRET.encode() in file.read_bytes()] == []


def test_no_link_leads_out_of_the_folder_of_runs(job: Command, lifecycle: Command, tmp_path: Path) -> None:
    assert job("model=mlp", "data=iris", "trainer.max_epochs=1").code == 0
    runs, elsewhere = tmp_path / "mlruns", tmp_path / "elsewhere"
    # A part of the folder may be a link: that is how more room is given to it.
    for name in ("artifacts", "checkpoints"):
        (runs / name).rename(tmp_path / f"large-{name}")
        (runs / name).symlink_to(tmp_path / f"large-{name}")
    rows = tmp_path / "rows.csv"
    files.read("sklearn:iris").to_csv(rows, index=False)
    assert lifecycle("predict", "run=latest", "input=rows.csv", "output=out.csv").code == 0
    elsewhere.mkdir()
    (weights,) = (tmp_path / "large-artifacts").rglob("weights.safetensors")
    (request,) = (tmp_path / "large-artifacts").rglob("request.json")
    (last,) = (tmp_path / "large-checkpoints").rglob("last.ckpt")
    for link, words in {
        weights: ["predict", "input=rows.csv", "output=out2.csv"],
        weights.parent: ["export", "format=safetensors", "output=out"],
        request: ["rerun"],
        last: ["resume", "trainer.max_epochs=2"],
        last.parent: ["resume", "trainer.max_epochs=2"],
    }.items():
        link.rename(elsewhere / link.name)
        link.symlink_to(elsewhere / link.name)
        before = {file: file.stat().st_mtime_ns for file in elsewhere.rglob("*")}
        ended = lifecycle(words[0], "run=latest", *words[1:])
        assert (ended.code, "Traceback" in ended.err) == (1, False), ended.err
        assert " by a link, outside of " in ended.err
        assert "else do not use it." in ended.err
        assert {file: file.stat().st_mtime_ns for file in elsewhere.rglob("*")} == before
        link.unlink()
        (elsewhere / link.name).rename(link)
    assert lifecycle("predict", "run=latest", "input=rows.csv", "output=out3.csv").code == 0


def test_folders_are_of_this_user_only(job: Command, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "mlruns")
    assert job("model=mlp", "data=iris", "trainer.max_epochs=1").code == 0
    assert (tmp_path / "mlruns").stat().st_mode & 0o077 == 0
    assert scratch_files._folder().stat().st_mode & 0o077 == 0
