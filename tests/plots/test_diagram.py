"""The diagram of a network: a valid SVG that needs nothing else, and arrows that follow the data."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
import torch
from torch import Tensor, nn

from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec
from lifecycle.define.summary import summarize
from lifecycle.plots.diagram import draw
from lifecycle.plots.graph import INPUT, OUTPUT, settings_of, trace
from lifecycle.plugins.cnn import CNN
from lifecycle.plugins.lstm import LSTM
from lifecycle.plugins.mlp import MLP

SVG = "{http://www.w3.org/2000/svg}"
VALUE = DataSpec(REGRESSION, (4,), 1, "price")


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("plugin", "spec"),
    [
        (MLP(), DataSpec(MULTICLASS, (4,), 3, "species", ("a", "b", "c"), ("w", "x", "y", "z"))),
        (CNN(), DataSpec(MULTICLASS, (1, 8, 8), 3, "digit", ("a", "b", "c"))),
        (LSTM(), DataSpec(REGRESSION, (5, 2), 1, "sales")),
        (LSTM(units=[8, 8], hidden=[4]), DataSpec(BINARY, (1, 8, 8), 1, "y", ("no", "yes"))),
    ],
    ids=["mlp", "cnn", "lstm", "stacked lstm"],
)
def test_it_shows_the_layers_shapes_and_parameters_of_the_summary(plugin: MLP, spec: DataSpec) -> None:
    network = plugin.build(spec)
    svg = draw(network, "my model", spec)
    message = texts(svg)
    layers = summarize(network, spec)
    total = sum(layer.num_params for layer in layers)
    assert message[0] == f"my model: {total:,} parameters"
    shapes = {layer.name: layer.output_shape for layer in layers}.values()  # a layer that is used twice is drawn once
    wanted = [str((None, *spec.input_shape)), *shapes, str((None, spec.num_outputs))]
    assert [text for text in message if text.startswith("(None")] == wanted
    for layer in layers:
        if layer.num_params:
            assert f"{layer.num_params:,} parameters" in message


def test_it_is_self_contained_svg_1_1() -> None:
    svg = draw(MLP().build(VALUE), "mlp", VALUE)
    root = ET.fromstring(svg)
    assert (root.tag, root.get("version")) == (f"{SVG}svg", "1.1")
    assert set(re.findall(r"https?://[^\"]+", svg)) == {"http://www.w3.org/2000/svg"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        "svg", "title", "defs", "marker", "path", "rect", "text", "tspan",
    }  # fmt: skip
    assert not re.search(r"<script|@import|href|url\((?!#arrow)", svg)


def test_everything_lies_on_the_page() -> None:
    deep = nn.Sequential(*[layer for _ in range(20) for layer in (nn.Linear(4, 4), nn.Tanh())], nn.Linear(4, 1))
    root = ET.fromstring(draw(deep, "deep", VALUE))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    boxes = [element for element in root.iter(f"{SVG}rect") if element.get("rx")]
    assert len(boxes) == 43
    corners = [[float(box.get(key, 0)) for key in ("x", "y", "width", "height")] for box in boxes]
    for x, y, wide, high in corners:
        assert 0 < x < x + wide < width
        assert 0 < y < y + high < height
    for one in corners:  # and no box on another
        assert sum(abs(one[0] - x) < wide and abs(one[1] - y) < high for x, y, wide, high in corners) == 1
    assert height < width < 3 * height


def test_it_names_input_and_output() -> None:
    several = DataSpec(MULTICLASS, (4,), 3, "species", ("a", "b", "c"), ("w", "x", "y", "z"))
    assert {"w, x, y, z", "Output3 classes: softmax", "a, b, c"} <= set(texts(draw(MLP().build(several), "m", several)))
    two = DataSpec(BINARY, (2, 3), 1, "y", ("no", "yes"))
    assert {"steps, features", "Outputprobability of yes: sigmoid"} <= set(texts(draw(MLP().build(two), "m", two)))
    assert {"Outputprice: linear", "restored to its own units"} <= set(texts(draw(MLP().build(VALUE), "m", VALUE)))


def test_names_are_escaped_and_invalid_xml_characters_removed() -> None:
    odd = DataSpec(BINARY, (2,), 1, "y", ("no", 'a<b> & "c" \x00\x1b'), ("<script>", "&amp;"))
    message = texts(draw(MLP().build(odd), "<m> & \x0c", odd))
    assert message[0].startswith("<m> & : ")
    assert "<script>, &amp;" in message
    assert 'Outputprobability of a<b> & "c" : sigmoid' in message


def test_long_names_are_cut() -> None:
    many = DataSpec(MULTICLASS, (300,), 2, "y", tuple("ab"), tuple(f"a feature with number {n}" for n in range(300)))
    assert max(map(len, texts(draw(MLP().build(many), "m" * 200, many)))) <= 80


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.second = nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4)
        self.last = nn.Linear(4, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        found = torch.relu(inputs + self.second(self.act(self.first(inputs))))
        outputs: Tensor = self.last(found)
        return outputs


def test_a_way_around_layers_is_drawn_and_meets_in_an_add() -> None:
    graph = trace(Residual(), (4,))
    join = next(node for node in graph.nodes if node.is_join)
    assert (join.type, join.shape) == ("add", "(None, 4)")
    assert set(graph.edges) == {
        (INPUT, "first"), ("first", "act"), ("act", "second"), ("second", join.name), (INPUT, join.name),
        (join.name, "last"), ("last", OUTPUT),
    }  # fmt: skip
    assert graph.guessed == []


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.output = nn.Linear(2, 3), nn.Linear(2, 5), nn.Linear(8, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        both = torch.cat([self.left(inputs[:, :2]), self.right(inputs[:, 2:])], dim=1)
        outputs: Tensor = self.output(both)
        return outputs


def test_branches_are_joined_and_a_layer_may_be_called_output() -> None:
    graph = trace(Branches(), (4,))
    join = next(node.name for node in graph.nodes if node.is_join)
    wanted = {(INPUT, "left"), (INPUT, "right"), ("left", join), ("right", join), (join, "output"), ("output", OUTPUT)}
    assert set(graph.edges) == wanted
    assert "cat" in texts(draw(Branches(), "b", VALUE))


class Backwards(nn.Module):
    """Modules that run in another order than they were made in, one of them twice, one of them never."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.never, self.first = nn.Linear(4, 1), nn.Linear(9, 9), nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.first(torch.tanh(self.first(inputs))))
        return outputs


