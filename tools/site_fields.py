"""Tables of the fields of configuration dataclasses: option, type, default and meaning, all read from the source.

The meaning of a field is the help in its metadata, or the comment after it in the source of its class.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import re
import textwrap
import tokenize
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import MISSING

from lifecycle import registry
from lifecycle.config.fields import choices_of, help_of
from lifecycle.config.schema import CvConfig, RunConfig, SweepConfig, TrackingConfig, TrainerConfig
from lifecycle.errors import as_typed
from lifecycle.optimizers import OPTIMIZERS
from lifecycle.schedules import SCHEDULES

CONFIG = Path(__file__).parents[1] / "conf" / "config.yaml"
GROUPS = {"trainer": TrainerConfig, "tracking": TrackingConfig, "cv": CvConfig, "sweep": SweepConfig}
"""Groups of options -> their dataclass; the other options of a run are fields of ``RunConfig``."""


class UndocumentedError(Exception):
    """A field has no meaning in the source."""


def table(cls: type, prefix: str, defaults: dict[str, str] | None = None) -> str:
    """Return a table of the fields of a dataclass, in Markdown.

    Args:
        cls: a dataclass, whose fields may be inherited.
        prefix: of each option, such as ``"trainer."``.
        defaults: field -> default, of those that the dataclass does not have.

    Raises:
        UndocumentedError: a field has neither a help text nor a comment.
    """
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(cls):
        default = (defaults or {}).get(field.name) or default_of(field)
        shown = (f"{prefix}{field.name}", type_of(field), default)
        lines.append(f"| {' | '.join(f'`{text}`' if text else '' for text in shown)} | {meaning_of(cls, field)} |")
    return "\n".join(lines)


def type_of(field: dataclasses.Field[Any]) -> str:
    """Return the type of a field as it is written in the source; empty for a group of options."""
    written = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    return "" if written.endswith("Config") else re.sub(r"\bNone\b", "null", written)


def default_of(field: dataclasses.Field[Any]) -> str:
    """Return the default of a field as it is typed; ``required`` where there is none, empty for a group."""
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if value is dataclasses.MISSING or (isinstance(value, str) and value == MISSING):
        return "required"
    if dataclasses.is_dataclass(value):
        return ""
    return as_typed(value) or '""'


def meaning_of(cls: type, field: dataclasses.Field[Any]) -> str:
    """Return what a field means, with the values to choose from.

    Raises:
        UndocumentedError: the source does not say it.
    """
    written = help_of(field) or next((found for base in cls.__mro__ if (found := comments(base).get(field.name))), None)
    if not written:
        raise UndocumentedError(f"{cls.__module__}.{cls.__qualname__}.{field.name} has neither help nor a comment.")
    choices = [] if field.type in ("bool", bool) else [one for one in choices_of(field) if one not in written]
    return escaped(f"{written} ({', '.join(choices)})" if choices else written)


def escaped(text: str) -> str:
    """Return plain text for a cell of Markdown: ``<name>``, stars and bars stay as they are."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"[<>*_|\[\]]", _entity, part) for part in parts)


def _entity(sign: re.Match[str]) -> str:
    return f"&#{ord(sign[0])};"


@cache
def comments(cls: type) -> dict[str, str]:
    """Return field -> comment, of the fields that a class itself declares."""
    if "__annotations__" not in vars(cls):
        return {}
    source = textwrap.dedent(inspect.getsource(cls))
    remarks: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            remarks[token.start[0]] = re.split(r"\s*# noqa|\s*# type:", token.string)[0].removeprefix("#").strip()
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.end_lineno or node.lineno
            lines = [remarks[line] for line in range(node.lineno, last + 1) if remarks.get(line)]
            found[node.target.id] = " ".join(lines or _above(remarks, source.splitlines(), node.lineno))
    return found


def _above(remarks: dict[int, str], lines: list[str], line: int) -> list[str]:
    """Return the comments in the lines directly above a line, which hold nothing else."""
    above: list[str] = []
    while (line := line - 1) in remarks and lines[line - 1].lstrip().startswith("#"):
        above.insert(0, remarks[line])
    return above


def summary_of(cls: type) -> str:
    """Return the first sentence of the docstring of a class, without the example of a command."""
    first = inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return escaped(re.sub(r"\s+CLI: .*$", "", first))


def plugins(kind: str, prefix: str, level: str = "##") -> str:
    """Return a section for each plugin of a kind that this package has: its sentence and its fields."""
    return _sections({name: registry.load(kind, name) for name in own(kind)}, prefix, kind, level)


def choices(group: str, level: str = "###") -> str:
    """Return a section for each optimizer or schedule."""
    classes = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}[group]
    return _sections(dict(classes), f"{group}.", group, level)


def _sections(classes: dict[str, type], prefix: str, kind: str, level: str) -> str:
    sections = []
    for name, cls in classes.items():
        rows = table(cls, prefix) if dataclasses.fields(cls) else "It has no fields."
        sections.append(f"{level} `{kind}={name}`\n\n{summary_of(cls)}\n\n{rows}")
    return "\n\n".join(sections)


def own(kind: str) -> list[str]:
    """Return the plugins of this package, without others that are installed where the site is built."""
    found = registry.plugins(kind)
    return [name for name, one in found.items() if one.entry_points[0].value.startswith("lifecycle.")]


def run_options() -> str:
    """Return the options of a run that are in no group. Some defaults are names in ``conf/config.yaml``."""
    chosen = [item for item in yaml.safe_load(CONFIG.read_text())["defaults"] if isinstance(item, dict)]
    return table(RunConfig, "", {name: value for item in chosen for name, value in item.items() if name not in GROUPS})


def group_options(name: str) -> str:
    """Return the options of a group, such as ``trainer``."""
    return table(GROUPS[name], f"{name}.")
