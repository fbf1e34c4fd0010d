"""The arguments of one call of :meth:`lifecycle.Model.fit`, as a checked request and what is no part of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from lifecycle.api import callbacks, continuing, definition, fit, hints, images, request, streams, training_rows
from lifecycle.api.continuing import Before
from lifecycle.api.request import Compiled
from lifecycle.api.streams import Stream
from lifecycle.api.training_rows import TrainingRows
from lifecycle.config.request import Job, Start
from lifecycle.config.schema import TrackingConfig, TrainerConfig
from lifecycle.contract import MULTILABEL
from lifecycle.errors import RequestError
from lifecycle.runtime import process_state
from lifecycle.runtime.seeds import seed_all


@dataclass(frozen=True)
class Defined:
    """The first two steps of a model, and the fit that may be continued.

    Attributes:
        name: of the model plugin.
        plugin: its dataclass.
        compiled: arguments of :meth:`lifecycle.Model.compile`.
        start: weights to begin with, and frozen layers.
        before: the last fit; ``None``: there was none.
    """

    name: str
    plugin: Any
    compiled: Compiled
    start: Start
    before: Before | None


@dataclass(frozen=True)
class FitCall:
    """The arguments of :meth:`lifecycle.Model.fit`, which describes them."""

    X: Any
    y: Any
    epochs: int
    batch_size: int | None
    early_stopping: bool | None
    validation_split: float
    validation_data: Any
    sample_weight: Any
    class_weight: Any
    groups: Any
    classes: Any
    seed: int
    split_seed: int | None
    task: str | None
    scaling: str
    scale_target: bool
    types: Mapping[str, Any] | None
    verbose: int
    callbacks: Any
    steps_per_epoch: int | None
    initial_epoch: int
    resume: bool
    channels_last: bool
    track: bool | None
    tracking: TrackingConfig | str | Path | None
    trainer: dict[str, Any]

    def read(self, defined: Defined) -> tuple[Job, fit.Given]:
        """Return the checked request of a fit, and what is no part of it.

        Raises:
            RequestError: rows or arguments cannot be used.
        """
        known = [*(item.name for item in fields(TrainerConfig) if item.name != "max_epochs"), "tracking"]
        hints.check(self.trainer, known, hints.FITTING, hints.COMPILED)
        hints.check_trainer(self.trainer, known)
        watchers, stream = callbacks.read(self.callbacks), self._stream()
        rows, compiled = self._rows(stream), self._compiled(defined.compiled)
        before = defined.before if self.resume or self.initial_epoch else None
        done, epochs = continuing.first_epoch(self.initial_epoch, self.resume, before, self.epochs)
        task = self.task or (MULTILABEL if rows.has_sets else compiled.task)
        trainer = self._trainer(rows, watchers, stream, epochs)
        steps = request.FitArguments(defined.name, defined.plugin, compiled, trainer)
        data = request.data(rows, task, self.scaling, self.scale_target, self.split_seed, self.types)
        lacking = definition.not_recorded(defined.plugin, compiled, self._more(defined, stream, done))
        config = request.compose(
            steps, data, self.tracking, self.seed, self.verbose, bool(self.track), not_recorded=lacking
        )
        job = replace(definition.job(config, defined.plugin, compiled), start=defined.start)
        if before is None:
            _check_frozen(defined)
            return job, self._given(rows, watchers, stream)
        resumes = before.continues(job)
        if resumes:
            before.check(job)
            job = replace(job, start=replace(job.start, weights=None))
        else:  # as in Keras, compiling again begins with a new optimizer and keeps the weights
            job = replace(job, start=replace(job.start, weights=before.weights))
            job = replace(job, trainer=replace(job.trainer, max_epochs=epochs - done))
        return job, replace(self._given(rows, watchers, stream), before=before, resumes=resumes)

    def _given(self, rows: TrainingRows, watchers: list[Any], stream: Stream | None) -> fit.Given:
        next_rows = None if stream is None else stream.next_rows
        frame_of = None if next_rows is None else lambda: self._frame(next_rows(), rows)
        return fit.Given(rows.rows, watchers, self.track, frame_of)

    def _stream(self) -> Stream | None:
        """Return the batches that X holds; ``None``: it holds rows."""
        if self.y is None and (streams.is_stream(self.X) or self.steps_per_epoch is not None):
            for name in ("sample_weight", "groups"):
                if getattr(self, name) is not None:
                    raise RequestError(name, "comes with the batches", remedy="Yield (X, y, sample_weight).")
            if self.validation_split:
                problem = "cannot divide batches"
                raise RequestError("validation_split", problem, self.validation_split, "Give validation_data.")
            with process_state.preserved():
                seed_all(self.seed)
                return streams.read(self.X, self.steps_per_epoch)
        if self.steps_per_epoch is not None:
            problem = "is for batches from a DataLoader or generator"
            raise RequestError("steps_per_epoch", problem, self.steps_per_epoch, "Leave it out, or give batch_size.")
        if self.y is None:
            raise RequestError("y", "is missing", remedy="Write fit(X, y), or fit(loader) with batches of (X, y).")
        return None

    def _rows(self, stream: Stream | None) -> TrainingRows:
        X, y, weights = (self.X, self.y, self.sample_weight) if stream is None else stream.rows  # noqa: N806
        validation = self.validation_data
        if validation is not None and streams.is_stream(validation):
            found = streams.all_rows(validation, "validation_data")
            validation = found if found[2] is not None else found[:2]
        if isinstance(validation, tuple | list) and validation:
            validation = (images.channels_first(validation[0], self.channels_last), *validation[1:])
        X = images.channels_first(X, self.channels_last)  # noqa: N806
        return training_rows.read(
            X, y, self.validation_split, validation, weights, self.groups, self.task, self.classes
        )

    def _frame(self, rows: tuple[Any, Any, Any], first: TrainingRows) -> pd.DataFrame:
        """Return the rows of a later epoch with the columns of the first."""
        X = images.channels_first(rows[0], self.channels_last)  # noqa: N806
        found = training_rows.read(X, rows[1], 0.0, None, rows[2], None, self.task).rows.frame
        return found.set_axis(list(first.rows.frame.columns), axis=1)

    def _compiled(self, compiled: Compiled) -> Compiled:
        if self.class_weight is None:
            return compiled
        if compiled.class_weights is not None:
            problem = "was given to compile() too, as class_weights"
            raise RequestError("class_weight", problem, repr(self.class_weight), "Leave one of them out.")
        return replace(compiled, class_weights=self.class_weight)

    def _trainer(self, rows: TrainingRows, watchers: list[Any], stream: Stream | None, epochs: int) -> TrainerConfig:
        own = callbacks.stops_itself(watchers)
        if own and self.early_stopping:
            problem = "has an EarlyStopping, and early_stopping=True would be another"
            raise RequestError("callbacks", problem, remedy="Leave one of them out.")
        # The default of `monitor` is val_loss, which a fit without validation rows does not have.
        stops = (rows.validates and not own) if self.early_stopping is None else self.early_stopping
        if "patience" in self.trainer and not stops and self.early_stopping is None:
            why = "is that of the callback EarlyStopping" if own else "needs rows that validate"
            remedy = (
                "Write EarlyStopping(patience=...)."
                if own
                else ('Add validation_split=0.2 or validation_data=..., or early_stopping=True, monitor="train_loss".')
            )
            raise RequestError("patience", why, self.trainer["patience"], remedy)
        chosen: dict[str, Any] = {"epochs": epochs, "batch_size": self.batch_size, "early_stopping": stops}
        if stream is not None:
            if self.batch_size is not None and self.batch_size != stream.batch_size:
                problem = f"is that of the batches, {stream.batch_size}"
                raise RequestError("batch_size", problem, self.batch_size, "Leave it out.")
            chosen |= {"batch_size": stream.batch_size, "shuffle": stream.shuffle}
        return request.trainer({**chosen, **self.trainer})

    def _more(self, defined: Defined, stream: Stream | None, done: int) -> list[str]:
        """Return what else no record of the fit holds, a clause each."""
        found = []
        if defined.start.weights is not None:
            found.append("the first weights were set by set_weights or load_weights")
        if defined.start.frozen:
            found.append(f"the layers {', '.join(defined.start.frozen)} are frozen")
        if stream is not None and stream.next_rows is not None:
            found.append("each epoch has batches of its own")
        if self.resume or self.initial_epoch:
            found.append(f"it continues a fit of {done} epochs")
        return found


def _check_frozen(defined: Defined) -> None:
    """Refuse a new fit of a fitted model with frozen layers, whose weights it would draw anew.

    Raises:
        RequestError: names the argument that keeps the weights.
    """
    if defined.start.frozen and defined.before is not None and defined.start.weights is None:
        problem = "is to keep weights, and a new fit draws all weights anew"
        remedy = "Add resume=True, which keeps those of the last fit; or call unfreeze()."
        raise RequestError(["freeze(", ", ".join(map(repr, defined.start.frozen)), ")"], problem, remedy=remedy)


def of_options(function: Callable[..., Any], given: Mapping[str, Any]) -> FitCall:
    """Return a call of ``fit`` with some arguments given, and the defaults of the others.

    Args:
        function: :meth:`lifecycle.Model.fit`.
        given: arguments by name.
    """
    usual = {name: one.default for name, one in inspect.signature(function).parameters.items() if name != "self"}
    del usual["trainer"]
    known = {name: value for name, value in given.items() if name in usual}
    return FitCall(**{**usual, **known, "trainer": {name: given[name] for name in given if name not in usual}})
