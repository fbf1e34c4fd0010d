"""What lies beside an exported program for its user: what goes in, what comes out, and code that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lifecycle.contract import REGRESSION, SAMPLE_SHAPES
from lifecycle.predict.outputs import column_names
from lifecycle.predict.trained_model import TrainedModel

INPUTS, PREDICTIONS = "inputs", "predictions"
"""What a program calls what it takes and what it returns."""


def describe(trained: TrainedModel, folder: Path, file: str, name: str) -> None:
    """Write what goes in and what comes out: ``signature.json``, and ``README.md`` with code that runs."""
    spec, regression = trained.spec, trained.spec.task == REGRESSION
    columns = column_names(spec)[not regression :]
    signature = {
        "format": name,
        "program": file,
        "columns": list(trained.columns),
        "inputs": {
            "name": INPUTS,
            "dtype": "float32",
            "shape": ["batch", *spec.input_shape],
            "axes": SAMPLE_SHAPES.get(len(spec.input_shape), ""),
            "features": list(spec.feature_names),
        },
        "outputs": {
            "name": PREDICTIONS,
            "dtype": "float32",
            "shape": ["batch", len(columns)],
            "columns": columns,
            "target": spec.target_name,
            "difference": getattr(trained.data, "difference", 0),
        },
    }
    (folder / "signature.json").write_text(json.dumps(signature, indent=2, ensure_ascii=False) + "\n")
    (folder / "README.md").write_text(_readme(signature, regression))


def _readme(signature: dict[str, Any], regression: bool) -> str:
    given, made = signature["inputs"], signature["outputs"]
    meaning = f"the value of `{made['target']}` in its own units"
    if not regression:
        meaning = f"the probability of each class of `{made['target']}`"
    if made["difference"]:
        meaning += f", less the one {made['difference']} steps before, which is to be added"
    return f"""# {signature["program"]}

{_ABOUT[signature["format"]]}

- rows: the columns {", ".join(signature["columns"])}, as the training file had them
- `{given["name"]}`: {given["dtype"]} {_shape(given)}, {given["axes"]}, what preprocessing makes of them
- `{made["name"]}`: {made["dtype"]} {_shape(made)}, {meaning} ({", ".join(made["columns"])})

```python
from lifecycle import saved
from lifecycle.data import sources

rows = sources.read("new.csv")  # codes such as 007 stay as they are
{_CODE[signature["format"]]}
```

`preprocessing.skops` holds scikit-learn's transformer (`skops.io.load` reads it), `lifecycle.json` where all is from.
"""


def _shape(of: dict[str, Any]) -> str:
    return f"({', '.join(map(str, of['shape']))})"


_ABOUT = {
    "torch_export": "The network as `torch.export` saved it; it needs PyTorch and no more. Load such files from people "
    "you trust only: PyTorch may unpickle parts of them.",
    "onnx": "The network as an ONNX program, for any runtime that reads ONNX.",
    "safetensors": "A saved model: weights and preprocessing, from which nn-lifecycle builds the network again. "
    "`lifecycle predict run=<this folder>` takes it too.",
}

_CODE = {
    "torch_export": """inputs = saved.prepare(".", rows)

import torch  # all that the program itself needs

predictions = torch.export.load("model.pt2").module()(torch.from_numpy(inputs))""",
    "onnx": """inputs = saved.prepare(".", rows)

import onnxruntime  # all that the program itself needs

(predictions,) = onnxruntime.InferenceSession("model.onnx").run(None, {"inputs": inputs})""",
    "safetensors": """predictions = saved.load(".").predict(rows)  # raw rows in: preprocessing, network and units""",
}
