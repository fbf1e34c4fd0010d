"""Runs jobs by a launcher of Hydra, in processes of its own; how they ended is read from the store."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import util
from pathlib import Path
from shutil import which
from typing import Any

from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from lifecycle.config.search_path import hydra_ready
from lifecycle.errors import RequestError, Setting, first_line
from lifecycle.runtime.labels import lines_labelled
from lifecycle.sweeps import plan as plans
from lifecycle.sweeps.execute import execute
from lifecycle.sweeps.plan import Plan

MARK = "lifecycle_job"
"""Key of the job in the configuration of a launcher's process: folder of the sweep, and number."""

EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}
"""Launchers for which this package has an extra."""

SLURM = "submitit_slurm"


def check(name: str) -> None:
    """Refuse a launcher that is not installed, or that lacks the program that it needs.

    Args:
        name: ``sweep.launcher``.

    Raises:
        RequestError: says what to install.
    """
    with hydra_ready():
        found = _loader().get_group_options("hydra/launcher")
    if name not in found:
        extra = EXTRAS.get(name)
        package = f"'nn-lifecycle[{extra}]'" if extra else f"hydra-{name.partition('_')[0]}-launcher"
        remedy = f"Install it: pip install {package}. Installed: {', '.join(sorted({*found, *_ours()}))}."
        raise RequestError(Setting("sweep.launcher", name), "is not installed", remedy=remedy)
    if name == SLURM and which("sbatch") is None:
        problem = "needs the command sbatch, which is not on this machine"
        remedy = "Type the command on a login node of the cluster, or use sweep.launcher=submitit_local to try it here."
        raise RequestError(Setting("sweep.launcher", name), problem, remedy=remedy)


def _ours() -> list[str]:
    return ["ray"] if util.find_spec("ray") is not None else []


def launch(plan: Plan, numbers: Sequence[int]) -> dict[int, str]:
    """Have the launcher run the jobs, and write the summary of the sweep.

    Returns:
        How jobs ended: nothing, as launchers do not say.

    Raises:
        RequestError: an option of the launcher is unknown, or it cannot start.
    """
    with hydra_ready():
        config = _config(plan)
        context = HydraContext(config_loader=_loader(), callbacks=_callbacks(config))
        try:
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=context, task_function=run_marked, config=config
            )
            words = [[f"+{MARK}='{plan.folder}:{number}'"] for number in numbers]
            launcher.launch(words, initial_job_idx=0)
        except (RuntimeError, ImportError) as error:
            problem = f"could not run the jobs: {first_line(error)}"
            remedy = f"{plan.to_continue} continues; sweep.launcher=null runs the jobs on this machine."
            raise RequestError(Setting("sweep.launcher", plan.settings.launcher), problem, remedy=remedy) from error
    from lifecycle.sweeps.results import summary  # it imports pandas and matplotlib

    summary.attempt(plan)
    return {}


def _config(plan: Plan) -> DictConfig:
    words = [f"hydra/launcher={plan.settings.launcher}", *plan.launcher_options]
    if plan.settings.gpus_per_job and str(plan.settings.launcher).startswith("submitit"):
        words.insert(1, f"hydra.launcher.gpus_per_node={max(1, round(plan.settings.gpus_per_job))}")
    config: DictConfig = _loader().load_configuration("config", words, run_mode=RunMode.MULTIRUN)
    OmegaConf.update(config, "hydra.sweep.dir", str(plan.folder), force_add=True)
    return config


def _callbacks(config: DictConfig) -> Any:
    from hydra._internal.callbacks import Callbacks

    return Callbacks(config)


def _loader() -> Any:
    from hydra.core.global_hydra import GlobalHydra

    return GlobalHydra.instance().config_loader()


def run_marked(config: DictConfig) -> str:
    """Run the job that a configuration is marked with; a launcher calls this in a process of its own."""
    folder, _, number = str(config[MARK]).rpartition(":")
    plan = plans.read(Path(folder))
    with lines_labelled(f"[{int(number) + 1}] "):
        return execute(plan, plan.jobs[int(number)])
