"""YAML of bounded size: refuses multiplying aliases, deep nesting, tags and long texts before parsing them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import yaml

from lifecycle.errors import RequestError

# A configuration has some hundred lines. These limits leave room for much longer ones and still parse in an instant.
MOST_CHARACTERS = 100_000
MOST_NODES = 10_000
"""Values of a file, where each alias counts as many values as its anchor has."""
MOST_LEVELS = 50
TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")} | {"!"}

# The C parser, where PyYAML was built with it, is much faster.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STARTS = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_ENDS = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


def check(text: str, where: str) -> None:
    """Refuse a text that is too large to parse, or that names types.

    Args:
        text: YAML. The parser that runs next reports invalid YAML.
        where: file or key, for the message.

    Raises:
        RequestError: the text exceeds a limit.
    """
    if len(text) > MOST_CHARACTERS:
        raise RequestError(
            where, f"has more than {MOST_CHARACTERS:,} characters of YAML", remedy="Put data into a data file."
        )
    with suppress(yaml.YAMLError):
        _Counter(where).run(text)


def load(text: str, where: str) -> Any:
    """Parse a text that passes :func:`check`."""
    check(text, where)
    return yaml.safe_load(text)


class _Counter:
    """Counts values and levels over the events of a parser.

    PyYAML builds what an alias stands for once and shares it, but OmegaConf copies it at each place: nine lines of
    aliases of aliases would become 10^9 values. So the values are counted as OmegaConf will have them.
    """

    def __init__(self, where: str) -> None:
        self.where, self.nodes = where, 0
        self.open: list[tuple[str | None, int, int]] = []  # of each open node: anchor, values before it, levels in it
        self.anchors: dict[str, tuple[int, int]] = {}  # anchor -> values and levels of its node

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
        return RequestError(
            self.where, f"has {what}, in line {event.start_mark.line + 1}", remedy="Write plain, short YAML."
        )
