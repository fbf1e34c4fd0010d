"""The subcommand ``evaluate``: scores a run's model again, on its own test rows or on other labelled data."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from omegaconf import DictConfig

from lifecycle.capabilities import path_of
from lifecycle.checks import in_range, one_of
from lifecycle.cli import arguments
from lifecycle.config.fields import option
from lifecycle.config.records import request_record
from lifecycle.config.request import Job
from lifecycle.config.resolve import resolve
from lifecycle.credentials import hiding
from lifecycle.data.columns.missing_values import CHOICES
from lifecycle.data.formats import names
from lifecycle.data.sources import databases
from lifecycle.errors import RequestError, Setting, unknown_field
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.tracking import found_run

# A part of the names of metrics, in which MLflow allows few other characters.
NAME = re.compile(r"[\w.-]+")
ONE_PROCESS = ["trainer.devices=1", "trainer.strategy=auto"]
"""Overrides of the recorded request: one process scores, however many fitted the model."""

OWN = ("test", "training_set")
"""Names of the run's own rows, which prefix its scores."""

READING = ("header", "names", "sep", "decimal", "thousands", "missing", "encoding", "comment")

SOURCE_FIELDS = (
    *("path", "sheet", "query", "target", "time", "rename", "drop", "memory_gb"),
    *READING,
    *("source", "licence", "note"),
)
"""Fields of ``data`` that say where rows are; all others say how they become samples, which the model depends on."""


@dataclass
class Evaluate(found_run.Which):
    """Options of ``lifecycle evaluate``."""

    input: str = option("", "labelled rows with the columns of the run's; the same as data.path=<file>")
    name: str | None = option(None, "name of the other rows in the run; null: that of the file or the data set")
    missing: str = option("refuse", arguments.MISSING, CHOICES)
    verbose: int = option(1, "0 silent, 1 or 2 print the scores", ("0", "1", "2"))

    def __post_init__(self) -> None:
        in_range(self, "verbose", low=0, below=3)
        one_of(self, "missing", CHOICES)
        if self.name is not None and (not NAME.fullmatch(self.name) or self.name in OWN):
            raise ValueError(
                f"name must be letters, digits, dots, dashes and underscores, and neither test nor training_set, got "
                f"{self.name}. Use for instance name=hospital_b."
            )


OPTIONS = Evaluate
EXAMPLE = "lifecycle evaluate run=latest input=new.csv"
NOTE = (
    "data=<name> and fields such as data.path=<file> choose other rows too. Without these, the run's own test rows are "
    "scored. trainer.accelerator chooses the device."
)


def run(typed: list[str]) -> None:
    """Score the model of a run, print the scores, and add them to the run.

    Raises:
        RequestError: the run, the data or an argument cannot be used.
    """
    options, rest = arguments.read_known(typed, Evaluate, "evaluate")
    data_overrides, device_overrides = _divided(rest)
    found = found_run.find(options)
    record = found.record()
    found.model_folder()  # raises here where there is none, before anything heavy is imported
    others_words = [*data_overrides, *([f"data.path={options.input}"] if options.input else [])]
    job = resolve(request_record.request_of(record, [*ONE_PROCESS, *device_overrides], replaced=others_words))
    others = _other_data(found, record, data_overrides, options.input) if data_overrides or options.input else None
    from lifecycle.runtime.imports.quick import quick_imports

    # Only now, when the request is known to be good: torch takes seconds to import.
    with quick_imports():
        from lifecycle.console import report
        from lifecycle.runs import rescore
    printer = report.Report(options.verbose)
    hidden = {**job.request.hidden, **({} if others is None else others.request.hidden)}
    with quiet_libraries(), hiding(hidden):
        if others is None:
            scored = rescore.own_rows(found, job)
        else:
            name = _name(options, data_overrides, others)
            scored = rescore.other_rows(found, job, others, name, options.missing)
        printer.data(scored.data)
        printer.scores(scored.data, scored.evaluation)
        tracked, folder, pictures = rescore.record(found, scored, options.tracking.figures)
        printer.evaluated(tracked, folder, pictures, scored.notes)


