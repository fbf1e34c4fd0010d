"""Help and completion of the options of a subcommand, from the fields of its dataclass. Imports no torch, no MLflow."""

from __future__ import annotations

import dataclasses
from typing import Any

from lifecycle.cli import subcommands
from lifecycle.cli.subcommands import SUBCOMMANDS
from lifecycle.config.fields import choices_of, help_of
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import as_typed
from lifecycle.runtime import lines

MOST_COLUMNS = 30
"""Of an option with its default, before its help."""

TRACKING = ("dir", "experiment")
"""Fields of ``tracking`` that say where runs are; the others are about a new run."""


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of a subcommand.

    Attributes:
        name: before the ``=``, with dots.
        default: as it is typed; ``""`` where the option has to be given.
        help: what it is.
        choices: values to choose from; empty where any may be given.
    """

    name: str
    default: str
    help: str
    choices: tuple[str, ...] = ()


def options_of(subcommand: str) -> list[Option]:
    """Return the options of a subcommand, ``run`` first; empty for one without ``key=value`` arguments."""
    cls = getattr(subcommands.load(subcommand), "OPTIONS", None)
    found = [] if cls is None else _options(cls, "")
    # Subclasses have the fields of their base first: run, metric, sweep, tracking, and then their own.
    return sorted(found, key=lambda option: (option.name.startswith("tracking."), option.name != "run"))


def usage(subcommand: str, width: int) -> str:
    """Return the help of a subcommand: what it does, an example, and each option with its default.

    Args:
        subcommand: its name.
        width: most columns of a line.
    """
    module, options = subcommands.load(subcommand), options_of(subcommand)
    shown = [f"lifecycle {subcommand}: {SUBCOMMANDS[subcommand]}.", "", f"  {_example(subcommand, options)}"]
    shown += ["", "Options (key=value, with the default):"] if options else []
    typed = [f"{option.name}={option.default}" for option in options]
    column = min(max(map(len, typed), default=0), MOST_COLUMNS)
    for left, option in zip(typed, options, strict=True):
        is_long = len(left) > column  # then its help is in the next line
        shown += [f"  {left}"] if is_long else []
        line = f"  {'' if is_long else left:<{column}}   {option.help}".rstrip()
        shown += lines.broken(line, width, indent=column + 5) if line else []
    if note := getattr(module, "NOTE", ""):
        shown += ["", *lines.broken(note, width, indent=0)]
    return "\n".join(shown)


def complete(line: str) -> list[str]:
    """Return the completions of the last argument of a command line that begins with ``lifecycle <subcommand>``."""
    # The last argument is "" after a space, and then all options are offered.
    _, subcommand, *typed, last = line.split(" ")
    if subcommand == "data":
        return [] if typed else _data_sets(last)
    key, equals, _ = last.partition("=")
    options = options_of(subcommand)
    used = {argument.partition("=")[0] for argument in typed}
    if equals:
        choices = next((option.choices for option in options if option.name == key), ())
        return [completion for choice in choices if (completion := f"{key}={choice}").startswith(last)]
    return [f"{option.name}=" for option in options if option.name.startswith(last) and option.name not in used]


def _data_sets(prefix: str) -> list[str]:
    from lifecycle.config.options import options

    return [name for name in options()["data"] if name.startswith(prefix)]


def _options(cls: Any, prefix: str) -> list[Option]:
    """Return the options of a dataclass; those of ``tracking`` have its name before theirs."""
    found: list[Option] = []
    for field in dataclasses.fields(cls):
        name = f"{prefix}{field.name}"
        if field.default_factory is TrackingConfig:
            found += [
                option for option in _options(TrackingConfig, f"{name}.") if option.name.split(".")[-1] in TRACKING
            ]
        else:
            found.append(Option(name, as_typed(_default(field)), help_of(field), choices_of(field)))
    return found


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _example(subcommand: str, options: list[Option]) -> str:
    """Return the example of the subcommand's module, or one with the options that have no default."""
    required = [
        f"{option.name}={'latest' if option.name == 'run' else '...'}" for option in options if not option.default
    ]
    return getattr(subcommands.load(subcommand), "EXAMPLE", "") or " ".join(["lifecycle", subcommand, *required])
