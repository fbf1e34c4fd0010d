"""Looks up known vulnerabilities of the packages of an environment, with pip-audit.

    audit.py PIP_AUDIT SITE_PACKAGES

Ends with 1 if there are some. Where pip-audit's database cannot be reached, it says so and ends with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

IGNORED: dict[str, str] = {}
"""Why a vulnerability, by its id, does not concern this project."""


def audit(tool: str, folder: str) -> int:
    """Run pip-audit on the packages of a folder, print what it found, and return the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        found = Path(scratch) / "found.json"
        words = ["--path", folder, "--format", "json", "--output", str(found), "--timeout", "15"]
        words += ["--progress-spinner", "off", *(f"--ignore-vuln={name}" for name in IGNORED)]
        ended = subprocess.run([tool, *words], capture_output=True, text=True, check=False)  # noqa: S603
        if not found.is_file():
            last = (ended.stderr.strip().splitlines() or ["no output"])[-1]
            print(f"NOT AUDITED: pip-audit could not look up vulnerabilities here: {last[:300]}")
            return 0
        packages = json.loads(found.read_text())["dependencies"]
    looked_up = [package for package in packages if "skip_reason" not in package]
    if not looked_up:  # an index that only has files answers each question with "not found"
        print(f"NOT AUDITED: pip-audit's database has none of the {len(packages)} packages; it cannot be reached here.")
        return 0
    hits = [(package, one) for package in looked_up for one in package["vulns"]]
    for package, one in hits:
        fixed = ", ".join(one["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {one['id']}, fixed in {fixed}")
    print(f"{len(hits)} known vulnerabilities in {len(looked_up)} of {len(packages)} packages looked up")
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(audit(*sys.argv[1:]))
