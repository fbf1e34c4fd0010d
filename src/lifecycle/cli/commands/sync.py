"""The subcommand ``sync``: records and sends what waits for a database or a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lifecycle import layout
from lifecycle.cli import arguments
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import RequestError, Setting, TrackingError
from lifecycle.runtime.lines import say
from lifecycle.runtime.paths import shown
from lifecycle.tracking.servers import waiting


@dataclass
class Sync:
    """Options of ``lifecycle sync``."""

    tracking: TrackingConfig = field(default_factory=TrackingConfig)


OPTIONS = Sync
EXAMPLE = "lifecycle sync tracking.uri=http://host:5000"


def run(typed: list[str]) -> None:
    """Send what waits, and print what was sent.

    Raises:
        RequestError: the folder has no runs.
        TrackingError: something still waits; the message says for what.
    """
    config = arguments.read(typed, Sync, "sync").tracking
    config.check()
    folder = Path(config.dir).expanduser().absolute()
    if not (folder / layout.DATABASE).is_file():
        raise RequestError(
            Setting("tracking.dir", config.dir), "has no runs yet", remedy="Name the folder of your runs."
        )
    before = waiting.of(folder)
    found = waiting.deliver_all(config)
    left = waiting.of(folder)
    sent = len(before.runs) - len(set(before.runs) & set(left.runs))
    if sent:
        say(f"Sent {sent} run{'s' * (sent != 1)} to {found.server}.")
    recorded = len(set(before.journals) - set(left.journals))
    if recorded:
        say(f"Recorded what was left of {recorded} run{'s' * (recorded != 1)} in {shown(folder)}.")
    problems = waiting.problems(left, found)
    if problems:
        raise TrackingError(" ".join(problems))
    say("Nothing waits: all runs are recorded" + (f", and on {found.server}." if found.server else "."))
