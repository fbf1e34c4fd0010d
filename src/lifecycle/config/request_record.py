"""What a run keeps of its request, ``request.json``, and the request that it stands for.

A request is rebuilt from what was recorded alone: presets and data sets in YAML may have changed since, or be gone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from lifecycle import registry
from lifecycle.config import choices, expressions
from lifecycle.config.explain import COMPOSING, explain, worked_out
from lifecycle.config.schema import Request, RunConfig, TrackingConfig
from lifecycle.credentials import masked_word
from lifecycle.errors import RequestError, SavedModelError
from lifecycle.runtime.paths import shown

FILE = "request.json"
FORMAT = 1
FROM_PYTHON = "Model.fit"
"""The command of a request whose rows were in the memory of a caller from Python."""


def record_of(request: Request) -> dict[str, Any]:
    """Return a request in plain values: all that :func:`request_of` needs."""
    config = request.config
    plugins = {group: registry.name_of(group, _type(config, group)) for group in registry.GROUPS}
    typed = {group: choices.name_of(group, _type(config, group)) for group in choices.TYPED}
    return {
        "format": FORMAT,
        "config": request.recorded,
        "types": {**plugins, **typed},
        "choices": dict(request.choices),
        "overrides": list(request.overrides),
        "command": request.command,
        "sweep": request.sweep,
        "folder": str(Path.cwd()),
    }


def request_of(record: dict[str, Any], overrides: list[str] = [], command: str = "") -> Request:  # noqa: B006 - read
    """Return the request that a run recorded, with some of its values changed.

    Args:
        record: as :func:`record_of` made it.
        overrides: ``key=value`` words on fields of the configuration, such as ``trainer.max_epochs=500``.
        command: the command line, for the record.

    Raises:
        RequestError: a word names no field, or its value does not fit.
        SavedModelError: the record is of another version, or a plugin is not installed.
    """
    if record.get("format") != FORMAT:
        raise SavedModelError(
            f"the run recorded its request in the format {record.get('format')}, and this version reads {FORMAT}. "
            "Update nn-lifecycle."
        )
    config = OmegaConf.structured(RunConfig)
    try:
        with open_dict(config):
            for group, name in record["types"].items():
                cls = choices.TYPED[group][name] if group in choices.TYPED else registry.load(group, name)
                config[group] = OmegaConf.structured(cls)
        config = OmegaConf.merge(config, record["config"])
    except (RequestError, *COMPOSING, KeyError) as error:
        raise SavedModelError(
            f"the run was asked for with what this installation does not have: {str(error).splitlines()[0]}"
        ) from error
    OmegaConf.set_struct(config, True)
    assert isinstance(config, DictConfig)  # noqa: S101 - of a dataclass
    override(config, overrides)
    _check_known(config)
    kept = worked_out(config, overrides)
    if len(path := _found(config, record)):
        OmegaConf.update(config, "data.path", path)
    return Request(config, dict(record["choices"]), command, None, tuple(map(masked_word, overrides)), kept)


def _check_known(config: DictConfig) -> None:
    """Refuse what a run recorded without a credential."""
    gone = expressions.masked_keys(OmegaConf.to_container(config, resolve=False))
    if gone:
        raise RequestError(
            f"{gone[0]} held a credential, which no run records. Add {gone[0]}=... with it; in a new run write "
            "${oc.env:NAME} instead, which is recorded as it stands and read from the environment again."
        )


def what_is_left(artifacts: Path, checkpoints: Path, run_id: str) -> str:
    """Return what there is on disk of a run that could not be recorded, and how to complete it; nothing: nothing is.

    Args:
        artifacts: folder of the run's artifacts.
        checkpoints: folder of its checkpoints, in a folder next to the database.
        run_id: of the run.
    """
    if not list(checkpoints.glob("*.ckpt")):
        return ""
    said = f" The checkpoints are in {shown(checkpoints)}"
    command = resume_command(artifacts, checkpoints, run_id)
    return f"{said}; `{command}` completes the run." if command else f"{said}."


def resume_command(artifacts: Path, checkpoints: Path, run_id: str) -> str:
    """Return the command that resumes a run; nothing for one that has no command, or whose rows are not kept."""
    try:
        resumes = json.loads((artifacts / FILE).read_text())["command"] != FROM_PYTHON
    except (OSError, ValueError, KeyError):
        return ""
    folder = shown(checkpoints.parent.parent)
    where = "" if folder == TrackingConfig.dir else f" tracking.dir={folder}"
    return f"lifecycle resume run={run_id}{where}" if resumes else ""


def check_rows_are_kept(record: dict[str, Any], overrides: list[str]) -> None:
    """Refuse to fit again to rows that a caller from Python had in memory.

    Raises:
        RequestError: they were, and no word names a file that holds them.
    """
    if record.get("command") == FROM_PYTHON and not any(word.startswith("data.path=") for word in overrides):
        raise RequestError(
            "data.path=X was given from Python, to Model.fit, and its rows were not kept with the run. Call fit again "
            "with the same X, y and arguments, or name a file that holds these rows and the target: data.path=rows.csv."
        )


def override(config: DictConfig, words: list[str]) -> None:
    """Change values of a configuration in place, as Hydra reads ``key=value``.

    Raises:
        RequestError: a word names no field, or its value does not fit.
    """
    try:
        for word in OverridesParser.create().parse_overrides(words):
            if word.is_sweep_override() or word.is_delete() or word.is_add() or word.key_or_group in _CHOSEN:
                raise RequestError(
                    f"{word.input_line} cannot change a run that was made. Write field=value with one value, such as "
                    "trainer.max_epochs=500."
                )
            OmegaConf.update(config, word.key_or_group, word.value())
    except COMPOSING as error:
        raise explain(error, words) from error


_CHOSEN = (*registry.GROUPS, *choices.TYPED, "trainer", "tracking")


def _found(config: DictConfig, record: dict[str, Any]) -> str:
    """Return a path of data that is relative to the folder that the command was typed in, made whole; else nothing."""
    path = OmegaConf.select(config, "data.path")
    if isinstance(path, str) and path and not Path(path).exists() and (Path(record["folder"]) / path).exists():
        return str(Path(record["folder"]) / path)
    return ""


def _type(config: DictConfig, group: str) -> Any:
    return None if OmegaConf.is_missing(config, group) else OmegaConf.get_type(config, group)
