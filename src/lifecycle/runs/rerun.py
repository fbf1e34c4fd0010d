"""Repeats a run and compares the results."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from lifecycle import layout
from lifecycle.config.records import request_record
from lifecycle.config.request import Request
from lifecycle.errors import LifecycleError, RequestError, as_typed
from lifecycle.runs import reopen
from lifecycle.runtime.lines import say
from lifecycle.runtime.processes import is_helper
from lifecycle.tracking import client, found_run
from lifecycle.tracking.found_run import FoundRun, Which
from lifecycle.tracking.provenance import DIRTY, Difference

if TYPE_CHECKING:
    from lifecycle.console.report import Report
    from lifecycle.runs.pipeline import Prepared
    from lifecycle.tracking.run import Run

SCORES = ("test_", "training_set_", "kept_")
"""Prefixes of the names of final scores, in the order in which differences are listed."""

SECONDS = "epoch_seconds"


TOLERANCE = 1e-5
"""Of the scores of a run that was fitted in a vectorised group; absolute, and relative to scores above 1."""


class NotReproducedError(LifecycleError):
    """A run was repeated and the results differ. Both runs are FINISHED; exit code 1."""

    is_table = True


def rerun(which: Which, overrides: list[str]) -> None:
    """Repeat a run, and print that it is reproduced.

    Args:
        which: the run.
        overrides: ``key=value`` arguments, of display settings only.

    Raises:
        RequestError: there is no such run, or it cannot be repeated without a change.
        NotReproducedError: the results differ; lists the differences and their probable cause.
    """
    found = found_run.find(which)
    record = found.record()
    _check_is_finished(found)
    request, changed = reopen.changed(record, overrides, f"rerun run={found.id}")
    for key in changed:
        if key not in reopen.DISPLAY_SETTINGS:
            before, after = changed[key]
            raise RequestError(
                key,
                f"must stay {as_typed(before)} in a repetition of run {found.name} ({found.id})",
                as_typed(after),
                "Leave it out, or begin a new run with it.",
            )
    _record_with(found, request, which)
    reopen.set_helper_arguments("rerun", found, overrides, request)
    if not is_helper():
        client.warm_up(which.tracking)
    _repeat(found, request)


def _check_is_finished(found: FoundRun) -> None:
    if found.tags.get(layout.STATUS) == layout.PRUNED:
        name, problem = f"run {found.name} ({found.id})", "was pruned by its search: it has no scores to compare with"
        words = found.tags.get(layout.OVERRIDES, "")
        raise RequestError([name], problem, remedy=f"To run it to its end: lifecycle {words}".rstrip())
    if found.status != "FINISHED":
        raise RequestError(
            [f"run {found.name} ({found.id})"],
            f"is {found.status}: it has no scores to compare with",
            remedy=f"`lifecycle resume run={found.id}` continues it.",
        )


def _record_with(found: FoundRun, request: Request, which: Which) -> None:
    """Set the tracking of the repetition to the folder and experiment of the run, and to the server that is named."""
    assert found.folder is not None  # noqa: S101 - a folder with a saved model has no record
    request_record.place(request, found.folder)
    OmegaConf.update(request.config, "tracking.experiment", found.experiment)
    request.expressions.pop(("tracking", "experiment"), None)
    if which.tracking.uri is not None:
        OmegaConf.update(request.config, "tracking.uri", which.tracking.uri)
        request.expressions.pop(("tracking", "uri"), None)


def _repeat(found: FoundRun, request: Request) -> None:
    from lifecycle.runtime.imports.quick import quick_imports

    with quick_imports():  # Lightning, only once the request is checked
        from lifecycle.runs import pipeline
    differences: list[Difference] = []

    def on_start(prepared: Prepared, printer: Report, tracked: Run) -> None:
        assert found.id is not None  # noqa: S101 - a folder with a saved model has no record
        differences.extend(reopen.differences(found, prepared.data))
        tracked.tag(**{layout.RERUN_OF: found.id})
        printer.note("Rerun", f"of {found.name} ({found.id})", [str(difference) for difference in differences])

    result = pipeline.run(request, on_start)
    if is_helper() or result is None:
        return
    # Read back from MLflow, as the original was, so that both have passed through the same storage.
    repeated = found_run.find(Which(run=result.run_id, tracking=request.tracking))
    if layout.VECTORISED in found.tags:
        _compare_vectorised(found, repeated, differences)
        return
    changes = [*_scores(found, repeated), *_history(found, repeated), *_weights(found, repeated)]
    if changes:
        raise NotReproducedError(_report(found, repeated, changes, differences))
    say("reproduced: all scores equal")


def _compare_vectorised(found: FoundRun, repeated: FoundRun, differences: list[Difference]) -> None:
    """Compare a run of a vectorised group with a single fit, which adds up in another order."""
    changes = [*_scores(found, repeated, TOLERANCE), *_history(found, repeated, TOLERANCE)]
    if changes:
        raise NotReproducedError(_report(found, repeated, changes, differences))
    size = found.tags[layout.VECTORISED]
    say(f"reproduced to within {TOLERANCE:g}: the run was one of {size} that were fitted together")


def _report(found: FoundRun, repeated: FoundRun, changes: list[str], differences: list[Difference]) -> str:
    lines = [
        f"not reproduced: run {found.name} ({found.id}) and its repetition {repeated.id} differ",
        *(f"  {change}" for change in changes),
        f"probable cause: {_cause(found, repeated, differences)}",
    ]
    return "\n".join(lines)


def _cause(found: FoundRun, repeated: FoundRun, differences: list[Difference]) -> str:
    """Return the most likely cause of different results, and less likely ones."""
    if differences:
        first = [difference for difference in differences if difference.cause == differences[0].cause]
        others = [difference for difference in differences if difference.cause != differences[0].cause]
        also = f"; less probable: {', '.join(map(str, others))}" if others else ""
        return f"{differences[0].cause} ({', '.join(map(str, first))}){also}"
    if layout.VECTORISED in found.tags:
        return f"rounding: the run was one of {found.tags[layout.VECTORISED]} that were fitted together"
    # A dirty working tree has the commit of a clean one, so that no difference is recorded.
    if "true" in (found.tags.get(DIRTY), repeated.tags.get(DIRTY)):
        return "uncommitted changes of the code: git.dirty was true"
    if repeated.tags.get("hardware.gpu", "none") != "none" and found.params.get("trainer.accelerator") != "cpu":
        return "none recorded; some GPU operations add in a different order each time"
    return "none recorded; a plugin may draw random numbers with a seed other than the run's"


def _scores(found: FoundRun, repeated: FoundRun, tolerance: float = 0.0) -> list[str]:
    """Return a line for each final score that differs by more than a tolerance."""
    # Runs of version 0.1 also have the ends of intervals as metrics.
    known = {*found.metrics, *repeated.metrics}
    both = sorted(name for name in known if name.removesuffix("_low").removesuffix("_high") not in known - {name})
    names = [name for prefix in SCORES for name in both if name.startswith(prefix)]
    pairs = [(name, found.metrics.get(name), repeated.metrics.get(name)) for name in names]
    return [_change(name, then, now) for name, then, now in pairs if not _equal(then, now, tolerance)]


def _history(found: FoundRun, repeated: FoundRun, tolerance: float = 0.0) -> list[str]:
    """Return a line on the first epoch that differs, if there is one."""
    then, now = (_table(run) for run in (found, repeated))
    if then is None or now is None:
        return [f"{layout.HISTORY} of {(found if then is None else repeated).id} cannot be read"]
    for epoch, (before, after) in enumerate(zip(then, now, strict=False), start=1):
        names = [name for name in {**before, **after} if not _equal(before.get(name), after.get(name), tolerance)]
        if names:
            change = _change(names[0], before.get(names[0]), after.get(names[0]))
            return [f"{layout.HISTORY} from epoch {epoch} of {len(then)} on: {change}"]
    return [] if len(then) == len(now) else [f"{layout.HISTORY} had {len(then)} epochs, has {len(now)}"]


def _table(run: FoundRun) -> list[dict[str, float]] | None:
    """Return the rows of a run's history without the duration of epochs; ``None``: it cannot be read."""
    assert run.artifacts is not None  # noqa: S101 - it is a run
    try:
        with (run.artifacts / layout.HISTORY).open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
            return [{name: float(row[name] or "nan") for name in row if name != SECONDS} for row in rows]
    except (OSError, ValueError, TypeError):
        return None


