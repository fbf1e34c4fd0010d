"""Markdown tables of the measurements of ``speed.py``: ratios with their targets, and all times."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from peers.jobs import JOBS, Timed

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
START_BEGIN, START_END = "<!-- start: begin -->", "<!-- start: end -->"
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
KERAS = "keras-tensorflow"
START, START_TARGET = "start", 1.9
"""The measurement of the whole command, and the upper limit of its ratio to importing PyTorch."""

HEAD = [
    "| job | fit, ours / loop | fit, ours / Keras | command, ours / Keras's script "
    "| Lightning stack: fit / loop, script / Keras's |",
    "|---|---|---|---|---|",
]
KINDS = {"warm": "fit, warm process", "fit": "fit, fresh process", "process": "whole process"}
NAMED = ("pytorch-lightning", "mlflow", "torch", "keras", "tensorflow-cpu", "tensorflow")
"""Packages whose versions are in the caption."""


def ratios(record: dict[str, Any], kind: str, who: str, peer: str) -> list[float]:
    """Return the time ratio of each pair of a job; an empty list if one of the two was not measured.

    Args:
        record: record of the job.
        kind: ``"warm"``, ``"fit"`` or ``"process"``; see :data:`KINDS`.
        who: name of the numerator.
        peer: name of the denominator.
    """
    times = record["samples"][kind]
    if who not in times or peer not in times:
        return []
    return [mine / theirs for mine, theirs in zip(times[who], times[peer], strict=False)]  # some have fewer pairs


def number(value: float) -> str:
    """Format a ratio or a time with about three significant digits."""
    if value >= 99.95:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.9995 else f"{value:.3f}"


def spread(values: list[float]) -> str:
    """Format the median, with minimum and maximum if there are several values; a dash if there are none."""
    if not values:
        return "–"  # noqa: RUF001 - the usual sign for an empty cell
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))} to {number(max(values))})"


def cell(values: list[float], target: float, also: str = "", kept: bool = True) -> str:
    """Format ratios with their target and whether the median, rounded as shown, reaches it.

    Args:
        values: one ratio per pair.
        target: upper limit of the median.
        also: text of a second condition.
        kept: whether the second condition holds.
    """
    if not values:
        return spread(values)
    reached = float(number(statistics.median(values)).replace(",", "")) <= target and kept
    return f"{spread(values)}, ≤ {target:g}{also}: {'yes' if reached else '**no**'}"


def accuracy(record: dict[str, Any], timed: Timed) -> tuple[str, bool]:
    """Return the text of the accuracy condition and whether ours meets it; no text if the job has no such condition."""
    scores = record["scores"]["warm"]
    if timed.accuracy_within is None or "loop" not in scores:
        return "", True
    ours, loop = (statistics.median(found["test_accuracy"] for found in scores[who]) for who in ("ours", "loop"))
    also = f", accuracy {ours:.4f} to the loop's {loop:.4f} (within {timed.accuracy_within:g})"
    return also, round(ours, 4) >= round(loop - timed.accuracy_within, 4)


def row(record: dict[str, Any], timed: Timed) -> str:
    """Return the row of a job."""
    lightning = [ratios(record, "warm", "lightning", "loop"), ratios(record, "process", "lightning", KERAS)]
    cells = [
        timed.label,
        cell(ratios(record, "warm", "ours", "loop"), timed.fit_loop, *accuracy(record, timed)),
        cell(ratios(record, "fit", "ours", KERAS), timed.fit_keras),
        cell(ratios(record, "process", "ours", KERAS), timed.command_keras),
        ", ".join(number(statistics.median(values)) if values else spread(values) for values in lightning),
    ]
    return f"| {' | '.join(cells)} |"


def table(results: dict[str, Any]) -> str:
    """Return the table of ratios of all measured jobs, with targets and a caption."""
    measured = {name: results["jobs"][name] for name in JOBS if name in results["jobs"]}
    lines = [row(record, JOBS[name]) for name, record in measured.items()]
    return "\n".join([*HEAD, *lines, "", caption(list(measured.values()))])


def start_up(results: dict[str, Any]) -> str:
    """Return the sentence on the whole command against importing PyTorch; "" if it was not measured."""
    if (record := results.get(START)) is None:
        return ""
    ours, theirs = (ratios(record, "process", who, "torch") for who in ("ours", "sklearn"))
    at = record["machine"]
    return (
        f'`lifecycle data=iris`, the whole command, over `python -c "import torch"`: {cell(ours, START_TARGET)}. '
        f"scikit-learn's whole script of that job over the same: {spread(theirs)}. Medians (least to greatest) of "
        f"{len(ours)} interleaved rounds, {record['date']}, on {at['processor']}, {at['cores']} cores."
    )


def caption(records: list[dict[str, Any]]) -> str:
    """Return the caption: date, machine and package versions of the measurements."""
    dates = sorted({record["date"] for record in records})
    machines = sorted({f"{at['processor']}, {at['cores']} cores" for at in (record["machine"] for record in records)})
    pairs = sorted({record["pairs"] for record in records})
    few = sorted(
        {record["pairs_of_others"] for record in records if record.get("pairs_of_others", 99) < record["pairs"]}
    )
    of = f"{' or '.join(map(str, pairs))} interleaved pair{'s' * (pairs[-1:] != [1])}"
    of += f" (Lightning's, and what has no target: {' or '.join(map(str, few))})" if few else ""
    found = sorted(
        {
            f"{name} {version}"
            for record in records
            for versions in record["versions"].values()
            for name, version in versions.items()
            if name in NAMED
        }
    )
    return (
        f"Medians (least to greatest) of {of}, {' to '.join(dates[:1] + dates[1:][-1:])}, on {'; '.join(machines)}; "
        f"{', '.join(found)}. Keras is on TensorFlow."
    )


def details(results: dict[str, Any]) -> str:
    """Return the table of all times in seconds, including the other Keras backends and scikit-learn."""
    lines = ["| job | time of | who | seconds | ours / it | score |", "|---|---|---|---|---|---|"]
    for name in JOBS:
        if name not in results["jobs"]:
            continue
        record = results["jobs"][name]
        for kind, words in KINDS.items():
            for who, times in record["samples"][kind].items():
                ratio = "" if who == "ours" else spread(ratios(record, kind, "ours", who))
                score = _score(record["scores"].get(kind, {}).get(who, []))
                lines.append(f"| {JOBS[name].label} | {words} | {who} | {spread(times)} | {ratio} | {score} |")
    return "\n".join(lines)


def write_page(results: dict[str, Any], page: Path = PAGE) -> None:
    """Write the table between its marks in docs/speed.md.

    Raises:
        ValueError: the page has no marks.
    """
    _write_between(page, BEGIN, END, table(results))


def write_start_up(results: dict[str, Any], page: Path = PAGE) -> None:
    """Write :func:`start_up` between its marks in docs/speed.md.

    Raises:
        ValueError: the page has no marks.
    """
    _write_between(page, START_BEGIN, START_END, start_up(results))


def _write_between(page: Path, begin: str, end: str, content: str) -> None:
    text = page.read_text()
    if begin not in text or end not in text:
        raise ValueError(f"{page.name} must have the marks {begin} and {end}. Put them where the table goes.")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{content}\n{end}{after}")


def _score(scores: list[dict[str, float]]) -> str:
    """Return the median of the best available test score: accuracy, else loss, else R2."""
    for name in ("test_accuracy", "test_loss", "test_r2"):
        if scores and name in scores[0]:
            return f"{name.removeprefix('test_')} {statistics.median(found[name] for found in scores):.4g}"
    return ""
