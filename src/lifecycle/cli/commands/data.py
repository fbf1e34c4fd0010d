"""The subcommand ``data``: lists the data sets, or describes one. Imports no torch."""

from __future__ import annotations

import re
import sys
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lifecycle.capabilities import NotesReading, large_file_of
from lifecycle.credentials import hiding
from lifecycle.errors import COMMAND_LINE, RequestError, Setting
from lifecycle.runtime.lines import WIDE, say, width_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lifecycle.config.request import Job
    from lifecycle.contract import Target
    from lifecycle.data.audit.findings import Audit

MOST_LINES = 60
"""Columns that are listed one by one; of more, all numeric ones share a line."""

OPTION, JOINED = re.compile(r"data\.\w+=[{\[][^}\]]*[}\]]"), "\ue000"
"""An option with a mapping or a list; and a character that stands for a space in it while lines are broken."""

MOST_READINGS = 8
"""Columns of which it is said how else they may be read."""

EXAMPLE = "lifecycle data pima"
NOTE = (
    "Without a name it lists the data sets. Further arguments are fields of the data: lifecycle data table "
    "data.path=houses.csv data.target=price."
)

UNNAMED = "not-named-yet"
"""Stands for the target of a file whose columns are described before one is chosen."""

WIDTH, MOST_NAME, LONGEST_NAME, LONGEST_EXAMPLE = 80, 16, 40, 30
"""Characters of a line whose name has at most so many, and of a name before it is broken."""

WITH_PATHS = 120
"""Columns of a terminal in which the list of data sets has their paths; ``lifecycle data iris`` shows each."""

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
    # A file alone is a table; its target may be named later.
    name, *overrides = ["table", *arguments] if arguments[0].startswith("data.") else arguments
    wrong = [argument for argument in overrides if "=" not in argument]
    if "=" in name or name.startswith("-") or wrong:
        raise RequestError(
            "data",
            "takes the name of a data set, then key=value arguments",
            " ".join(arguments),
            "Type for instance lifecycle data iris, or lifecycle data table data.path=a.csv data.target=y.",
        )
    has_target = name != "table" or not overrides or any(one.startswith("data.target=") for one in overrides)
    job = job_of([f"data={name}", *overrides, *([] if has_target else [f"data.target={UNNAMED}"])])
    with hiding(job.request.hidden):
        if has_target:
            _print_description(job)
        else:
            _print_columns(job)


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
    console = _console()
    is_cut = width_of(sys.stdout) is not None
    shown = [row if console.width >= WITH_PATHS else (*row[:2], row[-1]) for row in (headings, *rows)]
    widths = [max(len(row[number]) for row in shown) for number in range(len(shown[0]) - 1)]
    for row in shown:
        line = "   ".join((*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]))
        style = "bold" if row is shown[0] else ""
        # On a terminal the source is cut at the right edge; a file or a pipe gets all of it.
        console.print(Text(line, style), no_wrap=True, overflow="ellipsis" if is_cut else "ignore", crop=is_cut)
    for message in broken:
        say(f"\nbroken: {message}")
    say(f"\nKinds of data, for your own files: {', '.join(kinds)}")
    say("Describe one:  lifecycle data iris")
    say("               lifecycle data table data.path=houses.csv data.target=price")


def _print_description(job: Job) -> None:
    from lifecycle.data.audit.audit import audit_of
    from lifecycle.data.columns import targets
    from lifecycle.data.columns.kinds import num_missing
    from lifecycle.data.formats.text.dialect import dialect_of
    from lifecycle.data.preprocessing import clean_targets, strata
    from lifecycle.data.resolving import inferred, resolved
    from lifecycle.data.splits import draw

    configured = job.data
    frame = configured.read()
    plugin = resolved(configured, frame)
    target, samples = plugin.describe_target(frame), plugin.samples(frame)
    if samples.targets is None:
        problem = f"has no target column {target.name}"
        raise RequestError(Setting("data", job.data_name), problem, remedy="Name one with data.target.")
    rows = len(samples.targets)
    samples = targets.labelled(plugin, samples)
    assert samples.targets is not None  # noqa: S101 - for the types
    labels = clean_targets(samples.targets, target)
    missing = num_missing(plugin, frame, samples)
    split = draw(plugin, replace(samples, targets=strata(labels, target)), target.task, job.seed)
    parts = {"train": split.train, "validation": split.val, "test": split.test}
    recorded = job.request.recorded["data"]
    dialect = dialect_of(frame)
    reading = "" if dialect is None else dialect.described()
    audit = None if job.audit == "off" else audit_of(plugin, samples, labels, split, target)
    split_report = [*targets.left_out(target.name, rows, len(labels)), *split.report]
    reports = {"Split": split_report, "Audit": [one.text for one in (() if audit is None else audit.findings)]}
    lines = {
        "Data": f"{job.data_name} (data={job.data_kind}, data.path={recorded.get('path', '')})",
        **({"Read": reading} if reading else {}),
        "Rows": f"{len(frame):,}; {missing or 'no'} value{'s' if missing != 1 else ''} missing",
        **_target_lines(target, labels),
        **_task_lines(job.data, target, frame),
        "Parts": f"{', '.join(f'{len(part)} {name}' for name, part in parts.items())} of {len(labels)} samples",
        **{title: "\n".join(map(COMMAND_LINE.text, texts)) for title, texts in reports.items() if texts},
    }
    if (read_as := inferred(configured, plugin, frame)) is not None:
        lines |= dict([read_as])
    _print_card(job, plugin, frame, target, lines, audit)


