"""Saves and loads trained models: three files, none of them a pickle.

``lifecycle.json`` (format, plugins and their fields, DataSpec, compile settings, provenance, digests of all three),
``weights.safetensors``, and ``preprocessing.skops``. docs/saved-model.md describes them.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import skops.io

from lifecycle import registry
from lifecycle.capabilities import TakesNetwork, transform_of
from lifecycle.config.records import expressions
from lifecycle.contract import LOG, DataSpec
from lifecycle.credentials import is_credential
from lifecycle.data.columns.missing_values import REFUSE
from lifecycle.data.formats.archives import check_size
from lifecycle.data.preprocessing import Preprocessing, are_own
from lifecycle.data.sources.native_frames import as_pandas
from lifecycle.errors import LifecycleError, RequestError, SavedModelError, Text
from lifecycle.layout import MANIFEST, PREPROCESSING, WEIGHTS
from lifecycle.predict import expected_size
from lifecycle.predict.trained_model import Preparation, TrainedModel
from lifecycle.runtime.files.digests import sha256
from lifecycle.runtime.imports.of_skops import complete_skops

FORMAT = 1


TRUSTED = {"numpy.dtype"}
"""Types allowed in addition to those that skops trusts; constructing one runs no code."""

MOST_MANIFEST = 100_000_000
"""Bytes of a manifest."""

MOST_UNPACKED = 100_000_000
"""Bytes that the content of a compressed preprocessing may have, or ten times the size of its file."""

OF_THE_ROWS = ("path", "source", "licence", "note")
"""Fields of data that describe the training file; no prediction needs them."""

REMEDY = "Take the model from its run again."


def check_preprocessing(preprocessing: Preprocessing, source: Text) -> None:
    """Refuse, before training, preprocessing that could be saved and not be loaded again.

    Args:
        preprocessing: fitted.
        source: the data set, as messages name it.

    Raises:
        RequestError: the data plugin learnt an object that is not scikit-learn's.
    """
    # Serialized in memory, since skops only knows the types of a serialized object.
    if are_own(preprocessing.serialized):
        return
    untrusted = set(skops.io.get_untrusted_types(data=preprocessing.serialized)) - TRUSTED
    if untrusted:
        raise RequestError(
            source,
            f"learnt {', '.join(sorted(untrusted))}, which a saved model cannot hold",
            remedy="Let the plugin's learn() return a scikit-learn transformer.",
        )


def save(trained: TrainedModel, folder: Path) -> None:
    """Write the three files into ``folder``, which is created if needed.

    Args:
        trained: the model.
        folder: for the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # On the CPU, so that a machine without a GPU can load the file.
    # save_model instead of save_file: it stores weights that layers share once.
    safetensors.torch.save_model(trained.network.cpu(), str(folder / WEIGHTS))
    (folder / PREPROCESSING).write_bytes(trained.preprocessing.serialized)
    manifest = {
        "format": FORMAT,
        "model": {
            "plugin": trained.model_name,
            "package": _package("model", trained.model_name),
            "fields": _fields("model", trained.model, trained.model_name, trained.expressions),
        },
        "data": {
            "name": trained.data_name,
            "plugin": trained.data_kind,
            "package": _package("data", trained.data_kind),
            "fields": _fields("data", trained.data, trained.data_kind, trained.expressions),
            "columns": list(trained.columns),
            "gaps": None if trained.preprocessing.gaps is None else sorted(trained.preprocessing.gaps),
        },
        "spec": dataclasses.asdict(trained.spec),
        "compile": trained.settings,
        "provenance": trained.provenance,
        "sha256": {name: sha256(folder / name) for name in (WEIGHTS, PREPROCESSING)},
    }
    write_manifest(manifest, folder)


def write_manifest(manifest: dict[str, Any], folder: Path) -> None:
    """Write ``lifecycle.json``, with the digest of its own content among its digests."""
    digests = {**manifest["sha256"], MANIFEST: _digest(manifest)}
    (folder / MANIFEST).write_text(json.dumps({**manifest, "sha256": digests}, indent=2) + "\n")


