"""The fitted preprocessing that is saved with a model: the transformer of inputs and the encoder of targets."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import MultiLabelBinarizer, OrdinalEncoder, StandardScaler

from lifecycle.contract import BINARY, LOG, MULTICLASS, MULTILABEL, REGRESSION, DataSpec, Target
from lifecycle.data.columns import label_sets
from lifecycle.data.columns.features import as_known
from lifecycle.data.columns.targets import as_labels, as_numbers, classes
from lifecycle.errors import RequestError, Setting
from lifecycle.runtime.imports.of_skops import complete_skops

VALUES_AT_ONCE = 2**20
"""Values of a target that are scaled together, which bounds the memory."""

NO_TRANSFORM = Setting("data.transform", "none")

ROUNDING = 10 * float(np.finfo(np.float64).eps)
"""A standard deviation below this share of the mean is rounding error of equal values."""


OWN_TYPES = {
    *(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "slice", "str", "tuple")),
    *(f"numpy.{name}" for name in ("dtype", "float32", "float64", "int64", "ndarray")),
    "sklearn.compose._column_transformer.ColumnTransformer",
    "sklearn.decomposition._truncated_svd.TruncatedSVD",
    "sklearn.feature_extraction.text.TfidfTransformer",
    "sklearn.feature_extraction.text.TfidfVectorizer",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.MaxAbsScaler",
    "sklearn.preprocessing._data.MinMaxScaler",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._encoders.OrdinalEncoder",
    "sklearn.preprocessing._label.MultiLabelBinarizer",
}
"""Types that the built-in data plugins learn, all of which skops trusts; its own list takes long to make."""


@dataclass(frozen=True)
class Preprocessing:
    """Fitted scikit-learn objects.

    Attributes:
        inputs: the result of the data plugin's ``learn``.
        target: an ``OrdinalEncoder`` (classification), a
            ``MultiLabelBinarizer`` (several labels), a ``StandardScaler`` (regression), or ``None`` (not scaled).
        gaps: columns with missing values in the run; ``None``: inputs are an array, or it was not recorded.
        transform: of a regression's target, before it is scaled: ``"log"``, or ``""`` for none.
    """

    inputs: Any
    target: Any
    gaps: frozenset[str] | None = None
    transform: str = ""

    def encode(self, targets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return labels as ``(n,) int64`` codes, sets of labels as ``(n, labels) float32`` of 0 and 1, or values.

        Values are ``(n,) float32`` on the training scale.
        """
        if isinstance(self.target, MultiLabelBinarizer):
            return np.asarray(self.target.transform(list(map(label_sets.split, targets))), dtype=np.float32)
        if isinstance(self.target, OrdinalEncoder):
            return np.asarray(self.target.transform(_column(targets)).ravel(), dtype=np.int64)
        if self.target is None:
            return np.asarray(targets, dtype=np.float32)
        encoded = np.empty(len(targets), dtype=np.float32)
        for start in range(0, len(targets), VALUES_AT_ONCE):  # scikit-learn copies what it scales, in double precision
            some = slice(start, start + VALUES_AT_ONCE)
            encoded[some] = self.target.transform(targets[some].reshape(-1, 1)).ravel()
        return encoded

    @cached_property
    def serialized(self) -> bytes:
        """The content of the file ``preprocessing.skops``."""
        learnt = {"inputs": self.inputs, "target": self.target}
        with suppress(Exception):  # whatever the classes raise that skops treats in a way of their own
            content = _dumped(learnt)
            if are_own(content):
                return content
        complete_skops()
        return _dumped(learnt)

    @property
    def target_scale(self) -> tuple[float, float]:
        """``(offset, scale)``: a value in the user's units is ``offset + scale * output``."""
        if not isinstance(self.target, StandardScaler):
            return 0.0, 1.0
        return float(self.target.mean_[0]), float(self.target.scale_[0])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes in the order of the codes, or labels; empty for a regression."""
        if isinstance(self.target, MultiLabelBinarizer):
            return tuple(map(str, self.target.classes_))
        return tuple(map(str, self.target.categories_[0])) if isinstance(self.target, OrdinalEncoder) else ()


def differences(labels: np.ndarray[Any, Any], base: np.ndarray[Any, Any] | None, transform: str = "") -> Any:
    """Return what a network learns: the labels, transformed, as differences to their base.

    Args:
        labels: ``(samples,)`` clean targets.
        base: ``(samples,)`` on the scale of the transform; ``None``: no differences.
        transform: see :class:`Preprocessing`.

    Raises:
        RequestError: a value has no logarithm.
    """
    values = labels
    if transform == LOG:
        if len(wrong := np.flatnonzero(~(labels > 0))):
            problem = f"has no logarithm of the target {labels[wrong[0]]:g}, and the training rows are all above 0"
            raise RequestError(Setting("data.transform", LOG), problem, remedy=["Add ", NO_TRANSFORM, "."])
        values = np.log(labels)
    return values if base is None else values - base


def clean_targets(targets: np.ndarray[Any, Any], target: Target) -> np.ndarray[Any, Any]:
    """Return targets as strings (classification) or float64 (regression); see :mod:`lifecycle.data.columns.targets`."""
    if target.task == "classification":
        return as_labels(targets, target.name)
    if target.task == MULTILABEL:
        return _as_sets(targets, target)
    return as_numbers(targets, target.name, (", or add ", Setting("data.task", "classification")))


def _as_sets(targets: np.ndarray[Any, Any], target: Target) -> np.ndarray[Any, Any]:
    """Return sets of labels, checked.

    Raises:
        RequestError: there are fewer than two labels, or no row has one that is named.
    """
    names = label_sets.labels_in(targets)
    setting = Setting("data.target", target.name)
    if absent := [name for name in target.columns if name not in names]:
        problem = f"is 0 in all rows for {', '.join(absent)}, which cannot be learnt"
        raise RequestError(setting, problem, remedy=["Leave it out of ", Setting("data.target"), "."])
    if len(names) < 2:
        problem = f"has {'no label' if not names else f'one label only, {names[0]}'}"
        raise RequestError(setting, problem, remedy="Give rows of two labels or more.")
    return np.array(targets, dtype=object)


def strata(labels: np.ndarray[Any, Any], target: Target) -> np.ndarray[Any, Any]:
    """Return what rows are divided by in proportion: their classes, or the rarest of their labels; ``(rows,)``."""
    return label_sets.strata(labels) if target.task == MULTILABEL else labels


def learn_target(
    targets: np.ndarray[Any, Any],
    train: np.ndarray[Any, Any],
    target: Target,
    weights: np.ndarray[Any, Any] | None = None,
) -> tuple[str, Any]:
    """Return the task of a network and the target's encoder.

    The classes are those of all targets, so that a class that only held-out rows have is known. Mean and scale of a
    regression are those of the training rows.

    Args:
        targets: ``(rows,)`` clean targets.
        train: positions of the training rows.
        target: its task, and whether to scale it.
        weights: ``(train rows,)`` sample weights; ``None``: all 1.
    """
    if target.task == "classification":
        # OrdinalEncoder would sort "10" before "9".
        names = classes(targets)
        encoder = OrdinalEncoder(categories=[np.array(names, dtype=object)]).fit(_column(targets))
        return (BINARY if len(names) == 2 else MULTICLASS), encoder
    if target.task == MULTILABEL:
        names = list(target.columns) or label_sets.labels_in(targets)
        return MULTILABEL, MultiLabelBinarizer(classes=np.array(names, dtype=object)).fit([names])
    return REGRESSION, _scaler(targets[train], weights, target.centred) if target.scaled else None


def _scaler(values: np.ndarray[Any, Any], weights: np.ndarray[Any, Any] | None, centred: bool = True) -> StandardScaler:
    """Return the fitted scaler of values.

    scikit-learn treats a deviation as rounding error, and sets the scale to 1, below a bound that grows with the number
    of rows; here the bound does not depend on it.
    """
    scaler = StandardScaler().fit(values.reshape(-1, 1), sample_weight=weights)
    if not centred:  # the deviation from 0
        scaler.var_ = scaler.var_ + scaler.mean_**2
        scaler.mean_ = np.zeros_like(scaler.mean_)
    deviation = np.sqrt(scaler.var_)
    scaler.scale_ = np.where(deviation > ROUNDING * np.abs(scaler.mean_), deviation, 1.0)
    return scaler


def labels_like(targets: np.ndarray[Any, Any], preprocessing: Preprocessing, spec: DataSpec) -> np.ndarray[Any, Any]:
    """Return clean targets of rows that the model was not trained on.

    Args:
        targets: ``(rows,)`` as their source has them.
        preprocessing: preprocessing of the model.
        spec: of the model.

    Raises:
        RequestError: a class is unknown to the model, or a value is not a number.
    """
    if spec.task == REGRESSION:
        return as_numbers(targets, spec.target_name)
    if spec.task == MULTILABEL:
        label_sets.check_known(targets, preprocessing.class_names, spec.target_name)
        return np.array(targets, dtype=object)
    # Each different value is converted once; there may be millions of rows.
    known = {str(value): as_known(str(value), preprocessing.class_names) for value in pd.unique(targets)}
    labels = np.array([known[str(value)] for value in targets])
    unknown = np.flatnonzero(~np.isin(labels, preprocessing.class_names))
    if len(unknown):
        problem = f"is {labels[unknown[0]]} in row {unknown[0]}, which is no class of the model"
        raise RequestError(spec.target_name, problem, remedy=f"Its classes: {', '.join(preprocessing.class_names)}.")
    return labels


def class_values(targets: np.ndarray[Any, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the classes with the types of the source (a number as a number), in the order of their names."""
    if not names:
        return ()
    by_name = {str(value): value.item() if hasattr(value, "item") else value for value in pd.unique(targets)}
    return tuple(by_name.get(name, name) for name in names)


def _column(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return labels.astype(object).reshape(-1, 1)


def _dumped(learnt: Any) -> bytes:
    import skops.io

    content: bytes = skops.io.dumps(learnt, compression=zipfile.ZIP_DEFLATED)  # 100 kB -> 10 kB
    return content


def are_own(serialized: bytes) -> bool:
    """Return whether serialized preprocessing has the types of the built-in data plugins only."""
    with zipfile.ZipFile(io.BytesIO(serialized)) as archive:
        return _types_in(json.loads(archive.read("schema.json"))) <= OWN_TYPES


def _types_in(schema: Any) -> set[str]:
    """Return the types that a schema of skops names."""
    if isinstance(schema, list):
        return set().union(*map(_types_in, schema))
    if not isinstance(schema, dict):
        return set()
    own = {f"{schema.get('__module__')}.{schema['__class__']}"} if "__class__" in schema else set()
    return own.union(*map(_types_in, schema.values()))
