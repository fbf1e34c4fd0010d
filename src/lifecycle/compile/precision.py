"""Number and memory formats while a network is fitted: bfloat16, and images with channels last, where faster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lifecycle.config.schema import TrainerConfig
from lifecycle.contract import DataSpec

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")
"""CPU features for bfloat16; a CPU without them emulates it, slower than float32."""


class ImageModel(Protocol):
    """The part of a compiled model that :func:`channels_last` uses."""

    network: nn.Module
    spec: DataSpec
    step_options: Any
    channels_last: bool


def is_bf16(config: TrainerConfig, network: nn.Module) -> bool:
    """Return whether training steps compute in bfloat16 with ``torch.autocast``; weights and scores stay float32.

    ``trainer.precision=auto`` does for networks with convolutions, which gain the most, if the device supports it.
    """
    if config.precision != "auto":
        return config.precision == "bf16-mixed"
    return any(isinstance(layer, CONVOLUTIONS) for layer in network.modules()) and _has_bf16(config)


def _has_bf16(config: TrainerConfig) -> bool:
    if config.accelerator != "cpu" and torch.cuda.is_available():
        # By default torch says yes for a GPU that emulates bfloat16, too.
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch itself says only that a CPU can compute in bfloat16, which all can by emulation.
    known = torch.cpu.get_capabilities()
    return any(known.get(name, False) for name in BF16_INSTRUCTIONS)


@contextmanager
def channels_last(module: ImageModel, config: TrainerConfig) -> Iterator[None]:
    """Store images and convolution weights as (height, width, channels) within the block, where that is faster.

    It is on a CPU, and in bfloat16. Results differ only by rounding.
    """
    gains = module.step_options.bf16 or config.accelerator == "cpu" or not torch.accelerator.is_available()
    if config.devices > 1 or not gains or not _can_be_last(module.network, module.spec.input_shape):
        yield
        return
    module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.channels_last = True
    # The backward pass of a convolution accepts either order; that of a pooling copies.
    pools = [layer for layer in module.network.modules() if isinstance(layer, nn.MaxPool2d)]
    hooks = [layer.register_full_backward_pre_hook(_gradients_last) for layer in pools]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        module.channels_last = False
        module.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def with_channels_last(images: Tensor) -> Tensor:
    """Return images with the shape ``(batch, channels, height, width)``, and channels last in memory."""
    images = images.contiguous(memory_format=torch.channels_last)
    batch, channels, height, width = images.shape
    if channels > 1:
        return images
    # With a single channel both orders have the same strides for torch, which then chooses the slower kernels.
    return images.as_strided((batch, channels, height, width), (height * width, 1, width, 1))


def _gradients_last(_layer: nn.Module, gradients: Any) -> Any:
    """Bring the gradient of a layer's output into channels-last order.

    The gradient of a flattening is channels first, for which torch would copy the layer's input, three times as large.
    """
    return tuple(one if one is None else one.contiguous(memory_format=torch.channels_last) for one in gradients)


def _can_be_last(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Return whether a network convolves images, and no layer requires channels first in memory, as ``view`` does."""
    if len(shape) != 3 or not any(isinstance(layer, nn.Conv2d) for layer in network.modules()):
        return False
    training = network.training
    # Batch normalisation would otherwise update its running statistics.
    network.eval()
    try:
        with torch.no_grad():
            network(with_channels_last(torch.zeros(2, *shape)))
    except RuntimeError:
        return False
    finally:
        network.train(training)
    return True
