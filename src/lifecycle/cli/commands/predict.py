"""The verb ``predict``: raw rows in, the same rows with predictions beside them out; of a series, the next steps."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lifecycle.checks import in_range, one_of
from lifecycle.cli import arguments
from lifecycle.data.columns.missing_values import CHOICES
from lifecycle.data.formats import names
from lifecycle.data.formats.names import STANDARD
from lifecycle.errors import RequestError
from lifecycle.tracking import found_run

if TYPE_CHECKING:
    from lifecycle.predict.trained_model import TrainedModel

MOST_STEPS = 1_000_000
EXAMPLE = "lifecycle predict run=latest input=new.csv output=out.csv"


@dataclass
class Predict(found_run.Which):
    """What ``lifecycle predict`` takes."""

    input: str = ""  # a CSV, Parquet or JSON file, or images in a folder; -: standard input
    output: str = ""  # a CSV, Parquet or JSON file; -: standard output
    format: str | None = None  # csv, parquet, json or jsonl: what standard input and output hold; null: csv
    missing: str = "refuse"  # refuse or impute: a value that is missing where each training row had one
    horizon: int | None = None  # of a series: how many steps to foretell; 0: predict the given rows; null: 1

    def __post_init__(self) -> None:
        one_of(self, "format", names.FORMATS)
        one_of(self, "missing", CHOICES)
        in_range(self, "horizon", low=0, below=MOST_STEPS + 1)


def run(typed: list[str]) -> None:
    """Write the predictions of a run for raw rows, and say how many there are.

    Raises:
        RequestError: the run, the input or a row cannot be used as it is; says what was expected and what came.
    """
    asked = arguments.read(typed, Predict, "predict")
    _check(asked)
    folder = found_run.find(asked).model_folder()
    from lifecycle.predict import saved_model

    print(_predict(replace(saved_model.load(folder), missing=asked.missing), asked), file=sys.stderr)


def _check(asked: Predict) -> None:
    """Refuse words that fit no run, before one is looked for."""
    missing = [name for name in ("run", "input", "output") if not getattr(asked, name)]
    if missing:
        raise RequestError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not chosen. Type for instance {EXAMPLE}."
        )
    if asked.format is not None and STANDARD not in (asked.input, asked.output):
        raise RequestError(
            f"format={asked.format} is for standard input and output, and neither input nor output is {STANDARD}. "
            "Leave it out: a file is of the kind that it ends in."
        )
    if not names.is_images(asked.input):
        names.of_input(asked.input)
    names.of_output(asked.output)


def _predict(trained: TrainedModel, asked: Predict) -> str:
    """Write the predictions, and return what is to be said of them."""
    from lifecycle.data.audit.unseen_categories import Unseen
    from lifecycle.predict import predict_file
    from lifecycle.predict.forecast import can_forecast

    form = asked.format or names.CSV
    into = "" if asked.output == STANDARD else f" into {asked.output}"
    source = "standard input" if asked.input == STANDARD else asked.input
    if asked.horizon and not can_forecast(trained):
        raise RequestError(
            f"horizon={asked.horizon} is for series, and the data of this model are {trained.data_name}, whose rows "
            "are predicted each by itself. Leave it out."
        )
    if asked.horizon != 0 and can_forecast(trained):
        horizon = asked.horizon or 1
        count = predict_file.forecast_file(trained, asked.input, asked.output, horizon, form)
        return f"Foretold {_number(horizon, 'step')} after the {_number(count, 'row')} of {source}{into}"
    unseen = Unseen(trained.numbers or (), known=trained.preprocessing.gaps is not None)
    count = predict_file.predict_file(trained, asked.input, asked.output, form=form, unseen=unseen)
    return "\n".join([*unseen.lines(), f"Predicted {_number(count, 'row')} of {source}{into}"])


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
