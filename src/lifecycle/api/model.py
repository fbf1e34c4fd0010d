"""A neural network from Python: define, compile, fit, evaluate and predict as five calls.

The calls compose the same request as the command line and run the same code: the same settings and seed give the same
numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lifecycle import layout
from lifecycle.api import request, training_rows
from lifecycle.api.display import FitHistory, Picture, Summary
from lifecycle.api.messages import worded_for_python
from lifecycle.config.resolve import resolve
from lifecycle.config.tasks import check_names
from lifecycle.contract import MULTILABEL
from lifecycle.data.columns import label_sets
from lifecycle.data.columns.missing_values import REFUSE
from lifecycle.data.sources import in_memory, label_arrays
from lifecycle.errors import RequestError
from lifecycle.predict import saved_model
from lifecycle.predict.trained_model import TrainedModel
from lifecycle.runtime.processes import turn
from lifecycle.runtime.quiet import one_at_a_time
from lifecycle.tracking import found_run

if TYPE_CHECKING:
    import pandas as pd
    import pytorch_lightning as pl

    from lifecycle.api.training_rows import TrainingRows
    from lifecycle.config.schema import Request, TrackingConfig
    from lifecycle.optimizers import OptimizerConfig
    from lifecycle.schedules import ScheduleConfig


class Predictor:
    """Evaluates and predicts with a fitted model; :class:`lifecycle.Model` adds the steps before."""

    _trained: TrainedModel | None = None

    def evaluate(
        self,
        X: Any,  # noqa: N803
        y: Any,
        missing: str = REFUSE,
        sample_weight: Any = None,
    ) -> dict[str, float]:
        """Step 4, evaluate: the loss and the metrics of the model on rows, each scored once.

        Args:
            X: as :meth:`fit` takes it.
            y: the true classes, labels or values, as :meth:`fit` takes them; columns of labels with other names than
                the model's are in the order of :attr:`classes_`.
            missing: ``"impute"`` fills missing values in columns that were complete in training; ``"refuse"`` raises.
            sample_weight: ``(rows,)`` numbers of 0 or more; ``None``: each row counts the same, also if the model was
                fitted with weights.

        Returns:
            ``{"loss": ..., "accuracy": ...}``; metrics of a regression are in the target's own units.

        Raises:
            RequestError: the model is not fitted yet, a row cannot be used, or y has an unknown class.

        >>> sorted(model.evaluate(X, y))
        ['accuracy', 'loss']
        """
        from lifecycle.api import fit

        trained = self._fitted()
        with worded_for_python():
            with one_at_a_time():  # pandas, which is not safe with threads that change warning filters
                frame = _rows(X, trained)
                weights = in_memory.weights_of(sample_weight, len(frame))
                labelled = frame.assign(**_targets(y, frame, trained))
            return fit.evaluate(replace(trained, missing=missing), labelled, weights)

    def predict(self, X: Any, missing: str = REFUSE) -> np.ndarray[Any, Any]:  # noqa: N803
        """Step 5, predict: the class of each row, in the dtype of y, or its value in the units of y: ``(rows,)``.

        Of several labels: ``(rows, labels) int64``, 1 where a row has a label, in the order of :attr:`classes_`.

        Args:
            X: as :meth:`fit` takes it. Columns of a DataFrame are found by name; additional columns are ignored.
            missing: ``"impute"`` fills missing values in columns that were complete in training; ``"refuse"`` raises.

        Raises:
            RequestError: the model is not fitted yet, or a column or value is missing or cannot be used.

        >>> model.predict(X[:3])
        array(['...', '...', '...'], dtype='<U5')
        """
        trained = self._fitted()
        if trained.spec.task == MULTILABEL:
            return np.asarray(self.predict_proba(X, missing) > 0.5, dtype=np.int64)
        with worded_for_python():
            predicted = _predict(X, trained, "^predicted$", missing)[:, 0]
        if not trained.spec.class_names:
            return predicted
        # Predictions are texts, as a file would have them; y may have held ints or bools.
        codes = {name: code for code, name in enumerate(trained.spec.class_names)}
        return _classes(trained)[[codes[name] for name in predicted]]

    def predict_proba(self, X: Any, missing: str = REFUSE) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return the probability of each class or label, ``(rows, classes)``, in the order of :attr:`classes_`.

        Args:
            X: as :meth:`predict` takes it.
            missing: as in :meth:`predict`.

        Raises:
            RequestError: as :meth:`predict`; or the model is a regression.

        >>> model.predict_proba(X[:3]).sum(axis=1).round(6).tolist()
        [1.0, 1.0, 1.0]
        """
        trained = self._fitted()
        if not trained.spec.class_names:
            raise RequestError(
                "predict_proba", "is for classes, and this model predicts a value", remedy="Use predict."
            )
        with worded_for_python():
            return _predict(X, trained, "^probability_", missing)

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """The classes as in y, or the labels, in the order of the probabilities; empty for a regression.

        >>> model.classes_
        array(['above', 'below'], dtype='<U5')
        """
        return _classes(self._fitted())

    @property
    def trained(self) -> TrainedModel:
        """The fitted network with its preprocessing, as it is saved and as the command line loads it.

        >>> model.trained.spec.task, model.trained.columns
        ('binary', ('x0', 'x1'))
        >>> model.trained.network  # PyTorch's
        Sequential(
        ...
        """
        return self._fitted()

    def summary(self) -> Summary:
        """Return the layers with their output shapes and parameters, as a table for a terminal or a notebook.

        Raises:
            RequestError: the model is not fitted yet, so there is no network.

        >>> model.summary()
        layer   type     output shape   parameters
        0       Linear   (None, 8)              24
        1       ReLU     (None, 8)               0
        2       Linear   (None, 1)               9
        <BLANKLINE>
        total parameters: 33
        """
        from lifecycle.define.summary import summarize

        trained = self._fitted()
        return Summary(tuple(summarize(trained.network, trained.spec)), trained.model_name)

    def plot(self) -> Picture:
        """Return a diagram of the network, from input to output.

        Raises:
            RequestError: the model is not fitted yet, so there is no network.

        >>> model.plot()
        <svg picture of ... bytes; .save(path) writes it>
        """
        from lifecycle.plots import diagram

        trained = self._fitted()
        return Picture(diagram.draw(trained.network, trained.model_name, trained.spec).encode(), "svg")

    def save(self, path: str | Path) -> Path:
        """Write the model into a folder: three files, none of them a pickle.

        Args:
            path: a folder that is new or empty, or holds a saved model, which is replaced.

        Raises:
            RequestError: the model is not fitted yet, or the folder holds other files.
            DiskError: the disk is full.

        >>> sorted(file.name for file in model.save("above_or_below").iterdir())
        ['lifecycle.json', 'preprocessing.skops', 'weights.safetensors']
        """
        folder = Path(path).expanduser()
        # A file in place of a folder counts as a folder with an unknown file.
        names = {file.name for file in folder.iterdir()} if folder.is_dir() else {""} if folder.exists() else set()
        if names and not names <= {layout.MANIFEST, layout.WEIGHTS, layout.PREPROCESSING}:
            raise RequestError([str(path)], "holds something that is no saved model", remedy="Name a new folder.")
        with worded_for_python():
            saved_model.save(self._fitted(), folder)
        return folder

    def _fitted(self) -> TrainedModel:
        if self._trained is None:
            raise RequestError("the model", "is not fitted yet", remedy="Call fit(X, y), or Model.load(folder).")
        return self._trained


