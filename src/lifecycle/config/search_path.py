"""Config sources and search path for Hydra: plugins and dataclasses as configs, and checked YAML files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, resources
from pathlib import Path
from typing import Any, List  # noqa: UP035 - see PluginSource.list

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from lifecycle import registry
from lifecycle.config import bounded_yaml, rules
from lifecycle.config.choices import TYPED
from lifecycle.config.loader import Loader
from lifecycle.config.options import GROUPS, OURS, classes
from lifecycle.config.schema import RunConfig
from lifecycle.config.structured import structured
from lifecycle.config.tracking_address import checked

USERS = ("main", "command-line", "hydra.searchpath")
"""Hydra's names, or their beginnings, of the providers of a user's search paths; installed plugins have others."""
_hydra: Any = import_module("hydra._internal.hydra")  # where Hydra looks for its loader
SCHEMA = "run_schema"  # the name under which config.yaml finds RunConfig


class PluginSource(ConfigSource):
    """Plugins, typed options and the typed root as Hydra configs; imports a plugin only when its config is loaded."""

    @staticmethod
    def scheme() -> str:
        """Return the scheme of the search-path entry."""
        return "lifecycle"

    def available(self) -> bool:
        """Return that the source can be read."""
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the typed configuration ``<group>/<name>``, or the root."""
        group, _, name = self._normalize_file_name(config_path).removesuffix(".yaml").rpartition("/")
        cls = RunConfig if name == SCHEMA else TYPED[group][name] if group in TYPED else registry.load(group, name)
        config = structured(cls)
        return ConfigResult(
            provider=self.provider,
            path="lifecycle://",
            config=config,
            header={"package": "_global_" if name == SCHEMA else None},
        )

    def is_group(self, config_path: str) -> bool:
        """Return whether the source has configs in this group."""
        return config_path.rstrip("/") in {"", *GROUPS}

    def is_config(self, config_path: str) -> bool:
        """Return whether the source has this config."""
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        return name in _names(group)

    def list(self, config_path: str, results_filter: ObjectType | None) -> List[str]:  # noqa: UP006 - list is this method
        """List the names in a group; never imports a plugin."""
        group = config_path.rstrip("/")
        # Hydra asks for groups and for configs separately.
        found = [] if results_filter == ObjectType.GROUP else _names(group)
        if group == "" and results_filter != ObjectType.CONFIG:
            found = [*found, *GROUPS]
        return sorted(found)


def _names(group: str) -> list[str]:
    return [SCHEMA] if group == "" else classes(group)


class CheckedFiles(FileConfigSource):
    """YAML files of a folder: ``conf/`` of the working folder, ``--config-dir``, ``--config-path``."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Return a file of bounded size that follows :mod:`lifecycle.config.rules`."""
        name = self._normalize_file_name(config_path)
        file = Path(self.path, name)
        where = _shown(file)
        if file.is_file():
            with file.open(encoding="utf-8", errors="replace") as stream:  # not all of it: it may be a huge data file
                bounded_yaml.check(stream.read(bounded_yaml.MOST_CHARACTERS + 1), where)
        return _checked(super().load_config(config_path), name, where)


class CheckedPackages(ImportlibResourcesConfigSource):
    """YAML files of Python packages; those of packages that an argument names are checked as the user's."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Return a file; a user's is checked as in :class:`CheckedFiles`."""
        # Only our own package, and those of installed plugins of Hydra, may name code.
        trusted = self.path == OURS if self.provider == "main" else not self.provider.startswith(USERS)
        if trusted:
            return super().load_config(config_path)
        name = self._normalize_file_name(config_path)
        where = f"pkg://{self.path}/{name}"
        file = resources.files(self.path).joinpath(name)
        if file.is_file():
            bounded_yaml.check(file.read_bytes().decode("utf-8", "replace"), where)
        return _checked(super().load_config(config_path), name, where)


CHECKED: tuple[type[ConfigSource], ...] = (CheckedFiles, CheckedPackages)

# In the processes of a launcher, Hydra registers its own sources on top of these, and compares the names only.
CheckedFiles.__name__ = FileConfigSource.__name__
CheckedPackages.__name__ = ImportlibResourcesConfigSource.__name__


def _checked(found: ConfigResult, name: str, where: str) -> ConfigResult:
    content = OmegaConf.to_container(found.config, resolve=False)
    rules.check_file(content, name.removesuffix(".yaml"), found.header.get("package"), where)
    return found


def _shown(file: Path) -> str:
    """Return the path of a file from the working folder, where it is within it."""
    file = Path(os.path.normpath(file))  # not resolve(): a symbolic link is shown as the user wrote it
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


class LifecycleSearchPath(SearchPathPlugin):
    """Adds the plugins, and ``conf/`` of the working folder with the user's own presets and data sets."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append to Hydra's search path, after the package's own configs."""
        search_path.append("lifecycle-plugins", "lifecycle://")
        own = Path.cwd() / "conf"
        if own.is_dir():
            search_path.append("working-folder", f"file://{own}")


def register() -> None:
    """Register the sources with Hydra; call it before Hydra composes."""
    for plugin in (PluginSource, LifecycleSearchPath):
        Plugins.instance().register(plugin)
    OmegaConf.register_new_resolver("runs_folder", checked, replace=True)  # of hydra.sweep.dir


@contextmanager
def files_checked() -> Iterator[None]:
    """Check each user file before Hydra merges it, within the block.

    Every way to a file (``conf/``, ``--config-dir``, ``--config-path``, ``hydra.searchpath``) ends in Hydra's sources
    of the schemes ``file`` and ``pkg``, which are replaced here, and restored for other Hydra programs in the process.
    So is Hydra's loader, by one that reads them once.
    """
    register()
    types = SourcesRegistry.instance().types
    before, loader = {source.scheme(): types[source.scheme()] for source in CHECKED}, _hydra.ConfigLoaderImpl
    types.update({source.scheme(): source for source in CHECKED})
    _hydra.ConfigLoaderImpl = Loader
    try:
        yield
    finally:
        types.update(before)
        _hydra.ConfigLoaderImpl = loader


@contextmanager
def hydra_ready() -> Iterator[None]:
    """Initialize Hydra for our configurations within the block; restore the caller's own use of Hydra afterwards."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with files_checked(), hydra.initialize_config_module(OURS, version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before  # instance() again: initializing replaced the singleton
