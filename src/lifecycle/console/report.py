"""Prints the progress and the results of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

from lifecycle.compile.devices import names_of
from lifecycle.compile.precision import is_bf16
from lifecycle.console.epoch_lines import EpochLines
from lifecycle.console.progress import EpochBar, NotebookBar
from lifecycle.console.titles import TITLE, broken
from lifecycle.contract import MULTILABEL
from lifecycle.data.columns import kinds, label_sets
from lifecycle.errors import COMMAND_LINE, Text
from lifecycle.plots.style import number
from lifecycle.runtime import lines
from lifecycle.runtime.files import locks
from lifecycle.runtime.files.paths import shown

if TYPE_CHECKING:
    from lifecycle.compile.compiled_model import CompiledModel
    from lifecycle.config.request import Job
    from lifecycle.data.dataset import Dataset
    from lifecycle.define.summary import Layer
    from lifecycle.evaluate.scoring import Evaluation
    from lifecycle.fit.history import History, Row
    from lifecycle.tracking.run import Run

MOST_WIDTH = 120
"""Most characters of a line of several items."""

KINDS_OF_ROWS = {"test": "test", "training_set": "training", "given": "given"}
"""Names of scored rows in sentences."""


class Printer(Console):
    """A console that becomes quiet if its output can no longer be written, so that the run continues.

    Attributes:
        fits: columns that lines have to fit into; ``None``: a file or a pipe, whose lines are not broken.
    """

    def __init__(self, quiet: bool) -> None:
        out = sys.stdout if sys.stdout is not None else Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process
        self.fits = lines.width_of(out)
        # In a file or a pipe, rich would assume 80 columns and break wide tables.
        super().__init__(file=out, quiet=quiet, highlight=False, soft_wrap=True, width=self.fits or lines.WIDE)

    def on_broken_pipe(self) -> None:
        """Become quiet: the program that reads the output has ended, such as ``head``."""
        self.quiet = True
        # Else Python would fail at exit, when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; become quiet if the disk is full."""
        try:
            super().print(*objects, **options)
        except OSError:
            self.on_broken_pipe()


ONE_MACHINE = (
    "whose locks hold on one machine only. Two machines that record in it at once can damage its database: mount it "
    "with locks (NFS: without nolock and local_lock), or choose a folder for each machine with tracking.dir."
)


