"""The loss over the learning rate, with the suggested rate marked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lifecycle.plots.style import COLOURS, GREY, picture

if TYPE_CHECKING:
    from lifecycle.fit.rising_rates import LearningRates


def draw(found: LearningRates, file: Path | BinaryIO) -> None:
    """Draw the loss of each step over its learning rate, on a logarithmic axis.

    Args:
        found: the losses.
        file: the PNG.
    """
    with picture(file, 6.4, 3.6) as figure:
        axes = figure.subplots()
        axes.plot(found.rates, found.losses, color=COLOURS[0], label="loss of the step, smoothed")
        axes.set_xscale("log")
        axes.axvline(found.used, color=GREY, linestyle="--", label=f"the optimizer's rate, {found.used:.2g}")
        if found.suggestion is not None:
            at = min(range(len(found.rates)), key=lambda index: abs(found.rates[index] - float(found.suggestion or 0)))
            label = f"steepest fall, {found.suggestion:.2g}"
            axes.plot([found.rates[at]], [found.losses[at]], "o", color=COLOURS[1], label=label)
        axes.set_title("Loss while the learning rate rises")
        axes.set_xlabel("learning rate, logarithmic axis")
        axes.set_ylabel("training loss")
        axes.legend()
