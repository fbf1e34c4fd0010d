"""A plugin and a spec become a network that fits the data, with a correct summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec
from lifecycle.define.network import define, learns_from_one_row
from lifecycle.define.summary import Layer, summarize
from lifecycle.errors import RequestError
from lifecycle.plugins.activations import ACTIVATIONS
from lifecycle.plugins.cnn import CNN
from lifecycle.plugins.lstm import LSTM
from lifecycle.plugins.mlp import MLP
from lifecycle.runtime.seeds import seed_all

IRIS = DataSpec(MULTICLASS, (4,), 3)
DIGITS = DataSpec(MULTICLASS, (1, 8, 8), 10)
SEQUENCE = DataSpec(REGRESSION, (10, 1), 1)


@dataclass
class Custom:
    """Whatever network a test makes of a spec."""

    make: Callable[[DataSpec], nn.Module]
    width: int = 1

    def build(self, spec: DataSpec) -> nn.Module:
        """Return the network."""
        return self.make(spec)


COUNTS = [
    (MLP(), IRIS, 4 * 64 + 64 + 64 * 32 + 32 + 32 * 3 + 3),
    (MLP(hidden=[]), IRIS, 4 * 3 + 3),
    (MLP(hidden=[5], dropout=0.5), DataSpec(BINARY, (4,), 1), 4 * 5 + 5 + 5 + 1),
    (MLP(hidden=[5]), DIGITS, 64 * 5 + 5 + 5 * 10 + 10),
    (CNN(), DIGITS, (9 * 1 * 32 + 32) + (32 * 4 * 4 * 100 + 100) + (100 * 10 + 10)),
    (
        CNN(channels=[4, 8], kernel_size=5, hidden=[]),
        DataSpec(MULTICLASS, (3, 9, 8), 2),
        (25 * 3 * 4 + 4) + (25 * 4 * 8 + 8) + (8 * 2 * 2 * 2 + 2),
    ),
    (CNN(channels=[4], pool=1, hidden=[]), DIGITS, (9 * 4 + 4) + (4 * 8 * 8 * 10 + 10)),
    (LSTM(), SEQUENCE, 4 * (1 * 32 + 32 * 32 + 32 + 32) + 32 + 1),
    (
        LSTM(units=[6, 5], hidden=[7]),
        DataSpec(REGRESSION, (10, 3), 1),
        4 * (3 * 6 + 6 * 6 + 12) + 4 * (6 * 5 + 5 * 5 + 10) + (5 * 7 + 7) + (7 + 1),
    ),
    (LSTM(units=[6]), DIGITS, 4 * (8 * 6 + 6 * 6 + 12) + (6 * 10 + 10)),
]


@pytest.mark.parametrize(("plugin", "spec", "count"), COUNTS)
def test_parameters_are_as_many_as_by_hand(plugin: MLP | CNN | LSTM, spec: DataSpec, count: int) -> None:
    network = define(plugin, "mine", spec, seed=0)
    assert sum(p.numel() for p in network.parameters()) == count
    assert sum(layer.num_params for layer in summarize(network, spec)) == count


def test_a_dense_network_computes_what_its_weights_say() -> None:
    network = define(MLP(hidden=[5], activation="tanh"), "mlp", IRIS, seed=0)
    inputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    first, second = (layer for layer in network.children() if isinstance(layer, nn.Linear))
    by_hand = torch.tanh(inputs @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(network(inputs), by_hand)


def test_a_recurrent_network_reads_an_image_row_by_row() -> None:
    spec = DataSpec(MULTICLASS, (2, 5, 3), 4)
    network = define(LSTM(units=[6]), "lstm", spec, seed=0)
    images = torch.randn(2, 2, 5, 3, generator=torch.Generator().manual_seed(1))
    rows = torch.stack([torch.cat([images[:, 0, row], images[:, 1, row]], dim=1) for row in range(5)], dim=1)
    torch.testing.assert_close(network(images), network(rows))


def test_the_summary_of_a_dense_network_by_hand() -> None:
    assert summarize(define(MLP(), "mlp", IRIS, seed=0), IRIS) == [
        Layer("0", "Linear", "(None, 64)", 320),
        Layer("1", "ReLU", "(None, 64)", 0),
        Layer("2", "Linear", "(None, 32)", 2080),
        Layer("3", "ReLU", "(None, 32)", 0),
        Layer("4", "Linear", "(None, 3)", 99),
    ]


def test_the_summary_of_a_convolutional_network_by_hand() -> None:
    layers = summarize(define(CNN(hidden=[]), "cnn", DIGITS, seed=0), DIGITS)
    assert [(layer.type, layer.output_shape, layer.num_params) for layer in layers] == [
        ("Conv2d", "(None, 32, 8, 8)", 320),
        ("ReLU", "(None, 32, 8, 8)", 0),
        ("MaxPool2d", "(None, 32, 4, 4)", 0),
        ("Flatten", "(None, 512)", 0),
        ("Linear", "(None, 10)", 5130),
    ]


def test_the_summary_of_a_recurrent_layer_shows_its_output_not_its_state() -> None:
    layers = summarize(define(LSTM(), "lstm", SEQUENCE, seed=0), SEQUENCE)
    assert (layers[0].type, layers[0].output_shape, layers[0].num_params) == ("LSTM", "(None, 10, 32)", 4480)


def test_a_network_of_one_layer_has_a_row_of_its_own() -> None:
    network = define(Custom(lambda spec: nn.Linear(4, 3)), "mine", IRIS, seed=0)
    assert summarize(network, IRIS) == [Layer("network", "Linear", "(None, 3)", 15)]


def test_shared_parameters_are_counted_once() -> None:
    def tied(_spec: DataSpec) -> nn.Module:
        one, other = nn.Linear(4, 4), nn.Linear(4, 4)
        other.weight = one.weight
        return nn.Sequential(one, other, nn.Linear(4, 3))

    network = define(Custom(tied), "mine", IRIS, seed=0)
    assert [layer.num_params for layer in summarize(network, IRIS)] == [16 + 4, 4, 15]


def test_a_layer_that_is_passed_twice_is_counted_once() -> None:
    def twice(_spec: DataSpec) -> nn.Module:
        layer = nn.Linear(4, 4)
        return nn.Sequential(layer, layer, nn.Linear(4, 3))

    network = define(Custom(twice), "mine", IRIS, seed=0)
    assert [layer.num_params for layer in summarize(network, IRIS)] == [20, 0, 15]


def test_parameters_that_belong_to_no_layer_are_counted_too() -> None:
    class Scaled(nn.Module):
        """A layer, and a factor of the network's own."""

        def __init__(self) -> None:
            super().__init__()
            self.layer, self.factor = nn.Linear(4, 3), nn.Parameter(torch.ones(3))

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.layer(inputs) * self.factor
            return outputs

    network = define(Custom(lambda spec: Scaled()), "mine", IRIS, seed=0)
    assert summarize(network, IRIS) == [
        Layer("layer", "Linear", "(None, 3)", 15),
        Layer("(other)", "Scaled", "", 3),
    ]


