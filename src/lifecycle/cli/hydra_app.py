"""Runs and multiruns, composed by Hydra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.cli.exit_codes import report
from lifecycle.profiling.clock import profiled
from lifecycle.runtime.processes import environment, is_helper
from lifecycle.sweeps.job import SweepError, run_job

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from lifecycle.config.schema import Request


def compose_and_run(arguments: list[str]) -> None:
    """Compose a request with Hydra, or each request of a multirun, and run it."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from lifecycle.config import compose, rules
    from lifecycle.config.explain import COMPOSING, explain
    from lifecycle.config.search_path import files_checked

    rules.check_arguments(arguments)
    command = compose.command_line()
    failure: list[Exception] = []
    sweep: list[Request] = []

    def job(config: DictConfig) -> None:
        try:
            request = compose.request_of(config, HydraConfig.get(), command)
            # The last job is enough for the report of the sweep, which reads the runs from MLflow.
            sweep[:] = [request] if request.sweep else []
            if request.sweep:
                compose.mask_sweep_file(HydraConfig.get())
            with profiled(request, is_command=True):
                if request.sweep is None:
                    _start(request)
                else:
                    run_job(request, HydraConfig.get().job.num, _start)
        except SweepError:
            raise
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                # run_job() prints the errors of a run; this one occurred before there was a request.
                report(error, full_error=False)
                raise SweepError from error
            failure.append(error)  # raised below: Hydra would wrap it in a message of its own

    # With this variable Hydra raises errors, which it would otherwise print itself before it exits with 1.
    try:
        masked_output = compose.masked_output(arguments)
        with files_checked(), environment(HYDRA_FULL_ERROR="1"), compose.arguments_for_hydra(arguments), masked_output:
            hydra.main(config_path=compose.CONFIG_PACKAGE, config_name="config", version_base="1.3")(job)()
    except SweepError:
        # Hydra raises it after the last job, so that the table has the other runs too.
        _report_sweep(sweep)
        raise
    except COMPOSING as error:
        raise explain(error, arguments) from error  # a job's errors do not get here, so composing failed
    _report_sweep(sweep)
    if failure:
        raise failure[0]


def _report_sweep(sweep: list[Request]) -> None:
    """Print the results of a multirun, where there was one."""
    if sweep:
        from lifecycle.sweeps.report import report_sweep

        report_sweep(sweep[0])


def _start(request: Request) -> None:
    """Run a request, while another process imports MLflow, which takes as long as importing PyTorch here."""
    from lifecycle.runtime import lazy_imports
    from lifecycle.tracking import client

    # A helper records nothing.
    if not is_helper():
        client.warm_up(request.tracking)
    with lazy_imports.quick_imports():
        from lifecycle.runs import pipeline
    pipeline.run(request)
