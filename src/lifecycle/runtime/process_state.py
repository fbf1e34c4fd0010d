"""What a process has once and a fit changes: fits take turns with it, and leave it as it was.

PyTorch's global generators feed initial weights and dropout, and its settings hold for all threads. So one fit has them
at a time (:func:`lifecycle.runtime.processes.turn`): results do not depend on what other threads do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from lifecycle.runtime import seeds
from lifecycle.runtime.processes import LAUNCHER, turn
from lifecycle.runtime.quiet import quiet_libraries

VARIABLES = (*LAUNCHER, "CUBLAS_WORKSPACE_CONFIG")
"""Environment variables that Lightning sets."""


@contextmanager
def preserved() -> Iterator[None]:
    """Take the process's turn, compute in torch's own settings within the block, and restore those of the caller."""
    with turn(), quiet_libraries(), seeds.restored(), _environment(), _flags(), own_arithmetic():
        yield


@contextmanager
def own_arithmetic() -> Iterator[None]:
    """Compute on this thread as torch does by default: on the CPU, with gradients, without autocast.

    A caller's ``no_grad``, ``inference_mode``, ``autocast`` or default device is not for our networks.
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
    """Train in float32, and restore torch's process-wide switches, some of which Lightning sets."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, dtype = torch.backends.cudnn.benchmark, torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.backends.cudnn.benchmark = benchmark
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
