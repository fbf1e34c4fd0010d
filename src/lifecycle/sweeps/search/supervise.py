"""Gives the jobs of a search to workers as they are suggested."""

from __future__ import annotations

from lifecycle.sweeps.grouping import tasks
from lifecycle.sweeps.plan import Plan
from lifecycle.sweeps.search.trials import Trials, print_reason
from lifecycle.sweeps.supervise import Supervisor, conduct


class SearchSupervisor(Supervisor):
    """Gives jobs to workers, and asks for the next trial when a worker is free.

    Args:
        plan: of the search, stored.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, ())
        self.trials = Trials(plan)

    def end(self) -> None:
        """Let the workers end."""
        super().end()
        self.trials.close()

    def _has_more(self) -> bool:
        if not self._left:
            numbers = self.trials.next()
            self._left.extend(tasks(self.trials.plan, numbers))  # which has the new jobs now
        return super()._has_more()

    def _ended_job(self, number: int, how: str) -> None:
        super()._ended_job(number, how)
        if (number,) not in self._left:  # it is not to be tried again at once
            self.trials.ended(number, how)


def search(plan: Plan) -> dict[int, str]:
    """Run the trials of a search until one of its limits is reached.

    Args:
        plan: of the search, stored.

    Returns:
        How each job ended, by its number.

    Raises:
        RequestError: the data or the code have changed, or a finished run has no score of an objective.
        Interrupted: a signal arrived; the runs that were open are KILLED, and are resumed the next time.
    """
    supervisor = SearchSupervisor(plan)
    conduct(supervisor)
    print_reason(supervisor.trials.over, plan.verbose)
    return supervisor.ended
