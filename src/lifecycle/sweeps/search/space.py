"""The space of a search: the settings that are searched, in Hydra's syntax, and the bases that they are set in.

The names of groups, such as ``model=mlp,cnn``, are searched too. For each combination of them the search has a base, a
configuration that was composed when it was planned. A field is searched in those bases that have it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

FLOAT, INT, CATEGORICAL = "float", "int", "categorical"


class Suggests(Protocol):
    """The part of an Optuna trial that suggests values."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """Suggest a real number from low to high."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """Suggest an integer from low to high."""
        ...

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Suggest one of the choices."""
        ...


@dataclass(frozen=True)
class Dimension:
    """A setting that is searched.

    Attributes:
        key: of the setting, ``optimizer.lr``; for a group its name, ``model``.
        kind: ``float``, ``int`` or ``categorical``.
        low, high: ends of a range of numbers, both included.
        step: between the numbers; ``None``: any real number, or any integer.
        log: whether factors rather than differences count.
        choices: texts of the values as typed.
        is_group: whether the values are names of a group of the configuration.
        added: whether the group is typed with a plus, as ``+experiment`` is.
    """

    key: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    choices: tuple[str, ...] = ()
    is_group: bool = False
    added: bool = False

    def suggest(self, trial: Suggests) -> str:
        """Return the text of a suggested value."""
        if self.kind == CATEGORICAL:
            return str(trial.suggest_categorical(self.key, list(self.choices)))
        if self.kind == INT:
            step = 1 if self.step is None else int(self.step)
            return str(trial.suggest_int(self.key, int(self.low), int(self.high), step=step, log=self.log))
        return repr(float(trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)))

    def value(self, text: str) -> str | float | int:
        """Return what Optuna has for the text of a value."""
        return text if self.kind == CATEGORICAL else int(text) if self.kind == INT else float(text)

    def contains(self, text: str) -> bool:
        """Return whether the text is that of a value of this dimension."""
        if self.kind == CATEGORICAL:
            return text in self.choices
        number = float(text)
        is_on_grid = self.step is None or math.isclose(
            (number - self.low) / self.step, round((number - self.low) / self.step), abs_tol=1e-9
        )
        return self.low <= number <= self.high and is_on_grid and (self.kind == FLOAT or number.is_integer())

    def word(self, text: str) -> str:
        """Return the override that sets a value."""
        return f"{'+' * self.added}{self.key}={text}"

    @property
    def values(self) -> list[str] | None:
        """The texts of all values, where they can be listed."""
        if self.kind == CATEGORICAL:
            return list(self.choices)
        if self.kind == INT:
            return [str(number) for number in range(int(self.low), int(self.high) + 1, int(self.step or 1))]
        if self.step is None:
            return None
        count = round((self.high - self.low) / self.step)
        return [repr(self.low + at * self.step) for at in range(count + 1)]

    @property
    def ends(self) -> list[str]:
        """The texts of the values that are tried before the first job: all choices, or both ends."""
        if self.kind == CATEGORICAL:
            return list(self.choices)
        return [str(int(end)) if self.kind == INT else repr(float(end)) for end in (self.low, self.high)]


@dataclass(frozen=True)
class Base:
    """The configuration that values are set in, for one combination of the names of groups.

    Attributes:
        names: of the searched groups, by group.
        fields: keys of the searched fields that it has.
        record: of its request, see :func:`lifecycle.config.records.request_record.record_of`.
        words: overrides that it was composed with.
        data: digest of its data.
        code: see :func:`lifecycle.sweeps.signature.code_of`.
    """

    names: Mapping[str, str]
    fields: tuple[str, ...]
    record: Mapping[str, Any]
    words: tuple[str, ...]
    data: str
    code: Mapping[str, str]


@dataclass(frozen=True)
class Objective:
    """A score that is searched for.

    Attributes:
        metric: as runs record it when they finish.
        higher: whether a higher value is better.
        monitor: the score of each epoch that is reported to the pruner.
    """

    metric: str
    higher: bool
    monitor: str


@dataclass(frozen=True)
class Search:
    """What is searched, and for what.

    Attributes:
        dimensions: of the space, groups first.
        bases: one for each combination of the names of groups.
        objectives: one, or several of which no order is known.
        seeds: number of seeds of each trial; ``None``: one run.
        runs: of each trial, one for each of its seeds and folds.
    """

    dimensions: tuple[Dimension, ...]
    bases: tuple[Base, ...]
    objectives: tuple[Objective, ...]
    seeds: int | None = None
    runs: int = 1
    groups: tuple[Dimension, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(one for one in self.dimensions if one.is_group))

    def base(self, values: Mapping[str, str]) -> Base:
        """Return the base of a trial."""
        names = {one.key: values[one.key] for one in self.groups}
        return next(base for base in self.bases if base.names == names)

    def suggest(self, trial: Suggests) -> dict[str, str]:
        """Return the text of a value of each setting: of the groups, then of the fields that their base has."""
        values = {one.key: one.suggest(trial) for one in self.groups}
        fields = self.base(values).fields
        return values | {one.key: one.suggest(trial) for one in self.dimensions if one.key in fields}

    def of_words(self, words: tuple[str, ...]) -> dict[str, str]:
        """Return the values of a trial from the overrides of one of its jobs."""
        known = {one.key for one in self.dimensions}
        pairs = [word.lstrip("+").partition("=") for word in words]
        return {key: value for key, _, value in pairs if key in known}

    @property
    def size(self) -> int | None:
        """The number of combinations; ``None``: there is a real number among the settings."""
        total = 0
        for base in self.bases:
            lists = [one.values for one in self.dimensions if one.key in base.fields]
            if any(values is None for values in lists):
                return None
            total += math.prod(len(values or ()) for values in lists)
        return total

    def combinations(self) -> Iterator[dict[str, str]]:
        """Yield all combinations of a finite space, the last setting varying fastest."""
        for base in self.bases:
            free = [one for one in self.dimensions if one.key in base.fields]
            for values in itertools.product(*(one.values or () for one in free)):
                yield {**base.names, **dict(zip((one.key for one in free), values, strict=True))}


def read(record: Mapping[str, Any]) -> Search:
    """Return a search from its fields in plain values."""
    dimensions = [Dimension(**{**one, "choices": tuple(one["choices"])}) for one in record["dimensions"]]
    bases = [Base(**{**one, "fields": tuple(one["fields"]), "words": tuple(one["words"])}) for one in record["bases"]]
    objectives = [Objective(**one) for one in record["objectives"]]
    return Search(tuple(dimensions), tuple(bases), tuple(objectives), record["seeds"], record["runs"])
