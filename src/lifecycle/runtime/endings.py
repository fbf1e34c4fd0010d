"""Ends a process of ours without taking it apart."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import Any, NoReturn


def leave(code: int) -> NoReturn:
    """End the process with an exit code, once its threads and exit functions are done and its output is written.

    Python would then clear all modules and objects one by one, which takes half as long as importing PyTorch.
    """
    threads: Any = threading
    functions: Any = atexit
    try:
        threads._shutdown()  # as Python does first: waits for threads, and lets those of pools end
        functions._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (AttributeError, OSError, ValueError):  # another Python, or output that cannot be written: its own way
        sys.exit(code)
    os._exit(code)