def test_outputs_of_a_wrong_shape_are_refused_with_both_shapes() -> None:
    with pytest.raises(
        RequestError,
        match=r"^model=mine returned outputs of shape \(2, 5\) for 2 samples, and data=iris needs \(2, 3\)\. "
        r"Let build\(\) end in a layer of spec\.num_outputs\.$",
    ):
        define(Custom(lambda spec: nn.Linear(4, 5)), "mine", IRIS, seed=0, source="data=iris")


def test_outputs_without_an_axis_for_the_batch_are_refused() -> None:
    with pytest.raises(RequestError, match=r"outputs of shape \(2,\) for 2 samples, and the data needs \(2, 1\)"):
        define(
            Custom(lambda spec: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))),
            "mine",
            DataSpec(REGRESSION, (4,), 1),
            seed=0,
        )


def test_samples_of_a_shape_that_the_model_does_not_take_are_refused() -> None:
    with pytest.raises(
        RequestError,
        match=r"^model=cnn needs samples of shape \(channels, height, width\), got \(4,\) from data=iris\. "
        r"Use model=mlp, which takes any shape, or other data\.$",
    ):
        define(CNN(), "cnn", IRIS, seed=0, source="data=iris")


def test_the_refusal_of_a_shape_comes_before_the_network_is_built() -> None:
    @dataclass
    class Never:
        """A plugin that is never built."""

        sample_dims: ClassVar[tuple[int, ...]] = (2,)

        def build(self, spec: DataSpec) -> nn.Module:
            """Fail."""
            raise AssertionError("built")

    with pytest.raises(RequestError, match=r"model=never needs samples of shape \(steps, features\), got \(4,\)"):
        define(Never(), "never", IRIS, seed=0)


