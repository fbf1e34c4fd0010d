"""A trained model: a network with all that it takes to use it on raw rows."""

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
    ReportsUnseenCategories,
    optional_columns,
)
from lifecycle.compile.output_units import Units
from lifecycle.config.tasks import link_of
from lifecycle.contract import DataPlugin, DataSpec, ModelPlugin, Samples
from lifecycle.data.assembly import as_column
from lifecycle.data.columns import missing_values
from lifecycle.data.columns.names import applicable, of_plugin
from lifecycle.data.columns.times import Step
from lifecycle.data.encoder import RowEncoder
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.data.sources.native_frames import as_pandas
from lifecycle.errors import RequestError
from lifecycle.predict.forecast import forecast
from lifecycle.predict.outputs import as_frame, passes

TIME_STEP = "time_step"  # of the provenance, where times are known
ROWS_AT_ONCE, NUMBERS_AT_ONCE = 8192, 1 << 20  # in a pass of a network: no more samples, no more numbers in them


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What makes a network's inputs of raw rows; needs no network.

    Attributes:
        columns: columns that a prediction needs.
        settings: loss, metrics and optimizer that the network was compiled with.
        provenance: where it comes from: run, epoch of the weights, digest of the data, versions.
        missing: ``"refuse"`` or ``"impute"`` a value that is missing from a column that had one in each training row.
        expressions: what is written to disk instead of the value of a field, by where it stands in the configuration.
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
        """Return the samples that raw rows are.

        Raises:
            RequestError: as :meth:`checked`; or a value is missing for the first time, unless ``missing`` is impute.
        """
        samples = self.data.samples(self.checked(rows))
        missing_values.check(samples.inputs, self.preprocessing.gaps, self.missing)
        return samples

    def checked(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the columns of raw rows that a prediction uses.

        Raises:
            RequestError: there are no rows, a column is missing, or times have other steps than those of training.
        """
        if not len(rows):
            raise RequestError("input", "has no rows", remedy="Give one or more to predict.")
        rows = as_pandas(rows, "input")
        rows = rows.rename(columns=self.new_names(rows.columns))
        self.check_columns(rows.columns)
        used = rows[[*self.columns, *self.optional_columns(rows.columns)]]
        if self.time_step is not None and isinstance(self.data, HasTimes):
            self.data.check_step(used, self.time_step)
        return used

    def new_names(self, names: Iterable[Any]) -> dict[str, str]:
        """Return what some of the columns of raw rows are renamed to, as those of the training file were.

        Raises:
            RequestError: two columns would be called the same.
        """
        rename = of_plugin(self.data)
        return applicable(rename, names, "input") if rename else {}

    @property
    def raw_columns(self) -> list[str]:
        """The columns that a prediction reads, and those that may stand in their place in raw rows."""
        columns = [*self.columns, *optional_columns(self.data)]
        return [*columns, *(old for old, new in of_plugin(self.data).items() if new in columns)]

    def unseen(self, samples: Samples) -> dict[str, Counter[str | None]]:
        """Return, by column, how often samples have a value that no training row had; ``None``: have none."""
        if not isinstance(self.data, ReportsUnseenCategories):
            return {}
        found: dict[str, Counter[str | None]] = self.data.unseen(self.preprocessing.inputs, samples.inputs)
        return found | missing_values.filled(samples.inputs, self.preprocessing.gaps, self.numbers or ())

    @property
    def time_step(self) -> Step | None:
        """How far the times of the training rows were apart; ``None``: that is not known, or there were none."""
        found = self.provenance.get(TIME_STEP)
        return None if found is None else Step(**found)

    def inputs(self, samples: Samples, rows: pd.DataFrame) -> Tensor:
        """Return ``(samples, *input_shape) float32`` for the samples that :meth:`samples` made of ``rows``.

        Raises:
            RequestError: a sample is of another shape, or holds what is no finite number.
        """
        inputs = torch.from_numpy(self.data.apply(self.preprocessing.inputs, samples.inputs))
        if tuple(inputs.shape[1:]) != self.spec.input_shape:
            got, wanted = (" x ".join(map(str, shape)) for shape in (inputs.shape[1:], self.spec.input_shape))
            raise RequestError(
                "input", f"has samples of {got}, and this model takes {wanted}", remedy="Give rows of that shape."
            )
        wrong = torch.nonzero(~inputs.flatten(1).isfinite().all(dim=1))
        if len(wrong):
            row = rows.index[samples.rows[int(wrong[0])]]
            raise RequestError("input", f"has a value that is no finite number in row {row}", remedy="Fix the row.")
        return inputs

    def check_columns(self, names: Iterable[Any]) -> None:
        """Refuse rows that lack a column, or have it twice.

        Raises:
            RequestError: names it.
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
        """Return the columns among ``names`` that a prediction can do without, and uses where they are there."""
        names = list(names)
        return [name for name in optional_columns(self.data) if name in names]

    @property
    def numbers(self) -> list[str] | None:
        """The columns that are numbers, of a kind whose rows are samples of their own; ``None``: of another kind."""
        if not isinstance(self.data, PredictsRowByRow):
            return None
        return list(self.data.numbers(self.preprocessing.inputs, self.columns))

    def encoder(self) -> RowEncoder | None:
        """Return what makes inputs of plain cells in few steps; ``None``: this kind of data has no such means."""
        if not isinstance(self.data, EncodesPlainCells):
            return None
        found: RowEncoder = self.data.encoder(self.preprocessing.inputs, self.columns)
        return found

    @property
    def units(self) -> Units:
        """What makes probabilities, or values in the user's units, of the network's outputs."""
        return Units(self.spec.task, *self.preprocessing.target_scale, link_of(self.settings.get("loss")))


@dataclass(frozen=True, kw_only=True)
class TrainedModel(Preparation):
    """A network with all that it takes to use it on raw rows."""

    model_name: str
    model: ModelPlugin
    network: nn.Module

    def predict(self, rows: pd.DataFrame, missing: str | None = None) -> pd.DataFrame:
        """Return a prediction a sample: ``predicted`` and ``probability_<class>``, or ``predicted`` in its own units.

        Args:
            rows: raw rows as the training file had them, in any order of columns; others are ignored.
            missing: ``"impute"`` to fill values of columns that were complete in training; ``None``: as the model says.

        Raises:
            RequestError: a column is missing, or a value in a column that had one in each training row.
        """
        if missing is not None:
            return replace(self, missing=missing).predict(rows)
        rows = as_pandas(rows, "input")
        return self.predict_samples(self.samples(rows), rows)

    def forecast(self, rows: pd.DataFrame, horizon: int = 1) -> pd.DataFrame:
        """Return the next ``horizon`` steps of a series after raw rows, each predicted from the values before it.

        A row a step: the column of times, going on as the rows' own, or else ``step`` from 1; and ``predicted``. Raises
        ``RequestError`` where this is no model of a series, or the rows are too few or otherwise of no use.
        """
        return forecast(self, rows, horizon)

    @property
    def rows_at_once(self) -> int:
        """How many samples go through the network together: rounding may differ with it, so nothing else decides."""
        return max(1, min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // math.prod(self.spec.input_shape)))

    def predict_samples(self, samples: Samples, rows: pd.DataFrame) -> pd.DataFrame:
        """Return what :meth:`predict` does for the samples that :meth:`samples` made of ``rows``."""
        return self.as_frame(self.outputs(self.inputs(samples, rows)), samples)

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the network's logits or values for inputs, ``(samples, num_outputs)``."""
        self.network.eval()
        return passes(self.network, inputs, self.rows_at_once)

    def as_frame(self, outputs: Tensor, samples: Samples) -> pd.DataFrame:
        """Return what :meth:`predict` does for the network's outputs."""
        base = None if samples.base is None else as_column(samples.base)
        return as_frame(outputs, self.units, self.spec, base)
