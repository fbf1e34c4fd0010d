"""Runs and sweeps, composed by Hydra."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lifecycle import registry
from lifecycle.errors import LifecycleError
from lifecycle.profiling.clock import profiled
from lifecycle.runtime.imports import preloading
from lifecycle.runtime.processes import environment, is_helper

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from lifecycle.config.request import Request


def compose_and_run(arguments: list[str]) -> None:
    """Compose a request with Hydra and run it, or all jobs of a sweep."""
    # A word that begins with a dash asks for a sweep, whose jobs are run by other processes, or only for a text.
    if not any(word.startswith("-") for word in arguments):
        preloading.load_libraries()
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from lifecycle.config import compose, rules
    from lifecycle.config.explain import COMPOSING, explain
    from lifecycle.config.search_path import files_checked

    rules.check_arguments(arguments)
    command = compose.command_line()
    arguments = [compose.in_full(word) for word in arguments]
    arguments += _chosen_launcher(arguments)
    failure: list[Exception] = []
    many: list[bool] = []

    def job(config: DictConfig) -> None:
        """Run a single request; the sweeper does not call this."""
        try:
            request = compose.request_of(config, HydraConfig.get(), command)
            if compose.has_many(request):
                many.append(True)
                return
            with profiled(request, is_command=True):
                _start(request)
        except Exception as error:
            failure.append(error)  # raised below: Hydra would wrap it in a message of its own

    # With this variable Hydra raises errors, which it would otherwise print itself before it exits with 1.
    try:
        masked_output = compose.masked_output(arguments)
        _register_sweeper()
        with files_checked(), environment(HYDRA_FULL_ERROR="1"), compose.arguments_for_hydra(arguments), masked_output:
            hydra.main(config_path=compose.CONFIG_PACKAGE, config_name="config", version_base="1.3")(job)()
    except COMPOSING as error:
        if isinstance(error, LifecycleError):
            raise
        raise explain(error, arguments) from error  # a job's errors do not get here, so composing failed
    if failure:
        raise failure[0]
    if many:
        compose_and_run(["--multirun", *arguments])


def _chosen_launcher(arguments: list[str]) -> list[str]:
    """Return Hydra's choice of the launcher that ``sweep.launcher`` names, whose options Hydra would refuse without.

    Raises:
        RequestError: the launcher is not installed.
    """
    named = [word.partition("=")[2] for word in arguments if word.startswith("sweep.launcher=")]
    has_options = any(word.startswith("hydra.launcher.") for word in arguments)
    has_choice = any(word.startswith("hydra/launcher=") for word in arguments)
    if not named or not has_options or has_choice:
        return []
    from lifecycle.sweeps.launchers import hydra_launcher

    hydra_launcher.check(named[-1])
    return [f"hydra/launcher={named[-1]}"]


def _register_sweeper() -> None:
    """Register the sweeper with Hydra, which does not find it in every kind of installation."""
    from hydra.core.plugins import Plugins

    Plugins.instance().register(import_module("hydra_plugins.lifecycle_sweeper").LifecycleSweeper)


def _start(request: Request) -> None:
    """Run a request, while another process imports what recording needs, which takes as long as PyTorch here."""
    from lifecycle.runtime.imports.quick import quick_imports
    from lifecycle.tracking import client

    # A helper records nothing.
    if not is_helper():
        client.warm_up(request.tracking)
    # Our own plugins neither trace a network nor run one on the device meta; those of others may.
    is_own = all(plugin.__module__.startswith("lifecycle.") for plugin in registry.loaded().values())
    with quick_imports(with_shapes=not is_own):
        from lifecycle.runs import pipeline
    pipeline.run(request)
