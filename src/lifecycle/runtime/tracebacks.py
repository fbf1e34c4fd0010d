"""Prints tracebacks without credentials."""

from __future__ import annotations

import sys
import traceback

from lifecycle.credentials import masked


def print_traceback(error: BaseException) -> None:
    """Print the traceback of an error to standard error, with credentials masked."""
    print(masked("".join(traceback.format_exception(error))), end="", file=sys.stderr, flush=True)