def test_images_too_small_for_the_pooling_are_refused_with_field_and_remedy() -> None:
    with pytest.raises(
        RequestError,
        match=r"^model\.channels has 4 blocks, too many for images of 8x8: block 4 gets 1x1, too small for "
        r"pooling over 2x2\. Use fewer, or model\.pool=1\.$",
    ):
        define(CNN(channels=[4, 4, 4, 4]), "cnn", DIGITS, seed=0)


def raising(message: str) -> Custom:
    def make(_spec: DataSpec) -> nn.Module:
        raise ValueError(message)

    return Custom(make)


def test_an_error_of_build_about_a_field_has_its_key() -> None:
    with pytest.raises(RequestError, match=r"^model\.width must be even, got 1\. Use 2\.$"):
        define(raising("width must be even, got 1. Use 2."), "mine", IRIS, seed=0)


def test_another_error_of_build_has_the_models_name() -> None:
    with pytest.raises(RequestError, match=r"^model=mine cannot be built: no way\.$"):
        define(raising("no way"), "mine", IRIS, seed=0)


@pytest.mark.parametrize(("plugin", "spec"), [(MLP(), IRIS), (CNN(), DIGITS), (LSTM(), SEQUENCE)])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(plugin: MLP | CNN | LSTM, spec: DataSpec) -> None:
    one, same, other = (define(plugin, "mine", spec, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one)


def test_a_seed_governs_every_generator_that_a_network_may_draw_from() -> None:
    import random

    import numpy as np

    drawn = []
    for _ in range(2):
        seed_all(5)
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert drawn[0] == drawn[1]


def test_looking_at_a_network_leaves_no_trace_in_it() -> None:
    def normed(_spec: DataSpec) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))

    network = define(Custom(normed), "mine", IRIS, seed=0)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    summarize(network, IRIS)
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert int(before["1.num_batches_tracked"]) == 0
    assert not any(module._forward_hooks for module in network.modules())
    network.eval()
    summarize(network, IRIS)
    assert not network.training


def test_a_network_that_cannot_take_the_samples_is_one_sentence() -> None:
    @dataclass
    class Narrow:
        def build(self, spec: DataSpec) -> nn.Module:
            return nn.Linear(4, spec.num_outputs)

    sentence = r"model=narrow cannot take samples of shape \(7,\) from data=wine: mat1 and mat2.*Choose other data"
    with pytest.raises(RequestError, match=sentence):
        define(Narrow(), "narrow", DataSpec("regression", (7,), 1), seed=0, source="data=wine")


def test_an_error_of_a_list_element_has_its_key() -> None:
    with pytest.raises(RequestError, match=r"^model\.width\[2\] must be even, got 1\.$"):
        define(raising("width[2] must be even, got 1."), "mine", IRIS, seed=0)


def types(network: nn.Module) -> str:
    return " ".join(type(module).__name__ for module in network.modules() if not list(module.children()))


def test_batch_normalisation_stands_between_a_hidden_layer_and_its_activation() -> None:
    network = define(MLP(hidden=[5, 4], dropout=0.5, batch_norm=True), "mlp", IRIS, seed=0)
    assert types(network) == "Linear BatchNorm1d ReLU Dropout Linear BatchNorm1d ReLU Dropout Linear"


