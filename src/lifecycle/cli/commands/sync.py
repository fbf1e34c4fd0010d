"""The subcommand ``sync``: records and sends what waits for a database or a server, and runs that are named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lifecycle import layout
from lifecycle.cli import arguments
from lifecycle.config.fields import option
from lifecycle.errors import RequestError, Setting, TrackingError
from lifecycle.runtime.files.paths import shown
from lifecycle.runtime.lines import say
from lifecycle.tracking.found_run import Which
from lifecycle.tracking.servers import waiting


@dataclass
class Sync(Which):
    """Options of ``lifecycle sync``."""

    run: str = option(
        "", "runs to send that were recorded without a server: a,b, latest, best or all", ("all", "latest")
    )
    sweep: str | None = option(None, "multirun to send; with run=latest or best, the one that is searched; null: none")


OPTIONS = Sync
EXAMPLE = "lifecycle sync run=all tracking.uri=http://host:5000"
NOTE = (
    "Without run= and sweep=, it sends what waits. Runs that the server has in full are compared, and not sent again."
)


def run(typed: list[str]) -> None:
    """Send what waits, and the runs that are named, and print what was sent.

    Raises:
        RequestError: the folder has no runs, or not the one that is named.
        TrackingError: something still waits; the message says for what.
    """
    options = arguments.read(typed, Sync, "sync")
    config = options.tracking
    config.check()
    folder = Path(config.dir).expanduser().absolute()
    if not (folder / layout.DATABASE).is_file():
        raise RequestError(
            Setting("tracking.dir", config.dir), "has no runs yet", remedy="Name the folder of your runs."
        )
    journals = waiting.of(folder).journals
    added = waiting.add(options) if options.run or options.sweep is not None else None
    found = waiting.deliver_all(config, waiting.SECONDS_OF_SYNC)
    left = waiting.of(folder)
    behind = set(found.behind)
    sent = len(set(found.sent) - set(found.waiting))
    if sent:
        say(f"Sent {_runs(sent)} to {found.server}.")
    if added is not None:
        known = len(set(added.runs) - set(found.sent) - set(found.waiting) - behind)
        if known:
            say(f"{_runs(known)} {'is' if known == 1 else 'are'} there already, as here.")
        if added.running:
            say(f"{_runs(added.running)} {'is' if added.running == 1 else 'are'} still running, and left out.")
    if behind:
        was, it = ("was", "is") if len(behind) == 1 else ("were", "are")
        say(f"{_runs(len(behind))} {was} continued on another machine, and {it} newer there: nothing was sent.")
    recorded = len(set(journals) - set(left.journals))
    if recorded:
        say(f"Recorded what was left of {_runs(recorded)} in {shown(folder)}.")
    problems = waiting.problems(left, found)
    if problems:
        raise TrackingError(" ".join(problems))
    everywhere = f", and on {found.server}" if found.server and added is None else ""
    say(f"Nothing waits: all runs are recorded{everywhere}.")


def _runs(number: int) -> str:
    return f"{number} run{'s' * (number != 1)}"
