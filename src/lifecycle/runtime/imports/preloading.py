"""Loads PyTorch's library while a configuration is composed, which needs no PyTorch, on another core.

A fifth of the time of ``import torch`` is the loader of Linux, which relocates the library, and the library, which
registers its operators. Neither needs the interpreter.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

LIBRARY = "libtorch_cpu.so"
OF_GPUS = ("libtorch_cuda.so", "libtorch_hip.so", "libtorch_xpu.so")
"""Libraries of a PyTorch for GPUs, which loads those of their makers before its own, in an order that matters."""

LOADED_BEFORE = ("yaml", "_blake2", "_decimal", "_hashlib", "_json", "_pickle", "_queue", "_sqlite3", "_uuid")
"""Modules of which composing loads libraries: the loader takes one at a time, and they would wait for PyTorch's."""


def load_libraries() -> threading.Thread | None:
    """Begin to load PyTorch's library, which ``import torch`` then finds loaded, or loads itself where this fails.

    Returns:
        The thread that loads it; ``None``: nothing is loaded, since it is loaded, is for GPUs, or this is not Linux.
    """
    spec = None if "torch" in sys.modules or not sys.platform.startswith("linux") else find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "lib"
    if any((folder / name).exists() for name in OF_GPUS):
        return None
    for name in LOADED_BEFORE:
        with suppress(ImportError):  # each Python has some of its own
            import_module(name)
    # A function of a library is called without the lock of the interpreter, with which ctypes.CDLL would load it.
    load = ctypes.CDLL(None).dlopen
    load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    thread = threading.Thread(target=load, args=(os.fsencode(folder / LIBRARY), os.RTLD_NOW | os.RTLD_LOCAL))
    thread.start()  # no daemon: Python aborts where one returns from a library while it ends
    return thread
