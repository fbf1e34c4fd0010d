"""Saves and restores the global state of the process that a fit changes.

PyTorch's global generators are used for initial weights and dropout, and its settings hold for all threads. So only one
fit runs at a time (:func:`lifecycle.runtime.processes.turn`), and its results do not depend on other threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from lifecycle.runtime import seeds
from lifecycle.runtime.processes import LAUNCHER, turn
from lifecycle.runtime.quiet import quiet_libraries

_deterministic: Any = torch.utils.deterministic  # a module with a property, which has no types

VARIABLES = (*LAUNCHER, "CUBLAS_WORKSPACE_CONFIG")
"""Environment variables that Lightning sets."""


@contextmanager
def preserved() -> Iterator[None]:
    """Wait for other fits, use torch's default settings within the block, and restore the caller's afterwards."""
    with turn(), quiet_libraries(), seeds.restored(), _environment(), _flags(), own_arithmetic():
        yield


@contextmanager
def own_arithmetic() -> Iterator[None]:
    """Use torch's defaults on this thread within the block: the CPU, with gradients, without autocast.

    Our networks are not meant to run under a caller's ``no_grad``, ``inference_mode``, ``autocast`` or default device.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def _flags() -> Iterator[None]:
    """Use float32 within the block, and restore torch's process-wide flags, some of which Lightning sets."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, dtype = torch.backends.cudnn.benchmark, torch.get_default_dtype()
    fills = _deterministic.fill_uninitialized_memory
    torch.set_default_dtype(torch.float32)
    # Where algorithms are deterministic, torch would fill each new tensor with NaN, which takes a kernel on a GPU.
    _deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        _deterministic.fill_uninitialized_memory = fills
        torch.backends.cudnn.benchmark = benchmark
        # Only where they differ: the setter imports torch._inductor.config.
        if (deterministic, warns) != (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ):
            torch.use_deterministic_algorithms(deterministic, warn_only=warns)


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in VARIABLES}
    try:
        yield
    finally:
        for name, value in before.items():
            if os.environ.get(name) == value:
                continue
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
