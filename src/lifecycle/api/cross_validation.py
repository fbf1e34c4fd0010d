"""Cross-validation of a model on rows in memory."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle.api.messages import worded_for_python
from lifecycle.api.training_rows import groups_of
from lifecycle.contract import MULTILABEL, REGRESSION, Fold, Samples
from lifecycle.data.columns import label_sets
from lifecycle.data.columns.targets import infer_task
from lifecycle.data.sources import in_memory, label_arrays
from lifecycle.data.splits import folded
from lifecycle.data.splits.groups import group_folds
from lifecycle.errors import RequestError
from lifecycle.sweeps.results.statistics import estimate

if TYPE_CHECKING:
    from lifecycle.api.model import Model


@dataclass(frozen=True)
class CrossValidation:
    """The results of :func:`cross_validate`.

    Attributes:
        frame: a row per fit: ``repeat``, ``fold``, ``seconds``, number of ``epochs``, and the scores of the test rows.
        summary: a row per score: ``mean``, ``sd``, and the ``low`` and ``high`` end of the 95% interval, which is the
            corrected resampled t interval of Nadeau and Bengio, as folds share training rows.
        predictions: a row per row of X and repetition: ``repeat``, ``fold``, ``row``, ``actual``, ``predicted``, each
            predicted by the network that was not trained on the row.
    """

    frame: pd.DataFrame
    summary: pd.DataFrame
    predictions: pd.DataFrame


def cross_validate(
    model: Model,
    X: Any,  # noqa: N803 - scikit-learn's name
    y: Any,
    *,
    cv: int = 5,
    repeats: int = 1,
    groups: Any = None,
    seed: int = 0,
    **fit: Any,
) -> CrossValidation:
    """Fit a model to all folds but one, and score it on that one, for each fold in turn.

    Preprocessing is learnt from the training rows of each fold. Folds are stratified by class; those of the first
    repetition are scikit-learn's ``StratifiedKFold(cv, shuffle=True, random_state=seed)``, or ``KFold`` for values.

    Args:
        model: defined and compiled; it is not changed, and need not be fitted.
        X: rows, as :meth:`lifecycle.Model.fit` takes them.
        y: classes, labels or values, as :meth:`lifecycle.Model.fit` takes them.
        cv: number of folds.
        repeats: number of times that the rows are divided anew.
        groups: ``(rows,)`` for instance patients: all rows of a group are in the same fold; ``None``: none.
        seed: of the folds, the initial weights, the order of rows and dropout.
        fit: further arguments of :meth:`lifecycle.Model.fit`, such as ``epochs=50, validation_split=0.2``.

    Raises:
        RequestError: rows or arguments cannot be used, or a class has fewer rows than there are folds.

    >>> import numpy as np
    >>> from lifecycle import Model, cross_validate
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> y = np.where(X[:, 0] > 0, "right", "left")
    >>> found = cross_validate(Model("mlp", hidden=[8]), X, y, cv=3, epochs=20)
    >>> len(found.frame), len(found.predictions), list(found.summary.columns)
    (3, 60, ['mean', 'sd', 'low', 'high'])
    """
    with worded_for_python():
        values, task = _labels(X, y, fit.get("task"))
        _check(cv, repeats)
        strata = label_sets.strata(values) if task == MULTILABEL else values
        splits = list(_splits(strata, task, int(cv), int(repeats), groups, seed))
    rows, predictions = [], []
    for fold, train, test in splits:
        of_train = {"groups": np.asarray(groups)[train]} if groups is not None and fit.get("validation_split") else {}
        one, scores = _fit(model, X, y, train, test, {"verbose": 0, **fit, **of_train, "seed": seed})
        rows.append({"repeat": fold.repeat, "fold": fold.index, **scores})
        predicted = {"row": test, "actual": values[test], "predicted": one}
        predictions.append(pd.DataFrame({"repeat": fold.repeat, "fold": fold.index, **predicted}))
    return _collected(rows, predictions, int(cv))


def _check(cv: Any, repeats: Any) -> None:
    for name, value, least in (("cv", cv, 2), ("repeats", repeats, 1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise RequestError(name, f"must be a whole number of {least} or more", value, f"Use {name}={least + 3}.")


def _labels(X: Any, y: Any, task: str | None) -> tuple[np.ndarray[Any, Any], str]:  # noqa: N803
    """Return the targets of rows, sets of labels as texts; and their task."""
    frame, _ = in_memory.inputs_of(X)
    several = label_arrays.read(y, task, list(frame.columns))
    values = np.asarray(in_memory.targets_of(y if several is None else several.sets, len(frame), frame.columns)[1])
    return values, (MULTILABEL if several is not None else task or infer_task(pd.Series(values)))


def _collected(rows: list[dict[str, float]], predictions: list[pd.DataFrame], cv: int) -> CrossValidation:
    found = pd.DataFrame(rows)
    scored = [name for name in found if name not in ("repeat", "fold", "seconds", "epochs")]
    estimates = {name: estimate(found[name].tolist(), 1 / (cv - 1)) for name in scored}
    ends = ["mean", "sd", "low", "high"]
    summary = pd.DataFrame({name: [getattr(one, end) for end in ends] for name, one in estimates.items()}, index=ends).T
    together = pd.concat(predictions, ignore_index=True)
    return CrossValidation(found, summary, together.sort_values(["repeat", "row"], ignore_index=True))


def _splits(
    labels: Any, task: str, cv: int, repeats: int, groups: Any, seed: int
) -> Iterator[tuple[Fold, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Yield each fold with its training and test rows."""
    rows = np.arange(len(labels))
    for repeat in range(repeats):
        if groups is None:
            for index in range(cv):
                fold = Fold(index, cv, repeat)
                drawn = folded(Samples(np.empty((len(rows), 0)), labels, rows), 0, task, seed, fold)
                yield fold, drawn.train, drawn.test
            continue
        given = groups_of(groups, len(rows))
        if (number := len(set(given.tolist()))) < cv:
            raise RequestError("cv", f"is more than the number of groups, {number}", cv, "Use fewer folds.")
        found = group_folds(given, None if task == REGRESSION else labels, cv, seed + repeat)
        for index in range(cv):
            yield Fold(index, cv, repeat), np.flatnonzero(found != index), np.flatnonzero(found == index)


def _fit(
    model: Model,
    X: Any,  # noqa: N803
    y: Any,
    train: Any,
    test: Any,
    arguments: dict[str, Any],
) -> tuple[np.ndarray[Any, Any], dict[str, float]]:
    """Return the predictions and the scores of the test rows, of a copy of the model."""
    one = copy.copy(model)
    weights = arguments.pop("sample_weight", None)
    of_train = {} if weights is None else {"sample_weight": take(weights, train)}
    started = time.perf_counter()
    history = one.fit(take(X, train), take(y, train), **arguments, **of_train)
    of_test = {} if weights is None else {"sample_weight": take(weights, test)}
    scores = one.evaluate(take(X, test), take(y, test), **of_test)
    figures = {"seconds": time.perf_counter() - started, "epochs": len(history.rows)}
    predicted = one.predict(take(X, test))
    if predicted.ndim == 2:  # several labels
        predicted = np.array([label_sets.joined(one.classes_[row == 1]) for row in predicted], dtype=object)
    return predicted, {**figures, **scores}


def take(values: Any, rows: np.ndarray[Any, Any]) -> Any:
    """Return some rows of a frame, a series, an array, a tensor or a list, as what they were."""
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if isinstance(values, list | tuple):
        return [values[row] for row in rows]
    return values[rows]
