"""A network is compared with the file of its weights before memory is allocated, and good ones always pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from lifecycle.contract import REGRESSION, DataSpec
from lifecycle.errors import SavedModelError
from lifecycle.plugins.cnn import CNN
from lifecycle.plugins.lstm import LSTM
from lifecycle.plugins.mlp import MLP
from lifecycle.plugins.sequential import Sequential
from lifecycle.predict import expected_size


@dataclass
class Plugin:
    """A plugin of someone else."""

    make: Callable[[], nn.Module]

    def build(self, spec: DataSpec) -> nn.Module:
        return self.make()


class Shared(nn.Module):
    """Two layers with the same weights, which are stored once, and a buffer that is not stored."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 3)
        self.last.weight = self.first.weight
        self.register_buffer("places", torch.arange(1000), persistent=False)


class Reads(nn.Module):
    """A network that needs the value of a tensor while it is built, which the device meta has not."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, int(torch.ones(2).sum().item()))


def saved(network: nn.Module, folder: Path) -> Path:
    safetensors.torch.save_model(network, str(folder / "weights.safetensors"))
    return folder / "weights.safetensors"


@pytest.mark.parametrize(
    ("plugin", "shape"),
    [
        (MLP(hidden=[5], batch_norm=True), (3,)),
        (MLP(hidden=[5], initializer="orthogonal"), (3,)),
        (CNN(), (1, 8, 8)),
        (LSTM(), (4, 3)),
        (Sequential(layers=[{"dense": 4}, "relu", "output"]), (3,)),
        (Plugin(Shared), (3,)),
        (Plugin(Reads), (3,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_good_network_passes_and_random_numbers_stay(plugin: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    spec = DataSpec(REGRESSION, shape, 1)
    weights = saved(plugin.build(spec), tmp_path)
    state = torch.get_rng_state()
    expected_size.check(plugin, spec, weights)
    if not isinstance(plugin, Plugin):
        assert torch.equal(torch.get_rng_state(), state)
    assert plugin.build(spec).state_dict()  # tensors are made on the CPU again


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: nn.Linear(3, 1 << 40),
            r"has weight of the shape \(2, 3\), and the network of .* \(1099511627776, 3\)",
        ),
        (lambda: nn.Linear(3, 2, bias=False), ""),
        (lambda: nn.Sequential(nn.Linear(3, 2)), ""),
        (lambda: nn.Sequential(nn.Linear(1 << 20, 1 << 20)), r"belongs to a smaller network .* has 1,099,512,676,352"),
        (lambda: nn.Bilinear(9, 9, 2), r"has weight of the shape"),
        (lambda: nn.LSTM(3, 2, num_layers=10**9), r"of fewer layers than lifecycle\.json describes"),
        (lambda: nn.Linear(3, -2), r"belongs to a network that cannot be built: "),
    ],
)
def test_another_network_is_refused(
    make: Callable[[], nn.Module], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected_size, "MOST_SHARED", 100)
    weights = saved(nn.Linear(3, 2), tmp_path)
    spec = DataSpec(REGRESSION, (3,), 2)
    if not said:
        expected_size.check(Plugin(make), spec, weights)  # as large as its weights: loading them finds what differs
        return
    with pytest.raises(SavedModelError, match=said):
        expected_size.check(Plugin(make), spec, weights)
