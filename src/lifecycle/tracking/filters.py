"""Texts of MLflow's filter language, by which its clients search runs and models."""

from __future__ import annotations


def quoted(text: str) -> str:
    """Quote a text for MLflow's filters, which have no escape: a text with both kinds of quotes matches nothing."""
    return f'"{text.replace(chr(34), "")}"' if "'" in text else f"'{text}'"


def of_tag(name: str, value: str) -> str:
    """Return the filter for runs whose tag has a value.

    >>> of_tag("lifecycle.sweep", "grid")
    "tags.`lifecycle.sweep` = 'grid'"
    """
    return f"tags.`{name}` = {quoted(value)}"
