"""Hydra's loader of configurations, which merges what the chosen options name once in a process.

Hydra composes in two steps. It merges the files and classes that the choices name (``data=wine``), which takes 0.1 s or
more, and then sets the fields (``seed=3``). What the first step gives depends on the choices, the files and the
installed plugins. It is kept while none of these changes, and copied for the second step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import BooleanNode, DictConfig, OmegaConf

from lifecycle import registry
from lifecycle.config.options import CHOICES, EXPERIMENT, OURS, SWEEP
from lifecycle.config.structured import copied, defaults
from lifecycle.errors import RequestError, Setting

MOST_KEPT = 16
"""Combinations of options whose configuration is kept: some hundred kilobytes each."""

MOST_FILES = 2000
"""Files of a folder that are looked at for changes; with a larger folder of configurations, nothing is kept."""

Key = tuple[Any, ...]


@dataclass(frozen=True)
class _Kept:
    """A merged configuration, without fields that overrides set.

    Attributes:
        config: to be copied.
        plugins: kind, name, class and defaults of each plugin that was loaded, in that order.
        stored: what was in Hydra's store, so that no other object has the same ``id()``.
    """

    config: DictConfig
    plugins: tuple[tuple[str, str, type, dict[str, Any]], ...]
    stored: list[Any]


_kept: dict[Key, _Kept] = {}  # the most recently used last


class Loader(ConfigLoaderImpl):
    """Composes the same configurations as Hydra's own loader."""

    _repository: CachingConfigRepository  # that the latest configuration was read from

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        # Functions are called by the parser, and shuffle() gives another order each time.
        parsed = [_parse(word) if "(" in word else _parsed(word) for word in overrides]
        choices = [override for override in parsed if _is_choice(override)]
        # Hydra leaves swept values to the jobs, and only lists them.
        jobs = [override for override in parsed if run_mode == RunMode.MULTIRUN and _is_swept(override)]
        own = [override for override in parsed if not (_is_choice(override) or override in jobs)]
        stored = [*_nodes(ConfigStore.instance().repo)]
        key = self._key(config_name, choices, stored) if all(map(self._is_field, own)) else None
        if key is None:
            return super()._load_configuration_impl(
                config_name, overrides, run_mode, from_shell, validate_sweep_overrides
            )
        kept = _kept.pop(key, None)
        if kept is None or not _is_current(kept):
            words = [str(choice.input_line) for choice in choices]
            config = super()._load_configuration_impl(config_name, words, run_mode, from_shell)
            kept = self._worth_keeping(config, stored)
        if kept is not None:
            config = copied(kept.config)
            _kept[key] = kept
            for oldest in [*_kept][:-MOST_KEPT]:
                _kept.pop(oldest, None)
        _set_fields(config, own, parsed)
        return config

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        parsed, self._repository = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
        return parsed, self._repository

    def _is_field(self, override: Override) -> bool:
        """Return whether an override only sets a field, after everything has been merged."""
        is_plain = override.package is None and not override.is_sweep_override()
        # Others of Hydra's own settings may say where files are looked for. This one Hydra adds to each command.
        is_ours = not override.is_hydra_override() or override.key_or_group == "hydra.mode"
        return is_plain and is_ours and not self.repository.group_exists(override.key_or_group)

    def _key(self, config_name: str | None, choices: Sequence[Override], stored: Sequence[Any]) -> Key | None:
        """Return everything that a configuration depends on but the plugins' classes; ``None``: that is unknown."""
        sources = [(source.provider, source.scheme(), source.path) for source in self.get_sources()]
        states = [_state(scheme, path) for _, scheme, path in sources]
        if ("main", "pkg", OURS) not in sources or None in states:
            return None
        words = tuple(str(choice.input_line) for choice in choices)
        installed = registry.search_path_state()
        return config_name, words, tuple(sources), tuple(states), tuple(map(id, stored)), installed

    def _worth_keeping(self, config: DictConfig, stored: list[Any]) -> _Kept | None:
        """Return a configuration to keep; ``None`` if it may be another one the next time."""
        loaded = {path.partition("=")[2]: found for path, found in self._repository.cache.items() if found is not None}
        # An expression among the defaults is evaluated each time; a path may lead out of the folders looked at.
        listed = [default for found in loaded.values() for default in found.defaults_list or ()]
        is_fixed = not any("${" in str(vars(default).values()) for default in listed)
        is_within = not any(path.startswith("/") or ".." in path for path in loaded)
        # Whether a choice may be left open depends on Hydra's mode.
        is_made = not any(str(choice).endswith("???") for choice in config.hydra.runtime.choices.values())
        if not (is_fixed and is_within and is_made) or config.hydra.searchpath or config.hydra.job.env_copy:
            return None
        names = [path.rpartition("/") for path, found in loaded.items() if found.path == "lifecycle://"]
        plugins = [(kind, name, registry.load(kind, name)) for kind, _, name in names if kind in registry.GROUPS]
        return _Kept(config, tuple((kind, name, cls, defaults(cls)) for kind, name, cls in plugins), stored)


