"""The subcommand compare: what differs between runs, in a table and on a page that opens offline."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import mlflow
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.cli.commands import compare as compare_command
from lifecycle.comparison import curves, page, panel
from lifecycle.comparison.compare import compare
from lifecycle.layout import TEST_DIGEST, VALIDATION_DIGEST
from lifecycle.tracking.found_run import FoundRun
from lifecycle.tracking.store import database_uri
from tests.conftest import Command, Ended, artifacts
from tests.forked import Forks
from tests.made import make

EVIL = "<script>alert(1)</script>"
Compare = Callable[..., Ended]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path, forks: Forks) -> Path:
    """Make three runs of a sweep over iris, one that failed, and one of other data with a name that is HTML."""
    folder = tmp_path_factory.mktemp("compared")
    make(
        folder,
        empty_database,
        ("-m", "data=iris", "optimizer.lr=0.001,0.02", "trainer.max_epochs=6"),
        ("data=iris", "optimizer=sgd", "optimizer.lr=1e6", "data.scaling=none", "trainer.max_epochs=6"),
        ("data=diabetes", "trainer.max_epochs=2", f'tracking.run_name="{EVIL}"'),
        forks=forks,
    )
    return folder


@pytest.fixture(scope="module")
def made(folder: Path, empty_database: Path) -> list[mlflow.entities.Run]:
    """Return these runs as MLflow has them: slow and quick of the sweep, failed, other data."""
    return make(folder, empty_database)


@pytest.fixture
def compared(lifecycle: Command, folder: Path, tmp_path: Path) -> Compare:
    """Compare in an empty folder, next to that of the runs."""

    def run(*words: str) -> Ended:
        return lifecycle("compare", *words, f"tracking.dir={folder / 'mlruns'}")

    return run


def test_a_sweep_of_many_runs_is_a_table_of_the_best_and_says_so(
    compared: Compare, made: list[mlflow.entities.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_command, "MOST_RUNS", 1)
    (sweep,) = {run.data.tags["lifecycle.sweep"] for run in made[:2]}
    ended = compared(f"sweep={sweep}", "output=null")
    assert (ended.code, ended.err) == (0, "")
    assert list(table(ended.out)) == [made[1].info.run_id[:8]]  # the learning rate 0.02 has the lower loss
    assert ended.out.endswith(
        f"These are 1 of 2 runs, of the best configurations. `lifecycle sweep sweep={sweep}` ranks all "
        "configurations, and `lifecycle ui` shows all runs.\n"
    )


def table(out: str) -> dict[str, list[str]]:
    """Return the cells of the table by run id."""
    rows = [re.split(r"   +", line) for line in out.splitlines()]
    return {row[1]: row for row in rows if len(row) > 3 and re.fullmatch(r"[0-9a-f]{8,}", row[1])}


def heads(out: str) -> list[str]:
    return next(re.split(r"   +", line) for line in out.splitlines() if line.startswith("run "))


def test_a_sweep_is_a_table_with_what_differs_and_the_best_of_each_column(
    compared: Compare, made: list[mlflow.entities.Run], tmp_path: Path
) -> None:
    ended = compared("sweep=latest")
    assert (ended.code, ended.err) == (0, "")
    slow, quick = made[:2]
    assert heads(ended.out)[:5] == ["run", "id", "status", "optimizer.lr", "kept_val_loss"]
    rows = table(ended.out)
    assert list(rows) == [quick.info.run_id[:8], slow.info.run_id[:8]]  # the better one first
    for run in (slow, quick):
        cells = dict(zip(heads(ended.out), rows[run.info.run_id[:8]], strict=True))
        assert cells["optimizer.lr"] == run.data.params["optimizer.lr"]
        assert cells["status"] == "FINISHED"
        for name in ("kept_val_loss", "test_loss", "test_accuracy"):
            assert cells[name].strip("*") == f"{run.data.metrics[name]:.4f}"
        for name in ("kept_val_loss", "test_loss"):
            assert cells[name].endswith("*") == (run is quick)
    (shared,) = [line for line in ended.out.splitlines() if line.startswith("Shared")]
    assert "data=iris" in shared
    assert "trainer.max_epochs=6" in shared
    assert "optimizer.lr" not in shared
    assert "tracking" not in shared
    assert ended.out.splitlines()[-1] == "Page      compare.html"
    assert (tmp_path / "compare.html").is_file()


def test_a_metric_orders_the_runs_by_its_direction(compared: Compare, made: list[mlflow.entities.Run]) -> None:
    first, second = sorted(made[:2], key=lambda run: run.data.metrics["test_accuracy"], reverse=True)
    assert first.data.metrics["test_accuracy"] > second.data.metrics["test_accuracy"]  # else it says nothing
    ids = f"{second.info.run_id},{first.info.run_id[:10]}"
    ended = compared(f"run={ids}", "metric=test_accuracy", "output=null")
    assert "by test_accuracy (higher is better)" in ended.out
    assert list(table(ended.out)) == [first.info.run_id[:8], second.info.run_id[:8]]
    assert "Page" not in ended.out


def test_runs_of_other_data_are_grouped_and_failures_are_marked(
    compared: Compare, made: list[mlflow.entities.Run], tmp_path: Path
) -> None:
    ids = [run.info.run_id for run in made]
    ended = compared(f"run={','.join(ids)}", "output=all.html")
    assert ended.code == 0
    rows = table(ended.out)
    assert list(rows) == [ids[at][:8] for at in (1, 0, 2, 3)]  # of the same rows together, without a score last
    assert [rows[run[:8]][2:4] for run in (ids[2], ids[3])] == [["1", "FAILED"], ["2", "FINISHED"]]
    assert "These runs are of 2 different sets of rows" in ended.out
    assert f"Failed    mlp-iris-0 {ids[2][:8]}: train_loss is nan" in ended.out
    cells = dict(zip(heads(ended.out), rows[ids[0][:8]], strict=True))
    assert cells["data.sha256"] == made[0].data.tags["data.sha256"][:12]
    assert "optimizer.momentum" not in cells  # sgd alone has it: that follows from optimizer=sgd
    assert "more parameters, which only some runs have, are on the page)" in ended.out


def test_best_and_latest_are_runs_and_one_that_is_named_twice_counts_once(
    compared: Compare, made: list[mlflow.entities.Run], folder: Path
) -> None:
    (sweep,) = {run.data.tags["lifecycle.sweep"] for run in made[:2]}
    ended = compared("run=best,latest", f"sweep={sweep}", "output=null")
    assert "Compared  1 run of experiment lifecycle, by" in ended.out  # the quick one is both
    assert list(table(ended.out)) == [made[1].info.run_id[:8]]
    client = mlflow.MlflowClient(database_uri(folder / "mlruns"))
    client.set_tag(made[2].info.run_id, "lifecycle.sweep", sweep)  # one that failed is never the best
    ended = compared("run=best", "sweep=latest", "output=null")
    client.delete_tag(made[2].info.run_id, "lifecycle.sweep")
    assert list(table(ended.out)) == [made[1].info.run_id[:8]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "run is not chosen. Add run=a,b,c with the runs' ids, or sweep=... for those of a multirun."),
        (("run=zzzz",), "run=zzzz is no run."),
        (("sweep=other",), "of sweep=other. Sweeps: "),
        (("sweep=latest", "metric=test_acuracy"), "metric=test_acuracy is a score of none of these runs. Did you mean"),
        (("sweep=latest", "output=runs.csv"), "output must end in .html, got runs.csv."),
        (("sweep=latest", "output=no/such/a.html"), "output=no/such/a.html cannot be written: No such file"),
        (("sweep=latest", "outptu=a.html"), "outptu is not a field of lifecycle compare, got a.html. Did you mean"),
    ],
)
def test_bad_requests_name_the_value_and_the_remedy(compared: Compare, words: tuple[str, ...], sentence: str) -> None:
    ended = compared(*words)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err


def test_a_saved_model_by_itself_has_nothing_to_compare(compared: Compare, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "lifecycle.json").touch()
    ended = compared("run=latest,model")
    assert ended.code == 2
    assert "run=model is a folder with a saved model and no run. Name its run." in ended.err


def test_without_a_multirun_the_latest_is_none(job: Command, lifecycle: Command) -> None:
    assert job("trainer.max_epochs=1", "tracking.figures=false").code == 0
    ended = lifecycle("compare", "sweep=latest")
    assert ended.code == 2
    assert "experiment lifecycle. Start one, such as lifecycle -m seed=1,2,3, or name the runs." in ended.err


class Page(HTMLParser):
    """The elements of a page with their attributes, and its texts, as a browser parses them."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)


