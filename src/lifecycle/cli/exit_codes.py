"""The message and the exit code of an error."""

from __future__ import annotations

import os
import sys

from lifecycle.cli.main import _explained, _print_traceback
from lifecycle.credentials import masked
from lifecycle.errors import LifecycleError
from lifecycle.runtime.processes import is_helper


def _tell(error: Exception, full_error: bool) -> int:
    """Print an error as its reader needs it, and return the exit code."""
    if isinstance(error, BrokenPipeError):  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    error = _explained(error)
    if is_helper():
        print(f"lifecycle: a process of the run ended: {type(error).__name__}", file=sys.stderr)
        return 1
    if not isinstance(error, LifecycleError):  # a fault of this program or of a plugin: its author needs to see where
        _print_traceback(error)
        return 1
    if full_error:
        _print_traceback(error)
    print(f"lifecycle: {masked(str(error))}", file=sys.stderr)
    return error.exit_code
