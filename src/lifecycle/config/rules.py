"""What a configuration file of the user's may set of Hydra's own settings, and that none names code to run.

Hydra makes objects of ``_target_`` under its own keys, and of logging's ``()`` and ``class``, before the program sees
its configuration. So each file is checked as it is loaded, before Hydra merges it.
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
"""Keys below ``hydra`` that a file may set, to plain values: none of them runs code or writes elsewhere."""

CHOSEN = re.compile(r"(optional )?override /?hydra/(launcher|sweeper)")
"""What a defaults list may choose of Hydra's: from installed packages, as the files of the user's are checked too."""

PLAIN = re.compile(r"[\w-]+")

REFUSED_WORDS = ("callbacks", "job_logging", "hydra_logging")
"""Keys below ``hydra`` whose values make objects; not even a word of the command line sets them."""

RERUN = "--experimental-rerun"

MOST_LEVELS = 50
_PARTS = re.compile(r"[/@:.\s]+")
_MAKES_VALUES = re.compile(r"\$\{\s*oc\.(decode|create)\b")


def check_file(content: Any, path: str, package: str | None, where: str) -> None:
    """Refuse a file that names code to run, or sets what it may not of Hydra's.

    Args:
        content: of the file, in plain values, with its defaults list.
        path: group and name of the file: ``experiment/iris``.
        package: of its header ``# @package ...``.
        where: the file, for messages.

    Raises:
        RequestError: names the key, the file and the cure.
    """
    if not isinstance(content, Mapping):
        return  # Hydra refuses it
    group = _parts(posixpath.normpath(path).rpartition("/")[0])
    place = group if package is None or group[:1] == [HYDRA] else _parts(package)
    for item in content.get("defaults") or ():
        _check_default(item, place, where)
    values = {name: value for name, value in content.items() if name != "defaults"}
    for key, value in _leaves(values):
        keys = [*place, *(part for name in key for part in name.split("."))]
        if TARGET in keys:
            raise RequestError(
                f"{'.'.join(keys)} ({where}) names code to run, which no configuration may. Take {TARGET} out; code "
                "comes from an installed plugin."
            )
        if keys[0] == HYDRA or key[0].split(".")[0] == HYDRA:
            _check_key(keys[keys.index(HYDRA) + 1 :], value, where)
    if not values and place[:1] == [HYDRA]:
        _check_key(place[1:], None, where)


def check_words(words: Sequence[str]) -> None:
    """Refuse words of the command line that name code to run.

    Raises:
        RequestError: names the word and the cure.
    """
    for word in words:
        if len(word) > len("--e") and RERUN.startswith(word.partition("=")[0]):
            raise RequestError(f"{RERUN} cannot be used, as it loads a pickle. Use lifecycle rerun run=<run>.")
        key, _, value = word.lstrip("+~").partition("=")
        parts = _parts(key)
        if TARGET in word:
            raise RequestError(f"{_short(word)} names code to run, which no word may. Take {TARGET} out.")
        below = _parts(key.partition("@")[2])
        makes_objects = parts[:1] == [HYDRA] and "/" not in key and (len(parts) == 1 or parts[1] in REFUSED_WORDS)
        if HYDRA in below or makes_objects:
            raise RequestError(f"{_short(word)} cannot be set, as Hydra would make objects of it. Leave it out.")
        if parts[:1] == [HYDRA] and _MAKES_VALUES.search(value):
            raise RequestError(f"{_short(word)} must be a plain value. Write it without oc.decode and oc.create.")
        if _levels(value) > MOST_LEVELS:
            raise RequestError(
                f"{_short(word)} has more than {MOST_LEVELS} levels of brackets. Write fewer, as in [64,32]."
            )


def _check_default(item: Any, place: Sequence[str], where: str) -> None:
    """Refuse an entry of a defaults list that would put something below ``hydra``."""
    entries = item.items() if isinstance(item, Mapping) else [(item, None)]
    for key, value in entries:
        text = " ".join(str(key).split())
        parts = _parts(text)
        if TARGET in parts:
            raise RequestError(f"defaults: {_short(text)} ({where}) names code to run. Take {TARGET} out.")
        is_chosen = CHOSEN.fullmatch(text) and isinstance(value, str) and PLAIN.fullmatch(value)
        is_beside = value is None and PLAIN.fullmatch(text)
        if (HYDRA in parts and not is_chosen) or (place[:1] == [HYDRA] and not is_beside):
            raise RequestError(
                f"defaults: {_short(text)} ({where}) cannot choose a part of Hydra's. Only override hydra/launcher and "
                "override hydra/sweeper may stand there, with the name of an installed one."
            )


def _check_key(parts: Sequence[str], value: Any, where: str) -> None:
    """Refuse a key below ``hydra`` that is not allowed, or whose value is an expression."""
    below = ".".join(parts)
    key = _short(f"{HYDRA}.{below}" if below else HYDRA)
    if not any(f"{below}.".startswith(f"{name}.") for name in ALLOWED):
        raise RequestError(
            f"{key} ({where}) cannot be set in a configuration file: it can run code or change where files are "
            "written. Take it out. Allowed are hydra.mode, verbose, sweeper.params, and a launcher's n_jobs and "
            "resources."
        )
    if isinstance(value, str) and "${" in value:
        raise RequestError(f"{key} ({where}) must be a plain value, got {_short(value)}. Write the value itself.")


def _leaves(node: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the keys that lead to each value, and the value; an element of a list by its number."""
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            yield from _leaves(value, (*above, str(name)))
    elif isinstance(node, list | tuple) and node:
        for number, value in enumerate(node):
            yield from _leaves(value, (*above, str(number)))
    elif above:
        yield above, node


def _parts(text: str) -> list[str]:
    """Return the parts of a group, package or key; what stands before the last ``_global_`` does not count."""
    parts = [part for part in _PARTS.split(text) if part]
    while "_global_" in parts:
        parts = parts[parts.index("_global_") + 1 :]
    return parts


def _levels(text: str) -> int:
    """Return how deep brackets are nested in a text."""
    most = level = 0
    for sign in text:
        level += (sign in "[{(") - (sign in "]})")
        most = max(most, level)
    return most


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."
