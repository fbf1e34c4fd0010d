"""Compiles a trained model again, to score it on other rows."""

from __future__ import annotations

import torch

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.optimizers import Adam
from lifecycle.predict.trained_model import TrainedModel


def compiled_as(trained: TrainedModel) -> CompiledModel:
    """Return a trained model compiled with the loss and metrics of its run; the optimizer does not affect scores."""
    settings = trained.settings
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