def _rows(X: Any, trained: TrainedModel) -> pd.DataFrame:  # noqa: N803
    """Return rows as a frame; columns without names get those of training, by position."""
    frame, _ = in_memory.inputs_of(X)
    return in_memory.like(frame, X, list(trained.columns))


def _predict(X: Any, trained: TrainedModel, columns: str, missing: str) -> np.ndarray[Any, Any]:  # noqa: N803
    """Return the columns of the predictions whose names match a regular expression: ``(samples, columns)``."""
    with one_at_a_time():
        rows = _rows(X, trained)
        samples = replace(trained, missing=missing).samples(rows)
        inputs = trained.inputs(samples, rows)
    outputs = trained.outputs(inputs)  # not locked: torch predicts on several threads, pandas does not
    with one_at_a_time():
        return trained.as_frame(outputs, samples).filter(regex=columns).to_numpy()


def _targets(y: Any, frame: pd.DataFrame, trained: TrainedModel) -> dict[str, Any]:
    """Return the columns of the target of rows to score."""
    spec = trained.spec
    if spec.task != MULTILABEL:
        return {spec.target_name: in_memory.targets_of(y, len(frame), frame.columns)[1]}
    several = label_arrays.read(y, MULTILABEL, labels=spec.class_names)
    sets = in_memory.targets_of(y if several is None else several.sets, len(frame), frame.columns)[1]
    label_sets.check_known(sets, spec.class_names, "y")
    columns = trained.data.describe_target(frame).columns
    return dict(label_sets.as_columns(sets, columns)) if columns else {spec.target_name: sets}


