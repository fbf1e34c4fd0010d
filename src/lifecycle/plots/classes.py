"""Pictures and tables of a classification: confusion matrix, report, ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle.contract import MULTILABEL, DataSpec
from lifecycle.data.columns import label_sets
from lifecycle.plots.style import COLOURS, GREY, WIDE, label, legend_below, picture
from lifecycle.runtime.quiet import ignored

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AnyArray = np.ndarray[Any, Any]
Curve = tuple[AnyArray, AnyArray, float]
"""x, y and the area under them."""

MOST_WITH_SHARES, MOST_WITH_NUMBERS, MOST_WITH_NAMES = 12, 40, 60
"""Most classes of a confusion matrix with shares in its cells, with counts in them, and with names at its sides."""

NARROW = 5.6
"""Inches: the width of a picture with one curve, whose legend is below it."""

SHORT_NAME = 7
"""Letters of a class whose name is written below the matrix without being turned."""

MOST_CURVES = 10
"""One-vs-rest curves with a colour each, those with the smallest areas; the others are grey."""


def held_labels(sets: pd.Series[Any], names: tuple[str, ...]) -> AnyArray:
    """Return which labels rows have, ``(rows, labels) bool``, of sets of labels."""
    found = [label_sets.split(one) for one in sets.fillna("")]  # the empty set, where a table was read from a file
    return np.array([[name in one for name in names] for one in found], dtype=bool).reshape(len(found), len(names))


def counts_of_labels(predictions: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the numbers of rows that have each label or not, and for which it is predicted or not."""
    actual, predicted = (held_labels(predictions[name], names) for name in ("actual", "predicted"))
    return pd.DataFrame(
        {
            "label": names,
            "true_positive": (actual & predicted).sum(axis=0),
            "false_negative": (actual & ~predicted).sum(axis=0),
            "false_positive": (~actual & predicted).sum(axis=0),
            "true_negative": (~actual & ~predicted).sum(axis=0),
        }
    )


def report(predictions: pd.DataFrame, names: tuple[str, ...], of_labels: bool = False) -> str:
    """Return scikit-learn's classification report: precision, recall and F1 of each class and on average."""
    from sklearn.metrics import classification_report

    if of_labels:
        actual, predicted = (held_labels(predictions[name], names) for name in ("actual", "predicted"))
        of_rows: str = classification_report(actual, predicted, target_names=list(names), digits=4, zero_division=0)
        return of_rows
    # zero_division=0: scikit-learn would warn of a class that is never predicted.
    text: str = classification_report(
        predictions["actual"], predictions["predicted"], labels=list(names), digits=4, zero_division=0
    )
    return text


