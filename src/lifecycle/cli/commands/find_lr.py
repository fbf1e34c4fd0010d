"""The subcommand ``find_lr``: searches a learning rate for the arguments of a run."""

from __future__ import annotations

import os
from pathlib import Path

from lifecycle.config import compose
from lifecycle.errors import RequestError
from lifecycle.runtime.lines import say

PICTURE, TABLE = "learning_rates.png", "learning_rates.csv"
"""Files in the working folder."""

EXAMPLE = "lifecycle find_lr model=mlp data=iris"
NOTE = f"The options are those of a run. It writes {PICTURE} and {TABLE} into the working folder, and records no run."


def run(typed: list[str]) -> None:
    """Train while the learning rate rises, and print the rate at which the loss falls most steeply; no run is recorded.

    Raises:
        RequestError: the arguments are not those of a run, or its files cannot be written.
    """
    request = compose.compose(typed)
    compose.check_is_one(request)
    for name in (PICTURE, TABLE):  # not after the search, which would be lost
        if Path(name).is_dir() or not os.access(Path.cwd(), os.W_OK):
            raise RequestError([name], "cannot be written here", remedy="Change to another folder.")
    from lifecycle.runtime.imports.quick import quick_imports

    with quick_imports():  # Lightning, only once the request is checked
        from lifecycle.fit.learning_rates import HIGHEST, LOWEST, STEPS
        from lifecycle.plots import learning_rates
        from lifecycle.runs import learning_rate
    found = learning_rate.find(request, LOWEST, HIGHEST, STEPS)
    lines = [f"{rate!r},{loss!r}" for rate, loss in zip(found.rates, found.losses, strict=True)]
    learning_rates.draw(found, Path(PICTURE))
    Path(TABLE).write_text("\n".join(["lr,loss", *lines]) + "\n")
    say(f"Rates     {len(found.rates)} steps from {found.rates[0]:.2g} to {found.rates[-1]:.2g}")
    say(f"Found     {found.sentence}")
    say(f"Files     {PICTURE}, {TABLE}")
    if found.suggestion is not None:
        say(f"Next      {request.command} optimizer.lr={found.suggestion:.2g}")
