"""Starts the helper processes of a ddp fit before its data are loaded, so that each process reads its own files."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from subprocess import Popen
from typing import Any

from filelock import FileLock, Timeout
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from lifecycle.capabilities import large_file_of
from lifecycle.config.schema import TrainerConfig
from lifecycle.fit import preflight
from lifecycle.runtime import team as teams
from lifecycle.runtime.processes import LAUNCHER, environment, helpers_know_their_main_process, is_helper
from lifecycle.runtime.team import Team

FOLDER = "lifecycle-team-"
"""Beginning of the names of the folders in which the processes exchange what they have read."""

IN_USE = "in-use"
"""Name of a file in such a folder that is locked as long as the main process lives."""

SECONDS_TO_LOCK = 60

_launching: Any = import_module("lightning_fabric.strategies.launchers.subprocess_script")


class _Started:
    """The helper processes that wait for the fit of this one, and the variables by which they find it."""

    def __init__(self) -> None:
        self.processes: list[Popen[bytes]] = []
        self.variables: dict[str, str] = {}
        self.in_use: FileLock | None = None  # of the folder of the team

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
            _remove(team.folder, _started.in_use)


def _start(config: TrainerConfig, data: Any) -> Team | None:
    """Start the helpers of a fit whose files can be divided; ``None``: the Trainer starts them, if there are any."""
    if config.devices < 2:
        return None
    preflight.check_devices(config)
    if not isinstance(large_file_of(data), tuple):
        return None
    folder = _new_folder()
    launcher = _launching._SubprocessScriptLauncher(LightningEnvironment(), config.devices, num_nodes=1)
    with helpers_know_their_main_process(), environment(**{teams.FOLDER: str(folder)}):
        launcher._call_children_scripts()
        _started.variables = {name: os.environ[name] for name in LAUNCHER}
    _started.processes = list(launcher.procs)
    return Team(0, config.devices, folder, lambda rank: _started.processes[rank - 1].poll() if rank else None)


def _new_folder() -> Path:
    """Return an empty folder for a team, and remove those of processes that were killed while they read."""
    for lock in Path(tempfile.gettempdir()).glob(f"{FOLDER}*/{IN_USE}"):
        left = FileLock(lock, timeout=0)
        # The folder may be of another user, or removed meanwhile.
        with suppress(OSError, Timeout):
            # A new one may not be locked yet.
            if time.time() - lock.stat().st_mtime > SECONDS_TO_LOCK:
                left.acquire()
                _remove(lock.parent, left)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER))
    _started.in_use = FileLock(folder / IN_USE, timeout=0)
    _started.in_use.acquire()
    return folder


def _remove(folder: Path, lock: FileLock | None) -> None:
    if lock is not None:
        lock.release()
    shutil.rmtree(folder, ignore_errors=True)


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
