"""The documentation in an exported folder: ``signature.json``, and ``README.md`` with code that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lifecycle.capabilities import PredictsDifferences
from lifecycle.contract import MULTILABEL, REGRESSION, SAMPLE_SHAPES
from lifecycle.predict.outputs import column_names
from lifecycle.predict.trained_model import TrainedModel

INPUTS, PREDICTIONS = "inputs", "predictions"
"""Names of the input and the output of a program."""


def describe(trained: TrainedModel, folder: Path, file: str, name: str) -> None:
    """Write ``signature.json`` and ``README.md``, which describe the inputs and outputs of a program.

    Args:
        trained: the exported model.
        folder: where to write.
        file: name of the program.
        name: of the format: ``torch_export``, ``onnx`` or ``safetensors``.
    """
    spec, regression = trained.spec, trained.spec.task == REGRESSION
    # A program returns probabilities only; the predicted class is a column of files.
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
            "difference": trained.data.difference if isinstance(trained.data, PredictsDifferences) else 0,
        },
    }
    # ensure_ascii=False: names of columns stay readable.
    (folder / "signature.json").write_text(json.dumps(signature, indent=2, ensure_ascii=False) + "\n")
    (folder / "README.md").write_text(_readme(signature, regression, "label" if spec.task == MULTILABEL else "class"))


def _readme(signature: dict[str, Any], regression: bool, noun: str) -> str:
    inputs, outputs = signature["inputs"], signature["outputs"]
    meaning = f"the value of `{outputs['target']}` in its own units"
    if not regression:
        meaning = f"the probability of each {noun} of `{outputs['target']}`"
    if outputs["difference"]:
        meaning += f", as its difference to the value {outputs['difference']} steps before, which must be added"
    return f"""# {signature["program"]}

{_ABOUT[signature["format"]]}

- rows: the columns {", ".join(signature["columns"])}, as in the training file
- `{inputs["name"]}`: {inputs["dtype"]} {_shape(inputs)}, {inputs["axes"]}, the preprocessed rows
- `{outputs["name"]}`: {outputs["dtype"]} {_shape(outputs)}, {meaning} ({", ".join(outputs["columns"])})

```python
from lifecycle import saved
from lifecycle.data import sources

rows = sources.read("new.csv")  # codes such as 007 stay as they are
{_CODE[signature["format"]]}
```

`preprocessing.skops` holds a scikit-learn transformer, which `skops.io.load` reads; `lifecycle.json` the provenance.
"""


def _shape(tensor: dict[str, Any]) -> str:
    return f"({', '.join(map(str, tensor['shape']))})"


_ABOUT = {
    "torch_export": "The network as `torch.export` saved it; it needs only PyTorch. Load such files only from people "
    "you trust: PyTorch may unpickle parts of them.",
    "onnx": "The network as an ONNX program, for any runtime that reads ONNX.",
    "safetensors": "A saved model: weights and preprocessing, from which nn-lifecycle rebuilds the network. "
    "`lifecycle predict run=<this folder>` reads it too.",
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
