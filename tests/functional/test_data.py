"""The verb `data`: what there is, and what is in one; without torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from lifecycle import registry
from tests.conftest import Command
from tests.functional.test_cli import HEAVY, asked
from tests.packages import Site, fresh_site

CONF = Path(__file__).parents[2] / "conf" / "data"
NAMED = sorted(file.stem for file in CONF.glob("*.yaml"))
SHIPPED = [name for name in NAMED if "download:" not in (CONF / f"{name}.yaml").read_text()]

site = pytest.fixture(fresh_site)


def said(text: str) -> dict[str, str]:
    """Return title -> text of the lines of a card that have a title."""
    return {
        match[1]: " ".join(match[2].split()) for match in re.finditer(r"^([A-Z]\w+) +(.*(?:\n {10}\S.*)*)", text, re.M)
    }


def test_the_data_sets_are_listed_with_kind_path_and_source(lifecycle: Command) -> None:
    ended = lifecycle("data")
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert lines[0].split() == ["name", "kind", "path", "source"]
    assert [line.split()[0] for line in lines[1 : len(NAMED) + 1]] == NAMED
    assert any(re.match(r"car_sales +series +download:monthly-car-sales\.csv +B\. Abraham", line) for line in lines)
    assert "Kinds of data, for your own files: array, images, series, table" in ended.out


def test_the_card_of_iris_says_what_is_in_it(lifecycle: Command) -> None:
    out = lifecycle("data", "iris").out
    lines = said(out)
    assert lines["Data"] == "iris (data=table, data.path=sklearn:iris)"
    assert lines["Rows"] == "150; no values missing"
    assert lines["Target"] == "species: 3 classes (classification)"
    assert lines["Classes"] == "setosa 50, versicolor 50, virginica 50"
    assert lines["Parts"] == "90 train, 30 validation, 30 test of 150 samples"
    assert lines["Source"].startswith("R. A. Fisher")
    assert lines["Licence"] == "CC BY 4.0 (UCI Machine Learning Repository)"
    assert "the one of R" in lines["Note"]
    assert re.search(r"^petal width \(cm\) +number +0 +22 +0\.1 +1\.1993 +2\.5 *$", out, re.M)
    assert re.search(r"^species +target +0 +3 +setosa \(50\) *$", out, re.M)


def test_the_digest_is_the_one_that_a_run_records(job: Command, runs: Callable[[], list[mlflow.entities.Run]]) -> None:
    assert job("data=airline_passengers", "model=lstm", "trainer.max_epochs=1").code == 0
    lines = said(job("data", "airline_passengers").out)
    assert lines["Sha256"] == runs()[0].data.tags["data.sha256"]
    assert lines["Target"] == "passengers: a value (regression)"


@pytest.mark.parametrize("name", SHIPPED)
def test_each_data_set_has_a_card_of_one_screen(lifecycle: Command, name: str) -> None:
    ended = lifecycle("data", name)
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) < 60
    lines = said(ended.out)
    fields = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    for title in ("Source", "Licence", "Note"):
        assert lines[title] == " ".join(fields[title.lower()].split())


@pytest.mark.parametrize("name", [name for name in NAMED if name not in SHIPPED])
def test_what_is_downloaded_states_source_licence_and_note_too(name: str) -> None:
    fields = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert all(fields[key] for key in ("source", "licence", "note"))


def test_what_one_must_know_of_a_data_set_stands_in_its_card(lifecycle: Command) -> None:
    boston = said(lifecycle("data", "boston_housing").out)["Note"]
    assert "Ethically disputed: the column black" in boston
    assert "the study's own aim and method are criticised" in boston
    assert "Zeros stand for missing values" in said(lifecycle("data", "pima").out)["Note"]
    ionosphere = lifecycle("data", "ionosphere").out
    assert said(ionosphere)["Note"] == "The column pulse_02 is 0 in all rows."
    assert re.search(r"^pulse_02 +number +0 +1 +0 +0 +0 *$", ionosphere, re.M)


def test_many_columns_of_a_kind_share_a_line(lifecycle: Command, tmp_path: Path) -> None:
    digits = lifecycle("data", "digits").out
    assert re.search(r"^pixel_0_0 \.\.\. pixel_7_7 \(64\) +pixel +0 +17 +0 +4\.8842 +16 *$", digits, re.M)
    wide = pd.DataFrame(np.arange(4000).reshape(40, 100) + 0.5, columns=[f"n{i}" for i in range(100)])
    wide.assign(town=["a", "b"] * 20, y=["u", "v"] * 20).to_csv(tmp_path / "wide.csv", index=False)
    out = lifecycle("data", "table", "data.path=wide.csv", "data.target=y").out
    assert re.search(r"^n0 \.\.\. n99 \(100\) +number +0 +4,000 +0\.5 +2000 +3999\.5 *$", out, re.M)
    assert re.search(r"^town +category +0 +2 +a \(20\) *$", out, re.M)
    assert len(out.splitlines()) < 20


def test_of_a_long_text_the_beginning_is_shown(lifecycle: Command, tmp_path: Path) -> None:
    notes = ["damp cellar, needs work, close to the park and to shops"] * 3 + ["bright rooms and a garden, no lift"] * 2
    pd.DataFrame({"notes": notes, "y": range(5)}).to_csv(tmp_path / "flats.csv", index=False)
    out = lifecycle("data", "data.path=flats.csv", "data.target=y").out
    assert " damp cellar, needs work, cl... (3)" in " ".join(out.split())
    assert "close to the park" not in out


def test_a_file_of_ones_own_has_a_card_by_its_kind_and_by_its_name(lifecycle: Command, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(30), "town": ["a", "b", None] * 10, "price": np.arange(30) + 0.5})
    frame.to_csv(tmp_path / "houses.csv", index=False)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "mine.yaml").write_text(
        'defaults: [table, _self_]\npath: houses.csv\ntarget: price\ndrop: [id]\nsource: "[me], 2026"\n'
    )
    lines = said(lifecycle("data", "mine").out)
    assert lines["Data"] == "mine (data=table, data.path=houses.csv)"
    assert lines["Rows"] == "30; 10 values missing"
    assert lines["Target"] == "price: a value (regression)"
    assert (lines["Source"], lines["Licence"]) == ("[me], 2026", "not stated")
    assert re.search(r"^mine +table +houses\.csv +\[me\], 2026 *$", lifecycle("data").out, re.M)
    ended = lifecycle(
        "data", "table", "data.path=houses.csv", "data.target=price", "data.drop=[id]", "data.test_size=3"
    )
    assert said(ended.out)["Sha256"] == lines["Sha256"]
    assert said(ended.out)["Parts"] == "21 train, 6 validation, 3 test of 30 samples"
    assert re.search(r"^town +category +10 +2 +a \(10\) *$", ended.out, re.M)
    assert re.search(r"^id +dropped +0 +30 +0 +14\.5 +29 *$", ended.out, re.M)


def test_a_broken_file_of_ones_own_is_named_below_the_list(lifecycle: Command, tmp_path: Path) -> None:
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "mine.yaml").write_text("defaults: [table, _self_]\npath: houses.csv\n")
    ended = lifecycle("data")
    assert ended.code == 0
    assert "broken: data=mine: data.target must be given, got nothing." in ended.out


WRONG = {
    "irys": "data=irys is not known. Did you mean data=iris?",
    "iris wine": "data takes the name of a data set, then key=value arguments, got iris wine. Type for instance",
    "data=iris": "data takes the name of a data set, then key=value arguments, got data=iris.",
    "table": "data.path must be given, got nothing. Add for instance data.path=houses.csv.",
    "table data.path=no.csv data.target=y": "data.path=no.csv is no file.",
    "iris data.tset_size=0.1": "data.tset_size is not a field of data=table, got 0.1. Did you mean data.test_size?",
    "iris data.test_size=149": "data.test_size=149 and data.val_size=0.2 leave no training rows of 150 samples.",
}


@pytest.mark.parametrize(("words", "sentence"), WRONG.items())
def test_a_bad_request_is_one_sentence(lifecycle: Command, words: str, sentence: str) -> None:
    ended = lifecycle("data", *words.split())
    assert ended.code == 2
    assert ended.err.startswith(f"lifecycle: {sentence}")
    assert ended.out == ""


def test_a_card_is_printed_without_torch(tmp_path: Path) -> None:
    (_, _, listing), (code, out, heavy) = asked(tmp_path, [(["data"], {}), (["data", "iris"], {})], HEAVY)
    assert not {"torch", "pytorch_lightning", "mlflow"} & set(heavy)
    assert (code, "setosa 50" in out) == (0, True)
    assert listing == []


CODE = """\
from dataclasses import dataclass
from lifecycle.data.kinds.table import Table

