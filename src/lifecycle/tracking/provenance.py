"""Provenance of a run: git commit, package versions, hardware."""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from lifecycle import registry
from lifecycle.layout import DATA_DIGEST

PACKAGES = ("nn-lifecycle", "torch", "pytorch-lightning", "mlflow", "scikit-learn", "pandas", "numpy")
"""Packages whose versions can change a result."""

COMMIT, DIRTY = "mlflow.source.git.commit", "git.dirty"
CAUSES = {
    DATA_DIGEST: "the data",
    "split.": "the split",
    "version.": "versions",
    COMMIT: "the commit",
    DIRTY: "the commit",
    "hardware.": "hardware",
}
"""Prefixes of provenance tags and what they describe, the likeliest to change a result first."""


def versions() -> dict[str, str]:
    """Return the versions of :data:`PACKAGES` and of Python."""
    return dict(_versions(registry.search_path_state()))


@lru_cache(maxsize=1)
def _versions(_state: tuple[tuple[str, int], ...]) -> dict[str, str]:
    return {**{name: metadata.version(name) for name in PACKAGES}, "python": platform.python_version()}


def version_tags() -> dict[str, str]:
    """Return :func:`versions` as tags of a run."""
    return {f"version.{name}": version for name, version in versions().items()}


def installed() -> str:
    """Return every installed package with its version, in the format of requirements.txt."""
    return _installed(registry.search_path_state())


@lru_cache(maxsize=1)
def _installed(_state: tuple[tuple[str, int], ...]) -> str:
    # A set, since a package that is on sys.path twice is found twice.
    found = sorted({_name_and_version(dist) for dist in metadata.distributions()}, key=str.lower)
    return "\n".join([f"# Python {platform.python_version()}", *found]) + "\n"


def _name_and_version(dist: metadata.Distribution) -> str:
    """Return what ``dist.name`` and ``dist.version`` say, without a parse of its whole description for each."""
    text = dist.read_text("METADATA") or dist.read_text("PKG-INFO") or dist.read_text("") or ""
    headers = HeaderParser().parsestr(text.partition("\n\n")[0])
    return f"{headers['Name']}=={headers['Version']}"


def commit() -> dict[str, str]:
    """Return the git commit of the working folder and whether it has changes, as tags; empty without a repository."""
    # GitPython would raise on import where git is not installed.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import git

    try:
        repo = git.Repo(Path.cwd(), search_parent_directories=True)
        return {COMMIT: repo.head.commit.hexsha, DIRTY: str(repo.is_dirty()).lower()}
    except (git.exc.GitError, ValueError, OSError):  # no repository, no commit yet, or no git
        return {}


def user() -> dict[str, str]:
    """Return who starts a run, as MLflow's tag; empty where the system has no name for it."""
    try:
        return {"mlflow.user": getpass.getuser()}
    except (OSError, KeyError, ImportError):  # an id without an entry, as in some containers
        return {}


def hardware() -> dict[str, str]:
    """Return the hardware that can change the last digits of a result, as tags of a run."""
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "hardware.cpu": _cpu(),
        "hardware.cores": str(os.cpu_count()),
        # AVX2 and AVX-512 kernels add up in different orders.
        "hardware.instructions": torch.backends.cpu.get_cpu_capability(),
        "hardware.threads": str(torch.get_num_threads()),  # sums are divided among threads
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
    # Not processor() first: on Linux it gives the architecture or nothing.
    return names[0] if names else platform.processor() or platform.machine()


@dataclass(frozen=True)
class Difference:
    """A provenance tag whose value has changed since the run.

    Attributes:
        name: of the tag.
        then: recorded value.
        now: current value; "nothing" where there is none any more.
    """

    name: str
    then: str
    now: str

    @property
    def cause(self) -> str:
        """What the tag describes."""
        return next(cause for prefix, cause in CAUSES.items() if self.name.startswith(prefix))

    def __str__(self) -> str:
        return f"{self.name} was {self.then}, is {self.now}"


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[Difference]:
    """Return the provenance that has changed since a run, the likeliest cause of other results first.

    Args:
        then: tags of the run; a tag that it lacks is no difference.
        now: the tags that the run would have now.
    """
    return [
        Difference(name, value, now.get(name, "nothing"))
        for prefix in CAUSES
        for name, value in sorted(then.items())
        if name.startswith(prefix) and value != now.get(name)
    ]
