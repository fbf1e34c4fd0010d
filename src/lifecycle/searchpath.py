"""What Hydra finds of this package: plugins, typed choices and the typed root as configs, beside those in conf/."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import List  # noqa: UP035 - see PluginSource.list

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from lifecycle import registry
from lifecycle.config import RunConfig
from lifecycle.groups import TYPED

GROUPS = (*registry.GROUPS, *TYPED)
CHOICES = (*GROUPS, "trainer", "tracking")
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


@contextmanager
def hydra_ready() -> Iterator[ConfigLoader]:
    """Make Hydra ready to compose our configurations, and leave it as it was: it may be in use by the caller."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    register()
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_module("lifecycle.conf", version_base="1.3"):
            yield GlobalHydra.instance().config_loader()
    finally:
        GlobalHydra.instance().hydra = before  # another instance by now


def options() -> dict[str, list[str]]:
    """Return the names that each group offers: plugins, presets, and the user's own; imports no plugin."""
    with hydra_ready() as loader:
        return {group: list(loader.get_group_options(group)) for group in CHOICES}
