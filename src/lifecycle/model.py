"""A neural network from Python: define, compile, fit, evaluate and predict as five calls.

The calls compose the same request, and go the same way, as the command line does: the same words and seed give the
same numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import asked
from lifecycle.config.resolve import resolve
from lifecycle.config.tasks import check_names
from lifecycle.data.sources import in_memory
from lifecycle.errors import RequestError
from lifecycle.predict import saved_model
from lifecycle.predict.trained_model import TrainedModel
from lifecycle.predictor import Predictor
from lifecycle.runtime.processes import turn
from lifecycle.shown import FitHistory
from lifecycle.tracking import found_run
from lifecycle.wording import in_pythons_words

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from lifecycle.config.schema import TrackingConfig
    from lifecycle.optimizers import OptimizerConfig
    from lifecycle.schedules import ScheduleConfig


class Model(Predictor):
    """A network with its five steps.

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

    The examples of the methods go on from here.

    Attributes:
        name: of the model plugin.
        history: of the last :meth:`fit`; ``None`` before it, and of a model that was loaded.
        run_id: of the MLflow run that the last fit was tracked in; else ``None``.
    """

    def __init__(self, name: str = "mlp", **fields: Any) -> None:
        """Step 1, define: choose an architecture; its network is built when :meth:`fit` has seen the data.

        Args:
            name: of a model plugin: ``"mlp"``, ``"cnn"``, ``"lstm"``, ``"sequential"`` or what is installed beside.
            fields: its hyper-parameters, ``hidden=[64, 32]``; `lifecycle plugins` names the plugins.

        Raises:
            RequestError: there is no such plugin or field, or a value is out of range.

        >>> Model("mlp", hiden=[8])
        Traceback (most recent call last):
            ...
        lifecycle.errors.RequestError: hiden is not a field of Model("mlp"), got [8]. Did you mean hidden? ...
        """
        self.name = name
        with in_pythons_words():
            self._plugin = asked.plugin("model", name, fields, f'Model("{name}")')
        self.history: FitHistory | None = None
        self.run_id: str | None = None
        self._trained: TrainedModel | None = None
        self.compile()

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
            loss: a name, such as ``"binary_crossentropy"`` or ``"mae"``; ``None``: that of the task.
            metrics: names, such as ``["accuracy", "f1"]``; ``None``: those of the task.
            schedule: of the learning rate: a name, or one of :mod:`lifecycle.schedules`.
            class_weights: ``"balanced"``, or a weight for each class.
            label_smoothing: share of each label that is spread evenly over the classes.
            fields: of the optimizer, ``lr=0.01``.

        Returns:
            The model itself.

        Raises:
            RequestError: there is no such name or field, or a value is out of range.

        >>> model = Model("mlp").compile("sgd", "binary_crossentropy", ["accuracy", "f1"], lr=0.1, momentum=0.9)
        >>> from lifecycle.optimizers import AdamW
        >>> from lifecycle.schedules import Cosine
        >>> model = Model("mlp").compile(AdamW(lr=0.01), schedule=Cosine(warmup_epochs=5), class_weights="balanced")
        """
        with in_pythons_words():
            names = None if metrics is None else [metrics] if isinstance(metrics, str) else list(metrics)
            check_names(loss, names)
            self._compiled_with = asked.Compiled(
                optimizer=asked.typed("optimizer", optimizer, fields),
                schedule=asked.typed("schedule", schedule, {}),
                loss=loss,
                metrics=names,
                class_weights=class_weights,
                label_smoothing=label_smoothing,
            )
        return self

    def fit(
        self,
        X: Any,  # noqa: N803 - scikit-learn's and Keras's name
        y: Any,
        *,
        epochs: int = 300,
        batch_size: int | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, ...] | None = None,
        sample_weight: Any = None,
        early_stopping: bool | None = None,
        seed: int = 0,
        split_seed: int | None = None,
        task: str | None = None,
        scaling: str = "standard",
        scale_target: bool = True,
        verbose: int = 1,
        callbacks: Sequence[pl.Callback] | pl.Callback = (),
        track: bool | None = None,
        tracking: TrackingConfig | str | Path | None = None,
        **trainer: Any,
    ) -> FitHistory:
        """Step 3, fit: learn from rows, from the beginning each time it is called.

        Args:
            X: ``(rows, features)``: a DataFrame, array, tensor or list of lists; texts, categories and missing values
                as they come. Or numbers of ``(rows, steps, features)`` or ``(rows, channels, height, width)``.
            y: ``(rows,)`` classes or values, in your own terms and units.
            epochs: passes over the rows, at most.
            batch_size: rows a step, at most all training rows; ``None``: 32.
            validation_split: share of the rows that chooses the best epoch, drawn by class at random.
            validation_data: ``(X, y)`` or ``(X, y, sample_weight)`` for the same, in place of a split.
            sample_weight: ``(rows,)`` numbers of 0 or more: how much each row counts in the loss and all scores. Rows
                of weight 0 are left out.
            early_stopping: stop when ``monitor`` has not improved for ``patience`` epochs, and keep the best epoch's
                weights; ``None``: where there are validation rows.
            seed: of the split, the initial weights, the order of rows and dropout.
            split_seed: of the split alone, so that fits with several seeds validate on the same rows; ``None``: seed.
            task: ``"classification"`` or ``"regression"``; ``None``: from the loss, or from y's type.
            scaling: of numbers: ``"standard"``, ``"minmax"`` or ``"none"``; learnt from training rows alone.
            scale_target: regression: train on the standardised target; predictions are in its own units.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch.
            callbacks: of Lightning's.
            track: record the fit in MLflow, in ``mlruns/``; ``None``: only inside ``mlflow.start_run()``, in that run.
            tracking: where ``track=True`` records: a folder, or a ``TrackingConfig``; ``None``: in ``mlruns/``.
            trainer: other fields of ``trainer`` on the command line, ``patience=10``, ``accelerator="gpu"``.

        Returns:
            The history: ``history.frame``, ``history.plot()``.

        Raises:
            RequestError: rows or arguments cannot be used as they are; says why, and what to do.
            TrainingError: the loss is no longer a number.

        >>> history = model.fit(X, y, epochs=20, validation_split=0.2, patience=5, seed=1, verbose=0)
        >>> list(history.frame)
        ['epoch', 'train_loss', 'train_accuracy', 'val_loss', 'val_accuracy', 'epoch_seconds']
        >>> history.best_epoch == history.weights_epoch  # the weights are those of the best epoch
        True
        """
        from lifecycle import python_fit

        with in_pythons_words(), turn():
            frame, shape = in_memory.inputs_of(X)
            target, labels = in_memory.targets_of(y, len(frame), frame.columns)
            share, split = asked.split(validation_split), None
            weights = in_memory.weights_of(sample_weight, len(frame))
            if validation_data is not None:
                if share:
                    raise RequestError("validation_data stands in place of validation_split. Give one of them.")
                weights = in_memory.weights_together(weights, len(frame), validation_data)
                frame, labels, split = in_memory.together(frame, shape, labels, validation_data)
            validates = split is not None or share is not None
            frame = frame.assign(**{target: labels})
            weight = None
            if weights is not None:
                frame, weight = in_memory.with_column(frame, "sample_weight", weights)
            stops = validates if early_stopping is None else early_stopping
            config = asked.config(
                self._plugin,
                asked.data(
                    shape,
                    target,
                    task or asked.task_of(self._compiled_with.loss),
                    share,
                    scaling,
                    scale_target,
                    split_seed,
                    weight,
                ),
                self._compiled_with,
                asked.trainer({"epochs": epochs, "batch_size": batch_size, "early_stopping": stops, **trainer}),
                asked.where(tracking),
                seed,
                verbose,
            )
            job = resolve(asked.request(config, self.name))
            rows = in_memory.Given(frame, split)
            fitted = python_fit.run(job, rows, python_fit.listed(callbacks), track)
            self.history, self._trained, self.run_id = fitted.history, fitted.trained, fitted.run_id
        return fitted.history

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Return the model that :meth:`save`, or a run, left in a folder.

        Raises:
            SavedModelError: it is no saved model, was altered, or needs a plugin that is not installed.

        >>> folder = model.save("sides")
        >>> bool((Model.load("sides").predict(X) == model.predict(X)).all())
        True
        """
        with in_pythons_words():
            trained = saved_model.load(Path(path).expanduser())
        model = cls.__new__(cls)
        model.name, model._plugin = trained.model_name, trained.model
        model.history, model.run_id, model._trained = None, trained.provenance.get("run_id"), trained
        model.compile()
        return model

    @classmethod
    def from_run(cls, run: str, *, tracking: TrackingConfig | str | Path | None = None, **which: Any) -> Model:
        """Return the model of a run.

        Args:
            run: an id or its first characters, ``"latest"``, ``"best"`` or ``"models:/name@alias"``.
            tracking: where the run is recorded, as :meth:`fit` takes it.
            which: ``metric`` that best goes by, ``sweep`` to look within.

        Raises:
            RequestError: there is no such run, or it came to no model.

        >>> history = model.fit(X, y, epochs=2, track=True, verbose=0)
        >>> Model.from_run("latest").run_id == model.run_id
        True
        """
        with in_pythons_words():
            return cls.load(
                found_run.find(found_run.Which(run, tracking=asked.where(tracking), **which)).model_folder()
            )

    def __repr__(self) -> str:
        state = "not fitted" if self._trained is None else f"fitted: {self._trained.spec.task}"
        fields = ", ".join(f"{name}={value!r}" for name, value in dataclasses.asdict(self._plugin).items())
        return f'Model("{self.name}", {fields}), {state}'
