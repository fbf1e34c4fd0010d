"""The verb export: the program gives the run's numbers on any batch, or nothing is left of it."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from lifecycle import registry
from lifecycle.contract import DataPlugin
from lifecycle.data.kinds.series import Series
from lifecycle.plugins.cnn import CNN
from lifecycle.plugins.lstm import LSTM
from lifecycle.plugins.mlp import MLP
from lifecycle.plugins.sequential import Sequential
from lifecycle.predict import export, saved_model
from lifecycle.predict.trained_model import TrainedModel
from tests.conftest import Command
from tests.packages import Site, fresh_site
from tests.predict.test_saved_model import KEPT
from tests.rows import ImageRows, SeriesRows, TableRows, labels, load_rows

TABLE, SERIES = KEPT / "v1" / "table", KEPT / "v1" / "series"
FORMATS = ("torch_export", "onnx", "safetensors")
site = pytest.fixture(fresh_site)


def make(plugin: DataPlugin, kind: str, model: Any, name: str, folder: Path) -> TrainedModel:
    """Save a model whose data are learnt and whose network has drawn weights, and statistics of batches."""
    data = load_rows(plugin)
    torch.manual_seed(0)
    network = model.build(data.spec)
    network.train()(torch.randn(16, *data.spec.input_shape))  # batch normalisation has seen something
    plain = registry.load("data", kind)(**{key: getattr(plugin, key) for key in KEPT_FIELDS[kind]})
    trained = TrainedModel(
        model_name=name,
        model=model,
        data_name="mine",
        data_kind=kind,
        data=plain,
        spec=data.spec,
        preprocessing=data.preprocessing,
        network=network.eval(),
        columns=data.columns,
        settings={},
        provenance={},
    )
    saved_model.save(trained, folder)
    return trained


KEPT_FIELDS = {
    "table": ["path", "target"],
    "images": ["path", "target", "shape"],
    "series": ["path", "target", "window"],
}


def numbers(rows: int = 60) -> pd.DataFrame:
    draws = np.random.default_rng(0)
    return pd.DataFrame(draws.normal(3, 5, size=(rows, 4)), columns=list("abcd"))


def table(classes: int) -> TableRows:
    return TableRows(frame=numbers().assign(y=labels(60, classes)))


def prices() -> TableRows:
    frame = numbers()
    return TableRows(frame=frame.assign(y=1e6 + 2e5 * frame["a"]))


def images() -> ImageRows:
    pixels = np.random.default_rng(0).integers(0, 256, size=(40, 64))
    return ImageRows(shape=[1, 8, 8], frame=pd.DataFrame(pixels).rename(columns=str).assign(y=labels(40, 3)))


def series() -> SeriesRows:
    return SeriesRows(window=3, frame=pd.DataFrame({"y": 50 + 9 * np.sin(np.arange(60.0))}))


NETWORKS: dict[str, tuple[Any, str, Any, str]] = {
    "mlp of two classes": (table(2), "table", MLP(hidden=[5], dropout=0.5, batch_norm=True), "mlp"),
    "mlp of prices": (prices(), "table", MLP(hidden=[5], activation="gelu"), "mlp"),
    "cnn": (images(), "images", CNN(channels=[3], batch_norm=True, block_dropout=0.3, hidden=[4]), "cnn"),
    "lstm": (series(), "series", LSTM(units=[2], cell_activation="tanh", bidirectional=True), "lstm"),
    "lstm with relu": (series(), "series", LSTM(units=[2, 2], cell_activation="relu"), "lstm"),
    "sequential": (series(), "series", Sequential(layers=[{"gru": 3}, {"dropout": 0.5}, "output"]), "sequential"),
}


def program_of(folder: Path) -> Any:
    """Return the exported program as its user loads it: inputs to predictions."""
    if (folder / "model.pt2").exists():
        module = torch.export.load(folder / "model.pt2").module()
        return lambda inputs: module(torch.from_numpy(inputs)).detach().numpy()
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    return lambda inputs: session.run(["predictions"], {"inputs": inputs})[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_program_gives_what_the_run_predicts_for_1_and_for_7_rows(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    plugin, kind, model, model_name = NETWORKS[name]
    trained = make(plugin, kind, model, model_name, tmp_path / "saved")
    raw = plugin.frame if kind == "series" else plugin.frame.drop(columns="y")
    before = 0 if kind != "series" else plugin.window
    for form in ("torch_export", "onnx"):
        folder = tmp_path / form
        lines = export.export(tmp_path / "saved", form, folder)
        assert re.search(r"1 and of 7 give the run's numbers: the largest difference is \d\.\de[+-]\d\d\.", lines[1])
        program = program_of(folder)
        for rows in (1, 7):
            some = raw.iloc[: rows + before]
            expected = trained.predict(some).drop(columns="predicted", errors="ignore").to_numpy()
            if trained.spec.task == "regression":
                expected = trained.predict(some)[["predicted"]].to_numpy()
            found = program(saved_model.prepare(folder, some))
            assert found.shape == expected.shape == (rows, len(json_of(folder)["outputs"]["columns"]))
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def json_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "signature.json").read_text()))


@pytest.mark.parametrize("form", FORMATS)
def test_a_saved_model_is_exported_with_its_preprocessing_and_code_that_runs(
    lifecycle: Command, tmp_path: Path, form: str
) -> None:
    if form == "onnx":
        pytest.importorskip("onnxscript")
    ended = lifecycle("export", f"run={TABLE / 'model'}", f"format={form}", "output=here/there")
    assert (ended.code, ended.err) == (0, "")
    folder = tmp_path / "here" / "there"
    program = {"torch_export": "model.pt2", "onnx": "model.onnx", "safetensors": "weights.safetensors"}[form]
    others = ["README.md", "lifecycle.json", "preprocessing.skops", "signature.json"]
    assert sorted(file.name for file in folder.iterdir()) == sorted([*others, program])
    assert [file.name for file in folder.parent.iterdir()] == ["there"]
    assert ended.out.startswith(f"Wrote here/there/{program} and its preprocessing; here/there/README.md")
    assert json_of(folder)["inputs"]["features"] == list(saved_model.load(TABLE / "model").spec.feature_names)
    assert json_of(folder)["outputs"]["columns"] == ["probability_maybe", "probability_no", "probability_yes"]
    (folder / "new.csv").write_bytes((TABLE / "rows.csv").read_bytes())
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    space: dict[str, Any] = {}
    exec(f"import os; os.chdir({str(folder)!r})\n{code}", space)
    expected = pd.read_csv(TABLE / "predictions.csv")
    if form == "safetensors":
        pd.testing.assert_frame_equal(space["predictions"], expected, check_dtype=False, rtol=1e-6)
        assert lifecycle("export", f"run={folder}", "format=torch_export", "output=again").code == 0
    else:
        found = np.asarray(torch.as_tensor(space["predictions"]).detach())
        np.testing.assert_allclose(found, expected.drop(columns="predicted"), atol=1e-6)


def test_a_differenced_series_says_what_is_to_be_added(tmp_path: Path) -> None:
    export.export(SERIES / "model", "torch_export", tmp_path / "out")
    outputs, text = json_of(tmp_path / "out")["outputs"], (tmp_path / "out" / "README.md").read_text()
    assert (outputs["difference"], outputs["base"], outputs["transform"]) == (1, {"1": 1.0}, "none")
    assert "the value of `sold` minus its base, which must be added (predicted)" in text
    assert "The base of the value y[t] is y[t-1], where" in text
    assert "the first sample belongs to row 5, counted" in text
    rows, expected = pd.read_csv(SERIES / "rows.csv"), pd.read_csv(SERIES / "predictions.csv")
    differences = program_of(tmp_path / "out")(saved_model.prepare(tmp_path / "out", rows))[:, 0]
    np.testing.assert_allclose(rows["sold"].to_numpy()[4:-1] + differences, expected["predicted"], rtol=1e-6)
    export.export(SERIES / "model", "safetensors", tmp_path / "saved")
    assert "the value of `sold` in its own units (predicted)" in (tmp_path / "saved" / "README.md").read_text()


GROWING = pd.DataFrame({"y": np.exp(3 + 0.02 * np.arange(60.0)) * (1.5 + np.sin(np.arange(60.0) / 2))})


@pytest.mark.parametrize(
    ("fields", "base", "formula"),
    [
        (
            {"difference": [1, 12], "transform": "log"},
            lambda y, t: y[t - 1] * y[t - 12] / y[t - 13],
            "y[t-1] * y[t-12] / y[t-13]",
        ),
        (
            {"difference": [1, 12], "transform": "none"},
            lambda y, t: y[t - 1] + y[t - 12] - y[t - 13],
            "y[t-1] + y[t-12] - y[t-13]",
        ),
        ({"difference": [1, 1], "transform": "none"}, lambda y, t: 2 * y[t - 1] - y[t - 2], "2 y[t-1] - y[t-2]"),
        ({"difference": 0, "transform": "log"}, None, ""),
    ],
    ids=["ratios", "two differences", "one twice", "logarithms alone"],
)
def test_a_forecast_by_the_text_of_an_export_is_that_of_predict(
    fields: dict[str, Any], base: Any, formula: str, tmp_path: Path
) -> None:
    plugin = SeriesRows(window=3, season=12, frame=GROWING, **fields)
    data = load_rows(plugin)
    torch.manual_seed(0)
    model, kept = LSTM(units=[2]), ("target", "window", "season", "difference", "transform")
    trained = TrainedModel(
        model_name="lstm",
        model=model,
        data_name="mine",
        data_kind="series",
        data=Series(path="a.csv", **{name: getattr(data.plugin, name) for name in kept}),
        spec=data.spec,
        preprocessing=data.preprocessing,
        network=model.build(data.spec).eval(),
        columns=data.columns,
        settings={},
        provenance={},
    )
    saved_model.save(trained, tmp_path / "saved")
    folder = tmp_path / "out"
    export.export(tmp_path / "saved", "torch_export", folder)
    text, outputs = (folder / "README.md").read_text(), json_of(folder)["outputs"]
    assert {"season": 12, "window": 3, "centre": True, **fields}.items() <= outputs.items()
    # As the text says, the next step is a row that repeats the last value.
    GROWING.iloc[[*range(60), 59]].to_csv(folder / "new.csv", index=False)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    space: dict[str, Any] = {}
    exec(f"import os; os.chdir({str(folder)!r})\n{code}", space)
    predictions = np.asarray(space["predictions"].detach())[:, 0].astype(np.float64)
    expected = float(trained.forecast(GROWING, 1)["predicted"].iloc[0])
    if base is None:
        assert "the value of `y` in its own units (predicted)" in text
        assert predictions[-1] == pytest.approx(expected, rel=1e-5)
        return
    assert f"The base of the value y[t] is {formula}, where" in text
    values = GROWING["y"].to_numpy()
    by_hand = (
        base(values, 60) * predictions[-1] if "*" in formula and "/" in formula else base(values, 60) + predictions[-1]
    )
    assert by_hand == pytest.approx(expected, rel=1e-5)
    assert space["values"][-1, 0] == pytest.approx(expected, rel=1e-5)
    first = int(re.findall(r"the first sample belongs to row (\d+)", text)[0])
    assert len(predictions) == 61 - first


def test_the_folder_has_a_name_of_its_own(lifecycle: Command, tmp_path: Path) -> None:
    assert lifecycle("export", f"run={TABLE / 'model'}", "format=safetensors").code == 0
    assert (tmp_path / "model-safetensors" / "weights.safetensors").is_file()
    ended = lifecycle("export", f"run={TABLE / 'model'}", "format=safetensors")
    assert ended.code == 2
    assert "output=model-safetensors exists already. Name another folder, or remove it." in ended.err


NET = """\
from __future__ import annotations
from dataclasses import dataclass
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.linear = nn.Linear(spec.input_shape[0], spec.num_outputs)
    def forward(self, x):
        {body}

