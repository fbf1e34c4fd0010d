"""``lifecycle plugins``: every installed plugin."""

from __future__ import annotations

import inspect
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lifecycle import registry
from lifecycle.errors import RequestError


def print_plugins() -> None:
    """Print every installed plugin, importing each to see whether it works."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in ("kind", "name", "package", "what it is"):
        table.add_column(column, no_wrap=True)
    broken = []
    for kind in registry.GROUPS:
        for name, plugin in registry.plugins(kind).items():
            try:
                described = escape(_first_sentence(plugin.load()))
            except RequestError as error:
                broken.append(str(error))
                described = "[red]broken[/red], see below"
            table.add_row(kind, name, plugin.source, described)
    # On a terminal the table fits its width; a file or another program gets whole lines.
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
    for message in broken:
        print(f"\nbroken: {message}")


def _first_sentence(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n")[0].split("  CLI:")[0].strip()
