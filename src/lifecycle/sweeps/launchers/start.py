"""Runs jobs by the launcher that the settings of a sweep name."""

from __future__ import annotations

from collections.abc import Sequence

from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.supervise import check_gpus, lacks_summary, supervise

RAY = "ray"


def check(plan: Plan) -> None:
    """Refuse a launcher that is not installed, before anything is stored.

    Raises:
        RequestError: says how to install it.
    """
    if plan.settings.launcher is None:
        check_gpus(plan.settings)
    elif plan.settings.launcher == RAY:
        from lifecycle.sweeps.launchers import ray_launcher

        ray_launcher.check()
    else:
        from lifecycle.sweeps.launchers import hydra_launcher

        hydra_launcher.check(plan.settings.launcher)


def run_jobs(plan: Plan, numbers: Sequence[int]) -> dict[int, str]:
    """Run jobs of a stored sweep, and write its summary.

    Args:
        plan: of the sweep.
        numbers: of the jobs.

    Returns:
        How jobs ended, by number, as :func:`lifecycle.sweeps.supervise.supervise` returns it.

    Raises:
        Interrupted: a signal arrived.
        LifecycleError: the launcher cannot start.
    """
    if plan.settings.launcher is None:
        return supervise(plan, numbers)
    if not numbers:
        if lacks_summary(plan):
            from lifecycle.sweeps.results import summary  # it imports pandas and matplotlib

            summary.attempt(plan)
        return {}
    if plan.settings.launcher == RAY:
        from lifecycle.sweeps.launchers import ray_launcher

        return ray_launcher.launch(plan, numbers)
    from lifecycle.sweeps.launchers import hydra_launcher

    return hydra_launcher.launch(plan, numbers)
