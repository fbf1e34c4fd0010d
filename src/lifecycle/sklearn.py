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

from inspect import Parameter, Signature, signature
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from lifecycle.api import hints
from lifecycle.api.model import Model
from lifecycle.data.sources.native_frames import as_pandas


def __getattr__(name: str) -> Any:
    """Name the estimator of this module for that of another tool."""
    raise hints.not_here(__name__, name)


PREFIXES = ("module__", "optimizer__", "fit__")
"""Beginnings of parameters that are fields of the network, of the optimizer, and arguments of the fit."""


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """Base of both estimators. scikit-learn requires that ``__init__`` only stores its arguments; ``fit`` checks them.

    Args:
        model: as :class:`lifecycle.Model` takes it: a name, a network, or a class or function that returns one.
        fields: its hyper-parameters, ``{"hidden": [64]}``; each may be a parameter of its own, ``module__hidden=[64]``.
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
        class_weight: ``"balanced"`` or a weight for each class, in the training loss.
        callbacks: Lightning callbacks.
        warm_start: whether a second call of ``fit`` trains the network further, ``epochs`` more.
        compile_options: further arguments of :meth:`lifecycle.Model.compile`, ``{"class_weights": "balanced"}``.
        fit_options: further arguments of :meth:`lifecycle.Model.fit`, ``{"gradient_clip_val": 1.0, "track": True}``.
        verbose: as in :meth:`lifecycle.Model.fit`.
        nested: fields of the network ``module__...``, of the optimizer ``optimizer__...``, of the fit ``fit__...``.
    """

    _task = ""
    model_: Model
    __signature__: ClassVar[Signature]

    def __init__(
        self,
        model: Any = "mlp",
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
        class_weight: Any = None,
        callbacks: Any = None,
        warm_start: bool = False,
        compile_options: dict[str, Any] | None = None,
        fit_options: dict[str, Any] | None = None,
        verbose: int = 0,
        **nested: Any,
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
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.compile_options = compile_options
        self.fit_options = fit_options
        self.verbose = verbose
        self._set_nested(nested)

    def __getattr__(self, name: str) -> Any:
        # Only for names that are not found; scikit-learn and copies ask for many.
        ours = hints.ESTIMATOR_ATTRIBUTES.get(name)
        advice = f". Use {ours}." if ours else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{advice}")

    def _set_nested(self, nested: dict[str, Any]) -> None:
        for name, value in nested.items():
            if not name.startswith(PREFIXES):
                known = ", ".join(BaseEstimator.get_params(self, deep=False))
                advice = hints.estimator(name)
                raise TypeError(
                    f"{type(self).__name__} has no parameter {name}.{advice} Parameters: {known}, module__<field>."
                )
            setattr(self, name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with those of the network, ``module__hidden``, that were set."""
        nested = {name: value for name, value in vars(self).items() if name.startswith(PREFIXES)}
        return {**super().get_params(deep), **nested}

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``module__hidden``, ``optimizer__weight_decay`` and ``fit__gradient_clip_val`` too."""
        nested = {name: params.pop(name) for name in list(params) if name.startswith(PREFIXES)}
        for name, value in nested.items():
            setattr(self, name, value)
        super().set_params(**params)
        return self

    def _nested(self, prefix: str) -> dict[str, Any]:
        """Return the parameters with a prefix, without it."""
        return {name.removeprefix(prefix): value for name, value in vars(self).items() if name.startswith(prefix)}

    def _new_model(self) -> Model:
        network: Any = self.model
        model = Model(network, **{**(self.fields or {}), **self._nested("module__")})
        rate: dict[str, Any] = {} if self.lr is None else {"lr": self.lr}
        options = {"schedule": self.schedule, **self._compile_options(), **rate, **self._nested("optimizer__")}
        return model.compile(self.optimizer, self.loss, **options)

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _fit(self, X: Any, y: Any, sample_weight: Any, **more: Any) -> Self:  # noqa: N803 - scikit-learn's name
        continues = more.get("resume", False)
        model = self.model_ if continues else self._new_model()
        # Without rows that validate, fit() refuses a patience.
        stops = bool(self.validation_split) if self.early_stopping is None else self.early_stopping
        options: dict[str, Any] = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "validation_split": self.validation_split,
            "early_stopping": self.early_stopping,
            "scaling": self.scaling,
            "accelerator": self.accelerator,
            "seed": self._seed(),
            "task": self._task,
            "sample_weight": sample_weight,
            "callbacks": () if self.callbacks is None else self.callbacks,
            "verbose": self.verbose,
            "track": False,
            **({"patience": self.patience} if stops else {}),
            **(self.fit_options or {}),
            **self._nested("fit__"),
        }
        model.fit(X, y, **{**options, **more})
        self.model_ = model
        self.history_ = model.history
        self.n_iter_ = len(model.history.rows) if model.history else 0
        return self

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        """Return the names of the inputs of the network, after one-hot encoding, ``(inputs,)``.

        Args:
            input_features: names of the columns of X; ``None``: those of training.

        Raises:
            NotFittedError: the estimator is not fitted.
            ValueError: the names are not those of training.

        >>> LifecycleRegressor(epochs=1).fit([[0.0, 1.0], [1.0, 2.0]], [1.0, 2.0]).get_feature_names_out()
        array(['x0', 'x1'], dtype=object)
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        return np.array(self.model_.trained.spec.feature_names, dtype=object)

    def _compile_options(self) -> dict[str, Any]:
        weights: dict[str, Any] = {} if self.class_weight is None else {"class_weights": self.class_weight}
        return {**(self.compile_options or {}), **weights}

    def _resumes(self) -> dict[str, Any]:
        """Return the arguments of a fit that continues the last one, where ``warm_start`` is set."""
        return {"resume": True} if self.warm_start and hasattr(self, "model_") else {}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        return tags


# scikit-learn's tools set each parameter that a signature names, to which no name with a prefix belongs.
_named = [one for one in signature(_Estimator).parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
_Estimator.__signature__ = Signature(_named)


class LifecycleClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A neural network classifier with scikit-learn's interface.

    Attributes:
        classes_: ``(classes,)``, sorted.
        model_: the :class:`lifecycle.Model`.
        n_features_in_: of X.
        n_iter_: number of completed epochs.
        history_: scores of each epoch, as :meth:`lifecycle.Model.fit` returns them.

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
        return self._fit(X, codes, sample_weight, **self._resumes())

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Train for one epoch more on rows, under the preprocessing of the first call.

        Args:
            X: as in :meth:`fit`.
            y: ``(rows,)`` classes.
            classes: all classes; needed in the first call, unless y has all.
            sample_weight: as in :meth:`fit`.

        Raises:
            ValueError: y has a class that the first call did not name.

        >>> classifier = LifecycleClassifier().partial_fit([[0.0], [1.0]], ["a", "b"], classes=["a", "b", "c"])
        >>> classifier.partial_fit([[2.0]], ["c"]).n_iter_, classifier.classes_.tolist()
        (2, ['a', 'b', 'c'])
        """
        first = not hasattr(self, "model_")
        X, y = _validated(self, X, y, fitting=True, first=first)  # noqa: N806
        check_classification_targets(y)
        X, y, sample_weight = _weighted(X, y, sample_weight)  # noqa: N806
        if first:
            self.classes_ = np.unique(y if classes is None else classes)
            if len(self.classes_) < 2:
                raise ValueError(f"classes must be two or more, got {self.classes_.tolist()}. Name all classes.")
        if len(unknown := np.setdiff1d(y, self.classes_)):
            raise ValueError(f"y has the class {unknown[0]}, which the first call did not name. Name it in classes.")
        codes = np.searchsorted(self.classes_, y)
        more = {"classes": np.arange(len(self.classes_))} if first else {"resume": True}
        return self._fit(X, codes, sample_weight, epochs=1, validation_split=0.0, early_stopping=False, **more)

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
        history_: scores of each epoch, as :meth:`lifecycle.Model.fit` returns them.

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
        return self._fit(X, np.asarray(y, dtype=np.float64), sample_weight, **self._resumes())

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Train for one epoch more on rows, under the preprocessing of the first call.

        Args:
            X: as in :meth:`fit`.
            y: ``(rows,)`` values.
            sample_weight: as in :meth:`fit`.

        >>> LifecycleRegressor().partial_fit([[0.0], [1.0]], [0.0, 1.0]).partial_fit([[2.0]], [2.0]).n_iter_
        2
        """
        first = not hasattr(self, "model_")
        X, y = _validated(self, X, y, fitting=True, first=first)  # noqa: N806
        X, y, sample_weight = _weighted(X, y, sample_weight)  # noqa: N806
        more = {} if first else {"resume": True}
        values = np.asarray(y, dtype=np.float64)
        return self._fit(X, values, sample_weight, epochs=1, validation_split=0.0, early_stopping=False, **more)

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


def _validated(estimator: _Estimator, X: Any, y: Any = None, fitting: bool = False, first: bool = True) -> Any:  # noqa: N803
    """Validate as scikit-learn's estimators do; a DataFrame, which may have texts and missing values, stays one.

    Args:
        estimator: of the rows.
        X: rows.
        y: targets.
        fitting: whether the rows are fitted.
        first: whether they are the first: later ones must have the same features, and may be a single row.
    """
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
        given = y if fitting else "no_validation"
        found = validate_data(estimator, X, given, reset=fitting and first, skip_check_array=True)
    elif fitting:
        least, is_number = 2 if first else 1, estimator._task == "regression"
        found = validate_data(estimator, X, y, reset=first, ensure_min_samples=least, y_numeric=is_number)
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
