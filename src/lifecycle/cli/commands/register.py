"""The verb ``register``: a name, and aliases, for the model of a run in MLflow's registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lifecycle.cli import arguments
from lifecycle.errors import RequestError
from lifecycle.tracking import found_run

NAME = re.compile(r"(?!\.\.?$)[^/:@\\\s'\"%]([^/:@\\'\"%\n]*[^/:@\\\s'\"%])?")
"""What MLflow takes, and can be found again as ``models:/<name>@<alias>``."""

ALIAS = re.compile(r"(?!latest$|v\d+$)[\w-]{1,255}", re.ASCII | re.IGNORECASE)
LONGEST = 255


@dataclass
class Register(found_run.Which):
    """What ``lifecycle register`` takes."""

    name: str = ""  # of the registered model; made where there is none
    alias: Any = None  # such as champion, or [champion,staging]: what else the version is called; it may move later


def run(typed: list[str]) -> None:
    """Register the model of a run, and say how it is called.

    Raises:
        RequestError: the run has no model, or a name cannot be one.
    """
    asked = arguments.read(typed, Register, "register")
    aliases = _checked(asked)
    found = found_run.find(asked)
    if found.id is None:
        raise RequestError(
            f"run={asked.run} is a folder with a saved model, and only a run's can be registered. Name the run."
        )
    found.model_folder()
    answer = found_run.register(found, asked.name, aliases)
    what = f"{asked.name} version {answer.version}"
    if answer.new:
        print(f"Registered the model of run {found.name} ({found.id}) as {what}.")
    else:
        print(f"The model of run {found.name} ({found.id}) is {what} already; no other version was made.")
    for alias in aliases:
        before = f", which was version {answer.moved[alias]}" if alias in answer.moved else ""
        print(f"  models:/{asked.name}@{alias}{before}")
    print(f"  models:/{asked.name}/{answer.version}")
    called = f"@{aliases[0]}" if aliases else f"/{answer.version}"
    print(f"Use it: lifecycle predict 'run=models:/{asked.name}{called}' input=new.csv output=predicted.csv")


def _checked(asked: Register) -> list[str]:
    """Return the aliases, each once; refuse what MLflow would, and what could not be found again."""
    if not asked.name:
        raise RequestError("name is not chosen. Add name=<name>, for instance name=iris.")
    if not NAME.fullmatch(asked.name) or len(asked.name) > LONGEST:
        raise RequestError(
            f"name={asked.name} cannot be the name of a model: no / : @ \\ % or quotes, no space at its ends, at most "
            f"{LONGEST} characters. Use for instance name=iris."
        )
    given = [] if asked.alias is None else asked.alias if isinstance(asked.alias, list) else [asked.alias]
    aliases = list(dict.fromkeys(map(str, given)))
    for alias in aliases:
        if not ALIAS.fullmatch(alias):
            raise RequestError(
                f"alias={alias} cannot be an alias: letters, digits, _ and -, and neither latest nor v and a number. "
                "Use for instance alias=champion."
            )
    return aliases
