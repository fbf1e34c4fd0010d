"""The files that may be installed: ``requirements.lock`` has the SHA-256 of each file of each pinned version.

locked.py print NAME...     the entries of these packages, for ``pip --require-hashes -r``
locked.py check FOLDER [OWN]
                            that each file of a folder has its hash there, but for those built here, in OWN
locked.py add FOLDER        the hashes of other builds of the same versions, such as torch's for the CPU
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
ENTRY = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)")


def normalized(name: str) -> str:
    """Return the name of a package as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(text: str) -> dict[str, list[str]]:
    """Return name -> the lines of its entry: ``name==version``, and a hash a line."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if entry := ENTRY.match(line):
            current = found.setdefault(normalized(entry[1]), [])
        if line.strip() and not line.startswith("#"):
            current.append(line)
    return found


def package_of(file: Path) -> tuple[str, str]:
    """Return name and version in the name of a wheel or source archive, without a local part such as ``+cpu``."""
    name, _, rest = file.name.removesuffix(".tar.gz").removesuffix(".zip").partition("-")
    if file.suffix != ".whl":  # the name may have hyphens, the version has none
        name, _, rest = file.name.removesuffix(".tar.gz").removesuffix(".zip").rpartition("-")
    return normalized(name), rest.partition("-")[0].partition("+")[0]


def sha256(file: Path) -> str:
    """Return the digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check(folder: Path, own: Path | None = None) -> list[str]:
    """Return what is wrong with each file of a folder that is not locked."""
    locked = entries(LOCK.read_text())
    built = {sha256(file) for file in own.iterdir()} if own else set()
    wrong = []
    for file in sorted(folder.iterdir()):
        digest, (name, _) = sha256(file), package_of(file)
        if digest not in built and f"--hash=sha256:{digest}" not in " ".join(locked.get(name, [])):
            wrong.append(f"{file.name}: its sha256 {digest} is not in {LOCK.name}")
    return wrong


def add(folder: Path) -> None:
    """Add the hashes of the files of a folder to the entries of the same name and version."""
    locked = entries(LOCK.read_text())
    for file in sorted(folder.iterdir()):
        name, version = package_of(file)
        if name in locked and locked[name][0].startswith(f"{name}=={version} "):
            hashed = f"    --hash=sha256:{sha256(file)}"
            if hashed not in "\n".join(locked[name]):
                locked[name][-1:] = [f"{locked[name][-1]} \\", hashed]
    LOCK.write_text("\n".join(line for lines in locked.values() for line in lines) + "\n")


def main(verb: str, *words: str) -> int:
    """Run a verb; see the module."""
    if verb == "print":
        locked = entries(LOCK.read_text())
        print("\n".join(line for name in words for line in locked[normalized(name)]))
    elif verb == "add":
        add(Path(words[0]))
    elif wrong := check(*map(Path, words)):
        print("\n".join(wrong), "If the versions of constraints.txt were changed, run .ci/lock.", sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