def test_a_block_of_convolutions_layer_by_layer() -> None:
    plugin = CNN([4, 8], hidden=[5], convolutions=2, batch_norm=True, block_dropout=0.25, dropout=0.5)
    network = define(plugin, "cnn", DIGITS, seed=0)
    convolution = "Conv2d BatchNorm2d ReLU "
    block = convolution * 2 + "MaxPool2d Dropout "
    assert types(network) == block * 2 + "Flatten Linear BatchNorm1d ReLU Dropout Linear"
    dropouts = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    assert dropouts == [0.25, 0.25, 0.5]
    counts = [(1, 4), (4, 4), (4, 8), (8, 8)]
    found = [(m.in_channels, m.out_channels) for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert found == counts


def test_the_network_of_the_mnist_tutorial() -> None:
    plugin = CNN([32], padding="valid", hidden=[100], dropout=0.5, initializer="he_uniform")
    spec = DataSpec(MULTICLASS, (1, 28, 28), 10)
    layers = summarize(define(plugin, "cnn", spec, seed=0), spec)
    assert [(layer.type, layer.output_shape, layer.num_params) for layer in layers] == [
        ("Conv2d", "(None, 32, 26, 26)", 320),
        ("ReLU", "(None, 32, 26, 26)", 0),
        ("MaxPool2d", "(None, 32, 13, 13)", 0),
        ("Flatten", "(None, 5408)", 0),
        ("Linear", "(None, 100)", 540_900),
        ("ReLU", "(None, 100)", 0),
        ("Dropout", "(None, 100)", 0),
        ("Linear", "(None, 10)", 1010),
    ]
    assert sum(layer.num_params for layer in layers) == 542_230  # what Keras's own summary says


def test_a_valid_convolution_sees_no_zeros_around_the_image_and_may_be_even() -> None:
    spec = DataSpec(MULTICLASS, (1, 8, 6), 2)
    network = define(CNN([3], kernel_size=4, padding="valid", pool=1, hidden=[]), "cnn", spec, seed=0)
    assert summarize(network, spec)[0].output_shape == "(None, 3, 5, 3)"


TOO_SMALL = [
    (
        CNN([4, 4], kernel_size=5, padding="valid"),
        r"block 2 gets 2x2, too small for 1 valid convolution over 5x5\. Use fewer, or model\.padding=same\.$",
    ),
    (
        CNN([4], kernel_size=5, padding="valid", convolutions=2),
        r"block 1 gets 8x8, too small for 2 valid convolutions over 5x5\. Use fewer, or model\.padding=same\.$",
    ),
    (
        CNN([4], kernel_size=7, padding="valid", pool=3),
        r"block 1 gets 8x8, too small for pooling over 3x3\. Use fewer, or model\.pool=1\.$",
    ),
]


@pytest.mark.parametrize(("plugin", "sentence"), TOO_SMALL)
def test_images_too_small_for_a_block_are_refused_with_the_block(plugin: CNN, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        define(plugin, "cnn", DIGITS, seed=0)


@pytest.mark.parametrize(
    ("plugin", "spec", "learns"),
    [
        (MLP(), IRIS, True),
        (MLP(batch_norm=True), IRIS, False),
        (CNN(batch_norm=True, hidden=[]), DIGITS, True),  # pixels are a spread
        (CNN(batch_norm=True), DIGITS, False),
    ],
)
def test_batch_normalisation_of_features_learns_from_two_rows_at_least(
    plugin: MLP | CNN, spec: DataSpec, learns: bool
) -> None:
    network = define(plugin, "mine", spec, seed=0).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert learns_from_one_row(network, spec) == learns
    assert torch.equal(state, torch.get_rng_state())
    assert not network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_makes_a_network(name: str) -> None:
    layer = define(MLP(hidden=[5], activation=name), "mlp", IRIS, seed=0)[1]
    values = torch.tensor([-1.0, 0.5, 3.0])
    assert torch.allclose(layer(values), KERAS[name](values), atol=1e-6)


KERAS = {
    "relu": lambda x: x.clamp(min=0),
    "tanh": lambda x: x.exp().sub((-x).exp()) / x.exp().add((-x).exp()),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "gelu": lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "selu": lambda x: 1.05070098 * torch.where(x > 0, x, 1.67326324 * (x.exp() - 1)),
    "silu": lambda x: x / (1 + (-x).exp()),
    "swish": lambda x: x / (1 + (-x).exp()),
    "mish": lambda x: x * (1 + x.exp()).log().tanh(),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),  # PyTorch's slope; Keras's is 0.2
    "relu6": lambda x: x.clamp(0, 6),
    "celu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "softplus": lambda x: (1 + x.exp()).log(),
    "softsign": lambda x: x / (1 + x.abs()),
    "hard_sigmoid": lambda x: (x + 3).clamp(0, 6) / 6,
    "hard_silu": lambda x: x * (x + 3).clamp(0, 6) / 6,
    "hard_tanh": lambda x: x.clamp(-1, 1),
    "log_sigmoid": lambda x: -(1 + (-x).exp()).log(),
    "linear": lambda x: x,
}
"""Each activation as Keras's documentation writes it."""
