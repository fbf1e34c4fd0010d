"""What a trained model is on disk: three files and no pickle.

``lifecycle.json`` (format, plugins and their fields, DataSpec, compile settings, provenance, digests of the others),
``weights.safetensors``, and ``preprocessing.skops``. It takes raw rows and returns what a person reads.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import safetensors.torch
import skops.io
import torch
from torch import nn

from lifecycle import registry
from lifecycle.contract import DataPlugin, DataSpec, ModelPlugin, Samples
from lifecycle.data.dataset import as_column
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.data.steps import Step
from lifecycle.digests import sha256
from lifecycle.errors import LifecycleError, RequestError, SavedModelError
from lifecycle.forecast import forecast
from lifecycle.predict import as_frame, passes
from lifecycle.tasks import link_of
from lifecycle.units import Units

FORMAT = 1
MANIFEST, WEIGHTS, PREPROCESSING = "lifecycle.json", "weights.safetensors", "preprocessing.skops"
ROWS_AT_ONCE, NUMBERS_AT_ONCE = 8192, 1 << 20  # in a pass of a network: no more samples, no more numbers in them
TIME_STEP = "time_step"  # of the provenance, where times are known
TRUSTED = {"numpy.dtype"}  # beyond what skops trusts; making one runs no code


@dataclass(frozen=True)
class TrainedModel:
    """A network with all that it takes to use it on raw rows.

    Attributes:
        columns: columns that a prediction needs.
        settings: loss, metrics and optimizer that it was compiled with.
        provenance: where it comes from: run, epoch of the weights, digest of the data, versions.
    """

    model_name: str
    model: ModelPlugin
    data_name: str
    data_kind: str
    data: DataPlugin
    spec: DataSpec
    preprocessing: Preprocessing
    network: nn.Module
    columns: tuple[str, ...]
    settings: dict[str, Any]
    provenance: dict[str, Any]

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return a prediction a sample: ``predicted`` and ``probability_<class>``, or ``predicted`` in its own units.

        Args:
            rows: raw rows as the training file had them, in any order of columns; others are ignored.

        Raises:
            RequestError: a column is missing.
        """
        return self.predict_samples(self.samples(rows), rows)

    def samples(self, rows: pd.DataFrame) -> Samples:
        """Return the samples that raw rows are; raises what :meth:`predict` does."""
        return self.data.samples(self.checked(rows))

    def checked(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the columns of raw rows that a prediction uses; raises what :meth:`predict` does."""
        if not len(rows):
            raise RequestError("input has no rows. Give one or more to predict.")
        self.check_columns(rows.columns)
        used = rows[[*self.columns, *self.optional_columns(rows.columns)]]
        if self.time_step is not None and hasattr(self.data, "check_step"):
            self.data.check_step(used, self.time_step)
        return used

    def forecast(self, rows: pd.DataFrame, horizon: int = 1) -> pd.DataFrame:
        """Return the next ``horizon`` steps of a series after raw rows, each predicted from the values before it.

        A row a step: the column of times, going on as the rows' own, or else ``step`` from 1; and ``predicted``. Raises
        ``RequestError`` where this is no model of a series, or the rows are too few or otherwise of no use.
        """
        return forecast(self, rows, horizon)

    def unseen(self, samples: Samples) -> dict[str, Counter[str | None]]:
        """Return, by column, how often samples have a category that no training row had; ``None``: have none."""
        if not hasattr(self.data, "unseen"):
            return {}
        found: dict[str, Counter[str | None]] = self.data.unseen(self.preprocessing.inputs, samples.inputs)
        return found

    @property
    def time_step(self) -> Step | None:
        """How far the times of the training rows were apart; ``None``: that is not known, or there were none."""
        found = self.provenance.get(TIME_STEP)
        return None if found is None else Step(**found)

    def check_columns(self, names: Iterable[Any]) -> None:
        """Refuse rows that lack a column.

        Raises:
            RequestError: names it.
        """
        names = list(names)
        missing = [name for name in self.columns if name not in names]
        if missing:
            raise RequestError(
                f"input has no column {', '.join(missing)}, got {', '.join(map(str, names))}. "
                f"This model needs {', '.join(self.columns)}."
            )

    def optional_columns(self, names: Iterable[Any]) -> list[str]:
        """Return the columns among ``names`` that a prediction can do without, and uses where they are there."""
        names = list(names)
        return [name for name in getattr(self.data, "optional_columns", ()) if name in names]

    @property
    def numbers(self) -> list[str] | None:
        """The columns that are numbers, of a kind whose rows are samples of their own; ``None``: of another kind."""
        if not hasattr(self.data, "numbers"):
            return None
        return list(self.data.numbers(self.preprocessing.inputs, self.columns))

    @property
    def rows_at_once(self) -> int:
        """How many samples go through the network together: rounding may differ with it, so nothing else decides."""
        return max(1, min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // math.prod(self.spec.input_shape)))

    def predict_samples(self, samples: Samples, rows: pd.DataFrame) -> pd.DataFrame:
        """Return what :meth:`predict` does for the samples that :meth:`samples` made of ``rows``."""
        inputs = torch.from_numpy(self.data.apply(self.preprocessing.inputs, samples.inputs))
        if tuple(inputs.shape[1:]) != self.spec.input_shape:
            got, wanted = (" x ".join(map(str, shape)) for shape in (inputs.shape[1:], self.spec.input_shape))
            raise RequestError(f"input has samples of {got}, and this model takes {wanted}. Give such rows.")
        wrong = torch.nonzero(~inputs.flatten(1).isfinite().all(dim=1))
        if len(wrong):
            row = rows.index[samples.rows[int(wrong[0])]]
            raise RequestError(f"input has a value that is no finite number in row {row}. Mend the row.")
        units = Units(self.spec.task, *self.preprocessing.target_scale, link_of(self.settings.get("loss")))
        self.network.eval()
        outputs = passes(self.network, inputs, self.rows_at_once)
        base = None if samples.base is None else as_column(samples.base)
        return as_frame(outputs, units, self.spec, base)


def check_preprocessing(preprocessing: Preprocessing, source: str) -> None:
    """Refuse, before anything is trained, what could be saved and never be loaded again.

    Raises:
        RequestError: the data plugin learnt something that is no scikit-learn object.
    """
    learnt = skops.io.dumps({"inputs": preprocessing.inputs, "target": preprocessing.target})
    untrusted = set(skops.io.get_untrusted_types(data=learnt)) - TRUSTED
    if untrusted:
        raise RequestError(
            f"{source} learnt {', '.join(sorted(untrusted))}, which a saved model cannot hold. Let the plugin's "
            "learn() return a transformer of scikit-learn's."
        )


def save(trained: TrainedModel, folder: Path) -> None:
    """Write the three files into ``folder``, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_model(trained.network.cpu(), str(folder / WEIGHTS))
    learnt = {"inputs": trained.preprocessing.inputs, "target": trained.preprocessing.target}
    skops.io.dump(learnt, folder / PREPROCESSING)
    manifest = {
        "format": FORMAT,
        "model": {
            "plugin": trained.model_name,
            "package": _package("model", trained.model_name),
            "fields": _fields(trained.model),
        },
        "data": {
            "name": trained.data_name,
            "plugin": trained.data_kind,
            "package": _package("data", trained.data_kind),
            "fields": _fields(trained.data),
            "columns": list(trained.columns),
        },
        "spec": dataclasses.asdict(trained.spec),
        "compile": trained.settings,
        "provenance": trained.provenance,
        "sha256": {name: sha256(folder / name) for name in (WEIGHTS, PREPROCESSING)},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def load(folder: Path) -> TrainedModel:
    """Read a saved model.

    Raises:
        SavedModelError: a file is missing or altered, the format is unknown, or a plugin is not installed.
    """
    manifest = _manifest(folder)
    try:
        return _load(folder, manifest)
    except (KeyError, TypeError, RuntimeError, AttributeError) as error:
        what = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise SavedModelError(
            f"{folder} does not hold together ({what}). Take the model from its run again."
        ) from error


def _load(folder: Path, manifest: dict[str, Any]) -> TrainedModel:
    model_name, data_kind = manifest["model"]["plugin"], manifest["data"]["plugin"]
    try:
        model = registry.load("model", model_name)(**manifest["model"]["fields"])
        data = registry.load("data", data_kind)(**manifest["data"]["fields"])
    except (LifecycleError, TypeError, ValueError) as error:
        packages = " and ".join({manifest["model"]["package"], manifest["data"]["package"]})
        raise SavedModelError(
            f"{folder} was saved with {packages}, which this installation does not match: {error}"
        ) from error
    plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in manifest["spec"].items()}
    spec = DataSpec(**plain)
    untrusted = set(skops.io.get_untrusted_types(file=folder / PREPROCESSING)) - TRUSTED
    if untrusted:
        raise SavedModelError(
            f"{folder / PREPROCESSING} holds {', '.join(sorted(untrusted))}, which is no known preprocessing. "
            "Do not use it."
        )
    learnt = skops.io.load(folder / PREPROCESSING, trusted=sorted(TRUSTED))
    network = model.build(spec)
    safetensors.torch.load_model(network, str(folder / WEIGHTS))
    return TrainedModel(
        model_name=model_name,
        model=model,
        data_name=manifest["data"]["name"],
        data_kind=data_kind,
        data=data,
        spec=spec,
        preprocessing=Preprocessing(learnt["inputs"], learnt["target"]),
        network=network.eval(),
        columns=tuple(manifest["data"]["columns"]),
        settings=manifest["compile"],
        provenance=manifest["provenance"],
    )


def _manifest(folder: Path) -> dict[str, Any]:
    for name in (MANIFEST, WEIGHTS, PREPROCESSING):
        if not (folder / name).is_file():
            raise SavedModelError(f"{folder} is no saved model: it has no {name}. Give the folder that a run saved.")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except ValueError as error:
        raise SavedModelError(
            f"{folder / MANIFEST} cannot be read: {error}. Take the model from its run again."
        ) from error
    if manifest.get("format") != FORMAT:
        raise SavedModelError(
            f"{folder} has the format {manifest.get('format')}, and this version reads {FORMAT}. Update nn-lifecycle."
        )
    for name in (WEIGHTS, PREPROCESSING):
        if sha256(folder / name) != manifest.get("sha256", {}).get(name):
            raise SavedModelError(
                f"{folder / name} is not the file that was saved: its sha256 differs. Take it from its run again."
            )
    return manifest


def _fields(plugin: Any) -> dict[str, Any]:
    return dataclasses.asdict(plugin)


def _package(kind: str, name: str) -> str:
    return registry.plugins(kind)[name].source


class PyFunc:
    """The model as MLflow calls it."""

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return what :meth:`TrainedModel.predict` does; with ``params={"horizon": 3}`` the next steps of a series."""
        if horizon := (params or {}).get("horizon"):
            return self.trained.forecast(model_input, int(horizon))
        return self.trained.predict(model_input)


def _load_pyfunc(path: str) -> PyFunc:
    """Load for MLflow, which finds this function by name."""
    return PyFunc(load(Path(path)))
