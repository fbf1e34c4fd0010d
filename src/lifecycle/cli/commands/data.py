"""The subcommand ``data``: lists the data sets, or describes one. Imports no torch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lifecycle.capabilities import large_file_of
from lifecycle.credentials import hiding
from lifecycle.errors import RequestError, Setting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lifecycle.config.schema import Job
    from lifecycle.contract import Target

MOST_LINES = 60
"""Columns that are listed one by one; of more, all numeric ones share a line."""

MOST_CLASSES = 20
"""Classes that are listed with their counts."""


def run(arguments: list[str]) -> None:
    """Print the data sets, or describe the one that is named; arguments after the name are overrides.

    Raises:
        RequestError: the data set is not known, or cannot be read.
    """
    if not arguments:
        _print_all()
        return
    name, *overrides = arguments
    wrong = [argument for argument in overrides if "=" not in argument]
    if "=" in name or name.startswith("-") or wrong:
        raise RequestError(
            "data",
            "takes the name of a data set, then key=value arguments",
            " ".join(arguments),
            "Type for instance lifecycle data iris, or lifecycle data table data.path=a.csv data.target=y.",
        )
    job = job_of([f"data={name}", *overrides])
    with hiding(job.request.hidden):
        _print_description(job)


def job_of(overrides: list[str]) -> Job:
    """Return the checked request of overrides, of which only the data are used."""
    from lifecycle.config.compose import compose
    from lifecycle.config.resolve import resolve

    return resolve(compose(overrides))


def _print_all() -> None:
    from lifecycle import registry
    from lifecycle.config.options import options

    kinds = registry.plugins("data")
    rows, broken = [], []
    for name in options()["data"]:
        if name in kinds:
            continue
        try:
            job = job_of([f"data={name}"])
        # One wrong file of the user's must not hide the other data sets.
        except RequestError as error:
            broken.append(f"data={name}: {error}")
            continue
        recorded = job.request.recorded["data"]  # with credentials masked
        rows.append((name, job.data_kind, str(recorded.get("path", "")), str(recorded.get("source", ""))))
    headings = ("name", "kind", "path", "source")
    widths = [max(len(row[number]) for row in (headings, *rows)) for number in range(3)]
    console = _console()
    for row in (headings, *rows):
        line = "   ".join((*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]))
        style = "bold" if row is headings else ""
        # On a terminal the source is cut at the right edge; a file or a pipe gets all of it.
        console.print(
            Text(line, style), no_wrap=True, overflow="ellipsis" if sys.stdout.isatty() else "ignore", crop=False
        )
    for message in broken:
        print(f"\nbroken: {message}")
    print(f"\nKinds of data, for your own files: {', '.join(kinds)}")
    print("Describe one:  lifecycle data iris     lifecycle data table data.path=houses.csv data.target=price")


def _print_description(job: Job) -> None:
    from lifecycle.data.columns.kinds import column_kinds, num_missing
    from lifecycle.data.digests import digest
    from lifecycle.data.formats.text.dialect import dialect_of
    from lifecycle.data.preprocessing import clean_targets
    from lifecycle.runtime.digests import sha256

    plugin = job.data
    frame = plugin.read()
    target, samples = plugin.describe_target(frame), plugin.samples(frame)
    if samples.targets is None:
        problem = f"has no target column {target.name}"
        raise RequestError(Setting("data", job.data_name), problem, remedy="Name one with data.target.")
    labels = clean_targets(samples.targets, target)
    missing = num_missing(plugin, frame, samples)
    split = plugin.split(type(samples)(samples.inputs, labels, samples.rows), target.task, job.seed)
    parts = {"train": split.train, "validation": split.val, "test": split.test}
    recorded = job.request.recorded["data"]
    dialect = dialect_of(frame)
    reading = "" if dialect is None else dialect.described()
    lines = {
        "Data": f"{job.data_name} (data={job.data_kind}, data.path={recorded.get('path', '')})",
        **({"Read": reading} if reading else {}),
        "Rows": f"{len(frame):,}; {missing or 'no'} value{'s' if missing != 1 else ''} missing",
        **_target_lines(target, labels),
        "Parts": f"{', '.join(f'{len(part)} {name}' for name, part in parts.items())} of {len(labels)} samples",
    }
    about = {title: recorded.get(title.lower()) or "not stated" for title in ("Source", "Licence", "Note")}
    console = _console()
    columns = _columns_table(frame, column_kinds(plugin, frame), target)
    large = large_file_of(plugin)
    about["Digest"] = f"sha256 {digest(frame) if large is None else sha256(large)}"
    with console.capture() as captured:  # to strip the spaces with which Rich pads lines
        console.print(_grid(lines), "", columns, "", _grid(about), sep="\n")
    for line in captured.get().splitlines():
        print(line.rstrip())


def _target_lines(target: Target, labels: np.ndarray[Any, Any]) -> dict[str, str]:
    import numpy as np

    from lifecycle.data.columns.targets import classes

    if target.task == "regression":
        return {"Target": f"{target.name}: a value ({target.task})"}
    names = classes(labels)
    counts = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    listed = ", ".join(f"{name} {counts[name]}" for name in names[:MOST_CLASSES])
    more = f" and {len(names) - MOST_CLASSES} more" if len(names) > MOST_CLASSES else ""
    return {"Target": f"{target.name}: {len(names)} classes ({target.task})", "Classes": listed + more}


def _columns_table(frame: pd.DataFrame, kinds: dict[str, str], target: Target) -> Table:
    """Return a table with a line for each column; pixels, and numbers where there are many columns, share one."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("column", overflow="fold")
    table.add_column("type")
    for heading in ("missing", "distinct", "min", "mean", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("most frequent", overflow="fold")
    names = dict(zip(kinds, frame.columns, strict=True))  # names as texts -> labels in the frame
    groups = {name: [name] for name in kinds}
    # An image has hundreds of pixels, whose single lines say nothing.
    if len(kinds) > MOST_LINES or "pixel" in kinds.values():
        groups = {}
        for name, kind in kinds.items():
            groups.setdefault(kind if kind in ("number", "pixel") else name, []).append(name)
    for group in groups.values():
        title = group[0] if len(group) == 1 else f"{group[0]} ... {group[-1]} ({len(group)})"
        kind = kinds[group[0]]
        part = frame[[names[name] for name in group]]
        if kind.startswith("target") and target.task == "classification":
            # Codes of classes are names: their mean and range say nothing.
            part = part.astype(str)
        table.add_row(escape(title), kind, *map(escape, _cells(part, kind)))
    return table


def _cells(part: pd.DataFrame, kind: str) -> list[str]:
    """Return the counts of missing and distinct values, min, mean, max and the most frequent value of columns."""
    import numpy as np
    import pandas as pd

    from lifecycle.data.columns import times

    missing = f"{int(part.isna().to_numpy().sum())}"
    numeric = all(pd.api.types.is_numeric_dtype(dtype) for dtype in part.dtypes)
    if numeric and not kind.startswith("time"):
        values = part.to_numpy(dtype=np.float32 if part.shape[1] > 1 else np.float64, na_value=np.nan)
        present = values[~np.isnan(values)]
        if not len(present):
            return [missing, "0", "", "", "", ""]
        numbers = [present.min(), present.mean(dtype=np.float64), present.max()]
        rounding = 1e-12 * np.abs(present).max()  # the mean of centred values is a rounding error, such as 3e-17
        texts = [f"{number if abs(number) > rounding else 0:.5g}" for number in numbers]
        return [missing, f"{len(np.unique(present)):,}", *texts, ""]
    column = part.iloc[:, 0].dropna().map(str)
    counts = column.value_counts()
    if kind.startswith("time"):
        order = times.order(part.iloc[:, 0])
        sorted_times = times.texts(part.iloc[:, 0])[order]
        return [missing, f"{len(counts):,}", sorted_times[0], "", sorted_times[-1], ""]
    most_frequent = f"{counts.index[0]} ({counts.iloc[0]})" if len(counts) and counts.iloc[0] > 1 else ""
    return [missing, f"{len(counts):,}", "", "", "", most_frequent]


def _grid(lines: dict[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold cyan", no_wrap=True, min_width=8)
    grid.add_column(overflow="fold")
    for title, text in lines.items():
        grid.add_row(title, escape(text))
    return grid


def _console() -> Console:
    # Without a terminal Rich assumes 80 columns, which would wrap the lines of a file.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)
