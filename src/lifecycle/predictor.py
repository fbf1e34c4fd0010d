"""What one does with a model that is fitted: evaluate, predict, look at it, save it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lifecycle.data.columns.missing_values import REFUSE
from lifecycle.data.sources import in_memory
from lifecycle.errors import RequestError
from lifecycle.predict import saved_model
from lifecycle.predict.trained_model import TrainedModel
from lifecycle.runtime.quiet import one_at_a_time
from lifecycle.shown import Picture, Summary
from lifecycle.wording import in_pythons_words

if TYPE_CHECKING:
    import pandas as pd


class Predictor:
    """The fourth and fifth step of :class:`lifecycle.Model`, which says how it comes to be fitted."""

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
            y: ``(rows,)`` the true classes or values.
            missing: ``"impute"`` to fill values of columns that were complete in training, in place of refusing them.
            sample_weight: ``(rows,)`` numbers of 0 or more: how much each row counts; ``None``: all the same, however
                the model was fitted.

        Returns:
            ``{"loss": ..., "accuracy": ...}``; metrics of a regression are in the target's own units.

        Raises:
            RequestError: there is no fit yet, a row cannot be used, or y has a class that the model does not know.

        >>> sorted(model.evaluate(X, y))
        ['accuracy', 'loss']
        """
        from lifecycle import python_fit

        trained = self._of_fit()
        with in_pythons_words():
            with one_at_a_time():
                frame = _rows(X, trained)
                _, labels = in_memory.targets_of(y, len(frame), frame.columns)
                weights = in_memory.weights_of(sample_weight, len(frame))
                labelled = frame.assign(**{trained.spec.target_name: labels})
            return python_fit.evaluate(replace(trained, missing=missing), labelled, weights)

    def predict(self, X: Any, missing: str = REFUSE) -> np.ndarray[Any, Any]:  # noqa: N803
        """Step 5, predict: the class of each row, of the type that y had, or its value in y's own units: ``(rows,)``.

        Args:
            X: as :meth:`fit` takes it. Columns of a DataFrame are found by name, others beside them are ignored.
            missing: ``"impute"`` to fill values of columns that were complete in training, in place of refusing them.

        Raises:
            RequestError: there is no fit yet, a column is missing, or a value is missing or cannot be used.

        >>> model.predict(X[:3])
        array(['...', '...', '...'], dtype='<U5')
        """
        trained = self._of_fit()
        with in_pythons_words():
            found = _predict(X, trained, "^predicted$", missing)
        found = found[:, 0]
        if not trained.spec.class_names:
            return found
        codes = {name: code for code, name in enumerate(trained.spec.class_names)}
        return _classes(trained)[[codes[name] for name in found]]

    def predict_proba(self, X: Any, missing: str = REFUSE) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return the probability of each class for each row, ``(rows, classes)``, in the order of :attr:`classes_`.

        Args:
            X: as :meth:`predict` takes it.
            missing: likewise.

        Raises:
            RequestError: as :meth:`predict`; or the model is a regression.

        >>> model.predict_proba(X[:3]).sum(axis=1).round(6).tolist()
        [1.0, 1.0, 1.0]
        """
        trained = self._of_fit()
        if not trained.spec.class_names:
            raise RequestError("predict_proba is for classes, and this model predicts a value. Use predict.")
        with in_pythons_words():
            return _predict(X, trained, "^probability_", missing)

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """The classes, as y had them, in the order of the probabilities: ``(classes,)``; none of a regression.

        >>> model.classes_
        array(['above', 'below'], dtype='<U5')
        """
        return _classes(self._of_fit())

    @property
    def trained(self) -> TrainedModel:
        """The fitted network with its preprocessing: what is saved, and what the command line uses.

        >>> model.trained.spec.task, model.trained.columns
        ('binary', ('x0', 'x1'))
        >>> model.trained.network  # PyTorch's
        Sequential(
        ...
        """
        return self._of_fit()

    def summary(self) -> Summary:
        """Return the layers with their output shapes and parameters, as a table that prints and that a notebook shows.

        Raises:
            RequestError: there is no fit yet, and so no network.

        >>> model.summary()
        layer   type     output shape   parameters
        0       Linear   (None, 8)              24
        1       ReLU     (None, 8)               0
        2       Linear   (None, 1)               9
        <BLANKLINE>
        total parameters: 33
        """
        from lifecycle.define.network import summarize

        trained = self._of_fit()
        return Summary(tuple(summarize(trained.network, trained.spec)), trained.model_name)

    def plot(self) -> Picture:
        """Return a diagram of the network, from input to output.

        Raises:
            RequestError: there is no fit yet, and so no network.

        >>> model.plot()
        <svg picture of ... bytes; .save(path) writes it>
        """
        from lifecycle.plots import diagram

        trained = self._of_fit()
        return Picture(diagram.draw(trained.network, trained.model_name, trained.spec).encode(), "svg")

    def save(self, path: str | Path) -> Path:
        """Write the model into a folder: three files, none of them a pickle.

        Args:
            path: of a folder that is new or empty, or holds a saved model, which is replaced.

        Raises:
            RequestError: there is no fit yet, or the folder holds something else.
            DiskError: there is no room for it.

        >>> sorted(file.name for file in model.save("above_or_below").iterdir())
        ['lifecycle.json', 'preprocessing.skops', 'weights.safetensors']
        """
        folder = Path(path).expanduser()
        names = {file.name for file in folder.iterdir()} if folder.is_dir() else {""} if folder.exists() else set()
        if names and not names <= {saved_model.MANIFEST, saved_model.WEIGHTS, saved_model.PREPROCESSING}:
            raise RequestError(f"{path} holds something that is no saved model. Name a new folder.")
        with in_pythons_words():
            saved_model.save(self._of_fit(), folder)
        return folder

    def _of_fit(self) -> TrainedModel:
        if self._trained is None:
            raise RequestError("the model is not fitted yet. Call fit(X, y), or Model.load(folder).")
        return self._trained


def _rows(X: Any, trained: TrainedModel) -> pd.DataFrame:  # noqa: N803
    """Return rows as the model takes them; those without names have those of training, by their places."""
    frame, _ = in_memory.inputs_of(X)
    return in_memory.like(frame, X, list(trained.columns))


def _predict(X: Any, trained: TrainedModel, columns: str, missing: str) -> np.ndarray[Any, Any]:  # noqa: N803
    """Return the columns that match of the predictions for rows: ``(samples, columns)``."""
    with one_at_a_time():
        rows = _rows(X, trained)
        samples = replace(trained, missing=missing).samples(rows)
        inputs = trained.inputs(samples, rows)
    outputs = trained.outputs(inputs)
    with one_at_a_time():
        return trained.as_frame(outputs, samples).filter(regex=columns).to_numpy()


def _classes(trained: TrainedModel) -> np.ndarray[Any, Any]:
    values = trained.settings.get("class_values") or trained.spec.class_names
    return np.array(values, dtype=None if len({type(value) for value in values}) < 2 else object)
