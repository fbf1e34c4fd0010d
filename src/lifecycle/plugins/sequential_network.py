"""Builds the network of :class:`lifecycle.plugins.sequential.Sequential`, and infers the shape at each layer."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from lifecycle.contract import DataSpec
from lifecycle.errors import FieldError, Setting, Text
from lifecycle.plugins import layers
from lifecycle.plugins.activations import activation
from lifecycle.plugins.initializers import initialize, initialize_recurrent, of_output
from lifecycle.plugins.layer_list import Placed
from lifecycle.plugins.layers import RECURRENT
from lifecycle.plugins.recurrent import AllSteps, LastStep, make_lstm

Shape = tuple[int, ...]
WITH_WEIGHTS = ("dense", "output", "conv", *RECURRENT)


@dataclass(frozen=True)
class LayerInput:
    """The input of a layer.

    Attributes:
        shape: of one sample, without the batch axis.
        layer: the previous one; ``None`` for the first.
        initializer: of the layer's weights, unless the layer names one.
        num_outputs: of the network.
    """

    shape: Shape
    layer: Placed | None
    initializer: str
    num_outputs: int

    def __str__(self) -> str:
        return f"shape {self.shape} from {self.layer or 'the data'}"

    def initializer_of(self, own: str | None) -> str:
        """Return the initializer of a layer, which may name one itself."""
        return own or self.initializer


def build(placed: list[Placed], initializer: str, spec: DataSpec) -> nn.Module:
    """Return ``(batch, *input_shape) -> (batch, num_outputs)``; its modules have the names ``<index>_<word>``.

    Raises:
        ValueError: a layer cannot process the output of the previous one, or the last has another shape.
    """
    last = max((item.index for item in placed if item.word in WITH_WEIGHTS), default=-1)
    before = LayerInput(spec.input_shape, None, initializer, spec.num_outputs)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for item in placed:
        if item.index == last:
            before = replace(before, initializer=of_output(initializer))
        try:
            module, shape = _add(item, before)
        except FieldError as error:
            problem: Text = [f"{item.text} ", error.problem]
            raise FieldError(f"layers[{item.index}]", problem, error.got, error.remedy) from error
        except ValueError as error:
            raise ValueError(f"{item} {error}") from error
        modules[f"{item.index}_{item.word}"] = module
        before = replace(before, shape=shape, layer=item)
    _check_outputs(before, spec)
    return nn.Sequential(modules)


def _add(item: Placed, before: LayerInput) -> tuple[nn.Module, Shape]:
    """Return a layer's module, and the shape of its output."""
    if type(item.layer) in BUILDERS:
        return BUILDERS[type(item.layer)](item.layer, before)
    shape = before.shape
    is_image = len(shape) == 3
    if item.word == "global_avg_pool":
        _need_image(before)
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), shape[:1]
    if item.word == "flatten":
        return nn.Flatten(), (math.prod(shape),)
    if item.word == "batch_norm":
        kinds = {1: nn.BatchNorm1d, 2: StepsBatchNorm, 3: nn.BatchNorm2d}
        module: nn.Module = kinds[len(shape)](shape[0] if is_image else shape[-1])
    elif item.word == "layer_norm":  # of an image: over channels and pixels, with a scale for each channel
        module = nn.GroupNorm(1, shape[0]) if is_image else nn.LayerNorm(shape[-1])
    elif item.word == "softmax":
        module = nn.Softmax(dim=1 if is_image else -1)
    else:
        module = activation(item.word)
    return module, shape


def _dropout(layer: layers.Dropout, before: LayerInput) -> tuple[nn.Module, Shape]:
    return nn.Dropout(layer.rate), before.shape


def _dense(layer: layers.Dense | layers.Output, before: LayerInput) -> tuple[nn.Module, Shape]:
    *steps, width = before.shape
    flat = isinstance(layer, layers.Output)
    if len(steps) == 2 or (steps and flat):
        raise ValueError(f"needs one row of values a sample, got {before}. Put flatten before it.")
    units = before.num_outputs if isinstance(layer, layers.Output) else layer.units
    return initialize(nn.Linear(width, units), before.initializer_of(layer.initializer)), (*steps, units)


def _conv(layer: layers.Conv, before: LayerInput) -> tuple[nn.Module, Shape]:
    _need_image(before)
    depth, *size = before.shape
    kernel, stride = layer.kernel_size, layer.stride
    padding = [0, 0, 0, 0]  # left, right, top, bottom; an odd number is larger at the right and below, as in Keras
    if layer.padding == "same":
        for axis, pixels in enumerate(size):
            missing = max((math.ceil(pixels / stride) - 1) * stride + kernel - pixels, 0)
            start = 2 * (1 - axis)  # ZeroPad2d lists the last axis first
            padding[start : start + 2] = [missing // 2, missing - missing // 2]
    height = _places(size[0] + sum(padding[2:]), kernel, stride)
    width = _places(size[1] + sum(padding[:2]), kernel, stride)
    if min(height, width) < 1:
        raise ValueError(f"has a kernel larger than the image, got {before}. Use a smaller one, or padding: same.")
    left, right, top, bottom = padding
    even = left == right and top == bottom  # Conv2d itself pads both sides alike only
    convolution = nn.Conv2d(depth, layer.filters, kernel, stride, padding=(top, left) if even else 0)
    initialize(convolution, before.initializer_of(layer.initializer))
    padded = convolution if even else nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), convolution)
    return padded, (layer.filters, height, width)


