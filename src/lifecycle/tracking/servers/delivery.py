"""Sentences on how far runs are on their server."""

from __future__ import annotations

import os

from lifecycle.credentials import masked
from lifecycle.tracking.replies import Delivered


def sentences(delivered: Delivered) -> tuple[str, str]:
    """Return where runs are on their server, and what waits to be sent; one of them is empty.

    Args:
        delivered: the reply to a :class:`lifecycle.tracking.messages.Deliver`.
    """
    if delivered.behind and not delivered.waiting:
        what = "The run was continued on another machine, and is"
        if len(delivered.behind) > 1:
            what = f"{len(delivered.behind)} runs were continued on another machine, and are"
        return "", f"{what} newer on {delivered.server}: nothing was sent there."
    if not delivered.waiting:
        return address_of(delivered), ""
    many = len(delivered.waiting)
    runs = "The run is" if many == 1 else f"{many} runs are"
    why = f": {delivered.why}" if delivered.why else ""
    return "", (
        f"{runs} recorded here, and not yet in full on {delivered.server}{why}. Nothing is lost: the next command with "
        f"this server, or `{sync(delivered.server)}`, sends {'it' if many == 1 else 'them'}."
    )


def sync(server: str) -> str:
    """Return the command that sends what waits for a server, as it can be typed here.

    Args:
        server: its address, without a password.
    """
    known = masked(os.environ.get("MLFLOW_TRACKING_URI", ""))
    return "lifecycle sync" if known == server else f"lifecycle sync tracking.uri={server}"


def address_of(delivered: Delivered) -> str:
    """Return the address of a run's page, or that of the server where it has no pages."""
    if not delivered.server.startswith("http") or not delivered.server_run:
        return delivered.server
    return f"{delivered.server.rstrip('/')}/#/experiments/{delivered.experiment_id}/runs/{delivered.server_run}"
