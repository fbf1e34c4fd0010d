"""The subcommand ``register``: registers the model of a run in MLflow's registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lifecycle.cli import arguments
from lifecycle.config.fields import option
from lifecycle.errors import RequestError, Setting
from lifecycle.runtime.lines import say
from lifecycle.tracking import found_run

NAME = re.compile(r"(?!\.\.?$)[^/:@\\\s'\"%]([^/:@\\'\"%\n]*[^/:@\\\s'\"%])?")
"""Names that MLflow accepts and that can be read again within ``models:/<name>@<alias>``."""

# MLflow reserves `latest` and `v1`, `v2`, ... for versions.
ALIAS = re.compile(r"(?!latest$|v\d+$)[\w-]{1,255}", re.ASCII | re.IGNORECASE)
LONGEST = 255


@dataclass
class Register(found_run.Which):
    """Options of ``lifecycle register``."""

    name: str = option("", "name of the registered model, which is created if it does not exist")
    alias: Any = option(None, "alias of the version, such as champion, or a list: [champion,staging]")


OPTIONS = Register
EXAMPLE = "lifecycle register run=latest name=iris"


def run(typed: list[str]) -> None:
    """Register the model of a run, and print its addresses.

    Raises:
        RequestError: the run has no model, or MLflow does not accept a name.
    """
    options = arguments.read(typed, Register, "register")
    aliases = _checked_aliases(options)
    found = found_run.find(options)
    if found.id is None:
        problem = "is a folder with a saved model, and only a run's model can be registered"
        raise RequestError(Setting("run", options.run), problem, remedy="Name the run.")
    # Raises here if the run has no model, with the reason.
    found.model_folder()
    answer = found_run.register(found, options.name, aliases)
    what = f"{options.name} version {answer.version}"
    if answer.new:
        say(f"Registered the model of run {found.name} ({found.id}) as {what}.")
    else:
        say(f"The model of run {found.name} ({found.id}) is {what} already; no new version was created.")
    for alias in aliases:
        before = f", which was version {answer.moved[alias]}" if alias in answer.moved else ""
        say(f"  models:/{options.name}@{alias}{before}")
    say(f"  models:/{options.name}/{answer.version}")
    version = f"@{aliases[0]}" if aliases else f"/{answer.version}"
    say(f"Use it: lifecycle predict 'run=models:/{options.name}{version}' input=new.csv output=predicted.csv")


def _checked_aliases(options: Register) -> list[str]:
    """Check the name and the aliases, and return the aliases without duplicates."""
    if not options.name:
        raise RequestError("name", "is not chosen", remedy="Add name=<name>, for instance name=iris.")
    if not NAME.fullmatch(options.name) or len(options.name) > LONGEST:
        problem = (
            "cannot be the name of a model: no / : @ \\ % or quotes, no space at its ends, at most "
            f"{LONGEST} characters"
        )
        raise RequestError(Setting("name", options.name), problem, remedy="Use for instance name=iris.")
    values = options.alias if isinstance(options.alias, list) else [] if options.alias is None else [options.alias]
    # YAML reads the alias in [2024] as a number.
    aliases = list(dict.fromkeys(map(str, values)))
    for alias in aliases:
        if not ALIAS.fullmatch(alias):
            problem = "cannot be an alias: letters, digits, _ and -, and neither latest nor v and a number"
            raise RequestError(Setting("alias", alias), problem, remedy="Use for instance alias=champion.")
    return aliases
