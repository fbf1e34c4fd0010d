"""A neural network from Python: define, compile, fit, evaluate and predict as five calls.

The calls compose the same request as the command line and run the same code: the same settings and seed give the same
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.api import definition, hints, objects, request
from lifecycle.api.continuing import Before
from lifecycle.api.display import FitHistory, FoundRates
from lifecycle.api.messages import worded_for_python
from lifecycle.api.weights import WithWeights
from lifecycle.config.tasks import check_names
from lifecycle.predict import saved_model
from lifecycle.predict.trained_model import TrainedModel
from lifecycle.runtime.processes import turn
from lifecycle.tracking import found_run

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from lifecycle.config.schema import TrackingConfig
    from lifecycle.optimizers import OptimizerConfig
    from lifecycle.schedules import ScheduleConfig


class Model(WithWeights):
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

    def __init__(self, network: Any = "mlp", /, **fields: Any) -> None:
        """Step 1, define: choose an architecture; :meth:`fit` builds the network, whose sizes depend on the data.

        Args:
            network: name of a model plugin: ``"mlp"``, ``"cnn"``, ``"lstm"``, ``"sequential"`` or an installed one,
                which `lifecycle plugins` lists. Or a network that returns logits or values: a ``torch.nn.Module``, of
                which each fit trains a copy; a class or function that returns one, with a required first argument it
                gets the :class:`lifecycle.contract.DataSpec`; or a list of layers, as words of ``model=sequential``
                (``["dense: 12", "relu", "output"]``) or of ``torch.nn``.
            fields: its hyper-parameters, ``hidden=[64, 32]``; of a class or function its arguments.

        Raises:
            RequestError: there is no such plugin or field, or a value is out of range.

        >>> Model("mlp", hiden=[8])
        Traceback (most recent call last):
            ...
        lifecycle.errors.RequestError: hiden is not a field of Model("mlp"), got [8]. Did you mean hidden? ...
        """
        with worded_for_python():
            self.name, self._plugin = definition.read(network, fields)
        self.history: FitHistory | None = None
        self.run_id: str | None = None
        self._trained: TrainedModel | None = None
        self._before: Before | None = None
        self.compile()  # so that fit() works without a call of compile(), with the defaults

    def compile(
        self,
        optimizer: str | OptimizerConfig | Any = "adam",
        loss: str | Callable[..., Any] | None = None,
        metrics: Any = None,
        *,
        schedule: str | ScheduleConfig = "none",
        class_weights: str | dict[Any, float] | None = None,
        label_smoothing: float = 0.0,
        **fields: Any,
    ) -> Model:
        """Step 2, compile: choose loss, optimizer and metrics.

        Args:
            optimizer: a name, ``"adam"``, or one of :mod:`lifecycle.optimizers`; or of torch: a class, a
                ``functools.partial`` of it, an optimizer, or a function that returns one for parameters.
            loss: a name, such as ``"mae"``; ``None``: the default of the task. Or a loss of torch, or a function of
                ``(outputs, targets)`` or ``(y_true, y_pred)``: logits and codes of classes, or values ``(batch, 1)``.
            metrics: names, such as ``["accuracy", "f1"]``; ``None``: the default of the task. Or functions of
                ``(y_true, y_pred)`` as in scikit-learn, objects of torchmetrics, a mapping of names to these.
            schedule: learning rate schedule: a name, or one of :mod:`lifecycle.schedules`.
            class_weights: ``"balanced"``, or a weight for each class.
            label_smoothing: share of each label that is spread evenly over the classes.
            fields: fields of the optimizer, ``lr=0.01``.

        Returns: the model itself.

        Raises:
            RequestError: there is no such name or field, or a value is out of range.

        >>> model = Model("mlp").compile("sgd", "binary_crossentropy", ["accuracy", "f1"], lr=0.1, momentum=0.9)
        >>> from lifecycle.optimizers import AdamW
        >>> from lifecycle.schedules import Cosine
        >>> model = Model("mlp").compile(AdamW(lr=0.01), schedule=Cosine(warmup_epochs=5), class_weights="balanced")
        """
        with worded_for_python():
            hints.check(fields, {"lr"}, hints.COMPILING, hints.FITTED)
            names, read = objects.metrics(metrics), objects.loss(loss)
            check_names(read.loss, names)
            self._compiled_with = request.Compiled(
                optimizer=objects.optimizer(optimizer, fields) or request.typed("optimizer", optimizer, fields),
                schedule=request.typed("schedule", schedule, {}),
                loss=read.loss,
                metrics=names,
                class_weights=class_weights,
                label_smoothing=label_smoothing or read.label_smoothing,
                task=read.task or request.task_of(read.loss),
            )
            self._trained = definition.completed(self._trained, self._compiled_with)
        return self

    def fit(
        self, X: Any, y: Any = None, *,  # noqa: N803 - scikit-learn's and Keras's name
        epochs: int = 300, batch_size: int | None = None, early_stopping: bool | None = None,
        validation_split: float = 0.0, validation_data: Any = None, sample_weight: Any = None, class_weight: Any = None,
        groups: Any = None, classes: Any = None, seed: int = 0, split_seed: int | None = None,
        task: str | None = None, scaling: str = "standard", scale_target: bool = True,
        types: Mapping[str, Any] | None = None, verbose: int = 1, callbacks: Sequence[pl.Callback] | pl.Callback = (),
        steps_per_epoch: int | None = None, initial_epoch: int = 0, resume: bool = False, channels_last: bool = False,
        track: bool | None = None, tracking: TrackingConfig | str | Path | None = None, **trainer: Any,
    ) -> FitHistory:  # fmt: skip
        """Step 3, fit: train a new network on rows, each time it is called; or train the last one further.

        Args:
            X: ``(rows, features)``, ``(rows, steps, features)`` or ``(rows, channels, height, width)``; see the class.
                Or batches of ``(X, y)``: a DataLoader, a dataset of torch, a generator with ``steps_per_epoch``.
            y: ``(rows,)`` classes or values as you have them; or ``(rows, labels)`` of 0 and 1, or a row's labels.
            epochs: most passes over the rows; 300 by default, as for the command.
            batch_size: rows of a step, at most all training rows; ``None``: 32.
            early_stopping: end when ``monitor`` has not improved for ``patience`` epochs; ``None``: if rows validate.
            validation_split: share of the rows that validate and choose the best epoch, stratified by class.
            validation_data: ``(X, y)``, ``(X, y, sample_weight)`` or batches to validate, instead of a split.
            sample_weight: ``(rows,)`` weights of 0 or more in the loss and all scores; rows of weight 0 are left out.
            class_weight: ``"balanced"`` or a weight for each class in the training loss, as ``class_weights`` above.
            groups: ``(rows,)`` for instance patients: validation_split does not divide a group; ``None``: none.
            classes: all classes, where y may lack some; ``None``: those of y.
            seed: of the split, the initial weights, the order of rows and dropout.
            split_seed: of the split alone; ``None``: seed.
            task: ``"classification"``, ``"multilabel"`` or ``"regression"``; ``None``: from the loss, or from y.
            scaling: of numbers: ``"standard"``, ``"minmax"`` or ``"none"``; learnt from training rows alone.
            scale_target: regression: train on the standardised target; predictions are in the units of y.
            types: what columns mean, ``{"zip": "category", "when": "time"}``, where it is not as inferred.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch.
            callbacks: Lightning callbacks. An ``EarlyStopping`` stands in place of the one of ``early_stopping``.
            steps_per_epoch: batches in an epoch, where X yields them.
            initial_epoch: number of epochs that are done, as in Keras: ``epochs`` is then the number of all.
            resume: train the last network ``epochs`` further, with the state of its optimizer.
            channels_last: images have the shape ``(rows, height, width, channels)``, here and in ``predict``.
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
        return self._fit({name: value for name, value in locals().items() if name != "self"})

    def _fit(self, arguments: dict[str, Any]) -> FitHistory:
        """Fit, and keep the result; a fit that fails leaves the model as it was."""
        from lifecycle.api import fit, fit_call  # imports Lightning, which takes a second and only a fit needs

        with worded_for_python(), turn():
            start = replace(self._start, channels_last=bool(arguments["channels_last"]))
            defined = fit_call.Defined(self.name, self._plugin, self._compiled_with, start, self._before)
            job, given = fit_call.FitCall(**arguments).read(defined)
            fitted = fit.run(job, given)
        self.history, self._trained, self.run_id = fitted.history, fitted.trained, fitted.run_id
        self._before = Before(fitted.trained, job, fitted.kept)
        return fitted.history

    def find_lr(
        self, X: Any, y: Any = None, *, lowest: float = 1e-6, highest: float = 1.0, steps: int = 100, **options: Any  # noqa: N803
    ) -> FoundRates:  # fmt: skip
        """Search a learning rate: train a network while the rate rises from step to step, as Lightning's tuner does.

        Args:
            X: as in :meth:`fit`.
            y: as in :meth:`fit`.
            lowest: rate of the first step.
            highest: rate of the last step.
            steps: number of steps.
            options: further arguments of :meth:`fit`, ``batch_size=16``.

        Returns:
            The losses, with ``suggestion`` and ``plot()``; the model stays as it is.

        Raises:
            RequestError: rows or arguments cannot be used.

        >>> found = model.find_lr(X, y, batch_size=10)
        >>> 1e-6 < found.suggestion < 1
        True
        """
        from lifecycle.api import fit, fit_call

        with worded_for_python(), turn():
            defined = fit_call.Defined(self.name, self._plugin, self._compiled_with, self._start, None)
            job, given = fit_call.of_options(type(self).fit, {"X": X, "y": y, **options}).read(defined)
            found = fit.find_rates(job, given, lowest, highest, steps)
        return FoundRates(found.rates, found.losses, found.suggestion, found.used)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, which cannot continue the fit: checkpoints are of one process."""
        return {**self.__dict__, "_before": None if self._trained is None else Before(self._trained)}

    def __getattr__(self, name: str) -> Any:
        # Only for names that are not found. Notebooks ask for many, such as _repr_png_.
        raise AttributeError(hints.attribute(name) or f"'Model' object has no attribute {name!r}")

    @classmethod
    def load(cls, path: str | Path, network: Any = None) -> Model:
        """Return the model in a folder that :meth:`save` or a run wrote.

        A file never chooses code. A network of your own class or function is loaded with what you give; layers of
        ``torch.nn`` in ``nn.Sequential`` are part of the file.

        Args:
            path: the folder.
            network: the network, class or function that the model was made with; ``None``: the file describes it, or
                it was given to ``Model`` in this process.

        Raises:
            SavedModelError: the folder has no saved model, it was altered, or it needs a plugin that is not installed.
            RequestError: the network is of code that the folder does not hold.

        >>> folder = model.save("sides")
        >>> bool((Model.load("sides").predict(X) == model.predict(X)).all())
        True
        """
        with worded_for_python():
            trained = saved_model.load(Path(path).expanduser(), network)
        model = cls.__new__(cls)  # without __init__, which takes the fields of a plugin, and these are checked already
        model.name, model._plugin = trained.model_name, trained.model
        model.history, model.run_id, model._trained = None, trained.provenance.get("run_id"), trained
        model._before = Before(trained)
        # For a later fit(): evaluate() takes the loss and the metrics that the saved model records.
        model.compile()
        return model

    @classmethod
    def from_run(
        cls, run: str, *, tracking: TrackingConfig | str | Path | None = None, network: Any = None, **which: Any
    ) -> Model:
        """Return the model of a run.

        Args:
            run: an id or its first characters, ``"latest"``, ``"best"`` or ``"models:/name@alias"``.
            tracking: where the run is recorded, as :meth:`fit` takes it.
            network: as in :meth:`load`.
            which: ``metric`` by which ``"best"`` ranks, ``sweep`` to search within.

        Raises:
            RequestError: there is no such run, or it has no model.

        >>> history = model.fit(X, y, epochs=2, track=True, verbose=0)
        >>> Model.from_run("latest").run_id == model.run_id
        True
        """
        with worded_for_python():
            found = found_run.find(found_run.Which(run, tracking=request.tracking_config(tracking), **which))
            return cls.load(found.model_folder(), network)

    def __repr__(self) -> str:
        state = "not fitted" if self._trained is None else f"fitted: {self._trained.spec.task}"
        return f"{definition.shown(self.name, self._plugin)}, {state}"
