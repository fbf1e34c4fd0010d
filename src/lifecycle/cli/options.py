"""The words that a verb takes, as its help and completion offer them. Imports no torch and no MLflow."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from lifecycle.cli import commands

UI = "ui"
WITHOUT_RUN = ("data", "plugins", UI)
"""Subcommands that need no run."""
TRACKING = ("dir", "experiment")
"""What of tracking says where runs are; the rest is of a run that is being made."""
CHOICES = re.compile(r"((?:\w+, )*\w+ or \w+)(?:[:;]|$)")
"""A comment that begins with ``a, b or c`` and goes on with a colon, or not at all, says what can be chosen."""
RUNS = ("latest", "best")


@dataclasses.dataclass(frozen=True)
class Word:
    """A word that a verb takes.

    Attributes:
        name: before the ``=``, with dots.
        default: as it would be typed; ``""`` where one has to be given.
        comment: what it is.
        choices: values to choose from; none where any may be given.
    """

    name: str
    default: str
    comment: str
    choices: tuple[str, ...] = ()


def of_runs() -> dict[str, str]:
    """Return the verbs on runs, each with a line on what it does; imports none of them."""
    names = [module.name for module in iter_modules(commands.__path__) if module.name not in WITHOUT_RUN]
    return {name: _line(f"{commands.__name__}.{name}") for name in names}


def words_of(verb: str) -> list[Word]:
    """Return what a verb takes; nothing for one that takes no ``key=value`` words of its own."""
    cls = _class(verb)
    return [] if cls is None else _words(cls, "")


def usage(verb: str) -> str:
    """Return the help of a verb: what it does, an example, and each word with its default and what it is."""
    words, cls = words_of(verb), _class(verb)
    said = (inspect.getdoc(cls) or "").splitlines()[0]
    beside = re.sub(r"^What ``lifecycle \w+`` takes[,;.]? *", "", said)
    typed = [word.name + "=" + word.default for word in words]
    width = max(map(len, typed))
    lines = [f"lifecycle {verb}: {_line(_module(verb).__name__)}.", "", f"  {_example(verb, words)}", ""]
    lines += [f"Takes (key=value, with the default){f'; {beside}' if beside else ':'}".replace("``", "")]
    lines += [f"  {left:<{width}}   {word.comment}".rstrip() for left, word in zip(typed, words, strict=True)]
    return "\n".join(lines)


def complete(line: str) -> list[str]:
    """Return what may stand in place of the last word of a line that begins with the command and a verb."""
    _, verb, *typed, last = line.split(" ")
    if verb == "data":
        return [] if typed else _data_sets(last)
    key, equals, _ = last.partition("=")
    words = words_of(verb)
    given = {word.partition("=")[0] for word in typed}
    if equals:
        choices = next((word.choices for word in words if word.name == key), ())
        return [offered for choice in choices if (offered := f"{key}={choice}").startswith(last)]
    return [f"{word.name}=" for word in words if word.name.startswith(last) and word.name not in given]


def _data_sets(begun: str) -> list[str]:
    from lifecycle.config.search_path import options

    return [name for name in options()["data"] if name.startswith(begun)]


def _module(verb: str) -> ModuleType:
    return import_module("lifecycle.cli.commands.ui" if verb == UI else f"{commands.__name__}.{verb}")


def _class(verb: str) -> Any:
    """Return the dataclass of a verb's words: ``WORDS`` or another of its module, or what all verbs on runs take."""
    if verb != UI and verb not in of_runs():
        return None
    from lifecycle.cli.commands import ui
    from lifecycle.tracking import found_run

    if verb == UI:
        return ui.UIConfig
    module = _module(verb)
    found = [value for value in vars(module).values() if isinstance(value, type)]
    return getattr(module, "WORDS", None) or next(
        (cls for cls in found if issubclass(cls, found_run.Which) and cls is not found_run.Which), found_run.Which
    )


def _words(cls: Any, prefix: str) -> list[Word]:
    from lifecycle.config.schema import TrackingConfig

    comments = _comments(cls)
    found: list[Word] = []
    for field in dataclasses.fields(cls):
        name = f"{prefix}{field.name}"
        if field.default_factory is TrackingConfig:
            found += [word for word in _words(TrackingConfig, f"{name}.") if word.name.split(".")[-1] in TRACKING]
            continue
        comment = comments.get(field.name, "")
        found.append(Word(name, _typed(field), comment, _choices(field, comment)))
    return sorted(found, key=lambda word: (word.name.startswith("tracking."), word.name != "run"))


def _typed(field: dataclasses.Field[Any]) -> str:
    """Return a default as a person types it."""
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value).replace("'", "").replace(", ", ",")


def _choices(field: dataclasses.Field[Any], comment: str) -> tuple[str, ...]:
    if field.name == "run":
        return RUNS
    if isinstance(field.default, bool):
        return ("true", "false")
    listed = CHOICES.match(comment)
    return tuple(re.split(", | or ", listed[1])) if listed else ()


def _comments(cls: type) -> dict[str, str]:
    """Return the comment beside each field of a dataclass and of those it is made from."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        source = inspect.getsource(base)
        lines = source.splitlines()
        (tree,) = ast.parse(inspect.cleandoc(source)).body
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found[node.target.id] = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")[2]
    return found


def _line(module: str) -> str:
    """Return what the first line of a module's docstring says that it does, without importing the module."""
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018 - a module of ours
    first = (ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or "").splitlines()[0]
    sentence = re.split(r"\.(?: |$)", first)[0]
    return re.sub(r"^The verb ``\w+``: ", "", sentence)


def _example(verb: str, words: list[Word]) -> str:
    """Return the example that the verb's module gives, or one with the words that have to be given."""
    given = getattr(_module(verb), "EXAMPLE", None)
    needed = [f"{word.name}={'latest' if word.name == 'run' else '...'}" for word in words if not word.default]
    return given or " ".join(["lifecycle", verb, *needed])
