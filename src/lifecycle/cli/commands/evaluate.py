"""The verb ``evaluate``: the model of a run scored again, on the run's own test rows or on other labelled rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lifecycle.capabilities import path_of
from lifecycle.checks import in_range, one_of
from lifecycle.cli import arguments
from lifecycle.config import request_record
from lifecycle.config.resolve import resolve
from lifecycle.config.schema import Job
from lifecycle.credentials import hiding
from lifecycle.data.columns.missing_values import CHOICES
from lifecycle.errors import RequestError, unknown_field
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.tracking import found_run

NAME = re.compile(r"[\w.-]+")
ALONE = ["trainer.devices=1", "trainer.strategy=auto"]
"""Scoring is one process's work, however many fitted the model."""
OWN = ("test", "training_set")
"""What the run's own rows are called."""
WHICH_ROWS = ("path", "target", "time", "rename", "drop", "memory_gb", "source", "licence", "note")
"""Fields of data that say which rows there are; all others say how they become samples."""


@dataclass
class Evaluate(found_run.Which):
    """What ``lifecycle evaluate`` takes, beside words on data: ``data=<name>``, ``data.path=<file>``."""

    input: str = ""  # a labelled file like that of the run; the same as data.path=<file>
    name: str | None = None  # what other rows are called in the run; null: the file's or the data set's name
    missing: str = "refuse"  # refuse or impute: a value that is missing where each training row had one
    verbose: int = 1  # 0 silent

    def __post_init__(self) -> None:
        in_range(self, "verbose", low=0, below=3)
        one_of(self, "missing", CHOICES)
        if self.name is not None and (not NAME.fullmatch(self.name) or self.name in OWN):
            raise ValueError(
                f"name must be letters, digits, dots, dashes and underscores, and neither test nor training_set, got "
                f"{self.name}. Use for instance name=hospital_b."
            )


def run(typed: list[str]) -> None:
    """Score the model of a run, print what it comes to, and add it to the run.

    Raises:
        RequestError: the run, the data or a word cannot be used; says what was expected and what came.
    """
    asked, rest = arguments.read_some(typed, Evaluate, "evaluate")
    on_data, on_devices = _sorted(rest)
    found = found_run.find(asked)
    record = found.record()
    found.model_folder()  # refused here, before anything heavy is imported
    job = resolve(request_record.request_of(record, [*ALONE, *on_devices]))
    others = _others(found, record, on_data, asked.input) if on_data or asked.input else None
    from lifecycle.runtime import lazy_imports

    with lazy_imports.quick_imports():
        from lifecycle.console import report
        from lifecycle.runs import rescore
    printer = report.Report(asked.verbose)
    hidden = {**job.request.hidden, **({} if others is None else others.request.hidden)}
    with quiet_libraries(), hiding(hidden):
        if others is None:
            scored = rescore.own_rows(found, job)
        else:
            scored = rescore.other_rows(found, job, others, _called(asked, on_data, others), asked.missing)
        printer.data(scored.data)
        printer.scores(scored.data, scored.evaluation)
        tracked, folder, pictures = rescore.record(found, scored, asked.tracking.figures)
        printer.evaluated(tracked, folder, pictures, scored.notes)


def _sorted(rest: list[str]) -> tuple[list[str], list[str]]:
    """Return the words on data, and those on the device.

    Raises:
        RequestError: a word is neither.
    """
    on_data, on_devices = [], []
    for word in rest:
        key, _, value = word.partition("=")
        if key == "data" or key.startswith("data."):
            on_data.append(word)
        elif key == "trainer.accelerator":
            on_devices.append(word)
        else:
            known = [field.name for field in fields(Evaluate)]
            raise RequestError(
                unknown_field(key, value, [*known, "data", "data.path", "trainer.accelerator"], "lifecycle evaluate")
            )
    return on_data, on_devices


def _others(found: found_run.FoundRun, record: dict[str, Any], on_data: list[str], file: str) -> Job:
    """Return the run's job with other rows as its data: how rows become samples is the run's own.

    Raises:
        RequestError: the data are of another kind, or a word would make other samples of them.
    """
    request = request_record.request_of(record)
    config = request.config.data
    named = [word for word in on_data if word.startswith("data=")]
    if named:
        other = _named(found, record, named[-1])
        request.choices["data"] = other.data_name
        for name in WHICH_ROWS:
            if name in config and hasattr(other.data, name):
                config[name] = getattr(other.data, name)
                request.expressions.pop(("data", name), None)
        request.expressions.update(
            {path: text for path, text in other.request.expressions.items() if path[0] == "data"}
        )
    changes = [word for word in on_data if word not in named]
    for word in changes:
        name = word.partition("=")[0].removeprefix("data.")
        if name in config and name not in WHICH_ROWS:
            known = ", ".join(f"data.{name}" for name in WHICH_ROWS if name in config)
            raise RequestError(
                f"{word} would make other samples of the rows than those that run {found.name} ({found.id}) was fitted "
                f"to. Say which rows with data=<name>, {known}."
            )
    request_record.override(request.config, changes)
    if file:
        if "path" not in config:
            raise RequestError(
                f"input={file} needs data that are in a file, and data={request.choices['data']} have no path. Say "
                "which rows with data=<name> or data.<field>=...."
            )
        config.path = file
    return resolve(request)


def _named(found: found_run.FoundRun, record: dict[str, Any], word: str) -> Job:
    """Return a job with the data set that is named, where it is of the run's kind."""
    from lifecycle.config.compose import compose

    other, kind = resolve(compose([word])), record["types"]["data"]
    if other.data_kind != kind:
        raise RequestError(
            f"{word} is of the kind {other.data_kind}, and run {found.name} ({found.id}) was fitted to the kind "
            f"{kind}. Give data of that kind."
        )
    return other


def _called(asked: Evaluate, on_data: list[str], others: Job) -> str:
    """Return what the rows are called in the run."""
    if asked.name is not None:
        return asked.name
    path = path_of(others.data)
    is_file = asked.input or any(word.startswith("data.path=") for word in on_data)
    name = Path(path).stem if is_file else others.data_name
    if name in OWN:  # a file test.csv is not the run's own test rows
        name = Path(path).name.replace(".", "_")
    return re.sub(r"[^\w.-]+", "_", name)
