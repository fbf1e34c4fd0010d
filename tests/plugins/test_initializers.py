"""Initial weights have the distributions of Keras's formulas, with Keras's fans."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from lifecycle.contract import MULTICLASS, REGRESSION, DataSpec
from lifecycle.define.network import define
from lifecycle.plugins.cnn import CNN
from lifecycle.plugins.initializers import INITIALIZERS, fans, initialize, initialize_recurrent
from lifecycle.plugins.lstm import LSTM
from lifecycle.plugins.mlp import MLP
from lifecycle.plugins.recurrent import LSTMLayer

# fan_in and fan_out by hand, of a dense layer 300 -> 200 and of 40 -> 60 channels over 5x5 pixels
DENSE, CONV = (300, 200), (40 * 25, 60 * 25)


def weights(kind: str, name: str) -> Tensor:
    torch.manual_seed(0)
    layer = nn.Linear(300, 200) if kind == "dense" else nn.Conv2d(40, 60, 5)
    before = layer.bias.clone()
    initialize(layer, name)
    assert bool(before.any())
    assert not layer.bias.any()
    return layer.weight.detach().flatten()


def truncated(std: float) -> stats.rv_continuous:
    """Return a normal cut off at two of its standard deviations, its own being ``std`` after the cut."""
    return stats.truncnorm(-2, 2, scale=std / stats.truncnorm(-2, 2).std())


def reference(name: str, fan_in: int, fan_out: int) -> stats.rv_continuous:
    """Return the distribution that Keras's documentation describes."""
    if name == "glorot_uniform":
        limit = math.sqrt(6 / (fan_in + fan_out))
        return stats.uniform(-limit, 2 * limit)
    if name == "he_uniform":
        limit = math.sqrt(6 / fan_in)
        return stats.uniform(-limit, 2 * limit)
    if name == "glorot_normal":
        return truncated(math.sqrt(2 / (fan_in + fan_out)))
    if name == "he_normal":
        return truncated(math.sqrt(2 / fan_in))
    return stats.uniform(-0.05, 0.1) if name == "uniform" else stats.norm(0, 0.05)


@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name not in ("default", "orthogonal")])
@pytest.mark.parametrize(("kind", "fan"), [("dense", DENSE), ("conv", CONV)])
def test_weights_have_the_distribution_of_keras(name: str, kind: str, fan: tuple[int, int]) -> None:
    drawn, wanted = weights(kind, name).double().numpy(), reference(name, *fan)
    assert stats.kstest(drawn, wanted.cdf).statistic < 2 / math.sqrt(len(drawn))  # passed by 999 of 1000 seeds
    low, high = wanted.support()
    assert low <= drawn.min()
    assert drawn.max() <= high
    assert drawn.std() == pytest.approx(wanted.std(), rel=0.02)


def test_the_correction_of_a_truncated_normal_is_the_one_of_keras() -> None:
    from lifecycle.plugins.initializers import TRUNCATED_STD

    assert pytest.approx(stats.truncnorm(-2, 2).std()) == TRUNCATED_STD


def test_fans_by_hand() -> None:
    assert fans(nn.Linear(300, 200).weight) == DENSE
    assert fans(nn.Conv2d(40, 60, 5).weight) == CONV


@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv2d(2, 4, 3)])
def test_orthogonal_rows_are(layer: nn.Linear | nn.Conv2d) -> None:
    rows = initialize(layer, "orthogonal").weight.detach().flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(4))


def test_default_leaves_a_layer_as_pytorch_made_it() -> None:
    layer = nn.Linear(6, 4)
    before = [parameter.clone() for parameter in layer.parameters()]
    initialize(layer, "default")
    assert all(torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True))


@pytest.mark.parametrize(
    "layer", [nn.LSTM(300, 50), nn.LSTM(300, 50, bidirectional=True), LSTMLayer(300, 50), nn.GRU(300, 50)]
)
def test_a_recurrent_layer_begins_as_in_keras(layer: nn.LSTM | nn.GRU | LSTMLayer) -> None:
    initialize_recurrent(layer, "glorot_uniform")
    gates = 3 if isinstance(layer, nn.GRU) else 4
    for direction in ("l0", "l0_reverse") if getattr(layer, "bidirectional", False) else ("l0",):
        kernel, recurrent = getattr(layer, f"weight_ih_{direction}"), getattr(layer, f"weight_hh_{direction}")
        limit = math.sqrt(6 / (300 + gates * 50))  # the kernel of all gates is one
        assert float(kernel.detach().abs().max()) == pytest.approx(limit, rel=0.01)
        torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(50), atol=1e-5, rtol=0)
        biases = sum(
            parameter.detach()
            for key, parameter in layer.named_parameters()
            if key in (f"bias_ih_{direction}", f"bias_hh_{direction}")
        )
        forget = torch.zeros(gates, 50)
        if gates == 4:
            forget[1] = 1
        assert torch.equal(biases, forget.flatten())


def test_the_second_bias_of_an_lstm_is_zero() -> None:
    layer = initialize_recurrent(nn.LSTM(3, 5), "he_normal")
    assert not layer.bias_hh_l0.any()
    assert layer.bias_ih_l0.tolist() == [0.0] * 5 + [1.0] * 5 + [0.0] * 10


def test_hidden_layers_have_the_initializer_and_the_last_has_that_of_keras() -> None:
    network = define(MLP(hidden=[400, 300], initializer="normal"), "mlp", DataSpec(MULTICLASS, (50,), 100), seed=0)
    *hidden, last = (layer for layer in network.children() if isinstance(layer, nn.Linear))
    for layer in hidden:
        assert float(layer.weight.detach().std()) == pytest.approx(0.05, rel=0.03)
        assert float(layer.weight.detach().abs().max()) > 0.1  # unlike a truncated or uniform one
    limit = math.sqrt(6 / (300 + 100))
    assert float(last.weight.detach().abs().max()) == pytest.approx(limit, rel=0.01)
    assert not last.bias.any()


def test_convolutions_and_their_head_have_the_initializer() -> None:
    spec = DataSpec(MULTICLASS, (1, 28, 28), 10)
    network = define(CNN(initializer="he_uniform"), "cnn", spec, seed=0)
    convolution, hidden, output = (m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    assert float(convolution.weight.detach().abs().max()) == pytest.approx(math.sqrt(6 / 9), rel=0.02)
    assert float(hidden.weight.detach().abs().max()) == pytest.approx(math.sqrt(6 / (32 * 14 * 14)), rel=0.01)
    assert float(output.weight.detach().abs().max()) == pytest.approx(math.sqrt(6 / 110), rel=0.02)
    assert not any(layer.bias.any() for layer in (convolution, hidden, output))


def test_lstm_layers_and_their_head_have_the_initializer() -> None:
    config = LSTM(units=[30, 20], hidden=[100], initializer="he_uniform")
    network = define(config, "lstm", DataSpec(REGRESSION, (10, 200), 1), seed=0)
    first, second = (module for module in network.modules() if isinstance(module, nn.LSTM))
    hidden, output = (module for module in network.modules() if isinstance(module, nn.Linear))
    fan_in = {first.weight_ih_l0: 200, second.weight_ih_l0: 30, hidden.weight: 20}
    for weight, fan in fan_in.items():
        assert float(weight.detach().abs().max()) == pytest.approx(math.sqrt(6 / fan), rel=0.02)
    assert float(output.weight.detach().abs().max()) == pytest.approx(math.sqrt(6 / 101), rel=0.1)
    assert np.all(first.bias_ih_l0.detach().numpy()[30:60] == 1)
