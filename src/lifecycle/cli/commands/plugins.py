"""The subcommand ``plugins``: lists the installed plugins."""

from __future__ import annotations

import inspect
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lifecycle import registry
from lifecycle.console.tables import print_table
from lifecycle.errors import RequestError
from lifecycle.runtime.lines import WIDE, say, width_of


def run(arguments: list[str]) -> None:
    """Print every installed plugin, after importing it to see whether that works.

    Raises:
        RequestError: there are arguments.
    """
    if arguments:
        raise RequestError("plugins", "takes no arguments", " ".join(arguments), "Type lifecycle plugins.")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in ("kind", "name", "package", "what it is"):
        table.add_column(column, no_wrap=column != "what it is", overflow="fold")
    broken = []
    for kind in registry.GROUPS:
        for name, plugin in registry.plugins(kind).items():
            try:
                described = escape(_first_sentence(plugin.load()))
            # One broken package must not hide the other plugins.
            except RequestError as error:
                broken.append(str(error))
                described = "[red]broken[/red], see below"
            table.add_row(kind, name, plugin.source, described)
    # Without a terminal Rich assumes 80 columns, which would cut the lines of a file.
    print_table(Console(highlight=False, width=width_of(sys.stdout) or WIDE), table)
    for message in broken:
        say(f"\nbroken: {message}")


def _first_sentence(cls: type) -> str:
    # Docstrings of data plugins end with an example after "CLI:", for which the table has no room.
    return (inspect.getdoc(cls) or "").split("\n")[0].split("  CLI:")[0].strip()
