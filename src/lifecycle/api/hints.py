"""Names of other tools, in the messages of the Python interface: ``learning_rate`` is ``lr`` here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from lifecycle.config import other_names
from lifecycle.errors import RequestError

FIELDS = {
    "units": ("hidden", "units"),
    "hidden_units": ("hidden", "units"),
    "hidden_size": ("units", "hidden"),
    "hidden_sizes": ("hidden",),
    "hidden_dim": ("hidden", "units"),
    "hidden_layer_sizes": ("hidden",),
    "num_units": ("hidden", "units"),
    "dropout_rate": ("dropout",),
    "rate": ("dropout",),
    "act": ("activation",),
    "activation_fn": ("activation",),
    "kernel_initializer": ("initializer",),
}
"""Hyper-parameters of networks -> ours, the first that a model has."""

COMPILING = {
    "learning_rate": "lr",
    "learning_rate_init": "lr",
    "alpha": "weight_decay",
    "decay": "weight_decay",
    "criterion": "loss",
    "scheduler": "schedule",
    "lr_scheduler": "schedule",
    "class_weight": "class_weights",
    "weighted_metrics": "metrics",
}
"""Arguments of ``compile``."""

FITTING = {
    "nb_epoch": "epochs",
    "n_epochs": "epochs",
    "max_epochs": "epochs",
    "num_epochs": "epochs",
    "max_iter": "epochs",
    "batchsize": "batch_size",
    "validation_frac": "validation_split",
    "validation_fraction": "validation_split",
    "train_split": "validation_split",
    "test_size": "validation_split",
    "val_data": "validation_data",
    "eval_set": "validation_data",
    "class_weights": "class_weight",
    "n_iter_no_change": "patience",
    "early_stop": "early_stopping",
    "random_state": "seed",
    "device": "accelerator",
    "clipnorm": "gradient_clip_val",
    "max_grad_norm": "gradient_clip_val",
    "gradient_clip": "gradient_clip_val",
    "default_root_dir": "tracking",
    "tol": "min_delta",
}
"""Arguments of ``fit``."""

COMPILED = {
    "lr": "compile(lr=0.01)",
    "learning_rate": "compile(lr=0.01)",
    "optimizer": 'compile(optimizer="adam")',
    "loss": 'compile(loss="mse")',
    "metrics": 'compile(metrics=["accuracy"])',
    "schedule": 'compile(schedule="cosine")',
    "hidden": 'Model("mlp", hidden=[64])',
    "units": 'Model("mlp", hidden=[64])',
    "dropout": 'Model("mlp", dropout=0.2)',
    "validation_batch_size": "nothing: rows are evaluated in batches of a size that is fast",
    "validation_steps": "nothing: all validation rows are scored",
    "validation_freq": "nothing: each epoch is validated",
    "max_queue_size": "nothing: rows are in memory",
    "workers": "nothing: rows are in memory",
    "num_workers": "nothing: rows are in memory",
    "use_multiprocessing": "nothing: rows are in memory",
}
"""Arguments that belong to another call, or that nothing here corresponds to."""

FITTED = {
    "epochs": "fit(X, y, epochs=50)",
    "batch_size": "fit(X, y, batch_size=32)",
    "validation_split": "fit(X, y, validation_split=0.2)",
    "verbose": "fit(X, y, verbose=0)",
}
"""Arguments of ``fit`` that are given to ``Model`` or ``compile``."""

DEFINED = {**COMPILED, **FITTED}
"""Arguments of ``compile`` and ``fit`` that are given to ``Model``."""

CALLS = {
    "predict_classes": "predict(X), which returns classes",
    "predict_on_batch": "predict(X)",
    "predict_step": "predict(X)",
    "predict_generator": "predict(X)",
    "fit_generator": "fit(generator, steps_per_epoch=...)",
    "fit_transform": "fit(X, y)",
    "evaluate_generator": "evaluate(X, y)",
    "test_on_batch": "evaluate(X, y)",
    "train_on_batch": "fit(X, y, epochs=1, resume=True)",
    "partial_fit": "fit(X, y, epochs=1, resume=True)",
    "score": 'evaluate(X, y)["accuracy"]',
    "add": 'Model(["dense: 64", "relu", "output"])',
    "train": "fit(X, y)",
    "test": "evaluate(X, y)",
    "validate": "evaluate(X, y)",
    "save_checkpoint": "save(folder)",
    "load_from_checkpoint": "Model.load(folder)",
    "configure_optimizers": 'compile(optimizer="adam", lr=0.01)',
    "training_step": "compile(loss=my_loss)",
    "save_params": "save(folder)",
    "load_params": "Model.load(folder)",
    "initialize": "build(X, y)",
    "module_": "trained.network",
    "transform": "predict(X)",
    "to_json": "save(folder)",
    "to_yaml": "save(folder)",
    "load_model": "Model.load(folder)",
    "save_model": "save(folder)",
    "state_dict": "trained.network.state_dict()",
    "load_state_dict": "set_weights(weights)",
    "parameters": "trained.network.parameters()",
    "layers": "summary(), or trained.network",
    "count_params": "summary().num_params",
    "get_config": "repr(model)",
    "to": 'fit(X, y, accelerator="gpu")',
    "cuda": 'fit(X, y, accelerator="gpu")',
    "eval": "predict(X), which is in evaluation mode",
    "forward": "predict(X)",
    "fit_resample": "fit(X, y, class_balanced=True)",
    "history_": "history",
    "feature_importances_": "no importances: see sklearn.inspection.permutation_importance",
    "plot_model": "plot()",
}
"""Methods and attributes of models in other tools -> the call here."""


def metric(name: str) -> str:
    """Return a metric's name.

    Raises:
        RequestError: another tool calls it so.
    """
    if ours := other_names.value_of("metrics", name):
        raise RequestError("metrics", f"has {name!r}, which is {ours!r} here", remedy=f'Write metrics=["{ours}"].')
    return name


def loss(name: str | None) -> str | None:
    """Return a loss's name.

    Raises:
        RequestError: another tool calls it so.
    """
    if name is not None and (ours := other_names.value_of("loss", name)):
        raise RequestError("loss", f"{name!r} is {ours!r} here", remedy=f'Write loss="{ours}".')
    return name


def check(
    given: Mapping[str, Any], known: Iterable[str], table: Mapping[str, str], elsewhere: Mapping[str, str]
) -> None:
    """Refuse the first argument that has another name here, or belongs to another call.

    Args:
        given: arguments by name.
        known: those that the call takes.
        table: names of other tools -> ours.
        elsewhere: arguments of other calls -> how these are written.

    Raises:
        RequestError: names the equivalent.
    """
    known = set(known)
    for name, value in given.items():
        if name in known:
            continue
        if name in table:
            ours = table[name]
            raise RequestError(name, f"is called {ours} here", repr(value), f"Write {ours}={value!r}.")
        if name in elsewhere:
            remedy = elsewhere[name]
            written = remedy if remedy.startswith("nothing") else f"Write {remedy}."
            problem = "has no equivalent" if remedy.startswith("nothing") else "belongs to another call"
            raise RequestError(name, problem, repr(value), written[0].upper() + written[1:].rstrip(".") + ".")


def check_trainer(given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse the first argument of Lightning's Trainer that is none of ``fit``.

    Raises:
        RequestError: says what to do instead.
    """
    for name, value in given.items():
        if name in other_names.TRAINER and name not in set(known):
            raise RequestError(
                name, "is an argument of Lightning's Trainer, not of fit()", repr(value), other_names.TRAINER[name]
            )