@pytest.fixture
def all_runs(compared: Compare, made: list[mlflow.entities.Run], tmp_path: Path) -> Path:
    """Return the page of all runs, in a folder below the working one."""
    (tmp_path / "pages").mkdir()
    ended = compared(f"run={','.join(run.info.run_id for run in made)}", "output=pages/all.html")
    assert ended.code == 0
    return tmp_path / "pages" / "all.html"


def test_the_page_loads_nothing_and_runs_one_script(all_runs: Path) -> None:
    read = Page(all_runs)
    assert read.open == []  # every element is closed
    assert [tag for tag, _ in read.tags if tag == "script"] == ["script"]
    assert not {"link", "img", "iframe", "object", "image", "metadata"} & {tag for tag, _ in read.tags}
    named = [value for _, attributes in read.tags for name, value in attributes.items() if name in ("src", "href")]
    assert not [value for value in named if value and re.match(r"[a-z]+:|//", value)]
    text = all_runs.read_text()
    assert not re.search(r"url\((?!#)|@import|https?://|<!DOCTYPE svg|<\?xml", text)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= {attributes.get("id") for _, attributes in read.tags}
    (policy,) = [attributes["content"] for tag, attributes in read.tags if "http-equiv" in attributes]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")


def test_names_of_runs_are_escaped(all_runs: Path) -> None:
    assert EVIL not in all_runs.read_text()
    read = Page(all_runs)
    assert [text.strip() for text in read.texts].count(EVIL) >= 3  # leader board, legend, configuration, its section


