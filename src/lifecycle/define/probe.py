"""Runs samples of zeros through a network, to see what it returns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lifecycle.contract import DataSpec


def probe(network: nn.Module, spec: DataSpec, samples: int) -> Tensor:
    """Return the outputs for zeros, without changing the network or its mode."""
    training = network.training
    network.eval()  # in training mode batch normalisation would update its running statistics
    with torch.no_grad():
        outputs: Tensor = network(torch.zeros(samples, *spec.input_shape))
    network.train(training)
    return outputs
