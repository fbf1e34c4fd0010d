"""``.ci/system`` installs what tests use where it may, is bounded in time, and never fails."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "system"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder of programs that go before the system's: a root without packages, and an apt that works."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, code in {"id": "echo 0", "dpkg-query": "exit 1", "apt-get": 'echo "$@" >> "$CALLS"'}.items():
        write(folder / name, code)
    return folder


def write(file: Path, code: str) -> None:
    file.write_text(f"#!/usr/bin/env bash\n{code}\n")
    file.chmod(0o755)


def run(programs: Path, seconds: int = 60) -> str:
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SYSTEM_SECONDS": str(seconds),
        "CALLS": str(programs / "calls"),
    }
    ended = subprocess.run([SCRIPT, "one", "two"], env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_what_is_not_there_is_fetched_and_then_installed_without_a_network(programs: Path) -> None:
    write(programs / "dpkg-query", '[ "${@: -1}" = one ] && echo "install ok installed"')
    assert run(programs) == "installed: two\n"
    fetched, installed = (programs / "calls").read_text().splitlines()
    assert (fetched.endswith("--download-only two"), installed.endswith("--no-download two")) == (True, True)
    write(programs / "dpkg-query", 'echo "install ok installed"')
    assert run(programs) == "there: one two\n"


def test_without_root_nothing_is_installed(programs: Path) -> None:
    write(programs / "id", "echo 1000")
    assert run(programs) == "not there, and not installed without root and apt: one two\n"
    assert not (programs / "calls").exists()


@pytest.mark.parametrize(
    ("apt", "why"), [("echo 'E: no such package'; exit 100", "no such package"), ("sleep 30", "no answer")]
)
def test_an_apt_that_refuses_or_does_not_answer_is_no_failure(programs: Path, apt: str, why: str) -> None:
    write(programs / "apt-get", apt)
    assert run(programs, 1) == f"not there, and could not be installed within 1 s: one two ({why})\n"
