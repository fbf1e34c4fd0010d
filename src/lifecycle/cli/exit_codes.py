"""The message and the exit code of an error."""

from __future__ import annotations

import os
import sys

from lifecycle.credentials import masked
from lifecycle.errors import LifecycleError
from lifecycle.runtime.lines import say
from lifecycle.runtime.processes import is_helper
from lifecycle.runtime.tracebacks import print_traceback


def report(error: Exception, full_error: bool) -> int:
    """Print an error and return its exit code.

    Args:
        error: that ended the command.
        full_error: whether to print its traceback too.
    """
    if isinstance(error, BrokenPipeError):  # such as `lifecycle ... | head`: at exit Python would flush into the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    error = explained(error)
    if is_helper():  # the main process of the run prints the error itself
        say(f"lifecycle: a process of the run ended: {type(error).__name__}", file=sys.stderr)
        return 1
    if not isinstance(error, LifecycleError):  # a bug in this program or in a plugin: its author needs the traceback
        print_traceback(error)
        return 1
    if full_error:
        print_traceback(error)
    say(f"lifecycle: {masked(str(error))}", file=sys.stderr)
    return error.exit_code


def explained(error: Exception) -> Exception:
    """Return an error as a ``LifecycleError`` where it is no bug of this program: a full disk, a plugin, ..."""
    from lifecycle.runtime.faults import explanation

    explained_error = explanation(error)
    if explained_error is None:
        return error
    # For HYDRA_FULL_ERROR=1, which prints the traceback of the cause too.
    explained_error.__cause__ = error
    return explained_error