def _print_card(
    job: Job, plugin: Any, frame: pd.DataFrame, target: Target, lines: dict[str, str], audit: Audit | None
) -> None:
    """Print lines about the data, a table of the columns, and where the data are from."""
    from lifecycle.data.columns.kinds import column_kinds
    from lifecycle.data.digests import digest
    from lifecycle.runtime.files.digests import sha256

    recorded = job.request.recorded["data"]
    about = {title: recorded.get(title.lower()) or "not stated" for title in ("Source", "Licence", "Note")}
    console = _console()
    columns = _columns_table(plugin, frame, column_kinds(plugin, frame), target)
    large = large_file_of(plugin)
    about["Sha256"] = digest(frame) if large is None else sha256(large)
    with console.capture() as captured:  # to strip the spaces with which Rich pads lines
        console.print(_grid(lines), "", sep="\n")
        console.print(columns, width=_width(columns))
        console.print("", *_readings(plugin, frame, job.data, audit), sep="\n")
        console.print(_grid(about), sep="\n")
    _print_lines(captured.get())


def _print_lines(text: str) -> None:
    """Print lines that Rich has broken, without the spaces at their ends; codes of colours have no width."""
    print("\n".join(line.rstrip() for line in text.splitlines()))


def _print_columns(job: Job) -> None:
    """Describe the columns of a file of which no target is named."""
    from lifecycle.data.columns import features, kinds, types

    table: Any = job.data
    frame = table.raw()
    used = frame[table.feature_columns(list(frame.columns))]
    features.check(used, features.numeric(used), table.path)
    plugin = table.with_meanings(table.found_in(types.plain_frame(used), ""))
    lines = {
        "Data": f"{job.data_name} (data={job.data_kind}, data.path={job.request.recorded['data'].get('path', '')})",
        "Rows": f"{len(frame):,}",
        "Target": "not named; data.target=<column> names the column to predict",
    }
    of_columns = {
        str(name): kinds.of_feature(plugin, frame[name]) if name in used else kinds.DROPPED for name in frame.columns
    }
    console = _console()
    with console.capture() as captured:
        console.print(_grid(lines), "", sep="\n")
        columns = _columns_table(plugin, frame, of_columns, None)
        console.print(columns, width=_width(columns))
        console.print("", *_readings(plugin, frame, table), sep="\n")
    _print_lines(captured.get().rstrip())


def _width(table: Table) -> int:
    """Return the characters of a line of a table: 80, and more where names are long and no terminal is narrower."""
    needed = WIDTH + max(0, (table.columns[0].min_width or 0) - MOST_NAME)
    return min(needed, width_of(sys.stdout) or needed)


def _readings(plugin: Any, frame: pd.DataFrame, declared: Any, audit: Audit | None = None) -> list[Any]:
    """Return what was found of columns, and the options that change it, below a heading; or nothing.

    Args:
        plugin: as the rows have determined its fields.
        frame: the rows.
        declared: the plugin as it was configured.
        audit: that is printed above; ``None``: none is.
    """
    from lifecycle.data.audit.audit import not_repeated
    from lifecycle.data.columns.meaning import report
    from lifecycle.data.columns.meaning.fields import Typed

    if not isinstance(plugin, Typed) or not isinstance(plugin, NotesReading):
        return []
    table: Any = plugin
    used = frame[table.columns(frame)]
    identifiers = () if audit is None else audit.identifiers
    lines = report.lines(used, table.meanings, declared.meanings, identifiers)
    lines += not_repeated(table.notes(frame), audit, len(frame))
    if not lines:
        return []
    shown = [COMMAND_LINE.text(line) for line in lines[:MOST_READINGS]]
    shown += [f"and {len(lines) - MOST_READINGS} more"] if len(lines) > MOST_READINGS else []
    return [Text("Columns that may be read in another way", style="bold"), *map(Text, map(_wrapped, shown)), ""]


