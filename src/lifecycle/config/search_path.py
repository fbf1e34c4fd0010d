"""What Hydra finds of this package: plugins, typed choices and the typed root as configs, beside those in conf/."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import List  # noqa: UP035 - see PluginSource.list

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from lifecycle import registry
from lifecycle.config import bounded_yaml, rules
from lifecycle.config.choices import TYPED
from lifecycle.config.schema import RunConfig
from lifecycle.config.tracking_address import checked

GROUPS = (*registry.GROUPS, *TYPED)
CHOICES = (*GROUPS, "trainer", "tracking")
"""Groups of which each run has one."""

EXPERIMENT = "experiment"
"""The group whose files choose and set all the others; a run may have one, asked for with a plus."""
OURS = "lifecycle.conf"
USERS = ("main", "command-line", "hydra.searchpath")
"""How Hydra calls, at the beginning, who named a place to search: not a plugin that is installed."""
SCHEMA = "run_schema"  # the name under which config.yaml finds RunConfig


class PluginSource(ConfigSource):
    """Plugins, typed choices and the typed root as Hydra configs; lists by name, imports only what is loaded."""

    @staticmethod
    def scheme() -> str:
        """Return the scheme of the search-path entry."""
        return "lifecycle"

    def available(self) -> bool:
        """Tell Hydra that the source can be read."""
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the typed configuration called ``<group>/<name>``, or the root."""
        group, _, name = self._normalize_file_name(config_path).removesuffix(".yaml").rpartition("/")
        cls = RunConfig if name == SCHEMA else TYPED[group][name] if group in TYPED else registry.load(group, name)
        config = OmegaConf.structured(cls)
        return ConfigResult(
            provider=self.provider,
            path="lifecycle://",
            config=config,
            header={"package": "_global_" if name == SCHEMA else None},
        )

    def is_group(self, config_path: str) -> bool:
        """Tell whether the source has configs in this group."""
        return config_path.rstrip("/") in {"", *GROUPS}

    def is_config(self, config_path: str) -> bool:
        """Tell whether the source has this config."""
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        return name in self.names(group)

    def list(self, config_path: str, results_filter: ObjectType | None) -> List[str]:  # noqa: UP006 - list is this method
        """List the names in a group; never imports a plugin."""
        group = config_path.rstrip("/")
        found = [] if results_filter == ObjectType.GROUP else self.names(group)
        if group == "" and results_filter != ObjectType.CONFIG:
            found = [*found, *GROUPS]
        return sorted(found)

    @staticmethod
    def names(group: str) -> List[str]:  # noqa: UP006
        """Return the names in a group; imports no plugin."""
        if group in TYPED:
            return [*TYPED[group]]
        if group in registry.GROUPS:
            return [*registry.plugins(group)]
        return [SCHEMA] if group == "" else []


class CheckedFiles(FileConfigSource):
    """YAML files of a folder: ``conf/`` of the working folder, ``--config-dir``, ``--config-path``."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Return a file that keeps to :mod:`lifecycle.config.rules`, and whose size is bounded."""
        name = self._normalize_file_name(config_path)
        file = Path(self.path, name)
        where = _shown(file)
        if file.is_file():
            with file.open(encoding="utf-8", errors="replace") as stream:
                bounded_yaml.check(stream.read(bounded_yaml.MOST_CHARACTERS + 1), where)
        return _checked(super().load_config(config_path), name, where)


class CheckedPackages(ImportlibResourcesConfigSource):
    """YAML files of Python packages; those that a word or a flag names are the user's."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Return a file; one of the user's is checked as :class:`CheckedFiles` does."""
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


def _checked(found: ConfigResult, name: str, where: str) -> ConfigResult:
    content = OmegaConf.to_container(found.config, resolve=False)
    rules.check_file(content, name.removesuffix(".yaml"), found.header.get("package"), where)
    return found


def _shown(file: Path) -> str:
    """Return the path of a file as a person would write it."""
    file = Path(os.path.normpath(file))
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


class LifecycleSearchPath(SearchPathPlugin):
    """Adds the plugins, and a folder ``conf/`` of the working folder for the user's own presets and data sets."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append to Hydra's search path; what the package brings is found first."""
        search_path.append("lifecycle-plugins", "lifecycle://")
        own = Path.cwd() / "conf"
        if own.is_dir():
            search_path.append("working-folder", f"file://{own}")


def register() -> None:
    """Make Hydra see plugins; to be called before it composes anything."""
    for plugin in (PluginSource, LifecycleSearchPath):
        Plugins.instance().register(plugin)
    OmegaConf.register_new_resolver("runs_folder", checked, replace=True)  # of hydra.sweep.dir


@contextmanager
def files_checked() -> Iterator[None]:
    """Have each file of the user's checked before Hydra merges it, while the block lasts.

    All ways to a file (a folder ``conf/``, ``--config-dir``, ``--config-path``, ``hydra.searchpath``) end in Hydra's
    sources of the schemes ``file`` and ``pkg``. Other Hydra programs in the process have their own back afterwards.
    """
    register()
    types = SourcesRegistry.instance().types
    before = {source.scheme(): types[source.scheme()] for source in CHECKED}
    types.update({source.scheme(): source for source in CHECKED})
    try:
        yield
    finally:
        types.update(before)


@contextmanager
def hydra_ready() -> Iterator[ConfigLoader]:
    """Make Hydra ready to compose our configurations, and leave it as it was: it may be in use by the caller."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with files_checked(), hydra.initialize_config_module(OURS, version_base="1.3"):
            yield GlobalHydra.instance().config_loader()
    finally:
        GlobalHydra.instance().hydra = before  # another instance by now


def options() -> dict[str, list[str]]:
    """Return the names that each group offers: plugins, presets, and the user's own; imports no plugin."""
    with hydra_ready() as loader:
        return {group: list(loader.get_group_options(group)) for group in (*CHOICES, EXPERIMENT)}
