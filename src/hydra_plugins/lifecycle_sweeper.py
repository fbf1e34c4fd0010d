"""Hydra's way into a sweep of lifecycle: Hydra accepts sweepers from the package ``hydra_plugins`` only.

Every Hydra application of the environment imports this module, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LifecycleSweeper(Sweeper):
    """Composes every job before the first one starts; see :mod:`lifecycle.sweeps.hydra_jobs`.

    Args:
        params: swept overrides of a configuration file, ``hydra.sweeper.params``.
    """

    def __init__(self, params: dict[str, str] | None = None) -> None:
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra knows. The task function is that of single runs."""
        self.context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs of a multirun."""
        from lifecycle.sweeps import hydra_jobs

        return hydra_jobs.sweep(self.context, self.config, [*(f"{k}={v}" for k, v in self.params.items()), *arguments])


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="lifecycle",
    node={"_target_": f"{__name__}.{LifecycleSweeper.__name__}", "params": None},
    provider="lifecycle",
)
