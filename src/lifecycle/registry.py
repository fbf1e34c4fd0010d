"""The installed plugins: entry points, which are listed by name and imported only when chosen."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import metadata
from typing import Any

from lifecycle.errors import RequestError, Setting, did_you_mean, first_line

GROUPS = {"model": "lifecycle.models", "data": "lifecycle.data"}
"""Kind of plugin, which is its Hydra group -> entry-point group."""

METHODS = {
    "model": ("build",),
    "data": ("read", "describe_target", "columns", "samples", "split", "learn", "apply", "feature_names"),
}


UNLISTED = {("model", "network"): "lifecycle.define.own_network:OwnNetwork"}
"""Plugins that stand for objects of a Python caller: they are not listed, and no command chooses one."""


@dataclass(frozen=True)
class Plugin:
    """A plugin that a package declares, and that may not be imported yet."""

    kind: str
    name: str
    entry_points: tuple[metadata.EntryPoint, ...]  # more than one if several packages declare the name

    @cached_property  # reading the metadata of a package takes milliseconds
    def source(self) -> str:
        """Package and version of each declaration, for messages."""
        return " and ".join(
            f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value for entry in self.entry_points
        )

    def load(self) -> type:
        """Import the plugin's class.

        Raises:
            RequestError: the name is declared twice, the import fails, or the class is no plugin.
        """
        subject = Setting(self.kind, self.name)
        # Which of them Python finds first depends on the order of sys.path.
        if len(self.entry_points) > 1:
            problem = f"is declared by two packages, {self.source}"
            raise RequestError(subject, problem, remedy="Uninstall one of them.")
        try:
            cls = self.entry_points[0].load()
        except (Exception, SystemExit) as error:  # a module of another package may raise anything
            problem = f"from {self.source} could not be imported: {type(error).__name__}: {error}"
            raise RequestError(subject, problem, remedy="Reinstall or remove it.") from error
        if fault := _fault(self.kind, cls):
            problem = f"from {self.source} is no {self.kind} plugin: {fault}"
            raise RequestError(subject, problem, remedy="Update or remove it.")
        return cls  # type: ignore[no-any-return]


def plugins(kind: str) -> dict[str, Plugin]:
    """Return the installed plugins of a kind (``"model"`` or ``"data"``) by name, sorted; imports none."""
    return dict(_plugins(kind, search_path_state()))


@lru_cache(maxsize=len(GROUPS))
def _plugins(kind: str, _state: tuple[tuple[str, int], ...]) -> dict[str, Plugin]:
    found: dict[str, list[metadata.EntryPoint]] = {}
    for entry in declared(GROUPS[kind]):
        found.setdefault(entry.name, []).append(entry)
    return {name: Plugin(kind, name, tuple(found[name])) for name in sorted(found)}


def declared(group: str) -> metadata.EntryPoints:
    """Return the entry points of a group that the installed packages declare."""
    found: metadata.EntryPoints = _declared(search_path_state()).select(group=group)
    return found


@lru_cache(maxsize=1)
def _declared(_state: tuple[tuple[str, int], ...]) -> Any:
    """Return all entry points: to read those of all packages takes as long for one group."""
    return metadata.entry_points()


def search_path_state() -> tuple[tuple[str, int], ...]:
    """Return the folders of ``sys.path`` and when each was changed, in nanoseconds: installing a package changes one.

    Of the working folder, which changes with each file that a run leaves there, only the packages count.
    What is read from installed packages may be kept until this changes.
    """
    found, working = [], [""]
    with suppress(OSError):  # it was deleted
        working.append(os.getcwd())  # noqa: PTH109 - half the time of Path's, as with the next
    for folder in sys.path:
        if folder in working:
            found += [(folder, 0), *_packages_in(folder)]
            continue
        changed = 0
        with suppress(OSError):  # there is no such folder
            changed = os.stat(folder).st_mtime_ns  # noqa: PTH116
        found.append((folder, changed))
    return tuple(found)


def _packages_in(folder: str) -> list[tuple[str, int]]:
    """Return the metadata of packages in a folder, and when each was changed."""
    with suppress(OSError), os.scandir(folder or ".") as entries:
        listed = [entry for entry in entries if entry.name.lower().endswith((".dist-info", ".egg-info"))]
        return sorted((entry.path, entry.stat().st_mtime_ns) for entry in listed)
    return []


_loaded: dict[tuple[str, str], type] = {}
_lock = threading.Lock()


def load(kind: str, name: str) -> type:
    """Return the class of a plugin, which is imported once.

    Raises:
        RequestError: there is no such plugin, or it cannot be used; see :meth:`Plugin.load`.
    """
    # Importing again is cheap, but entry points are read from disk each time.
    cls = _loaded.get((kind, name))
    if cls is None:
        cls = _find(kind, name).load()
    with _lock:
        _loaded.pop((kind, name), None)  # moves to the end, where loaded() has the latest
        _loaded[kind, name] = cls
    return cls


def source(kind: str, name: str) -> str:
    """Return the package and version of a plugin.

    Raises:
        RequestError: there is no such plugin.
    """
    own = (kind, name) in UNLISTED
    return f"nn-lifecycle {metadata.version('nn-lifecycle')}" if own else _find(kind, name).source


def _find(kind: str, name: str) -> Plugin:
    known = plugins(kind)
    if name in known:
        return known[name]
    if (kind, name) in UNLISTED:
        return Plugin(kind, name, (metadata.EntryPoint(name, UNLISTED[kind, name], GROUPS[kind]),))
    remedy = f"{did_you_mean(name, known)} Installed: {', '.join(known)}."
    raise RequestError(Setting(kind, name), "is not installed", remedy=remedy)


def loaded() -> dict[tuple[str, str], type]:
    """Return the loaded plugins by kind and name, the most recently loaded last."""
    with _lock:
        return dict(_loaded)


def name_of(kind: str, cls: type) -> str:
    """Return the name under which a class was last loaded; "" if it was not."""
    with _lock:
        return next((name for (of, name), loaded in reversed(_loaded.items()) if of == kind and loaded is cls), "")


def _fault(kind: str, cls: Any) -> str | None:
    """Return why a class is no plugin; ``None`` if it is one."""
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        return f"{cls!r} is not a dataclass"
    if cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "the dataclass is frozen, which OmegaConf would carry over to every override"
    missing = [method for method in METHODS[kind] if not _has(cls, method)]
    if missing:
        return f"it has no {', '.join(missing)}()"
    from omegaconf import OmegaConf  # a third of the time of --help, which loads no plugin

    try:
        OmegaConf.structured(cls)
    except Exception as error:  # OmegaConf evaluates annotations, which may raise anything
        return f"its fields cannot be configured: {first_line(error)}"
    return None


def _has(cls: type, method: str) -> bool:
    """Return whether a class has a method; one with a field ``split`` has ``split_samples`` instead."""
    return any(callable(getattr(cls, name, None)) for name in (method, *({"split": ["split_samples"]}.get(method, []))))
