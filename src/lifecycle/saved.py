"""Public names of :mod:`lifecycle.predict.saved_model`. MLflow models and exported programs import this module."""

from lifecycle.predict.mlflow_model import PyFunc, _load_pyfunc
from lifecycle.predict.saved_model import bases, check_preprocessing, load, prepare, save
from lifecycle.predict.trained_model import TIME_STEP, Preparation, TrainedModel

__all__ = [
    "TIME_STEP",
    "Preparation",
    "PyFunc",
    "TrainedModel",
    "_load_pyfunc",
    "bases",
    "check_preprocessing",
    "load",
    "prepare",
    "save",
]
