"""Adds to a run of a vectorised group what single runs have: the MLflow model, tables of classes, and pictures.

They take longer than the fit, so that a sweep adds them to the best run of each configuration only.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from lifecycle import layout
from lifecycle.config.records.request_record import request_of
from lifecycle.config.resolve import resolve
from lifecycle.fit.history import History
from lifecycle.plots import artifacts, diagram
from lifecycle.predict import saved_model
from lifecycle.predict.forecast import can_forecast
from lifecycle.runs import description, pipeline
from lifecycle.runtime.quiet import quiet_libraries
from lifecycle.tracking import found_run
from lifecycle.tracking.found_run import FoundRun, Which
from lifecycle.tracking.messages import LogModel, LogTags
from lifecycle.tracking.run import Run, track_again


def complete(which: Which, figures: bool | str = True) -> None:
    """Complete a FINISHED run.

    Args:
        which: the run.
        figures: whether pictures are drawn.

    Raises:
        LifecycleError: the run cannot be completed; it stays as it is.
    """
    found = found_run.find(which)
    assert found.artifacts is not None  # noqa: S101 - it is a run
    later = found.artifacts / layout.MODEL_LATER
    with quiet_libraries(), track_again(found, resume=False) as tracked:
        _draw(found, found.artifacts, tracked, figures)
        if later.is_file():
            tracked.recorder.send(LogModel(str(found.artifacts / layout.SAVED), **json.loads(later.read_text())))
        tracked.recorder.send(LogTags())
    later.unlink(missing_ok=True)


def _draw(found: FoundRun, files: Path, tracked: Run, figures: bool | str) -> None:
    trained = saved_model.load(found.model_folder())
    # Classes may be called NA or None.
    types = _types(trained.spec.class_names)
    predictions = pd.read_csv(files / layout.PREDICTIONS, dtype=types, keep_default_na=False, na_values=[""])
    folder = tracked.scratch / "look"
    folder.mkdir()
    artifacts.write_classes(folder, trained.spec, predictions)
    if figures:
        look = artifacts.Look(f"{trained.data_name}, run {found.name}", figures == artifacts.SVG)
        pictures = artifacts.pictures_of(trained.spec, look=look)
        (folder / layout.MODEL_DIAGRAM).write_text(
            diagram.draw(trained.network, trained.model_name, trained.spec), encoding="utf-8"
        )
        if can_forecast(trained):
            data = pipeline.loaded(resolve(request_of(found.record())))
            pictures += artifacts.write_forecast(folder, data, predictions, look)
        history = _history(found, files)
        tracked.log_figures(asdict(history), predictions, trained.spec, **vars(look))
        if layout.NOTE in found.tags:
            images = description.images(pictures, tracked.id, artifacts.wide(trained.spec, history))
            tracked.describe(f"{found.tags[layout.NOTE]}\n\n{images}")
    tracked.log_folder(folder)


def _types(classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the types of columns of predictions: names of classes stay texts, such as ``"0"``."""
    return {"actual": str, "predicted": str} if classes else {}


def _history(found: FoundRun, files: Path) -> History:
    rows = pd.read_csv(files / layout.HISTORY).to_dict("records")
    best = found.tags.get("best_epoch")
    plain = tuple({str(name): float(value) for name, value in row.items()} for row in rows)
    return History(
        plain, None if best is None else int(best), int(found.tags["weights_epoch"]), found.tags.get("stopped", "")
    )
