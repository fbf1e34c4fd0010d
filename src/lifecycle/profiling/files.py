"""What ``profile=true`` adds to a run: the times within fitting, and its files and table when all is done."""

from __future__ import annotations

import csv
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl

from lifecycle.profiling import clock, flame_graph

if TYPE_CHECKING:
    from lifecycle.profiling.clock import Profile

TABLE, GRAPH, PAGE = "profile.csv", "profile.svg", "profile.html"

FONTS = re.compile(r"https://fonts\.googleapis\.com[^\"'`]*")


class TimesOfFit(pl.Callback):
    """Counts validation and the writing of checkpoints as phases of their own."""

    needs_scores_and_steps = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Time what this one Trainer will do."""
        clock.time_methods(trainer.fit_loop.epoch_loop.val_loop, "validation", "run")
        clock.time_methods(trainer, "checkpoint", "save_checkpoint")


def callbacks() -> list[pl.Callback]:
    """Return what times the inside of fitting, where a run is profiled."""
    return [TimesOfFit()] if clock.current() else []


def table(profile: Profile) -> list[tuple[str, float, float]]:
    """Return (phase, seconds, share of the whole) of each phase that there was, in their order."""
    names = [*clock.PHASES, *(name for name in profile.seconds if name not in clock.PHASES)]
    return [
        (name, profile.seconds[name], profile.seconds[name] / profile.whole)
        for name in names
        if name in profile.seconds
    ]


def write(folder: Path, name: str, profile: Profile) -> None:
    """Write ``profile.csv``, ``profile.svg`` and ``profile.html``.

    Args:
        folder: where to; made if need be.
        name: of the run.
        profile: stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = table(profile)
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["phase", "seconds", "share"])
        writer.writerows([phase, f"{seconds:.6f}", f"{share:.6f}"] for phase, seconds, share in rows)
    title = f"Where the {profile.whole:.2f} s of {name} went"
    drawn = flame_graph.draw(title, {phase: seconds for phase, seconds, _ in rows}, profile.stacks)
    (folder / GRAPH).write_text(drawn, encoding="utf-8")
    (folder / PAGE).write_text(_page(name, profile), encoding="utf-8")


def _page(name: str, profile: Profile) -> str:
    """Return pyinstrument's page, in which one can go into the calls; it needs nothing from elsewhere."""
    from pyinstrument.renderers import HTMLRenderer
    from pyinstrument.session import Session

    root = "all\x00<run>\x000"
    seen = sorted(profile.stacks.items())  # the page joins calls that are neighbours
    records = [([root, f"{phase}\x00<phase>\x000", *stack], seconds) for (phase, stack), seconds in seen]
    session = Session(
        frame_records=records,
        start_time=time.time() - profile.whole,
        duration=profile.whole,
        min_interval=clock.SECONDS_A_SAMPLE,
        max_interval=clock.SECONDS_A_SAMPLE,
        sample_count=len(records),
        start_call_stack=[root],
        target_description=f"lifecycle: {name}",
        cpu_time=profile.cpu_seconds,
        sys_path=sys.path,
        sys_prefixes=Session.current_sys_prefixes(),
    )
    return FONTS.sub("data:text/css,", HTMLRenderer().render(session))
