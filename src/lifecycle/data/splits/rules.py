"""The rules by which independent rows are divided: fields of data plugins, and the choice of a way to split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from lifecycle.checks import in_range, one_of
from lifecycle.contract import Fold, Samples, Split
from lifecycle.data.splits import given, groups, in_time
from lifecycle.data.splits.folds import folded, seed_of
from lifecycle.data.splits.holdout import LAST, RANDOM, stratified, stratified_if_possible, together
from lifecycle.data.splits.shares import Shares
from lifecycle.errors import RequestError, Setting, Text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ALL_TRAIN = "all rows train, and none is held out"
"""The report of a split without validation and test rows."""

STRATIFIED, GROUP, TIME, COLUMN, FILES, NONE = "stratified", "group", "time", "column", "files", "none"


@dataclass
class Shuffled(Shares):
    """The fields of data plugins whose rows are independent of each other, and may be divided at random."""

    splits: ClassVar[tuple[str, ...]] = (RANDOM, STRATIFIED, NONE)

    test_rows: str = RANDOM  # random; last: those at the end of the source, as data with a given test part have them
    split_seed: int | None = None  # of the split: seeds with one split compare; null: seed, which draws it too
    split: str | None = None  # random, stratified or none (all train); null: stratified where there are classes
    keep_duplicates_together: bool = True  # rows with equal features are in one part, where they are drawn at random

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "test_rows", (RANDOM, LAST))
        in_range(self, "split_seed", low=0, below=2**32)
        one_of(self, "split", self.splits)
        if self.test_rows == LAST and self.rule not in (None, RANDOM, STRATIFIED):
            raise ValueError(
                f"test_rows=last is for rows that are divided at random, got data.split={self.rule}. Leave it out."
            )

    @property
    def rule(self) -> str | None:
        """How the samples are divided; ``None``: stratified for a classification, else at random."""
        return self.split

    def split_samples(self, samples: Samples, task: str, seed: int) -> Split:
        """Divide into training, validation and test samples.

        Args:
            samples: with targets.
            task: of the target.
            seed: of the split, unless ``split_seed`` is set.

        Raises:
            RequestError: the samples cannot be divided so.
        """
        import numpy as np

        if self.rule == NONE:
            every = np.arange(len(samples.rows))
            return Split(every, every[:0], every[:0], (ALL_TRAIN,))
        counts = self.counts(len(samples.rows))
        seed = seed if self.split_seed is None else self.split_seed
        return self._drawn(samples, counts, task, seed, self.test_rows)

    def _drawn(
        self, samples: Samples, counts: tuple[int, int, int], task: str, seed: int, test_rows: str = RANDOM
    ) -> Split:
        self._check_task(task)
        if self.rule == RANDOM:
            drawn = stratified(samples, counts, "regression", seed, test_rows)
        elif self.rule == STRATIFIED:
            drawn = stratified(samples, counts, task, seed, test_rows)
        else:
            drawn = stratified_if_possible(samples, counts, task, seed, test_rows)
        if not self.keep_duplicates_together:
            return drawn
        return together(drawn, samples, task, seed, fixed_test=test_rows == LAST)

    def split_fold(self, samples: Samples, task: str, seed: int, fold: Fold) -> Split:
        """Divide at random into folds, stratified by class, and draw validation samples from the other folds."""
        self._check_folds()
        self._check_task(task)
        seed = seed if self.split_seed is None else self.split_seed
        task = "regression" if self.rule == RANDOM else task
        return folded(samples, self._val_of_fold(samples, fold), task, seed, fold, self.keep_duplicates_together)

    def _val_of_fold(self, samples: Samples, fold: Fold) -> int:
        total = len(samples.rows)
        test_size = total // fold.folds + (total % fold.folds > 0)
        return self.val_count(total, total - test_size)

    def _check_folds(self) -> None:
        """Refuse folds where the test rows are given."""
        fixing = {COLUMN: "data.split_column", FILES: "data.test_path", NONE: "data.split"}
        key = fixing.get(self.rule or "", "data.test_rows" if self.test_rows == LAST else "")
        if key:
            value = getattr(self, key.removeprefix("data."), None)
            problem = "fixes the test rows" if self.rule != NONE else "has no test rows"
            other = Setting("data.test_rows" if self.test_rows == LAST else "data.split", RANDOM)
            raise RequestError(
                Setting(key, value),
                f"{problem}, and in cross-validation each row is a test row once",
                remedy=["Leave out ", Setting("cv.folds"), ", or use ", other, "."],
            )

    def _check_task(self, task: str) -> None:
        if self.rule == STRATIFIED and task == "regression":
            problem = "needs classes, and values are to be predicted"
            raise RequestError(Setting("data.split", STRATIFIED), problem, remedy="Leave it out.")


@dataclass
class ByColumns(Shuffled):
    """The fields of data plugins whose rows have columns, or a file, that say how they are divided."""

    splits: ClassVar[tuple[str, ...]] = (RANDOM, STRATIFIED, GROUP, TIME, COLUMN, FILES, NONE)

    split: str | None = (
        None  # random, stratified, group, time, column, files or none (all train); null: by the next fields
    )
    group: str | None = None  # column of groups, such as patients, that are not divided between parts; no feature
    time: str | None = None  # column of times: train on the first, test on the last rows; no feature
    split_column: str | None = None  # column that says train, validation or test; no feature
    split_values: Any = None  # what other values of split_column mean: {<value>: train, validation or test}; null: none
    test_path: str | None = None  # file of the test rows, with the same columns; null: they are drawn from data.path

    def __post_init__(self) -> None:
        super().__post_init__()
        implied = self._implied
        if self.split is None and len(implied) > 1:
            names = " and ".join(f"data.{name}" for name in implied.values())
            raise ValueError(
                f"split must say which of {names} divides the rows, got null. Use data.split={next(iter(implied))}."
            )
        if self.split in (GROUP, TIME, COLUMN, FILES) and self.split not in implied:
            needed = {GROUP: "group", TIME: "time", COLUMN: "split_column", FILES: "test_path"}[self.split]
            example = "test.csv" if self.split == FILES else f"<name of the {self.split} column>"
            raise ValueError(
                f"{needed} must be given with data.split={self.split}, got nothing. Add data.{needed}={example}."
            )
        given.declared(self.split_values)
        target = getattr(self, "target", "")
        of_target = target if isinstance(target, list) else [target]
        named = [name for name in (*of_target, *self.columns_of_split.values()) if name]
        if len(set(named)) < len(named):
            name = next(name for name in named if named.count(name) > 1)
            raise ValueError(f"split must use columns of its own, and {name} is named twice. Name another column.")

    @property
    def _implied(self) -> dict[str, str]:
        """Rule -> the field that implies it, of the fields that are set."""
        fields = {GROUP: "group", TIME: "time", COLUMN: "split_column", FILES: "test_path"}
        return {rule: name for rule, name in fields.items() if getattr(self, name) is not None}

    @property
    def rule(self) -> str | None:
        """How the samples are divided; ``None``: stratified for a classification, else at random."""
        return self.split or next(iter(self._implied), None)

    @property
    def columns_of_split(self) -> dict[str, str]:
        """Field -> column, of the columns that say how rows are divided, which are no features."""
        fields = {name: getattr(self, name) for name in ("group", "time", "split_column")}
        return {name: column for name, column in fields.items() if column is not None}

    def with_split(self, samples: Samples, frame: pd.DataFrame) -> Samples:
        """Return samples of rows with what :meth:`split_samples` needs to know of their columns and files."""
        import numpy as np

        rule = self.rule
        if rule == GROUP and self.group in frame.columns:
            return replace(samples, groups=frame[self.group].to_numpy())
        if rule == TIME and self.time in frame.columns:
            return replace(samples, moments=in_time.ranks(frame[self.time]))
        if rule == COLUMN and self.split_column in frame.columns:
            return replace(samples, parts=given.parts_of(frame[self.split_column], given.declared(self.split_values)))
        if rule == FILES and (in_test := given.test_rows_of(frame)):
            of_train = len(frame) - in_test
            rows = np.concatenate([np.arange(of_train), np.arange(in_test)])
            files = np.array([getattr(self, "path", ""), self.test_path], dtype=object)
            is_test = np.arange(len(frame)) >= of_train
            parts = np.where(is_test, given.TEST, given.TRAIN).astype(object)
            return replace(samples, rows=rows, files=files[is_test.astype(np.int64)], parts=parts)
        return samples

    def _drawn(
        self, samples: Samples, counts: tuple[int, int, int], task: str, seed: int, test_rows: str = RANDOM
    ) -> Split:
        labels = None if task == "regression" else samples.targets
        if samples.groups is not None:
            drawn = groups.by_group(samples.groups, labels, counts, seed, self._key("group"))
            return replace(drawn, report=(_group_report(samples.groups, drawn, self.group),))
        if samples.moments is not None:
            drawn = in_time.in_time(samples.moments, counts, self._key("time"))
            return replace(drawn, report=(f"by {self.time}: the first rows train, the last ones test",))
        if samples.parts is not None:
            return self._completed(samples, task, seed)
        return super()._drawn(samples, counts, task, seed, test_rows)

    def _completed(self, samples: Samples, task: str, seed: int) -> Split:
        """Return the given split; parts that it does not have are drawn from its training rows."""
        import numpy as np

        from lifecycle.data.selection import select

        found = given.given_split(samples)
        total = len(found.train)
        test = 0 if len(found.test) else self.counts(total)[2]
        val = 0 if len(found.val) else self.val_count(total, total - test)
        how = f"as {self.split_column} says" if self.rule == COLUMN else "as the folders say"
        how = f"test rows from {self.test_path}" if self.rule == FILES else how
        if not (test or val):
            return replace(found, report=(how,))
        drawing = Shuffled(keep_duplicates_together=self.keep_duplicates_together)
        inner = drawing._drawn(select(samples, found.train), (total - test - val, val, test), task, seed)
        train, more_val, more_test = (found.train[part] for part in (inner.train, inner.val, inner.test))
        val_rows, test_rows = np.concatenate([found.val, more_val]), np.concatenate([found.test, more_test])
        drawn = " and ".join([*["validation"] * (val > 0), *["test"] * (test > 0)])
        report = (f"{how}; {drawn} rows drawn from the training rows", *inner.report)
        return Split(train, np.sort(val_rows), np.sort(test_rows), report)

    def split_fold(self, samples: Samples, task: str, seed: int, fold: Fold) -> Split:
        """Divide into folds by the same rule, and draw validation samples from the other folds."""
        import numpy as np

        self._check_folds()
        labels = None if task == "regression" else samples.targets
        drawn_with = seed if self.split_seed is None else self.split_seed
        if samples.groups is not None:
            remedy: Text = ["Lower ", Setting("cv.folds"), "."]
            groups.check_groups(
                samples.groups, fold.folds, self._key("group"), f"{fold.folds} folds need one each", remedy
            )
            drawn_with = seed_of(drawn_with, fold)
            found = groups.group_folds(samples.groups, labels, fold.folds, drawn_with)
            rest, test = np.flatnonzero(found != fold.index), np.flatnonzero(found == fold.index)
            val = self.val_count(len(found), len(rest))
            inner = groups.by_group(
                samples.groups[rest],
                None if labels is None else labels[rest],
                (len(rest) - val, val, 0),
                drawn_with,
                self._key("group"),
            )
            drawn = Split(rest[inner.train], rest[inner.val], test)
            return replace(drawn, report=(_group_report(samples.groups, drawn, self.group),))
        if samples.moments is not None:
            total = len(samples.rows)
            before = total - (fold.folds - fold.index) * (total // (fold.folds + 1))
            return in_time.in_time_fold(samples.moments, self.val_count(before, before), fold, self._key("time"))
        return super().split_fold(samples, task, seed, fold)

    def _key(self, name: str) -> Setting:
        return Setting(f"data.{name}", getattr(self, name))


def _group_report(of_rows: np.ndarray[Any, Any], drawn: Split, name: str | None) -> Text:
    import pandas as pd

    sizes = [len(pd.unique(of_rows[part])) for part in (drawn.train, drawn.val, drawn.test)]
    return f"by {name}: {sizes[0]} groups in training, {sizes[1]} in validation, {sizes[2]} in test"
