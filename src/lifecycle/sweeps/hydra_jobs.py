"""The jobs of a multirun as Hydra's grammar has them, run by workers of this machine or by a launcher of Hydra."""

from __future__ import annotations

from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from lifecycle.config.compose import command_line
from lifecycle.errors import RequestError, Setting
from lifecycle.sweeps import plan as plans
from lifecycle.sweeps import run
from lifecycle.sweeps.board import Board
from lifecycle.sweeps.execute import execute
from lifecycle.sweeps.plan import Plan

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
MARK = "lifecycle_job"
"""Key of the job in the configuration of a launcher's process: folder of the sweep, and number."""


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
    if plan.settings.launcher is None and config.hydra.launcher.get("_target_") == BASIC:
        return run.run(plan)
    if plan.search is not None:
        problem = "runs jobs that are known in advance, and a search learns from each before it suggests another"
        launcher = str(config.hydra.runtime.choices.get("hydra/launcher"))
        raise RequestError(Setting("hydra/launcher", launcher), problem, remedy="Use sweep.workers.")
    return run.conclude(_launch(context, config, plan), {})


def _launch(context: HydraContext, config: DictConfig, plan: Plan) -> Plan:
    """Run the jobs by a launcher of Hydra's, in processes of its own; how they ended is read from MLflow."""
    name = plan.settings.launcher
    if name is not None:
        found = context.config_loader.get_group_options("hydra/launcher")
        if name not in found:
            remedy = f"Install hydra-{name.partition('_')[0]}-launcher. Installed: {', '.join(found)}."
            raise RequestError(Setting("sweep.launcher", name), "is not installed", remedy=remedy)
        of_hydra = [str(word) for word in config.hydra.overrides.hydra]
        config = context.config_loader.load_configuration(
            config.hydra.job.config_name, [*of_hydra, f"hydra/launcher={name}"], run_mode=config.hydra.mode
        )
    plan = run.stored(plan)
    OmegaConf.update(config, "hydra.sweep.dir", str(plan.folder), force_add=True)
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=run_marked, config=config)
    launcher.launch([[f"+{MARK}='{plan.folder}:{job.number}'"] for job in plan.jobs], initial_job_idx=0)
    from lifecycle.sweeps import summary  # it imports pandas and matplotlib

    summary.write(plan)
    return plan


def run_marked(config: DictConfig) -> str:
    """Run the job that a configuration is marked with; a launcher calls this in a process of its own."""
    folder, _, number = str(config[MARK]).rpartition(":")
    plan = plans.read(Path(folder))
    return execute(plan, plan.jobs[int(number)])
