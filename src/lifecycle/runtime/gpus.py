"""The GPUs of this machine, found without importing torch, and which of them a process may use."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from shutil import which

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible() -> list[str]:
    """Return the numbers or names of the GPUs that this process may use."""
    if VARIABLE in os.environ:
        return [name.strip() for name in os.environ[VARIABLE].split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number in range(_count())]


@lru_cache(maxsize=1)
def _count() -> int:
    command = which("nvidia-smi")
    if command is None:
        return 0
    ended = subprocess.run([command, "--list-gpus"], capture_output=True, text=True, check=False)  # noqa: S603
    return sum(line.startswith("GPU ") for line in ended.stdout.splitlines())


def environment(needed: float, place: int) -> dict[str, str]:
    """Return the environment that gives a process its own GPUs, or its share of one.

    Args:
        needed: GPUs of a process; 0: all may use all.
        place: of the process among those that run at the same time, from 0.
    """
    if not needed:
        return {}
    there, first = visible(), int(place * needed)
    return {VARIABLE: ",".join(there[first : first + max(1, int(needed))])}
