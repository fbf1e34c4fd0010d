"""A real server of S3 for tests, moto's, on a free port: it verifies the signature of each request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import SECONDS_TO_START, free_port

BUCKET, USER = "runs", "team"
REQUESTS_TO_BEGIN = 4
"""Of nobody in particular, which make the user and the bucket; then moto asks for signatures."""


class S3:
    """A server with a bucket.

    Attributes:
        port: on 127.0.0.1.
        key: of the user, a word that must never be printed or recorded, like the next.
        secret: of the user.
    """

    key, secret = "", ""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(REQUESTS_TO_BEGIN)}
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        end = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/moto-api/", timeout=2):
                    break
            except OSError:
                assert self._process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.05)
        self._begin()

    @property
    def address(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def _begin(self) -> None:
        iam = self._client("iam", "anybody", "anything")
        iam.create_user(UserName=USER)
        allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=USER, PolicyName="all", PolicyDocument=policy)
        made = iam.create_access_key(UserName=USER)["AccessKey"]
        self._client("s3", "anybody", "anything").create_bucket(Bucket=BUCKET)
        self.key, self.secret = made["AccessKeyId"], made["SecretAccessKey"]

    def _client(self, service: str, key: str, secret: str) -> Any:
        import boto3

        session = boto3.session.Session(key, secret, region_name="us-east-1")
        return session.client(service, endpoint_url=self.address)

    def environment(self, **others: str) -> dict[str, str]:
        """Return the variables with which boto3 and MLflow use it; others replace them."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "MLFLOW_S3_ENDPOINT_URL": self.address,
            **others,
        }

    def files(self, folder: str) -> dict[str, bytes]:
        """Return the content of each file below a folder of the bucket, by its path there."""
        client = self._client("s3", self.key, self.secret)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{folder}/")
        names = [one["Key"] for page in pages for one in page.get("Contents", [])]
        found = {name: client.get_object(Bucket=BUCKET, Key=name)["Body"].read() for name in names}
        return {name.removeprefix(f"{folder}/"): content for name, content in found.items()}

    def stop(self) -> None:
        """Stop it; what it has is lost."""
        self._process.kill()
        self._process.wait()


@contextmanager
def s3(folder: Path) -> Iterator[S3]:
    """Start a server, and stop it at the end; skips the test where moto is not installed."""
    for package in ("boto3", "moto"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    server = S3(folder)
    try:
        yield server
    finally:
        server.stop()
