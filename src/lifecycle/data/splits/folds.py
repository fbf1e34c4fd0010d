"""Division of samples into the folds of a cross-validation."""

from __future__ import annotations

from typing import Any

from lifecycle.contract import Fold, Samples, Split
from lifecycle.data.splits.duplicates import kept_together, sets_of
from lifecycle.data.splits.holdout import (
    coarse_report,
    inputs_hashed,
    stratified,
    stratified_if_possible,
    together,
    together_report,
)
from lifecycle.errors import Either, RequestError, Setting, Text


def folded(
    samples: Samples, num_val: int, task: str, seed: int, fold: Fold, keep_duplicates_together: bool = False
) -> Split:
    """Shuffle with ``seed`` and divide into folds, with the same proportions of classes in each.

    The folds of the first repetition are those of scikit-learn's ``StratifiedKFold(folds, shuffle=True,
    random_state=seed)``; for a regression, of its ``KFold``.

    Args:
        samples: with targets.
        num_val: number of validation samples, drawn from those outside the fold.
        task: for ``"regression"``, samples are not stratified.
        seed: of the shuffling.
        fold: the fold whose samples are the test samples.
        keep_duplicates_together: samples with equal inputs are in one fold, and in one of training and validation.

    Raises:
        RequestError: there are fewer samples, or fewer of a class, than folds; or a class is in no part.
    """
    import numpy as np
    from sklearn.model_selection import KFold, StratifiedKFold

    labels = samples.targets if task != "regression" else None
    check_folds(labels, len(samples.rows), fold.folds)
    drawn = seed_of(seed, fold)
    kind = KFold if labels is None else StratifiedKFold
    place = np.empty(len(samples.rows), dtype=np.int64)
    for number, (_, of_fold) in enumerate(kind(fold.folds, shuffle=True, random_state=drawn).split(place, labels)):
        place[of_fold] = number
    hashes = inputs_hashed(samples) if keep_duplicates_together else None
    found = None if hashes is None else sets_of(hashes, samples.targets, int(np.bincount(place).min()))
    report: tuple[Text, ...] = ()
    if found is not None:
        report = (coarse_report(found, len(place)) if found.coarse else together_report(found, len(place)),)
        place = place if found.coarse else kept_together(place, found, labels, drawn)
    rest, test = np.flatnonzero(place != fold.index), np.flatnonzero(place == fold.index)
    num_val = min(num_val, len(rest) - 1)  # a fold with duplicates may have some samples more than its share
    targets = None if samples.targets is None else samples.targets[rest]
    others = Samples(
        np.empty((len(rest), 0)), targets, samples.rows[rest], hashes=None if hashes is None else hashes[rest]
    )
    counts = (len(rest) - num_val, num_val, 0)
    if found is None or found.coarse:
        inner = stratified(others, counts, task, drawn)
    else:  # a fold may have taken more of a class than its share
        inner = together(stratified_if_possible(others, counts, task, drawn), others, task, drawn)
    return Split(rest[inner.train], rest[inner.val], test, report)


def seed_of(seed: int, fold: Fold) -> int:
    """Return the seed of a repetition: another one for each, and that of the user for the first one."""
    import numpy as np

    return seed if not fold.repeat else int(np.random.SeedSequence([seed, fold.repeat]).generate_state(1)[0])


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
        by_chance: Text = "" if total < folds else Either(" Or add data.split=random.", "")
        raise RequestError(Setting("cv.folds", folds), f"is more than {whose}", remedy=[remedy, by_chance])


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
