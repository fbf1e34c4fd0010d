"""Lists of the site that come from code and files: commands, data sets, losses, idioms of other tools, pictures."""

from __future__ import annotations

import html
import itertools
import re
from pathlib import Path

import yaml

from lifecycle.cli.options import options_of, usage
from lifecycle.cli.subcommands import SUBCOMMANDS
from lifecycle.config.tasks import SYNONYMS, TASKS
from lifecycle.optimizers import OPTIMIZERS
from lifecycle.plugins.activations import ACTIVATIONS
from lifecycle.plugins.initializers import INITIALIZERS
from site_fields import escaped

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
WIDTH = 200
IDIOMS = ROOT / "docs" / "idioms.yaml"
GALLERY = ROOT / "docs" / "gallery.yaml"


def cell(text: object) -> str:
    """Return text for a cell of a table."""
    return escaped(" ".join(str(text).split()))


def block(text: str) -> str:
    """Return code as HTML; it may have several lines, but no empty one, at which Markdown would begin anew."""
    lines = [line.rstrip() for line in text.strip().splitlines() if line.strip()]
    return f"<pre><code>{html.escape(chr(10).join(lines), quote=False)}</code></pre>"


def note(text: str) -> str:
    """Return a note as HTML, with its code; empty for none."""
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return f"<p>{shown}</p>" if text else ""


def commands() -> str:
    """Return a section for each subcommand: what it does, its example and its options."""
    sections = []
    for name, what in SUBCOMMANDS.items():
        options = options_of(name)
        lines = [f"## lifecycle {name}", "", f"{what[0].upper()}{what[1:]}."]
        if options:
            example = usage(name, WIDTH).splitlines()[2].strip()
            lines += ["", f"```text\n{example}\n```", "", "| option | default | meaning |", "|---|---|---|"]
            lines += [f"| `{one.name}` | `{one.default or 'required'}` | {cell(one.help)} |" for one in options]
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def losses() -> str:
    """Return a table of the losses and metrics of each task; the defaults are bold."""
    lines = ["| task | losses | metrics |", "|---|---|---|"]
    for name, task in TASKS.items():
        shown = [f"**`{one}`**" if one == task.default_loss else f"`{one}`" for one in task.losses]
        metrics = [f"**`{one}`**" if one in task.default_metrics else f"`{one}`" for one in task.metrics]
        lines.append(f"| {name} | {', '.join(shown)} | {', '.join(metrics)} |")
    return "\n".join(lines)


def words() -> str:
    """Return the names of activations, initializers and optimizers, and Keras's names of losses."""
    named = {"Activations": ACTIVATIONS, "Initializers": INITIALIZERS, "Optimizers": OPTIMIZERS}
    lines = [f"- **{title}**: {', '.join(f'`{name}`' for name in names)}" for title, names in named.items()]
    synonyms = ", ".join(f"`{theirs}` is `{ours}`" for theirs, ours in SYNONYMS.items())
    return "\n".join([*lines, f"- **Names of Keras for losses**: {synonyms}"])


def _described(file: Path) -> tuple[dict[str, object], str]:
    """Return the settings of a file of conf/, and the comment at its head."""
    lines = file.read_text().splitlines()
    head = itertools.takewhile(lambda line: line.startswith("#"), lines)
    kept = [line.lstrip("# ") for line in head if not line.startswith("# @")]
    return yaml.safe_load(file.read_text()) or {}, " ".join(kept)


def data_sets() -> str:
    """Return a table of the named data sets, with source and licence."""
    lines = ["| `data=` | kind | what it is | source | licence |", "|---|---|---|---|---|"]
    for file in sorted((CONF / "data").glob("*.yaml")):
        found, head = _described(file)
        defaults = found.get("defaults")
        kind = str(defaults[0]) if isinstance(defaults, list) else ""
        about = cell(head) or cell(found.get("note", ""))
        row = [f"`{file.stem}`", kind, about, cell(found.get("source", "")), cell(found.get("licence", ""))]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def presets() -> str:
    """Return a table of the worked examples."""
    lines = ["| `+experiment=` | what it is |", "|---|---|"]
    for file in sorted((CONF / "experiment").glob("*.yaml")):
        lines.append(f"| `{file.stem}` | {cell(_described(file)[1])} |")
    return "\n".join(lines)


def idioms() -> str:
    """Return a table for each tool: its call, ours, and what differs."""
    tools: dict[str, list[dict[str, str]]] = {}
    table = yaml.safe_load(IDIOMS.read_text())
    for row in table["idioms"]:
        tools.setdefault(row["tool"], []).append(row)
    imports = [line for line in table["preamble"].splitlines() if line.startswith(("import ", "from "))]
    sections = ["The rows of the tables begin with these imports:\n\n```python\n" + "\n".join(imports) + "\n```"]
    for tool, rows in tools.items():
        head = f"<tr><th>{tool}</th><th>lifecycle</th></tr>"
        cells = [
            f"<tr><td>{block(row['theirs'])}</td><td>{block(row['ours'])}{note(row['note'])}</td></tr>" for row in rows
        ]
        lines = [f"## {tool}", "", '<table class="idioms">', f"<thead>{head}</thead>", "<tbody>", *cells]
        sections.append("\n".join([*lines, "</tbody>", "</table>"]))
    return "\n\n".join(sections)


def gallery() -> str:
    """Return the pictures of the gallery, each below the command that makes it."""
    parts = []
    for section in yaml.safe_load(GALLERY.read_text()):
        parts.append(f"## {section['title']}\n\n{section['about'].strip()}\n\n```sh\n{section['command']}\n```")
        shown = [
            f'<figure markdown="span">![{caption}](images/{name})<figcaption>{caption}</figcaption></figure>'
            for name, caption in section["pictures"].items()
        ]
        parts.append("\n\n".join(['<div class="gallery" markdown>', *shown, "</div>"]))
    return "\n\n".join(parts)
