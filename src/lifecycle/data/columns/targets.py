"""The target column: its checks, its task and its values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lifecycle.data.columns import times
from lifecycle.data.columns.features import LARGEST, and_others, are_marks, declaring
from lifecycle.errors import Either, RequestError, Setting, Text, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lifecycle.contract import Samples

MOST_CLASSES = 20
"""A column of whole numbers with at most so many values holds classes, unless the task is given."""

MOSTLY = 0.9
"""Share of numbers from which on a few texts among them are no classes."""

WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
"""A label that is a whole number, as a file or NumPy writes it."""

REFUSE, DROP = "refuse", "drop"
"""What ``data.missing_target`` does about rows without a value of the target."""

LEAVING_OUT: Sequence[str | Setting] = (Setting("data.missing_target", DROP), " to leave these rows out")
"""What a message advises about them."""

NUMBERS_NEEDED = Either("Name a column of numbers", "Give numbers")

EXAMPLES = {"path": "data.path=houses.csv", "target": "data.target=price"}


def check_named(kind: Any, *names: str) -> None:
    """Check that a data plugin has its required fields.

    Args:
        kind: the data plugin.
        names: of the required fields; by default path and target.

    Raises:
        ValueError: names the field.
    """
    for name in names or EXAMPLES:
        if not getattr(kind, name):
            raise ValueError(f"{name} must be given, got nothing. Add for instance {EXAMPLES[name]}.")


def check_columns(
    frame: pd.DataFrame, path: str, columns: dict[str, str], instead: Sequence[str | Setting] = ()
) -> None:
    """Check that fields name columns, and that these columns have no missing values.

    Args:
        frame: the rows.
        path: of their file, for messages.
        columns: field -> name of a column.
        instead: what else may be done about missing values of the target, for the message.
    """
    import numpy as np

    for key, name in columns.items():
        check_name(list(frame.columns), path, key, name)
        missing = int(frame[name].isna().sum())
        if missing:
            first = int(np.flatnonzero(frame[name].isna())[0])
            raise gaps(path, key, name, missing, first, instead=instead if key == "target" else ())


def check_name(columns: list[str], path: str, key: str, name: str) -> None:
    """Check that a field names a column."""
    if name not in columns:
        raise RequestError(
            Setting(f"data.{key}", name),
            f"is no column of {path}",
            remedy=f"{did_you_mean(name, columns)} Columns: {', '.join(map(str, columns))}.",
        )


def labelled(plugin: Any, samples: Samples) -> Samples:
    """Return the samples whose target has a value, where a data plugin leaves out the others; else all samples."""
    import numpy as np
    import pandas as pd

    from lifecycle.data.selection import select

    if getattr(plugin, "missing_target", REFUSE) != DROP or samples.targets is None:
        return samples
    positions = np.flatnonzero(~pd.isna(samples.targets))
    return samples if len(positions) == len(samples.targets) else select(samples, positions)


def left_out(name: str, rows: int, known: int) -> tuple[Text, ...]:
    """Return what a report says of rows without a target; nothing where each is known."""
    missing = rows - known
    if not missing:
        return ()
    return (f"{missing} of {rows} rows {'has' if missing == 1 else 'have'} no value of {name}, and are left out",)


def gaps(
    path: str, key: str, name: str, missing: int, first: int, *, instead: Sequence[str | Setting] = ()
) -> RequestError:
    """Return the error of a target with missing values."""
    return RequestError(
        Setting(f"data.{key}", name),
        f"has no value in {missing} row{'s' if missing != 1 else ''} of {path}, the first is row {first}",
        remedy=["Fill them or remove these rows", *([", or add ", *instead] if instead else []), "."],
    )


def infer_task(column: pd.Series[Any]) -> str:
    """Return ``"regression"`` for numbers with fractions or many values, else ``"classification"``."""
    import numpy as np
    import pandas as pd

    from lifecycle.data.columns import types

    column = types.plain(column.dropna(), categories_are_texts=False)
    # is_numeric_dtype is true of truth values as well.
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return "classification"
    # Whole floats are classes too: some files write 0.0 and 1.0.
    values = column.to_numpy(dtype=float)
    whole = bool(np.isfinite(values).all() and np.all(values == np.round(values)))
    return "classification" if whole and column.nunique() <= MOST_CLASSES else "regression"


def check_words(
    name: str, texts: Sequence[str], counts: Sequence[int], first: Sequence[Any], marks: Sequence[str] = ()
) -> None:
    """Refuse a target of numbers with a few texts among them, which would make a class of each number.

    Args:
        name: of the target.
        texts: its different texts.
        counts: rows with each.
        first: the first row with each.
        marks: of missing values, which are declared.

    Raises:
        RequestError: names the first text that is no number, and its row.
    """
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(pd.Series(list(texts), dtype=object), errors="coerce").to_numpy(dtype=float)
    words, present = np.isnan(numbers), np.array(counts)
    if not words.any() or present[words].sum() >= (1 - MOSTLY) * present.sum():
        return
    if infer_task(pd.Series(numbers[~words])) == "regression":
        places = np.flatnonzero(words).tolist()
        row, text = min((first[place], texts[place]) for place in places)
        raise mixed(name, text, row, [texts[place].strip() for place in places], marks)


def mixed(name: str, text: str, row: Any, texts: Sequence[str] = (), marks: Sequence[str] = ()) -> RequestError:
    """Return the error of a text among the numbers of a target; ``texts`` are all of them, where they are known."""
    remedy: list[Text] = ["Fix the text or remove the row, or add ", Setting("data.task", "classification")]
    remedy.append(" if each value is a class.")
    if texts and are_marks(texts):
        known = declaring(marks, texts, f" data.missing_target={DROP}")
        remedy += [" ", Either(known.command, "Leave out rows without a value"), "."]
    return RequestError(Setting("data.target", name), f"has numbers, and the text {text!r} in row {row}", remedy=remedy)


def labels_of(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return the values of a target, ``(rows,)``, with times as texts."""
    from lifecycle.data.columns import types

    column = types.plain(column, categories_are_texts=False)
    values: np.ndarray[Any, Any] = times.texts(column) if column.dtype.kind == "M" else column.to_numpy()
    return values


