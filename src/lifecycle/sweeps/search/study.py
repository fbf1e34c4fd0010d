"""The Optuna study of a search: its sampler, its pruner, and its trials in a journal file. Imports Optuna when used."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from lifecycle import layout
from lifecycle.errors import RequestError, Setting
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.search.space import CATEGORICAL, INT, Dimension, Search

if TYPE_CHECKING:
    import optuna

CONFIGURATION, OWNER, RUN = "configuration", "owner", "run"
"""Attributes of a trial: the configuration of its jobs, the process that waits for it, an earlier run that it is of."""

STAGNANT = 30
"""Complete trials without a better one after which ``sweep.terminate`` ends a search."""

SHARE = 27
"""A pruner waits for this part of the epochs: after fewer, a score says little of how a fit ends."""

REDUCTION = 3
"""The best of so many trials go on at each rung of Hyperband and ASHA."""


def check_installed(sampler: str) -> None:
    """Refuse a search without the packages that it needs.

    Raises:
        RequestError: says what to install.
    """
    needed = ["optuna", *(["cmaes"] if sampler == "cmaes" else [])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        several = len(missing) > 1
        packages = f"package{'s' * several} {', '.join(missing)}"
        problem = f"needs the {packages}, which {'are' if several else 'is'} not installed"
        raise RequestError(Setting("sweep", "optuna"), problem, remedy="Run pip install 'nn-lifecycle[sweep]'.")


class Study:
    """The trials of a search.

    Args:
        plan: of the search.
        watches: whether trials are only reported to, and not suggested: then no sampler is needed.
    """

    def __init__(self, plan: Plan, watches: bool = False) -> None:
        assert plan.search is not None  # noqa: S101 - its callers have checked it
        self._plan, self._search = plan, plan.search
        with _quiet():
            import optuna

            self._optuna = optuna
            self._study = optuna.create_study(
                study_name=plan.name,
                storage=optuna.storages.JournalStorage(_journal(plan.folder / layout.STUDY)),
                directions=["maximize" if one.higher else "minimize" for one in self._search.objectives],
                sampler=optuna.samplers.RandomSampler() if watches else None,
                pruner=_pruner(plan, self._search),
                load_if_exists=True,
            )

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """All trials, also those that failed."""
        return self._study.get_trials(deepcopy=False)

    @property
    def is_new(self) -> bool:
        """Whether it has no trial yet."""
        return not self.trials

    def ask(self, suggestions: int, anywhere: bool = False) -> tuple[optuna.trial.Trial, dict[str, str]]:
        """Return a trial and its values: one that waits, or a new one.

        Args:
            suggestions: a number that grows. The sampler is seeded with it: with the same seed at each start, a
                sampler would repeat its first suggestions. So an interrupted search goes on as if it was not.
            anywhere: draw at random rather than by the sampler.
        """
        with _quiet():
            self._study.sampler = _sampler(
                "random" if anywhere else self._plan.settings.sampler, self._seed, suggestions
            )
            trial = self._study.ask()
            return trial, self._search.suggest(trial)

    def wait(self, values: Mapping[str, str], **attributes: Any) -> None:
        """Let :meth:`ask` return a trial with these values next."""
        with _quiet():
            self._study.enqueue_trial(self._params(values), user_attrs=attributes)

    def add(self, values: Mapping[str, str], scores: Sequence[float] | None, **attributes: Any) -> None:
        """Add a trial that is complete; without scores, one that was pruned."""
        with _quiet():
            params = self._params(values)
            self._study.add_trial(
                self._optuna.trial.create_trial(
                    params=params,
                    distributions={key: self._distribution(key) for key in params},
                    values=None if scores is None else list(scores),
                    state=self._state("PRUNED" if scores is None else "COMPLETE"),
                    user_attrs=attributes,
                )
            )

    def tell(self, number: int, state: str, scores: Sequence[float] | None = None) -> None:
        """Record the end of a trial: ``COMPLETE`` with scores, ``PRUNED`` or ``FAIL``; an ended one stays as it is."""
        with _quiet():
            values = list(scores) if state == "COMPLETE" and scores is not None else None
            # Optuna takes either values, which mean COMPLETE, or a state.
            other = None if values is not None else self._state(state)
            self._study.tell(number, values, state=other, skip_if_finished=True)

    def has_stagnated(self) -> bool:
        """Return whether the last :data:`STAGNANT` complete trials brought nothing better.

        Earlier runs that it began with are no trials of this search.
        """
        with _quiet():
            from optuna import terminator

            complete = self._state("COMPLETE")
            own = [one for one in self.trials if one.state == complete and CONFIGURATION in one.user_attrs]
            if len(own) <= STAGNANT:
                return False
            study = self._optuna.create_study(directions=self._study.directions)
            study.add_trials(own)
            return terminator.Terminator(
                # It ends a search once more trials than this brought nothing better.
                terminator.BestValueStagnationEvaluator(STAGNANT - 1),
                terminator.StaticErrorEvaluator(0),
                min_n_trials=STAGNANT,
            ).should_terminate(study)

    def open_trial(self, configuration: str) -> OpenTrial | None:
        """Return the running trial of a configuration, to report to; ``None``: there is none."""
        with _quiet():
            found = [one for one in self.trials if one.user_attrs.get(CONFIGURATION) == configuration]
            running = [one for one in found if one.state == self._state("RUNNING")]
            if not running:
                return None
            trial = self._optuna.trial.Trial(self._study, running[-1]._trial_id)
            earlier = {step: value for one in found for step, value in one.intermediate_values.items()}
            return OpenTrial(trial, set(running[-1].intermediate_values), earlier)

    def _state(self, name: str) -> optuna.trial.TrialState:
        return self._optuna.trial.TrialState[name]

    @property
    def _seed(self) -> int:
        return int(self._search.bases[0].record["config"]["seed"])

    def _params(self, values: Mapping[str, str]) -> dict[str, Any]:
        return {one.key: one.value(values[one.key]) for one in self._search.dimensions if one.key in values}

    def _distribution(self, key: str) -> optuna.distributions.BaseDistribution:
        return _distribution(next(one for one in self._search.dimensions if one.key == key))


class OpenTrial:
    """A running trial that scores are reported to.

    Args:
        trial: of the study.
        reported: epochs that it has scores of.
        earlier: score by epoch of attempts that were killed.
    """

    def __init__(self, trial: optuna.trial.Trial, reported: set[int], earlier: Mapping[int, float]) -> None:
        self._trial, self._reported = trial, reported
        self._earlier = dict(earlier)

    def report(self, epoch: int, value: float) -> bool:
        """Report the score of an epoch, from 1; return whether the trial should be pruned."""
        with _quiet():
            # A resumed fit does not repeat the epochs before its checkpoint, which the pruner compares too.
            for step in sorted(step for step in self._earlier if step < epoch):
                self._add(step, self._earlier.pop(step))
            self._add(epoch, value)
            return self._trial.should_prune()

    def _add(self, epoch: int, value: float) -> None:
        if epoch not in self._reported:
            self._trial.report(value, epoch)
            self._reported.add(epoch)


def _distribution(one: Dimension) -> optuna.distributions.BaseDistribution:
    from optuna import distributions

    if one.kind == CATEGORICAL:
        return distributions.CategoricalDistribution(one.choices)
    if one.kind == INT:
        return distributions.IntDistribution(int(one.low), int(one.high), one.log, int(one.step or 1))
    return distributions.FloatDistribution(one.low, one.high, one.log, one.step)


def _journal(file: Path) -> optuna.storages.journal.BaseJournalBackend:
    from optuna.storages import journal
    from optuna.storages.journal._file import BaseJournalFileLock

    class Lock(BaseJournalFileLock):
        """A lock that the system releases when a process is killed; Optuna's own ones are left behind for 30 s."""

        def __init__(self) -> None:
            self._lock = FileLock(f"{file}.lock")

        def acquire(self) -> bool:
            self._lock.acquire()
            return True

        def release(self) -> None:
            self._lock.release()

    return journal.JournalFileBackend(os.fspath(file), lock_obj=Lock())