def _divided(overrides: list[str]) -> tuple[list[str], list[str]]:
    """Return the overrides of ``data``, and that of the device.

    Raises:
        RequestError: an override is neither.
    """
    data_overrides, device_overrides = [], []
    for override in overrides:
        key, _, value = override.partition("=")
        if key == "data" or key.startswith("data."):
            data_overrides.append(override)
        elif key == "trainer.accelerator":
            device_overrides.append(override)
        else:
            known = [*(field.name for field in fields(Evaluate)), "data", "data.path", "trainer.accelerator"]
            raise unknown_field(key, value, known, "lifecycle evaluate")
    return data_overrides, device_overrides


def _other_data(found: found_run.FoundRun, record: dict[str, Any], overrides: list[str], file: str) -> Job:
    """Return the run's job with other data, which become samples in the same way as the run's.

    Args:
        found: the run.
        record: of its request.
        overrides: of ``data``.
        file: labelled rows; "" where the overrides name them.

    Raises:
        RequestError: the data are of another kind, or an override would turn the rows into other samples.
    """
    words = [*overrides, *([f"data.path={file}"] if file else [])]
    request = request_record.request_of(record, replaced=words)
    config = request.config.data
    chosen = [override for override in overrides if override.startswith("data=")]
    if chosen:
        other = _data_set(found, record, chosen[-1])
        request.choices["data"] = other.data_name
        for name in SOURCE_FIELDS:
            if name in config and hasattr(other.data, name):
                config[name] = getattr(other.data, name)
                # Else the expression of the run would be recorded in place of the new value.
                request.expressions.pop(("data", name), None)
        request.expressions.update(
            {path: text for path, text in other.request.expressions.items() if path[0] == "data"}
        )
    changes = [override for override in overrides if override not in chosen]
    for change in changes:
        name = change.partition("=")[0].removeprefix("data.")
        if name in config and name not in SOURCE_FIELDS:
            known = ", ".join(f"data.{name}" for name in SOURCE_FIELDS if name in config)
            problem = (
                f"would turn the rows into other samples than those that run {found.name} ({found.id}) was fitted to"
            )
            raise RequestError(change, problem, remedy=f"Choose the rows with data=<name>, {known}.")
    # Parsed as on the command line, and checked against the types of the fields.
    request_record.override(request.config, changes)
    if file:
        if "path" not in config:
            raise RequestError(
                Setting("input", file),
                ["needs data that are in a file, and ", Setting("data", request.choices["data"]), " has no path"],
                remedy="Choose the rows with data=<name> or data.<field>=....",
            )
        # After the overrides, which may name a data set with a path of its own.
        config.path = file
    _reset_source(config, changes)
    return resolve(request)


def _reset_source(config: DictConfig, changes: list[str]) -> None:
    """Leave out what chose the run's rows in a workbook or a database, where the other rows are in neither."""
    for name, form in (("sheet", names.EXCEL), ("query", names.SQLITE)):
        is_given = any(change.startswith(f"data.{name}=") for change in changes)
        if config.get(name) is not None and not is_given and not _takes(str(config.get("path")), form):
            config[name] = None


def _takes(path: str, form: str) -> bool:
    """Return whether rows at a path have a format, as far as its name shows."""
    return names.format_of(names.name_in(path)) == form or (form == names.SQLITE and databases.is_address(path))


def _data_set(found: found_run.FoundRun, record: dict[str, Any], override: str) -> Job:
    """Return a job with the chosen data set, which has to be of the run's kind."""
    from lifecycle.config.compose import compose

    other, kind = resolve(compose([override])), record["types"]["data"]
    if other.data_kind != kind:
        problem = (
            f"is of the kind {other.data_kind}, and run {found.name} ({found.id}) was fitted to data of the kind {kind}"
        )
        raise RequestError(override, problem, remedy="Give data of that kind.")
    return other


def _name(options: Evaluate, overrides: list[str], others: Job) -> str:
    """Return the name of other rows in the run, which prefixes their scores."""
    if options.name is not None:
        return options.name
    path = path_of(others.data)
    is_file = options.input or any(override.startswith("data.path=") for override in overrides)
    # The last name alone: an address may have credentials.
    name = names.stem_of(path) if is_file else others.data_name
    if name in OWN:  # a file test.csv is not the run's own test rows
        name = names.name_in(path).replace(".", "_")
    return re.sub(r"[^\w.-]+", "_", name)
