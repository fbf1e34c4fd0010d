"""Data sets that scikit-learn contains or generates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.errors import RequestError, Setting, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

SKLEARN_TARGETS = {
    "iris": "species",
    "wine": "cultivar",
    "breast_cancer": "diagnosis",
    "digits": "digit",
    "diabetes": "progression",
}
"""Data set of scikit-learn -> the name of its target column here."""

GENERATED = "two_classes"
"""A data set that scikit-learn generates."""


def _sklearn(name: str) -> pd.DataFrame:
    if name == GENERATED:
        return _two_classes()
    if name not in SKLEARN_TARGETS:
        known = [*SKLEARN_TARGETS, GENERATED]
        remedy = f"{did_you_mean(name, known)} Choose from: {', '.join(known)}."
        raise RequestError(Setting("data.path", f"sklearn:{name}"), "is not known", remedy=remedy)
    import sklearn.datasets

    loaded = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = loaded.data.copy()
    # The data of a regression have no names of classes.
    classes = loaded.get("target_names")
    target = SKLEARN_TARGETS[name]
    frame[target] = loaded.target if classes is None else [str(classes[code]) for code in loaded.target]
    return frame


def _two_classes() -> pd.DataFrame:
    """Return 1,000 rows of 20 numbers, four of which determine the class; the same rows at each call."""
    import numpy as np
    import pandas as pd
    from sklearn.datasets import make_classification

    # Drawn anew each time, so without a fixed state each run would have other rows.
    values, codes = make_classification(n_samples=1000, n_classes=2, random_state=1)
    frame = pd.DataFrame(values, columns=[f"x{number:02}" for number in range(1, values.shape[1] + 1)])
    return frame.assign(label=np.array(["a", "b"], dtype=object)[codes])
