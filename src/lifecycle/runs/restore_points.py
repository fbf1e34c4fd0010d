"""The checkpoints from which a run can continue: ``last.ckpt``, or ``best.ckpt`` if the first is missing or damaged."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

from lifecycle import layout
from lifecycle.errors import SavedModelError
from lifecycle.fit import checkpoints
from lifecycle.fit.history import History
from lifecycle.tracking.found_run import FoundRun

Points = dict[str, list[tuple[int, float]]]
"""Epochs and values of each score of a run that are recorded in MLflow."""


def last(found: FoundRun, points: Points) -> Path | None:
    """Return the checkpoint to resume from; ``None``: the run ended before its first one.

    Args:
        found: the run.
        points: its recorded scores.

    Raises:
        SavedModelError: the checkpoint is missing; the message says what can be done.
    """
    path = found.checkpoints / layout.LAST_CHECKPOINT
    if path.is_file():
        return path
    if layout.VECTORISED in found.tags:
        raise SavedModelError(
            f"run {found.name} ({found.id}) was one of {found.tags[layout.VECTORISED]} that were fitted together and "
            f"wrote no checkpoints. Run it again by itself: lifecycle rerun run={found.id}, or the sweep with "
            "sweep.vectorise=off sweep.again=true."
        )
    done = max((epoch for scores in points.values() for epoch, _ in scores), default=0)
    # Any of them shows that there was a last.ckpt, so that starting again would discard completed epochs.
    traces = [f"{layout.LAST_CHECKPOINT}.sha256", layout.BEST_CHECKPOINT, f"{layout.BEST_CHECKPOINT}.sha256"]
    if not done and not any((found.checkpoints / name).is_file() for name in traces):
        return None
    reached = f", and {done} epoch{'s' * (done > 1)} of it are recorded" if done else ""
    raise SavedModelError(f"{path} is missing{reached}. {remedy(found)}")


def checked(found: FoundRun, path: Path) -> dict[str, Any]:
    """Return the contents of ``last.ckpt``.

    Raises:
        SavedModelError: it or the ``best.ckpt`` that it refers to is missing or damaged; the message says what can be
            done.
    """
    try:
        checkpoint = checkpoints.read(path)
        # Resuming restores the best score with it, so that a missing best.ckpt might never be written again.
        if any(state.get("best_model_path") for state in checkpoint["callbacks"].values()):
            checkpoints.check(path.with_name(layout.BEST_CHECKPOINT))
    except SavedModelError as error:
        raise SavedModelError(f"run {found.name} ({found.id}) cannot be resumed: {error} {remedy(found)}") from error
    return checkpoint


def best(found: FoundRun, points: Points) -> tuple[dict[str, Any], History]:
    """Return the weights of the best epoch, and the history that is recorded in MLflow.

    Raises:
        SavedModelError: ``best.ckpt`` is missing or damaged.
    """
    try:
        checkpoint = checkpoints.read(found.checkpoints / layout.BEST_CHECKPOINT)
    except SavedModelError as error:
        raise SavedModelError(f"checkpoint=best cannot be used: {error} {_start_again(found)}") from error
    # Lightning counts epochs from 0.
    epoch = int(checkpoint["epoch"]) + 1
    done = max([epoch, *(number for scores in points.values() for number, _ in scores)])
    by_name = {name: dict(scores) for name, scores in points.items()}
    # MLflow has neither the duration of epochs nor, if the process was killed, the last scores.
    rows = tuple(
        {"epoch": number, **{name: scores.get(number, math.nan) for name, scores in by_name.items()}}
        | {"epoch_seconds": math.nan}
        for number in range(1, done + 1)
    )
    return checkpoint["state_dict"], History(
        rows, epoch, epoch, f"it was finished with the weights of {layout.BEST_CHECKPOINT}"
    )


def remedy(found: FoundRun) -> str:
    """Return the sentence that names the command for a run whose ``last.ckpt`` cannot be used."""
    if found.status == "FINISHED":  # its model has the best weights already
        return _start_again(found)
    try:
        epoch = checkpoints.read(found.checkpoints / layout.BEST_CHECKPOINT)["epoch"] + 1
    except SavedModelError:
        return _start_again(found)
    # The command must work as it is printed, from the current folder.
    where = "" if found.folder == Path.cwd() / "mlruns" else f" {shlex.quote(f'tracking.dir={found.folder}')}"
    command = f"lifecycle resume run={found.id} checkpoint=best{where}"
    return f"Finish it with the weights of epoch {epoch} in {layout.BEST_CHECKPOINT}: {command}"


def _start_again(found: FoundRun) -> str:
    return f"Start it again: {found.tags[layout.COMMAND]}"
