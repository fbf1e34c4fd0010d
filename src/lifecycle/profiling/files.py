"""The files of ``profile=true``: a table of the phases, and pyinstrument's page of the stacks."""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl

from lifecycle import layout
from lifecycle.profiling import clock

if TYPE_CHECKING:
    from lifecycle.profiling.clock import Profile, Stack


ROOT = "all\x00<run>\x000"
"""The outermost frame of the page, as pyinstrument writes one: name, file and line."""

FONTS = re.compile(r"https://fonts\.googleapis\.com[^\"'`]*")
DATA = "const sessionData = "
"""Beginning of the line of pyinstrument's page that has the profile as JSON."""


class FitTimes(pl.Callback):
    """Counts validation and the writing of checkpoints as phases of their own."""

    needs_scores_and_steps = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Time methods of this Trainer alone; Lightning has no callbacks around them."""
        clock.time_methods(trainer.fit_loop.epoch_loop.val_loop, "validation", "run")
        clock.time_methods(trainer, "checkpoint", "save_checkpoint")


def callbacks() -> list[pl.Callback]:
    """Return the callbacks that time fitting, if the run is profiled."""
    return [FitTimes()] if clock.current() else []


def table(profile: Profile) -> list[tuple[str, float, float]]:
    """Return (phase, seconds, share of the whole) of each phase that occurred, in the order of the run."""
    names = [*clock.PHASES, *(name for name in profile.seconds if name not in clock.PHASES)]
    return [
        (name, profile.seconds[name], profile.seconds[name] / profile.whole)
        for name in names
        if name in profile.seconds
    ]


def write(folder: Path, name: str, profile: Profile) -> None:
    """Write ``profile.csv`` and ``profile.html``.

    Args:
        folder: of the files; created if it does not exist.
        name: of the run.
        profile: stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / layout.PROFILE_TABLE).open("w", newline="", encoding="utf-8") as stream:
        # By default the csv module ends lines with CR LF, also on Linux.
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["phase", "seconds", "share"])
        writer.writerows([phase, f"{seconds:.6f}", f"{share:.6f}"] for phase, seconds, share in table(profile))
    (folder / layout.PROFILE_PAGE).write_text(page(name, profile), encoding="utf-8")


def page(name: str, profile: Profile) -> str:
    """Return pyinstrument's page of a profile: a tree of calls, and a flame graph as its view "Timeline".

    It loads nothing from the network, and no text of the profile can end its script.
    """
    # Imported here: runs without a profile need no pyinstrument.
    from pyinstrument.renderers import HTMLRenderer
    from pyinstrument.session import Session

    records = list(_records(profile))
    session = Session(
        frame_records=[([ROOT, *frames], seconds) for frames, seconds in records],
        start_time=time.time() - profile.whole,
        duration=profile.whole,
        # Only shown on the page: the records have their own seconds.
        min_interval=clock.SECONDS_A_SAMPLE,
        max_interval=clock.SECONDS_A_SAMPLE,
        sample_count=len(records),
        start_call_stack=[ROOT],
        target_description=f"lifecycle: {name}",
        cpu_time=profile.cpu_seconds,
        sys_path=sys.path,
        sys_prefixes=Session.current_sys_prefixes(),
    )
    # An empty style sheet in place of the address, so that the page loads nothing from the network.
    before, start, rest = FONTS.sub("data:text/css,", HTMLRenderer().render(session)).partition(DATA)
    data, end, after = rest.partition("\n")
    # pyinstrument writes the JSON as it is, and a run's name may contain </script>. In JSON, < occurs in texts alone.
    return "".join([before, start, data.replace("<", r"\u003c"), end, after])


def _records(profile: Profile) -> Iterator[tuple[Stack, float]]:
    """Yield stacks with their seconds: by phase in the order of the run, and sorted, as the page joins neighbours.

    The samples of a phase are scaled to the seconds that the clock measured; one without samples is a stack itself.
    """
    for phase, measured, _ in table(profile):
        frame = f"{phase}\x00<phase>\x000"
        samples = sorted((stack, seconds) for (name, stack), seconds in profile.stacks.items() if name == phase)
        sampled = sum(seconds for _, seconds in samples)
        # A phase may be shorter than the time between two samples.
        if not sampled:
            yield (frame,), measured
        for stack, seconds in samples:
            yield (frame, *stack), seconds / sampled * measured
