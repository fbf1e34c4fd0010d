"""Options as other tools call them are answered with ours."""

from __future__ import annotations

import dataclasses
from inspect import signature

import pytest
import pytorch_lightning as pl

from lifecycle.cli.subcommands import SUBCOMMANDS
from lifecycle.config import other_names
from lifecycle.config.choices import TYPED
from lifecycle.config.compose import compose
from lifecycle.config.schema import TrainerConfig
from lifecycle.config.tasks import TASKS
from lifecycle.errors import RequestError
from tests.conftest import Command

TYPED_AND_ANSWERED = {
    "epochs=5": "epochs is not a field of a run, got 5. Write trainer.max_epochs=5.",
    "learning_rate=0.1": "learning_rate is not a field of a run, got 0.1. Write optimizer.lr=0.1.",
    "lr=0.1": "Write optimizer.lr=0.1.",
    "batch_size=16": "Write trainer.batch_size=16.",
    "validation_split=0.2": "Write data.validation_split=0.2.",
    "dropout=0.5": "Write model.dropout=0.5.",
    "units=32": "Write model.hidden=[32].",
    "hidden_layer_sizes=[32,16]": "Write model.hidden=[32,16].",
    "model.units=32": "model.units is not a field of model=mlp, got 32. Write model.hidden=[32].",
    "optimizer.learning_rate=1": "Write optimizer.lr=1.",
    "metric=acc": "Write metrics=[accuracy].",
    "metrics=[acc]": "metrics=acc is not known. Did you mean metrics=accuracy?",
    "loss=CrossEntropyLoss": "Did you mean loss=categorical_crossentropy?",
    "criterion=BCELoss": "Write loss=binary_crossentropy.",
    "optim=sgd": "Write optimizer=sgd.",
    "momentum=0.9": "Write optimizer=sgd optimizer.momentum=0.9.",
    "random_state=1": "Write seed=1.",
    "device=cuda:0": "Write trainer.accelerator=gpu.",
    "device=cpu": "Write trainer.accelerator=cpu.",
    "num_workers=4": "Leave it out, as rows are not loaded by processes;",
    "n_splits=5": "Write cv.folds=5.",
    "class_weight=balanced": "Write class_weights=balanced.",
    "trainer.callbacks=[a]": "Early stopping is trainer.patience=10; in Python, fit(callbacks=[...]).",
    "trainer.logger=tensorboard": "trainer.logger is not a field of trainer, got tensorboard. Write tracking.also=[",
    "ckpt_path=last": "ckpt_path is not a field of a run, got last. `lifecycle resume run=latest` continues",
    "fast_dev_run=true": "Write trainer=debug, which is two epochs.",
    "trainer.bogus=1": "trainer.bogus is not a field of trainer, got 1. Fields: max_epochs",
}


@pytest.mark.parametrize("typed", TYPED_AND_ANSWERED)
def test_the_message_names_our_option(lifecycle: Command, typed: str) -> None:
    ended = lifecycle("data=iris", typed)
    assert ended.code == 2
    assert TYPED_AND_ANSWERED[typed] in ended.err


def test_words_for_subcommands_name_ours() -> None:
    assert set(other_names.SUBCOMMANDS) <= set(SUBCOMMANDS)
    words = [*" ".join(other_names.SUBCOMMANDS.values()).split(), *other_names.NEEDS_NO_WORD]
    assert not set(words) & set(SUBCOMMANDS)
    assert len(words) == len(set(words))


def test_arguments_of_lightning_are_none_of_ours() -> None:
    ours = {field.name for field in dataclasses.fields(TrainerConfig)}
    theirs = set(signature(pl.Trainer).parameters)
    assert not set(other_names.TRAINER) & ours
    assert set(other_names.TRAINER) - theirs == {"ckpt_path", "resume_from_checkpoint"}  # an argument of its fit


def test_what_is_named_exists() -> None:
    series = ["data=series", "data.path=a.csv", "data.target=y", "optimizer=sgd", "schedule=cosine"]
    values = {
        "trainer.early_stopping": "true",
        "trainer.restore_best": "true",
        "trainer.shuffle": "true",
        "trainer.class_balanced": "true",
        "trainer.torch_compile": "false",
        "trainer.precision": "32",
        "trainer.strategy": "auto",
        "trainer.monitor": "val_loss",
        "data.scaling": "standard",
        "model.hidden": "[8]",
        "model.layers": "[dense: 3]",
        "model.activation": "relu",
        "model.batch_norm": "false",
        "model.initializer": "default",
        "metrics": "[mae]",
        "class_weights": "null",
        "tracking.uri": "local",
        "data.shape": "[1,8,8]",
        "data.augment": "light",
    }
    for key in other_names.FIELDS:
        model = "sequential" if key == "model.layers" else "mlp"
        if key in ("optimizer", "schedule", "model", "data", "loss"):
            continue
        kind = ["data=table", *series[1:]] if key == "data.weight" else series
        if key in ("data.shape", "data.augment"):
            kind = ["data=images", "data.path=photos"]
        words = [f"model={model}", *kind]
        if key.startswith(("cv.", "sweep.")):
            continue  # they make it a sweep, whose jobs are composed elsewhere
        refused = ""
        try:
            compose([*words, f"{key}={values.get(key, '1')}"])
        except RequestError as error:
            refused = str(error)
        assert "is not a field" not in refused
    assert set(other_names.VALUES["metrics"]) <= {name for task in TASKS.values() for name in task.metrics} | {
        "matthews_corr_coef",
        "cohen_kappa",
    }
    assert set(other_names.VALUES["loss"]) <= {name for task in TASKS.values() for name in task.losses}
    assert "sgd" in TYPED["optimizer"]
