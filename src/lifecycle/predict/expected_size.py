"""Checks that a network is as large as its weights say, before memory is allocated for it.

The manifest of a saved model may come from anyone: a width of 10^9 in it would fill the memory of this machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules import module as registration

from lifecycle.errors import SavedModelError

if TYPE_CHECKING:
    from lifecycle.contract import DataSpec, ModelPlugin

MOST_SHARED = 10_000
"""Parameters that a network may register in addition to four for each one of its file: shared ones are stored once."""

MOST_BUFFERS = 1 << 26
"""Numbers of buffers that a network may have and not save."""

MOST_NUMBERS = 1 << 28
"""Numbers of one sample: a gigabyte of float32."""


def check_sample(spec: DataSpec, source: Path) -> None:
    """Refuse samples that cannot be meant, since the inputs of a prediction are allocated by their shape.

    Raises:
        SavedModelError: a sample has more than :data:`MOST_NUMBERS` numbers, or an axis has none.
    """
    numbers = 1
    for size in spec.input_shape:
        if type(size) is not int or size < 1:
            raise SavedModelError(
                f"{source} has samples of the shape {spec.input_shape}, which is none. Do not use it."
            )
        numbers *= size
    if numbers > MOST_NUMBERS:
        raise SavedModelError(
            f"{source} has samples of {numbers:,} numbers, more than {MOST_NUMBERS:,}. Do not use it."
        )


def check(plugin: ModelPlugin, spec: DataSpec, weights: Path) -> None:
    """Refuse a network that has other tensors than the file of its weights.

    It is built on torch's device ``meta``, where a tensor has a shape and no memory. A plugin whose ``build`` needs
    values of tensors cannot be built there, and is not checked.

    Args:
        plugin: with the fields of the manifest.
        spec: of the manifest.
        weights: ``weights.safetensors``.

    Raises:
        SavedModelError: the network is larger than its weights, or differs from them.
    """
    stored = _shapes(weights)
    try:
        with torch.device("meta"), _bounded(4 * len(stored) + MOST_SHARED, weights):
            network = plugin.build(spec)
        found = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    except SavedModelError:
        raise
    except (NotImplementedError, RuntimeError) as error:
        if "meta" in str(error).lower():
            return
        raise SavedModelError(f"{weights} belongs to a network that cannot be built: {_first(error)}.") from error
    for name, shape in found.items():
        if stored.get(name, shape) != shape:
            raise SavedModelError(
                f"{weights} has {name} of the shape {stored[name]}, and the network of lifecycle.json {shape}. "
                "Take the model from its run again."
            )
    # Layers may share weights, which are stored once; iterating over parameters counts them once too.
    asked = sum(tensor.numel() for tensor in (*network.parameters(), *network.buffers()))
    if asked > 2 * sum(map(math.prod, stored.values())) + MOST_BUFFERS:
        raise SavedModelError(
            f"{weights} belongs to a smaller network than lifecycle.json describes, which has {asked:,} numbers. "
            "Do not use it."
        )


@contextmanager
def _bounded(most: int, weights: Path) -> Iterator[None]:
    """Refuse a network of more parameters: on the device ``meta`` too, each one takes time."""
    number = 0

    def count(*_: Any) -> None:
        nonlocal number
        number += 1
        if number > most:
            raise SavedModelError(
                f"{weights} belongs to a network of fewer layers than lifecycle.json describes. Do not use it."
            )

    hook = registration.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of each tensor of a file, from its header."""
    from safetensors import safe_open

    with safe_open(str(weights), framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
