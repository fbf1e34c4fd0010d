"""What Hydra sees of this package: plugins and typed fields as config files; and its complaints as sentences."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any, List  # noqa: UP035 - see PluginSource.list

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException, MissingConfigException, OverrideParseException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from lifecycle import registry
from lifecycle.config import Request, RunConfig, unknown_field
from lifecycle.errors import RequestError, did_you_mean
from lifecycle.optimizers import OPTIMIZERS

CONFIG_PACKAGE = "pkg://lifecycle.conf"
TYPES = {"Integer": "a whole number", "Float": "a number", "bool": "true or false", "String": "a text"}
GROUPS = ("data", "model", "optimizer")
SCHEMA = "run_schema"  # the name under which config.yaml finds RunConfig


class PluginSource(ConfigSource):
    """Plugins, optimizers and the typed root as Hydra configs; lists by name, imports only what is loaded."""

    @staticmethod
    def scheme() -> str:
        """Return the scheme of the search-path entry."""
        return "lifecycle"

    def available(self) -> bool:
        """Tell Hydra that the source can be read."""
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the typed configuration called ``model/<name>``, ``data/<name>``, ``optimizer/<name>`` or the root."""
        group, _, name = self._normalize_file_name(config_path).removesuffix(".yaml").rpartition("/")
        cls = RunConfig if name == SCHEMA else OPTIMIZERS[name] if group == "optimizer" else registry.load(group, name)
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
        return name in self._names(group)

    def list(self, config_path: str, results_filter: ObjectType | None) -> List[str]:  # noqa: UP006 - list is this method
        """List the names in a group; never imports a plugin."""
        group = config_path.rstrip("/")
        found = [] if results_filter == ObjectType.GROUP else self._names(group)
        if group == "" and results_filter != ObjectType.CONFIG:
            found = [*found, *GROUPS]
        return sorted(found)

    @staticmethod
    def _names(group: str) -> List[str]:  # noqa: UP006
        if group == "optimizer":
            return [*OPTIMIZERS]
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


def compose(overrides: list[str]) -> Request:
    """Compose a request from overrides, as the command line does.

    Raises:
        RequestError: names key, value and cure.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    register()
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_module("lifecycle.conf", version_base="1.3"):
            config = hydra.compose("config", overrides, return_hydra_config=True)
    except CompactHydraException as error:
        raise explain(error, overrides) from error
    with_hydra = config.hydra
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return request_of(config, with_hydra, command=shlex.join(["lifecycle", *overrides]))


def request_of(config: DictConfig, hydra: Any, command: str) -> Request:
    """Return the request of a composed configuration.

    Args:
        config: without its ``hydra`` node.
        hydra: that node: which options were chosen, and whether this is a job of a multirun.
        command: the command line, for the record.
    """
    choices = {str(group): str(name) for group, name in hydra.runtime.choices.items() if "/" not in str(group)}
    sweep = Path(hydra.sweep.dir).name if hydra.mode == RunMode.MULTIRUN else None
    return Request(config, choices, command, sweep)


def options() -> dict[str, list[str]]:
    """Return the names that each group offers: plugins, presets, and the user's own; imports no plugin."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    register()
    with hydra.initialize_config_module("lifecycle.conf", version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        return {group: list(loader.get_group_options(group)) for group in ("model", "data", "optimizer", "trainer")}


def explain(error: Exception, overrides: list[str]) -> RequestError:
    """Turn a complaint of Hydra or OmegaConf into one sentence with key, value and cure."""
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(error, MissingConfigException):
        return _missing_option(error, overrides)
    if isinstance(error, OverrideParseException):
        return RequestError(
            f"{error.override} cannot be read: {_first_line(error)}. Write key=value, and quote what the shell would "
            "change, as in 'model.hidden=[64,32]'."
        )
    if isinstance(cause, ValidationError) and cause.full_key:
        key, got = cause.full_key, _value(cause.full_key, overrides)
        return RequestError(f"{key} {_wrong_type(cause)}, got {got}. `lifecycle --cfg job` shows values that fit.")
    if isinstance(cause, OmegaConfBaseException) and cause.parent_node is not None and cause.key is not None:
        return _unknown_field(cause, overrides)
    return RequestError(_first_line(error) + (f" {_first_line(cause)}" if cause and cause is not error else ""))


def _missing_option(error: MissingConfigException, overrides: list[str]) -> RequestError:
    group, _, name = str(error.missing_cfg_file or "").removesuffix(".yaml").rpartition("/")
    known = [option for option in error.options or [] if option != name]
    if not group:
        return RequestError(f"{name} is no configuration: {_first_line(error)}.")
    hint = did_you_mean(name, known, f"{group}=")
    if group == "trainer" and name in ("gpu", "cpu", "auto"):
        hint = f" Did you mean trainer.accelerator={name}?"
    return RequestError(f"{group}={name} is not known.{hint} Choose one of: {', '.join(known)}.")


def _wrong_type(cause: ValidationError) -> str:
    """Return what OmegaConf wanted of a value, in words."""
    wanted = re.search(r"could not be converted to (\w+)|is not a valid (bool)", str(cause))
    if wanted:
        return f"must be {TYPES.get(wanted[1] or wanted[2], wanted[1])}"
    return "must have a value" if "not Optional" in str(cause) else f"is refused ({_first_line(cause)})"


def _unknown_field(cause: OmegaConfBaseException, overrides: list[str]) -> RequestError:
    key = str(cause.full_key or cause.key)
    known = list(cause.parent_node) if isinstance(cause.parent_node, DictConfig) else []
    group = key.rpartition(".")[0]
    chosen = _chosen(group, cause.object_type)
    return RequestError(unknown_field(key, _value(key, overrides), known, f"{group}={chosen}" if chosen else ""))


def _chosen(group: str, cls: Any) -> str:
    if group == "optimizer":
        return next((name for name, known in OPTIMIZERS.items() if known is cls), "")
    return registry.name_of(group, cls) if group in registry.GROUPS and isinstance(cls, type) else ""


def _value(key: str, overrides: list[str]) -> str:
    """Return what the user typed for a key, or an empty string."""
    key = re.sub(r"\[\d+\]$", "", key)  # an element of a list is typed with the list
    for override in reversed(overrides):
        name, found, value = override.lstrip("+~").partition("=")
        if found and re.sub(r"@.*", "", name) == key:
            return value
    return ""


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0].strip().rstrip(".") if str(error).strip() else type(error).__name__


def command_line() -> str:
    """Return the command as typed, for the record."""
    return shlex.join(
        [Path(sys.argv[0]).name if not sys.argv[0].endswith("__main__.py") else "lifecycle", *sys.argv[1:]]
    )
