"""Division of samples into training, validation and test samples."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from lifecycle.capabilities import SplitsIntoFolds
from lifecycle.checks import in_range, one_of
from lifecycle.contract import DataPlugin, Fold, Samples, Split
from lifecycle.errors import Either, RequestError, Setting, Text

RANDOM, LAST = "random", "last"  # where the test rows are in the source

FEW_CLASSES = 3
"""With more classes of too few rows, the cause is the sizes or the task, not single rows, and a message says so."""


@dataclass
class Shares:
    """The fields of every data plugin: how many samples are held out.

    Below 1 a size is a share of all samples, from 1 on it is a number of samples.
    """

    test_size: float = 0.2  # never seen before the end; 0: nothing is held out, and training rows are scored
    val_size: float = 0.2  # chooses the best epoch; 0: no validation
    validation_split: float | None = None  # in place of val_size: the share of the rows that are not test rows

    def __post_init__(self) -> None:
        for name in ("test_size", "val_size"):
            in_range(self, name, low=0)
            size = getattr(self, name)
            if size >= 1 and size != int(size):
                raise ValueError(
                    f"{name} must be a share below 1 or a whole number of samples, got {size}. Use for instance "
                    f"{int(size)}."
                )
        in_range(self, "validation_split", low=0, below=1)
        if self.validation_split is not None and self.val_size not in (0, Shares.val_size):
            raise ValueError(
                f"validation_split stands in place of data.val_size, got {self.validation_split} and "
                f"{self.val_size}. Give one of them."
            )
        val_size = self.val_size if self.validation_split is None else 0.0
        if max(self.test_size, val_size) < 1 <= self.test_size + val_size:
            raise ValueError(
                f"test_size and data.val_size must sum to less than 1, got {self.test_size} and {val_size}. "
                "Leave some rows to train on."
            )

    def counts(self, total: int) -> tuple[int, int, int]:
        """Return the numbers of training, validation and test samples; held-out shares are rounded up.

        Args:
            total: number of samples.

        Raises:
            RequestError: no training sample is left.
        """
        test = _count(self.test_size, total)
        if self.validation_split is None:
            val, val_size = _count(self.val_size, total), Setting("data.val_size", _short(self.val_size))
        else:
            val = _count(self.validation_split, max(total - test, 0))
            val_size = Setting("data.validation_split", _short(self.validation_split))
        if total - test - val < 1:
            test_size = Either(f"data.test_size={_short(self.test_size)} and ", "")  # Python has no test rows
            problem: Text = [Either("leave", "leaves"), f" no training rows of {total} samples"]
            raise RequestError([test_size, val_size], problem, remedy="Hold out less, or give more rows.")
        return total - test - val, val, test

    def val_count(self, total: int, rest: int) -> int:
        """Return the number of validation samples of a fold.

        Args:
            total: number of samples.
            rest: number of samples that are not in the fold.

        Raises:
            RequestError: no training sample is left.
        """
        share, key, of = self.validation_split, "data.validation_split", rest
        if share is None:
            share, key, of = self.val_size, "data.val_size", total
        if (count := _count(share, of)) >= rest:
            problem = f"leaves no training rows of the {rest} that are not in a fold"
            raise RequestError(Setting(key, _short(share)), problem, remedy="Hold out less, or give more rows.")
        return count


@dataclass
class Shuffled(Shares):
    """The fields of data plugins whose rows are independent of each other, and may be divided at random."""

    test_rows: str = RANDOM  # random; last: those at the end of the source, as data with a given test part have them
    split_seed: int | None = None  # of the split: seeds with one split compare; null: seed, which draws it too

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "test_rows", (RANDOM, LAST))
        in_range(self, "split_seed", low=0, below=2**32)

    def split(self, samples: Samples, task: str, seed: int) -> Split:
        """Divide at random, stratified by class; with ``test_rows=last`` the test rows are the last ones."""
        split_seed = seed if self.split_seed is None else self.split_seed
        return stratified(samples, self.counts(len(samples.rows)), task, split_seed, self.test_rows)

    def split_fold(self, samples: Samples, task: str, seed: int, fold: Fold) -> Split:
        """Divide at random into folds, stratified by class, and draw validation samples from the other folds."""
        if self.test_rows == LAST:
            raise RequestError(
                Setting("data.test_rows", LAST),
                "fixes the test rows, and in cross-validation each row is a test row once",
                remedy=["Leave out ", Setting("cv.folds"), ", or use ", Setting("data.test_rows", RANDOM), "."],
            )
        total = len(samples.rows)
        test_size = total // fold.folds + (total % fold.folds > 0)
        val = self.val_count(total, total - test_size)
        return folded(samples, val, task, seed if self.split_seed is None else self.split_seed, fold)


def _short(size: float) -> float | int:
    """Return a size as it is usually written: 100, not 100.0."""
    return int(size) if size == int(size) else size


def _count(size: float, total: int) -> int:
    # Rounded first: 0.07 * 100 is 7.000000000000001, which would be 8 samples.
    return int(size) if size >= 1 else math.ceil(round(total * size, 6))


def stratified(samples: Samples, counts: tuple[int, int, int], task: str, seed: int, test_rows: str = RANDOM) -> Split:
    """Shuffle with ``seed`` and divide, with the same proportions of classes in each part.

    Args:
        samples: with targets, in the order of the source.
        counts: numbers of training, validation and test samples.
        task: for ``"regression"``, samples are not stratified.
        seed: of the shuffling.
        test_rows: ``"last"``: the test samples are the last ones, and only the others are shuffled.

    Raises:
        RequestError: a class has too few samples to be in every part.
    """
    import numpy as np
    from sklearn.model_selection import train_test_split

    _, num_val, num_test = counts
    labels = samples.targets if task != "regression" else None
    rest = np.arange(sum(counts))
    parts = []
    if test_rows == LAST:
        rest, last = np.split(rest, [len(rest) - num_test])
        _check_last(labels, rest, last)
        parts.append(last)
    try:
        for count in (num_val,) if parts else (num_test, num_val):
            held_out = rest[:0]
            if count:
                strata = None if labels is None else labels[rest]
                rest, held_out = train_test_split(rest, test_size=count, random_state=seed, stratify=strata)
            parts.append(np.sort(held_out))
    except ValueError as error:  # scikit-learn: a class has too few members
        raise _too_few(samples, counts) from error
    # Sorted: rows in the order of the source are quicker to read, and predictions are written in this order.
    split = Split(train=np.sort(rest), val=parts[1], test=parts[0])
    if labels is not None:
        # scikit-learn only demands two samples of a class, and may leave a part without it.
        whole = len(np.unique(labels))
        drawn = (split.train, split.val, split.test) if test_rows == RANDOM else (split.train, split.val)
        if any(len(part) and len(np.unique(labels[part])) < whole for part in drawn):
            raise _too_few(samples, counts)
    return split


def draw(plugin: DataPlugin, samples: Samples, task: str, seed: int, fold: Fold | None = None) -> Split:
    """Divide samples by the rules of their data plugin.

    Args:
        plugin: the data plugin.
        samples: with targets.
        task: of the target.
        seed: of the split.
        fold: of a cross-validation; ``None``: one split.

    Raises:
        RequestError: the samples cannot be divided so, or the plugin has no folds.
    """
    if fold is None:
        return plugin.split(samples, task, seed)
    if not isinstance(plugin, SplitsIntoFolds):
        raise RequestError(
            Setting("cv.folds", fold.folds),
            f"needs a data plugin that divides into folds, and {type(plugin).__name__} has no split_fold",
            remedy="Leave it out, or add that method to the plugin.",
        )
    return plugin.split_fold(samples, task, seed, fold)


def folded(samples: Samples, num_val: int, task: str, seed: int, fold: Fold) -> Split:
    """Shuffle with ``seed`` and divide into folds, with the same proportions of classes in each.

    The folds of the first repetition are those of scikit-learn's ``StratifiedKFold(folds, shuffle=True,
    random_state=seed)``; for a regression, of its ``KFold``.

    Args:
        samples: with targets.
        num_val: number of validation samples, drawn from those outside the fold.
        task: for ``"regression"``, samples are not stratified.
        seed: of the shuffling.
        fold: the fold whose samples are the test samples.

    Raises:
        RequestError: there are fewer samples, or fewer of a class, than folds; or a class is in no part.
    """
    import numpy as np
    from sklearn.model_selection import KFold, StratifiedKFold

    labels = samples.targets if task != "regression" else None
    check_folds(labels, len(samples.rows), fold.folds)
    # Another seed for each repetition, and that of the user for the first one.
    drawn = seed if not fold.repeat else int(np.random.SeedSequence([seed, fold.repeat]).generate_state(1)[0])
    kind = KFold if labels is None else StratifiedKFold
    parts = list(kind(fold.folds, shuffle=True, random_state=drawn).split(samples.rows, labels))
    rest, test = parts[fold.index]
    within = None if labels is None else labels[rest]
    inner = stratified(
        Samples(np.empty((len(rest), 0)), within, samples.rows[rest]), (len(rest) - num_val, num_val, 0), task, drawn
    )
    return Split(train=rest[inner.train], val=rest[inner.val], test=test)


def check_folds(labels: Any, total: int, folds: int) -> None:
    """Refuse more folds than samples, or than samples of a class.

    Args:
        labels: ``(samples,)`` classes; ``None``: not a classification.
        total: number of samples.
        folds: number of folds.

    Raises:
        RequestError: names the rarest class.
    """
    import numpy as np

    most, whose = total, f"the {total} samples"
    if labels is not None:
        classes, sizes = np.unique(labels, return_counts=True)
        most = int(sizes.min())
        whose = f"the {most} samples of class {str(classes[sizes.argmin()])[:50]}"
    if folds > most:
        remedy = f"Use at most {most}." if most > 1 else "Merge rare classes, or leave it out."
        raise RequestError(Setting("cv.folds", folds), f"is more than {whose}", remedy=remedy)


def chronological_fold(total: int, num_val: int, fold: Fold) -> Split:
    """Test on one of equal blocks at the end, train and validate on what is before it.

    The blocks are those of scikit-learn's ``TimeSeriesSplit(folds)``: the first block is in no fold.

    Args:
        total: number of samples, in order of time.
        num_val: number of validation samples, directly before the fold.
        fold: without repetitions, as the order of time is the only one.

    Raises:
        RequestError: there are too few samples, or repetitions.
    """
    import numpy as np
    from sklearn.model_selection import TimeSeriesSplit

    if fold.repeat:
        raise RequestError("cv.repeats", "must be 1 for a series, which has one order of time", remedy="Leave it out.")
    if total < 2 * (fold.folds + 1):
        problem = f"is too many for a series of {total} samples"
        raise RequestError(Setting("cv.folds", fold.folds), problem, remedy=f"Use at most {max(total // 2 - 1, 2)}.")
    before, test = list(TimeSeriesSplit(fold.folds).split(np.arange(total)))[fold.index]
    return Split(before[: len(before) - num_val], before[len(before) - num_val :], test)


def _check_last(labels: Any, rest: Any, last: Any) -> None:
    """Refuse test rows at the end of a source that is sorted by class."""
    if labels is None or not len(last):
        return
    unseen = sorted(set(labels[last]) - set(labels[rest]))
    if unseen or len(set(labels[last])) < 2:
        what = f"leaves the class {unseen[0]} to the test rows" if unseen else f"tests on the class {labels[last][0]}"
        raise RequestError(
            Setting("data.test_rows", LAST),
            f"{what} alone, in {len(last)} rows",
            remedy=["Use ", Setting("data.test_rows", RANDOM), ", or order the rows otherwise."],
        )


def _too_few(samples: Samples, counts: tuple[int, int, int]) -> RequestError:
    """Return the error of a class with too few samples: names their rows, or the sizes where many classes are rare."""
    import numpy as np

    labels, held_out = np.asarray(samples.targets), sum(counts[1:])
    classes, sizes = np.unique(labels, return_counts=True)
    rare, size, parts = classes[sizes.argmin()], int(sizes.min()), sum(count > 0 for count in counts)
    numeric = all(re.fullmatch(r"-?[\d.]+", str(name)) for name in classes)
    regression = (", or add ", Setting("data.task", "regression"), " if these are values") if numeric else ()
    if size < parts and (sizes < parts).sum() <= FEW_CLASSES:
        rows = ", ".join(map(str, samples.rows[np.flatnonzero(labels == rare)]))
        what, it = (f"row {rows}", "it") if size == 1 else (f"rows {rows}", "them")
        fewer_parts = Either("data.val_size=0, data.test_size=0", "validation_split=0")
        advice = f"Remove {what} or give {it} another class, add rows, or do without a part ("
        return RequestError(
            "data.target",
            f"has the class {str(rare)[:50]} in {what} alone, and {parts} parts need a row of each class",
            remedy=[advice, fewer_parts, ")", *regression, "."],
        )
    return RequestError(
        Either("data.test_size and data.val_size", "validation_split"),
        f"cannot put each class in every part: {held_out} samples to hold out, {len(classes)} classes, {size} of class "
        f"{str(rare)[:50]}",
        remedy=["Change the shares, add rows, or merge classes", *regression, "."],
    )


def chronological(counts: tuple[int, int, int]) -> Split:
    """Train on the past, validate on what follows, test on the end."""
    import numpy as np

    train, val, test = np.split(np.arange(sum(counts)), np.cumsum(counts)[:2])
    return Split(train, val, test)
