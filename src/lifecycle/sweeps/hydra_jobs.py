"""The jobs of a multirun as Hydra's grammar has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from lifecycle.config.compose import command_line
from lifecycle.errors import RequestError, Setting
from lifecycle.sweeps import run
from lifecycle.sweeps.results.board import Board

LAUNCHER, BASIC = "hydra/launcher", "basic"


def sweep(context: HydraContext, config: DictConfig, words: list[str]) -> Board:
    """Run the jobs of a multirun.

    Args:
        context: of Hydra.
        config: composed without the swept overrides, with the ``hydra`` node.
        words: the overrides, of which some are swept.

    Raises:
        RequestError: a job cannot be composed; none has started.
        SweepError: a job failed.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    loader = context.config_loader
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(words)
    plan = run.planned(parsed, lambda own: loader.load_sweep_config(config, own), command_line(), config)
    options = tuple(word for word in map(str, config.hydra.overrides.hydra) if word.startswith("hydra.launcher."))
    named = str(config.hydra.runtime.choices[LAUNCHER])  # in Hydra's own words: hydra/launcher=joblib
    settings = plan.settings
    if settings.launcher is None and named != BASIC:
        if plan.search is not None:
            problem = "runs jobs that are known in advance, and a search learns from each before it suggests another"
            raise RequestError(Setting(LAUNCHER, named), problem, remedy="Use sweep.workers.")
        settings = replace(settings, launcher=named)
        options += _options_of(loader, config, named)
    return run.run(replace(plan, settings=settings, launcher_options=options))


def _options_of(loader: Any, config: DictConfig, launcher: str) -> tuple[str, ...]:
    """Return the overrides by which files of the user change the options of a launcher of Hydra."""
    default = loader.load_configuration(
        config.hydra.job.config_name, [f"{LAUNCHER}={launcher}"], run_mode=config.hydra.mode
    )
    then, now = (_plain(one.hydra.launcher) for one in (default, config))
    changed = {key: value for key, value in now.items() if value != then.get(key) and isinstance(value, int | float)}
    return tuple(f"hydra.launcher.{key}={value}" for key, value in changed.items())


def _plain(node: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(node, resolve=False)
    assert isinstance(found, dict)  # noqa: S101 - of a DictConfig
    return {str(key): value for key, value in found.items()}
