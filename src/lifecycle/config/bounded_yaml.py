"""YAML of bounded size: aliases that multiply, deep nesting, tags and long texts are refused before they are built."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import yaml

from lifecycle.errors import RequestError

MOST_CHARACTERS = 100_000
MOST_NODES = 10_000
"""Values of a file, each alias counted as often as it stands for a value."""
MOST_LEVELS = 50
TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")} | {"!"}

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STARTS = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_ENDS = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


def check(text: str, where: str) -> None:
    """Refuse a text that would cost too much to build, or that names types.

    Args:
        text: YAML.
        where: file or key, for the message.

    Raises:
        RequestError: names the line and the cure. Invalid YAML is left to the parser that runs next.
    """
    if len(text) > MOST_CHARACTERS:
        raise RequestError(f"{where} has more than {MOST_CHARACTERS:,} characters of YAML. Put data into a data file.")
    with suppress(yaml.YAMLError):
        _Walk(where).run(text)


def load(text: str, where: str) -> Any:
    """Return the value of a text that passes :func:`check`."""
    check(text, where)
    return yaml.safe_load(text)


class _Walk:
    """Goes through the events of a text and counts."""

    def __init__(self, where: str) -> None:
        self.where, self.nodes = where, 0
        self.open: list[tuple[str | None, int, int]] = []  # anchor, nodes before, height of what is within
        self.anchors: dict[str, tuple[int, int]] = {}  # nodes and height of a finished node

    def run(self, text: str) -> None:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, _ENDS):
                self._close()
            elif isinstance(event, (yaml.ScalarEvent, *_STARTS)):
                self._tag(event)
                self.nodes += 1
                self.open.append((event.anchor, self.nodes - 1, 1))
                if isinstance(event, yaml.ScalarEvent):
                    self._close()
            if self.nodes > MOST_NODES:
                raise self._refused(event, f"more than {MOST_NODES:,} values, aliases counted each time")
            if len(self.open) > MOST_LEVELS:
                raise self._refused(event, f"more than {MOST_LEVELS} levels of nesting")

    def _alias(self, event: Any) -> None:
        if event.anchor in {anchor for anchor, _, _ in self.open}:
            raise self._refused(event, f"an alias *{event.anchor} within itself")
        nodes, height = self.anchors.get(event.anchor, (1, 1))
        self.nodes += nodes
        if len(self.open) + height > MOST_LEVELS:
            raise self._refused(event, f"more than {MOST_LEVELS} levels of nesting")
        self._grow(height)

    def _close(self) -> None:
        anchor, before, height = self.open.pop()
        if anchor is not None:
            self.anchors[anchor] = (self.nodes - before, height)
        self._grow(height)

    def _grow(self, height: int) -> None:
        if self.open:
            anchor, before, so_far = self.open[-1]
            self.open[-1] = (anchor, before, max(so_far, height + 1))

    def _tag(self, event: Any) -> None:
        if event.tag is not None and event.tag not in TAGS:
            name = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._refused(event, f"the tag {name[:80]}, which names a type")

    def _refused(self, event: Any, what: str) -> RequestError:
        return RequestError(f"{self.where} has {what}, in line {event.start_mark.line + 1}. Write plain, short YAML.")
