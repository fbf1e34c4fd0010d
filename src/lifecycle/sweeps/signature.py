"""The signature of a job: a digest of everything that its results depend on."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from lifecycle import registry
from lifecycle.capabilities import large_file_of
from lifecycle.config.request import Job
from lifecycle.data.digests import digest
from lifecycle.data.resolving import resolved
from lifecycle.runtime.files.digests import sha256

NO_RESULTS = ("tracking", "verbose", "profile", "audit")
"""Groups and fields of a configuration on which no result depends."""

VARIED = ("seed",)
"""Fields that differ between the runs of one configuration; its split seed and fold too."""

CODE = ("nn-lifecycle", "torch")
"""Packages whose versions count in addition to those of the plugins."""

FILE = " file"
"""End of the key of the digest of a plugin's file."""


def signature_of(record: Mapping[str, Any], data: str, code: Mapping[str, str]) -> str:
    """Return the signature of a job, a SHA-256 in hexadecimal.

    Args:
        record: of its request, see :func:`lifecycle.config.records.request_record.record_of`.
        data: digest of its data.
        code: see :func:`code_of`.
    """
    config = _config(record, NO_RESULTS)
    # With more repetitions, the folds of the first ones stay the same.
    _drop(config, "cv", ("repeats",))
    return _digest([config, record["types"], data, dict(code)])


def repeated(signature: str, number: int) -> str:
    """Return the signature of a repetition of a job, counted from 1, which does not count as done with the job."""
    return _digest([signature, number])


def configuration_of(record: Mapping[str, Any]) -> str:
    """Return a digest that is equal for jobs that differ in seed, split and fold only."""
    config = _config(record, (*NO_RESULTS, *VARIED))
    _drop(config, "data", ("split_seed",))
    _drop(config, "cv", ("repeats", "fold", "repeat"))
    return _digest([config, record["types"]])


def code_of(job: Job) -> dict[str, str]:
    """Return the versions of the packages that a job runs, and digests of plugins from elsewhere than our package."""
    found = {name: metadata.version(name) for name in CODE}
    for kind in registry.GROUPS:
        name = job.model_name if kind == "model" else job.data_kind
        cls = registry.load(kind, name)
        plugin = registry.plugins(kind).get(name)
        if plugin is not None:
            found[f"{kind} {name}"] = plugin.source
        # A plugin under development changes without its version.
        if not cls.__module__.startswith("lifecycle.") and (file := _file_of(cls)) is not None:
            found[f"{kind} {name}{FILE}"] = sha256(file)
    return found


def data_digest(job: Job) -> str:
    """Return the digest of the rows of a job as its run will record it.

    Raises:
        RequestError: they cannot be read.
    """
    large = large_file_of(job.data)
    if large is not None:
        return sha256(large)
    frame = job.data.read()
    resolved(job.data, frame)  # refuses columns that no job could use
    return digest(frame)


def sweep_name(signatures: list[str]) -> str:
    """Return the name of the sweep of these jobs: the same jobs in any order are the same sweep."""
    return _digest(sorted(signatures))[:10]


def name_of(value: Any) -> str:
    """Return the name of a search: a digest of its space, its configurations and its objectives."""
    return _digest(value)[:10]


def _config(record: Mapping[str, Any], left_out: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in record["config"].items() if name not in left_out}


def _drop(config: dict[str, Any], group: str, names: tuple[str, ...]) -> None:
    """Replace a group by one without some of its fields."""
    if group in config:
        config[group] = {name: value for name, value in config[group].items() if name not in names}


def _file_of(cls: type) -> Path | None:
    module = sys.modules.get(cls.__module__)
    file = None if module is None else inspect.getsourcefile(module)
    return None if file is None or not Path(file).is_file() else Path(file)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