@dataclass
class Plugin:
    "A network."
    def build(self, spec):
        return Net(spec)
"""


@pytest.mark.parametrize(
    ("form", "body", "reason"),
    [
        ("torch_export", "return self.linear(x) + torch.zeros(len(x), 1)", "your code specialized it to be a constant"),
        ("onnx", "return self.linear(x) if x.sum() > 0 else -self.linear(x)", "data-dependent"),
        ("torch_export", "return self.linear(x) + torch.from_numpy(x.numpy()).sum()", "cannot be exported as format="),
    ],
    ids=["one batch size", "a branch", "numpy"],
)
def test_a_network_that_cannot_be_exported_is_refused_in_a_sentence(
    site: Site, tmp_path: Path, form: str, body: str, reason: str
) -> None:
    if form == "onnx":
        pytest.importorskip("onnxscript")
    site.install("odd-net", {"odd": "Plugin"}, NET.format(body=body))
    make(table(3), "table", registry.load("model", "odd")(), "odd", tmp_path / "saved")
    with pytest.raises(export.ExportError, match=r"^model=odd cannot be exported as format=.*\. Fix its.*") as caught:
        export.export(tmp_path / "saved", form, tmp_path / "out")
    assert reason in str(caught.value)
    assert caught.value.exit_code == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["saved", "site-packages"]


class Wrong(nn.Module):
    """A program whose numbers are off."""

    def __init__(self, network: nn.Module, change: Any) -> None:
        super().__init__()
        self.network, self.change = network, change

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.as_tensor(self.change(self.network(inputs)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda numbers: numbers + 2e-5, r"differ from the run's by 2\.0e-05 on a batch of 1: more than 1e-05"),
        (lambda numbers: numbers * float("nan"), r"differ from the run's by nan on a batch of 1: more than 1e-05"),
        (
            lambda numbers: numbers[:1],
            r"returns outputs of shape \(1, 3\) for a batch of 7, and the run of shape \(7, 3\)",
        ),
        (lambda numbers: numbers.reshape(1, 3), r"cannot take a batch of 7: RuntimeError: shape '\[1, 3\]'"),
    ],
)
def test_other_numbers_are_refused(change: Any, sentence: str) -> None:
    trained = saved_model.load(TABLE / "model")
    right = export.WithUnits(trained.network, trained.units)
    assert export.compare(trained, right) == 0
    with pytest.raises(export.ExportError, match=sentence):
        export.compare(trained, Wrong(right, change))


def test_a_failed_check_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(export.ExportError, match=r"Nothing was written"):
        export.export(TABLE / "model", "torch_export", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "format is not chosen. Add format=torch_export, format=onnx or format=safetensors."),
        (["format=onxx"], "format=onxx is not known. Did you mean onnx? Choose from: torch_export, onnx, safetensors."),
        (["format=torch_export"], "run is not chosen. Add run=latest"),
        (["format=safetensors", "output=a/b.onnx"], "output=a/b.onnx names a file, and an export is a folder"),
        (["format=safetensors", "output=."], "output=. exists already. Name another folder, or remove it."),
        (["format=safetensors", "fromat=x"], "fromat is not a field of lifecycle export, got x. Did you mean format?"),
    ],
)
def test_a_wrong_word_is_one_sentence(lifecycle: Command, words: list[str], sentence: str) -> None:
    ended = lifecycle("export", *words)
    assert ended.code == 2
    assert sentence in ended.err


def test_a_missing_extra_is_named_with_its_command_before_anything_else(tmp_path: Path) -> None:
    code = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name.startswith("onnx") else find(name)
from lifecycle.cli.main import main
sys.argv = ["lifecycle", "export", "run=nothing", "format=onnx"]
code = main()
assert "torch" not in sys.modules
raise SystemExit(code)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert "format=onnx needs the packages onnx, onnxscript, onnxruntime, which are not installed." in ended.stderr
    assert "Run pip install 'nn-lifecycle[export]'." in ended.stderr
    assert importlib.util.find_spec("nothing_such") is None
