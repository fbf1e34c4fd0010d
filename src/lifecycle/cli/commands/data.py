"""The verb ``data``: which data sets there are, and what is in one. Imports no torch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lifecycle.capabilities import large_file_of
from lifecycle.credentials import hiding
from lifecycle.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lifecycle.config.schema import Job
    from lifecycle.contract import Target

MOST_LINES = 60
"""Columns that are listed one by one; of more, those of a kind share a line."""

MOST_CLASSES = 20
"""Classes that are listed with their counts."""


def data(words: list[str]) -> None:
    """Print the data sets, or the card of the one that is named; words after the name are overrides.

    Raises:
        RequestError: the data set is not known, or cannot be read.
    """
    if not words:
        _print_all()
        return
    name, *overrides = words
    wrong = [word for word in overrides if "=" not in word]
    if "=" in name or name.startswith("-") or wrong:
        raise RequestError(
            f"data takes the name of a data set, then key=value words, got {' '.join(words)}. Type for instance "
            "lifecycle data iris, or lifecycle data table data.path=a.csv data.target=y."
        )
    job = _job([f"data={name}", *overrides])
    with hiding(job.request.hidden):
        _print_card(job)


def _job(overrides: list[str]) -> Job:
    from lifecycle.config.compose import compose
    from lifecycle.config.resolve import resolve

    return resolve(compose(overrides))


def _print_all() -> None:
    from lifecycle import registry
    from lifecycle.config.search_path import options

    kinds = registry.plugins("data")
    rows, broken = [], []
    for name in options()["data"]:
        if name in kinds:
            continue
        try:
            job = _job([f"data={name}"])
        except RequestError as error:
            broken.append(f"data={name}: {error}")
            continue
        about = job.request.recorded["data"]
        rows.append((name, job.data_kind, str(about.get("path", "")), str(about.get("source", ""))))
    headings = ("name", "kind", "path", "source")
    widths = [max(len(row[number]) for row in (headings, *rows)) for number in range(3)]
    console = _console()
    for row in (headings, *rows):
        line = "   ".join((*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]))
        style = "bold" if row is headings else ""
        # The source is cut where a terminal has no room; a file or another program gets all of it.
        console.print(
            Text(line, style), no_wrap=True, overflow="ellipsis" if sys.stdout.isatty() else "ignore", crop=False
        )
    for message in broken:
        print(f"\nbroken: {message}")
    print(f"\nKinds of data, for files of your own: {', '.join(kinds)}")
    print("What is in one:  lifecycle data iris     lifecycle data table data.path=houses.csv data.target=price")


def _print_card(job: Job) -> None:
    from lifecycle.data.columns.kinds import column_kinds, num_missing
    from lifecycle.data.preprocessing import clean_targets
    from lifecycle.runtime.digests import digest, sha256

    plugin = job.data
    frame = plugin.read()
    target, samples = plugin.describe_target(frame), plugin.samples(frame)
    if samples.targets is None:
        raise RequestError(f"data={job.data_name} has no target column {target.name}. Name one with data.target.")
    labels = clean_targets(samples.targets, target)
    missing = num_missing(plugin, frame, samples)
    split = plugin.split(type(samples)(samples.inputs, labels, samples.rows), target.task, job.seed)
    parts = {"train": split.train, "validation": split.val, "test": split.test}
    shown = job.request.recorded["data"]
    lines = {
        "Data": f"{job.data_name} (data={job.data_kind}, data.path={shown.get('path', '')})",
        "Rows": f"{len(frame):,}; {missing or 'no'} value{'s' if missing != 1 else ''} missing",
        **_target_lines(target, labels),
        "Parts": f"{', '.join(f'{len(part)} {name}' for name, part in parts.items())} of {len(labels)} samples",
    }
    about = {title: shown.get(title.lower()) or "not stated" for title in ("Source", "Licence", "Note")}
    console = _console()
    columns = _columns_table(frame, column_kinds(plugin, frame), target)
    large = large_file_of(plugin)
    about["Digest"] = f"sha256 {digest(frame) if large is None else sha256(large)}"
    with console.capture() as captured:
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
    """Return a table of a line a column, or a line a kind where that would be too many."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("column", overflow="fold")
    table.add_column("type")
    for heading in ("missing", "distinct", "min", "mean", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("most frequent", overflow="fold")
    names = dict(zip(kinds, frame.columns, strict=True))  # as texts -> as the frame has them
    groups = {name: [name] for name in kinds}
    if len(kinds) > MOST_LINES or "pixel" in kinds.values():
        groups = {}
        for name, kind in kinds.items():
            groups.setdefault(kind if kind in ("number", "pixel") else name, []).append(name)
    for group in groups.values():
        title = group[0] if len(group) == 1 else f"{group[0]} ... {group[-1]} ({len(group)})"
        kind = kinds[group[0]]
        part = frame[[names[name] for name in group]]
        if kind.startswith("target") and target.task == "classification":
            part = part.astype(str)
        table.add_row(escape(title), kind, *map(escape, _cells(part, kind)))
    return table


def _cells(part: pd.DataFrame, kind: str) -> list[str]:
    """Return missing, distinct, min, mean, max and the most frequent value of some columns of one kind."""
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
        rounding = 1e-12 * np.abs(present).max()  # the mean of what was centred is no number to read
        shown = [f"{number if abs(number) > rounding else 0:.5g}" for number in numbers]
        return [missing, f"{len(np.unique(present)):,}", *shown, ""]
    column = part.iloc[:, 0].dropna().map(str)
    counts = column.value_counts()
    if kind.startswith("time"):
        order = times.order(part.iloc[:, 0])
        shown = times.texts(part.iloc[:, 0])[order]
        return [missing, f"{len(counts):,}", shown[0], "", shown[-1], ""]
    often = f"{counts.index[0]} ({counts.iloc[0]})" if len(counts) and counts.iloc[0] > 1 else ""
    return [missing, f"{len(counts):,}", "", "", "", often]


def _grid(lines: dict[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold cyan", no_wrap=True, min_width=8)
    grid.add_column(overflow="fold")
    for title, text in lines.items():
        grid.add_row(title, escape(text))
    return grid


def _console() -> Console:
    # On a terminal all fits its width; a file or another program gets whole lines.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)