def load(folder: str | Path, network: Any = None) -> TrainedModel:
    """Load a saved model.

    Args:
        folder: with the three files.
        network: of a model whose network was made by code of a Python caller: the network, or the class or function.

    Raises:
        SavedModelError: a file is missing or altered, the format is unknown, or a plugin is not installed.
        RequestError: the network was made by code that the model does not hold, and is not given.
    """
    folder = Path(folder)
    manifest = _manifest(folder, (WEIGHTS, PREPROCESSING))
    try:
        return _load(folder, manifest, network)
    except LifecycleError:
        raise
    except Exception as error:  # torch, safetensors, skops and plugins raise many types on damaged files
        raise _broken(folder, error) from error


def prepare(folder: str | Path, rows: pd.DataFrame, missing: str = REFUSE) -> np.ndarray[Any, Any]:
    """Preprocess raw rows into the inputs of an exported program.

    Args:
        folder: of the export, or of a saved model; its weights are not read.
        rows: raw rows with the columns of the training file.
        missing: ``"impute"`` fills missing values in columns that were complete in training.

    Returns:
        ``(samples, *input_shape) float32``.

    Raises:
        RequestError: a column is missing, or a row cannot be used.
        SavedModelError: as :func:`load`.
    """
    preparation = _prepared(Path(folder), missing)
    rows = as_pandas(rows, "input")
    return preparation.inputs(preparation.samples(rows), rows).numpy()


def bases(folder: str | Path, rows: pd.DataFrame, missing: str = REFUSE) -> np.ndarray[Any, Any]:
    """Return the bases of the samples that :func:`prepare` returns for a model that learnt differences.

    Args:
        folder: of the export, or of a saved model; its weights are not read.
        rows: raw rows with the columns of the training file.
        missing: as :func:`prepare`.

    Returns:
        ``(samples, 1) float64``: what an exported program's outputs are added to, and with ``transform=log`` what they
        are multiplied by; 0 and 1 without differences.

    Raises:
        RequestError: a column is missing, or a row cannot be used.
        SavedModelError: as :func:`load`.
    """
    preparation = _prepared(Path(folder), missing)
    samples = preparation.samples(as_pandas(rows, "input"))
    base = np.zeros(len(samples.rows)) if samples.base is None else samples.base
    return (np.exp(base) if preparation.preprocessing.transform == LOG else base)[:, np.newaxis]


def _prepared(folder: Path, missing: str) -> Preparation:
    manifest = _manifest(folder, (PREPROCESSING,))
    try:
        return Preparation(**_preparation(folder, manifest), missing=missing)
    except LifecycleError:
        raise
    except Exception as error:
        raise _broken(folder, error) from error


def _load(folder: Path, manifest: dict[str, Any], given: Any = None) -> TrainedModel:
    about = manifest["model"]
    model = _plugin(folder, "model", about)
    if isinstance(model, TakesNetwork):
        model = model.with_network(given)
    elif given is not None:
        problem = f"is for models made by your code, and this one is of {about['plugin']}"
        raise RequestError("network", problem, remedy="Leave it out.")
    preparation = _preparation(folder, manifest)
    expected_size.check(model, preparation["spec"], folder / WEIGHTS)
    network = model.build(preparation["spec"])
    safetensors.torch.load_model(network, str(folder / WEIGHTS))
    return TrainedModel(
        **preparation,
        model_name=about["plugin"],
        model=model,
        network=network.eval(),
    )


