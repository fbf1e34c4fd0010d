"""The verb ``predict``: raw rows in, the same rows with predictions beside them out."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from lifecycle import runs, words
from lifecycle.errors import RequestError


@dataclass
class Predict(runs.Which):
    """What ``lifecycle predict`` takes."""

    input: str = ""  # a CSV, Parquet or JSON file; -: standard input
    output: str = ""  # a file of these kinds; -: standard output


def run(typed: list[str]) -> None:
    """Write the predictions of a run for raw rows, and say how many there are.

    Raises:
        RequestError: the run, the input or a row cannot be used as it is; says what was expected and what came.
    """
    asked = words.read(typed, Predict, "predict")
    for name in ("input", "output"):
        if not getattr(asked, name):
            raise RequestError(f"{name} is not chosen. Add {name}=<file>, for instance {name}=new.csv.")
    folder = runs.find(asked).model_folder()
    from lifecycle import saved, streaming

    count = streaming.predict_file(saved.load(folder), asked.input, asked.output)
    print(f"Predicted {count} rows of {asked.input} into {asked.output}", file=sys.stderr)
