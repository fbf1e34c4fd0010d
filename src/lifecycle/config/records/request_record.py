"""Writes the request of a run to ``request.json``, and rebuilds the request from it.

Only the record is used: YAML presets and data sets may have changed since, or been deleted.
"""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict

from lifecycle import registry
from lifecycle.config import choices
from lifecycle.config.column_overrides import decoded, quoted
from lifecycle.config.explain import COMPOSING, explain, resolve_interpolations
from lifecycle.config.records import expressions, seals
from lifecycle.config.request import Request
from lifecycle.config.schema import RunConfig
from lifecycle.config.structured import copied, structured
from lifecycle.credentials import masked_word
from lifecycle.errors import RequestError, SavedModelError, Setting, first_line

FORMAT = 1
SEAL = "seal"
OF_SERVER = ("uri", "artifacts")
"""Fields of ``tracking`` that name addresses to which something is sent, with credentials of this process."""

EARLIER = {"data": {"keep_duplicates_together": False}}
"""Values of fields, by group, in runs of versions that did not have them, where the default is another one now."""

_WITH_LOGIN = re.compile(r"(?!(?:https?|hf):)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
"""Beginning of an address of a database or a storage; a web server gets only what is in the address."""

FROM_PYTHON = "Model.fit"
"""The command of a request from Python, whose rows were in memory and are not recorded."""


def record_of(request: Request) -> dict[str, Any]:
    """Return a request in plain values, for JSON; the reverse of :func:`request_of`."""
    config = request.config
    plugins = {group: registry.name_of(group, _type(config, group)) for group in registry.GROUPS}
    typed = {group: choices.name_of(group, _type(config, group)) for group in choices.TYPED}
    record = {
        "format": FORMAT,
        "config": request.recorded,
        "types": {**plugins, **typed},
        "choices": dict(request.choices),
        "overrides": list(request.overrides),
        "command": request.command,
        "sweep": request.sweep.name if request.sweep else None,
        **({"not_recorded": list(request.not_recorded)} if request.not_recorded else {}),
        "folder": str(Path.cwd()),
    }
    return sealed(record)


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with the seal of this user, where it would make another process read or send something."""
    rest = {name: value for name, value in record.items() if name != SEAL}
    tracking = record["config"].get("tracking", {})
    config = record["config"]
    is_needed = any(tracking.get(name) for name in OF_SERVER) or any(
        (*expressions.unresolved(config), *_servers(config))
    )
    return {**rest, SEAL: seals.seal(_content(record))} if is_needed else rest


def _content(record: Mapping[str, Any]) -> list[Any]:
    return [record["config"], record["types"]]


def request_of(
    record: dict[str, Any],
    overrides: list[str] = [],  # noqa: B006 - it is only read
    command: str = "",
    replaced: Sequence[str] = (),
) -> Request:
    """Return the request that a run recorded, with some values overridden.

    The record may be anybody's. Its expressions are resolved, and its server is used, only if it was sealed by this
    user; see :mod:`lifecycle.config.records.seals`.

    Args:
        record: as :func:`record_of` returned it.
        overrides: of fields of the configuration, such as ``trainer.max_epochs=500``.
        command: the command line, for the record.
        replaced: arguments that give other values to fields later, so that their expressions do not matter.

    Raises:
        RequestError: an override names no field, or its value does not fit; or the record of another user has an
            expression.
        SavedModelError: the record is of another version, or a plugin is not installed.
    """
    if record.get("format") != FORMAT:
        raise SavedModelError(
            f"the request of the run is recorded in format {record.get('format')}, and this version reads {FORMAT}. "
            "Update nn-lifecycle."
        )
    if not is_own(record):
        record, given = _of_others(record, overrides, replaced)
        overrides = [*given, *overrides]
    config: Any = structured(RunConfig)
    try:
        with open_dict(config), flag_override(config, "no_deepcopy_set_nodes", True):
            # The classes come first: merging then converts and checks the recorded values.
            for group, name in record["types"].items():
                cls = choices.class_of(group, name) if group in choices.TYPED else registry.load(group, name)
                config[group] = structured(cls)
        # Unsafe for its arguments, of which the first is our own and the others are copied.
        config = OmegaConf.unsafe_merge(config, _earlier(config, record["config"]), record["config"])
    except (RequestError, *COMPOSING, KeyError) as error:
        raise SavedModelError(f"the run needs something that is not installed: {first_line(error)}") from error
    # So that an override of an unknown key is refused.
    OmegaConf.set_struct(config, True)
    assert isinstance(config, DictConfig)  # noqa: S101 - of a dataclass
    override(config, overrides)
    _check_credentials(config)
    kept = resolve_interpolations(config, overrides)
    _find_paths(config, record)
    return Request(config, dict(record["choices"]), command, None, tuple(map(masked_word, overrides)), kept)


def is_own(record: Mapping[str, Any]) -> bool:
    """Return whether this user has sealed a record; one that needs no seal has none."""
    return seals.is_sealed(_content(record), record.get(SEAL))


def _of_others(
    record: Mapping[str, Any], overrides: Sequence[str], replaced: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return a record without expressions and without a server, and those of ``replaced`` that stand for expressions.

    Raises:
        RequestError: the run depends on an expression whose value is not given.
    """
    config, given = copy.deepcopy(record["config"]), dict[str, str]()
    words = {word.partition("=")[0]: word for word in (*overrides, *replaced)}
    for path, text in [*expressions.unresolved(config), *_servers(config)]:
        parts = expressions.dotted(path).split(".")
        keys = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
        typed = next((key for key in keys if key in words), None)
        if typed is not None:
            given[typed] = words[typed]
            expressions.leave_out(config, typed)
        elif path in expressions.CARD:
            expressions.put(config, path, expressions.disarmed(text))
        else:
            key = expressions.dotted(path)
            what = "is an expression" if "${" in text else "is an address that may get a password of this process"
            raise RequestError(
                key,
                f"{what}, and the run was recorded by another user or on another machine: the record of a run does not "
                "make another process read its environment",
                text,
                f"Type it to allow that, {shlex.quote(f'{key}={text}')}, or give a value, {key}=...",
            )
    for name in OF_SERVER:
        config.get("tracking", {}).pop(name, None)
    return {**record, "config": config}, [word for word in given.values() if word not in overrides]


def _servers(config: Mapping[str, Any]) -> Iterator[tuple[expressions.Path, str]]:
    """Yield the path of each address of the data that is asked with credentials of the environment (``PGPASSWORD``)."""
    for path, text in expressions.leaves({"data": config.get("data", {})}):
        if isinstance(text, str) and path not in expressions.CARD and "${" not in text and _WITH_LOGIN.match(text):
            yield path, text


def _earlier(config: Any, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of fields that a record does not have, as its version behaved."""
    return {
        group: {name: value for name, value in values.items() if name in config[group] and name not in recorded[group]}
        for group, values in EARLIER.items()
        if group in recorded
    }


def requests_of(records: Sequence[dict[str, Any]]) -> list[Request]:
    """Return the requests of several records; those that differ in plain values only take little time.

    Raises:
        RequestError, SavedModelError: as :func:`request_of`.
    """
    found: list[Request] = []
    for record in records:
        like = _like(found[0], records[0], record) if found else None
        found.append(request_of(record) if like is None else like)
    return found


def _like(first: Request, then: Mapping[str, Any], now: Mapping[str, Any]) -> Request | None:
    """Return the request of a record that differs from another in plain values only; ``None``: it does not."""
    fixed = ("format", "types", "choices", "folder")
    changes = list(_changes(then["config"], now["config"], ""))
    if any(then[key] != now[key] for key in fixed) or first.expressions or not all(map(_is_plain, changes)):
        return None
    config = copied(first.config)
    for key, _, value in changes:
        OmegaConf.update(config, key, value)
    return replace(first, config=config)


def _changes(then: Any, now: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield key, first and second value of each difference of two configurations."""
    if not (isinstance(then, dict) and isinstance(now, dict) and then.keys() == now.keys()):
        if then != now:
            yield prefix, then, now
        return
    for key in then:
        yield from _changes(then[key], now[key], f"{prefix}.{key}" if prefix else str(key))


def _is_plain(change: tuple[str, Any, Any]) -> bool:
    """Return whether both values of a change are numbers or truth values: a text may be an expression."""
    _, then, now = change
    return isinstance(then, int | float) and isinstance(now, int | float)


def _check_credentials(config: DictConfig) -> None:
    """Refuse a value that was masked in the record, unless an override gives it again."""
    masked = expressions.masked_keys(OmegaConf.to_container(config, resolve=False))
    if masked:
        raise RequestError(
            masked[0],
            "held a credential, which no run records",
            remedy=f"Add {masked[0]}=... with it; in a new run write ${{oc.env:NAME}} instead, which is recorded as it "
            "is and read from the environment again.",
        )


def relocated(record: Mapping[str, Any], store: Path) -> dict[str, Any]:
    """Return a record that names the working folder as it is now, after the folder of runs was moved with it.

    Args:
        record: of a run.
        store: ``tracking.dir`` of the run, as it is now.
    """
    recorded = Path(record["config"].get("tracking", {}).get("dir", ""))
    names = recorded.parts
    if Path(record["folder"]).is_dir() or recorded.is_absolute() or not names or store.parts[-len(names) :] != names:
        return dict(record)
    return {**record, "folder": str(Path(*store.parts[: -len(names)]))}


def place(request: Request, store: Path) -> None:
    """Set the folder of runs of a recorded request to where it is now; the recorded one may be relative, or old."""
    if Path(request.config.tracking.dir).expanduser().absolute() != store:
        OmegaConf.update(request.config, "tracking.dir", str(store))
        request.expressions.pop(("tracking", "dir"), None)  # it would be recorded instead of the value


def not_repeatable(clauses: Sequence[str]) -> str:
    """Return the sentence on what a run of Python objects lacks.

    >>> not_repeatable(["the loss is focal", "the network was given as an object"])
    'depends on Python objects that are not recorded: the loss is focal; the network was given as an object'
    """
    return f"depends on Python objects that are not recorded: {'; '.join(clauses)}"


def check_rows_are_kept(record: dict[str, Any], overrides: list[str]) -> None:
    """Refuse to resume or repeat a fit to rows or with objects that were in the memory of a Python caller.

    Raises:
        RequestError: they were, and no override names a file of the rows.
    """
    if clauses := record.get("not_recorded"):
        remedy = "Call fit again with the same objects, X, y and arguments; fit(..., resume=True) continues it there."
        raise RequestError(["the run"], not_repeatable(clauses), remedy=remedy)
    if record.get("command") == FROM_PYTHON and not any(word.startswith("data.path=") for word in overrides):
        raise RequestError(
            Setting("data.path", "X"),
            "was given from Python, to Model.fit, and its rows were not kept with the run",
            remedy="Call fit again with the same X, y and arguments, or name a file with these rows and the target: "
            "data.path=rows.csv.",
        )


def override(config: DictConfig, overrides: list[str]) -> None:
    """Change values of a configuration in place, as Hydra reads ``key=value``.

    Raises:
        RequestError: an override names no field, or its value does not fit.
    """
    try:
        for parsed in OverridesParser.create().parse_overrides([*map(quoted, overrides)]):
            is_plain = not (parsed.is_sweep_override() or parsed.is_delete() or parsed.is_add())
            if not is_plain or parsed.key_or_group in _GROUPS:
                raise RequestError(
                    str(parsed.input_line),
                    "cannot change a recorded run",
                    remedy="Write field=value with one value, such as trainer.max_epochs=500.",
                )
            OmegaConf.update(config, parsed.key_or_group, parsed.value())
        decoded(config)
    except COMPOSING as error:
        raise explain(error, overrides) from error


_GROUPS = (*registry.GROUPS, *choices.TYPED, "trainer", "tracking")


def _find_paths(config: DictConfig, record: dict[str, Any]) -> None:
    """Replace relative paths of data that are found from the folder of the run only."""
    for key in ("data.path", "data.test_path"):
        if path := _path_from_its_folder(config, record, key):
            OmegaConf.update(config, key, path)


def _path_from_its_folder(config: DictConfig, record: dict[str, Any], key: str) -> str:
    """Return a path of the data from the folder that the command ran in, where only that exists; else ""."""
    path = OmegaConf.select(config, key)
    if isinstance(path, str) and path and not Path(path).exists() and (Path(record["folder"]) / path).exists():
        return str(Path(record["folder"]) / path)
    return ""


def _type(config: DictConfig, group: str) -> Any:
    return None if OmegaConf.is_missing(config, group) else OmegaConf.get_type(config, group)
