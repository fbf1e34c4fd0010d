"""Random streams as functions of a run's seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch


def epoch_seed(seed: int, epoch: int, stream: int) -> int:
    """Return a seed for one random stream of one epoch; streams are unrelated, whatever the seeds are."""
    return int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed every generator that a network may draw from."""
    random.seed(seed)
    np.random.seed(seed)
    if _accelerated():
        torch.manual_seed(seed)
    else:  # the same, without a call that is kept for later, for ever, for each kind of device that is not there
        torch.default_generator.manual_seed(seed)


@contextmanager
def restored() -> Iterator[None]:
    """Leave a caller's own random numbers as if nobody had seeded or drawn meanwhile."""
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
