"""Public names of :mod:`lifecycle.predict.predict_file`, which predicts files of any length."""

from lifecycle.predict.predict_file import forecast_file, predict_file

__all__ = ["forecast_file", "predict_file"]
