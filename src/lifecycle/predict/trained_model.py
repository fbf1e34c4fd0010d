"""A trained model: preprocessing, network and output units, which predict raw rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from lifecycle.capabilities import (
    EncodesPlainCells,
    HasTimes,
    PredictsRowByRow,
    PredictsSteps,
    ReportsUnseenCategories,
    filled_by,
    optional_columns,
)
from lifecycle.compile.output_units import Units
from lifecycle.config.tasks import link_of
from lifecycle.contract import DataPlugin, DataSpec, ModelPlugin, Samples
from lifecycle.data.assembly import as_column
from lifecycle.data.columns import missing_values
from lifecycle.data.columns.names import applicable, of_plugin
from lifecycle.data.columns.time_steps import TimeStep
from lifecycle.data.encoder import RowEncoder
from lifecycle.data.formats.reading import known_of, without_marks
from lifecycle.data.formats.text.dialect import Known
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.data.sources.native_frames import as_pandas
from lifecycle.errors import RequestError
from lifecycle.predict.forecast import forecast
from lifecycle.predict.outputs import as_frame, passes

TIME_STEP = "time_step"
"""Key of the provenance: the interval of a series whose times are known."""

READING = "reading"
"""Key of the provenance: the columns of a text file in its order, whether it has a header, and its missing marks."""

CHANNELS_LAST = "channels_last"
"""Key of :attr:`TrainedModel.settings`: whether a Python caller gives images with channels last."""

OWN_NAMES = "own_names"
"""Key of the settings: the names of the loss and the metrics that are functions or objects of a Python caller."""

ROWS_AT_ONCE, NUMBERS_AT_ONCE = 8192, 1 << 20
"""Most samples in a pass of a network, and most numbers in these samples."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The preprocessing of a trained model: turns raw rows into inputs, without a network.

    Attributes:
        data_name: of the data set.
        data_kind: of the data plugin.
        data: the data plugin.
        spec: shapes, task and classes.
        preprocessing: fitted on training rows.
        columns: columns that a prediction needs.
        settings: loss, metrics and optimizer of the compiled network.
        provenance: run, epoch of the weights, digest of the data, versions.
        missing: ``"refuse"`` or ``"impute"`` missing values in columns that were complete in training.
        expressions: expressions such as ``${oc.env:USER}`` that are saved instead of the values of fields, by path in
            the configuration.
    """

    data_name: str
    data_kind: str
    data: DataPlugin
    spec: DataSpec
    preprocessing: Preprocessing
    columns: tuple[str, ...]
    settings: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)
    missing: str = missing_values.REFUSE
    expressions: dict[tuple[str | int, ...], str] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        missing_values.check_choice(self.missing)

    def samples(self, rows: pd.DataFrame) -> Samples:
        """Return raw rows as samples, not yet preprocessed.

        Raises:
            RequestError: as :meth:`checked`; or a value is missing in a column that was complete in training and
                ``missing`` is not ``"impute"``.
        """
        samples = self.data.samples(self.checked(rows))
        if isinstance(self.data, PredictsSteps):
            samples = self.data.one_a_row(samples)
        # A scikit-learn imputer would fill silently what no training row lacked.
        missing_values.check(samples.inputs, self.preprocessing.gaps, self.missing)
        return samples

    def checked(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the columns of raw rows that a prediction uses.

        Raises:
            RequestError: there are no rows, a column is missing, or the times have another interval than in training.
        """
        if not len(rows):
            raise RequestError("input", "has no rows", remedy="Give one or more to predict.")
        rows = as_pandas(rows, "input")
        # Before the check: columns are known to the model by their new names.
        rows = rows.rename(columns=self.new_names(rows.columns))
        self.check_columns(rows.columns)
        used = without_marks(rows[[*self.columns, *self.optional_columns(rows.columns)]], self.marks)
        # A network that learnt from months would take days for months.
        if self.time_step is not None and isinstance(self.data, HasTimes):
            self.data.check_step(used, self.time_step)
        return used

    def new_names(self, names: Iterable[Any]) -> dict[str, str]:
        """Return the new names of columns that the training file's columns were renamed to, by their old names.

        Raises:
            RequestError: two columns would have the same name.
        """
        rename = of_plugin(self.data)
        return applicable(rename, names, "input") if rename else {}

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks of missing values that the training file had, in columns of any kind."""
        return tuple(self.provenance.get(READING, {}).get("missing", ()))

    @property
    def known(self) -> Known:
        """The columns of the training file, by which a text file without a header gets its names."""
        return known_of(self.data, self.provenance.get(READING), self.columns)

    @property
    def raw_columns(self) -> list[str]:
        """The columns that a prediction reads, and the old names of renamed ones."""
        columns = [*self.columns, *optional_columns(self.data)]
        return [*columns, *(old for old, new in of_plugin(self.data).items() if new in columns)]

    def unseen(self, samples: Samples) -> dict[str, Counter[str | None]]:
        """Return by column the number of samples with each unseen value; ``None`` counts the missing ones."""
        if not isinstance(self.data, ReportsUnseenCategories):
            return {}
        # Values that an imputer filled count as unseen: a user should know of them as well.
        found: dict[str, Counter[str | None]] = self.data.unseen(self.preprocessing.inputs, samples.inputs)
        return found | missing_values.filled(samples.inputs, self.preprocessing.gaps, self.filled)

    @property
    def time_step(self) -> TimeStep | None:
        """The interval between the times of the training rows; ``None``: unknown, or there were no times."""
        found = self.provenance.get(TIME_STEP)
        return None if found is None else TimeStep(**found)

    def inputs(self, samples: Samples, rows: pd.DataFrame) -> Tensor:
        """Preprocess samples into ``(samples, *input_shape) float32``.

        Args:
            samples: that :meth:`samples` returned.
            rows: their raw rows, for messages.

        Raises:
            RequestError: samples have another shape, or a value is not finite.
        """
        # Shares memory with NumPy's array: large inputs are not copied.
        inputs = torch.from_numpy(self.data.apply(self.preprocessing.inputs, samples.inputs))
        if tuple(inputs.shape[1:]) != self.spec.input_shape:
            got, expected = (" x ".join(map(str, shape)) for shape in (inputs.shape[1:], self.spec.input_shape))
            raise RequestError(
                "input", f"has samples of {got}, and this model takes {expected}", remedy="Give rows of that shape."
            )
        # Preprocessing may overflow float32 though each cell is finite.
        wrong = torch.nonzero(~inputs.flatten(1).isfinite().all(dim=1))
        if len(wrong):
            row = rows.index[samples.rows[int(wrong[0])]]
            raise RequestError("input", f"has a value that is no finite number in row {row}", remedy="Fix the row.")
        return inputs

    def check_columns(self, names: Iterable[Any]) -> None:
        """Check that rows have each column once.

        Raises:
            RequestError: a column is missing or occurs twice.
        """
        count = Counter(names)
        missing = [name for name in self.columns if name not in count]
        if missing:
            raise RequestError(
                "input",
                f"has no column {', '.join(missing)}",
                ", ".join(map(str, count)),
                f"This model needs {', '.join(self.columns)}.",
            )
        twice = [name for name in self.columns if count[name] > 1]
        if twice:
            raise RequestError("input", f"has the column {twice[0]} twice", remedy="Give it once.")

    def optional_columns(self, names: Iterable[Any]) -> list[str]:
        """Return those of ``names`` that a prediction uses if they are present, and does not need."""
        names = list(names)
        return [name for name in optional_columns(self.data) if name in names]

    @property
    def numbers(self) -> list[str] | None:
        """The numeric columns of data whose rows are independent samples; ``None``: they are not independent."""
        if not isinstance(self.data, PredictsRowByRow):
            return None
        return list(self.data.numbers(self.preprocessing.inputs, self.columns))

    @property
    def filled(self) -> list[str]:
        """The columns whose missing values are filled; in others they are categories."""
        return filled_by(self.data, self.preprocessing.inputs, self.columns)

    def encoder(self) -> RowEncoder | None:
        """Return an encoder from plain cells to inputs without pandas; ``None``: this kind of data has none."""
        if not isinstance(self.data, EncodesPlainCells):
            return None
        found: RowEncoder | None = self.data.encoder(self.preprocessing.inputs, self.columns)
        return found

    @property
    def units(self) -> Units:
        """The output units: from logits to probabilities, or from outputs to values in the user's units."""
        link, transform = link_of(self.settings.get("loss")), self.preprocessing.transform
        return Units(self.spec.task, *self.preprocessing.target_scale, link, transform)


