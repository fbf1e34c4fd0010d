"""Hydra's completion, with a list offered as a value: ``model.hidden=`` rather than ``model.hidden.``."""

from __future__ import annotations

from typing import Any

from lifecycle.errors import as_typed


def complete_lists_as_values() -> None:
    """Have Hydra's completion offer fields that hold a list, or a mapping without keys, with an equals sign.

    Hydra offers their elements, of which a command line sets none.
    """
    from hydra.plugins.completion_plugin import CompletionPlugin

    found = CompletionPlugin._get_matches
    plugin: Any = CompletionPlugin
    plugin._get_matches = staticmethod(lambda config, word: found(_with_values(config), word))


def _with_values(config: Any) -> Any:
    from omegaconf import DictConfig, OmegaConf

    if not isinstance(config, DictConfig):
        return config
    return OmegaConf.create(_values(OmegaConf.to_container(config, resolve=False)))


def _values(node: Any) -> Any:
    if isinstance(node, dict) and node:
        return {key: _values(value) for key, value in node.items()}
    return as_typed(node) if isinstance(node, dict | list) else node