@dataclass
class Bare:
    "Rows of another package, which says nothing of itself."
    sample_dim = 1
"""
TABLE = "Table(path='sklearn:iris', target='species')"
VERB = f"    def {{0}}(self, *given): return {TABLE}.{{1}}(*given)\n"


def test_a_kind_of_another_package_that_has_no_card_is_shown_all_the_same(site: Site, lifecycle: Command) -> None:
    # Of a table, split is a field.
    code = CODE + "".join(
        VERB.format(verb, verb.replace("split", "split_samples")) for verb in registry.METHODS["data"]
    )
    site.install("other", {"bare": "Bare"}, code, group="lifecycle.data")
    lines = said(lifecycle("data", "bare").out)
    assert lines["Data"] == "bare (data=bare, data.path=)"
    assert (lines["Source"], lines["Rows"]) == ("not stated", "150; no values missing")


def test_a_run_prints_what_its_columns_are_taken_for(job: Command) -> None:
    out = job("data=wine", "trainer.max_epochs=1", "verbose=1").out
    assert re.search(r"^Columns   13 numbers$", out, re.M)
    out = job("data=airline_passengers", "trainer.max_epochs=1", "verbose=1").out
    assert re.search(r"^Columns   from its own past: passengers; in order of time: month$", out, re.M)
