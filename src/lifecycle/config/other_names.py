"""What other tools call our options: ``epochs`` of Keras, ``max_iter`` of scikit-learn, ``criterion`` of skorch."""

from __future__ import annotations

from collections.abc import Iterable

from lifecycle.errors import Either, Setting, Text

FIELDS = {
    "trainer.max_epochs": "epochs n_epochs num_epochs nb_epoch max_epochs max_iter",
    "trainer.batch_size": "batch_size batchsize bs",
    "trainer.patience": "patience n_iter_no_change early_stopping_patience",
    "trainer.min_delta": "min_delta tol",
    "trainer.early_stopping": "early_stopping earlystopping",
    "trainer.monitor": "monitor",
    "trainer.restore_best": "restore_best_weights load_best",
    "trainer.shuffle": "shuffle iterator_train__shuffle",
    "trainer.class_balanced": "class_balanced weighted_sampler",
    "trainer.gradient_clip_val": "gradient_clip_val gradient_clip clip_grad clipnorm clipvalue max_grad_norm",
    "trainer.precision": "precision mixed_precision amp",
    "trainer.devices": "devices num_gpus n_gpus",
    "trainer.strategy": "strategy",
    "trainer.torch_compile": "torch_compile jit_compile",
    "optimizer": "optim solver optimiser",
    "optimizer.lr": "lr learning_rate learning_rate_init eta step_size",
    "optimizer.weight_decay": "weight_decay decay l2 alpha",
    "optimizer.momentum": "momentum",
    "schedule": "scheduler lr_scheduler lr_schedule learning_rate_schedule",
    "schedule.warmup_epochs": "warmup warmup_epochs",
    "model": "arch architecture network net module backbone",
    "model.hidden": "hidden hidden_size hidden_sizes hidden_dim hidden_layer_sizes units num_units n_units neurons",
    "model.layers": "layers",
    "model.dropout": "dropout dropout_rate p_dropout",
    "model.activation": "activation",
    "model.batch_norm": "batch_norm batchnorm batch_normalization",
    "model.initializer": "initializer kernel_initializer",
    "data": "dataset data_set ds",
    "data.path": "path file csv filename data_path train_file",
    "data.target": "target y label target_column label_column",
    "data.test_size": "test_size test_split test_fraction",
    "data.val_size": "val_size valid_size validation_fraction validation_size val_split",
    "data.validation_split": "validation_split",
    "data.scaling": "scaling scaler normalize normalization standardize",
    "data.window": "window lookback look_back timesteps n_steps seq_len sequence_length",
    "data.horizon": "horizon steps_ahead",
    "data.weight": "sample_weight weights weight_column",
    "loss": "loss_fn loss_function criterion objective",
    "metrics": "metric scoring eval_metric eval_metrics",
    "class_weights": "class_weight",
    "seed": "random_state random_seed rng manual_seed seed_everything",
    "cv.folds": "folds n_folds n_splits kfold cv_folds num_folds",
    "sweep.trials": "trials n_trials n_iter max_trials",
    "tracking.dir": "log_dir output_dir logdir save_dir default_root_dir",
    "tracking.experiment": "experiment_name project project_name",
    "tracking.uri": "tracking_uri mlflow_tracking_uri",
    "data.shape": "image_size img_size input_shape target_size",
    "data.augment": "augmentation augmentations transform transforms",
}
"""Our option -> names that others have for it."""

OF_OTHERS = {name: ours for ours, names in FIELDS.items() for name in names.split()}

GPUS = ("cuda", "gpu", "gpus", "mps")

VALUES = {
    "metrics": {
        "accuracy": "acc accuracy_score binary_accuracy categorical_accuracy sparse_categorical_accuracy",
        "auroc": "auc roc_auc roc_auc_score",
        "average_precision": "pr_auc auprc average_precision_score",
        "f1": "f1_score fscore f_score f1_macro",
        "mse": "mean_squared_error neg_mean_squared_error l2",
        "rmse": "root_mean_squared_error neg_root_mean_squared_error",
        "mae": "mean_absolute_error neg_mean_absolute_error l1",
        "mape": "mean_absolute_percentage_error",
        "r2": "r2_score",
        "precision": "precision_score",
        "recall": "recall_score sensitivity tpr",
        "balanced_accuracy": "balanced_accuracy_score",
        "matthews_corr_coef": "mcc",
        "cohen_kappa": "kappa cohen_kappa_score",
    },
    "loss": {
        "categorical_crossentropy": "cross_entropy crossentropy ce nll nll_loss CrossEntropyLoss NLLLoss "
        "categorical_cross_entropy",
        "binary_crossentropy": "bce binary_cross_entropy log_loss BCELoss BCEWithLogitsLoss bce_with_logits",
        "mse": "l2 squared_error MSELoss mse_loss",
        "mae": "l1 absolute_error L1Loss l1_loss",
        "huber": "smooth_l1 SmoothL1Loss HuberLoss huber_loss",
        "poisson": "PoissonNLLLoss poisson_nll",
    },
}
"""``metrics`` or ``loss`` -> our name -> names that others have for it."""


ONE_EPOCH = "Each epoch is logged and validated, over all rows. Leave it out."

