"""The command: subcommands, and Hydra for runs and multiruns. Imports nothing heavy before it knows which."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from lifecycle.cli import subcommands
from lifecycle.cli.exit_codes import report
from lifecycle.cli.hydra_app import compose_and_run
from lifecycle.cli.subcommands import SUBCOMMANDS
from lifecycle.config import other_names
from lifecycle.config.records import expressions
from lifecycle.credentials import hiding
from lifecycle.errors import Interrupted, RequestError, Text, did_you_mean
from lifecycle.runtime.endings import leave
from lifecycle.runtime.lines import say
from lifecycle.runtime.signals import signals_raise


def command() -> NoReturn:
    """Run the command line, and end the process."""
    # What Hydra and the libraries make lives as long as the process: frequent collections find nothing.
    gc.set_threshold(50_000, 10, 10)
    leave(main())


def main() -> int:
    """Run the command line and return its exit code.

    0 success; 1 the run failed; 2 a bad request; 130 and 143 ended by Ctrl-C and SIGTERM.
    """
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        with signals_raise():
            _dispatch(sys.argv[1:])
    except Interrupted as error:
        say(f"lifecycle: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        return report(error, full_error)
    return 0


def _dispatch(arguments: list[str]) -> None:
    first = arguments[0] if arguments else ""
    if "--help" in arguments or "-h" in arguments:
        # Before anything else, so that --help helps with a wrong command too.
        from lifecycle.cli.help import print_help

        print_help(first if first in SUBCOMMANDS else None)
    elif first in SUBCOMMANDS:
        # A message names an option as it was typed, as those of a run do: a variable may hold a secret.
        with hiding(expressions.variables(" ".join(arguments))):
            subcommands.load(first).run(arguments[1:])
    elif first and not first.startswith(("-", "+", "~")) and "=" not in first:
        names = ", ".join(SUBCOMMANDS)
        remedy: Text = [_suggestion(first), f" Use {names}, or key=value arguments such as model=mlp data=iris."]
        raise RequestError(first, "is no subcommand of lifecycle", remedy=remedy)
    elif "--version" in arguments:
        from importlib.metadata import version

        print(f"lifecycle {version('nn-lifecycle')}")
    else:
        # Hydra's completion calls the command with query=<shell>, and the line in the environment.
        is_completion = any(argument.startswith("query=") for argument in arguments)
        if is_completion and _complete(os.environ.get("COMP_LINE", "")):
            return
        if is_completion:
            from lifecycle.cli.completion import complete_lists_as_values

            complete_lists_as_values()
        compose_and_run(arguments)


def _complete(line: str) -> bool:
    """Print the completions of a subcommand's name or options; Hydra completes all other lines.

    Returns:
        Whether the line is a subcommand's.
    """
    typed = line.split(" ")
    # The first word is the command itself; there is a third once a space follows the subcommand.
    if len(typed) > 2 and typed[1] in SUBCOMMANDS:
        from lifecycle.cli.options import complete

        print(*complete(line), sep="\n")
        return True
    if len(typed) == 2:
        print(*(name for name in SUBCOMMANDS if name.startswith(typed[1])), sep="\n")
    return False


def _suggestion(word: str) -> str:
    """Return the sentence on what an unknown subcommand may mean: ``data=iris`` for ``iris``; "" where nothing fits."""
    from lifecycle.config.options import EXPERIMENT, options

    pairs = [
        f"{'+' * (group == EXPERIMENT)}{group}={name}"
        for group, names in options().items()
        for name in names
        if name == word
    ]
    if pairs:
        return f"Did you mean {pairs[0]}?"
    return other_names.subcommand(word) or did_you_mean(word, SUBCOMMANDS)
