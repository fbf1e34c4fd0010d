"""A classifier and a regressor with scikit-learn's interface, based on :class:`lifecycle.Model`.

>>> import numpy as np
>>> from sklearn.model_selection import cross_val_score
>>> from lifecycle.sklearn import LifecycleClassifier
>>> X = np.random.default_rng(0).normal(size=(60, 2))
>>> y = np.where(X[:, 0] > 0, "right", "left")
>>> scores = cross_val_score(LifecycleClassifier(fields={"hidden": [8]}, epochs=60, lr=0.05), X, y, cv=3)
>>> scores.shape, bool(scores.mean() > 0.8)
((3,), True)
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from lifecycle.api.model import Model
from lifecycle.data.sources.native_frames import as_pandas


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """Base of both estimators. scikit-learn requires that ``__init__`` only stores its arguments; ``fit`` checks them.

    Args:
        model: name of a model plugin.
        fields: its hyper-parameters, ``{"hidden": [64]}``.
        optimizer: a name, or an object of :mod:`lifecycle.optimizers`.
        lr: learning rate of an optimizer that is given by name; ``None``: its default.
        loss: a name; ``None``: the task's default.
        schedule: of the learning rate: a name, or an object of :mod:`lifecycle.schedules`.
        epochs: largest number of passes over the rows.
        batch_size: rows per step, at most all training rows; ``None``: 32.
        validation_split: share of the rows for validation, which chooses the best epoch.
        early_stopping: ``None``: if there are validation rows.
        patience: epochs without improvement before fitting stops.
        scaling: of numbers.
        missing: ``"impute"`` to fill values of a DataFrame's columns that were complete in training.
        accelerator: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        random_state: a seed, a ``RandomState``, or ``None`` for a random seed in each fit.
        compile_options: further arguments of :meth:`lifecycle.Model.compile`, ``{"class_weights": "balanced"}``.
        fit_options: further arguments of :meth:`lifecycle.Model.fit`, ``{"gradient_clip_val": 1.0, "track": True}``.
        verbose: as in :meth:`lifecycle.Model.fit`.
    """

    _task = ""

    def __init__(
        self,
        model: str = "mlp",
        *,
        fields: dict[str, Any] | None = None,
        optimizer: Any = "adam",
        lr: float | None = None,
        loss: str | None = None,
        schedule: Any = "none",
        epochs: int = 300,
        batch_size: int | None = None,
        validation_split: float = 0.0,
        early_stopping: bool | None = None,
        patience: int = 30,
        scaling: str = "standard",
        missing: str = "refuse",
        accelerator: str = "auto",
        random_state: Any = 0,
        compile_options: dict[str, Any] | None = None,
        fit_options: dict[str, Any] | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.fields = fields
        self.optimizer = optimizer
        self.lr = lr
        self.loss = loss
        self.schedule = schedule
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_split = validation_split
        self.early_stopping = early_stopping
        self.patience = patience
        self.scaling = scaling
        self.missing = missing
        self.accelerator = accelerator
        self.random_state = random_state
        self.compile_options = compile_options
        self.fit_options = fit_options
        self.verbose = verbose

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Self:  # noqa: N803 - scikit-learn's name
        model = Model(self.model, **(self.fields or {}))
        rate: dict[str, Any] = {} if self.lr is None else {"lr": self.lr}
        model.compile(self.optimizer, self.loss, schedule=self.schedule, **self._compile_options(), **rate)
        if isinstance(self.random_state, int | np.integer):
            seed = int(self.random_state)
        else:
            seed = int(check_random_state(self.random_state).randint(2**31))
        model.fit(
            X,
            y,
            epochs=self.epochs,
            batch_size=self.batch_size,
            validation_split=self.validation_split,
            early_stopping=self.early_stopping,
            patience=self.patience,
            scaling=self.scaling,
            accelerator=self.accelerator,
            seed=seed,
            task=self._task,
            sample_weight=sample_weight,
            verbose=self.verbose,
            **{"track": False, **(self.fit_options or {})},
        )
        self.model_ = model
        self.n_iter_ = len(model.history.rows) if model.history else 0
        return self

    def _compile_options(self) -> dict[str, Any]:
        return self.compile_options or {}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        return tags


class LifecycleClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A neural network classifier with scikit-learn's interface.

    Attributes:
        classes_: ``(classes,)``, sorted.
        model_: the :class:`lifecycle.Model`.
        n_features_in_: of X.
        n_iter_: number of completed epochs.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> classifier = LifecycleClassifier(fields={"hidden": [8]}, epochs=20, lr=0.02).fit(X, y)
    >>> classifier.score(X, y) > 0.8
    True
    >>> search = GridSearchCV(classifier, {"epochs": [1, 10], "fields": [{"hidden": [4]}]}, cv=2).fit(X, y)
    >>> search.best_params_["epochs"]
    10
    """

    _task = "classification"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Fit to rows.

        Args:
            X: ``(rows, features)`` finite numbers; or a DataFrame, which may have texts and missing values.
            y: ``(rows,)`` classes.
            sample_weight: as in :meth:`lifecycle.Model.fit`; ``score`` accepts it too.

        Raises:
            ValueError: the arrays are refused by scikit-learn's validation, or y has one class only.
            RequestError: a parameter, or a column of a DataFrame, cannot be used.

        >>> LifecycleClassifier(epochs=1).fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"]).classes_
        array(['a', 'b'], dtype='<U1')
        """
        X, y = _validated(self, X, y, fitting=True)  # noqa: N806
        check_classification_targets(y)
        X, y, sample_weight = _weighted(X, y, sample_weight)  # noqa: N806
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y must have two classes or more, got one class only, {self.classes_[0]}.")
        return self._fit(X, codes, sample_weight)

    def _compile_options(self) -> dict[str, Any]:
        """Return the options, with class weights by the codes of the classes, to which the network is fitted."""
        options = super()._compile_options()
        weights = options.get("class_weights")
        if not isinstance(weights, dict):
            return options
        codes = {value: code for code, value in enumerate(self.classes_.tolist())}
        return {**options, "class_weights": {codes.get(value, value): weight for value, weight in weights.items()}}

    def predict(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return the class of each row, ``(rows,)``.

        Raises:
            NotFittedError: the estimator is not fitted.
            ValueError: the rows have other features.

        >>> LifecycleClassifier(epochs=1).fit([[0.0], [1.0]], [1, 2]).predict([[0.0], [1.0]]).shape
        (2,)
        """
        check_is_fitted(self)
        return np.asarray(self.classes_[self.model_.predict(_validated(self, X), self.missing)])

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return the probability of each class, ``(rows, classes)``, in the order of ``classes_``.

        Raises:
            NotFittedError: the estimator is not fitted.
            ValueError: the rows have other features.

        >>> LifecycleClassifier(epochs=1).fit([[0.0], [1.0]], [1, 2]).predict_proba([[0.0], [1.0], [2.0]]).shape
        (3, 2)
        """
        check_is_fitted(self)
        return self.model_.predict_proba(_validated(self, X), self.missing)


class LifecycleRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A neural network regressor with scikit-learn's interface.

    Attributes:
        model_: the :class:`lifecycle.Model`.
        n_features_in_: of X.
        n_iter_: number of completed epochs.

    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import PolynomialFeatures
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = LifecycleRegressor(fields={"hidden": [16]}, epochs=20, lr=0.01)
    >>> make_pipeline(PolynomialFeatures(interaction_only=True), network).fit(X, y).score(X, y) > 0.4
    True
    """

    _task = "regression"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Fit to rows.

        Args:
            X: ``(rows, features)`` finite numbers; or a DataFrame, which may have texts and missing values.
            y: ``(rows,)`` values.
            sample_weight: as in :meth:`lifecycle.Model.fit`; ``score`` accepts it too.

        Raises:
            ValueError: the arrays are refused by scikit-learn's validation.
            RequestError: a parameter, or a column of a DataFrame, cannot be used.

        >>> LifecycleRegressor(epochs=1).fit([[0.0], [1.0], [2.0]], [1.5, 2.5, 3.5]).n_iter_
        1
        """
        X, y = _validated(self, X, y, fitting=True)  # noqa: N806
        X, y, sample_weight = _weighted(X, y, sample_weight)  # noqa: N806
        return self._fit(X, np.asarray(y, dtype=np.float64), sample_weight)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return the value of each row in y's units, ``(rows,)``.

        Raises:
            NotFittedError: the estimator is not fitted.
            ValueError: the rows have other features.

        >>> LifecycleRegressor(epochs=1).fit([[0.0], [1.0], [2.0]], [1.5, 2.5, 3.5]).predict([[0.0]]).shape
        (1,)
        """
        check_is_fitted(self)
        return self.model_.predict(_validated(self, X), self.missing)


