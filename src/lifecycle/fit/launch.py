"""Starts the helper processes of a ddp fit before its data are loaded, so that each process reads its own files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from subprocess import Popen
from typing import Any

from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from lifecycle.capabilities import large_file_of
from lifecycle.config.schema import TrainerConfig
from lifecycle.fit import preflight
from lifecycle.runtime import team as teams
from lifecycle.runtime.processes import LAUNCHER, environment, helpers_know_their_main_process, is_helper
from lifecycle.runtime.team import Team

_launching: Any = import_module("lightning_fabric.strategies.launchers.subprocess_script")


class _Started:
    """The helper processes that wait for the fit of this one, and the variables by which they find it."""

    def __init__(self) -> None:
        self.processes: list[Popen[bytes]] = []
        self.variables: dict[str, str] = {}

    def forget(self) -> list[Popen[bytes]]:
        """Return the processes, which are no longer watched."""
        found = list(self.processes)
        self.processes.clear()  # Lightning's observer has the same list, and would kill this process with them
        self.variables = {}
        return found

    def end(self) -> None:
        """Kill those that still run."""
        for process in self.forget():
            process.kill()
            process.wait()


_started = _Started()


@contextmanager
def reading_together(config: TrainerConfig, data: Any, is_fitted: bool) -> Iterator[None]:
    """Divide the files that are read within the block among the processes of a ddp fit, if they are many and large.

    Args:
        config: the number of processes.
        data: the data plugin.
        is_fitted: whether a fit follows.
    """
    _started.end()  # of an earlier fit, which was refused after its data had been loaded
    team = teams.of_environment() if is_helper() else _start(config, data) if is_fitted else None
    try:
        with teams.joined(team):
            yield
    except BaseException as error:
        if team is not None and not team.is_main:
            team.failed(error)
            raise SystemExit(1) from error  # the main process prints the error
        _started.end()
        raise
    finally:
        if team is not None and team.is_main:
            shutil.rmtree(team.folder, ignore_errors=True)


def _start(config: TrainerConfig, data: Any) -> Team | None:
    """Start the helpers of a fit whose files can be divided; ``None``: the Trainer starts them, if there are any."""
    if config.devices < 2:
        return None
    preflight.check_devices(config)
    if not isinstance(large_file_of(data), tuple):
        return None
    folder = Path(tempfile.mkdtemp(prefix="lifecycle-team-"))
    launcher = _launching._SubprocessScriptLauncher(LightningEnvironment(), config.devices, num_nodes=1)
    with helpers_know_their_main_process(), environment(**{teams.FOLDER: str(folder)}):
        launcher._call_children_scripts()
        _started.variables = {name: os.environ[name] for name in LAUNCHER}
    _started.processes = list(launcher.procs)
    return Team(0, config.devices, folder, lambda rank: _started.processes[rank - 1].poll() if rank else None)


@contextmanager
def started_helpers() -> Iterator[None]:
    """Fit with the helpers that were started to read; without any, the Trainer starts its own."""
    if not _started.processes:
        yield
        return
    _launching._launch_process_observer(_started.processes)
    try:
        with environment(**_started.variables):
            yield
    except BaseException:
        _started.end()  # they would wait for this process for ever
        raise
    _started.forget()
