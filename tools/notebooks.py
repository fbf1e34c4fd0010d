"""Runs the notebooks of examples/notebooks and stores their outputs: ``python tools/notebooks.py [NAME ...]``.

Each runs in an empty folder. Ids of runs and of objects, which differ each time, are made equal, so that a notebook
changes only if its results do.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
SECONDS = 300
CHANGING = ((re.compile(r"\b[0-9a-f]{32}\b"), "0" * 32), (re.compile(r" at 0x[0-9a-f]+"), ""))


def run(file: Path) -> Any:
    """Return a notebook with the outputs of its cells.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails; has its traceback.
    """
    notebook = nbformat.read(file, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            _make_equal(output)
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return notebook


def _make_equal(output: Any) -> None:
    """Replace what differs from run to run in the texts of an output."""
    for texts in (output, output.get("data", {})):
        for kind in ("text", "text/plain", "text/html"):
            if isinstance(text := texts.get(kind), str):
                for pattern, constant in CHANGING:
                    text = pattern.sub(constant, text)
                texts[kind] = text


def main() -> None:
    """Run the notebooks that are named, or all."""
    for file in sorted(FOLDER.glob("*.ipynb")):
        if not sys.argv[1:] or file.stem in sys.argv[1:]:
            nbformat.write(run(file), file)
            print(file.name)


if __name__ == "__main__":
    main()
