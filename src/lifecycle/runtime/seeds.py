"""Random number generators as functions of a run's seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch


def epoch_seed(seed: int, epoch: int, stream: int) -> int:
    """Return the seed of a random stream of an epoch; streams are independent for any seeds, such as 1, 2, 3."""
    return int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed all generators that a network may use: Python's, NumPy's and torch's."""
    random.seed(seed)
    np.random.seed(seed)
    if _accelerated():
        torch.manual_seed(seed)
    else:  # manual_seed() would also queue a call for each kind of device that is not there, which is never freed
        torch.default_generator.manual_seed(seed)


@contextmanager
def restored() -> Iterator[None]:
    """Restore the state of all generators after the block, so that the caller's random numbers do not change."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_available() else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@cache
def _accelerated() -> bool:
    return torch.accelerator.is_available()
