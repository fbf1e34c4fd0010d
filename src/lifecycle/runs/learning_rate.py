"""Searches a learning rate for a request, without a run."""

from __future__ import annotations

from lifecycle.config.request import Request
from lifecycle.config.resolve import resolve
from lifecycle.fit import learning_rates
from lifecycle.fit.rising_rates import LearningRates
from lifecycle.profiling import clock
from lifecycle.runs import pipeline
from lifecycle.runtime import process_state


def find(request: Request, lowest: float, highest: float, steps: int) -> LearningRates:
    """Load the data and build the network of a request, and search a learning rate for its optimizer.

    Args:
        request: the composed request.
        lowest: rate of the first step.
        highest: rate of the last step.
        steps: number of steps.

    Raises:
        RequestError: the request cannot be met.
    """
    with process_state.preserved(), clock.profiled(request):
        job = resolve(request)
        prepared = pipeline.prepare(job)
        return learning_rates.find(prepared.module, prepared.data, job.trainer, job.seed, lowest, highest, steps)
