"""The documentation site: what is generated from the code, the strict build, and the notebooks."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

import notebooks
import pictures
import site_fields
import site_lists
import site_pages
from lifecycle import registry
from lifecycle.cli.subcommands import SUBCOMMANDS
from lifecycle.config.fields import option
from lifecycle.config.schema import RunConfig
from lifecycle.optimizers import OPTIMIZERS
from lifecycle.schedules import SCHEDULES

ROOT = Path(__file__).parents[2]


@dataclass
class Base:
    """A stranger's fields."""

    rate: float = 0.5  # share of <rows>, a|b
    names: list[str] = field(default_factory=lambda: ["a", "b"])


@dataclass
class Fields(Base):
    """A stranger's configuration.  CLI: model=stranger."""

    # in place of the comment of Base
    names: list[str] = field(default_factory=list)
    kind: str | None = option(None, "null: the usual one", ("usual", "other"))
    path: str = ""  # a file


ROWS = """\
| option | type | default | meaning |
|---|---|---|---|
| `a.rate` | `float` | `0.5` | share of &#60;rows&#62;, a&#124;b |
| `a.names` | `list[str]` | `[]` | in place of the comment of Base |
| `a.kind` | `str | null` | `null` | null: the usual one (other) |
| `a.path` | `str` | `""` | a file |"""


def test_a_table_has_type_default_and_meaning_of_each_field() -> None:
    assert site_fields.table(Fields, "a.") == ROWS
    assert site_fields.summary_of(Fields) == "A stranger's configuration."


def test_a_field_without_a_meaning_stops_the_build() -> None:
    with pytest.raises(site_fields.UndocumentedError, match=r"test_site\.Base\.names has neither help nor a comment"):
        site_fields.table(Base, "")


def test_each_field_of_the_configuration_is_described() -> None:
    classes = [RunConfig, *site_fields.GROUPS.values(), *OPTIMIZERS.values(), *SCHEDULES.values()]
    classes += [registry.load(kind, name) for kind in ("model", "data") for name in site_fields.own(kind)]
    for cls in classes:
        for item in dataclasses.fields(cls):
            assert len(site_fields.meaning_of(cls, item)) > 2
    assert "| `optimizer` |  | `adam` |" in site_fields.run_options()
    assert "| `trainer.patience` | `int` | `30` |" in site_fields.group_options("trainer")


def test_lists_have_all_that_the_code_has() -> None:
    commands = site_lists.commands()
    assert re.findall(r"^## lifecycle (\w+)$", commands, flags=re.MULTILINE) == list(SUBCOMMANDS)
    assert "| `input` | `required` |" in commands
    assert "**`binary_crossentropy`**" in site_lists.losses()
    for folder, text in (("data", site_lists.data_sets()), ("experiment", site_lists.presets())):
        assert all(f"| `{file.stem}` |" in text for file in (ROOT / "conf" / folder).glob("*.yaml"))


def test_the_calls_of_other_tools_are_all_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = yaml.safe_load(site_lists.IDIOMS.read_text())["idioms"]
    shown = site_lists.idioms()
    assert shown.count("<tr><td>") == len(rows)
    assert re.findall(r"^## (.*)$", shown, flags=re.MULTILINE) == list(dict.fromkeys(row["tool"] for row in rows))
    row = {"tool": "Keras", "theirs": "f(a<b)", "ours": "def g():\n    return 1\n\ng()\n", "note": "a `b` & c"}
    monkeypatch.setattr(site_lists, "IDIOMS", tmp_path / "idioms.yaml")
    site_lists.IDIOMS.write_text(yaml.safe_dump({"preamble": "import a\nb = 1\n", "idioms": [row]}))
    ours = "<td><pre><code>def g():\n    return 1\ng()</code></pre><p>a <code>b</code> &amp; c</p></td>"
    shown = site_lists.idioms()
    assert f"<tr><td><pre><code>f(a&lt;b)</code></pre></td>{ours}</tr>" in shown
    assert "```python\nimport a\n```" in shown