def _validated(estimator: _Estimator, X: Any, y: Any = None, fitting: bool = False) -> Any:  # noqa: N803
    """Validate as scikit-learn's estimators do; a DataFrame, which may have texts and missing values, stays one."""
    X, y = as_pandas(X), as_pandas(y, "y")  # noqa: N806
    shape: Any = getattr(y, "shape", ())
    if fitting and len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y must hold one class or value a row, got the shape {tuple(shape)}. Use MultiOutputClassifier or "
            "MultiOutputRegressor of sklearn.multioutput, or lifecycle.Model, which takes several labels."
        )
    if fitting and y is None:
        name = type(estimator).__name__
        raise ValueError(f"{name} requires y to be passed, but the target y is None. Give the classes or values.")
    if hasattr(X, "iloc") and not _is_numeric(X):
        found = validate_data(estimator, X, y if fitting else "no_validation", reset=fitting, skip_check_array=True)
    elif fitting:
        found = validate_data(estimator, X, y, ensure_min_samples=2, y_numeric=estimator._task == "regression")
    else:
        found = validate_data(estimator, X, reset=False)
    if not hasattr(X, "iloc") or not hasattr(estimator, "feature_names_in_"):
        return found
    return (X, found[1]) if fitting else X  # as a DataFrame, so that messages name columns


def _weighted(X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:  # noqa: N803
    """Return the rows with a weight above 0, and their weights, validated as scikit-learn does."""
    if sample_weight is None:
        return X, y, None
    weights = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
    kept = np.flatnonzero(weights)
    return X.iloc[kept] if hasattr(X, "iloc") else X[kept], np.asarray(y)[kept], weights[kept]


def _is_numeric(X: Any) -> bool:  # noqa: N803
    return all(dtype.kind in "fiu" for dtype in X.dtypes) and not X.isna().any().any()
