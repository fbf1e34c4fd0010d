"""Tables with and without a header, as texts: of the package, of scikit-learn, and made ones like public tables."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
import sklearn.datasets

ROWS = 200
TOWNS = ("Basel", "Bern", "Chur")


@lru_cache
def tables(seed: int = 0) -> dict[str, tuple[pd.DataFrame, str]]:
    """Return name -> table, and the separator that it is written with."""
    found = {
        name: (frame.head(ROWS), ",") for name, frame in {**_of_packages(), **_numbers(seed), **_texts(seed)}.items()
    }
    return found | _with_other_separators(seed)


@lru_cache
def texts(seed: int = 0) -> dict[tuple[str, bool], str]:
    """Return (name, whether it has a header) -> text."""
    return {
        (name, header): frame.to_csv(index=False, header=header, sep=sep)
        for name, (frame, sep) in tables(seed).items()
        for header in (True, False)
    }


def _of_packages() -> dict[str, pd.DataFrame]:
    found: dict[str, pd.DataFrame] = {}
    for name in ("iris", "wine", "breast_cancer", "diabetes", "digits"):
        bunch = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
        found[name] = bunch.frame
        found[f"{name} with the names of pandas"] = pd.DataFrame(bunch.data.to_numpy())
        if "target_names" in bunch:
            found[f"{name} with classes"] = bunch.data.assign(
                y=[str(bunch.target_names[code]) for code in bunch.target]
            )
    found["linnerud"] = pd.concat(sklearn.datasets.load_linnerud(return_X_y=True, as_frame=True), axis=1)
    folder = resources.files("lifecycle.data.embedded")
    for file in folder.iterdir():
        if file.name.endswith(".csv"):
            with file.open() as stream:
                found[file.name] = pd.read_csv(stream)
    return found


def _numbers(seed: int) -> dict[str, pd.DataFrame]:
    """Return tables with columns of numbers, some of which have missing values, units, or numbers as names."""
    rng = np.random.default_rng(seed)

    def one(*values: Any) -> Any:
        return rng.choice(list(values), ROWS)

    whole = rng.integers
    return {
        "adult": pd.DataFrame(
            {
                "age": whole(17, 90, ROWS),
                "work": one(" Private", " State-gov", " ?"),
                "gain": whole(0, 5000, ROWS),
                "income": one(" <=50K", " >50K"),
            }
        ),
        "credit": pd.DataFrame(
            {
                "A1": one("a", "b", "?"),
                "A2": [f"{value:.2f}" if value > 20 else "?" for value in rng.uniform(18, 70, ROWS)],
                "A4": one("u", "y"),
                "A16": one("+", "-"),
            }
        ),
        "balance": pd.DataFrame({"class": one("B", "L", "R"), **{k: whole(1, 6, ROWS) for k in ("lw", "ld", "rw")}}),
        "labels first": pd.DataFrame({"y": whole(0, 2, ROWS), "x": rng.normal(size=ROWS)}),
        "years as names": pd.DataFrame(
            {"country": [f"Land{row}" for row in range(ROWS)]}
            | {str(year): whole(10**5, 10**9, ROWS) for year in range(1990, 2000)}
        ),
        "pixels": pd.DataFrame({"label": whole(0, 10, ROWS), **{str(at): whole(0, 256, ROWS) for at in range(30)}}),
        "one number as a name": pd.DataFrame({"x": rng.normal(size=ROWS), "24.00": rng.normal(size=ROWS)}),
        "times": pd.DataFrame({"t": pd.date_range("2020", periods=ROWS).strftime("%d/%m/%Y"), "v": whole(0, 9, ROWS)}),
        "units": pd.DataFrame(
            {
                "weight": [f"{value} kg" for value in whole(40, 99, ROWS)],
                "cost": [f"${value:,}" for value in whole(1000, 99999, ROWS)],
                "share": [f"{value}%" for value in whole(0, 99, ROWS)],
            }
        ),
        "zip codes": pd.DataFrame({"zip": [f"{v:05d}" for v in whole(1, 99999, ROWS)], "town": one(*TOWNS)}),
        "four rows": pd.DataFrame({"a": [0, 0, 1, 1], "b": [0, 1, 0, 1], "y": [0, 1, 1, 0]}),
        "three rows": pd.DataFrame({"x": [1.5, 2.5, 3], "y": ["a", "b", "a"]}),
        "windows of a count": pd.DataFrame({f"t{at}": np.arange(at, at + 30) for at in range(6)}),
    }


def _texts(seed: int) -> dict[str, pd.DataFrame]:
    """Return tables without any column of numbers."""
    rng = np.random.default_rng(seed)

    def one(*values: Any) -> Any:
        return rng.choice(list(values), ROWS)

    words = ["hello", "free", "win", "call", "you", "me", "the", "a", "to", "now", "ok"]
    names = zip(one("Ann", "Bob", "Eve"), one("Lee", "Kim", "Roy"), strict=True)
    return {
        "mushrooms": pd.DataFrame({"class": one("e", "p"), "cap-shape": one(*"xbsf"), "bruises": one("t", "f")}),
        "cars": pd.DataFrame(
            {
                "buying": one("vhigh", "high", "med", "low"),
                "doors": one("2", "3", "4", "5more"),
                "safety": one("low", "med", "high"),
                "class": one("unacc", "acc", "good"),
            }
        ),
        "votes": pd.DataFrame(
            {"class": one("republican", "democrat"), **{f"v{at}": one("y", "n", "?") for at in range(16)}}
        ),
        "games": pd.DataFrame({**{f"s{at}": one(*"xob") for at in range(9)}, "class": one("positive", "negative")}),
        "ranges": pd.DataFrame({"age": one("30-39", "40-49", "50-59"), "breast": one("left", "right")}),
        "genes": pd.DataFrame(
            {
                "class": one("EI", "IE", "N"),
                "name": [f"ATRINS-DONOR-{row}" for row in range(ROWS)],
                "sequence": ["".join(rng.choice(list("ACGT"), 60)) for _ in range(ROWS)],
            }
        ),
        "messages": pd.DataFrame(
            {"label": one("ham", "spam"), "text": [" ".join(rng.choice(words, 8)) for _ in range(ROWS)]}
        ),
        "people": pd.DataFrame(
            {
                "name": [" ".join(pair) for pair in names],
                "email": [f"u{row}@example.com" for row in range(ROWS)],
                "city": one(*TOWNS),
            }
        ),
        "days": pd.DataFrame({"date": pd.date_range("2020", periods=ROWS).astype(str), "state": one("up", "down")}),
        "codes": pd.DataFrame({"code": [f"A{value}" for value in rng.integers(1, 999, ROWS)], "kind": one("x1", "x2")}),
        "truth values": pd.DataFrame({"a": one("True", "False"), "b": one("yes", "no")}),
        "colours": pd.DataFrame({"colour": one("red", "green", "blue"), "size": one("small", "large")}),
        "penguins": pd.DataFrame({"island": one("Torgersen", "Biscoe", "Dream"), "sex": one("MALE", "FEMALE", "")}),
    }


def _with_other_separators(seed: int) -> dict[str, tuple[pd.DataFrame, str]]:
    rng = np.random.default_rng(seed)
    commas = [f"{value:.2f}".replace(".", ",") for value in rng.uniform(1, 99, ROWS)]
    towns = rng.choice(TOWNS, ROWS)
    places = pd.DataFrame({"x": rng.normal(size=ROWS).round(3), "n": rng.integers(0, 9, ROWS), "town": towns})
    return {
        "decimal commas": (pd.DataFrame({"Preis": commas, "Ort": towns}), ";"),
        "decimal commas alone": (pd.DataFrame({"a": commas, "b": commas[::-1]}), ";"),
        "tabs": (places, "\t"),
        "pipes": (places, "|"),
        "semicolons": (places, ";"),
        "spaces": (places, " "),
    }
