"""How numbers are kept while a network is fitted: bfloat16 where it gains, and images with their channels last."""

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
"""Of a processor; without one it computes in bfloat16 too, and slower than in float32."""


class OfImages(Protocol):
    """What changes of a compiled model."""

    network: nn.Module
    spec: DataSpec
    stepping: Any
    channels_last: bool


def is_bf16(config: TrainerConfig, network: nn.Module) -> bool:
    """Tell whether the steps of fitting compute in bfloat16, as ``torch.autocast`` does; all else stays float32.

    ``trainer.precision=auto`` does where a network convolves, which gains most by it, on a device made for it.
    """
    if config.precision != "auto":
        return config.precision == "bf16-mixed"
    return any(isinstance(layer, CONVOLUTIONS) for layer in network.modules()) and _has_bf16(config)


def _has_bf16(config: TrainerConfig) -> bool:
    if config.accelerator != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities()
    return any(known.get(name, False) for name in BF16_INSTRUCTIONS)


@contextmanager
def channels_last(module: OfImages, config: TrainerConfig) -> Iterator[None]:
    """Keep images, and the weights that convolve them, as (height, width, channels) meanwhile, where that is faster.

    That is on a processor, and in bfloat16. What is computed is the same but for rounding.
    """
    gains = module.stepping.bf16 or config.accelerator == "cpu" or not torch.accelerator.is_available()
    if config.devices > 1 or not gains or not _can_be_last(module.network, module.spec.input_shape):
        yield
        return
    module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.channels_last = True
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
    """Return ``(batch, channels, height, width)`` as they are to read, and (height, width, channels) in memory."""
    images = images.contiguous(memory_format=torch.channels_last)
    batch, channels, height, width = images.shape
    if channels > 1:
        return images
    # Of a single channel torch holds both orders to be the same, and chooses the slower kernels.
    return images.as_strided((batch, channels, height, width), (height * width, 1, width, 1))


def _gradients_last(_layer: nn.Module, gradients: Any) -> Any:
    """Bring the gradient of what a layer gave into the order of what it took.

    After a flattening it comes the other way, and torch would copy all that the layer took instead, thrice as large.
    """
    return tuple(one if one is None else one.contiguous(memory_format=torch.channels_last) for one in gradients)


def _can_be_last(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Tell whether a network convolves images, and nothing in it relies on their order in memory, as ``view`` does."""
    if len(shape) != 3 or not any(isinstance(layer, nn.Conv2d) for layer in network.modules()):
        return False
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(with_channels_last(torch.zeros(2, *shape)))
    except RuntimeError:
        return False
    finally:
        network.train(training)
    return True
