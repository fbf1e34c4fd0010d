"""The documentation in an exported folder: ``signature.json``, and ``README.md`` with code that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lifecycle.capabilities import PredictsDifferences
from lifecycle.contract import LOG, MULTILABEL, REGRESSION, SAMPLE_SHAPES
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
            **(trained.data.differences() if isinstance(trained.data, PredictsDifferences) else {}),
        },
    }
    # ensure_ascii=False: names of columns stay readable.
    (folder / "signature.json").write_text(json.dumps(signature, indent=2, ensure_ascii=False) + "\n")
    (folder / "README.md").write_text(_readme(signature, regression, "label" if spec.task == MULTILABEL else "class"))


def _readme(signature: dict[str, Any], regression: bool, noun: str) -> str:
    inputs, outputs, form = signature["inputs"], signature["outputs"], signature["format"]
    # A saved model adds the base itself.
    has_base = bool(outputs.get("base")) and form != "safetensors"
    meaning = f"the value of `{outputs['target']}` in its own units"
    if not regression:
        meaning = f"the probability of each {noun} of `{outputs['target']}`"
    code, note = _CODE[form], ""
    if has_base:
        meaning, note = _of_base(outputs)
        sign = "*" if outputs["transform"] == LOG else "+"
        numbers = "predictions.detach().numpy()" if form == "torch_export" else "predictions"
        code += f'\n\nvalues = saved.bases(".", rows) {sign} {numbers}  # of `{outputs["target"]}`, in its own units'
    return f"""# {signature["program"]}

{_ABOUT[form]}

- rows: the columns {", ".join(signature["columns"])}, as in the training file
- `{inputs["name"]}`: {inputs["dtype"]} {_shape(inputs)}, {inputs["axes"]}, the preprocessed rows
- `{outputs["name"]}`: {outputs["dtype"]} {_shape(outputs)}, {meaning} ({", ".join(outputs["columns"])})
{note}
```python
from lifecycle import saved
from lifecycle.data import sources

rows = sources.read("new.csv")  # codes such as 007 stay as they are
{code}
```

`preprocessing.skops` holds a scikit-learn transformer, which `skops.io.load` reads; `lifecycle.json` the provenance.
"""


def _of_base(outputs: dict[str, Any]) -> tuple[str, str]:
    """Return what the outputs of a program are that learnt differences, and how the user's values follow from them."""
    target, is_log, rows = outputs["target"], outputs["transform"] == LOG, sum(_lags(outputs)) + outputs["window"]
    base = (_product if is_log else _sum)({int(step): factor for step, factor in outputs["base"].items()})
    if is_log:
        meaning = f"the value of `{target}` divided by its base, which it must be multiplied by"
    else:
        meaning = f"the value of `{target}` minus its base, which must be added"
    later = " A value that is not known yet is replaced by its own base." if outputs["horizon"] > 1 else ""
    return (
        meaning,
        f"""
The base of the value y[t] is {base}, where y[t-1] is the value of `{target}` one step before.{later} Rows are put in
order of time, and the first sample belongs to row {rows}, counted from 0. To forecast the step after the last row,
append a row for it which repeats the last value of `{target}`: no input is computed from it.
""",
    )


def _lags(outputs: dict[str, Any]) -> list[int]:
    difference = outputs["difference"]
    return list(difference) if isinstance(difference, list) else [difference]


def _sum(factors: dict[int, float]) -> str:
    """Return a sum of earlier values.

    >>> _sum({1: 1.0, 12: 1.0, 13: -1.0}), _sum({1: 2.0, 2: -1.0})
    ('y[t-1] + y[t-12] - y[t-13]', '2 y[t-1] - y[t-2]')
    """
    text = ""
    for step, factor in sorted(factors.items()):
        sign = (" + " if factor > 0 else " - ") if text else "-" * (factor < 0)
        text += f"{sign}{f'{abs(factor):g} ' * (abs(factor) != 1)}y[t-{step}]"
    return text


def _product(factors: dict[int, float]) -> str:
    """Return a product of earlier values, by the factors of their logarithms.

    >>> _product({1: 1.0, 12: 1.0, 13: -1.0}), _product({1: 2.0, 2: -1.0})
    ('y[t-1] * y[t-12] / y[t-13]', 'y[t-1]**2 / y[t-2]')
    """
    text = ""
    for step, factor in sorted(factors.items(), key=lambda item: item[1] < 0):  # what is divided by comes last
        sign = (" * " if factor > 0 else " / ") if text else ""
        text += f"{sign}y[t-{step}]{f'**{abs(factor):g}' * (abs(factor) != 1)}"
    return text


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
