"""Package versions in this interpreter, without importing the packages.

python -m peers.versions
"""

from __future__ import annotations

import json
import platform
from importlib import metadata

PACKAGES = (
    "nn-lifecycle",
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "mlflow",
    "scikit-learn",
    "numpy",
    "pandas",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "jaxlib",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages of :data:`PACKAGES`."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def backends(found: dict[str, str]) -> list[str]:
    """Return the installed backends of Keras; an empty list without Keras."""
    if "keras" not in found:
        return []
    packages = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "torch": ("torch",)}
    return [backend for backend, names in packages.items() if any(name in found for name in names)]


if __name__ == "__main__":
    print(json.dumps(versions()))