def as_numbers(
    values: np.ndarray[Any, Any], name: str, alternative: Sequence[str | Setting] = ()
) -> np.ndarray[Any, Any]:
    """Return a regression's targets as ``(samples,) float64``.

    Args:
        values: ``(samples,)`` of any dtype.
        name: of the target.
        alternative: the end of the remedy for a target that is not numeric.

    Raises:
        RequestError: a value is not a finite number.
    """
    import numpy as np

    target = Setting("data.target", name)
    if values.dtype.kind in "mM":  # astype would return nanoseconds since 1970
        problem = "holds times, and values are to be predicted"
        raise RequestError(target, problem, remedy=[NUMBERS_NEEDED, *alternative, "."])
    try:
        numbers: np.ndarray[Any, Any] = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        problem = f"holds text ({error}), and values are to be predicted"
        raise RequestError(target, problem, remedy=[NUMBERS_NEEDED, *alternative, "."]) from error
    wrong = np.flatnonzero(~(np.abs(numbers) <= LARGEST))  # negated, so that NaN is wrong too
    if len(wrong):
        row = int(wrong[0])
        why = "" if np.isnan(numbers[row]) else ", too large to learn from"
        others = and_others(len(wrong) - 1)
        problem = f"is {numbers[row]} in row {row}{others}{why}"
        raise RequestError(target, problem, remedy=f"Fix or remove the row{'s' * bool(others)}.")
    return numbers


def as_labels(values: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """Return a classification's targets as ``(samples,)`` strings.

    Raises:
        RequestError: there is one class only.
    """
    import numpy as np

    # Texts, as a model stores its classes as JSON; class_values keeps the original types.
    labels = np.array([str(value) for value in values])
    if len(set(labels)) < 2:
        problem = f"has one class only, {labels[0]}"
        raise RequestError(Setting("data.target", name), problem, remedy="Give rows of two classes or more.")
    return labels


def classes(labels: np.ndarray[Any, Any]) -> list[str]:
    """Return the different labels, sorted: by value where all are whole numbers (9, 10, 11), else as texts."""
    names = sorted({str(label) for label in labels})
    return sorted(names, key=float) if all(map(WHOLE.fullmatch, names)) else names