def confusion(predictions: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the number of rows of each actual class (down) and predicted class (across)."""
    from sklearn.metrics import confusion_matrix

    with ignored():  # scikit-learn warns if only one class occurs
        counts = confusion_matrix(predictions["actual"], predictions["predicted"], labels=list(names))
    return pd.DataFrame(counts, index=pd.Index(names, name="actual \\ predicted"), columns=list(names))


def draw_confusion(matrix: pd.DataFrame, target: str, file: Path, about: str = "") -> Figure:
    """Draw a confusion matrix: counts, and shares of the rows of each actual class, coloured by the share.

    Args:
        matrix: as :func:`confusion` returns it.
        target: its name.
        file: the PNG.
        about: the caption: data and run.
    """
    counts = matrix.to_numpy()
    # A class without rows would divide by 0.
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    classes, names = len(counts), [label(name, 18) for name in matrix.columns]
    has_shares, has_numbers = classes <= MOST_WITH_SHARES, classes <= MOST_WITH_NUMBERS
    is_slanted = has_shares and max(map(len, names)) > SHORT_NAME
    # Inches. A matrix without numbers needs no room for them.
    side = max(2.4, 0.62 * classes) if has_shares else 0.34 * classes if has_numbers else min(0.15 * classes, 10.0)
    longest = max(map(len, names)) * 0.075 if classes <= MOST_WITH_NAMES else 0.2  # about the width of a letter
    below = 0.6 * longest if is_slanted else 0.1 if has_shares else longest
    with picture(file, max(4.2, 1.05 * side + longest + 1.5), side + below + 1.4, about=about) as figure:
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        bar: dict[str, Any] = {"fraction": 0.046, "pad": 0.03, "shrink": 0.9, "aspect": 20 if has_shares else 40}
        figure.colorbar(image, ax=axes, label="share of the actual class", **bar)
        axes.set(xlabel=f"predicted {label(target, 30)}", ylabel=f"actual {label(target, 30)}")
        axes.set_title(f"Confusion matrix of {counts.sum():,} rows")
        if classes <= MOST_WITH_NAMES:
            size: dict[str, Any] = {} if has_numbers else {"fontsize": 8}
            turned: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if is_slanted else {}
            if not has_shares and max(map(len, names)) > 2:
                turned = {"rotation": 90}
            axes.set_xticks(range(classes), names, **turned, **size)
            axes.set_yticks(range(classes), names, **size)
        if has_numbers:
            _write_cells(axes, counts, shares)
    return figure


def _write_cells(axes: Axes, counts: AnyArray, shares: AnyArray) -> None:
    with_shares = len(counts) <= MOST_WITH_SHARES
    for row, column in product(range(len(counts)), repeat=2):
        count, share = counts[row, column], shares[row, column]
        if count or with_shares:
            text = f"{count:,}\n{share:.0%}" if with_shares and count else str(count)
            # On a dark cell black text is not readable.
            colour = "white" if share > 0.55 else "#222222" if count else "#bbbbbb"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9 if with_shares else 7)


SCORES_OF_LABELS = ("precision", "recall", "F1")


def draw_labels(counts: pd.DataFrame, target: str, file: Path, about: str = "") -> Figure:
    """Draw precision, recall and F1 of each label as bars, those with the lowest F1 at the top.

    Args:
        counts: as :func:`counts_of_labels` returns them.
        target: its name.
        file: where to write.
        about: the caption: data and run.
    """
    right = counts["true_positive"].to_numpy(dtype=float)
    actual, predicted = right + counts["false_negative"].to_numpy(), right + counts["false_positive"].to_numpy()
    scores = [right / np.maximum(whole, 1) for whole in (predicted, actual, (actual + predicted) / 2)]
    order = np.argsort(-scores[-1], kind="stable")[-MOST_WITH_NAMES:]
    places = np.arange(len(order))
    with picture(file, 6.4, max(2.8, 0.5 * len(order) + 1.4), about=about) as figure:
        axes = figure.subplots()
        for at, (name, values) in enumerate(zip(SCORES_OF_LABELS, scores, strict=True)):
            axes.barh(places + 0.27 * (1 - at), values[order], height=0.25, color=COLOURS[at], label=name)
        names = [f"{label(counts['label'].iloc[at], 18)} ({actual[at]:.0f})" for at in order]
        axes.set_yticks(places, names)
        lowest = f", the {MOST_WITH_NAMES} with the lowest F1" if len(counts) > MOST_WITH_NAMES else ""
        axes.margins(y=0.02)
        axes.grid(visible=False, axis="y")
        axes.set(
            xlim=(0, 1.01), xlabel="score", ylabel=f"{label(target, 30)} (rows){lowest}", title="Scores of each label"
        )
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9)
    return figure


def draw_roc(predictions: pd.DataFrame, spec: DataSpec, file: Path, about: str = "") -> Figure:
    """Draw the ROC curve, of each class against the rest where there are more than two, with the areas under them.

    Args:
        predictions: of the scored rows, with the truth.
        spec: the target, and its classes or labels.
        file: the PNG.
        about: the caption: data and run.
    """
    from sklearn.metrics import roc_curve

    def curve(truth: AnyArray, probability: AnyArray) -> Curve | None:
        if truth.all() or not truth.any():  # a rate of false or true positives would divide by zero
            return None
        false, true, _ = roc_curve(truth, probability)
        # As sklearn.metrics.auc, which imports half of SciPy for this sum.
        return false, true, float(np.trapezoid(true, false))

    curves, several = _curves(predictions, spec, curve), _has_several(spec)
    with picture(file, WIDE if several else NARROW, 5.9, about=about, is_cropped=False) as figure:
        axes = figure.subplots()
        if several and curves:
            at = np.linspace(0, 1, 201)
            mean = np.mean([np.interp(at, false, true) for false, true, _ in curves.values()], axis=0)
            area = float(np.mean([area for _, _, area in curves.values()]))
            mean[0] = 0.0  # a curve may start with a step up, and its interpolation above 0
            text = f"mean of the {_noun(spec)} (AUC {area:.3f})"
            axes.plot(at, mean, "--", color="black", linewidth=2.2, label=text)
        _draw_curves(axes, curves, "AUC")
        axes.plot([0, 1], [0, 1], ":", color=GREY, label="no skill (AUC 0.500)")
        title = _title("ROC curve", spec)
        axes.set(xlabel="false positive rate", ylabel="true positive rate (recall)", title=title, aspect="equal")
        _finish(figure, axes)
    return figure


def draw_precision_recall(predictions: pd.DataFrame, spec: DataSpec, file: Path, about: str = "") -> Figure:
    """Draw precision against recall, with the curves of :func:`draw_roc`."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    def curve(truth: AnyArray, probability: AnyArray) -> Curve | None:
        if not truth.any():
            return None
        precision, recall, _ = precision_recall_curve(truth, probability)
        return recall, precision, float(average_precision_score(truth, probability))

    curves, several = _curves(predictions, spec, curve), _has_several(spec)
    with picture(file, WIDE if several else NARROW, 5.9, about=about, is_cropped=False) as figure:
        axes = figure.subplots()
        if several and curves:
            mean = np.mean([area for _, _, area in curves.values()])
            # Only in the legend, since precision must not be interpolated linearly between recalls.
            axes.plot([], [], linestyle="", label=f"mean of the {_noun(spec)} (AP {mean:.3f})")
        _draw_curves(axes, curves, "AP", drawstyle="steps-post")
        truths = _truths(predictions, spec)
        shares = [float(truths[name].mean()) for name in curves]
        if curves:
            share, whose = float(np.mean(shares)), "mean share" if several else "share"
            axes.axhline(share, linestyle=":", color=GREY, label=f"no skill ({whose} {share:.3f})")
        axes.set(xlabel="recall", ylabel="precision", title=_title("Precision-recall curve", spec))
        _finish(figure, axes)
    return figure


def _has_several(spec: DataSpec) -> bool:
    """Return whether each class or label has a curve."""
    return spec.task == MULTILABEL or len(spec.class_names) > 2


def _noun(spec: DataSpec) -> str:
    return "labels" if spec.task == MULTILABEL else "classes"


def _title(what: str, spec: DataSpec) -> str:
    target = label(spec.target_name, 30)
    if spec.task == MULTILABEL:
        return f"{what} of each label of {target}"
    if len(spec.class_names) == 2:
        return f"{what}, {target} = {label(spec.class_names[1], 24)}"
    return f"{what}s, {target}: each class against the rest"


def _curves(
    predictions: pd.DataFrame, spec: DataSpec, curve: Callable[[AnyArray, AnyArray], Curve | None]
) -> dict[str, Curve]:
    """Return the curve of each class that has one; of two classes only that of the second, the positive one."""
    curves = {}
    for name, truth in _truths(predictions, spec).items():
        drawn = curve(truth, predictions[f"probability_{name}"].to_numpy())
        if drawn is not None:
            curves[name] = drawn
    return curves


def _truths(predictions: pd.DataFrame, spec: DataSpec) -> dict[str, AnyArray]:
    """Return which rows are of each class, or have each label, ``(rows,) bool``; of two classes those of the second."""
    names = spec.class_names
    if spec.task == MULTILABEL:
        held = held_labels(predictions["actual"], names)
        return {name: held[:, at] for at, name in enumerate(names)}
    return {name: (predictions["actual"] == name).to_numpy() for name in (names[1:] if len(names) == 2 else names)}


def _draw_curves(axes: Axes, curves: dict[str, Curve], area_name: str, **options: Any) -> None:
    # Classes with the smallest areas are those that a user wants to find.
    hardest = sorted(curves, key=lambda name: curves[name][2])[:MOST_CURVES]
    others = [name for name in curves if name not in hardest]
    looks = cycle([(colour, style) for style in ("-", (0, (5, 1.5))) for colour in COLOURS[:6]])
    for name, (colour, style) in zip([name for name in curves if name in hardest], looks, strict=False):
        x, y, area = curves[name]
        axes.plot(x, y, linestyle=style, color=colour, label=f"{label(name)} ({area_name} {area:.3f})", **options)
    for number, name in enumerate(others):
        text = f"{len(others)} others, larger {area_name}" if number == 0 else None
        axes.plot(*curves[name][:2], color="#cccccc", linewidth=0.7, zorder=1, label=text, **options)


def _finish(figure: Figure, axes: Axes) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    labels = axes.get_legend_handles_labels()[1]
    if figure.get_figwidth() < WIDE:
        legend_below(figure, axes)
    elif labels:
        # A legend of the axes, not of the figure, stays next to a panel that is narrower than its place.
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9)
