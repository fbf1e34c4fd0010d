"""Runs jobs by a launcher of Hydra, in processes of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from importlib import util
from pathlib import Path
from shutil import which
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from lifecycle.config.search_path import hydra_ready
from lifecycle.credentials import masked
from lifecycle.errors import RequestError, Setting, first_line
from lifecycle.runtime.labels import lines_labelled
from lifecycle.runtime.lines import say
from lifecycle.sweeps import plan as plans
from lifecycle.sweeps.execute import FAILED, execute
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.supervise import DIED
from lifecycle.tracking import sweep_runs
from lifecycle.tracking.sweep_runs import DEAD

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
        How each job ended, by its number. Where the process of a job ended, launchers say nothing of the other jobs:
        those that have no run that has ended, or is open, count as died.

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
            answers = launcher.launch(words, initial_job_idx=0)
            ended = {number: _how(plan, number, answer) for number, answer in zip(numbers, answers, strict=True)}
        except (RuntimeError, ImportError) as error:
            if not _is_death(error):
                problem = f"could not run the jobs: {first_line(error)}"
                remedy = f"{plan.to_continue} continues; sweep.launcher=null runs the jobs on this machine."
                raise RequestError(Setting("sweep.launcher", plan.settings.launcher), problem, remedy=remedy) from error
            message = f"lifecycle: {plan.settings.launcher} lost the process of a job: {first_line(error)}"
            say(masked(message), file=sys.stderr, flush=True)
            ended = dict.fromkeys(_unended(plan, numbers), DIED)
    from lifecycle.sweeps.results import summary  # it imports pandas and matplotlib

    summary.attempt(plan)
    return ended


def _how(plan: Plan, number: int, answer: JobReturn) -> str:
    """Return how a job ended; an error that it did not report itself is printed."""
    if answer.status == JobStatus.COMPLETED:
        return str(answer.return_value)
    title, error = plan.title(plan.jobs[number]), first_line(answer._return_value)
    say(masked(f"lifecycle: {title} could not be run: {error}"), file=sys.stderr, flush=True)
    return FAILED


def _is_death(error: Exception) -> bool:
    """Return whether an error of a launcher says that the process of a job has ended: by Slurm, for want of memory."""
    if isinstance(error, BrokenExecutor):  # of joblib
        return True
    return any(cls.__name__ == "UncompletedJobError" for cls in type(error).__mro__)  # of submitit


def _unended(plan: Plan, numbers: Sequence[int]) -> list[int]:
    """Return the jobs without a run that is finished, has failed, or is still open in another process."""
    by_number = {number: plan.jobs[number].signature for number in numbers}
    known = sweep_runs.runs_of(plan.place, plan.tracking.experiment, by_number.values(), plan.name)
    statuses = {signature: sweep_runs.standing(runs).status for signature, runs in known.items()}
    return [number for number, one in by_number.items() if statuses.get(one) in (None, DEAD, "KILLED")]


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
