"""Steps 4 and 5 from Python: evaluates, predicts, describes and saves a fitted model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lifecycle import layout
from lifecycle.api import images, streams
from lifecycle.api.messages import worded_for_python
from lifecycle.contract import MULTILABEL
from lifecycle.data.columns import label_sets
from lifecycle.data.columns.missing_values import REFUSE
from lifecycle.data.sources import in_memory, label_arrays
from lifecycle.errors import RequestError
from lifecycle.predict import saved_model
from lifecycle.predict.trained_model import CHANNELS_LAST, TrainedModel
from lifecycle.runtime.quiet import one_at_a_time

if TYPE_CHECKING:
    import pandas as pd


class Predictor:
    """Evaluates and predicts with a fitted model; :class:`lifecycle.Model` adds the steps before."""

    _trained: TrainedModel | None = None

    def evaluate(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        missing: str = REFUSE,
        sample_weight: Any = None,
        *,
        batch_size: int | None = None,
        verbose: int = 0,
        return_dict: bool = True,
    ) -> Any:
        """Step 4, evaluate: the loss and the metrics of the model on rows, each scored once.

        Args:
            X: as :meth:`fit` takes it, also as batches of inputs and targets.
            y: the true classes, labels or values, as :meth:`fit` takes them; columns of labels with other names than
                the model's are in the order of :attr:`classes_`.
            missing: ``"impute"`` fills missing values in columns that were complete in training; ``"refuse"`` raises.
            sample_weight: ``(rows,)`` numbers of 0 or more; ``None``: each row counts the same, also if the model was
                fitted with weights.
            batch_size: rows in a pass of the network; ``None``: a size that is fast. The scores do not depend on it.
            verbose: 1 prints the scores.
            return_dict: ``False``: a list, as Keras returns by default, in the order of the names.

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
            _check_batch_size(batch_size)
            if y is None:
                X, y, sample_weight = _batches(X, sample_weight)  # noqa: N806
            with one_at_a_time():  # pandas, which is not safe with threads that change warning filters
                frame = _rows(X, trained)
                weights = in_memory.weights_of(sample_weight, len(frame))
                labelled = frame.assign(**_targets(y, frame, trained))
            scores = fit.evaluate(replace(trained, missing=missing), labelled, weights, batch_size)
        if verbose:
            print("  ".join(f"{name} {value:.4f}" for name, value in scores.items()))
        return scores if return_dict else list(scores.values())

    def predict(
        self,
        X: Any,  # noqa: N803
        missing: str = REFUSE,
        *,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray[Any, Any]:
        """Step 5, predict: the class of each row, in the dtype of y, or its value in the units of y: ``(rows,)``.

        Of several labels: ``(rows, labels) int64``, 1 where a row has a label, in the order of :attr:`classes_`.

        Args:
            X: as :meth:`fit` takes it. Columns of a DataFrame are found by name; additional columns are ignored.
            missing: ``"impute"`` fills missing values in columns that were complete in training; ``"refuse"`` raises.
            batch_size: rows in a pass of the network; ``None``: a size that is fast.
            verbose: 1 prints the number of rows.

        Raises:
            RequestError: the model is not fitted yet, or a column or value is missing or cannot be used.

        >>> model.predict(X[:3])
        array(['...', '...', '...'], dtype='<U5')
        """
        trained = self._fitted()
        if trained.spec.task == MULTILABEL:
            return np.asarray(self.predict_proba(X, missing, batch_size=batch_size) > 0.5, dtype=np.int64)
        with worded_for_python():
            predicted = _predict(X, trained, "^predicted$", missing, batch_size)[:, 0]
        if verbose:
            print(f"{len(predicted):,} rows predicted")
        if not trained.spec.class_names:
            return predicted
        # Predictions are texts, as a file would have them; y may have held ints or bools.
        codes = {name: code for code, name in enumerate(trained.spec.class_names)}
        return _classes(trained)[[codes[name] for name in predicted]]

    def predict_proba(
        self,
        X: Any,  # noqa: N803
        missing: str = REFUSE,
        *,
        batch_size: int | None = None,
    ) -> np.ndarray[Any, Any]:
        """Return the probability of each class or label, ``(rows, classes)``, in the order of :attr:`classes_`.

        Args:
            X: as :meth:`predict` takes it.
            missing: as in :meth:`predict`.
            batch_size: as in :meth:`predict`.

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
            return _predict(X, trained, "^probability_", missing, batch_size)

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
    X = images.channels_first(X, bool(trained.settings.get(CHANNELS_LAST)))  # noqa: N806
    frame, _ = in_memory.inputs_of(X)
    return in_memory.like(frame, X, list(trained.columns))


def _batches(X: Any, sample_weight: Any) -> streams.Rows:  # noqa: N803
    """Return the rows of batches to evaluate."""
    if not streams.is_stream(X):
        raise RequestError("y", "is missing", remedy="Write evaluate(X, y), or evaluate(loader).")
    if sample_weight is not None:
        raise RequestError("sample_weight", "comes with the batches", remedy="Yield (X, y, sample_weight).")
    return streams.all_rows(X, "X")


def _check_batch_size(batch_size: int | None) -> None:
    if batch_size is not None and (not isinstance(batch_size, int | np.integer) or batch_size < 1):
        raise RequestError("batch_size", "must be 1 or more", repr(batch_size), "Leave it out.")


def _predict(
    X: Any,  # noqa: N803
    trained: TrainedModel,
    columns: str,
    missing: str,
    batch_size: int | None,
) -> np.ndarray[Any, Any]:
    """Return the columns of the predictions whose names match a regular expression: ``(samples, columns)``."""
    _check_batch_size(batch_size)
    if streams.is_stream(X):
        X = streams.inputs(X)  # noqa: N806
    with one_at_a_time():
        rows = _rows(X, trained)
        samples = replace(trained, missing=missing).samples(rows)
        inputs = trained.inputs(samples, rows)
    outputs = trained.outputs(inputs, batch_size)  # not locked: torch predicts on several threads, pandas does not
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