RESUMING = Either(
    command="`lifecycle resume run=latest` continues an interrupted run.",
    python="fit(X, y, resume=True) trains further, load_weights(file) begins with weights, and "
    "`lifecycle resume run=latest` continues a run of the command.",
)

TRAINER: dict[str, Text] = {
    "callbacks": ["Early stopping is ", Setting("trainer.patience", 10), "; in Python, fit(callbacks=[...])."],
    "logger": Either(
        command="Write tracking.also=[tensorboard,csv]; MLflow records every run.",
        python='Write track=True, and tracking=TrackingConfig(also=["tensorboard"]) for TensorBoard too.',
    ),
    "ckpt_path": RESUMING,
    "resume_from_checkpoint": RESUMING,
    "accumulate_grad_batches": "A step is one batch. Write a larger batch_size instead.",
    "log_every_n_steps": ONE_EPOCH,
    "val_check_interval": ONE_EPOCH,
    "check_val_every_n_epoch": ONE_EPOCH,
    "num_sanity_val_steps": ONE_EPOCH,
    "limit_train_batches": "For a trial give fewer epochs, or fewer rows.",
    "limit_val_batches": "For a trial give fewer epochs, or fewer rows.",
    "limit_test_batches": "For a trial give fewer epochs, or fewer rows.",
    "overfit_batches": "For a trial give fewer epochs, or fewer rows.",
    "fast_dev_run": Either(command="Write trainer=debug, which is two epochs.", python="Write epochs=1."),
    "deterministic": "Leave it out: the same seed gives the same bits.",
    "benchmark": "Leave it out: the same seed gives the same bits.",
    "enable_progress_bar": "Write verbose=0 instead.",
    "enable_model_summary": "Write verbose=0 instead.",
    "enable_checkpointing": "Leave it out: the best weights are kept, and those of the last epoch to resume.",
}
"""Arguments of Lightning's Trainer that are no option here -> what to do."""


SUBCOMMANDS = {
    "evaluate": "test score validate",
    "predict": "forecast infer inference",
    "ui": "mlflow dashboard tensorboard",
    "compare": "runs list ls",
    "serve": "deploy",
    "resume": "continue",
    "plugins": "models",
}
"""Our subcommand -> words that others have for it."""

NEEDS_NO_WORD = {
    "train": "A run needs no such word: lifecycle model=mlp data=iris.",
    "fit": "A run needs no such word: lifecycle model=mlp data=iris.",
    "run": "A run needs no such word: lifecycle model=mlp data=iris.",
    "tune": "A search needs no such word: lifecycle -m data=iris optimizer.lr=0.001,0.01.",
    "search": "A search needs no such word: lifecycle -m data=iris optimizer.lr=0.001,0.01.",
}
"""Words of other tools for what this command does without one."""


def subcommand(word: str) -> str:
    """Return the sentence on another tool's word for a subcommand; "" where there is none.

    >>> subcommand("test"), subcommand("train"), subcommand("bogus")
    ('Did you mean evaluate?', 'A run needs no such word: lifecycle model=mlp data=iris.', '')
    """
    ours = next((name for name, words in SUBCOMMANDS.items() if word in words.split()), "")
    return f"Did you mean {ours}?" if ours else NEEDS_NO_WORD.get(word, "")


def value_of(key: str, name: str) -> str:
    """Return our name of another tool's metric or loss; "" where there is none.

    >>> value_of("metrics", "acc"), value_of("loss", "CrossEntropyLoss"), value_of("loss", "cubic")
    ('accuracy', 'categorical_crossentropy', '')
    """
    found = VALUES.get(key, {})
    return next((ours for ours, names in found.items() if name.lower() in names.lower().split()), "")


def advice(key: str, value: str, known: Iterable[str] = ()) -> Text:
    """Return the sentence that names our option for another tool's; "" where there is none.

    Args:
        key: as typed, with its group.
        value: as typed.
        known: names of the fields of the key's group, of which one is named only if it is there.
    """
    group, _, name = key.rpartition(".")
    name = name.lower()
    if name in ("device", "accelerator", *GPUS):
        gpu = name in GPUS or value.partition(":")[0].lower() in GPUS
        return _write(Setting("trainer.accelerator", "gpu" if gpu else value or "auto"))
    if name in ("num_workers", "n_jobs", "workers"):
        return ["Leave it out, as rows are not loaded by processes; ", Setting("sweep.workers", value), " is for -m."]
    if name in TRAINER and group in ("", "trainer"):
        return TRAINER[name]
    ours = OF_OTHERS.get(name, "")
    if not ours or (group and ours.partition(".")[0] == group and ours.rpartition(".")[2] not in set(known)):
        return ""
    if ours == "optimizer.momentum":
        return ["Write ", Setting("optimizer", "sgd"), " ", Setting(ours, value), "."]
    if ours == "model.hidden" and value and not value.startswith("["):
        value = f"[{value.strip('()')}]"
    if ours == "metrics":
        value = value if value.startswith("[") else f"[{value_of('metrics', value) or value}]"
    if ours in ("loss", "optimizer"):
        value = value_of(ours, value) or value
    return _write(Setting(ours, value) if value else Setting(ours))


def _write(setting: Setting) -> Text:
    return ["Write ", setting, "."]
