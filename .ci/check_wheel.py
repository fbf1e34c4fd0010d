"""Checks a wheel: check_wheel.py WHEEL ends with 1 if it is too large, or lacks or has what it should not."""

from __future__ import annotations

import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_BYTES = 2_000_000
FOLDERS = ("lifecycle", "hydra_plugins")


def faults(wheel: Path) -> list[str]:
    """Return what is wrong with a wheel, a sentence each."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = f"nn_lifecycle-{project['version']}.dist-info"
    wrong = []
    if (size := wheel.stat().st_size) >= MOST_BYTES:
        wrong.append(f"{wheel.name} has {size:,} bytes, and must have fewer than {MOST_BYTES:,}.")
    source = {
        *(str(file.relative_to(ROOT / "src")) for file in (ROOT / "src").rglob("*.py")),
        *(f"lifecycle/conf/{file.relative_to(ROOT / 'conf')}" for file in (ROOT / "conf").rglob("*.yaml")),
    }
    if missing := sorted(source - names):
        wrong.append(f"{wheel.name} lacks {', '.join(missing)}. Add the package to pyproject.toml.")
    others = sorted(name for name in names if name.split("/")[0] not in (*FOLDERS, info))
    if others:
        wrong.append(f"{wheel.name} has {', '.join(others)}, which belong to no package of it.")
    return wrong


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]))
    print("\n".join(found) or f"{sys.argv[1]}: {Path(sys.argv[1]).stat().st_size:,} bytes, and complete")
    sys.exit(bool(found))
