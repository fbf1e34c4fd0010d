"""Random streams as functions of a run's seed."""

from __future__ import annotations

import random

import numpy as np
import torch


def epoch_seed(seed: int, epoch: int, stream: int) -> int:
    """Return a seed for one random stream of one epoch; streams are unrelated, whatever the seeds are."""
    return int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed every generator that a network may draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
