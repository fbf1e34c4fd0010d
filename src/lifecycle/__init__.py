"""Take a neural network through its whole life in one command: define, compile, fit, evaluate, predict.

:func:`run` takes the arguments of the command, :class:`Model` data in memory.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lifecycle.api.cross_validation import cross_validate
    from lifecycle.api.model import Model
    from lifecycle.api.sweep import Sweep
    from lifecycle.runs.pipeline import Result

__all__ = ["Model", "__version__", "cross_validate", "run", "sweep"]

__version__ = metadata.version("nn-lifecycle")


def __getattr__(name: str) -> Any:
    """Import ``Model`` when it is used: it imports torch, which takes seconds.

    Raises:
        ImportError: the import failed with an ``AttributeError``, which Python would take for "there is no such name".
    """
    try:
        if name == "Model":
            from lifecycle.runtime.imports.quick import quick_imports

            with quick_imports(ours=False):
                from lifecycle.api.model import Model

            return Model
        if name == "cross_validate":
            from lifecycle.api.cross_validation import cross_validate

            return cross_validate
    except AttributeError as error:
        raise ImportError(f"lifecycle.{name} cannot be imported: {type(error).__name__}: {error}") from error
    from lifecycle.api import hints

    raise hints.not_here(__name__, name)


def __dir__() -> list[str]:
    """Return all names, including those that are imported lazily."""
    return sorted({*globals(), *__all__})


def sweep(overrides: list[str]) -> Sweep:
    """Run the jobs of a multirun, as ``lifecycle -m`` does, and return what became of them.

    Jobs are run in processes of their own. Called again, it skips those that are finished.

    Args:
        overrides: as typed after ``lifecycle -m``: ``["data=iris", "optimizer.lr=0.001,0.01", "seeds=3"]``.

    Returns:
        The runs as a frame, the configurations with mean and interval, the best, the failures.

    Raises:
        lifecycle.errors.RequestError: a job cannot be composed, or its seeds or folds cannot be met.

    >>> import lifecycle
    >>> words = ["data=iris", "optimizer.lr=0.001,0.01", "seeds=2", "trainer.max_epochs=5", "verbose=0"]
    >>> found = lifecycle.sweep([*words, "tracking.figures=false"])
    >>> len(found.frame), len(found.summary), found.best, found.failures
    (4, 2, {'optimizer.lr': '0.01'}, [])
    """
    from lifecycle.api import sweep as sweeps

    return sweeps.sweep(overrides)


def run(overrides: list[str]) -> Result:
    """Run the command with the same arguments, and return its result.

    Args:
        overrides: as typed after ``lifecycle``, for instance ``["model=mlp", "data=iris", "seed=1"]``.

    Returns:
        Scores, history, predictions and the trained model; see :class:`lifecycle.runs.pipeline.Result`.

    Raises:
        lifecycle.errors.RequestError: the request cannot be met; the message has the key, the value and a remedy.
        lifecycle.errors.LifecycleError: the run failed.

    >>> import lifecycle
    >>> result = lifecycle.run(["model=mlp", "data=iris", "trainer.max_epochs=20", "verbose=0"])
    >>> result.scores["test_accuracy"] > 0.8
    True
    """
    from lifecycle.config import compose
    from lifecycle.profiling import clock
    from lifecycle.runtime.processes import turn
    from lifecycle.tracking import client

    with turn():
        request = compose.compose(overrides)
        compose.check_is_one(request)
        client.warm_up(request.tracking)
        with clock.profiled(request):
            from lifecycle.runs import pipeline

            result = pipeline.run(request)
    assert result is not None  # noqa: S101 - only helpers of a ddp run return None, and they end with the script
    return result
