"""Compiles a trained model again, to score it on other rows."""

from __future__ import annotations

import torch

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.config.tasks import OwnName
from lifecycle.errors import Either, RequestError, Setting
from lifecycle.optimizers import Adam
from lifecycle.predict.trained_model import OWN_NAMES, TrainedModel


def compiled_as(trained: TrainedModel) -> CompiledModel:
    """Return a trained model compiled with the loss and metrics of its run; the optimizer does not affect scores.

    Raises:
        RequestError: one of them is a function or object of a Python caller, which no file holds.
    """
    settings = trained.settings
    for name in (settings["loss"], *settings["metrics"]):
        if name in settings.get(OWN_NAMES, ()) and not isinstance(name, OwnName):
            key = "loss" if name == settings["loss"] else "metrics"
            python = f"Call compile({key}={name if key == 'loss' else f'[{name}]'}) of the loaded model, then evaluate."
            problem = "is code of a Python caller, which a saved model does not hold"
            remedy = Either(command=f"Score it in Python: {python}", python=python)
            raise RequestError(Setting(key, str(name)), problem, remedy=remedy)
    # Models of version 0.1.0 have neither class_weights nor label_smoothing.
    weights = settings.get("class_weights")
    return CompiledModel(
        trained.network,
        trained.spec,
        Adam(),
        settings["loss"],
        list(settings["metrics"]),
        trained.preprocessing.target_scale,
        class_weights=None if weights is None else torch.tensor(weights),
        label_smoothing=settings.get("label_smoothing", 0.0),
        target_transform=trained.preprocessing.transform,
    )
