"""The contracts of plugins: everything that the author of a plugin has to import.

A **model plugin** is a dataclass of hyper-parameters with one method, ``build``. A **data plugin** is a dataclass that
says where rows are and how they become samples. :class:`DataSpec` is all that a model plugin knows of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from lifecycle.errors import Text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import nn

LOG = "log"
"""A transform of a regression's target: the network learns its natural logarithm."""

BINARY, MULTICLASS, MULTILABEL, REGRESSION = "binary", "multiclass", "multilabel", "regression"

SAMPLE_SHAPES = {1: "(features)", 2: "(steps, features)", 3: "(channels, height, width)"}
"""Meaning of the axes of one sample, by their number."""


@dataclass(frozen=True)
class DataSpec:
    """The facts about the data that a network needs, in plain values.

    Attributes:
        task: ``"binary"``, ``"multiclass"``, ``"multilabel"`` (a sample has any number of labels) or
            ``"regression"``.
        input_shape: shape of one sample without the batch axis; :data:`SAMPLE_SHAPES` names its axes.
        num_outputs: outputs of the network for a sample: 1 logit (binary), one logit per class or label, or one
            value.
        target_name: name of the predicted column.
        class_names: names of the classes or labels, in the order of the logits (for binary: negative, positive); else
            empty.
        feature_names: names along the feature axis; empty if features have none (pixels).

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

    Two things are optional. ``sample_dims``, a ``ClassVar[tuple[int, ...]]``, has the possible numbers of axes of a
    sample (see :data:`SAMPLE_SHAPES`), so that other data are refused before they are loaded. ``__post_init__`` may
    raise ``ValueError("<field> must be ..., got <value>. <remedy>")`` for a value out of range.

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
        targets: ``(samples,)`` class labels or values as the user has them, or sets of labels as texts, see
            :mod:`lifecycle.data.columns.label_sets`; ``None`` if the rows have no target.
        rows: ``(samples,)`` numbers, from 0, of the rows of the targets in the source.
        base: regression: ``(samples,)`` values in the target's units, known without the target, to which the network
            learns the difference (a differenced series); ``None``: it learns the value itself. Where the target is
            transformed, on the scale of the transform.
        naive: forecasts without a network by name (``"last value"``), ``(samples,)`` in the target's units.
        times: ``(samples,)`` times of the targets as in the source; ``None`` if it has no times.
        files: ``(samples,)`` file of each sample; ``None`` if samples are no files.
        weights: ``(samples,)`` weights in losses and scores, 0 or more; ``None``: 1 each.
        groups: ``(samples,)`` group of each sample, which is not divided between parts; ``None``: there are none.
        moments: ``(samples,) int64`` place in time of each sample, equal for equal times; ``None``: there are no times.
        parts: ``(samples,)`` ``"train"``, ``"validation"`` or ``"test"``, as the source says; ``None``: it does not.
        hashes: ``(samples,) uint64`` of the inputs, equal for equal ones; ``None``: they are computed where needed.
        about: further columns of the table of predictions by name, ``(samples,)`` each: the series, the steps ahead.

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
    groups: np.ndarray[Any, Any] | None = None
    moments: np.ndarray[Any, Any] | None = None
    parts: np.ndarray[Any, Any] | None = None
    hashes: np.ndarray[Any, Any] | None = None
    about: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation: its samples are the test samples, and those of all other folds are not.

    Attributes:
        index: from 0.
        folds: number of folds, 2 or more.
        repeat: from 0; each repetition divides the samples anew.

    >>> Fold(index=0, folds=5)
    Fold(index=0, folds=5, repeat=0)
    """

    index: int
    folds: int
    repeat: int = 0


@dataclass(frozen=True)
class Split:
    """Indices of the samples in the three parts, which are disjoint and together all samples.

    ``val`` may be empty: there is no validation. ``test`` may be empty: nothing is held out, and the scores are those
    of the training rows, which the run reports. ``report`` says how the samples were divided, a sentence each, where
    that is not as usual.

    >>> import numpy as np
    >>> Split(np.array([0, 3]), val=np.array([1]), test=np.array([2])).train.tolist()
    [0, 3]
    """

    train: np.ndarray[Any, Any]
    val: np.ndarray[Any, Any]
    test: np.ndarray[Any, Any]
    report: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Target:
    """The target: name of its column, and the task, ``"classification"``, ``"multilabel"`` or ``"regression"``.

    >>> Target("price", "regression", scaled=False).task
    'regression'
    """

    name: str
    task: str
    scaled: bool = True  # regression: standardised for training; scores are in the user's units
    centred: bool = True  # whether standardising subtracts the mean; else 0 stays 0
    columns: tuple[str, ...] = ()  # of labels with a column of 0 and 1 each: these, and no column has the name

    @property
    def in_columns(self) -> tuple[str, ...]:
        """The columns of the rows that hold the target.

        >>> Target("animals", "multilabel", columns=("cat", "dog")).in_columns
        ('cat', 'dog')
        """
        return self.columns or (self.name,)


class DataPlugin(Protocol):
    """A dataclass (not frozen) whose fields say where rows are and how they are read; under ``lifecycle.data``.

    ``sample_dim`` is the number of axes of one sample, known without loading data.

    It also has a method ``split(samples, task, seed)`` that returns a :class:`Split`, in which only the seed is random;
    or ``split_samples`` with the same arguments, where one of its fields is called ``split``.

    Optional abilities are in :mod:`lifecycle.capabilities`. ``learn`` may take the weights of the samples as a second
    argument. `lifecycle data` shows the fields ``path``, ``source``, ``licence`` and ``note``, and describes the
    columns that the fields ``drop``, ``time`` and ``weight`` name.

    >>> from lifecycle.data.kinds.table import Table
    >>> rows = Table(path="sklearn:iris", target="species")
    >>> frame = rows.read()
    >>> rows.describe_target(frame).task, rows.samples(frame).inputs.shape
    ('classification', (150, 4))
    """

    sample_dim: ClassVar[int]

    def read(self) -> pd.DataFrame:
        """Return the raw rows, including the target. Raises ``RequestError`` if they cannot be read."""
        ...

    def describe_target(self, frame: pd.DataFrame) -> Target:
        """Return the target's column, and the task."""
        ...

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the columns that a prediction needs."""
        ...

    def samples(self, frame: pd.DataFrame) -> Samples:
        """Turn raw rows into samples; without the target's column, into samples without targets."""
        ...

    def learn(self, inputs: Any) -> Any:
        """Return a scikit-learn transformer fitted to ``inputs``, those of the training samples."""
        ...

    def apply(self, transformer: Any, inputs: Any) -> np.ndarray[Any, Any]:
        """Return the inputs of the network: ``(samples, *input_shape) float32``."""
        ...

    def feature_names(self, transformer: Any) -> tuple[str, ...]:
        """Return the names along the feature axis of :meth:`apply`'s result; empty if features have none."""
        ...
