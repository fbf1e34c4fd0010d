"""Files as spreadsheets write them: each is read as it is meant, or refused with an option that then works."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.data.formats import reading
from lifecycle.data.kinds.series import Series
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.errors import COMMAND_LINE, RequestError
from lifecycle.predict.predict_file import predict_file
from lifecycle.predict.trained_model import READING
from tests.data.test_meaning_predicts import inputs_of_training, trained_on

ROWS = 40
RNG = np.random.default_rng(0)
SIZE, HEIGHT = RNG.normal(size=ROWS).round(2), RNG.normal(size=ROWS).round(2)
PRICE = (2 * SIZE - HEIGHT + 3).round(2)
TOWN = RNG.choice(["Bern", "Chur", "Genf"], ROWS)
NAMES = "size,height,town,price"
LINES = [f"{a},{b},{town},{c}" for a, b, town, c in zip(SIZE, HEIGHT, TOWN, PRICE, strict=True)]

UNITS = "the line below it left out (cm, m, CHF)"
READ = {
    "a title, padded": ([",,,", "Report,,,", ",,,", NAMES, *LINES], "3 lines above the header left out"),
    "units": ([NAMES, "cm,m,,CHF", *LINES], UNITS),
    "units, in quotation marks": ([NAMES, '"cm","m","","CHF"', *LINES], UNITS),
    "names of groups": (["measure,measure,place,money", NAMES, *LINES], "1 line above the header left out"),
    "names of groups, once each": (["measure,,place,", NAMES, *LINES], "1 line above the header left out"),
    "decimal commas": ([line.replace(",", ";").replace(".", ",") for line in (NAMES, *LINES)], "decimal comma"),
}


def written(folder: Path, lines: list[str], name: str = "a.csv") -> str:
    (folder / name).write_text("\n".join(lines) + "\n")
    return str(folder / name)


def used(plugin: Table, folder: Path) -> Any:
    """Return a loaded data set, after its file was predicted as its rows were trained on."""
    model, data = trained_on(plugin)
    model = replace(model, provenance={READING: reading.record(data.dialect)}, data=Table(**asdict(data.plugin)))
    assert predict_file(model, plugin.path, folder / "out.parquet") == data.num_rows
    found = pd.read_parquet(folder / "out.parquet")["predicted"].to_numpy()
    parts = [part for part in (data.train, data.val, data.test) if part is not None]
    rows = np.sort(np.concatenate([part.rows for part in parts]))
    own = model.as_frame(model.outputs(_tensor(inputs_of_training(data))), replace(_samples(model, plugin), base=None))
    np.testing.assert_allclose(found[rows], own["predicted"].to_numpy(), rtol=1e-5)
    return data


def _tensor(inputs: Any) -> Any:
    import torch

    return torch.from_numpy(inputs)


def _samples(model: Any, plugin: Table) -> Any:
    return model.data.samples(plugin.read())


@pytest.mark.parametrize("memory_gb", [None, 1e-7], ids=["in memory", "on disk"])
@pytest.mark.parametrize("case", READ)
def test_what_a_spreadsheet_adds_to_a_table_is_left_out_and_said(
    case: str, memory_gb: float | None, tmp_path: Path
) -> None:
    lines, said = READ[case]
    plugin = Table(path=written(tmp_path, lines), target="-1", memory_gb=memory_gb)
    data = used(plugin, tmp_path)
    assert said in data.reading
    assert (data.num_rows, data.spec.task, data.columns) == (ROWS, "regression", ("size", "height", "town"))
    parts = [data.train, data.val, data.test]
    order = np.argsort(np.concatenate([part.rows for part in parts]))
    np.testing.assert_allclose(np.concatenate([part.labels for part in parts])[order].astype(float), PRICE)
    if case == "decimal commas":  # no set of labels either
        assert not any("multilabel" in COMMAND_LINE.text(note) for note in data.notes)


def test_texts_of_one_column_or_of_a_declared_mark_are_no_line_of_units(tmp_path: Path) -> None:
    for first, fields in (("n.a.,1,Bern,2", {}), ("n.a.,n.a.,Bern,2.5", {}), ("x,y,Bern,", {"missing": ["x", "y"]})):
        plugin = Table(path=written(tmp_path, [NAMES, first, *LINES]), target="town", **fields)
        try:
            assert load(plugin, "a", "table", 0).num_rows == ROWS + 1
        except RequestError as error:
            assert "the text 'n.a.' in row 0" in str(error)  # noqa: PT017 - either is right


WORDS = ["n.a.", "unknown"]
REFUSED = {
    "two words among numbers": (
        [
            NAMES,
            *(line if at % 9 else f"{WORDS[at // 9 % 2]},{line.partition(',')[2]}" for at, line in enumerate(LINES)),
        ],
        {},
        "If the 2 texts are marks of missing values, add data.missing=[n.a.,unknown].",
        {"missing": WORDS},
    ),
    "another one": (
        [
            NAMES,
            *(line if at % 9 else f"{WORDS[at // 9 % 2]},{line.partition(',')[2]}" for at, line in enumerate(LINES)),
        ],
        {"missing": WORDS[:1]},
        "If it is a mark of missing values, add data.missing=[n.a.,unknown].",
        {"missing": WORDS},
    ),
    "a word in the target": (
        [NAMES, *LINES[:9], "1.5,2.5,Bern,n.a.", *LINES[9:]],
        {},
        "data.target=price has numbers, and the text 'n.a.' in row 9. Fix the text or remove the row, or add "
        "data.task=classification if each value is a class. If it is a mark of missing values, add "
        "data.missing=[n.a.] data.missing_target=drop.",
        {"missing": ["n.a."], "missing_target": "drop"},
    ),
    "a name twice": (
        ["size,size,town,price", *LINES],
        {},
        "it has the column size twice. Fix the file, or add data.names=[size,size_2,town,price].",
        {"names": ["size", "size_2", "town", "price"]},
    ),
    "a comma at the end": (
        [f"{line}," for line in (NAMES, *LINES)],
        {"target": "price"},
        "column 5 has no name; an index is left out by to_csv(index=False). Fix the file, or add "
        "data.names=[size,height,town,price,c4].",
        {"target": "price", "names": ["size", "height", "town", "price", "c4"], "drop": ["c4"]},
    ),
}


@pytest.mark.parametrize(("lines", "fields", "sentence", "then"), REFUSED.values(), ids=list(REFUSED))
def test_a_refused_file_is_read_with_the_option_that_the_message_names(
    lines: list[str], fields: dict[str, Any], sentence: str, then: dict[str, Any], tmp_path: Path
) -> None:
    path = written(tmp_path, lines)
    for memory_gb in (None, 1e-7):
        with pytest.raises(RequestError) as caught:
            load(Table(**{"path": path, "target": "-1", "memory_gb": memory_gb} | fields), "a", "table", 0)
        assert sentence in str(caught.value)
        assert used(Table(**{"path": path, "target": "-1", "memory_gb": memory_gb} | then), tmp_path).num_rows >= ROWS


def test_few_words_among_classes_that_are_numbers_are_classes(tmp_path: Path) -> None:
    lines = [NAMES, *(f"{line.rpartition(',')[0]},{'5+' if at == 7 else at % 4}" for at, line in enumerate(LINES))]
    assert load(Table(path=written(tmp_path, lines), target="-1"), "a", "table", 0).spec.class_names[-1] == "5+"
    lines = [NAMES, *LINES, "1.5,2.5,Bern,none"]
    data = load(Table(path=written(tmp_path, lines), target="-1", task="classification"), "a", "table", 0)
    assert "none" in data.spec.class_names


def test_a_last_row_of_sums_is_found_and_a_word_for_it_is_no_missing_value(tmp_path: Path) -> None:
    sums = f"{SIZE.sum():.2f},{HEIGHT.sum():.2f}"
    for last, found in (
        (f"{sums},Total,{PRICE.sum():.2f}", ["size, height, price"]),
        (f",,Summe:,{PRICE.sum():.2f}", ["price"]),
        (f"1,2,Total,{PRICE.sum():.2f}", []),
        (f"1,2,Bern,{PRICE.sum():.2f}", []),
    ):
        plugin = Table(path=written(tmp_path, [NAMES, *LINES, last]), target="-1")
        audit = load(plugin, "a", "table", 0, audited=True).audit
        assert audit is not None
        texts = [COMMAND_LINE.text(one.text) for one in audit.findings if one.check == "totals"]
        assert texts == [
            f"row {ROWS}, the last one: the sum of all others in {names}, as of a line of totals. Remove the row."
            for names in found
        ]
    with pytest.raises(RequestError, match=r"the text 'Total' in row 40.* Remove the row if it holds totals\.$"):
        load(Table(path=written(tmp_path, [NAMES, *LINES, "Total,,,99"]), target="-1"), "a", "table", 0)


def test_a_header_whose_names_were_replaced_is_known_again(tmp_path: Path) -> None:
    plugin = Table(path=written(tmp_path, [NAMES, *LINES]), target="y", names=["a", "b", "c", "y"])
    model, data = trained_on(plugin)
    model = replace(model, provenance={READING: reading.record(data.dialect)})
    expected = model.predict(plugin.read())["predicted"].to_numpy()
    files = {
        "without the target": [line.rpartition(",")[0] for line in (NAMES, *LINES)],
        "in another order": [",".join(reversed(line.split(","))) for line in (NAMES, *LINES)],
        "with the new names": ["a,b,c", *(line.rpartition(",")[0] for line in LINES)],
    }
    for name, lines in files.items():
        predict_file(model, written(tmp_path, lines, "b.csv"), tmp_path / "out.parquet")
        found = pd.read_parquet(tmp_path / "out.parquet")["predicted"]
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("header", ["size;price", ',"size","price"', "size\tprice"])
def test_a_header_alone_has_no_rows_whatever_separates_it(header: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"has a header and no rows\. Add rows\."):
        load(Table(path=written(tmp_path, [header]), target="price"), "a", "table", 0)


def test_a_series_that_is_not_in_order_of_its_times_says_so() -> None:
    months = pd.date_range("2001-01-01", periods=30, freq="MS")
    values = np.sin(np.arange(30.0))
    frame = pd.DataFrame({"when": months.strftime("%b-%y"), "note": "a", "n": np.arange(30)[::-1], "y": values})
    plugin = Series(path="a.csv", target="y")
    assert plugin.notes(frame) == plugin.notes(frame.assign(when=months)) == []
    (note,) = plugin.notes(frame[::-1])
    assert COMMAND_LINE.text(note) == (
        "when: its time decreases in row 1 (May-03 after Jun-03), and rows are taken in the order of the file. Add "
        "data.time=when"
    )
    (note,) = plugin.notes(frame.assign(when=months.strftime("%Y%m").astype(int)).iloc[[0, 1, *range(1, 30)]])
    assert "its time repeats in row 2 (200102 after 200102)" in COMMAND_LINE.text(note)
    assert Series(path="a.csv", target="y", time="when").notes(frame[::-1]) == []


def test_one_column_may_be_a_series(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"Add features, or use data=series for values in order of time\."):
        load(Table(path=written(tmp_path, ["price", *map(str, PRICE)]), target="price"), "a", "table", 0)