def test_the_links_lead_to_files_from_the_folder_of_the_page(all_runs: Path, made: list[mlflow.entities.Run]) -> None:
    hrefs = [str(attributes["href"]) for tag, attributes in Page(all_runs).tags if tag == "a"]
    files = [(all_runs.parent / unquote(unescape(href))).resolve() for href in hrefs if not href.startswith("#")]
    assert all(file.exists() for file in files)
    for run in made:
        assert artifacts(run).resolve() in files
        assert f"#{run.info.run_id}" in hrefs
    assert (artifacts(made[0]) / "predictions.csv").resolve() in files


def test_the_page_has_the_values_of_the_table(all_runs: Path, made: list[mlflow.entities.Run]) -> None:
    texts = [text.strip() for text in Page(all_runs).texts]
    for run in made[:2]:
        assert f"{run.data.metrics['test_loss']:.4f}" in texts
    table = pd.read_csv(artifacts(made[1]) / "scores.csv", index_col="score")
    assert f"{table.loc['accuracy', 'low']:.4f} to {table.loc['accuracy', 'high']:.4f}" in texts
    # Digests are in a list that is closed at first, below the settings that a person reads.
    assert texts.count("data.sha256") == 1
    assert texts.index("trainer.max_epochs") < texts.index("Digests that differ") < texts.index("data.sha256")
    assert made[0].data.tags["data.sha256"][:12] in texts[texts.index("Digests that differ") :]
    assert texts.count("FAILED") == 2
    assert any(text.startswith("train_loss is nan in epoch 1: training has diverged.") for text in texts)
    assert "trainer.max_epochs" in texts
    assert "model=mlp" in texts  # among those that all share
    assert any(text.startswith("lifecycle data=iris optimizer.lr=0.02") for text in texts)  # the job alone


def test_the_curves_are_those_of_the_history(all_runs: Path, made: list[mlflow.entities.Run]) -> None:
    panels = re.findall(r"<figure>(.*?)</figure>", all_runs.read_text(), re.DOTALL)
    assert [ET.fromstring(panel).get("aria-label") for panel in panels] == ["loss", "accuracy", "mae"]
    accuracy = ET.fromstring(panels[1])
    labels = [text.text for text in accuracy.iter("text")]
    assert "epoch" in labels
    assert "accuracy (share of the rows)" in labels
    assert "mae (units of progression)" in [text.text for text in ET.fromstring(panels[2]).iter("text")]
    lines = [
        path for path in accuracy.iter("path") if "var(--line)" in str(path.get("style")) and path.get("clip-path")
    ]
    heights = [coordinates(line)[0][1] for line in lines]
    ticks = [float(str(text.text)) for text in accuracy.iter("text") if "text-anchor: end" in str(text.get("style"))]
    (top, at_top), (bottom, at_bottom) = max(zip(ticks, heights, strict=True)), min(zip(ticks, heights, strict=True))
    quick = made[1]
    (group,) = [group for group in accuracy.iter("g") if quick.info.run_id[:8] in str(group.findtext("title"))]
    dashed, solid = group.findall("g/path")
    assert ["dasharray" in str(path.get("style")) for path in (dashed, solid)] == [True, False]
    history = pd.read_csv(artifacts(quick) / "history.csv")
    for path, name in ((dashed, "train_accuracy"), (solid, "val_accuracy")):
        values = [bottom + (at_bottom - y) / (at_bottom - at_top) * (top - bottom) for _, y in coordinates(path)]
        assert values == pytest.approx(history[name].tolist(), abs=0.005)
    best = int(quick.data.tags["best_epoch"])
    (ring,) = group.findall("g/g/use")
    assert (float(ring.get("x", "")), float(ring.get("y", ""))) == pytest.approx(coordinates(solid)[best - 1])


