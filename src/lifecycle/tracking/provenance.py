"""What a run came from: the commit of the working folder, the versions of what is installed, the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lifecycle.layout import DATA

PACKAGES = ("nn-lifecycle", "torch", "pytorch-lightning", "mlflow", "scikit-learn", "pandas", "numpy")
"""Packages whose versions can change a number."""

COMMIT, DIRTY = "mlflow.source.git.commit", "git.dirty"
CAUSES = {
    DATA: "the data",
    "split.": "the split",
    "version.": "versions",
    COMMIT: "the commit",
    DIRTY: "the commit",
    "hardware.": "hardware",
}
"""How the tags begin that tell what a run came from, and what each is of: the likeliest to change a number first."""


def versions() -> dict[str, str]:
    """Return the versions of :data:`PACKAGES` and of Python."""
    return {**{name: metadata.version(name) for name in PACKAGES}, "python": platform.python_version()}


def version_tags() -> dict[str, str]:
    """Return :func:`versions` by the names of a run's tags."""
    return {f"version.{name}": version for name, version in versions().items()}


def installed() -> str:
    """Return every installed package with its version, as pip writes requirements."""
    found = sorted({f"{dist.name}=={dist.version}" for dist in metadata.distributions()}, key=str.lower)
    return "\n".join([f"# Python {platform.python_version()}", *found]) + "\n"


def commit() -> dict[str, str]:
    """Return the git commit of the working folder, and whether it has changes; nothing where there is none."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import git

    try:
        repo = git.Repo(Path.cwd(), search_parent_directories=True)
        return {COMMIT: repo.head.commit.hexsha, DIRTY: str(repo.is_dirty()).lower()}
    except (git.exc.GitError, ValueError, OSError):  # no repository, no commit yet, or no git
        return {}


def hardware() -> dict[str, str]:
    """Return what of the machine can change a last digit, by the names of a run's tags."""
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "hardware.cpu": _cpu(),
        "hardware.cores": str(os.cpu_count()),
        "hardware.instructions": torch.backends.cpu.get_cpu_capability(),
        "hardware.threads": str(torch.get_num_threads()),
        "hardware.gpu": ", ".join(gpus) or "none",
        "hardware.os": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _cpu() -> str:
    """Return the processor's name."""
    try:
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


@dataclass(frozen=True)
class Difference:
    """A tag of a run that would be another now.

    Attributes:
        name: of the tag.
        then: what was recorded.
        now: what it is now; "nothing" where there is no such thing any more.
    """

    name: str
    then: str
    now: str

    @property
    def cause(self) -> str:
        """What the tag is of."""
        return next(cause for prefix, cause in CAUSES.items() if self.name.startswith(prefix))

    def __str__(self) -> str:
        return f"{self.name} was {self.then}, is {self.now}"


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[Difference]:
    """Return what a run came from and would not come from now, the likeliest cause of other numbers first.

    Args:
        then: tags of a run; what it did not record is not known, and no difference.
        now: the tags that it would have now.
    """
    return [
        Difference(name, value, now.get(name, "nothing"))
        for prefix in CAUSES
        for name, value in sorted(then.items())
        if name.startswith(prefix) and value != now.get(name)
    ]