def _preparation(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a :class:`Preparation`."""
    about = manifest["data"]
    data = _plugin(folder, "data", about)
    # JSON has no tuples, and a DataSpec is compared and hashed.
    plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in manifest["spec"].items()}
    spec = DataSpec(**plain)
    expected_size.check_sample(spec, folder / MANIFEST)
    return {
        "data_name": about["name"],
        "data_kind": about["plugin"],
        "data": data,
        "spec": spec,
        "preprocessing": _preprocessing(folder / PREPROCESSING, about.get("gaps"), transform_of(data)),
        "columns": tuple(about["columns"]),
        "settings": manifest["compile"],
        "provenance": manifest["provenance"],
    }


def _plugin(folder: Path, kind: str, about: dict[str, Any]) -> Any:
    """Return a plugin with its fields. Its name is looked up among the installed plugins; it is no import path."""
    fields = copy.deepcopy(about["fields"])
    if kind == "model":  # which may be fitted again, as a configuration: an expression would be resolved
        for path, text in list(expressions.unresolved(fields)):
            expressions.put(fields, path, expressions.disarmed(text))
    try:
        return registry.load(kind, str(about["plugin"]))(**fields)
    except (LifecycleError, TypeError, ValueError) as error:  # no such plugin, field, or value
        raise SavedModelError(
            f"{folder} was saved with {about['package']}, which this installation does not match: {error}"
        ) from error


def _preprocessing(file: Path, gaps: list[str] | None, transform: str) -> Preprocessing:
    """Read fitted preprocessing, of types that skops trusts and that run no code of the file.

    Raises:
        SavedModelError: it has other types, or unpacks to far more than it is.
    """
    # Our own files are not compressed: a small one that becomes a large one was made to fill the memory.
    check_size(file, max(MOST_UNPACKED, 10 * file.stat().st_size))
    complete_skops()
    untrusted = set(skops.io.get_untrusted_types(file=file)) - TRUSTED
    if untrusted:
        raise SavedModelError(
            f"{file} holds {', '.join(sorted(untrusted))}, which is no known preprocessing. Do not use it."
        )
    learnt = skops.io.load(file, trusted=sorted(TRUSTED))
    gap_columns = None if gaps is None else frozenset(gaps)
    return Preprocessing(learnt["inputs"], learnt["target"], gap_columns, transform)


def _manifest(folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Read ``lifecycle.json``, and check it and the files ``names`` against their digests.

    Raises:
        SavedModelError: a file is missing, unreadable or altered, or the format is unknown.
    """
    for name in (MANIFEST, *names):
        if not (folder / name).is_file():
            raise SavedModelError(f"{folder} is no saved model: it has no {name}. Give the folder that a run saved.")
    if (folder / MANIFEST).stat().st_size > MOST_MANIFEST:
        raise SavedModelError(f"{folder / MANIFEST} has more than {MOST_MANIFEST / 1e6:.0f} MB. Do not use it.")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        found, digests = manifest.get("format"), dict(manifest.get("sha256", {}))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SavedModelError(f"{folder / MANIFEST} cannot be read: {error}. {REMEDY}") from error
    # Before the digests: a later format may compute them in another way.
    if found != FORMAT:
        raise SavedModelError(f"{folder} has the format {found}, and this version reads {FORMAT}. Update nn-lifecycle.")
    written = {name: sha256(folder / name) for name in names}
    if MANIFEST in digests:  # models of the first versions have no digest of the manifest
        written[MANIFEST] = _digest(manifest)
    for name, digest in written.items():
        if digest != digests.get(name):
            raise SavedModelError(
                f"{folder / name} is not the file that was saved: its sha256 differs. Take it from its run again."
            )
    return manifest


def _digest(manifest: dict[str, Any]) -> str:
    """Return the SHA-256 of a manifest without this digest itself, independent of its formatting."""
    # Without this digest itself, which cannot be part of what it is computed from.
    digests = {name: digest for name, digest in manifest["sha256"].items() if name != MANIFEST}
    text = json.dumps({**manifest, "sha256": digests}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _broken(folder: Path, error: Exception) -> SavedModelError:
    reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return SavedModelError(f"{folder} is inconsistent ({reason}). {REMEDY}")


def _fields(kind: str, plugin: Any, name: str, written: Mapping[expressions.Path, str]) -> dict[str, Any]:
    """Return the fields of a plugin without credentials.

    Fields that a prediction needs are saved as values; credentials and fields that describe the training file as the
    user wrote them, such as ``${oc.env:TOKEN}``. All text fields of a third-party data plugin are saved as written,
    since it is not known which of them hold a credential.
    """
    fields = dataclasses.asdict(plugin)
    foreign = kind == "data" and not _package(kind, name).startswith("nn-lifecycle ")
    kept = {
        path[1:]: expression
        for path, expression in written.items()
        if path[0] == kind and (foreign or path[1] in OF_THE_ROWS or is_credential(str(path[1])))
    }
    recorded: dict[str, Any] = expressions.record(fields, kept, only_texts=True)
    return recorded


def _package(kind: str, name: str) -> str:
    return registry.source(kind, name)
