"""Fields of dataclasses that the command line reads, with the text of their help and the values to choose from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

HELP, CHOICES = "help", "choices"
"""Keys of a field's metadata."""


def option(default: Any, help: str, choices: Sequence[str] = ()) -> Any:
    """Return a dataclass field that is an option of a subcommand.

    Args:
        default: its value where it is not given; "" where it has to be given. A list is copied for each instance.
        help: what it is, in one line.
        choices: values that completion offers.

    >>> @dataclasses.dataclass
    ... class Export:
    ...     format: str = option("onnx", "onnx or safetensors", ("onnx", "safetensors"))
    >>> help_of(dataclasses.fields(Export)[0]), Export().format
    ('onnx or safetensors', 'onnx')
    """
    metadata = {HELP: help, CHOICES: tuple(choices)}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def help_of(field: dataclasses.Field[Any]) -> str:
    """Return the help of a field; "" where it has none."""
    return str(field.metadata.get(HELP, ""))


def choices_of(field: dataclasses.Field[Any]) -> tuple[str, ...]:
    """Return the values to choose from for a field, as they are typed; empty where any value may be given."""
    named = tuple(field.metadata.get(CHOICES, ()))
    return ("true", "false") if isinstance(field.default, bool) and not named else named