def _wrapped(line: str) -> str:
    """Return a sentence in lines of the width of the screen, with ``data.types={id: drop}`` and the like whole."""
    joined = OPTION.sub(lambda found: found[0].replace(" ", JOINED), line)
    lines = textwrap.wrap(joined, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(JOINED, " ")


def _task_lines(plugin: Any, target: Target, frame: pd.DataFrame) -> dict[str, str]:
    """Return which task was chosen for few different whole numbers, and how to choose the other."""
    from lifecycle.data.columns.meaning import report

    line = report.task_choice(plugin, target, frame.get(target.name))
    return {} if line is None else {"Task": COMMAND_LINE.text(line)}


def _target_lines(target: Target, labels: np.ndarray[Any, Any]) -> dict[str, str]:
    import numpy as np

    from lifecycle.data.columns import label_sets
    from lifecycle.data.columns.targets import classes

    if target.task == "regression":
        return {"Target": f"{target.name}: a value ({target.task})"}
    if target.task == "multilabel":
        sets = list(map(label_sets.split, labels))
        names, labels = label_sets.labels_in(labels), np.array([label for one in sets for label in one])
        none = sum(not one for one in sets)
        title = f"{target.name}: {len(names)} labels, {len(labels) / len(sets):.2f} a row ({target.task})"
        title += f"; {none} rows have none" if none else ""
    else:
        names = classes(labels)
        title = f"{target.name}: {len(names)} classes ({target.task})"
    counts = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    listed = ", ".join(f"{name} {counts[name]}" for name in names[:MOST_CLASSES])
    more = f" and {len(names) - MOST_CLASSES} more" if len(names) > MOST_CLASSES else ""
    return {"Target": title, "With each" if target.task == "multilabel" else "Classes": listed + more}


def _columns_table(plugin: Any, frame: pd.DataFrame, kinds: dict[str, str], target: Target | None) -> Table:
    """Return a table with a line for each column; pixels, and numbers where there are many columns, share one."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("column", overflow="fold")
    table.add_column("type", no_wrap=True)
    for heading in ("missing", "distinct", "min", "mean", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("frequent", overflow="fold")
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
        if kind.startswith("target") and target is not None and target.task == "classification":
            # Codes of classes are names: their mean and range say nothing.
            part = part.astype(str)
        part, example = _converted(plugin, part)
        *cells, frequent = _cells(part, kind)
        shown = kind.partition(" (")[0].removesuffix(", from its own past")  # the number of values has its own column
        table.add_row(escape(title), shown, *map(escape, [*cells, frequent or example]))
        table.columns[0].min_width = max(table.columns[0].min_width or 0, min(LONGEST_NAME, len(title)))
    return table


def _converted(plugin: Any, part: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return columns as what they mean, and one of the texts of a single one as an example."""
    from lifecycle.data.columns import types
    from lifecycle.data.columns.meaning import convert
    from lifecycle.data.columns.meaning.fields import Typed

    meanings = plugin.meanings if isinstance(plugin, Typed) else {}
    read = {str(name): types.plain(part[name]) for name in part.columns if str(name) in meanings}
    if not read:
        return part, ""
    texts = [column.dropna() for column in read.values() if column.dtype == "str"]
    example = str(texts[0].iloc[0]) if len(part.columns) == 1 and texts and len(texts[0]) else ""
    return part.assign(**{name: convert.converted(read[name], meanings[name]) for name in read}), example[:30]


def _short(text: str) -> str:
    """Return the beginning of a long text, which would be a column of its words."""
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[: LONGEST_EXAMPLE - 3].rstrip()}..."


def _cells(part: pd.DataFrame, kind: str) -> list[str]:
    """Return the counts of missing and distinct values, min, mean, max and the most frequent value of columns."""
    import numpy as np
    import pandas as pd

    from lifecycle.data.columns import times
    from lifecycle.data.columns.kinds import MOMENT
    from lifecycle.data.splits.in_time import ranks

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
    if part.iloc[:, 0].dtype.kind == "M" and kind.startswith(MOMENT):
        present = part.iloc[:, 0].dropna()
        ends = f"{present.min():%Y-%m-%d} to {present.max():%Y-%m-%d}" if len(present) else ""
        return [missing, f"{present.nunique():,}", "", "", "", ends]
    column = part.iloc[:, 0].dropna().map(str)
    counts = column.value_counts()
    if kind.startswith("time"):
        order = np.argsort(ranks(part.iloc[:, 0]), kind="stable")
        sorted_times = times.texts(part.iloc[:, 0])[order]
        return [missing, f"{len(counts):,}", "", "", "", f"{sorted_times[0]} to {sorted_times[-1]}"]
    most_frequent = f"{_short(counts.index[0])} ({counts.iloc[0]})" if len(counts) and counts.iloc[0] > 1 else ""
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
    return Console(highlight=False, width=width_of(sys.stdout) or WIDE)
