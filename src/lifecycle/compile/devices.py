"""The device of a fit, and settings of torch that concern a GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lifecycle.config.schema import TrainerConfig

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""Environment variable with which cuBLAS adds in the same order each time."""


def device_of(config: TrainerConfig) -> torch.device:
    """Return the device on which a fit runs; of a fit on several, the first one."""
    if config.accelerator != "cpu":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        if torch.backends.mps.is_available():
            return torch.device("mps")
    return torch.device("cpu")


def names_of(config: TrainerConfig) -> str | None:
    """Return the names of the GPUs of a fit, as their vendor gives them; ``None``: it runs on CPUs."""
    device = device_of(config)
    if device.type == "cpu":
        return None
    if device.type == "mps":
        return "Apple GPU"
    return ", ".join(torch.cuda.get_device_name(number) for number in range(config.devices))


@contextmanager
def without_parsing(device: torch.device) -> Iterator[None]:
    """Take back ``CUBLAS_WORKSPACE_CONFIG``, which is set within the block for deterministic algorithms.

    torch looks once whether it is set, in the first matrix product; but it parses it in each one, for longer than a
    small product takes. It changes results only of programs that use several streams at once, which a fit does not.

    Args:
        device: of the products; nothing is done on another one than a GPU of NVIDIA's.
    """
    before = os.environ.get(WORKSPACE)
    try:
        yield
    finally:
        if device.type == "cuda" and before is None and WORKSPACE in os.environ:
            square = torch.ones(8, 8, device=device)
            torch.mm(square, square)
            del os.environ[WORKSPACE]


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Compute the same bits each time within the block, also on a GPU; Lightning's Trainer has a setting for it.

    A GPU operation that cannot warns.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with without_parsing(device):
        os.environ.setdefault(WORKSPACE, ":4096:8")  # as Lightning does
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