def _classes(trained: TrainedModel) -> np.ndarray[Any, Any]:
    known = () if trained.spec.task == MULTILABEL else trained.settings.get("class_values")
    values = known or trained.spec.class_names
    # NumPy would turn 1 and "a" into two texts.
    return np.array(values, dtype=None if len({type(value) for value in values}) < 2 else object)


class Model(Predictor):
    """A neural network with its five steps.

    >>> import numpy as np
    >>> from lifecycle import Model
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> y = np.where(X[:, 0] + X[:, 1] > 0, "above", "below")
    >>> model = Model("mlp", hidden=[8])                                      # 1 define
    >>> model.compile(optimizer="adam", metrics=["accuracy"], lr=0.05)        # 2 compile
    Model("mlp", hidden=[8], ...), not fitted
    >>> history = model.fit(X, y, epochs=30, batch_size=10, verbose=0)        # 3 fit
    >>> scores = model.evaluate(X, y)                                         # 4 evaluate
    >>> sorted(scores), scores["accuracy"] > 0.9
    (['accuracy', 'loss'], True)
    >>> model.predict([[3.0, 3.0], [-3.0, -3.0]]).tolist()                    # 5 predict
    ['above', 'below']
    >>> model.predict_proba([[3.0, 3.0]]).shape
    (1, 2)

    The examples of the methods continue this one.

    ``X`` may be a DataFrame, an array, a tensor or a list of lists. If it is ``(rows, features)``, columns may hold
    numbers, texts, categories and missing values; samples of more axes hold numbers.

    Attributes:
        name: of the model plugin.
        history: of the last :meth:`fit`; ``None`` before it, and for a model that was loaded.
        run_id: of the MLflow run in which the last fit was tracked; else ``None``.
    """

    def __init__(self, name: str = "mlp", **fields: Any) -> None:
        """Step 1, define: choose an architecture; :meth:`fit` builds the network, whose sizes depend on the data.

        Args:
            name: of a model plugin: ``"mlp"``, ``"cnn"``, ``"lstm"``, ``"sequential"`` or an installed one, which
                `lifecycle plugins` lists.
            fields: its hyper-parameters, ``hidden=[64, 32]``.

        Raises:
            RequestError: there is no such plugin or field, or a value is out of range.

        >>> Model("mlp", hiden=[8])
        Traceback (most recent call last):
            ...
        lifecycle.errors.RequestError: hiden is not a field of Model("mlp"), got [8]. Did you mean hidden? ...
        """
        self.name = name
        with worded_for_python():
            self._plugin = request.plugin("model", name, fields, f'Model("{name}")')
        self.history: FitHistory | None = None
        self.run_id: str | None = None
        self._trained: TrainedModel | None = None
        self.compile()  # so that fit() works without a call of compile(), with the defaults

    def compile(
        self,
        optimizer: str | OptimizerConfig = "adam",
        loss: str | None = None,
        metrics: Sequence[str] | str | None = None,
        *,
        schedule: str | ScheduleConfig = "none",
        class_weights: str | dict[Any, float] | None = None,
        label_smoothing: float = 0.0,
        **fields: Any,
    ) -> Model:
        """Step 2, compile: choose loss, optimizer and metrics.

        Args:
            optimizer: a name (``"adam"``, ``"sgd"``, all of ``torch.optim``), or one of :mod:`lifecycle.optimizers`.
            loss: a name, such as ``"binary_crossentropy"`` or ``"mae"``; ``None``: the default of the task.
            metrics: names, such as ``["accuracy", "f1"]``; ``None``: the default of the task.
            schedule: learning rate schedule: a name, or one of :mod:`lifecycle.schedules`.
            class_weights: ``"balanced"``, or a weight for each class.
            label_smoothing: share of each label that is spread evenly over the classes.
            fields: fields of the optimizer, ``lr=0.01``.

        Returns:
            The model itself.

        Raises:
            RequestError: there is no such name or field, or a value is out of range.

        >>> model = Model("mlp").compile("sgd", "binary_crossentropy", ["accuracy", "f1"], lr=0.1, momentum=0.9)
        >>> from lifecycle.optimizers import AdamW
        >>> from lifecycle.schedules import Cosine
        >>> model = Model("mlp").compile(AdamW(lr=0.01), schedule=Cosine(warmup_epochs=5), class_weights="balanced")
        """
        with worded_for_python():
            names = None if metrics is None else [metrics] if isinstance(metrics, str) else list(metrics)
            check_names(loss, names)
            self._compiled_with = request.Compiled(
                optimizer=request.typed("optimizer", optimizer, fields),
                schedule=request.typed("schedule", schedule, {}),
                loss=loss,
                metrics=names,
                class_weights=class_weights,
                label_smoothing=label_smoothing,
            )
        return self

    def fit(
        self, X: Any, y: Any, *,  # noqa: N803 - scikit-learn's and Keras's name
        epochs: int = 300, batch_size: int | None = None, early_stopping: bool | None = None,
        validation_split: float = 0.0, validation_data: tuple[Any, ...] | None = None, sample_weight: Any = None,
        groups: Any = None, seed: int = 0, split_seed: int | None = None,
        task: str | None = None, scaling: str = "standard", scale_target: bool = True,
        types: Mapping[str, Any] | None = None, verbose: int = 1, callbacks: Sequence[pl.Callback] | pl.Callback = (),
        track: bool | None = None, tracking: TrackingConfig | str | Path | None = None, **trainer: Any,
    ) -> FitHistory:  # fmt: skip
        """Step 3, fit: train a new network on rows, each time it is called.

        Args:
            X: ``(rows, features)``, ``(rows, steps, features)`` or ``(rows, channels, height, width)``; see the class.
            y: ``(rows,)`` classes or values as you have them; or ``(rows, labels)`` of 0 and 1, or a row's labels.
            epochs: most passes over the rows.
            batch_size: rows of a step, at most all training rows; ``None``: 32.
            early_stopping: end when ``monitor`` has not improved for ``patience`` epochs; ``None``: if rows validate.
            validation_split: share of the rows that validate and choose the best epoch, stratified by class.
            validation_data: ``(X, y)`` or ``(X, y, sample_weight)`` to validate, instead of a split.
            sample_weight: ``(rows,)`` weights of 0 or more in the loss and all scores; rows of weight 0 are left out.
            groups: ``(rows,)`` for instance patients: validation_split does not divide a group; ``None``: none.
            seed: of the split, the initial weights, the order of rows and dropout.
            split_seed: of the split alone, so that fits with several seeds validate on the same rows; ``None``: seed.
            task: ``"classification"``, ``"multilabel"`` or ``"regression"``; ``None``: from the loss, or from y.
            scaling: of numbers: ``"standard"``, ``"minmax"`` or ``"none"``; learnt from training rows alone.
            scale_target: regression: train on the standardised target; predictions are in the units of y.
            types: what columns mean, ``{"zip": "category", "when": "time"}``, where it is not as inferred.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch.
            callbacks: Lightning callbacks.
            track: record the fit in MLflow, in ``mlruns/``; ``None``: only inside ``mlflow.start_run()``, in that run.
            tracking: where ``track=True`` records: a folder, or a ``TrackingConfig``; ``None``: in ``mlruns/``.
            trainer: other fields of ``trainer`` on the command line, ``patience=10``, ``accelerator="gpu"``.

        Raises:
            RequestError: rows or arguments cannot be used; the message says why, and what to do.
            TrainingError: the loss is no longer finite.

        >>> history = model.fit(X, y, epochs=20, validation_split=0.2, patience=5, seed=1, verbose=0)
        >>> history.best_epoch == history.weights_epoch  # the weights are those of the best epoch
        True
        """
        with worded_for_python(), turn():
            rows = training_rows.read(X, y, validation_split, validation_data, sample_weight, groups, task)
            task = task or (MULTILABEL if rows.has_sets else request.task_of(self._compiled_with.loss))
            data = request.data(rows, task, scaling, scale_target, split_seed, types)
            # The default of `monitor` is val_loss, which a fit without validation rows does not have.
            stops = rows.validates if early_stopping is None else early_stopping
            fields = request.trainer({"epochs": epochs, "batch_size": batch_size, "early_stopping": stops, **trainer})
            steps = request.FitArguments(self.name, self._plugin, self._compiled_with, fields)
            return self._fit(request.compose(steps, data, tracking, seed, verbose, bool(track)), rows, callbacks, track)

    def _fit(self, config: Request, rows: TrainingRows, callbacks: Any, track: bool | None) -> FitHistory:
        """Fit, and keep the result; a fit that fails leaves the model as it was."""
        from lifecycle.api import fit  # imports Lightning, which takes a second and only a fit needs

        fitted = fit.run(resolve(config), rows.rows, fit.callback_list(callbacks), track)
        self.history, self._trained, self.run_id = fitted.history, fitted.trained, fitted.run_id
        return fitted.history

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Return the model in a folder that :meth:`save` or a run wrote.

        Raises:
            SavedModelError: the folder has no saved model, it was altered, or it needs a plugin that is not installed.

        >>> folder = model.save("sides")
        >>> bool((Model.load("sides").predict(X) == model.predict(X)).all())
        True
        """
        with worded_for_python():
            trained = saved_model.load(Path(path).expanduser())
        model = cls.__new__(cls)  # without __init__, which takes the fields of a plugin, and these are checked already
        model.name, model._plugin = trained.model_name, trained.model
        model.history, model.run_id, model._trained = None, trained.provenance.get("run_id"), trained
        # For a later fit(): evaluate() takes the loss and the metrics that the saved model records.
        model.compile()
        return model

    @classmethod
    def from_run(cls, run: str, *, tracking: TrackingConfig | str | Path | None = None, **which: Any) -> Model:
        """Return the model of a run.

        Args:
            run: an id or its first characters, ``"latest"``, ``"best"`` or ``"models:/name@alias"``.
            tracking: where the run is recorded, as :meth:`fit` takes it.
            which: ``metric`` by which ``"best"`` ranks, ``sweep`` to search within.

        Raises:
            RequestError: there is no such run, or it has no model.

        >>> history = model.fit(X, y, epochs=2, track=True, verbose=0)
        >>> Model.from_run("latest").run_id == model.run_id
        True
        """
        with worded_for_python():
            return cls.load(
                found_run.find(found_run.Which(run, tracking=request.tracking_config(tracking), **which)).model_folder()
            )

    def __repr__(self) -> str:
        state = "not fitted" if self._trained is None else f"fitted: {self._trained.spec.task}"
        fields = ", ".join(f"{name}={value!r}" for name, value in dataclasses.asdict(self._plugin).items())
        return f'Model("{self.name}", {fields}), {state}'
