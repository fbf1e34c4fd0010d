"""The LSTM layer computes Keras's equations, with tanh PyTorch's; tables, directions and stacked layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.config.schema import TrainerConfig
from lifecycle.contract import MULTICLASS, REGRESSION, DataSpec
from lifecycle.define.network import define
from lifecycle.define.summary import summarize
from lifecycle.fit.trainer import fit
from lifecycle.optimizers import AdamW
from lifecycle.plugins.lstm import LSTM
from lifecycle.plugins.recurrent import AllSteps, LastStep, LSTMLayer
from lifecycle.plugins.sequential import Sequential
from lifecycle.runtime.quiet import quiet_libraries
from tests.rows import SeriesRows, load_rows

Array = np.ndarray[Any, Any]
FUNCTIONS = {"tanh": np.tanh, "relu": lambda values: np.maximum(values, 0)}


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


def keras_lstm(inputs: Array, kernel: Array, recurrent: Array, bias: Array, activation: str) -> Array:
    """Return the outputs ``(steps, units)`` for one sample ``(steps, features)``, gate by gate as Keras documents them.

    ``kernel`` is ``(features, 4 * units)``; the gates stand in the order input, forget, candidate, output.
    """
    act, units = FUNCTIONS[activation], recurrent.shape[0]
    output, cell, outputs = np.zeros(units), np.zeros(units), []
    for step in inputs:
        i, f, c, o = np.split(step @ kernel + output @ recurrent + bias, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * act(c)
        output = sigmoid(o) * act(cell)
        outputs.append(output)
    return np.array(outputs)


def by_hand(layer: LSTMLayer, inputs: Tensor, direction: str) -> Array:
    parameters = (
        getattr(layer, f"{name}_{direction}").detach().double().numpy().T
        for name in ("weight_ih", "weight_hh", "bias_ih")
    )
    kernel, recurrent, bias = parameters
    samples = inputs.double().numpy()
    samples = samples[:, ::-1] if direction.endswith("reverse") else samples
    outputs = np.stack([keras_lstm(sample, kernel, recurrent, bias, layer.activation) for sample in samples])
    return outputs[:, ::-1] if direction.endswith("reverse") else outputs


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_layer_computes_the_equations_of_keras(activation: str) -> None:
    torch.manual_seed(0)
    layer, inputs = LSTMLayer(3, 5, activation), numbers(2, 7, 3)
    outputs, (hidden, cell) = layer(inputs)
    np.testing.assert_allclose(outputs.detach(), by_hand(layer, inputs, "l0"), atol=1e-6)
    assert torch.equal(hidden[0], outputs[:, -1])
    assert tuple(cell.shape) == (1, 2, 5)


def test_both_directions_read_all_steps() -> None:
    torch.manual_seed(0)
    layer, inputs = LSTMLayer(3, 5, "relu", bidirectional=True), numbers(2, 7, 3)
    outputs, state = layer(inputs)
    forward, backward = by_hand(layer, inputs, "l0"), by_hand(layer, inputs, "l0_reverse")
    np.testing.assert_allclose(outputs.detach(), np.concatenate([forward, backward], axis=2), atol=1e-6)
    # Keras's Bidirectional(LSTM(5)): forward at the last step, backward at the first
    last = LastStep()((outputs, state)).detach()
    np.testing.assert_allclose(last, np.concatenate([forward[:, -1], backward[:, 0]], axis=1), atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_with_tanh_the_layer_is_the_one_of_pytorch(bidirectional: bool) -> None:
    ours = LSTMLayer(3, 5, "tanh", bidirectional)
    theirs = nn.LSTM(3, 5, batch_first=True, bidirectional=bidirectional)
    with torch.no_grad():
        for key, parameter in theirs.named_parameters():
            if key.startswith("bias_hh"):
                parameter.zero_()
            else:
                parameter.copy_(getattr(ours, key))
    inputs = numbers(2, 7, 3).requires_grad_()
    (outputs, (hidden, cell)), (expected, (last, memory)) = ours(inputs), theirs(inputs)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(hidden, last)
    torch.testing.assert_close(cell, memory)
    ours_back, theirs_back = (torch.autograd.grad(out.square().sum(), inputs)[0] for out in (outputs, expected))
    torch.testing.assert_close(ours_back, theirs_back)


def test_what_is_taken_of_a_gated_recurrent_unit() -> None:
    layer, inputs = nn.GRU(3, 5, batch_first=True, bidirectional=True), numbers(2, 7, 3)
    outputs, _ = returned = layer(inputs)
    assert AllSteps()(returned) is outputs
    assert torch.equal(LastStep()(returned), torch.cat([outputs[:, -1, :5], outputs[:, 0, 5:]], dim=1))


def test_a_network_of_stacked_layers_in_both_directions_by_hand() -> None:
    spec = DataSpec(REGRESSION, (7, 3), 1)
    config = LSTM(units=[4, 5], cell_activation="relu", bidirectional=True)
    network = define(config, "lstm", spec, seed=0)
    first, second = (module for module in network.modules() if isinstance(module, LSTMLayer))
    inputs = numbers(2, 7, 3)
    steps = np.concatenate([by_hand(first, inputs, "l0"), by_hand(first, inputs, "l0_reverse")], axis=2)
    sequence = torch.from_numpy(steps.astype(np.float32))
    last = np.concatenate(
        [by_hand(second, sequence, "l0")[:, -1], by_hand(second, sequence, "l0_reverse")[:, 0]], axis=1
    )
    (dense,) = (module for module in network.modules() if isinstance(module, nn.Linear))
    expected = last @ dense.weight.detach().double().numpy().T + dense.bias.detach().double().numpy()
    np.testing.assert_allclose(network(inputs).detach(), expected, atol=1e-5)


@pytest.mark.parametrize(("table_as", "shape"), [("steps", (6, 5, 1)), ("features", (6, 1, 5))])
def test_a_table_is_read_as_steps_or_as_one_step(table_as: str, shape: tuple[int, ...]) -> None:
    network = define(LSTM(units=[4], table_as=table_as), "lstm", DataSpec(MULTICLASS, (5,), 3), seed=0)
    series = define(LSTM(units=[4]), "lstm", DataSpec(MULTICLASS, shape[1:], 3), seed=0)
    rows = numbers(6, 5)
    assert network.layers[0].input_size == shape[2]
    torch.testing.assert_close(network(rows), series(rows.reshape(shape)))


def test_the_head_normalises_over_the_batch() -> None:
    spec = DataSpec(REGRESSION, (4, 2), 1)
    network = define(LSTM(units=[3], hidden=[6, 5], batch_norm=True, activation="tanh"), "lstm", spec, seed=0)
    kinds = [type(module).__name__ for module in network.head]
    assert kinds == ["Linear", "BatchNorm1d", "Tanh"] * 2 + ["Linear"]


def test_the_summary_of_an_own_layer_counts_its_parameters() -> None:
    spec = DataSpec(REGRESSION, (10, 1), 1)
    layers = summarize(define(LSTM(cell_activation="relu"), "lstm", spec, seed=0), spec)
    assert (layers[0].type, layers[0].output_shape) == ("LSTMLayer", "(None, 10, 32)")
    assert layers[0].num_params == 4 * 32 * (1 + 32 + 1)  # one bias, as in Keras
    both = LSTM(cell_activation="relu", bidirectional=True)
    assert summarize(define(both, "lstm", spec, seed=0), spec)[0].output_shape == "(None, 10, 64)"
    assert "LSTMLayer(1, 32, activation=relu)" in str(define(LSTM(cell_activation="relu"), "lstm", spec, seed=0))


def test_dropout_stands_after_each_layer() -> None:
    spec = DataSpec(REGRESSION, (4, 2), 1)
    layers = summarize(define(LSTM(units=[3, 5], hidden=[6], dropout=0.5), "lstm", spec, seed=0), spec)
    types = "LSTM Dropout LSTM LastStep Dropout Linear ReLU Dropout Linear"
    assert [layer.type for layer in layers] == types.split()


@pytest.mark.parametrize("initializer", ["default", "glorot_uniform"])
@pytest.mark.parametrize("model", ["lstm", "sequential"])
def test_an_lstm_that_begins_as_in_keras_learns_all_its_weights(model: str, initializer: str, tmp_path: Path) -> None:
    first = {"lstm": {"units": 4, "bidirectional": True, "return_sequences": True}}
    plugins: dict[str, Any] = {
        "lstm": LSTM(units=[4, 3], bidirectional=True, initializer=initializer),
        "sequential": Sequential([first, {"lstm": {"units": 3, "bidirectional": True}}, "output"], initializer),
    }
    data = load_rows(SeriesRows(frame=pd.DataFrame({"y": np.sin(np.arange(40.0))}), window=3))
    network = define(plugins[model], model, data.spec, seed=0)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    module = CompiledModel(network, data.spec, AdamW(lr=0.1, weight_decay=0.1))
    with quiet_libraries():
        fit(module, data, TrainerConfig(max_epochs=2, restore_best=False), 1, tmp_path)
    second = [key for key in before if "bias_hh" in key]
    assert len(second) == 2 * 2  # layers and directions
    assert initializer == "default" or not any(before[key].any() for key in second)
    for key, value in network.state_dict().items():
        assert not torch.equal(value, before[key]), key
