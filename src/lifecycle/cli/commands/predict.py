"""The subcommand ``predict``: writes rows with their predictions, or the next steps of a series, to a file."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lifecycle.checks import in_range, one_of
from lifecycle.cli import arguments
from lifecycle.config.fields import option
from lifecycle.credentials import masked
from lifecycle.data.columns.missing_values import CHOICES
from lifecycle.data.formats import names
from lifecycle.data.formats.names import STANDARD
from lifecycle.errors import RequestError, Setting
from lifecycle.runtime.lines import say
from lifecycle.tracking import found_run

if TYPE_CHECKING:
    from lifecycle.predict.trained_model import TrainedModel

MOST_STEPS = 1_000_000
EXAMPLE = "lifecycle predict run=latest input=new.csv output=out.csv"


@dataclass
class Predict(found_run.Which):
    """Options of ``lifecycle predict``."""

    input: str = option("", "a file of rows, a pattern or an address as of data.path, or images; -: standard input")
    output: str = option("", "a file such as out.csv, out.parquet, out.xlsx or out.csv.gz; -: standard output")
    format: str | None = option(
        None, f"{', '.join(names.FORMATS)}: format of standard input and output; null: csv", names.FORMATS
    )
    sheet: str | None = option(None, "of an Excel file; null: that of the run, or the only one")
    query: str | None = option(None, "of a database: SELECT ... or a table; null: that of the run, or the only table")
    missing: str = option("refuse", arguments.MISSING, CHOICES)
    horizon: int | None = option(
        None, "of a series: steps to forecast; 0: predict the rows of the input; null: as in training"
    )

    def __post_init__(self) -> None:
        one_of(self, "format", names.FORMATS)
        one_of(self, "missing", CHOICES)
        in_range(self, "horizon", low=0, below=MOST_STEPS + 1)


OPTIONS = Predict


def run(typed: list[str]) -> None:
    """Write the predictions of a run's model for raw rows, and print how many there are.

    Raises:
        RequestError: the run, the input or a row cannot be used.
    """
    options = arguments.read(typed, Predict, "predict")
    _check(options)
    folder = found_run.find(options).model_folder()
    # After the options and the run were checked: it imports torch.
    from lifecycle.predict import saved_model

    text = masked(_predict(replace(saved_model.load(folder), missing=options.missing), options))
    say(text, file=sys.stderr)  # the predictions themselves may go to standard output


def _check(options: Predict) -> None:
    """Check the options that depend on no run, before one is searched."""
    missing = [name for name in ("run", "input", "output") if not getattr(options, name)]
    if missing:
        problem = f"{'is' if len(missing) == 1 else 'are'} not chosen"
        raise RequestError(Setting(", ".join(missing)), problem, remedy=f"Type for instance {EXAMPLE}.")
    if options.format is not None and STANDARD not in (options.input, options.output):
        raise RequestError(
            Setting("format", options.format),
            f"is for standard input and output, and neither input nor output is {STANDARD}",
            remedy="Leave it out: the ending of a file's name says its format.",
        )
    # A folder or an image has no format to be checked.
    if not names.is_images(options.input):
        names.of_input(options.input)
    names.of_output(options.output)


def _predict(trained: TrainedModel, options: Predict) -> str:
    """Write the predictions, and return the text that reports them."""
    from lifecycle.data.audit.unseen_categories import Unseen
    from lifecycle.data.sources.source_fields import SourceFields
    from lifecycle.predict import predict_file
    from lifecycle.predict.forecast import can_forecast

    form = options.format or names.CSV
    fields = SourceFields(
        options.sheet or getattr(trained.data, "sheet", None), options.query or getattr(trained.data, "query", None)
    )
    into = "" if options.output == STANDARD else f" into {options.output}"
    source = "standard input" if options.input == STANDARD else options.input
    if options.horizon and not can_forecast(trained):
        problem = f"is for series, and the model predicts the rows of {trained.data_name} independently of each other"
        raise RequestError(Setting("horizon", options.horizon), problem, remedy="Leave it out.")
    if options.horizon != 0 and can_forecast(trained):
        horizon = options.horizon or _steps(trained)
        count = predict_file.forecast_file(trained, options.input, options.output, horizon, form, fields)
        return f"Forecast {_number(horizon, 'step')} after the {_number(count, 'row')} of {source}{into}"
    unseen = Unseen(trained.filled, known=trained.preprocessing.gaps is not None)
    count = predict_file.predict_file(trained, options.input, options.output, form=form, unseen=unseen, fields=fields)
    return "\n".join([*unseen.lines(), f"Predicted {_number(count, 'row')} of {source}{into}"])


def _steps(trained: TrainedModel) -> int:
    """Return the number of steps that a model of a series was trained to forecast, if their inputs are its past alone.

    Of columns that are known in advance, the file says how far they go: one step is what each has.
    """
    return 1 if getattr(trained.data, "known", None) else getattr(trained.data, "horizon", 1)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