def check_fields(given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a hyper-parameter of a network that has another name here.

    Raises:
        RequestError: names the field, or the call that it belongs to.
    """
    known = set(known)
    for name, value in given.items():
        ours = next((one for one in FIELDS.get(name, ()) if one in known), None)
        if name not in known and ours is not None:
            shown = [value] if ours == "hidden" and isinstance(value, int) else value
            raise RequestError(name, f"is called {ours} here", repr(value), f"Write {ours}={shown!r}.")
    check(given, known, {}, DEFINED)


NAMES = {
    "Sequential": 'Model(["dense: 12", "relu", "output"])',
    "Functional": "Model(a network of torch)",
    "Input": "Model(...), whose fit() takes sizes from the data",
    "layers": 'words, Model(["dense: 12", "relu", "output"]), or layers of torch.nn',
    "models": "lifecycle.Model",
    "load_model": "Model.load(folder)",
    "save_model": "model.save(folder)",
    "callbacks": "pytorch_lightning.callbacks",
    "EarlyStopping": "fit(X, y, patience=5), or pytorch_lightning.callbacks.EarlyStopping",
    "ModelCheckpoint": "pytorch_lightning.callbacks.ModelCheckpoint; the best weights are kept without it",
    "LearningRateMonitor": "pytorch_lightning.callbacks.LearningRateMonitor",
    "Trainer": "Model.fit(X, y, epochs=5)",
    "LightningModule": "Model(a torch.nn.Module).compile(optimizer, loss)",
    "Adam": 'compile("adam", lr=0.01), or lifecycle.optimizers.Adam',
    "SGD": 'compile("sgd", lr=0.1), or lifecycle.optimizers.SGD',
    "train": "Model(...).fit(X, y), or lifecycle.run([...])",
    "NeuralNet": "lifecycle.sklearn.LifecycleClassifier or LifecycleRegressor",
    "NeuralNetClassifier": "lifecycle.sklearn.LifecycleClassifier",
    "NeuralNetBinaryClassifier": "lifecycle.sklearn.LifecycleClassifier",
    "NeuralNetRegressor": "lifecycle.sklearn.LifecycleRegressor",
    "LifecycleClassifier": "lifecycle.sklearn.LifecycleClassifier",
    "LifecycleRegressor": "lifecycle.sklearn.LifecycleRegressor",
}
"""What other packages offer at their top level -> what it is here. None is a module of this package."""


def not_here(module: str, name: str) -> Exception:
    """Return the error for a name that a module of this package does not have, with ours for another tool's.

    ``from module import name`` drops the message of an ``AttributeError``: there it is an ``ImportError``. Python asks
    for a name of a package in a function of its own, and for that of another module at the place of the import.
    Called by the ``__getattr__`` of the module.

    >>> not_here("lifecycle", "load_model")
    AttributeError('lifecycle has no load_model. Use Model.load(folder).')
    """
    if name not in NAMES or NAMES[name] == f"{module}.{name}":
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    from opcode import opmap

    asking = sys._getframe(2)
    by_import = opmap["IMPORT_FROM"] == asking.f_code.co_code[asking.f_lasti]
    by_import = by_import or asking.f_globals.get("__name__") == "importlib._bootstrap"
    return (ImportError if by_import else AttributeError)(f"{module} has no {name}. Use {NAMES[name]}.")


ESTIMATOR = {
    "module": "LifecycleClassifier(MyModule), or model=MyModule",
    "criterion": "loss=nn.CrossEntropyLoss()",
    "max_epochs": "epochs=20",
    "max_iter": "epochs=20",
    "learning_rate": "lr=0.01",
    "learning_rate_init": "lr=0.01",
    "device": 'accelerator="gpu" or "cpu"',
    "train_split": "validation_split=0.2; by default no rows are held out",
    "validation_fraction": "validation_split=0.2",
    "hidden_layer_sizes": "module__hidden=[64]",
    "hidden": "module__hidden=[64]",
    "dropout": "module__dropout=0.2",
    "weight_decay": "optimizer__weight_decay=0.01",
    "momentum": 'optimizer="sgd", optimizer__momentum=0.9',
    "gradient_clip_val": "fit__gradient_clip_val=1.0",
    "seed": "random_state=1",
    "n_iter_no_change": "patience=10",
    "iterator_train": "batch_size=32, or fit__shuffle=False",
    "iterator_valid": "batch_size=32",
}
"""Parameters of estimators in skorch and scikit-learn, without what follows ``__`` -> ours."""

ESTIMATOR_ATTRIBUTES = {
    "history": "history_",
    "module_": "model_.trained.network",
    "optimizer_": "model_",
    "criterion_": "loss",
    "save_params": "model_.save_weights(file), or model_.save(folder)",
    "load_params": "model_.load_weights(file)",
    "loss_curve_": 'history_["loss"]',
    "initialize": "fit(X, y)",
}
"""Attributes of fitted estimators in skorch and scikit-learn -> ours."""


def estimator(name: str) -> str:
    """Return the sentence on a parameter of another tool's estimator; "" where there is none.

    >>> estimator("max_epochs"), estimator("iterator_train__shuffle"), estimator("bogus")
    (' Write epochs=20.', ' Write batch_size=32, or fit__shuffle=False.', '')
    """
    ours = ESTIMATOR.get(name) or ESTIMATOR.get(name.partition("__")[0], "")
    return f" Write {ours}." if ours else ""


def attribute(name: str) -> str:
    """Return a hint for an attribute that a model does not have; "" where no other tool has it.

    >>> attribute("predict_classes")
    'Model has no predict_classes. Use predict(X), which returns classes.'
    """
    return f"Model has no {name}. Use {CALLS[name]}." if name in CALLS else ""
