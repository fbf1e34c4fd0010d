"""Pages of the site that are files elsewhere: the README, the change log, the example plugin and the notebooks."""

from __future__ import annotations

import base64
import json
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
}
"""File of the repository -> page of the site, which has its text."""

PLUGIN, PLUGIN_PAGE = "examples/plugin", "examples/plugin.md"
NOTEBOOKS = "examples/notebooks"
LANGUAGES = {".py": "python", ".toml": "toml"}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LINK = re.compile(r"(!?\[[^\]]*\]\(|<(?:a|img)\b[^>]*\b(?:href|src)=\")([^)\s\"]+)")


def place(path: str) -> str:
    """Return where the site has a file or folder of the repository.

    >>> place("README.md"), place("docs/data.md"), place("examples/notebooks/pima.ipynb"), place("examples/plugin")
    ('index.md', 'data.md', 'notebooks/pima.md', 'examples/plugin.md')
    """
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path == PLUGIN or path.startswith(f"{PLUGIN}/"):
        return PLUGIN_PAGE
    if path.startswith(f"{NOTEBOOKS}/"):
        return f"notebooks/{Path(path).stem}.md"
    return path


def relinked(text: str, source: str) -> str:
    """Return Markdown of the repository whose links lead to the pages of the site.

    Args:
        text: the Markdown.
        source: its file, relative to the root of the repository.
    """
    folder, here = posixpath.dirname(source), posixpath.dirname(place(source))

    def moved(link: re.Match[str]) -> str:
        before, target = link.groups()
        path, hash_, anchor = target.partition("#")
        if not path or ":" in path:
            return link[0]
        found = place(posixpath.normpath(posixpath.join(folder, path)))
        return f"{before}{posixpath.relpath(found, here or '.')}{hash_}{anchor}"

    return LINK.sub(moved, text)


def pages() -> dict[str, str | bytes]:
    """Return page -> content, of all pages and pictures that are no files of ``docs/``."""
    found: dict[str, str | bytes] = {}
    for source, page in PAGES.items():
        text = (ROOT / source).read_text()
        if page == "index.md":
            text = f"---\nhide: [navigation]\n---\n{_as_divisions(text)}"
        found[page] = relinked(text, source)
    found["license.txt"] = (ROOT / "LICENSE").read_text()
    found[PLUGIN_PAGE] = plugin()
    for file in sorted((ROOT / NOTEBOOKS).glob("*.ipynb")):
        found |= notebook(json.loads(file.read_text()), file.stem)
    return found


def _as_divisions(text: str) -> str:
    """Return Markdown whose table of code blocks, which GitHub shows side by side, is made of divisions."""
    for tags, others in (
        ("<table><tr><td>", '<div class="two" markdown>\n\n<div markdown>'),
        ("</td><td>", "</div>\n\n<div markdown>"),
        ("</td></tr></table>", "</div>\n\n</div>"),
    ):
        text = text.replace(tags, others)
    return text


def plugin() -> str:
    """Return the page of the example plugin: its README and its files."""
    folder = ROOT / PLUGIN
    parts = [relinked((folder / "README.md").read_text(), f"{PLUGIN}/README.md")]
    for file in sorted(folder.rglob("*")):
        if file.suffix in LANGUAGES and not {"build", "__pycache__"} & set(file.parts):
            language = LANGUAGES[file.suffix]
            parts.append(f"## {file.relative_to(folder)}\n\n```{language}\n{file.read_text().rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def notebook(content: dict[str, Any], name: str) -> dict[str, str | bytes]:
    """Return the page of a notebook, with its outputs, and the pictures among these."""
    found: dict[str, str | bytes] = {}
    parts = []
    for cell in content["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            parts.append(relinked(source, f"{NOTEBOOKS}/{name}.ipynb"))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data") or {"text/plain": output.get("text", "")}
            picture = next((kind for kind in ("image/png", "image/svg+xml") if kind in data), None)
            if picture:
                file = f"{name}_{len(found)}.{'png' if picture == 'image/png' else 'svg'}"
                raw = "".join(data[picture])
                found[f"notebooks/{file}"] = base64.b64decode(raw) if picture == "image/png" else raw
                parts.append(f"![output]({file})")
            elif "text/html" in data:
                html = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
                lines = [line.strip() for line in html.splitlines()]
                parts.append(f'<div class="output">{"".join(lines)}</div>')
            elif text := COLOURS.sub("", "".join(data["text/plain"])).rstrip():
                parts.append(f"```text\n{text}\n```")
    return {**found, f"notebooks/{name}.md": "\n\n".join(parts) + "\n"}
