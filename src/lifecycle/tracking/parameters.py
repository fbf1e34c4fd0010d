"""The parameters, the tags and the text of the configuration by which a run records its request."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import OmegaConf

from lifecycle import layout
from lifecycle.config.records.request_record import not_repeatable
from lifecycle.config.request import Request, SweepJob
from lifecycle.tracking import provenance

# MLflow's limit of the value of a parameter.
MOST_PARAM_CHARACTERS = 6000
RESOLVED = re.compile(
    r"loss|metrics|trainer\.batch_size|schedule\..*|data\.(window|season|difference|transform|centre)"
)
"""Parameters that a request may leave null; they are logged once the data and the network have determined them."""
ONE_VALUE = ("class_weights",)  # its keys are class names, and MLflow limits the names of parameters
MOST_FIELDS = 500
"""Fields of configurations whose YAML is kept."""
CARD = ("data.source", "data.licence", "data.note")

_yaml: dict[str, str] = {}


def of(request: Request) -> dict[str, str]:
    """Return the parameters of a request, without those that the data and the network determine."""
    recorded = request.recorded
    # First what tells runs apart, as MLflow lists parameters in the order in which they are logged.
    values = {name: request.choices[name] for name in ("model", "data")} | {"seed": recorded["seed"]}
    values |= {**request.choices, **flatten(recorded)}
    return {
        key: str(value)[:MOST_PARAM_CHARACTERS]
        for key, value in values.items()
        # A card describes the data, not the run.
        if key not in CARD and not _is_open(key, value)
    }


def resolved(request: Request, values: dict[str, Any]) -> dict[str, str]:
    """Return those of some parameters, by dotted key, that :func:`of` leaves out of a request."""
    requested = flatten(request.recorded)
    return {key: str(value) for key, value in values.items() if key in requested and _is_open(key, requested[key])}


def text_of(request: Request) -> str:
    """Return the configuration of a request as YAML, below the command and the chosen option of each group."""
    chosen = " ".join(f"{group}={name}" for group, name in sorted(request.choices.items()))
    config = "".join(_as_yaml(key, value) for key, value in request.recorded.items())
    return f"# {request.command}\n# {chosen}\n{config}"


def tags_of(request: Request) -> dict[str, str]:
    """Return the tags with which a run begins."""
    return {
        **provenance.user(),
        "mlflow.source.name": "lifecycle",
        "mlflow.source.type": "LOCAL",
        layout.COMMAND: request.command,
        layout.OVERRIDES: " ".join(request.overrides),
        layout.MODEL: request.choices["model"],
        layout.DATA_NAME: request.choices["data"],
        **({layout.NOT_RECORDED: not_repeatable(request.not_recorded)} if request.not_recorded else {}),
        **_of_sweep(request.sweep),
    }


def _of_sweep(job: SweepJob | None) -> dict[str, str]:
    """Return the tags of a run that is a job of a sweep."""
    if job is None:
        return {}
    return {
        layout.SWEEP: job.name,
        layout.SIGNATURE: job.signature,
        layout.CONFIGURATION: job.configuration,
        layout.ATTEMPT: str(job.attempt),
    }


def _is_open(key: str, value: Any) -> bool:
    """Return whether the data and the network determine a parameter: null, or auto of the data."""
    is_open = value == "auto" if key.startswith("data.") else value is None
    return is_open and RESOLVED.fullmatch(key) is not None


def _as_yaml(key: str, value: Any) -> str:
    """Return a field of a configuration as YAML; the runs of a sweep have most of them in common."""
    known = repr((key, value))
    if known not in _yaml:
        if len(_yaml) >= MOST_FIELDS:
            _yaml.clear()
        _yaml[known] = OmegaConf.to_yaml(OmegaConf.create({key: value}))
    return _yaml[known]


def flatten(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a nested configuration by dotted key; a list is one value."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict) and f"{prefix}{key}" not in ONE_VALUE:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