def _weights(found: FoundRun, repeated: FoundRun) -> list[str]:
    """Return a line if the weights are not bit-for-bit equal."""
    then, now = (_digest(run) for run in (found, repeated))
    if then is None:
        return ["the weights of the run are missing"]
    return [] if then == now else [f"the weights: sha256 {then[:16]}... -> {str(now)[:16]}..."]


def _digest(run: FoundRun) -> str | None:
    try:
        manifest = json.loads((run.model_folder() / layout.MANIFEST).read_text())
        return str(manifest["sha256"][layout.WEIGHTS])
    except (LifecycleError, OSError, ValueError, KeyError):
        return None


def _equal(then: float | None, now: float | None, tolerance: float = 0.0) -> bool:
    if then is None or now is None:
        return then == now
    # Equal to itself only here: a NaN that is repeated is reproduced.
    return then == now or (math.isnan(then) and math.isnan(now)) or abs(then - now) <= tolerance * max(1, abs(then))


def _change(name: str, then: float | None, now: float | None) -> str:
    if then is None or now is None:
        return f"{name}: {_text(then)} -> {_text(now)}"
    return f"{name}: {then!r} -> {now!r} ({now - then:+.3g})"


def _text(value: float | None) -> str:
    return "nothing" if value is None else repr(value)
