"""Makes the pictures of the documentation again: ``python tools/pictures.py [NAME ...]``.

Those of ``docs/gallery.yaml`` are artifacts of the runs of its commands; the first picture of the README shows one of
these runs, and the badges are drawn from ``pyproject.toml``.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from pathlib import Path

import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES, ASSETS = ROOT / "docs" / "images", ROOT / "docs" / "assets"
MOST_BYTES = 60_000
HERO = "pima_best"
HERO_BOXES = {
    "curves.png": (0.522, 0.51, 0.47, 0.47),
    "confusion_matrix.png": (0.522, 0.02, 0.25, 0.47),
    "roc.png": (0.775, 0.02, 0.22, 0.47),
}
"""Left, bottom, width and height of the pictures at the right of what a command prints, as parts of the whole."""
COLUMNS = 80


def artifact_of(picture: str) -> str:
    """Return the artifact that a picture is: ``gallery_pima_roc.png`` is ``roc.png`` of its run.

    >>> artifact_of("gallery_digits_confusion_matrix.png")
    'confusion_matrix.png'
    """
    return picture.split("_", 2)[2]


def run(command: str, folder: Path) -> tuple[Path, str]:
    """Run a command in a folder, and return the folder of its artifacts and what it printed."""
    words = [sys.executable, "-m", *shlex.split(command)]
    ended = subprocess.run(
        words,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": str(COLUMNS)},
    )
    (found,) = folder.glob("mlruns/artifacts/*/*/artifacts/curves.png")
    return found.parent, ended.stdout


def small(file: Path) -> bytes:
    """Return a picture; a large PNG with a palette."""
    if file.suffix != ".png" or file.stat().st_size < MOST_BYTES / 2:
        return file.read_bytes()
    stream = io.BytesIO()
    Image.open(file).convert("RGB").quantize(255, dither=Image.Dither.NONE).save(stream, "png", optimize=True)
    return min(stream.getvalue(), file.read_bytes(), key=len)


def hero(printed: str, artifacts: Path) -> bytes:
    """Return the picture of the README: what a command prints, next to three pictures of its run."""
    from matplotlib import image
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    width, height = 12.4, 5.75  # inches
    figure = Figure(figsize=(width, height), dpi=115, facecolor="white")
    figure.patches.append(
        FancyBboxPatch(
            (0.012, 0.022), 0.5, 0.956, boxstyle="round,pad=0,rounding_size=0.012", color="#1e2430",
            transform=figure.transFigure, mutation_aspect=width / height,
        )
    )  # fmt: skip
    paragraphs: list[list[str]] = []  # a line, and those that continue it
    for line in printed.rstrip().splitlines():
        if line.startswith(" ") and paragraphs:
            paragraphs[-1].append(line)
        else:
            paragraphs.append([line])
    epochs = [one[0] for one in paragraphs if one[0].startswith("epoch ")]
    few = {epochs[0], epochs[1], epochs[-1]}
    shown: list[str] = []
    for paragraph in paragraphs:
        if paragraph[0].startswith("epoch ") and paragraph[0] not in few:
            shown += [] if shown[-1] == "..." else ["..."]
        elif not paragraph[0].startswith("Run "):
            shown += [part for line in paragraph for part in _folded(line)]
    text = "\n".join([f"$ lifecycle +experiment={HERO}", *shown])
    figure.text(0.024, 0.95, text, family="DejaVu Sans Mono", size=8.9, color="#e8ecf2", va="top", linespacing=1.3)
    for name, box in HERO_BOXES.items():
        axes = figure.add_axes(box)
        axes.imshow(image.imread(artifacts / name), interpolation="lanczos")
        axes.axis("off")
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        Path(file.name).write_bytes(stream.getvalue())
        return small(Path(file.name))


def _folded(line: str) -> list[str]:
    """Return a line in lines of at most :data:`COLUMNS`; where it fits, as it is."""
    if len(line) <= COLUMNS:
        return [line]
    head, rest = line[:10], line[10:]
    return [
        f"{head if number == 0 else ' ' * 10}{part}" for number, part in enumerate(textwrap.wrap(rest, COLUMNS - 10))
    ]


def badge(left: str, right: str, colour: str) -> str:
    """Return a badge as an SVG."""
    widths = [7 * len(text) + 12 for text in (left, right)]
    total = sum(widths)
    middles = (widths[0] / 2, widths[0] + widths[1] / 2)
    texts = "".join(f'<text x="{x:g}" y="14">{text}</text>' for x, text in zip(middles, (left, right), strict=True))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="20" role="img" aria-label="{left}: {right}">'
        f'<clipPath id="c"><rect width="{total}" height="20" rx="3"/></clipPath><g clip-path="url(#c)">'
        f'<rect width="{widths[0]}" height="20" fill="#444"/>'
        f'<rect x="{widths[0]}" width="{widths[1]}" height="20" fill="{colour}"/></g>'
        f'<g fill="#fff" text-anchor="middle" font-family="DejaVu Sans,Verdana,sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )


def badges() -> dict[str, str]:
    """Return file -> badge: the versions of Python and the licence of ``pyproject.toml``, and the types."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = [one.rpartition(" ")[2] for one in project["classifiers"] if one.startswith("Programming Language ::")]
    return {
        "badge_version.svg": badge("version", project["version"], "#D55E00"),
        "badge_python.svg": badge("python", " | ".join(versions), "#0072B2"),
        "badge_licence.svg": badge("licence", project["license"], "#009E73"),
        "badge_types.svg": badge("types", "mypy strict", "#0072B2"),
        "badge_docs.svg": badge("docs", "work offline", "#CC79A7"),
    }


def main() -> None:
    """Make the pictures of the sections whose command has one of the words, or all."""
    words = sys.argv[1:]
    for name, text in badges().items():
        (ASSETS / name).write_text(text)
    for section in yaml.safe_load((ROOT / "docs" / "gallery.yaml").read_text()):
        if words and not any(word in section["command"] for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            artifacts, printed = run(section["command"], Path(folder))
            made = {IMAGES / name: small(artifacts / artifact_of(name)) for name in section["pictures"]}
            if section["command"].endswith(f"={HERO}"):
                made[ASSETS / "first.png"] = hero(printed, artifacts)
            for name, artifact in section.get("tutorial", {}).items():
                shutil.copy(artifacts / artifact, IMAGES / name)
        for file, content in made.items():
            file.write_bytes(content)
            is_large = file.parent == IMAGES and len(content) > MOST_BYTES
            print(f"{file.relative_to(ROOT)}: {len(content):,} bytes{' TOO LARGE' * is_large}")


if __name__ == "__main__":
    main()
