"""The message and the exit code of an error."""

from __future__ import annotations

import os
import sys
import traceback

from lifecycle.credentials import masked
from lifecycle.errors import LifecycleError
from lifecycle.runtime.processes import is_helper


def report(error: Exception, full_error: bool) -> int:
    """Print an error as its reader needs it, and return the exit code."""
    if isinstance(error, BrokenPipeError):  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    error = explained(error)
    if is_helper():
        print(f"lifecycle: a process of the run ended: {type(error).__name__}", file=sys.stderr)
        return 1
    if not isinstance(error, LifecycleError):  # a fault of this program or of a plugin: its author needs to see where
        print_traceback(error)
        return 1
    if full_error:
        print_traceback(error)
    print(f"lifecycle: {masked(str(error))}", file=sys.stderr)
    return error.exit_code


def explained(error: Exception) -> Exception:
    """Return an error as a sentence where it is no fault of this program: a full disk, a plugin, and the like."""
    from lifecycle.runtime.faults import explanation

    said = explanation(error)
    if said is None:
        return error
    said.__cause__ = error
    return said


def print_traceback(error: BaseException) -> None:
    """Print the traceback of an error, without credentials."""
    print(masked("".join(traceback.format_exception(error))), end="", file=sys.stderr, flush=True)
