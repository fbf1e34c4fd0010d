"""Makes docstrings of this package Markdown for mkdocstrings: roles of Sphinx become code, examples a section."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`~?(?:lifecycle\.)?([^`]+)`")


def as_markdown(text: str) -> str:
    r"""Return a docstring whose roles are code and whose examples are a section of Google's style.

    >>> as_markdown("Call :meth:`fit`.\n\n>>> 1 + 1\n2").splitlines()
    ['Call `fit`.', '', 'Examples:', '    >>> 1 + 1', '    2']
    """
    lines = ROLE.sub(r"`\1`", text.replace("``", "`")).split("\n")
    found: list[str] = []
    is_example = False
    for line in lines:
        if line.startswith(">>> ") and not is_example:
            found.append("Examples:")
            is_example = True
        elif is_example and found[-1] == "" and line and not line.startswith(">>> "):
            is_example = False  # prose after an example
        found.append(f"    {line}" if is_example and line else line)
    return "\n".join(found).replace("<BLANKLINE>", "")


class Docstrings(griffe.Extension):
    """Rewrites each docstring when griffe has read it."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
