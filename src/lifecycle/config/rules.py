"""Rules for user configuration: no file or override names code to run, and few of Hydra's own settings may be set.

Hydra instantiates ``_target_`` under its own keys, and logging's ``()`` and ``class``, before the program sees its
configuration. So each file is checked when it is loaded, before Hydra merges it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lifecycle.errors import RequestError

TARGET = "_target_"
HYDRA = "hydra"

ALLOWED = (
    *("mode", "verbose", "sweeper.params", "sweeper.n_trials", "sweeper.n_jobs", "sweeper.max_batch_size"),
    *("sweeper.direction", "launcher.n_jobs", "launcher.timeout_min", "launcher.nodes", "launcher.partition"),
    *("launcher.cpus_per_task", "launcher.gpus_per_node", "launcher.mem_gb", "launcher.tasks_per_node"),
)
"""Keys below ``hydra`` that a file may set to plain values: none of them runs code or changes where files go."""

CHOSEN = re.compile(r"(optional )?override /?hydra/(launcher|sweeper)")
"""Entries of a defaults list that may choose a part of Hydra: from installed packages, as user files are checked."""

PLAIN = re.compile(r"[\w-]+")

REFUSED_KEYS = ("callbacks", "job_logging", "hydra_logging")
"""Keys below ``hydra`` that Hydra instantiates; not even the command line may set them."""

RERUN = "--experimental-rerun"

# The parser of Hydra's grammar is recursive: at some hundred levels it raises a RecursionError.
MOST_LEVELS = 50
_PARTS = re.compile(r"[/@:.\s]+")
_NAMES_CODE = re.compile(rf"(?<!\w){TARGET}(?!\w)")  # a key; not a part of a name such as price_target_2024.csv
_MAKES_VALUES = re.compile(r"\$\{\s*oc\.(decode|create)\b")


def check_file(content: Any, path: str, package: str | None, where: str) -> None:
    """Refuse a file that names code to run, or sets one of Hydra's keys that is not in :data:`ALLOWED`.

    Args:
        content: of the file, in plain values, with its defaults list.
        path: group and name of the file: ``experiment/iris``.
        package: of its header ``# @package ...``.
        where: the file, for messages.

    Raises:
        RequestError: a key or an entry of the defaults list is not allowed.
    """
    if not isinstance(content, Mapping):
        return  # Hydra refuses it with a clear message
    group = _parts(posixpath.normpath(path).rpartition("/")[0])
    place = group if package is None or group[:1] == [HYDRA] else _parts(package)
    for item in content.get("defaults") or ():
        _check_default(item, place, where)
    values = {name: value for name, value in content.items() if name != "defaults"}
    for key, value in _leaves(values):
        keys = [*place, *(part for name in key for part in name.split("."))]
        if TARGET in keys:
            raise RequestError(
                f"{'.'.join(keys)} ({where})",
                "names code to run, which no configuration may",
                remedy=f"Remove {TARGET}; code comes from an installed plugin.",
            )
        if keys[0] == HYDRA or key[0].split(".")[0] == HYDRA:
            _check_key(keys[keys.index(HYDRA) + 1 :], value, where)
    if not values and place[:1] == [HYDRA]:  # an empty file in a group of Hydra's would replace the whole group
        _check_key(place[1:], None, where)


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse arguments of the command line that name code to run.

    Raises:
        RequestError: an argument is not allowed.
    """
    for argument in arguments:
        # argparse accepts each unambiguous abbreviation of the flag.
        if len(argument) > len("--e") and RERUN.startswith(argument.partition("=")[0]):
            raise RequestError(RERUN, "cannot be used, as it loads a pickle", remedy="Use lifecycle rerun run=<run>.")
        key, _, value = argument.lstrip("+~").partition("=")
        parts, subject = _parts(key), _short(argument)
        if _NAMES_CODE.search(argument):
            raise RequestError(subject, "names code to run, which no override may", remedy=f"Remove {TARGET}.")
        package = _parts(key.partition("@")[2])  # of group@package=option
        is_instantiated = parts[:1] == [HYDRA] and "/" not in key and (len(parts) == 1 or parts[1] in REFUSED_KEYS)
        if HYDRA in package or is_instantiated:
            raise RequestError(subject, "cannot be set, as Hydra would instantiate it", remedy="Leave it out.")
        if parts[:1] == [HYDRA] and _MAKES_VALUES.search(value):
            remedy = "Write it without oc.decode and oc.create."
            raise RequestError(subject, "must be a plain value", remedy=remedy)
        if _levels(value) > MOST_LEVELS:
            problem = f"has more than {MOST_LEVELS} levels of brackets"
            raise RequestError(subject, problem, remedy="Write fewer, as in [64,32].")


def _check_default(item: Any, place: Sequence[str], where: str) -> None:
    """Refuse an entry of a defaults list that would put something below ``hydra``."""
    entries = item.items() if isinstance(item, Mapping) else [(item, None)]
    for key, value in entries:
        text = " ".join(str(key).split())
        parts, subject = _parts(text), f"defaults: {_short(text)} ({where})"
        if TARGET in parts:
            raise RequestError(subject, "names code to run", remedy=f"Remove {TARGET}.")
        is_chosen = CHOSEN.fullmatch(text) and isinstance(value, str) and PLAIN.fullmatch(value)
        is_sibling = value is None and PLAIN.fullmatch(text)  # another file of the same group
        if (HYDRA in parts and not is_chosen) or (place[:1] == [HYDRA] and not is_sibling):
            raise RequestError(
                subject,
                "cannot choose a part of Hydra",
                remedy="Only override hydra/launcher and override hydra/sweeper are allowed, with the name of an "
                "installed one.",
            )


def _check_key(parts: Sequence[str], value: Any, where: str) -> None:
    """Refuse a key below ``hydra`` that is not allowed, or whose value is an expression."""
    below = ".".join(parts)
    subject = f"{_short(f'{HYDRA}.{below}' if below else HYDRA)} ({where})"
    if not any(f"{below}.".startswith(f"{name}.") for name in ALLOWED):
        raise RequestError(
            subject,
            "cannot be set in a configuration file: it can run code or change where files are written",
            remedy="Remove it. Allowed are hydra.mode, verbose, sweeper.params, and a launcher's n_jobs and resources.",
        )
    if isinstance(value, str) and "${" in value:
        raise RequestError(subject, "must be a plain value", _short(value), "Write the value itself.")


def _leaves(node: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the keys that lead to each value, and the value; the key of a list's element is its index."""
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            yield from _leaves(value, (*above, str(name)))
    elif isinstance(node, list | tuple) and node:
        for number, value in enumerate(node):
            yield from _leaves(value, (*above, str(number)))
    elif above:
        yield above, node


def _parts(text: str) -> list[str]:
    """Return the parts of a group, package or key, from the last ``_global_`` on, which is Hydra's name of the root."""
    parts = [part for part in _PARTS.split(text) if part]
    while "_global_" in parts:
        parts = parts[parts.index("_global_") + 1 :]
    return parts


def _levels(text: str) -> int:
    """Return the depth of nested brackets in a text."""
    most = level = 0
    for sign in text:
        level += (sign in "[{(") - (sign in "]})")
        most = max(most, level)
    return most


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."
