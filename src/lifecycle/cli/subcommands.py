"""The subcommands: each is a module of :mod:`lifecycle.cli.commands`, imported only when it is called.

Such a module has a function ``run(arguments)``. One with ``key=value`` arguments has ``OPTIONS``, the dataclass of
these, and may have ``EXAMPLE``, a command for its help, and ``NOTE``, a sentence on further arguments.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

SUBCOMMANDS = {
    "predict": "predict the raw rows of a file, or the next steps of a series",
    "evaluate": "score the model of a run again, on the run's own test rows or on other labelled data",
    "resume": "continue a run from its last checkpoint, or a sweep, with the results of an uninterrupted one",
    "rerun": "repeat a run from its record, and compare the results",
    "sweep": "list the sweeps, or show the leader board of one",
    "compare": "compare runs, in a table and on an HTML page that needs no network",
    "export": "export the network of a run as a program, and check that its outputs are the same",
    "serve": "serve the model of a run on this machine, with MLflow's protocol",
    "register": "register the model of a run in MLflow's model registry, with a name and aliases",
    "pack": "write a run with its model, artifacts and checkpoints into a zip file",
    "unpack": "take the run of such a zip file into a folder of runs",
    "clean": "list checkpoints and files that no run needs, and remove them if asked to",
    "doctor": "check a folder of runs and this installation, without changing anything",
    "find_lr": "search a learning rate for the arguments of a run: model=mlp data=iris",
    "data": "list the data sets, or describe one",
    "plugins": "list the installed plugins",
    "sync": "record and send what waits for a database or an MLflow server",
    "ui": "open MLflow's UI at the charts of the runs",
}
"""Name -> what it does, for the help."""


def load(name: str) -> Any:
    """Import the module of a subcommand."""
    return import_module(f"lifecycle.cli.commands.{name}")
