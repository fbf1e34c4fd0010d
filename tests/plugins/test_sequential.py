"""A list of layers becomes a network, from the command line and from YAML; each mistake is reported with its index."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lifecycle.config.compose import compose
from lifecycle.config.resolve import resolve
from lifecycle.contract import BINARY, MULTICLASS, REGRESSION, DataSpec
from lifecycle.define.network import define
from lifecycle.define.summary import summarize
from lifecycle.errors import RequestError
from lifecycle.plugins.recurrent import LSTMLayer
from lifecycle.plugins.sequential import Sequential
from lifecycle.predict import saved_model
from lifecycle.testing import check_model_plugin
from tests.conftest import QUICK, Command, artifacts, ready

Runs = Callable[[], list[mlflow.entities.Run]]
TABLE = DataSpec(MULTICLASS, (4,), 3)
SERIES = DataSpec(REGRESSION, (6, 2), 1)
IMAGES = DataSpec(MULTICLASS, (1, 8, 8), 10)
TYPED = "model.layers=[dense: 12, relu, dropout: 0.5, dense: 1]"


def made(layers: list[Any], spec: DataSpec, initializer: str = "default") -> nn.Module:
    return define(Sequential(layers, initializer), "sequential", spec, seed=0)


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def rows(layers: list[Any], spec: DataSpec) -> list[tuple[str, str, str, int]]:
    return [(row.name, row.type, row.output_shape, row.num_params) for row in summarize(made(layers, spec), spec)]


@pytest.mark.parametrize(
    "word",
    [
        TYPED,
        "model.layers=[dense:12,relu,dropout:.5,dense:1]",
        "model.layers=[{dense: 12}, relu, {dropout: 0.5}, {dense: 1}]",
    ],
)
def test_the_list_as_typed_on_the_command_line(word: str) -> None:
    model = resolve(compose(["model=sequential", "data=breast_cancer", word])).model
    network = define(model, "sequential", DataSpec(BINARY, (30,), 1), seed=0)
    linear, relu, dropout, last = network.children()
    assert [type(layer) for layer in (linear, relu, dropout, last)] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert (linear.in_features, linear.out_features, dropout.p, last.out_features) == (30, 12, 0.5, 1)


def test_the_list_as_yaml_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    text = "defaults: [sequential, _self_]\nlayers: [dense: 12, relu, dropout: 0.5, dense: 1]\n"
    (tmp_path / "conf" / "model" / "small.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    model = resolve(compose(["model=small", "data=breast_cancer"])).model
    assert type(model.layers) is list
    assert model.layers == [{"dense": 12}, "relu", {"dropout": 0.5}, {"dense": 1}]
    assert all(type(element) in (dict, str) for element in model.layers)  # nothing of OmegaConf's leaks
    spec = DataSpec(BINARY, (30,), 1)
    from_text = define(resolve(compose(["model=sequential", TYPED])).model, "sequential", spec, seed=0)
    assert str(define(model, "sequential", spec, seed=0)) == str(from_text)


def test_a_saved_model_keeps_its_list_and_its_weights(job: Command, runs: Runs) -> None:
    words = ["model=sequential", "data=iris", "trainer.max_epochs=2", "model.initializer=he_normal"]
    ended = job(*words, "model.layers=[dense: 5, batch_norm, relu, {dense: {units: 4, initializer: uniform}}, output]")
    assert ended.code == 0, ended.err
    (run,) = runs()
    layers = ["dense: 5", "batch_norm", "relu", {"dense": {"units": 4, "initializer": "uniform"}}, "output"]
    assert run.data.params["model.layers"] == str(layers)
    folder = next(Path(artifacts(run).parents[1]).rglob(saved_model.MANIFEST)).parent
    assert json.loads((folder / saved_model.MANIFEST).read_text())["model"]["fields"]["layers"] == layers
    trained = saved_model.load(folder)
    predictions = pd.read_csv(artifacts(run) / "predictions.csv")
    frame = trained.data.read().iloc[predictions["row"]]
    assert trained.predict(frame)["predicted"].tolist() == predictions["predicted"].tolist()
    checkpoint = torch.load(artifacts(run) / "checkpoints" / "best.ckpt", weights_only=True)
    assert set(checkpoint["state_dict"]) == {f"network.{key}" for key in trained.network.state_dict()}


def test_a_list_can_be_swept(process: Command, runs: Runs, tmp_path: Path, empty_database: Path) -> None:
    ready(tmp_path, empty_database)
    words = ["-m", "model=sequential", "data=iris", "trainer.max_epochs=1"]
    assert process(*words, *QUICK, "model.layers=[dense: 5, relu, output],[{dense: {units: 6}}, dense: 3]").code == 0
    found = [run.data.params["model.layers"] for run in runs()]
    assert found == ["['dense: 5', 'relu', 'output']", "[{'dense': {'units': 6}}, 'dense: 3']"]


def test_the_default_fits_every_shape_of_sample() -> None:
    for spec in (TABLE, SERIES, IMAGES):
        types = [type(layer) for layer in define(Sequential(), "sequential", spec, seed=0).children()]
        assert types == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]


EVERYTHING = [
    {"initializer": "orthogonal", "layers": ["flatten", "dense: 6", "batch_norm", "tanh", "layer_norm", "output"]},
    {"layers": ["flatten", {"reshape": [-1, 1]}, {"lstm": {"units": 3, "activation": "relu"}}, "output"]},
]


@pytest.mark.parametrize("fields", EVERYTHING)
def test_lists_keep_the_contract_of_plugins(fields: dict[str, Any]) -> None:
    check_model_plugin("sequential", **fields)


def test_an_image_goes_through_blocks_and_the_shapes_are_followed() -> None:
    layers = [
        "conv: 4",
        "batch_norm",
        "relu",
        "max_pool",
        {"conv": {"filters": 6, "padding": "valid"}},
        "global_avg_pool",
    ]
    assert rows([*layers, "layer_norm", "output"], IMAGES) == [
        ("0_conv", "Conv2d", "(None, 4, 8, 8)", 40),
        ("1_batch_norm", "BatchNorm2d", "(None, 4, 8, 8)", 8),
        ("2_relu", "ReLU", "(None, 4, 8, 8)", 0),
        ("3_max_pool", "MaxPool2d", "(None, 4, 4, 4)", 0),
        ("4_conv", "Conv2d", "(None, 6, 2, 2)", 4 * 9 * 6 + 6),
        ("5_global_avg_pool.0", "AdaptiveAvgPool2d", "(None, 6, 1, 1)", 0),
        ("5_global_avg_pool.1", "Flatten", "(None, 6)", 0),
        ("6_layer_norm", "LayerNorm", "(None, 6)", 12),
        ("7_output", "Linear", "(None, 10)", 70),
    ]


def test_a_series_goes_through_stacked_recurrent_layers() -> None:
    layers = [
        {"lstm": {"units": 4, "return_sequences": True, "bidirectional": True}},
        "batch_norm",
        {"gru": {"units": 3, "return_sequences": True, "bidirectional": True}},
        "layer_norm",
        {"lstm": {"units": 5, "activation": "relu"}},
        "output",
    ]
    assert rows(layers, SERIES) == [
        ("0_lstm.0", "LSTM", "(None, 6, 8)", 2 * 4 * 4 * (2 + 4 + 2)),
        ("0_lstm.1", "AllSteps", "(None, 6, 8)", 0),
        ("1_batch_norm", "StepsBatchNorm", "(None, 6, 8)", 16),
        ("2_gru.0", "GRU", "(None, 6, 6)", 2 * 3 * 3 * (8 + 3 + 2)),
        ("2_gru.1", "AllSteps", "(None, 6, 6)", 0),
        ("3_layer_norm", "LayerNorm", "(None, 6, 6)", 12),
        ("4_lstm.0", "LSTMLayer", "(None, 6, 5)", 4 * 5 * (6 + 5 + 1)),
        ("4_lstm.1", "LastStep", "(None, 5)", 0),
        ("5_output", "Linear", "(None, 1)", 6),
    ]


def test_normalisation_of_steps_is_over_samples_and_steps() -> None:
    network = made(["batch_norm", "flatten", "output"], SERIES).train()
    inputs = numbers(5, 6, 2) * 3 + 1
    outputs = network[0](inputs)
    wanted = (inputs - inputs.mean((0, 1))) / (inputs.var((0, 1), unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(outputs, wanted)


def test_normalisation_of_an_image_is_over_channels_and_pixels() -> None:
    network = made(["conv: 4", "layer_norm", "flatten", "output"], IMAGES)
    inputs = numbers(3, 4, 8, 8)
    flat = inputs.flatten(1)
    wanted = (flat - flat.mean(1, keepdim=True)) / (flat.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(network[1](inputs).flatten(1), wanted)


@pytest.mark.parametrize(
    ("size", "stride", "kernel"), [(8, 1, 3), (8, 2, 3), (7, 2, 3), (8, 1, 4), (8, 3, 2), (8, 3, 1)]
)
def test_same_padding_is_that_of_keras(size: int, stride: int, kernel: int) -> None:
    fields = {"filters": 2, "kernel_size": kernel, "stride": stride}
    network = made([{"conv": fields}, "flatten", "output"], DataSpec(MULTICLASS, (1, size, size), 3))
    (convolution,) = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    # TensorFlow: ceil(size / stride) places, and the odd zero right and below
    places = -(-size // stride)
    missing = max((places - 1) * stride + kernel - size, 0)
    inputs = numbers(2, 1, size, size)
    padded = F.pad(inputs, [missing // 2, missing - missing // 2] * 2)
    wanted = F.conv2d(padded, convolution.weight, convolution.bias, stride)
    assert tuple(wanted.shape) == (2, 2, places, places)
    torch.testing.assert_close(network[0](inputs), wanted)


def test_same_padding_of_an_oblong_image_pads_each_axis_by_its_own() -> None:
    spec = DataSpec(MULTICLASS, (1, 5, 8), 3)
    network = made([{"conv": {"filters": 2, "stride": 2}}, "flatten", "output"], spec)
    assert summarize(network, spec)[0].output_shape == "(None, 1, 7, 9)"  # 5 + 2 rows, 8 + 1 columns
    inputs, (convolution,) = numbers(1, 1, 5, 8), [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    wanted = F.conv2d(F.pad(inputs, (0, 1, 1, 1)), convolution.weight, convolution.bias, 2)
    torch.testing.assert_close(network[0](inputs), wanted)


def test_pooling_takes_the_largest_or_the_mean() -> None:
    layers = [{"max_pool": {"size": 3, "stride": 1}}, "avg_pool: 2", "flatten", "output"]
    network = made(layers, IMAGES)
    inputs = numbers(2, 1, 8, 8)
    largest = inputs.unfold(2, 3, 1).unfold(3, 3, 1).amax((-1, -2))
    torch.testing.assert_close(network[0](inputs), largest)
    mean = largest.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
    torch.testing.assert_close(network[1](largest), mean)


def test_softmax_within_a_network_is_over_features_or_channels() -> None:
    inner = made(["conv: 4", "softmax", "flatten", "dense: 5", "softmax", "output"], IMAGES)
    torch.testing.assert_close(inner[1](numbers(2, 4, 8, 8)).sum(1), torch.ones(2, 8, 8))
    torch.testing.assert_close(inner[4](numbers(2, 5)).sum(1), torch.ones(2))


def test_a_dense_layer_on_a_sequence_is_the_same_for_each_step() -> None:
    network = made(["dense: 3", "flatten", "output"], SERIES)
    inputs = numbers(2, 6, 2)
    torch.testing.assert_close(network[0](inputs)[:, 4], network[0](inputs[:, 4]))


def test_a_table_becomes_steps_by_reshape() -> None:
    network = made([{"reshape": [-1, 1]}, "lstm: 3", "output"], TABLE)
    assert tuple(network[0](numbers(2, 4)).shape) == (2, 4, 1)
    image = made([{"reshape": [2, 4, -1]}, "flatten", "output"], IMAGES)
    inputs = numbers(2, 1, 8, 8)
    torch.testing.assert_close(image[0](inputs), inputs.reshape(2, 2, 4, 8))


def test_the_initializer_is_of_all_but_the_last_layer_unless_it_has_its_own() -> None:
    layers = ["dense: 100", "relu", {"dense": {"units": 200, "initializer": "uniform"}}, "dense: 60", "linear"]
    spec = DataSpec(MULTICLASS, (50,), 60)
    first, own, last = (layer for layer in made(layers, spec, "he_uniform").children() if isinstance(layer, nn.Linear))
    bounds = [(first, (6 / 50) ** 0.5), (own, 0.05), (last, (6 / 260) ** 0.5)]
    for layer, bound in bounds:
        assert float(layer.weight.detach().abs().max()) == pytest.approx(bound, rel=0.02)
        assert not layer.bias.any()
    untouched = made(layers, spec).get_submodule("0_dense")
    assert untouched.bias.any()


@pytest.mark.parametrize("word", ["conv", "lstm", "gru"])
def test_convolutions_and_recurrent_layers_have_the_initializer(word: str) -> None:
    spec = IMAGES if word == "conv" else SERIES
    network = made([{word: 8}, "flatten", "output"], spec, "uniform")
    layer = next(m for m in network.modules() if isinstance(m, nn.Conv2d | nn.LSTM | nn.GRU | LSTMLayer))
    weight = next(layer.parameters()).detach()
    assert 0.045 < float(weight.abs().max()) <= 0.05


UNREADABLE = [
    ([], "layers must name at least one layer, got []. Write for instance [output]."),
    (
        [None],
        "layers[0] must be a word or one pair of word and value, got null. Write for instance relu, or dense: 12.",
    ),
    (
        [{"dense": 3, "relu": None}],
        "layers[0] must be a word or one pair of word and value, got {dense: 3, relu: null}.",
    ),
    (
        ["relu", "dens: 3"],
        "layers[1] must be a known layer, got dens: 3. Did you mean dense? Choose from: dense, output,",
    ),
    (["dense", "output"], "layers[0] dense: units must be given, got nothing. Write for instance dense: 64."),
    (["dropout"], "layers[0] dropout: rate must be given, got nothing. Write for instance dropout: 0.5."),
    ([{"conv": {"stride": 2}}], "layers[0] conv: filters must be given, got nothing. Write for instance conv: 32."),
    (["dense: x"], "layers[0] dense: units must be a whole number, got x. Write for instance 64."),
    (["dense: 1.5"], "layers[0] dense: units must be a whole number, got 1.5. Write for instance 64."),
    (["dense: true"], "layers[0] dense: units must be a whole number, got true. Write for instance 64."),
    (["dense: 0"], "layers[0] dense: units must be 1 or more and below 1000001, got 0. It has no default."),
    (["dropout: 1"], "layers[0] dropout: rate must be 0 or more and below 1, got 1. It has no default."),
    (["dropout: a lot"], "layers[0] dropout: rate must be a number, got a lot. Write for instance 0.5."),
    (["relu: 3"], "layers[0] relu: it takes no value, got 3. Write relu alone."),
    (
        [{"dense": {"unit": 3}}],
        "layers[0] dense: unit is not a field of dense, got 3. Did you mean units? Fields: units,",
    ),
    (
        [{"conv": {"filters": 3, "stride": 0}}],
        "layers[0] conv: stride must be 1 or more and below 1000001, got 0. The def",
    ),
    (
        [{"conv": {"filters": 3, "stride": "two"}}],
        "layers[0] conv: stride must be a whole number, got two. The default is 1.",
    ),
    (
        [{"conv": {"filters": 3, "padding": "some"}}],
        "layers[0] conv: padding must be one of same, valid, got some. Did you",
    ),
    ([{"conv": {"filters": 3, "padding": 1}}], "layers[0] conv: padding must be a word, got 1. The default is same."),
    (
        [{"dense": {"units": 3, "initializer": "he"}}],
        "layers[0] dense: initializer must be one of default, glorot_uniform,",
    ),
    ([{"lstm": {"units": 3, "activation": "gelu"}}], "layers[0] lstm: activation must be one of tanh, relu, got gelu."),
    (
        [{"lstm": {"units": 3, "return_sequences": 1}}],
        "layers[0] lstm: return_sequences must be true or false, got 1. The",
    ),
    ([{"gru": {"units": 3, "activation": "relu"}}], "layers[0] gru: activation is not a field of gru, got relu."),
    (
        [{"max_pool": {"size": 0}}],
        "layers[0] max_pool: size must be 1 or more and below 1000001, got 0. The default is 2.",
    ),
    (["reshape: 3"], "layers[0] reshape: shape must be a list of whole numbers, got 3. Write for instance [-1, 1]."),
    (
        [{"reshape": [-1, -1]}],
        "layers[0] reshape: shape must be one to three sizes, at most one of them -1, got [-1, -1].",
    ),
    (
        [{"reshape": [0]}],
        "layers[0] reshape: shape must be one to three sizes, at most one of them -1, got [0]. Fix it.",
    ),
    (
        ["output", "softmax"],
        "layers must not end in softmax, got layers[1] softmax. Leave it out: the network returns logits",
    ),
    (
        ["output", "sigmoid"],
        "layers must not end in sigmoid, got layers[1] sigmoid. Leave it out: the network returns logits",
    ),
]


@pytest.mark.parametrize(("layers", "sentence"), UNREADABLE, ids=[str(layers) for layers, _ in UNREADABLE])
def test_a_wrong_element_of_the_list_is_reported_with_its_index(layers: list[Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^layers") as caught:
        Sequential(layers)
    assert str(caught.value).startswith(sentence)


def test_an_unknown_initializer_is_reported() -> None:
    with pytest.raises(
        ValueError, match=r"^initializer must be one of default, .*got he_norm\. Did you mean he_normal\?$"
    ):
        Sequential(initializer="he_norm")


UNFITTING = [
    (TABLE, ["dense: 1"], "layers must end in dense: 3 or output, got dense: 1. The data need 3 values a sample."),
    (
        TABLE,
        ["relu"],
        "layers must end in dense: 3 or output, got relu after 4 values. The data need 3 values a sample.",
    ),
    (
        SERIES,
        ["dense: 1"],
        "layers must end in 1 value a sample, got shape (6, 1) from layers[0] dense: 1. End in flatten",
    ),
    (
        SERIES,
        ["output"],
        "layers[0] output needs one row of values a sample, got shape (6, 2) from the data. Put flatten",
    ),
    (
        IMAGES,
        ["dense: 3"],
        "layers[0] dense: 3 needs one row of values a sample, got shape (1, 8, 8) from the data. Put fl",
    ),
    (
        TABLE,
        ["conv: 3"],
        "layers[0] conv: 3 needs an image (channels, height, width), got shape (4,) from the data. Put it",
    ),
    (
        TABLE,
        ["global_avg_pool"],
        "layers[0] global_avg_pool needs an image (channels, height, width), got shape (4,) from",
    ),
    (TABLE, ["max_pool"], "layers[0] max_pool needs an image (channels, height, width), got shape (4,) from the data."),
    (
        TABLE,
        ["lstm: 3"],
        "layers[0] lstm: 3 needs a sequence (steps, features), got shape (4,) from the data. "
        "Put {reshape: [-1, 1]} before it: each value is a step.",
    ),
    (
        SERIES,
        ["lstm: 3", "gru: 4", "output"],
        "layers[1] gru: 4 needs a sequence (steps, features), got shape (3,) from layers[0] lstm: 3. "
        "Write {lstm: {units: 3, return_sequences: true}} for layers[0].",
    ),
    (
        IMAGES,
        ["lstm: 3"],
        "layers[0] lstm: 3 needs a sequence (steps, features), got shape (1, 8, 8) from the data. "
        "Put {reshape: [8, 8]} before it: each row is a step.",
    ),
    (
        DataSpec(BINARY, (3, 8, 8), 1),
        ["gru: 3"],
        "layers[0] gru: 3 needs a sequence (steps, features), got shape (3, 8, 8) "
        "from the data. Put flatten and {reshape: [<steps>, -1]} before it, or use model=lstm",
    ),
    (
        IMAGES,
        ["max_pool: 3", "max_pool: 3"],
        "layers[1] max_pool: 3 has a window larger than the image, got shape (1, 2, 2) from layers[0] max_pool: 3. ",
    ),
    (
        IMAGES,
        [{"conv": {"filters": 2, "kernel_size": 9, "padding": "valid"}}],
        "layers[0] conv: {filters: 2, kernel_size: 9, padding: valid} has a kernel larger than the image, got shape "
        "(1, 8, 8) from the data. Use a smaller one, or padding: same.",
    ),
    (
        TABLE,
        [{"reshape": [3, -1]}],
        "layers[0] reshape: [3, -1] needs a sample of another size, got the 4 values of shape (4,) from the data. ",
    ),
]


@pytest.mark.parametrize(("spec", "layers", "sentence"), UNFITTING)
def test_a_layer_that_does_not_fit_the_previous_one_is_reported_with_both(
    spec: DataSpec, layers: list[Any], sentence: str
) -> None:
    with pytest.raises(RequestError) as caught:
        made(layers, spec)
    assert str(caught.value).startswith(f"model.{sentence}")


def test_a_mistake_on_the_command_line_is_one_sentence(lifecycle: Command) -> None:
    ended = lifecycle("model=sequential", "data=iris", "model.layers=[dense: 12, rellu, output]")
    assert ended.code == 2
    assert ended.err.startswith("lifecycle: model.layers[1] must be a known layer, got rellu. Did you mean relu?")


def test_brackets_that_hydra_cannot_read_get_a_hint(lifecycle: Command) -> None:
    ended = lifecycle("model=sequential", "model.layers=[conv: {filters: 8}, flatten, output]")
    assert ended.code == 2
    assert "a pair whose value has brackets has its own: [{conv: {filters: 8}}]." in ended.err
    assert "has its own" not in lifecycle("model=sequential", "model.layers=[").err
