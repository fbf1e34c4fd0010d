"""Gradients and outputs of many networks of one shape at once.

:class:`TracedNetworks` takes any network that ``torch.func.vmap`` takes: its gradient is traced once for each
shape of a batch. :class:`PlainNetworks` takes stacks of linear layers and activations, and calls batched matrix
products.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from lifecycle.compile.losses import Loss
from lifecycle.fit.vectorised.copies import Copies, Tensors
from lifecycle.fit.vectorised.dropout import Call, Masked, Masks
from lifecycle.fit.vectorised.loss_gradients import gradient_of, loss_of
from lifecycle.fit.vectorised.tracing import Traced

aten = torch.ops.aten


@dataclass
class StepBatch:
    """A mini-batch of each copy.

    Attributes:
        inputs: ``(copies, batch, *input_shape)``.
        targets: ``(copies, batch)`` or ``(copies, batch, 1)``.
        options: further inputs of the loss: ``class_weights`` ``(copies, classes)`` and ``row_weights``
            ``(copies, batch)``, where there are any.
        masks: of dropout.
    """

    inputs: Tensor
    targets: Tensor
    options: dict[str, Tensor]
    masks: list[Tensor]


class Networks(Protocol):
    """Computes gradients and outputs of all copies."""

    def calls(self, inputs: Tensor) -> list[Call]:
        """Return the calls of dropout layers for ``(batch, *input_shape)`` inputs of one network."""
        ...

    def gradients(self, copies: Copies, batch: StepBatch) -> tuple[Tensor, Tensor]:
        """Return the gradients of the mean losses, ``(copies, weights)``, and the outputs, ``(copies, batch, num)``."""
        ...

    def outputs(self, copies: Copies, inputs: Tensor) -> Tensor:
        """Return the outputs in evaluation mode, ``(copies, rows, num_outputs)``, for stacked inputs."""
        ...


def networks_for(network: nn.Module, loss: Loss, masks: Masks, sample_dims: int) -> Networks:
    """Return the fastest of the two that takes a network.

    Args:
        network: of one copy.
        loss: of the copies.
        masks: of dropout.
        sample_dims: dimensions of a sample; a matrix product takes flat samples only.
    """
    layers = plain_layers(network)
    kinds = [] if layers is None else [type(layer.module) for layer in layers]
    is_flat = sample_dims == 1 or nn.Flatten in kinds[: kinds.index(nn.Linear) if layers else 0]
    if layers is None or not is_flat:
        return TracedNetworks(network, loss, masks)
    return PlainNetworks(layers, loss, masks)


class TracedNetworks:
    """Any network without branches on data; an implementation of :class:`Networks`."""

    def __init__(self, network: nn.Module, loss: Loss, masks: Masks) -> None:
        training = masks.replaced(copy.deepcopy(network)).train()
        evaluating = copy.deepcopy(network).eval()
        self._training, self._masks, of_outputs = training, masks, loss_of(loss)

        def loss_and_outputs(
            weights: dict[str, Tensor],
            others: dict[str, Tensor],
            inputs: Tensor,
            targets: Tensor,
            options: dict[str, Tensor],
            given: list[Tensor],
        ) -> tuple[Tensor, Tensor]:
            masks.give(given)
            outputs = functional_call(training, {**weights, **others}, (inputs,))
            return of_outputs(outputs, targets, options), outputs.detach()

        # An operation that draws random numbers raises: it would not draw those of a single fit.
        step = vmap(grad_and_value(loss_and_outputs, has_aux=True), randomness="error")
        forward = vmap(lambda weights, others, inputs: functional_call(evaluating, {**weights, **others}, (inputs,)))
        self._step = Traced(lambda others, weights, *more: step(weights, others, *more))
        self._forward = Traced(lambda others, weights, inputs: forward(weights, others, inputs))

    def calls(self, inputs: Tensor) -> list[Call]:
        """Return the calls of dropout layers."""
        # A forward pass in training mode changes running statistics: those of a twin.
        return self._masks.calls(copy.deepcopy(self._training), inputs) if self._masks.rates else []

    def gradients(self, copies: Copies, batch: StepBatch) -> tuple[Tensor, Tensor]:
        """Return gradients and outputs."""
        shape = tuple(batch.inputs.shape)
        found, (_, outputs) = self._step(
            shape, copies.others, copies.weights, batch.inputs, batch.targets, batch.options, batch.masks
        )
        count = len(copies.flat)
        return torch.cat([found[name].reshape(count, -1) for name in copies.weights], 1), outputs

    def outputs(self, copies: Copies, inputs: Tensor) -> Tensor:
        """Return the outputs in evaluation mode."""
        found: Tensor = self._forward(tuple(inputs.shape), copies.others, copies.weights, inputs)
        return found


Backward = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Gradient of an activation's inputs from that of its outputs, its inputs and its outputs; autograd's own kernels."""

ACTIVATIONS: dict[type[nn.Module], Backward] = {
    nn.ReLU: lambda gradient, _, outputs: aten.threshold_backward(gradient, outputs, 0),
    nn.Tanh: lambda gradient, _, outputs: aten.tanh_backward(gradient, outputs),
    nn.Sigmoid: lambda gradient, _, outputs: aten.sigmoid_backward(gradient, outputs),
    nn.SiLU: lambda gradient, inputs, _: aten.silu_backward(gradient, inputs),
    nn.Identity: lambda gradient, *_: gradient,
}


