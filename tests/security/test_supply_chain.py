"""What is installed in CI is locked by hash, audited and listed, and what CI runs is pinned."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CI = ROOT / ".ci"


def python(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", *map(str, words)], capture_output=True, text=True, check=False)


def pins(text: str) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_the_lock_has_hashes_of_the_versions_that_are_pinned() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    locked, pinned = pins(lock), pins((ROOT / "constraints.txt").read_text())
    assert {name: locked.get(name) for name in pinned} == pinned
    for entry in re.split(r"\n(?=[a-z])", lock.strip()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    assert "://" not in lock  # no index


def test_every_installed_package_of_this_environment_that_is_pinned_has_that_version() -> None:
    pinned = pins((ROOT / "constraints.txt").read_text())
    installed = {re.sub(r"[-_.]+", "-", one.name).lower(): one.version.partition("+")[0] for one in distributions()}
    both = installed.keys() & pinned.keys()
    assert {"torch", "mlflow", "hydra-core"} <= both
    assert {name: installed[name] for name in both} == {name: pinned[name] for name in both}


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """Return a copy of the script, with a lock of two packages."""
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "locked.py"
    script.write_bytes((CI / "locked.py").read_bytes())
    digests = [hashlib.sha256(content).hexdigest() for content in (b"wheel", b"other wheel", b"archive")]
    (tmp_path / "requirements.lock").write_text(
        f"my-net==1.2 \\\n    --hash=sha256:{digests[0]} \\\n    --hash=sha256:{digests[1]}\n"
        f"old-net==3.0 ; sys_platform == 'linux' \\\n    --hash=sha256:{digests[2]}\n"
    )
    return script


def test_a_file_that_is_not_locked_is_named(locked: Path, tmp_path: Path) -> None:
    folder, own = tmp_path / "files", tmp_path / "own"
    folder.mkdir()
    own.mkdir()
    (folder / "my_net-1.2-py3-none-any.whl").write_bytes(b"wheel")
    (folder / "old-net-3.0.tar.gz").write_bytes(b"archive")
    (folder / "built-1.0-py3-none-any.whl").write_bytes(b"built here")
    (own / "built-1.0-py3-none-any.whl").write_bytes(b"built here")
    assert python(locked, "check", folder, own).returncode == 0
    (folder / "my_net-1.2-py3-none-any.whl").write_bytes(b"archive")  # which is another package's
    ended = python(locked, "check", folder, own)
    digest = hashlib.sha256(b"archive").hexdigest()
    assert ended.returncode == 1
    assert ended.stdout == (
        f"my_net-1.2-py3-none-any.whl: its sha256 {digest} is not in requirements.lock\n"
        "If the versions of constraints.txt were changed, run .ci/lock.\n"
    )


def test_the_hash_of_another_build_of_the_same_version_is_added(locked: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("my_net-1.2+cpu-py3-none-any.whl", "my_net-1.3-py3-none-any.whl"):
        (folder / name).write_bytes(name.encode())
    assert python(locked, "add", folder).returncode == 0
    assert python(locked, "check", folder).stdout.startswith("my_net-1.3-py3-none-any.whl: ")
    entry = python(locked, "print", "My.Net").stdout.splitlines()
    assert (entry[0], len(entry)) == ("my-net==1.2 \\", 4)
    assert [line.endswith("\\") for line in entry] == [True, True, True, False]


def audit(tmp_path: Path, found: object, error: str = "") -> subprocess.CompletedProcess[str]:
    """Run the audit with a program in pip-audit's place that has one answer."""
    tool, answer = tmp_path / "pip-audit", tmp_path / "answer.json"
    answer.write_text(json.dumps(found))
    writes = f'while [ "$1" != --output ]; do shift; done\ncp {answer} "$2"\n'
    fails = f"echo '{error}' >&2\nexit 1\n"
    tool.write_text("#!/usr/bin/env bash\n" + (fails if error else writes))
    tool.chmod(0o755)
    return python(CI / "audit.py", tool, tmp_path)


def test_a_known_vulnerability_fails_the_check(tmp_path: Path) -> None:
    package = {"name": "my-net", "version": "1.2", "vulns": [{"id": "CVE-1", "fix_versions": ["1.3"]}]}
    ended = audit(tmp_path, {"dependencies": [package, {"name": "b", "skip_reason": "not found"}]})
    assert ended.returncode == 1
    assert ended.stdout == ("my-net 1.2: CVE-1, fixed in 1.3\n1 known vulnerabilities in 1 of 2 packages looked up\n")
    assert audit(tmp_path, {"dependencies": [{**package, "vulns": []}]}).returncode == 0


def test_a_database_that_cannot_be_reached_is_reported_and_is_no_failure(tmp_path: Path) -> None:
    ended = audit(tmp_path, {"dependencies": [{"name": "b", "skip_reason": "not found"}] * 3})
    assert (ended.returncode, ended.stdout.partition(":")[0]) == (0, "NOT AUDITED")
    assert "has none of the 3 packages" in ended.stdout
    ended = audit(tmp_path, None, error="ConnectionError: no route")
    assert (ended.returncode, ended.stdout) == (
        0,
        "NOT AUDITED: pip-audit could not look up vulnerabilities here: ConnectionError: no route\n",
    )


def test_actions_are_pinned_by_commit() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
    assert workflows
    for file in workflows:
        workflow = yaml.safe_load(file.read_text())
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                if "uses" in step:
                    assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step
                else:
                    assert os.access(ROOT / step["run"].split()[0], os.X_OK), step
