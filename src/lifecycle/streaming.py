"""Prediction of files of any length: :mod:`lifecycle.predict.predict_file`."""

from lifecycle.predict.predict_file import forecast_file, predict_file

__all__ = ["forecast_file", "predict_file"]
