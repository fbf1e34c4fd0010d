"""The two contracts: all that the author of a plugin imports.

A **model plugin** is a dataclass of hyper-parameters with one verb, ``build``; a **data plugin** is a dataclass that
says where rows are and how they become samples. Between them stands :class:`DataSpec`. Neither knows the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import nn

BINARY, MULTICLASS, REGRESSION = "binary", "multiclass", "regression"

SAMPLE_SHAPES = {1: "(features)", 2: "(steps, features)", 3: "(channels, height, width)"}
"""What the axes of one sample mean, by their number."""


@dataclass(frozen=True)
class DataSpec:
    """What a network has to know of the data, in plain values; the wall between data and model.

    Attributes:
        task: ``"binary"``, ``"multiclass"`` or ``"regression"``.
        input_shape: shape of one sample without the batch axis; :data:`SAMPLE_SHAPES` names its axes.
        num_outputs: values the network returns for a sample: 1 logit (binary), one logit a class, or one value.
        target_name: name of the column that is predicted.
        class_names: names of the classes, in the order of the logits (for binary: negative, positive); else empty.
        feature_names: names along the feature axis; empty where features have none (pixels).

    >>> DataSpec("multiclass", (4,), 3, "species", ("setosa", "versicolor", "virginica")).num_outputs
    3
    """

    task: str
    input_shape: tuple[int, ...]
    num_outputs: int
    target_name: str = "target"
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()


class ModelPlugin(Protocol):
    """A dataclass (not frozen) whose fields are hyper-parameters; declared under ``lifecycle.models``.

    Two things are optional. ``sample_dims``, a ``ClassVar[tuple[int, ...]]``, says how many axes a sample may have
    (see :data:`SAMPLE_SHAPES`), so that unfitting data are refused before they are loaded. ``__post_init__`` may raise
    ``ValueError("<field> must be ..., got <value>. <cure>")`` for a value out of range.

    >>> from dataclasses import dataclass
    >>> from torch import nn
    >>> @dataclass
    ... class Straight:
    ...     "A linear network."
    ...     bias: bool = True
    ...
    ...     def build(self, spec):
    ...         return nn.Linear(spec.input_shape[0], spec.num_outputs, self.bias)
    >>> Straight(bias=False).build(DataSpec("regression", (4,), 1))
    Linear(in_features=4, out_features=1, bias=False)
    """

    def build(self, spec: DataSpec) -> nn.Module:
        """Return the network: ``(batch, *spec.input_shape) float32 -> (batch, spec.num_outputs)`` logits or values."""
        ...


@dataclass(frozen=True)
class Samples:
    """Rows as samples and targets, before any preprocessing.

    Attributes:
        inputs: first axis (or frame rows) = samples.
        targets: one a sample, in the user's own terms (class labels or values); ``None`` where rows carry no target.
        rows: the number, in the source and from 0, of the row that each sample's target stands in.
        base: regression: a value a sample, in the target's units, that is known without the target and that the network
            learns the difference to (a series that is differenced); ``None``: it learns the value itself.
        naive: forecasts that need no network, by name (``"last value"``), a value a sample in the target's units.
        times: when each target is, as the source has it; ``None`` where the source has no times.
        files: the file that each sample is; ``None`` where a sample is no file.
        weights: how much each sample counts in losses and scores, 0 or more; ``None``: all the same.

    >>> import numpy as np
    >>> Samples(np.zeros((2, 4)), np.array(["setosa", "virginica"]), rows=np.array([0, 1])).inputs.shape
    (2, 4)
    """

    inputs: pd.DataFrame | np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any] | None
    rows: np.ndarray[Any, Any]
    base: np.ndarray[Any, Any] | None = None
    naive: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    times: np.ndarray[Any, Any] | None = None
    files: np.ndarray[Any, Any] | None = None
    weights: np.ndarray[Any, Any] | None = None


@dataclass(frozen=True)
class Split:
    """Positions of the samples in the three parts; disjoint, together all of them.

    ``val`` may be empty: nothing validates. ``test`` may be empty: nothing is held out, and the scores are those of the
    training rows, which the run says.

    >>> import numpy as np
    >>> Split(np.array([0, 3]), val=np.array([1]), test=np.array([2])).train.tolist()
    [0, 3]
    """

    train: np.ndarray[Any, Any]
    val: np.ndarray[Any, Any]
    test: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Target:
    """What the targets are: their column's name and the task, ``"classification"`` or ``"regression"``.

    >>> Target("price", "regression", scaled=False).task
    'regression'
    """

    name: str
    task: str
    scaled: bool = True  # regression: standardise while training; scores are in the user's units


class DataPlugin(Protocol):
    """A dataclass (not frozen) whose fields say where rows are and how they are read; under ``lifecycle.data``.

    ``sample_dim`` is the number of axes of one sample, known without loading anything.

    What it may do beyond this is in :mod:`lifecycle.capabilities`. ``learn(inputs, weights)`` may take the samples'
    weights too.
    Fields ``path``, ``source``, ``licence`` and ``note`` are what `lifecycle data` shows; ``drop``, ``time`` and
    ``weight`` name columns that it calls so.

    >>> from lifecycle.data.kinds.table import Table
    >>> rows = Table(path="sklearn:iris", target="species")
    >>> frame = rows.read()
    >>> rows.describe_target(frame).task, rows.samples(frame).inputs.shape
    ('classification', (150, 4))
    """

    sample_dim: ClassVar[int]

    def read(self) -> pd.DataFrame:
        """Return the raw rows, the target among the columns. Raises ``RequestError`` where that cannot be."""
        ...

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return which column is the target, and the task it sets."""
        ...

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the columns that a prediction needs."""
        ...

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Turn raw rows into samples; without the target column, into samples with no targets."""
        ...

    def split(self, samples: Samples, task: str, seed: int) -> Split:
        """Divide the samples into train, validation and test, as a function of ``seed`` alone."""
        ...

    def learn(self, inputs: Any) -> Any:
        """Return a scikit-learn transformer fitted to ``inputs``, which are those of training samples only."""
        ...

    def apply(self, transformer: Any, inputs: Any) -> np.ndarray[Any, Any]:
        """Return ``inputs`` as the network takes them: ``(samples, *input_shape) float32``."""
        ...

    def feature_names(self, transformer: Any) -> tuple[str, ...]:
        """Return the names along the feature axis of what :meth:`apply` returns; empty where there are none."""
        ...