def test_links_lead_from_the_place_of_a_file_to_its_page() -> None:
    text = "[a](docs/data.md#series) ![b](docs/images/c.png) [d](CHANGELOG.md) [e](https://host/f) [g](#here)"
    led = "[a](data.md#series) ![b](images/c.png) [d](changelog.md) [e](https://host/f) [g](#here)"
    assert site_pages.relinked(text, "README.md") == led
    nested = "[a](../data.md) [b](../../examples/notebooks/pima.ipynb) [c](../../examples/plugin) [d](csv.md)"
    led = "[a](../data.md) [b](../notebooks/pima.md) [c](../examples/plugin.md) [d](csv.md)"
    assert site_pages.relinked(nested, "docs/how-to/csv.md") == led


def test_a_notebook_becomes_a_page_with_its_outputs() -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["\x1b[1mbold\x1b[0m\n"]},
        {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=", "text/plain": ["<Figure>"]}},
        {"output_type": "execute_result", "data": {"text/html": ["<style>\nx\n</style>\n<p>\n1</p>"]}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["print(1)"], "outputs": outputs},
    ]
    found = site_pages.notebook({"cells": cells}, "a")
    assert found["notebooks/a_0.png"] == b"\x89PNG\r\n\x1a\n"
    parts = [
        "# Title",
        "```python\nprint(1)\n```",
        "```text\nbold\n```",
        "![output](a_0.png)",
        '<div class="output"><p>1</p></div>',
    ]
    assert found["notebooks/a.md"] == "\n\n".join(parts) + "\n"


def test_badges_say_what_the_project_says() -> None:
    for name, text in pictures.badges().items():
        assert (pictures.ASSETS / name).read_text() == text, "Run python tools/pictures.py."


@pytest.mark.parametrize("name", ["site_pages", "pictures", "site_docstrings"])
def test_examples_in_docstrings_hold(name: str) -> None:
    if name == "site_docstrings":
        pytest.importorskip("griffe", reason="mkdocstrings is installed with the extra docs")
    ended = doctest.testmod(importlib.import_module(name))
    assert ended.attempted > 0
    assert ended.failed == 0


@pytest.mark.longest
def test_the_site_is_built_without_a_warning_and_needs_no_network(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, "WARNING" in ended.stderr) == (0, False), ended.stderr
    for page in tmp_path.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?//', text)
        loaded += re.findall(r'<link\b[^>]*\bhref="(?:https?:)?//', text)
        assert loaded == [], page
        assert "<!-- generated:" not in text, page
    index = json.loads((tmp_path / "search" / "search_index.json").read_text())
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"index.html", "faq.html", "how-to/csv.html", "reference/options.html", "notebooks/pima.html"} <= found
    for name in ("fit", "evaluate", "predict", "save"):
        assert f'id="lifecycle.api.model.Model.{name}"' in (tmp_path / "reference" / "python.html").read_text()
    options = (tmp_path / "reference" / "options.html").read_text()
    assert all(f"<code>trainer.{item.name}</code>" in options for item in dataclasses.fields(RunConfig().trainer))


@pytest.mark.longest
@pytest.mark.parametrize("file", sorted(notebooks.FOLDER.glob("*.ipynb")), ids=lambda file: file.stem)
def test_a_notebook_runs_and_shows_what_is_stored(file: Path) -> None:
    """Numbers may differ from machine to machine; the kinds of outputs do not."""

    def kinds(cells: list[dict[str, list[dict[str, object]]]]) -> list[list[list[str]]]:
        outputs = [[output.get("data", {output["output_type"]: ""}) for output in cell["outputs"]] for cell in cells]
        return [[sorted(one) for one in cell] for cell in outputs]  # type: ignore[call-overload]

    stored = [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]
    ran = [cell for cell in notebooks.run(file)["cells"] if cell["cell_type"] == "code"]
    assert kinds(ran) == kinds(stored), f"Run python tools/notebooks.py {file.stem}."
    assert file.stat().st_size < 100_000
