"""Division of samples into training, validation and test samples at random, by class, or in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lifecycle.capabilities import SplitsIntoFolds, SplitsItself, SplitsSamples
from lifecycle.contract import DataPlugin, Fold, Samples, Split
from lifecycle.data.splits import duplicates
from lifecycle.errors import Either, RequestError, Setting, Text

RANDOM, LAST = "random", "last"  # where the test rows are in the source

UNSTRATIFIED = Either(", or add data.split=random", "")
"""The end of the advice where classes are too small to be in each part."""

FEW_CLASSES = 3
"""With more classes of too few rows, the cause is the sizes or the task, not single rows, and a message says so."""


class TooFewOfClassError(RequestError):
    """A class has too few samples to be in every part."""


def stratified(samples: Samples, counts: tuple[int, int, int], task: str, seed: int, test_rows: str = RANDOM) -> Split:
    """Shuffle with ``seed`` and divide, with the same proportions of classes in each part.

    Args:
        samples: with targets, in the order of the source.
        counts: numbers of training, validation and test samples.
        task: for ``"regression"``, samples are not stratified.
        seed: of the shuffling.
        test_rows: ``"last"``: the test samples are the last ones, and only the others are shuffled.

    Raises:
        TooFewOfClassError: a class has too few samples to be in every part.
    """
    import numpy as np
    from sklearn.model_selection import train_test_split

    _, num_val, num_test = counts
    labels = samples.targets if task != "regression" else None
    if labels is None and test_rows == RANDOM:
        return _shuffled(counts, seed)
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


def _shuffled(counts: tuple[int, int, int], seed: int) -> Split:
    """Return the parts that ``train_test_split`` draws without classes, but with fewer copies of the row numbers.

    Those of a large table would take as much memory as half of its values.
    """
    import numpy as np
    from sklearn.model_selection import ShuffleSplit

    num_train, num_val, num_test = counts

    def drawn(total: int, count: int) -> Any:
        of_rows = np.broadcast_to(np.int8(0), total)  # only their number matters
        return next(ShuffleSplit(1, test_size=count, train_size=total - count, random_state=seed).split(of_rows))

    part, rest = np.zeros(sum(counts), dtype=np.int8), None
    if num_test:
        rest, held_out = drawn(len(part), num_test)
        part[held_out] = 2
    if num_val:
        held_out = drawn(num_train + num_val, num_val)[1]
        part[held_out if rest is None else rest[held_out]] = 1
    rest = held_out = None  # views of all row numbers
    train, val, test = (np.flatnonzero(part == number) for number in range(3))
    return Split(train, val, test)


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


def _too_few(samples: Samples, counts: tuple[int, int, int]) -> TooFewOfClassError:
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
        return TooFewOfClassError(
            "data.target",
            f"has the class {str(rare)[:50]} in {what} alone, and {parts} parts need a row of each class",
            remedy=[advice, fewer_parts, ")", *regression, UNSTRATIFIED, "."],
        )
    return TooFewOfClassError(
        Either("data.test_size and data.val_size", "validation_split"),
        f"cannot put each class in every part: {held_out} samples to hold out, {len(classes)} classes, {size} of class "
        f"{str(rare)[:50]}",
        remedy=["Change the shares, add rows, or merge classes", *regression, UNSTRATIFIED, "."],
    )


def stratified_if_possible(
    samples: Samples, counts: tuple[int, int, int], task: str, seed: int, test_rows: str = RANDOM
) -> Split:
    """Divide as :func:`stratified`, but for classes that have too few samples to be in every part.

    Their samples are divided at random, and each class has one in training. The report of the split names them.

    Args:
        samples: as for :func:`stratified`, like the other arguments.
        counts: numbers of training, validation and test samples.
        task: of the target.
        seed: of the shuffling.
        test_rows: see :func:`stratified`.
    """
    import numpy as np

    try:
        return stratified(samples, counts, task, seed, test_rows)
    except TooFewOfClassError:
        if sum(counts[1:]) == 0:
            raise
    labels = np.asarray(samples.targets)
    classes, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    parts, common = sum(count > 0 for count in counts), int(sizes.argmax())
    small = np.flatnonzero(sizes < parts)
    try:
        # Drawn as if they were of the most frequent class, which does not change the shares of the others.
        drawn = stratified(
            replace(samples, targets=np.where(np.isin(codes, small), common, codes)), counts, task, seed, test_rows
        )
    except RequestError:
        drawn, small = stratified(samples, counts, "regression", seed, test_rows), np.arange(len(classes))
    drawn = _with_each_class(drawn, codes, seed)
    return replace(drawn, report=(_small_report(classes[small].tolist(), sizes[small].tolist(), len(classes)),))


def _with_each_class(drawn: Split, codes: Any, seed: int) -> Split:
    """Return a split in which each class has a training sample, for which one of a frequent class is given in exchange.

    Args:
        drawn: the split.
        codes: ``(samples,) int64`` classes.
        seed: of the choice of samples.
    """
    import numpy as np

    chance = np.random.default_rng([seed, len(codes)])
    parts = {"train": drawn.train, "val": drawn.val, "test": drawn.test}
    for code in sorted(set(codes.tolist()) - set(codes[drawn.train].tolist())):
        in_train = np.bincount(codes[parts["train"]])
        if in_train.max() < 2:
            break  # fewer training samples than classes
        name = next(name for name in ("val", "test") if code in codes[parts[name]])
        moved = chance.choice(np.flatnonzero(codes[parts[name]] == code))
        given = chance.choice(np.flatnonzero(codes[parts["train"]] == in_train.argmax()))
        row, other = parts[name][moved], parts["train"][given]
        parts[name] = np.sort(np.append(np.delete(parts[name], moved), other))
        parts["train"] = np.sort(np.append(np.delete(parts["train"], given), row))
    return Split(parts["train"], parts["val"], parts["test"])


def _small_report(names: Sequence[Any], sizes: Sequence[int], total: int) -> Text:
    """Return the sentence on classes that are not divided in proportion."""
    if len(names) == total:
        return f"at random, not by class: {total} classes are too many, or too small, for the sizes of the parts"
    listed = ", ".join(f"{str(name)[:50]} ({size})" for name, size in zip(names, sizes, strict=True))
    few = "a class has" if len(names) == 1 else f"{len(names)} classes have"
    return f"by class; {few} too few rows to be in each part, which are divided at random: {listed}"


def together(drawn: Split, samples: Samples, task: str, seed: int, fixed_test: bool = False) -> Split:
    """Return a split after samples with equal inputs are put into one part, and report on them.

    Args:
        drawn: the split.
        samples: with inputs, or with ``hashes`` of them.
        task: of the target.
        seed: of the choice of samples that move in exchange.
        fixed_test: the test samples stay; only training and validation samples move.
    """
    import numpy as np

    assert samples.targets is not None  # noqa: S101 - only samples with targets are divided
    part = np.zeros(len(samples.rows), dtype=np.int8)
    part[drawn.val], part[drawn.test] = 1, 2
    free = np.flatnonzero(part < 2) if fixed_test else slice(None)  # a slice copies nothing
    sizes = [size for size in (len(drawn.train), len(drawn.val), 0 if fixed_test else len(drawn.test)) if size]
    hashes = inputs_hashed(samples) if len(sizes) > 1 else None
    found = None if hashes is None else duplicates.sets_of(hashes[free], samples.targets[free], min(sizes))
    if found is None:
        return drawn
    if found.coarse:
        return replace(drawn, report=(*drawn.report, coarse_report(found, sum(sizes))))
    labels = None if task == "regression" else np.asarray(samples.targets)[free]
    part[free] = duplicates.kept_together(part[free], found, labels, seed)
    train, val, test = (np.flatnonzero(part == number) for number in range(3))
    return Split(train, val, test, (*drawn.report, together_report(found, sum(sizes))))


def inputs_hashed(samples: Samples) -> Any:
    """Return ``(samples,) uint64`` hashes of the inputs; ``None``: there is nothing to compare."""
    return duplicates.hashes(samples.inputs) if samples.hashes is None else samples.hashes


def together_report(found: duplicates.Sets, total: int) -> Text:
    """Return the sentence on equal samples that are in one part."""
    return f"{found.rows} of {total} rows have the features of another one; such rows are in one part"


def coarse_report(found: duplicates.Sets, total: int) -> Text:
    """Return the sentence on equal samples that are not kept together."""
    return f"{found.rows} of {total} rows have the features of another one, too many to keep such rows in one part"


def chronological(counts: tuple[int, int, int]) -> Split:
    """Train on the past, validate on what follows, test on the end."""
    import numpy as np

    train, val, test = np.split(np.arange(sum(counts)), np.cumsum(counts)[:2])
    return Split(train, val, test)


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
        # Of the class: a subclass of a kind that has a field of this name may define the method.
        if callable(own := getattr(type(plugin), "split", None)):
            found: Split = own(plugin, samples, task, seed)
            return found
        if isinstance(plugin, SplitsSamples):
            return plugin.split_samples(samples, task, seed)
        assert isinstance(plugin, SplitsItself)  # noqa: S101 - the contract demands one of the two
        return plugin.split(samples, task, seed)
    if not isinstance(plugin, SplitsIntoFolds):
        raise RequestError(
            Setting("cv.folds", fold.folds),
            f"needs a data plugin that divides into folds, and {type(plugin).__name__} has no split_fold",
            remedy="Leave it out, or add that method to the plugin.",
        )
    return plugin.split_fold(samples, task, seed, fold)
