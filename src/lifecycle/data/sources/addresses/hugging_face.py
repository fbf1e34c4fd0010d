"""Data sets of the Hugging Face Hub, which offers each as Parquet files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lifecycle.data.sources.addresses.fetch import fetch
from lifecycle.errors import RequestError, Setting

ENDPOINT, TOKEN = "HF_ENDPOINT", "HF_TOKEN"
"""Environment variables, as huggingface_hub has them."""

HUB = "https://huggingface.co"


def files(path: str, key: Setting) -> list[Path]:
    """Return the Parquet files of a data set, fetched into the cache folder.

    Args:
        path: ``hf:<owner>/<name>``, then ``:<configuration>`` and ``:<split>`` where there are several.
        key: of the path, for messages.

    Raises:
        RequestError: there is no such data set, or it has several configurations or splits.
    """
    name, *chosen = path.removeprefix("hf:").split(":")
    top = os.environ.get(ENDPOINT, HUB).rstrip("/")
    listed = fetch(f"{top}/api/datasets/{name}/parquet", key, _headers(top, top), "parquet.json")
    try:
        configurations = json.loads(listed.read_bytes())
    except ValueError as error:
        raise RequestError(key, "has no list of files", remedy=f"Check {ENDPOINT}.") from error
    splits = _chosen(configurations, "configuration", chosen, name, key)
    addresses = _chosen(splits, "split", chosen, name, key)
    if chosen:
        remedy = f"Configurations: {', '.join(configurations)}. Splits: {', '.join(splits)}."
        raise RequestError(key, f"has no {chosen[0]}", remedy=remedy)
    if not addresses:
        raise RequestError(key, "has no files", remedy="Choose another data set.")
    if any("/partial-" in address for address in addresses):
        problem = "is offered as Parquet in part only, its first 5 GB"
        raise RequestError(key, problem, remedy="Download its files, and give their folder.")
    return [fetch(address, key, _headers(address, top), _name(address)) for address in addresses]


def _chosen(offered: Any, what: str, chosen: list[str], name: str, key: Setting) -> Any:
    """Return the configuration or the split that is chosen, which is removed from ``chosen``, or the only one."""
    if not isinstance(offered, dict) or not offered:
        raise RequestError(key, f"has no {what}", remedy="Choose another data set.")
    if chosen and chosen[0] in offered:
        return offered[chosen.pop(0)]
    if len(offered) == 1:
        return next(iter(offered.values()))
    names = ", ".join(offered)
    if chosen:
        raise RequestError(key, f"has no {what} {chosen[0]}", remedy=f"Choose from: {names}.")
    raise RequestError(key, f"has the {what}s {names}", remedy=f"Name one, as in hf:{name}:{next(iter(offered))}.")


def _headers(address: str, top: str) -> dict[str, str]:
    """Return the token of the user for the Hub itself, and for no other server."""
    token = os.environ.get(TOKEN)
    is_hub = urlsplit(address)[:2] == urlsplit(top)[:2]
    return {"Authorization": f"Bearer {token}"} if token and is_hub else {}


def _name(address: str) -> str:
    return Path(urlsplit(address).path).with_suffix(".parquet").name
