"""The subcommand ``doctor``: checks a folder of runs and the installation. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.cli import arguments
from lifecycle.config.schema import TrackingConfig
from lifecycle.errors import LifecycleError, first_line
from lifecycle.runtime.lines import say

if TYPE_CHECKING:
    from lifecycle.tracking.maintenance.health import Finding

PACKAGES = ("nn-lifecycle", "torch", "pytorch-lightning", "mlflow", "hydra-core")
NAMED = 12
"""Characters of the longest name of a check."""
INDENT = 10 + NAMED
"""Columns before what a check found."""


@dataclass
class Doctor:
    """Options of ``lifecycle doctor``."""

    tracking: TrackingConfig = field(default_factory=TrackingConfig)


OPTIONS = Doctor
EXAMPLE = "lifecycle doctor"


class UnhealthyError(LifecycleError):
    """A check found an error. Exit code 1."""


def run(typed: list[str]) -> None:
    """Print a line for each check: its state, what was found, and what to do.

    Raises:
        UnhealthyError: a check found an error.
    """
    options = arguments.read(typed, Doctor, "doctor")
    from lifecycle.tracking.maintenance import health

    folder = Path(options.tracking.dir).expanduser().absolute()
    counts = {health.OK: 0, health.WARNING: 0, health.ERROR: 0}
    for checks in (health.check(folder), _installation()):
        for finding in checks:
            counts[finding.state] += 1
            say(f"{finding.state:<8} {finding.name:<{NAMED}} {finding.text}", indent=INDENT, flush=True)
            if finding.cure:
                say(f"{'':<{INDENT}}{finding.cure}", indent=INDENT, flush=True)
    errors, warnings = counts[health.ERROR], counts[health.WARNING]
    found = f"{errors} error{'s' * (errors != 1)} and {warnings} warning{'s' * (warnings != 1)}"
    if errors:
        raise UnhealthyError(f"{found} were found. The lines above say what to do.")
    say(f"\n{found}.")


def _installation() -> Iterator[Finding]:
    from lifecycle.tracking.maintenance.health import ERROR, OK, Finding

    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("versions", OK, ", ".join(found))
    if missing:
        yield Finding("versions", ERROR, f"not installed: {', '.join(missing)}", "Run pip install nn-lifecycle.")
    yield _gpu()


def _gpu() -> Finding:
    from lifecycle.runtime import gpus
    from lifecycle.tracking.maintenance.health import ERROR, OK, WARNING, Finding

    try:
        import torch
    except Exception as error:  # a library that torch loads is missing, or of another machine
        text = f"torch cannot be imported: {type(error).__name__}: {first_line(error)}"
        return Finding("gpu", ERROR, text, "Install torch again, for this machine.")
    there = gpus.visible()
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return Finding("gpu", OK, f"torch sees {', '.join(names)}")
    if torch.backends.mps.is_available():
        return Finding("gpu", OK, "torch sees the GPU of this Mac")
    if there:
        text = f"this machine has {len(there)}, and torch {torch.__version__} does not see any"
        return Finding("gpu", WARNING, text, "Install a build of torch for this GPU and its driver.")
    return Finding("gpu", OK, "none, and torch uses the processor")