class Report:
    """Prints a run.

    Args:
        verbose: 0: nothing; 1: a progress bar on a terminal and in a notebook, else the lines of a few epochs; 2: a
            line for each epoch.
    """

    def __init__(self, verbose: int) -> None:
        self.console = Printer(quiet=verbose == 0)
        self.wants_bar = verbose == 1 and (self.console.is_terminal or self.console.is_jupyter)
        self.bar: EpochBar | NotebookBar | None = None
        self._verbose, self._epochs, self._max_epochs = verbose, EpochLines(0), 0

    def data(self, data: Dataset) -> None:
        """Print the rows of a data set, and how their text file was read unless it is a plain one."""
        self._line("Data", describe_data(data))
        if data.reading:
            self._line("Read", data.reading)

    def note(self, title: str, text: str, warnings: Sequence[str] = ()) -> None:
        """Print a titled line, with warnings below it."""
        self._line(title, text)
        for warning in warnings:
            self._line("", warning, style="yellow")

    def begin(self, job: Job, data: Dataset, layers: list[Layer], module: CompiledModel) -> None:
        """Print data, layers, loss, optimizer and metrics before a fit."""
        self.data(data)
        if data.task_choice is not None:
            self._line("Task", COMMAND_LINE.text(data.task_choice))
        self._line("Columns", kinds.describe(data.column_kinds))
        if data.inferred is not None:
            self._line(*data.inferred)
        for at, sentence in enumerate(data.split_report):
            self._line("" if at else "Split", COMMAND_LINE.text(sentence))
        found = [*(one.text for one in data.audit.findings)] if data.audit is not None else []
        for at, note in enumerate([*data.notes, *found]):
            self._line("" if at else "Audit", COMMAND_LINE.text(note), style="yellow")
        if data.audit is not None and data.audit.not_checked:
            self._line("" if data.notes or found else "Audit", f"not checked: {'; '.join(data.audit.not_checked)}")
        self._line("Network", f"{job.model_name}: {sum(layer.num_params for layer in layers):,} parameters")
        self._table(summary_table(list(layers)))
        optimizer = f"{job.optimizer_name} (lr {job.optimizer.lr:g})"
        if job.schedule_name != "none":
            optimizer += f", schedule {job.schedule_name}"
        metrics = ", ".join(module.metric_names) or "none"
        precision = ", precision bf16-mixed" if is_bf16(job.trainer, module.network) else ""
        self._line("Compiled", f"loss {module.loss_name}, optimizer {optimizer}, metrics {metrics}{precision}")
        if (gpus := names_of(job.trainer)) is not None:
            self._line("Device", gpus)

    def callbacks(self, max_epochs: int) -> list[pl.Callback]:
        """Return the progress bar, if there is one."""
        self._epochs, self._max_epochs = EpochLines(max_epochs, every=self._verbose > 1), max_epochs
        if self.wants_bar:
            # tqdm has a widget for notebooks, and rich has not.
            in_notebook = self.console.is_jupyter
            self.bar = NotebookBar(max_epochs) if in_notebook else EpochBar(self.console, max_epochs)
        return [self.bar] if self.bar else []

    def epoch(self, row: Row, max_epochs: int) -> None:
        """Advance the bar, or print a line if there is none and it is due; see :mod:`lifecycle.console.epoch_lines`."""
        if self.bar:
            self.bar.show(row)
        elif self._epochs.is_due(int(row["epoch"])):
            self._epoch(row, max_epochs)

    def fitted(self, history: History) -> None:
        """Print the lines of the last and of the best epoch, unless they have been printed."""
        last = len(history.rows)
        if not self.bar:
            # The last one first: only the best is out of order, and says so.
            for epoch in reversed(self._epochs.left(history.best_epoch or history.weights_epoch, last)):
                self._epoch(history.rows[epoch - 1], self._max_epochs, "epoch" if epoch == last else "best epoch")

    def _epoch(self, row: Row, max_epochs: int, title: str = "epoch") -> None:
        head = f"{title} {int(row['epoch'])}/{max_epochs}  "
        items = [*_scores(row).split("  "), f"{row['epoch_seconds']:.2f} s"]
        width = None if self.console.fits is None else self.console.fits - len(head)
        for at, line in enumerate(["  ".join(items)] if width is None else _rows(items, width)):
            self.console.print((" " * len(head) if at else head) + line)

    def end(
        self,
        data: Dataset,
        history: History,
        evaluation: Evaluation,
        run: Run,
        pictures: list[str],
        advice: Text = "",
    ) -> None:
        """Print the results of a run, where they are, and what to try next if there is an advice."""
        self.fitted(history)
        # The weights may be those of an earlier epoch than the last one.
        fitted = f"{len(history.rows)} epoch{'s' * (len(history.rows) != 1)}"
        epochs = f"{fitted}, the weights are those of epoch {history.weights_epoch}"
        self._line("Fitted", f"{epochs}; stopped because {history.stopped}")
        self.scores(data, evaluation)
        if advice:
            self._line("", COMMAND_LINE.text(advice), style="yellow")
        self._line("Run", f"{run.name} ({run.id}) in {shown(run.folder)}")
        if locks.hold_here_only(run.folder):
            kind = locks.file_system(run.folder)
            self._line("", f"{shown(run.folder)} is on a network disk ({kind}) {ONE_MACHINE}", style="yellow")
        self._files(run.artifacts, "", ["predictions.csv", *pictures])

    def pending(self, run: Run) -> None:
        """Print where a run that has ended is on its server, or what of it is not recorded yet."""
        if run.pending:
            self._line("Pending", run.pending, style="yellow")
        if run.page:
            self._line("Server", run.page)

    def scores(self, data: Dataset, evaluation: Evaluation) -> None:
        """Print the scores of the network and the baseline."""
        rows = f"on {len(data.scored)} {KINDS_OF_ROWS[data.scored_on]} rows"
        self._items("Scores", [*_with_intervals(evaluation), rows], style="bold")
        if data.test is None:
            self._line("", "(no rows were held out: these are scores on the training rows)")
        # Without this note a loss of 0.3 with an mae of 40 looks like an error.
        if data.preprocessing.target_scale != (0.0, 1.0):
            self._line(
                "", f"(the loss is that of the standardised {data.spec.target_name}; metrics are in its own units)"
            )
        self._items("Baseline", [*_scores(evaluation.baseline).split("  "), f"({evaluation.meaning})"])
        if not evaluation.beats_baseline:
            self._line("", f"The network is not better than this baseline on {evaluation.judged_by}.", style="yellow")

    def evaluated(self, run: Run, folder: Path, pictures: list[str], notes: Sequence[str]) -> None:
        """Print where the results of scoring a run again are.

        Args:
            run: the run.
            folder: of its artifacts, with tables and pictures.
            pictures: names of files in it.
            notes: on the rows and the scores.
        """
        for note in notes:
            self._line("", note)
        self._line("Run", f"{run.name} ({run.id}) in {shown(run.folder)}")
        self.pending(run)
        inner = folder.relative_to(run.artifacts) if folder.is_relative_to(run.artifacts) else Path()
        outer = run.artifacts if inner.parts else folder
        self._files(outer, f"in {inner.as_posix()}: " if inner.parts else "", ["predictions.csv", *pictures])

    def next(self, folder: Path) -> None:
        """Print the command that shows the runs."""
        self._line(
            "Next", "lifecycle ui" + ("" if folder == Path.cwd() / "mlruns" else f" tracking.dir={shown(folder)}")
        )

    def profile(self, rows: list[tuple[str, float, float]], where: Path | str, files: Sequence[str] = ()) -> None:
        """Print the time of each phase of a run.

        Args:
            rows: ``(phase, seconds, share of the whole)``.
            where: folder of the profile, or the reason why it was not written.
            files: names of the files in the folder.
        """
        table = Table("phase", box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        for title in ("seconds", "share"):
            table.add_column(title, justify="right")
        for phase, seconds, share in rows:
            table.add_row(phase, f"{seconds:.2f}", f"{share:.1%}")
        self.console.print()
        self._line("Profile", f"{sum(seconds for _, seconds, _ in rows):.2f} s in total")
        self._table(table)
        if isinstance(where, Path):
            self._line("", f"{', '.join(files)} in {shown(where)}")
        else:
            self._line("", where, style="yellow")

    def _line(self, title: str, text: str, style: str = "") -> None:
        self._lines(title, [text] if self.console.fits is None else broken(text, self.console.fits - TITLE), style)

    def _files(self, folder: Path, before: str, names: Sequence[str]) -> None:
        """Print a folder, and the names of files in it: a path of each would not fit a terminal."""
        self._line("Files", str(shown(folder)))
        self._line("", before + ", ".join(names))

    def _lines(self, title: str, texts: list[str], style: str = "") -> None:
        for at, text in enumerate(texts):
            self.console.print(Styled.assemble((f"{'' if at else title:<{TITLE}}", "bold cyan"), (text, style)))

    def _table(self, table: Table) -> None:
        # Without soft wrapping a table fits the terminal: cells are broken.
        self.console.print(table, soft_wrap=self.console.fits is None)

    def _items(self, title: str, items: list[str], style: str = "") -> None:
        """Print items in a row, on several lines if needed; no item is broken."""
        self._lines(title, _rows(items, min(self.console.width, MOST_WIDTH) - TITLE), style)


def _rows(items: Sequence[str], width: int) -> list[str]:
    """Return lines of items, each as long as the width allows; an item is broken only if it is longer than that."""
    found: list[str] = []
    for item in items:
        if found and lines.columns_of(found[-1]) + 2 + lines.columns_of(item) <= width:
            found[-1] += f"  {item}"
        else:
            found += broken(item, width)
    return found


def describe_data(data: Dataset) -> str:
    """Return a line on a data set: rows, shape of a sample, target, sizes of the parts."""
    spec = data.spec
    target = (
        f"{len(spec.class_names)} classes of {spec.target_name}"
        if spec.class_names
        else f"{spec.target_name} (a value)"
    )
    if spec.task == MULTILABEL:
        in_column = spec.target_name != label_sets.NAME  # else each label has a column
        target = f"{len(spec.class_names)} labels" + (f" of {spec.target_name}" if in_column else "")
    sizes = {"train": data.train, "validation": data.val, "test": data.test}
    parts = ", ".join(f"{len(part) if part else 0} {name}" for name, part in sizes.items())
    parts = "all are scored" if data.is_external else parts  # external rows have no parts
    # Cells that the preprocessing imputes.
    missing = f" ({data.num_missing} values missing)" if data.num_missing else ""
    shape = " x ".join(map(str, spec.input_shape))
    # In memory all rows are shuffled together; on disk only those within a window.
    disk = f"; on disk, shuffled {data.window_rows} rows at a time" if data.window_rows else ""
    shards = " and ".join(f"{rows} from {files} file{'s' * (files != 1)}" for files, rows in data.shards)
    read = f"; {len(data.shards)} processes read {shards}" if shards else ""
    return f"{data.name}: {data.num_rows} rows{missing}, samples of {shape}, {target}; {parts}{disk}{read}"


def summary_table(layers: list[Layer]) -> Table:
    """Return the summary of a network as a table."""
    table = Table("layer", "type", "output shape", box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("parameters", justify="right")
    for layer in layers:
        table.add_row(layer.name, layer.type, layer.output_shape, f"{layer.num_params:,}")
    return table


def summary_text(layers: list[Layer]) -> str:
    """Return the summary of a network as plain text."""
    return _summary_text(tuple(layers))


@lru_cache(maxsize=16)  # the runs of a sweep have the same few
def _summary_text(layers: tuple[Layer, ...]) -> str:
    console = Console(width=100, color_system=None, force_jupyter=False)  # in a notebook rich would display HTML
    with console.capture() as captured:
        console.print(summary_table(list(layers)))
    total, frozen = (sum(getattr(layer, name) for layer in layers) for name in ("num_params", "num_frozen"))
    counts = f"total parameters: {total:,}" + (f"; {total - frozen:,} trainable, {frozen:,} frozen" if frozen else "")
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + f"\n\n{counts}\n"


def _scores(scores: dict[str, float]) -> str:
    return "  ".join(
        f"{name} {value:.4g}" if name == "lr" else f"{name} {number(value)}"
        for name, value in scores.items()
        if name not in ("epoch", "epoch_seconds")  # these have their own places in the line
    )


def _with_intervals(evaluation: Evaluation) -> list[str]:
    """Return each score with its interval, such as ``test_accuracy 0.9667 (95% 0.900 to 1.000)``."""
    items = []
    for name, value in evaluation.scores.items():
        low, high = evaluation.intervals.get(name, (None, None))
        between = "" if low is None or high is None else f" (95% {_rounded(low)} to {_rounded(high)})"
        items.append(f"{evaluation.on}_{name} {number(value)}{between}")
    return items


def _rounded(value: float) -> str:
    if abs(value) < 1000:
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"  # an interval needs fewer digits than its score
    return f"{value:.4g}"
