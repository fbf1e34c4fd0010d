"""What a run came from: the commit of the working folder, and the versions of what is installed."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = ("nn-lifecycle", "torch", "pytorch-lightning", "mlflow", "scikit-learn", "pandas", "numpy")
"""Packages whose versions can change a number."""


def versions() -> dict[str, str]:
    """Return the versions of :data:`PACKAGES` and of Python."""
    return {**{name: metadata.version(name) for name in PACKAGES}, "python": platform.python_version()}


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
        return {"mlflow.source.git.commit": repo.head.commit.hexsha, "git.dirty": str(repo.is_dirty()).lower()}
    except (git.exc.GitError, ValueError, OSError):  # no repository, no commit yet, or no git
        return {}