def coordinates(path: ET.Element) -> list[tuple[float, float]]:
    """Return the points of a path, in pixels."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", str(path.get("d")))]


def test_neither_the_table_nor_the_page_needs_torch(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from lifecycle.cli.commands import compare; "
        f"compare.run(['sweep=latest', 'tracking.dir={folder / 'mlruns'}']); "
        "sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def found(name: str, **values: float) -> FoundRun:
    """Return a run with scores, and nothing behind it."""
    tags = {
        "lifecycle.higher_is_better": '{"accuracy": true}',
        "data.sha256": "a" * 64,
        VALIDATION_DIGEST: "b",
        TEST_DIGEST: "c",
    }
    return FoundRun(name * 8, name, "FINISHED", "lifecycle", params={"loss": "mse"}, metrics=values, tags=tags)


def test_equal_scores_are_all_the_best_and_a_single_one_is_none() -> None:
    runs = [found("a", test_accuracy=0.5, test_mae=1.0), found("b", test_accuracy=0.5), found("c", test_accuracy=0.1)]
    compared = compare(runs, "test_accuracy")
    assert compared.best == {"test_accuracy": {0, 1}, "test_mae": set()}


def test_nan_is_never_the_best_and_comes_last() -> None:
    compared = compare([found("a", test_loss=math.nan), found("b", test_loss=2.0), found("c", test_loss=3.0)])
    assert [run.name for run in compared.runs] == ["b", "c", "a"]
    assert compared.best["test_loss"] == {0}


def test_runs_with_different_losses_are_warned_of_and_another_score_is_named() -> None:
    first, second = found("a", test_loss=1.0, test_mae=1.0), found("b", test_loss=2.0, test_mae=1.0)
    second.params["loss"] = "mae"
    (note,) = compare([first, second]).notes
    assert note == (
        "The runs differ in loss: their losses are not comparable. Order by another score, such as metric=test_mae."
    )


def test_rescored_test_rows_have_a_column_only_if_scores_differ() -> None:
    again = {"evaluate_test_loss": 1.0, "evaluate_b_loss": 2.0, "evaluate_b_mae": 2.0, "evaluate_b_baseline_loss": 3.0}
    compared = compare([found("a", test_loss=1.0, **again)])
    assert list(compared.scores) == ["test_loss", "evaluate_b_loss", "evaluate_b_mae"]
    assert "evaluate_test_loss" in compare([found("a", test_loss=1.5, **again)]).scores


def test_short_ids_are_as_long_as_needed() -> None:
    runs = [found("a", test_loss=1.0), found("b", test_loss=2.0)]
    alike = [FoundRun(f"{'0' * 12}{at}", "same", "FINISHED") for at in (1, 2)]
    assert compare(runs).ids == ["aaaaaaaa", "bbbbbbbb"]
    assert compare(alike).ids == [f"{'0' * 12}1", f"{'0' * 12}2"]


@settings(max_examples=25, deadline=None)  # matplotlib takes a tenth of a second for each
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=30), st.booleans())
def test_any_values_make_an_svg_of_finite_numbers(values: list[float], scales: bool) -> None:
    line = panel.Line([(at + 1.0, value) for at, value in enumerate(values)], mark=1.0)
    drawn = panel.draw("loss", "loss", [panel.Group("c0", "a & b", [line], scales)])
    if not any(map(math.isfinite, values)):
        assert drawn == ""
        return
    svg = ET.fromstring(drawn)
    (group,) = [group for group in svg.iter("g") if group.get("class") == "lines"]
    assert group.findtext("title") == "a & b"
    assert not re.search(r"\b(nan|inf)\b", drawn)
    is_alone = [at for at, value in enumerate(values) if math.isfinite(value)] == [0]
    assert len(group.findall("g/g/use")) >= is_alone + math.isfinite(values[0])  # a dot, and the ring


def test_a_run_that_diverged_leaves_space_to_the_others() -> None:
    good, bad = panel.Line([(1.0, 1.0), (2.0, 0.5)]), panel.Line([(1.0, 1.0), (2.0, 1e30)])
    groups = [panel.Group("c0", "bad", [bad], scales=False), panel.Group("c1", "good", [good])]
    drawn = panel.draw("loss", "loss", groups)
    assert "logarithmic" not in drawn
    svg = ET.fromstring(drawn)
    paths = {group.findtext("title"): group.find("g/path") for group in svg.iter("g") if group.get("class") == "lines"}
    assert paths["bad"] is not None
    assert paths["good"] is not None
    assert paths["bad"].get("clip-path") is not None
    rectangle = svg.find(".//clipPath/rect")
    assert rectangle is not None
    top, height = (float(rectangle.get(name, "")) for name in ("y", "height"))
    assert coordinates(paths["bad"])[-1][1] < top
    assert all(top < y < top + height for _, y in coordinates(paths["good"]))


def test_values_of_a_wide_range_are_on_a_logarithmic_axis() -> None:
    lines = [panel.Line([(1.0, 1000.0), (2.0, 1.0), (3.0, 0.01)])]
    svg = ET.fromstring(panel.draw("loss", "loss (mse)", [panel.Group("c0", "run", lines)]))
    assert "loss (mse), logarithmic" in [text.text for text in svg.iter("text")]
    (path,) = [path for group in svg.iter("g") if group.get("class") == "lines" for path in group.findall("g/path")]
    first, middle, last = (y for _, y in coordinates(path))
    assert (middle - first) / (last - middle) == pytest.approx(1.5, rel=1e-3)


def test_of_many_epochs_the_extremes_are_drawn_and_the_page_stays_small() -> None:
    points = [(float(at), 1.0 + 0.01 * math.sin(at)) for at in range(5000)]
    points[2345] = (2345.0, 9.0)
    drawn = panel.draw("loss", "loss", [panel.Group("c0", "run", [panel.Line(points)])])
    assert len(drawn) < 60_000
    (group,) = [group for group in ET.fromstring(drawn).iter("g") if group.get("class") == "lines"]
    (path,) = group.findall("g/path")
    heights = [y for _, y in coordinates(path)]
    assert min(heights) < min(height for height in heights if height != min(heights)) - 100


def test_a_panel_is_the_same_each_time() -> None:
    groups = [panel.Group("c0", "run", [panel.Line([(1.0, 1.0), (2.0, 0.5)], mark=2.0)])]
    assert panel.draw("loss", "price ($)", groups) == panel.draw("loss", "price ($)", groups)


def test_the_colours_of_panels_are_those_of_the_style_sheet() -> None:
    style = (Path(page.__file__).parent / "page.css").read_text().partition("@media")[0]
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", style))
    assert {name: colours[name] for name in panel.COLOURS} == panel.COLOURS


def test_of_many_runs_the_best_have_colours_and_the_others_are_grey(tmp_path: Path) -> None:
    runs = [found(chr(97 + at), test_loss=float(at)) for at in range(14)]
    compared = compare(runs)
    histories: list[curves.Scores] = [{"val_loss": [(1.0, 1.0), (2.0, float(at))]} for at in range(14)]
    text = page.draw(compared, histories, tmp_path)
    curve = [path for path in re.findall(r"<path [^>]*>", text) if "var(--other)" in path]
    assert len(curve) == 14 - curves.MOST_COLOURED
    assert f"{14 - curves.MOST_COLOURED} more</li>" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("by=optimizer.lr",), "by=optimizer.lr compares values within a sweep. Name it: sweep=latest."),
        (
            ("sweep=latest", "by=optimizer.lr", "output=page.html"),
            "output=page.html is a page of runs, and by= compares values. Leave one of them out.",
        ),
    ],
)
def test_values_are_compared_within_a_sweep_and_without_a_page(
    lifecycle: Command, words: tuple[str, ...], message: str
) -> None:
    ended = lifecycle("compare", *words)
    assert (ended.code, ended.err) == (2, f"lifecycle: {message}\n")