@dataclass
class Layer:
    """A layer of a plain stack, with the name of its parameters."""

    name: str
    module: nn.Module


def plain_layers(network: nn.Module) -> list[Layer] | None:
    """Return the layers of a stack of linear layers, activations and dropout; ``None``: the network is another."""
    found: list[Layer] = []

    def add(name: str, module: nn.Module) -> bool:
        if type(module) is nn.Sequential:
            # Not named_children(), which lists a layer that is used twice once.
            return all(add(f"{name}.{key}" if name else key, child) for key, child in module._modules.items() if child)
        found.append(Layer(name, module))
        known = type(module) in (nn.Linear, nn.Flatten, nn.Dropout) or type(module) in ACTIVATIONS
        flattens_samples = not isinstance(module, nn.Flatten) or (module.start_dim, module.end_dim) == (1, -1)
        # A hook may do anything, and inputs that are changed in place are needed again.
        simple = not (module._forward_hooks or module._forward_pre_hooks or getattr(module, "inplace", False))
        return known and flattens_samples and simple

    if not add("", network):
        return None
    linear = [layer.module for layer in found if isinstance(layer.module, nn.Linear)]
    needed = sum(1 + (module.bias is not None) for module in linear)
    # Fewer: layers share weights. A layer of dropout that is used twice has a mask for each call, and one name.
    is_plain = len(list(network.parameters())) == needed > 0
    dropouts = [id(layer.module) for layer in found if isinstance(layer.module, nn.Dropout)]
    is_plain = is_plain and len(set(dropouts)) == len(dropouts)
    return found if is_plain and all(value.requires_grad for value in network.parameters()) else None


class PlainNetworks:
    """Stacks of linear layers, activations and dropout; an implementation of :class:`Networks`."""

    def __init__(self, layers: Sequence[Layer], loss: Loss, masks: Masks) -> None:
        self._layers, self._masks = layers, masks
        self._gradient = gradient_of(loss)
        self._buffers: dict[int, tuple[Tensor, Tensors]] = {}  # number of copies -> gradients, and views of them

    def calls(self, inputs: Tensor) -> list[Call]:
        """Return the calls of dropout layers."""
        twins = nn.Sequential(*(self._twin(layer) for layer in self._layers))
        return self._masks.calls(twins, inputs) if self._masks.rates else []

    def _twin(self, layer: Layer) -> nn.Module:
        return Masked(self._masks, layer.name) if isinstance(layer.module, nn.Dropout) else layer.module

    def gradients(self, copies: Copies, batch: StepBatch) -> tuple[Tensor, Tensor]:
        """Return gradients and outputs; the gradients are overwritten by the next call."""
        seen, outputs = self._forward(copies, batch.inputs, list(batch.masks))
        above = self._gradient(outputs, batch.targets, batch.options)
        if len(copies.flat) not in self._buffers:
            flat = torch.empty_like(copies.flat)
            self._buffers[len(flat)] = flat, copies.split(flat)
        flat, parts = self._buffers[len(copies.flat)]
        first = next(layer.name for layer in self._layers if isinstance(layer.module, nn.Linear))
        for layer, (inputs, result) in zip(reversed(self._layers), reversed(seen), strict=True):
            if isinstance(layer.module, nn.Linear):
                parts[f"{layer.name}.weight"].copy_(torch.bmm(above.transpose(1, 2), inputs))
                if layer.module.bias is not None:
                    torch.sum(above, 1, out=parts[f"{layer.name}.bias"])
                if layer.name == first:
                    break
                above = torch.bmm(above, copies.weights[f"{layer.name}.weight"])
            elif isinstance(layer.module, nn.Dropout):
                above = above * result  # the mask
            elif isinstance(layer.module, nn.Flatten):
                above = above.reshape(inputs.shape)
            else:
                above = ACTIVATIONS[type(layer.module)](above, inputs, result)
        return flat, outputs

    def outputs(self, copies: Copies, inputs: Tensor) -> Tensor:
        """Return the outputs in evaluation mode."""
        return self._forward(copies, inputs, None)[1]

    def _forward(
        self, copies: Copies, inputs: Tensor, masks: list[Tensor] | None
    ) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Return inputs and outputs of each layer (of dropout: inputs and mask), and the outputs of the last."""
        seen, values = [], inputs
        for layer in self._layers:
            before, module = values, layer.module
            if isinstance(module, nn.Linear):
                weight = copies.weights[f"{layer.name}.weight"].transpose(1, 2)
                if module.bias is None:
                    values = torch.bmm(values, weight)
                else:
                    values = torch.baddbmm(copies.weights[f"{layer.name}.bias"].unsqueeze(1), values, weight)
            elif isinstance(module, nn.Dropout):
                if masks is None:
                    continue
                mask = masks.pop(0)
                values = values * mask
                seen.append((before, mask))
                continue
            elif isinstance(module, nn.Flatten):
                values = values.flatten(2)
            else:
                values = module(values)
            seen.append((before, values))
        return seen, values