def _sampler(name: str, seed: int, suggestions: int) -> optuna.samplers.BaseSampler:
    from optuna import samplers

    one = int.from_bytes(hashlib.sha256(f"{seed} {suggestions}".encode()).digest()[:4])
    makers: dict[str, Callable[[], samplers.BaseSampler]] = {
        "tpe": lambda: samplers.TPESampler(seed=one),
        "random": lambda: samplers.RandomSampler(seed=one),
        "grid": lambda: samplers.RandomSampler(seed=one),  # its points are put in the queue of the study
        "gp": lambda: samplers.GPSampler(seed=one, warn_independent_sampling=False),
        "cmaes": lambda: samplers.CmaEsSampler(seed=one, warn_independent_sampling=False),
        "nsga2": lambda: samplers.NSGAIISampler(seed=one),
        "nsga3": lambda: samplers.NSGAIIISampler(seed=one),
        # Its points are those of one sequence, which the study counts: another seed would be another sequence.
        "qmc": lambda: samplers.QMCSampler(
            seed=seed,
            scramble=True,
            warn_independent_sampling=False,
            independent_sampler=samplers.RandomSampler(seed=one),
        ),
    }
    return makers[name]()


def _pruner(plan: Plan, search: Search) -> optuna.pruners.BasePruner:
    from optuna import pruners

    most = max(int(base.record["config"]["trainer"]["max_epochs"]) for base in search.bases)
    searched = [int(one.high) for one in search.dimensions if one.key == "trainer.max_epochs" and one.kind == INT]
    most = max([most, *searched])
    least = max(1, round(most / SHARE))
    makers: dict[str, Callable[[], pruners.BasePruner]] = {
        "none": pruners.NopPruner,
        "median": lambda: pruners.MedianPruner(n_warmup_steps=least),
        "percentile": lambda: pruners.PercentilePruner(25.0, n_warmup_steps=least),
        "hyperband": lambda: pruners.HyperbandPruner(least, max(most, least), REDUCTION),
        "asha": lambda: pruners.SuccessiveHalvingPruner(least, REDUCTION),
    }
    return makers[plan.settings.prune]()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's log lines, and its warnings of experimental or deprecated parts, from the output of a sweep."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        yield
