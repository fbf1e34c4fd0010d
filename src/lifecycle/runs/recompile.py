"""Compile a trained model as its run did, to score it on other rows."""

from __future__ import annotations

import torch

from lifecycle.compile.compiled_model import CompiledModel
from lifecycle.optimizers import Adam
from lifecycle.predict.trained_model import TrainedModel


def compiled_as(trained: TrainedModel) -> CompiledModel:
    """Return a trained model compiled as it was; the optimizer has no effect on scores."""
    settings = trained.settings
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
    )