def test_layers_stand_in_the_order_of_their_use_each_once() -> None:
    graph = trace(Backwards(), (4,))
    assert [(node.name, node.calls, node.num_params) for node in graph.nodes] == [("first", 2, 20), ("last", 1, 5)]
    message = texts(draw(Backwards(), "b", VALUE))
    assert "first, used 2 times" in message
    assert "90 parameters belong to none of these layers." in message


def test_weights_that_are_shared_are_counted_once() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    graph = trace(nn.Sequential(first, second, nn.Linear(4, 1)), (4,))
    assert [node.num_params for node in graph.nodes] == [20, 4, 5]
    assert graph.num_params == 29


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.words, self.last = nn.Linear(4, 4), nn.Embedding(9, 3), nn.Linear(12, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.words(self.first(inputs).long().clamp(0, 8)).flatten(1))
        return outputs


def test_an_unknown_flow_of_data_is_drawn_dashed_with_a_note() -> None:
    assert trace(Detached(), (4,)).guessed == [("first", "words")]
    svg = draw(Detached(), "d", VALUE)
    assert svg.count("stroke-dasharray") == 1
    assert "Dashed: the flow of data is not known; the order of use instead." in texts(svg)
    assert "dasharray" not in draw(Residual(), "r", VALUE)


class Numpy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.first(torch.from_numpy(inputs.numpy())))
        return outputs


def test_a_network_that_cannot_be_differentiated_by_its_input_is_a_guessed_line() -> None:
    graph = trace(Numpy(), (4,))
    assert graph.edges == [(INPUT, "first"), ("first", "last"), ("last", OUTPUT)]
    assert graph.guessed == graph.edges


def test_attention_is_one_layer_with_its_parts_weights() -> None:
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    network = nn.Sequential(encoder, nn.Flatten(), nn.Linear(40, 1))
    graph = trace(network, (5, 8))
    attention = next(node for node in graph.nodes if node.type == "MultiheadAttention")
    assert attention.settings == "heads 2"
    assert attention.num_params == sum(p.numel() for p in encoder.self_attn.parameters())
    assert sum(node.num_params for node in graph.nodes) == graph.num_params
    assert [node.type for node in graph.nodes if node.is_join] == ["add", "add"]


def test_a_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    draw(network, "m", VALUE)
    assert network.training
    assert all(module.training for module in network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("layer", "settings"),
    [
        (nn.Conv2d(3, 4, 3, stride=2, padding=1), "kernel 3, stride 2, padding 1"),
        (nn.Conv2d(3, 4, (3, 5), padding="same"), "kernel (3, 5), padding same"),
        (nn.MaxPool2d(2), "kernel 2"),
        (nn.MaxPool2d(3, 2), "kernel 3, stride 2"),
        (nn.Dropout(0.25), "p 0.25"),
        (nn.LSTM(2, 3, num_layers=2, bidirectional=True), "layers 2, bidirectional"),
        (nn.LSTM(2, 3), ""),
        (nn.Linear(2, 3), ""),
        (nn.LeakyReLU(0.1), "slope 0.1"),
        (nn.AdaptiveAvgPool2d(1), "to 1"),
    ],
    ids=str,
)
def test_settings_are_those_that_differ_from_the_defaults(layer: nn.Module, settings: str) -> None:
    assert settings_of(layer) == settings