@dataclass(frozen=True, kw_only=True)
class TrainedModel(Preparation):
    """A trained network with its preprocessing.

    Attributes:
        model_name: of the model plugin.
        model: its dataclass.
        network: in evaluation mode.
    """

    model_name: str
    model: ModelPlugin
    network: nn.Module

    def predict(self, rows: pd.DataFrame, missing: str | None = None) -> pd.DataFrame:
        """Return a row of predictions for each sample: ``predicted``, and of classes ``probability_<class>``.

        Args:
            rows: raw rows with the columns of the training file, in any order; additional columns are ignored.
            missing: ``"impute"`` fills missing values in columns that were complete in training, ``"refuse"`` raises;
                ``None``: the setting of the model.

        Raises:
            RequestError: a column is missing, or a value in a column that was complete in training.
        """
        if missing is not None:  # a copy, since other threads may predict with this model
            return replace(self, missing=missing).predict(rows)
        rows = as_pandas(rows, "input")
        return self.predict_samples(self.samples(rows), rows)

    def forecast(self, rows: pd.DataFrame, horizon: int = 1) -> pd.DataFrame:
        """Return the ``horizon`` steps that follow a series, each predicted from the values before it.

        Args:
            rows: raw rows of the series.
            horizon: number of steps.

        Returns:
            A row for each step: its time, or without times ``step`` from 1; and ``predicted``.

        Raises:
            RequestError: this is no model of a series, or there are too few rows.
        """
        return forecast(self, rows, horizon)

    @property
    def rows_at_once(self) -> int:
        """Samples in a pass of the network. It depends on the shape alone, since rounding may depend on it."""
        return max(1, min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // math.prod(self.spec.input_shape)))

    def predict_samples(self, samples: Samples, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the predictions for samples that :meth:`samples` returned for ``rows``."""
        return self.as_frame(self.outputs(self.inputs(samples, rows)), samples)

    def outputs(self, inputs: Tensor, rows_at_once: int | None = None) -> Tensor:
        """Return the logits or values of the network for inputs, ``(samples, num_outputs)``.

        Args:
            inputs: ``(samples, *input_shape)``.
            rows_at_once: samples in a pass; ``None``: :attr:`rows_at_once`.
        """
        self.network.eval()  # a caller may have trained it further
        return passes(self.network, inputs, rows_at_once or self.rows_at_once)

    def as_frame(self, outputs: Tensor, samples: Samples) -> pd.DataFrame:
        """Return the predictions for outputs of the network."""
        base = None if samples.base is None else as_column(samples.base)
        return as_frame(outputs, self.units, self.spec, base)