def _parse(word: str) -> Override:
    return OverridesParser.create().parse_overrides([word])[0]


_parsed = lru_cache(maxsize=256)(_parse)  # a command is composed twice, first to look for Hydra's mode


def _is_choice(override: Override) -> bool:
    """Return whether an override chooses an option: ``data=wine``, or ``+experiment=iris``."""
    group = override.key_or_group
    is_one = override.package is None and not override.is_sweep_override() and isinstance(override.value(), str)
    if override.is_add():
        return is_one and group == EXPERIMENT
    return is_one and group in (*CHOICES, SWEEP) and not (override.is_delete() or override.is_force_add())


def _is_swept(override: Override) -> bool:
    """Return whether an override is of the jobs of a multirun: ``seed=1,2``; Hydra refuses its own settings there."""
    return override.is_sweep_override() and not override.is_hydra_override()


def _check_truth(config: DictConfig, override: Override) -> None:
    """Refuse a number for a field that is true or false: OmegaConf would take each but 0 as true.

    Raises:
        RequestError: the field is given one.
    """
    value, key = override.value(), override.key_or_group
    if not isinstance(value, int | float) or value in (0, 1):  # True and False too
        return
    group, _, name = key.rpartition(".")
    within = OmegaConf.select(config, group) if group else config
    if isinstance(within, DictConfig) and isinstance(within._get_node(name), BooleanNode):
        typed = override.get_value_element_as_str()
        remedy: list[Setting | str] = ["Write true or false."]
        if key == "trainer.early_stopping" and isinstance(value, int) and value > 0:
            remedy += [" ", Setting("trainer.patience", typed), " stops after so many epochs without improvement."]
        raise RequestError(key, "must be true or false", typed, remedy)


def _set_fields(config: DictConfig, own: list[Override], parsed: list[Override]) -> None:
    """Set what Hydra sets after merging.

    Args:
        config: of the choices among the overrides.
        own: the other overrides.
        parsed: all of them.
    """
    for override in own:
        _check_truth(config, override)
    ConfigLoaderImpl._apply_overrides_to_config(own, config)
    typed, job = config.hydra.overrides, config.hydra.job
    del typed.task[:]
    for override in parsed:
        (typed.hydra if override.is_hydra_override() else typed.task).append(override.input_line)
    config.hydra.runtime.cwd = os.getcwd()  # noqa: PTH109 - as Hydra has it
    form = job.config.override_dirname
    ours = [override for override in parsed if not override.is_hydra_override()]
    job.override_dirname = get_overrides_dirname(ours, form.exclude_keys, form.item_sep, form.kv_sep)


def _is_current(kept: _Kept) -> bool:
    """Return whether the plugins of a configuration are still the same; notes that they were loaded."""
    return all(registry.load(kind, name) is cls and defaults(cls) == known for kind, name, cls, known in kept.plugins)


def _nodes(repo: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the configurations in Hydra's store."""
    for node in repo.values():
        if isinstance(node, Mapping):
            yield from _nodes(node)
        else:
            yield node


def _state(scheme: str, path: str) -> tuple[Any, ...] | None:
    """Return what changes with any file of a source; ``None`` if that is unknown."""
    if scheme == "pkg":
        try:
            folder = resources.files(path)
        except (ImportError, TypeError, ValueError):
            return None
        if not isinstance(folder, Path):
            return ()  # an archive, which Python reads as it was when it was imported
        path = str(folder)
    elif scheme != "file":
        return ()
    found: list[tuple[Any, ...]] = []
    try:
        _look(path, found)
    except OSError:
        return None
    return tuple(found) if len(found) < MOST_FILES else None


def _look(folder: str, found: list[tuple[Any, ...]]) -> None:
    """Append the name and state of each file in a folder and those within."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(found) >= MOST_FILES:  # also where a symbolic link leads to a folder above
                return
            if entry.is_dir():
                found.append((entry.path,))
                _look(entry.path, found)
            elif entry.name.endswith(".yaml"):
                state = entry.stat()
                found.append((entry.path, state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino))