def _pool(layer: layers.MaxPool | layers.AvgPool, before: LayerInput) -> tuple[nn.Module, Shape]:
    _need_image(before)
    depth, height, width = before.shape
    if min(height, width) < layer.size:
        raise ValueError(f"has a window larger than the image, got {before}. Use a smaller one, or leave it out.")
    stride = layer.stride or layer.size
    kind = nn.AvgPool2d if isinstance(layer, layers.AvgPool) else nn.MaxPool2d
    return kind(layer.size, stride), (depth, _places(height, layer.size, stride), _places(width, layer.size, stride))


def _recurrent(layer: layers.GRU, before: LayerInput) -> tuple[nn.Module, Shape]:
    if len(before.shape) != 2:
        raise FieldError("", "needs a sequence (steps, features)", before, _to_sequence(before))
    steps, features = before.shape
    width = layer.units * (2 if layer.bidirectional else 1)
    recurrent = (
        make_lstm(features, layer.units, layer.activation, layer.bidirectional)
        if isinstance(layer, layers.LSTM)
        else nn.GRU(features, layer.units, batch_first=True, bidirectional=layer.bidirectional)
    )
    initialize_recurrent(recurrent, before.initializer_of(layer.initializer))
    shape = (steps, width) if layer.return_sequences else (width,)
    return nn.Sequential(recurrent, AllSteps() if layer.return_sequences else LastStep()), shape


def _to_sequence(before: LayerInput) -> Text:
    """Return the sentence on how to give a recurrent layer a sequence."""
    layer = before.layer
    if layer and layer.word in RECURRENT:
        return (
            f"Write {{{layer.word}: {{units: {layer.layer.units}, return_sequences: true}}}} for layers[{layer.index}]."
        )
    if len(before.shape) == 1:
        return "Put {reshape: [-1, 1]} before it: each value is a step."
    if before.shape[0] == 1:
        return f"Put {{reshape: [{before.shape[1]}, {before.shape[2]}]}} before it: each row is a step."
    reshape = "Put flatten and {reshape: [<steps>, -1]} before it, or use "
    return [reshape, Setting("model", "lstm"), ", which reads an image row by row."]


def _reshape(layer: layers.Reshape, before: LayerInput) -> tuple[nn.Module, Shape]:
    values, known = math.prod(before.shape), math.prod(size for size in layer.shape if size > 0)
    shape = tuple(values // known if size < 0 else size for size in layer.shape)
    if math.prod(shape) != values:
        raise ValueError(
            f"needs a sample of another size, got the {values} values of {before}. Use sizes whose product is {values}."
        )
    unflatten = nn.Unflatten(1, shape)
    return unflatten if len(before.shape) == 1 else nn.Sequential(nn.Flatten(), unflatten), shape


def _need_image(before: LayerInput) -> None:
    if len(before.shape) != 3:
        raise ValueError(f"needs an image (channels, height, width), got {before}. Put it on images, or leave it out.")


def _check_outputs(last: LayerInput, spec: DataSpec) -> None:
    """Check that the last layer has the outputs that the data need."""
    if last.shape == (spec.num_outputs,):
        return
    need = f"{spec.num_outputs} value{'s' if spec.num_outputs > 1 else ''} a sample"
    if len(last.shape) > 1:
        raise ValueError(
            f"layers must end in {need}, got {last}. End in flatten and output, or leave return_sequences out."
        )
    text = last.layer.text if last.layer else ""
    width = "" if text == f"dense: {last.shape[0]}" else f" after {last.shape[0]} value{'s' * (last.shape[0] > 1)}"
    raise ValueError(
        f"layers must end in dense: {spec.num_outputs} or output, got {text}{width}. The data need {need}."
    )


def _places(pixels: int, kernel: int, stride: int) -> int:
    return (pixels - kernel) // stride + 1


class StepsBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of the features of a sequence, over samples and steps."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, steps, features)`` to the same shape."""
        return super().forward(inputs.transpose(1, 2)).transpose(1, 2)


BUILDERS: dict[type, Callable[[Any, LayerInput], tuple[nn.Module, Shape]]] = {
    layers.Dense: _dense,
    layers.Output: _dense,
    layers.Dropout: _dropout,
    layers.Reshape: _reshape,
    layers.Conv: _conv,
    layers.MaxPool: _pool,
    layers.AvgPool: _pool,
    layers.LSTM: _recurrent,
    layers.GRU: _recurrent,
}
"""Dataclass of a layer -> function that returns its module, and the shape of its output."""
