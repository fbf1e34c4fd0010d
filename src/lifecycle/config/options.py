"""Names of the options of each configuration group. Imports neither Hydra nor a plugin, so that ``--help`` is quick."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from lifecycle import registry
from lifecycle.config.choices import TYPED

GROUPS = (*registry.GROUPS, *TYPED)
"""Groups with options that are classes: plugins, optimizers and schedules."""

CHOICES = (*GROUPS, "trainer", "tracking")
"""Groups of which each run has one option."""

SWEEP = "sweep"
"""The group of how a sweep chooses its jobs; it is no part of a run."""

EXPERIMENT = "experiment"
"""The group whose files set all the others; a run may have one, chosen by ``+experiment=``."""

OURS = "lifecycle.conf"
"""Package of the YAML files that are shipped."""


def options() -> dict[str, list[str]]:
    """Return the sorted names of the options of each group: classes, presets, and those in the user's ``conf/``.

    They are those that Hydra's ``get_group_options`` finds for our search path, without the second that it takes.
    """
    return {group: sorted({*classes(group), *_files(group)}) for group in (*CHOICES, SWEEP, EXPERIMENT)}


def classes(group: str) -> list[str]:
    """Return the names of the options of a group that are classes."""
    if group in TYPED:
        return [*TYPED[group]]
    return [*registry.plugins(group)] if group in registry.GROUPS else []


def _files(group: str) -> list[str]:
    """Return the names of the YAML files of a group, shipped and in the working folder."""
    found = []
    for folder in (resources.files(OURS).joinpath(group), Path.cwd() / "conf" / group):
        if folder.is_dir():
            found += [file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")]
    return found
