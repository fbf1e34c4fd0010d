"""Pictures: their content, compared with scikit-learn and the rows, and that each is a valid file."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from sklearn import metrics
from torch import nn

from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL, REGRESSION, DataSpec
from lifecycle.data.dataset import Dataset, Part
from lifecycle.data.preprocessing import Preprocessing
from lifecycle.fit.history import History, Row
from lifecycle.plots import artifacts, classes, curves, style, values

ODD = ("a $5-$10 <house> & more, of a name that is long", "日本", "c\n\x00")
"""Names that would be formulas, lack a glyph, or break a line."""


def history(
    epochs: int, best: int | None, weights: int, metrics: tuple[str, ...] = ("accuracy",), **more: Any
) -> History:
    rows: list[Row] = []
    for epoch in range(1, epochs + 1):
        scores = {f"{part}_{name}": epoch / 10 for part in ("train", "val") for name in ("loss", *metrics)}
        rows.append({"epoch": epoch, **scores, **more, "epoch_seconds": 0.1})
    return History(tuple(rows), best, weights, "the test said so")


def lines(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """Return x and y of each line by its label."""
    return {str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def is_picture(file: Path) -> bool:
    """Say whether a file is a PNG on which something is drawn."""
    with Image.open(file) as image:
        return image.format == "PNG" and min(image.size) > 150 and len(image.getcolors(1 << 24) or []) > 20


def texts(figure: Figure) -> set[str]:
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def test_curves_have_a_panel_for_the_loss_and_each_metric_with_both_parts(tmp_path: Path) -> None:
    figure = curves.draw(history(30, 12, 12, ("accuracy", "f1")), tmp_path / "curves.png")
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy", "F1"]
    for axes in figure.axes:
        drawn = lines(axes)
        for label in ("train", "validation"):
            assert drawn[label] == (list(range(1, 31)), pytest.approx([epoch / 10 for epoch in range(1, 31)]))
        assert drawn["best epoch: 12"][0] == [12, 12]
        assert "epoch of the weights: 12" not in drawn
    assert texts(figure) == {"12"}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["train", "validation", "best epoch: 12"]
    assert is_picture(tmp_path / "curves.png")


def test_the_epoch_of_the_weights_is_marked_where_it_is_another(tmp_path: Path) -> None:
    drawn = lines(curves.draw(history(30, 12, 30), tmp_path / "curves.png").axes[0])
    assert drawn["best epoch: 12"][0] == [12, 12]
    assert drawn["epoch of the weights: 30"][0] == [30, 30]
    alone = lines(curves.draw(history(30, None, 30), tmp_path / "curves.png").axes[0])
    assert "epoch of the weights: 30" in alone
    assert not any(label.startswith("best") for label in alone)


def test_the_numbers_of_two_epochs_that_are_close_do_not_overlap(tmp_path: Path) -> None:
    for best, weights in ((39, 40), (40, 39), (10, 40)):
        figure = curves.draw(history(40, best, weights), tmp_path / "curves.png")
        first, second = (text.get_window_extent() for text in figure.axes[0].texts)
        assert not first.overlaps(second)


def test_one_epoch_is_a_point_and_a_thousand_a_line(tmp_path: Path) -> None:
    for epochs, marker in ((1, {"o"}), (1000, {"", "None"})):
        figure = curves.draw(history(epochs, 1, 1), tmp_path / "curves.png")
        line = figure.axes[0].get_lines()[0]
        assert line.get_marker() in marker
        assert is_picture(tmp_path / "curves.png")


def test_a_learning_rate_has_its_own_panel_and_seconds_have_none() -> None:
    columns = ["epoch", "train_loss", "train_f1", "val_loss", "val_f1", "lr", "epoch_seconds"]
    assert curves.panels_of(columns) == {"loss": ["train_loss", "val_loss"], "f1": ["train_f1", "val_f1"], "lr": ["lr"]}


def test_values_that_are_no_number_are_gaps(tmp_path: Path) -> None:
    rows = tuple({**row, "val_loss": (np.nan, np.inf)[int(row["epoch"]) % 2]} for row in history(4, None, 4).rows)
    figure = curves.draw(History(rows, None, 4, ""), tmp_path / "curves.png")
    assert np.isnan(lines(figure.axes[0])["validation"][1]).all()
    assert is_picture(tmp_path / "curves.png")


@pytest.mark.parametrize(("first", "scale"), [(1000.0, "log"), (2.0, "linear"), (-1.0, "linear")])
def test_a_loss_that_falls_far_is_drawn_on_a_logarithmic_axis(tmp_path: Path, first: float, scale: str) -> None:
    rows = ({"epoch": 1, "train_loss": first}, {"epoch": 2, "train_loss": 1.0})
    figure = curves.draw(History(rows, None, 2, ""), tmp_path / "curves.png")
    assert figure.axes[0].get_yscale() == scale
    assert figure.axes[0].get_ylabel() == ("logarithmic axis" if scale == "log" else "")


@pytest.mark.parametrize("epochs", [1, 2, 7, 30, 1000])
def test_axes_of_epochs_begin_with_the_first_and_end_with_the_last(tmp_path: Path, epochs: int) -> None:
    for axes in curves.draw(history(epochs, 1, 1), tmp_path / "curves.png").axes:
        low, high = axes.get_xlim()
        ticks = axes.get_xticks().tolist()
        assert ticks[0] == 1
        assert all(tick == int(tick) and low <= tick <= high for tick in ticks)
        assert low > 0.4 or epochs == 1000
        assert high - epochs < max(1, epochs / 40)


def test_curves_and_areas_name_the_target_and_have_room_for_ten_classes(tmp_path: Path) -> None:
    for names, title in (
        (("0", "1"), "diabetes = 1"),
        (labelled(10), "diabetes: each class against the rest"),
    ):
        frame, spec, many = predictions(names), spec_of(names, "diabetes"), "s" * (len(names) > 2)
        roc = classes.draw_roc(frame, spec, tmp_path / "roc.png", "pima, run a")
        recall = classes.draw_precision_recall(frame, spec, tmp_path / "pr.png", "pima, run a")
        assert roc.axes[0].get_title() == f"ROC curve{many}, {title}"
        assert recall.axes[0].get_title() == f"Precision-recall curve{many}, {title}"
        for figure, file in ((roc, "roc.png"), (recall, "pr.png")):
            assert [text.get_text() for text in figure.texts] == ["pima, run a"]
            with Image.open(tmp_path / file) as image:
                assert image.width == (1000 if many else 616)
            panel = figure.axes[0].get_window_extent()
            legend = figure.axes[0].get_legend() if many else figure.legends[0]
            assert legend is not None
            box = legend.get_window_extent()
            if many:
                assert 0 < box.x0 - panel.x1 < 60  # next to the panel
            else:
                assert figure.texts[0].get_window_extent().y1 < box.y0  # below it, and above the caption
                assert box.y1 < panel.y0
            assert figure.bbox.x0 <= box.x0
            assert box.x1 <= figure.bbox.x1  # not cut off
            assert len(legend.get_texts()) >= len(names)


def test_labels_have_a_curve_each(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    held = pd.Series(["a|b", "b", "", "c|a"] * 6)
    certain = np.random.default_rng(0).random((24, 3))
    frame = pd.DataFrame({"actual": held, "predicted": held})
    frame = frame.assign(**{f"probability_{name}": certain[:, at] for at, name in enumerate(names)})
    spec = DataSpec(MULTILABEL, (4,), 3, "moods", class_names=names)
    axes = classes.draw_roc(frame, spec, tmp_path / "roc.png").axes[0]
    assert axes.get_title() == "ROC curve of each label of moods"
    for at, name in enumerate(names):
        area = metrics.roc_auc_score(held.str.contains(name), certain[:, at])
        assert f"{name} (AUC {area:.3f})" in lines(axes)


@pytest.mark.parametrize("has_copies", [False, True])
def test_pictures_have_a_caption_a_white_ground_and_vectors_if_asked_for(tmp_path: Path, has_copies: bool) -> None:
    frame, spec, fitted = predictions(labelled(3)), spec_of(labelled(3)), history(3, 1, 1)
    look = artifacts.Look("iris, 30 test rows, run mlp-iris-0", has_copies)
    artifacts.write_pictures(tmp_path, fitted, frame, spec, look)
    names = artifacts.pictures_of(spec, look=look)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)
    pictures = {Path(name).stem for name in names}
    assert pictures == {"curves", "confusion_matrix", "roc", "precision_recall"}
    for name in pictures:
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.convert("RGBA").getpixel((1, 1)) == (255, 255, 255, 255)  # as readable on a dark page
        if has_copies:
            text = (tmp_path / f"{name}.svg").read_text()
            caption = "iris, run mlp-iris-0" if name == "curves" else look.about
            assert caption in text
            assert "fill: #ffffff" in text
    if has_copies:
        first = (tmp_path / "roc.svg").read_bytes()
        artifacts.write_pictures(tmp_path, fitted, frame, spec, look)
        assert (tmp_path / "roc.svg").read_bytes() == first


def predictions(names: tuple[str, ...], rows: int = 120, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    truth = np.arange(rows) % len(names)
    outputs = generator.normal(size=(rows, len(names)))
    outputs[np.arange(rows), truth] += 1.0
    certain = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    named = np.array(names, dtype=object)
    frame = pd.DataFrame({"actual": named[truth], "predicted": named[certain.argmax(axis=1)]})
    return frame.assign(**{f"probability_{name}": certain[:, code] for code, name in enumerate(names)})


def spec_of(names: tuple[str, ...], target: str = "species") -> DataSpec:
    task = BINARY if len(names) == 2 else MULTICLASS
    return DataSpec(task, (4,), 1 if len(names) == 2 else len(names), target, class_names=names)


def labelled(number: int) -> tuple[str, ...]:
    return tuple(f"class {code:02d}" for code in range(number))


def test_the_report_and_the_matrix_are_scikit_learns() -> None:
    frame, names = predictions(labelled(3)), labelled(3)
    report = classes.report(frame, names)
    for name in names:
        recall = metrics.recall_score(frame["actual"] == name, frame["predicted"] == name)
        assert f"{recall:.4f}" in next(line for line in report.splitlines() if name in line)
    matrix = classes.confusion(frame, names)
    wanted = metrics.confusion_matrix(frame["actual"], frame["predicted"])
    np.testing.assert_array_equal(matrix.to_numpy(), wanted)
    read = pd.read_csv(io.StringIO(matrix.to_csv()), index_col="actual \\ predicted")
    pd.testing.assert_frame_equal(read, matrix)


def test_a_class_that_no_row_has_is_a_row_of_zeros(tmp_path: Path) -> None:
    frame = predictions(labelled(3)).query("actual == 'class 00'").assign(predicted="class 00")
    matrix = classes.confusion(frame, labelled(3))
    assert matrix.to_numpy().tolist() == [[40, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert "class 02     0.0000    0.0000    0.0000         0" in classes.report(frame, labelled(3))
    assert "40\n100%" in texts(classes.draw_confusion(matrix, "y", tmp_path / "m.png"))
    assert len(lines(classes.draw_roc(frame, spec_of(labelled(3)), tmp_path / "r.png").axes[0])) == 1  # no skill alone
    drawn = lines(classes.draw_precision_recall(frame, spec_of(labelled(3)), tmp_path / "p.png").axes[0])
    assert [label for label in drawn if label.startswith("class")] == ["class 00 (AP 1.000)"]


@pytest.mark.parametrize("number", [2, 10, 30])
def test_the_matrix_shows_counts_shares_and_names(tmp_path: Path, number: int) -> None:
    names = labelled(number)
    matrix = classes.confusion(predictions(names), names)
    figure = classes.draw_confusion(matrix, "species", tmp_path / "m.png")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(names)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted species", "actual species")
    shares = matrix.to_numpy() / matrix.to_numpy().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), shares)
    cells = zip(matrix.to_numpy().flat, shares.flat, strict=True)
    wanted = {f"{count}\n{share:.0%}" if number < 30 else str(count) for count, share in cells if count}
    assert texts(figure) - {"0"} == wanted
    assert is_picture(tmp_path / "m.png")


@pytest.mark.parametrize("number", [3, 12, 40, 70])
def test_a_matrix_fills_its_picture_and_no_text_is_cut_off(tmp_path: Path, number: int) -> None:
    names = tuple(f"class {code} of a long name" for code in range(number))
    counts = np.full((number, number), 23_456)
    figure = classes.draw_confusion(pd.DataFrame(counts, columns=list(names)), "y", tmp_path / "m.png", "a, run b")
    axes = figure.axes[0]
    assert ("23,456\n33%" in texts(figure)) == (number == 3)
    assert axes.get_window_extent().width > 0.45 * figure.bbox.width
    ticks = [*axes.get_xticklabels(), *axes.get_yticklabels()] if number <= classes.MOST_WITH_NAMES else []
    for text in (axes.title, axes.xaxis.label, *ticks):
        box = text.get_window_extent()
        assert min(box.x0, box.y0) > -1
        assert box.x1 <= figure.bbox.x1


def test_so_many_classes_that_no_number_would_be_read_are_colours_alone(tmp_path: Path) -> None:
    names = labelled(100)
    figure = classes.draw_confusion(classes.confusion(predictions(names), names), "y", tmp_path / "m.png")
    assert texts(figure) == set()
    assert max(figure.get_size_inches()) < 20


def test_the_roc_curve_of_two_classes_is_scikit_learns(tmp_path: Path) -> None:
    frame, names = predictions(("no", "yes")), ("no", "yes")
    drawn = lines(classes.draw_roc(frame, spec_of(names), tmp_path / "roc.png").axes[0])
    truth, certain = frame["actual"] == "yes", frame["probability_yes"]
    false, true, _ = metrics.roc_curve(truth, certain)
    label = f"yes (AUC {metrics.roc_auc_score(truth, certain):.3f})"
    assert list(drawn) == [label, "no skill (AUC 0.500)"]
    assert drawn[label] == (list(false), list(true))
    assert is_picture(tmp_path / "roc.png")


def test_the_precision_recall_curve_of_two_classes_is_scikit_learns(tmp_path: Path) -> None:
    frame, names = predictions(("no", "yes"))[20:81], ("no", "yes")
    drawn = lines(classes.draw_precision_recall(frame, spec_of(names), tmp_path / "pr.png").axes[0])
    truth, certain = frame["actual"] == "yes", frame["probability_yes"]
    precision, recall, _ = metrics.precision_recall_curve(truth, certain)
    label = f"yes (AP {metrics.average_precision_score(truth, certain):.3f})"
    assert list(drawn) == [label, f"no skill (share {truth.mean():.3f})"]
    assert drawn[label] == (list(recall), list(precision))
    assert is_picture(tmp_path / "pr.png")


def test_several_classes_have_a_curve_each_and_their_mean(tmp_path: Path) -> None:
    names = labelled(3)
    frame = predictions(names)
    certain = frame[[f"probability_{name}" for name in names]]
    mean = metrics.roc_auc_score(frame["actual"], certain, multi_class="ovr")
    drawn = lines(classes.draw_roc(frame, spec_of(names), tmp_path / "roc.png").axes[0])
    assert f"mean of the classes (AUC {mean:.3f})" in drawn
    for name in names:
        area = metrics.roc_auc_score(frame["actual"] == name, frame[f"probability_{name}"])
        assert f"{name} (AUC {area:.3f})" in drawn
    areas = [metrics.average_precision_score(frame["actual"] == n, frame[f"probability_{n}"]) for n in names]
    drawn = lines(classes.draw_precision_recall(frame, spec_of(names), tmp_path / "pr.png").axes[0])
    assert f"mean of the classes (AP {np.mean(areas):.3f})" in drawn
    assert {f"{name} (AP {area:.3f})" for name, area in zip(names, areas, strict=True)} <= set(drawn)


def test_of_many_classes_the_ten_with_the_smallest_areas_are_named(tmp_path: Path) -> None:
    names = labelled(30)
    frame = predictions(names, rows=600)
    (axes,) = classes.draw_roc(frame, spec_of(names), tmp_path / "roc.png").axes
    areas = {name: metrics.roc_auc_score(frame["actual"] == name, frame[f"probability_{name}"]) for name in names}
    hardest = sorted(names, key=lambda name: areas[name])[:10]
    message = [label.partition(" (")[0] for label in axes.get_legend_handles_labels()[1]]
    assert message == ["mean of the classes", *sorted(hardest), "20 others, larger AUC", "no skill"]


def test_odd_names_are_drawn_as_they_are_and_warn_of_nothing(tmp_path: Path) -> None:
    frame = predictions(ODD)
    figure = classes.draw_confusion(classes.confusion(frame, ODD), "cost in $, or $$", tmp_path / "m.png")
    assert figure.axes[0].get_xlabel() == r"predicted cost in \$, or \$\$"  # \$ is how matplotlib writes a dollar
    classes.draw_roc(frame, spec_of(ODD), tmp_path / "r.png")
    classes.draw_precision_recall(frame, spec_of(ODD), tmp_path / "p.png")
    assert all(is_picture(tmp_path / name) for name in ("m.png", "r.png", "p.png"))


def test_long_texts_lose_their_middle() -> None:
    assert style.short("twenty characters ok") == "twenty characters ok"
    assert style.short("a name of twenty-five cha") == "a name of …-five cha"
    assert style.short("two\nlines\x00", 20) == "two lines"
    assert len(style.short("x" * 99, 18)) == 18


def test_residuals_are_drawn_in_the_users_units(tmp_path: Path) -> None:
    true, predicted = [100.0, 200.0, 330.0], [110.0, 190.0, 300.0]
    frame = pd.DataFrame({"actual": true, "predicted": predicted})
    left, middle, right = values.draw_residuals(frame, "price", tmp_path / "residuals.png").axes
    assert np.asarray(left.collections[0].get_offsets()).tolist() == [
        list(x) for x in zip(true, predicted, strict=True)
    ]
    assert lines(left)["predicted = true"] == ([100.0, 330.0], [100.0, 330.0])
    assert np.asarray(middle.collections[0].get_offsets()).tolist() == [[110.0, -10.0], [190.0, 10.0], [300.0, 30.0]]
    assert sum(bar.get_height() for bar in right.patches) == 3  # type: ignore[attr-defined]
    assert right.get_title() == "Histogram of residuals, mean 10"
    assert (left.get_xlabel(), left.get_ylabel()) == ("true price", "predicted price")
    assert is_picture(tmp_path / "residuals.png")


@pytest.mark.parametrize(("factor", "unit"), [(1e-7, "e-"), (10.0, ""), (2e5, "M")])
def test_ticks_of_residuals_are_short_and_do_not_overlap(tmp_path: Path, factor: float, unit: str) -> None:
    true = np.arange(40) * factor
    frame = pd.DataFrame({"actual": true, "predicted": true[::-1] * 0.9})
    figure = values.draw_residuals(frame, "a name of a target that is long", tmp_path / "residuals.png")
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [text for text in axes.get_xticklabels() if low <= text.get_position()[0] <= high]
        boxes = [text.get_window_extent() for text in ticks]
        assert len(boxes) > 2
        assert all(one.x1 + 3 < other.x0 for one, other in pairwise(boxes))
        assert unit in "".join(text.get_text() for text in ticks)
        assert axes.xaxis.get_offset_text().get_text() == ""


@pytest.mark.parametrize("rows", [1, 2, 50_000])
def test_residuals_of_one_row_and_of_many(tmp_path: Path, rows: int) -> None:
    frame = pd.DataFrame({"actual": np.arange(rows) * 1.0, "predicted": np.arange(rows) + 0.5})
    left, _, right = values.draw_residuals(frame, "y", tmp_path / "residuals.png").axes
    assert len(np.asarray(left.collections[0].get_offsets())) <= values.MOST_POINTS * 1.5
    assert sum(bar.get_height() for bar in right.patches) == rows  # type: ignore[attr-defined]
    assert is_picture(tmp_path / "residuals.png")


def series(times: Any = None) -> Dataset:
    import torch

    def part(start: int, stop: int) -> Part:
        rows = np.arange(start, stop)
        naive = {"last value": rows * 2.0 - 2}
        when = None if times is None else np.asarray(times)[start:stop]
        return Part(torch.zeros(len(rows), 3, 1), torch.zeros(len(rows), 1), rows * 2.0, rows, None, naive, when)

    spec = DataSpec(REGRESSION, (3, 1), 1, "sales")
    parts = {"train": part(0, 20), "val": part(20, 24), "test": part(24, 30)}
    return Dataset(
        "sales",
        "series",
        spec,
        Preprocessing(None, None),
        **parts,
        num_rows=30,
        num_missing=0,
        digest="",
        columns=("sales",),
        column_kinds={"sales": "target, from its own past"},
    )


def forecast(data: Dataset) -> pd.DataFrame:
    return pd.DataFrame({"actual": data.scored.labels, "predicted": data.scored.labels + 1.0})


def test_a_forecast_is_drawn_with_truth_naive_forecasts_and_known_values(tmp_path: Path) -> None:
    data = series()
    axes = values.draw_forecast(forecast(data), data, tmp_path / "forecast.png").axes[0]
    rows = list(range(24, 30))
    assert lines(axes) == {
        "known before": (list(range(12, 24)), [2.0 * row for row in range(12, 24)]),
        "truth": (rows, [2.0 * row for row in rows]),
        "naive: last value": (rows, [2.0 * row - 2 for row in rows]),
        "forecast": (rows, [2.0 * row + 1 for row in rows]),
    }
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("row", "sales")
    assert axes.get_title() == "Forecast of the 6 test rows"
    assert is_picture(tmp_path / "forecast.png")


def test_each_of_several_series_has_a_panel_and_those_with_the_largest_errors_are_drawn(tmp_path: Path) -> None:
    single = series(DAYS.to_numpy())

    def of_two(part: Part, shops: int) -> Part:
        rows = np.tile(part.rows, shops)
        about = {"shop": np.repeat([f"shop {number}" for number in range(shops)], len(part)).astype(object)}
        when, naive = np.tile(part.times, shops), {"last value": np.tile(part.naive["last value"], shops)}
        return replace(part, labels=np.tile(part.labels, shops), rows=rows, times=when, naive=naive, about=about)

    for shops, drawn in ((2, [0, 1]), (8, [2, 3, 4, 5, 6, 7])):
        parts = {name: of_two(getattr(single, name), shops) for name in ("train", "val", "test")}
        data = replace(single, **parts)
        off = np.repeat(np.arange(shops), 6)  # the error of a shop is its number
        frame = pd.DataFrame({"actual": data.scored.labels, "predicted": data.scored.labels + off})
        figure = values.draw_forecast(frame, data, tmp_path / "forecast.png")
        assert [axes.get_title() for axes in figure.axes] == [f"shop {number}" for number in drawn]
        for axes, number in zip(figure.axes, drawn, strict=True):
            times, truth = lines(axes)["truth"]
            assert (times, truth) == (sorted(times), [2.0 * row for row in range(24, 30)])
            assert lines(axes)["forecast"][1] == [2.0 * row + number for row in range(24, 30)]
        which = ": the 6 of 8 series with the largest errors" if shops == 8 else ""
        assert figure.get_suptitle() == f"Forecast of the {6 * shops} test rows{which}"


def test_a_forecast_of_several_steps_has_the_nearest_and_the_furthest(tmp_path: Path) -> None:
    single = series()
    part = single.scored
    steps = {"step": np.tile([1, 2, 3], 2)}
    data = replace(single, test=replace(part, rows=np.array([24, 25, 26, 25, 26, 27]), about=steps))
    drawn = lines(values.draw_forecast(forecast(data), data, tmp_path / "forecast.png").axes[0])
    assert drawn["forecast, 1 step ahead"][0] == [24, 25]
    assert drawn["forecast, 3 steps ahead"][0] == [26, 27]
    assert drawn["truth"][0] == [24, 25]


DAYS = pd.date_range("2024-01-27", periods=30)


@pytest.mark.parametrize(
    ("times", "first", "axis"),
    [
        (DAYS.to_numpy(), DAYS[24].to_datetime64(), "time"),
        (DAYS.strftime("%Y-%m-%d").to_numpy(dtype=object), DAYS[24].to_datetime64(), "time"),
        (np.arange(30) * 0.5, 12.0, "time"),
        (
            np.array([str(round(2000 + row / 12, 3)) for row in range(30)], dtype=object),
            np.datetime64("2002-01-01"),
            "time",
        ),
        (np.array([f"week {row}th?" for row in range(30)], dtype=object), 24, "row"),
    ],
    ids=["times", "texts", "numbers", "decimal years", "no times"],
)
def test_times_are_on_the_axis_where_they_can_be_read(tmp_path: Path, times: Any, first: Any, axis: str) -> None:
    data = series(times)
    axes = values.draw_forecast(forecast(data), data, tmp_path / "forecast.png").axes[0]
    assert lines(axes)["truth"][0][0] == first
    assert axes.get_xlabel() == axis


def test_a_forecast_of_the_training_rows_has_nothing_before_it(tmp_path: Path) -> None:
    whole = series()
    data = Dataset(**{**vars(whole), "val": None, "test": None})
    axes = values.draw_forecast(forecast(data), data, tmp_path / "forecast.png").axes[0]
    assert axes.get_title() == "Forecast of the 20 training set rows"
    assert "known before" not in lines(axes)


def test_the_pictures_follow_from_the_task_and_its_time(tmp_path: Path) -> None:
    data = series()
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 1))
    named = artifacts.write_drawings(tmp_path, "mlp", network, data, forecast(data)) + artifacts.pictures_of(data.spec)
    assert named == ["model.svg", "forecast.png", "curves.png", "residuals.png"]
    artifacts.write_pictures(tmp_path, history(3, 1, 1), forecast(data), data.spec)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(named)


def test_pictures_ignore_the_users_matplotlib_settings(tmp_path: Path) -> None:
    import matplotlib

    curves.draw(history(3, 1, 1), tmp_path / "a.png")
    with matplotlib.rc_context({"text.usetex": True, "font.size": 40, "lines.linewidth": 9}):
        curves.draw(history(3, 1, 1), tmp_path / "b.png")
        assert matplotlib.rcParams["font.size"] == 40
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
