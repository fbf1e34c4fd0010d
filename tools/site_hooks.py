"""Hooks of MkDocs: add pages that are files elsewhere, and fill in what is generated from the code.

A line ``<!-- generated: NAME WORDS -->`` in a page is replaced by the result of the function of :data:`GENERATED`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

import site_fields
import site_lists
import site_pages

GENERATED: dict[str, Callable[..., str]] = {
    "run_options": site_fields.run_options,
    "group_options": site_fields.group_options,
    "plugins": site_fields.plugins,
    "choices": site_fields.choices,
    "commands": site_lists.commands,
    "losses": site_lists.losses,
    "words": site_lists.words,
    "data_sets": site_lists.data_sets,
    "presets": site_lists.presets,
    "idioms": site_lists.idioms,
    "gallery": site_lists.gallery,
}
MARK = re.compile(r"^<!-- generated: (\w+) ?(.*?) -->$", flags=re.MULTILINE)


def filled(text: str) -> str:
    """Return the Markdown of a page with its generated parts.

    Raises:
        PluginError: a mark names no function.
    """

    def part(mark: re.Match[str]) -> str:
        name, words = mark.groups()
        if name not in GENERATED:
            raise PluginError(f"{mark[0]} names nothing that is generated. Use one of {', '.join(GENERATED)}.")
        return GENERATED[name](*words.split())

    return MARK.sub(part, text)


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the pages that are no files of docs/."""
    for name, content in site_pages.pages().items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in the generated parts of a page, and lead its links to the site's pages."""
    if page.file.generated_by is not None:
        return markdown
    return site_pages.relinked(filled(markdown), f"docs/{page.file.src_uri}")
