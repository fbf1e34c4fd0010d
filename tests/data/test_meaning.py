"""What the values of a column mean: inferred, reported, and declared with data.types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.data import steps
from lifecycle.data.columns.meaning import categories, dates, durations, numbers
from lifecycle.data.columns.meaning.convert import are_truths, converted
from lifecycle.data.columns.meaning.infer import Found, Hints, infer, number_or_time
from lifecycle.data.columns.meaning.meaning import DURATIONS, Meaning, of_types
from lifecycle.data.columns.step_inputs import Columns
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.errors import COMMAND_LINE, RequestError
from tests.rows import TableRows, held_out, load_rows

ROWS = 40

READ_AS_NUMBERS = {
    "a unit": (["12 kg", "3.5 kg", "0"], "kg", [12, 3.5, 0]),
    "a unit without a space": (["3.5km", "-1km"], "km", [3.5, -1]),
    "a rate": (["12 km/h", "7 km/h"], "km/h", [12, 7]),
    "an area": (["12 m2", "3.5 m2"], "m2", [12, 3.5]),
    "degrees": (["12°C", "\u22123°C"], "°C", [12, -3]),
    "percent": (["52%", "7.5 %"], "%", [52, 7.5]),
    "a currency before": (["CHF 1'234.50", "CHF 12.-"], "CHF", [1234.5, 12]),
    "a currency after": (["1.234,50 €", "2 €"], "€", [1234.5, 2]),
    "a sign": (["$1,234.50", "-$5", "($7)"], "$", [1234.5, -5, -7]),
    "thousands": (["52,510.0", "910.5"], "", [52510, 910.5]),
    "millions": (["1,234,567", "1,000"], "", [1234567, 1000]),
    "lakhs": (["12,34,567", "1,000"], "", [1234567, 1000]),
    "spaces": (["1 234,5", "12\u202f345"], "", [1234.5, 12345]),
    "decimal commas": (["52,51", "-0,664"], "", [52.51, -0.664]),
    "points and commas": (["1.234,5", "2"], "", [1234.5, 2]),
    "groups by points": (["1.234.567", "2"], "", [1234567, 2]),
    "parentheses": (["(1,234.5)", "2"], "", [-1234.5, 2]),
    "a leading zero before three digits": (["0,123", "1,234"], "", [0.123, 1.234]),
    "exponents": (["1.5e3 V", "2 V"], "V", [1500, 2]),
}


@pytest.mark.parametrize("case", READ_AS_NUMBERS)
def test_numbers_as_people_write_them(case: str) -> None:
    texts, unit, values = READ_AS_NUMBERS[case]
    reading = numbers.infer(texts)
    assert reading is not None
    assert reading.meaning.unit == unit
    assert [numbers.parse(text, reading.meaning) for text in texts] == values


@pytest.mark.parametrize(
    "texts",
    [["12 kg", "500 g"], ["007", "012"], ["1st", "2nd"], ["3B", "7B", "2C"], ["10-20", "20-30"], ["Basel"], ["<5"],
     ["5 Main Street North", "6 Oak"], ["1,23,4", "5"], ["(5", "6)"], ["2021-02-03"], ["1_000"], ["4X", "5X"]],
)  # fmt: skip
def test_texts_that_are_no_numbers_of_one_unit(texts: list[str]) -> None:
    assert numbers.infer(texts) is None


def test_a_comma_before_three_digits_is_decided_by_the_whole_column_and_reported() -> None:
    def found(**columns: list[str]) -> tuple[Any, list[str]]:
        result = infer(pd.DataFrame(columns, dtype="str"), {}, Hints(), "")["x"]
        return result.meaning, list(map(COMMAND_LINE.text, result.notes))

    separators = Meaning("number", decimal=".", thousands=",")
    assert found(x=["1,234", "5,678"]) == (
        separators,
        ["x: 1,234 is read as 1234. Otherwise add data.types={x: decimal_comma}"],
    )
    assert found(x=["1,234", "5,678.5"]) == (separators, [])
    assert found(x=["1,234", "5,6"]) == (Meaning("number", decimal=","), [])
    # Another column shows what the mark of the file is.
    meaning, notes = found(x=["1,234", "5,678"], z=["0,5", "7,25"])
    assert meaning == Meaning("number", decimal=",")
    assert notes == ["x: 1,234 is read as 1.234. Otherwise add data.types={x: decimal_point}"]
    frame = pd.DataFrame({"x": ["1,234", "5,678"]}, dtype="str")
    declared = infer(frame, of_types({"x": "decimal_comma"}), Hints(), "")["x"]
    assert declared.meaning is not None
    assert converted(frame["x"], declared.meaning).tolist() == [1.234, 5.678]
    assert infer(frame, {}, Hints(decimal=","), "")["x"].meaning == Meaning("number", decimal=",")


READ_AS_TIMES = {
    "iso": (["2021-02-03", "2020-10-27"], "2021-02-03"),
    "iso, slashes": (["2021/02/03"], "2021-02-03"),
    "iso, a time of day": (["2024-09-19 23:00", "2024-10-14 02:00"], "2024-09-19T23:00"),
    "iso, an offset": (["2024-09-19T23:00:30.5+01:00", "2024-09-19T23:00:00Z"], "2024-09-19T23:00:30.5"),
    "iso, months": (["2021-02", "2021-03"], "2021-02-01"),
    "day_first": (["03/02/2021", "27/10/2020"], "2021-02-03"),
    "day_first, points": (["3.2.21", "1.2.21"], "2021-02-03"),
    "day_first, a time of day": (["31.12.2020 23:59:58"], "2020-12-31T23:59:58"),
    "month_first": (["02/13/2021 5:30 PM", "01/02/2021 12:05 AM"], "2021-02-13T17:30"),
    "month_name": (["Feb-21", "Oct-98"], "2021-02-01"),
    "month_name, days": (["3 Feb 2021", "27-October-20"], "2021-02-03"),
    "month_name, American": (["February 3, 2021", "Mar 1st, 2020"], "2021-02-03"),
    "month_name, German": (["3. März 2021", "1. Dezember 2020"], "2021-03-03"),
    "month_name, French": (["3 février 2021", "14 août 2020"], "2021-02-03"),
    "quarter": (["2021Q2", "2020-Q4"], "2021-04-01"),
    "quarter, first": (["Q2 2021"], "2021-04-01"),
    "week": (["2020-W05", "2020-W53"], "2020-01-27"),
    "clock": (["12:30", "7:15"], "1970-01-01T12:30"),
}


@pytest.mark.parametrize("case", READ_AS_TIMES)
def test_times_in_common_notations(case: str) -> None:
    texts, first = READ_AS_TIMES[case]
    reading = dates.infer(texts)
    assert reading is not None
    assert (reading.notation, reading.other) == (case.partition(",")[0], "")
    assert np.datetime64(str(dates.parse(texts[0], reading.notation)), "ms") == np.datetime64(first, "ms")


READ_AS_DURATIONS = {
    "pandas": (["0 days 01:02:03", "-1 days +23:00:00", "3 days 00:00:00.5"], [3723, -3600, 259200.5]),
    "Python": (["1 day, 2:03:04", "0:00:01.250000", "-1 day, 23:00:00"], [93784, 1.25, -3600]),
    "hours above a day": (["25:00:00", "01:00:00"], [90000, 3600]),
    "one digit": (["1:02:03", "0:59:00"], [3723, 3540]),
    "minutes alone": (["00:45:12", "00:07:30"], [2712, 450]),
    "laps": (["1:58.3", "12:03.25"], [118.3, 723.25]),
    "a sign": (["-00:30:00", "09:30:00"], [-1800, 34200]),
    "iso": (["P1DT2H", "PT15M", "P2W", "-PT1,5S"], [93600, 900, 1209600, -1.5]),
    "units": (["2h 50m", "19h", "1h5min"], [10200, 68400, 3900]),
    "words": (["1 hour, 20 minutes", "1 Hour and 5 sec", "3 days"], [4800, 3605, 259200]),
    "other units": (["45 min", "2 h"], [2700, 7200]),
}


@pytest.mark.parametrize("case", READ_AS_DURATIONS)
def test_durations_are_seconds(case: str) -> None:
    texts, seconds = READ_AS_DURATIONS[case]
    assert durations.are_durations(texts)
    assert [durations.parse(text) for text in texts] == seconds
    assert number_or_time("lap", texts, Hints()) == Found(DURATIONS)
    read = converted(pd.Series(texts, dtype="str"), DURATIONS)
    assert read.tolist() == seconds == pd.to_timedelta(read, unit="s").dt.total_seconds().tolist()


@pytest.mark.parametrize(
    "texts",
    [["09:30:00", "18:00:00"], ["12:30", "7:15"], ["45 min", "5 min"], ["5 m", "3 d"], ["P1Y"], ["PT"], ["6 months"],
     ["1:75:00"], ["Basel"], ["9" * 5000 + ":00:00"], ["2021-02-03"]],
)  # fmt: skip
def test_texts_that_are_no_durations(texts: list[str]) -> None:
    assert not durations.are_durations(texts)


@given(st.lists(st.timedeltas(), min_size=1, max_size=9))
def test_any_duration_of_pandas_and_python_is_read_back(values: list[Any]) -> None:
    for value in values:
        assert durations.parse(str(value)) == pytest.approx(value.total_seconds(), abs=1e-5)
        if abs(value.days) < 100_000:  # those of pandas have nanoseconds
            assert durations.parse(str(pd.Timedelta(value))) == pytest.approx(value.total_seconds(), abs=1e-5)


def test_a_column_of_durations_is_one_number_and_may_be_declared() -> None:
    laps = [f"{row % 3}:{row % 60:02}:00" for row in range(ROWS)]
    data = load_rows(TableRows(frame=pd.DataFrame({"lap": laps, "y": np.arange(ROWS) / 7})))
    assert data.column_kinds["lap"] == "number in s"
    assert data.plugin.types == {"lap": "duration"}
    assert data.plugin.samples(pd.DataFrame({"lap": ["1:00:01", "26:00:00"]})).inputs["lap"].tolist() == [3601, 93600]
    assert data.plugin.samples(pd.DataFrame({"lap": [3601.0]})).inputs["lap"].tolist() == [3601]
    with pytest.raises(RequestError, match=r"^column lap holds durations in s, got soon in row 0\. Fix the value\.$"):
        data.plugin.samples(pd.DataFrame({"lap": ["soon"]}))
    clock = pd.DataFrame({"lap": ["09:30:00", "18:00:00"] * (ROWS // 2), "y": np.arange(ROWS) / 7})
    assert load_rows(TableRows(frame=clock)).column_kinds["lap"].startswith("time")
    declared = load_rows(TableRows(frame=clock, types={"lap": "duration"}))
    assert declared.plugin.samples(clock[:2]).inputs["lap"].tolist() == [34200, 64800]
    target = load_rows(TableRows(frame=pd.DataFrame({"x": np.arange(ROWS), "y": laps})))
    assert target.spec.task == "regression"
    assert np.asarray(target.train.labels).max() == max(map(durations.parse, laps))
    frame = pd.DataFrame({"lap": pd.to_timedelta(laps), "y": np.arange(ROWS) / 7})
    of_type = load_rows(TableRows(frame=frame))
    assert of_type.plugin.types == {"lap": "duration"}
    assert of_type.plugin.samples(pd.DataFrame({"lap": ["1:00:01"]})).inputs["lap"].tolist() == [3601]


def test_days_and_months_that_may_be_either_are_reported() -> None:
    frame = pd.DataFrame({"when": ["03/02/2021", "05/06/2020"]}, dtype="str")
    found = infer(frame, {}, Hints(), "")["when"]
    assert found.meaning == Meaning("time", notation="day_first")
    assert [COMMAND_LINE.text(note) for note in found.notes] == [
        "when: 03/02/2021 is read as 2021-02-03. If the month is first, add data.types={when: month_first}"
    ]
    meaning = infer(frame, of_types({"when": "month_first"}), Hints(), "")["when"].meaning
    assert meaning is not None
    assert converted(frame["when"], meaning).tolist()[0] == pd.Timestamp("2021-03-02")


def test_whole_numbers_are_dates_if_all_of_them_are() -> None:
    def notation(values: list[Any]) -> str | None:
        meaning = infer(pd.DataFrame({"x": values}), {}, Hints(), "")["x"].meaning
        return None if meaning is None else meaning.notation

    assert notation([20240131, 20200229, 19991231, 20210101, 20210102]) == "yyyymmdd"
    assert notation([20240131, 20200229, 19991231, 20210101, 20211302]) is None
    assert notation([202401, 202002, 199912, 202101, 202102, None]) == "yyyymm"
    assert notation([190500, 200100, 201000, 199900, 191200]) is None  # prices
    assert notation([1960, 1961, 1962, 1963, 1964]) is None  # years are numbers


def test_epoch_seconds_are_times_only_if_declared() -> None:
    frame = pd.DataFrame({"x": [1726786800, 1728871200.5]})
    assert infer(frame, {}, Hints(), "")["x"].meaning is None
    found = converted(frame["x"], of_types({"x": "epoch"})["x"])
    assert found.tolist()[0] == pd.Timestamp("2024-09-19 23:00")


def test_truth_values_have_two_spellings() -> None:
    for texts in (["yes", "No"], ["TRUE", "false"], ["ja", "nein"], ["oui", "non"], ["Y", "N"]):
        assert are_truths(texts)
    for texts in (["yes"], ["yes", "maybe"], ["0", "1"], ["yes", "nein"], []):
        assert not are_truths(texts)
    flags = pd.DataFrame({"flag": ["yes", "no"] * 20, "y": np.arange(ROWS) / 7})
    data = load_rows(TableRows(frame=flags))
    assert data.spec.feature_names == ("flag",)
    assert data.plugin.types == {"flag": "boolean"}
    # With a gap it stays a category, of which a missing value is one.
    flags.loc[0, "flag"] = None
    assert load_rows(TableRows(frame=flags)).spec.feature_names == ("flag_no", "flag_yes", "flag_None")


WRONG = {
    "{x: numbre}": ("x: numbre", r"types must be number, boolean, .*, got numbre for x\. Did you mean number\?"),
    "a text": ("text", r"types must map columns to their types, got text\. Write for instance \{zip: category,"),
    "one category": ({"x": ["S"]}, r"types must list two or more different categories for x, .* got \['S'\]"),
    "a category twice": ({"x": ["S", "M", "S"]}, r"types must list two or more different categories for x"),
    "a key": ({"x": {"kind": "number", "unti": "kg"}}, r"types must have the keys kind, unit, .*, got unti for x"),
    "no kind": ({"x": {"unit": "kg"}}, r"got kind=None for x\. Write for instance \{kind: number, unit: kg\}"),
    "a mark": ({"x": {"kind": "number", "decimal": ";"}}, r"must have one of \. , as decimal, got ; for x\. Leave it"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_type_is_refused_by_name(case: str) -> None:
    types, sentence = WRONG[case]
    with pytest.raises(ValueError, match=sentence):
        Table(path="a.csv", target="y", types={"x": "numbre"} if case.startswith("{") else types)


def test_a_type_of_no_column_is_refused_with_the_nearest_name() -> None:
    rows = TableRows(frame=pd.DataFrame({"town": ["a", "b"] * 20, "y": np.arange(ROWS) / 7}), types={"twon": "text"})
    with pytest.raises(
        RequestError, match=r"^data\.types=\{twon: \.\.\.\} is no feature of memory\. Did you mean town\?"
    ):
        load_rows(rows)


MISFITS = {
    "number": (["1 kg", "2 kg", "soon"], "number", r"column x holds numbers in kg, got soon in row 2\."),
    "time": (["2020-01-01", "2020-13-01"], "time", r"column x holds times \(iso\), got 2020-13-01 in row 1\."),
    "no time": (["a", "b"], "time", r"column x is declared as times, and holds a\. Write times as 2024-01-31 12:00"),
    "boolean": (["yes", "no", "maybe"], "boolean", r"column x holds truth values, got maybe in row 2\."),
    "order": (["S", "XL"], ["S", "M"], r"column x holds the ordered categories S, M, got XL in row 1\. Add it to data"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_value_that_does_not_fit_a_declared_type_is_named_with_its_row(case: str) -> None:
    texts, kind, sentence = MISFITS[case]
    rows = TableRows(frame=pd.DataFrame({"x": texts * 8, "y": np.arange(len(texts) * 8) / 7}), types={"x": kind})
    with pytest.raises(RequestError, match=f"^{sentence}"):
        load_rows(rows)


def test_declared_types_decide() -> None:
    frame = pd.DataFrame({
        "zip": np.arange(ROWS) % 3 + 8001, "when": [f"2020010{row % 9 + 1}" for row in range(ROWS)],
        "note": ["red", "blue", "a green one", "red and blue"] * 10, "flag": np.arange(ROWS) % 2, "id": np.arange(ROWS),
        "size": ["S", " l", "M", None] * 10, "weight": ["1 kg", "2"] * 20, "y": np.arange(ROWS) / 7,
    })  # fmt: skip
    types = {
        "zip": "category", "when": "time", "note": "text", "flag": "boolean", "id": "drop", "size": ["S", "M", "L"],
        "weight": "number",
    }  # fmt: skip
    data = load_rows(TableRows(frame=frame, types=types, scaling="none"))
    names = data.spec.feature_names
    inputs = pd.DataFrame(np.asarray(data.train.inputs), columns=names, index=data.train.rows)
    assert data.columns == ("zip", "when", "note", "flag", "size", "weight")
    assert {"zip_8001", "zip_8002", "zip_8003", "flag", "size", "weight", "when_day", "note_svd0"} < set(names)
    assert "id" not in names
    size = pd.Series([0.0, 2.0, 1.0, np.nan] * 10)
    expected = size.fillna(size[data.train.rows].median())[data.train.rows]
    np.testing.assert_array_equal(inputs["size"], expected)
    np.testing.assert_array_equal(inputs["weight"], np.tile([1.0, 2.0], 20)[data.train.rows])
    assert data.plugin.types["when"] == {"kind": "time", "notation": "yyyymmdd"}
    assert data.plugin.types["weight"] == {"kind": "number", "unit": "kg", "decimal": "."}


def test_times_are_expanded_into_the_parts_that_vary() -> None:
    when = pd.date_range("2021-03-01 07:00", periods=ROWS, freq="D")
    data = load_rows(TableRows(frame=pd.DataFrame({"when": when, "y": np.arange(ROWS) / 7}), scaling="none"))
    parts = [name.removeprefix("when_") for name in data.spec.feature_names]
    assert parts == ["month", "month_sin", "month_cos", "day", "weekday", "weekday_sin", "weekday_cos", "elapsed"]
    inputs = pd.DataFrame(np.asarray(data.train.inputs), columns=parts)
    of_rows = when[data.train.rows]
    np.testing.assert_array_equal(inputs["weekday"], of_rows.day_of_week + 1)
    np.testing.assert_allclose(inputs["month_sin"], np.sin(2 * np.pi * (of_rows.month - 1) / 12), rtol=1e-6)
    np.testing.assert_allclose(inputs["elapsed"], (of_rows - of_rows.min()).days)
    months = pd.DataFrame({"when": [f"{row % 12 + 1:02}/20{row % 7 + 10}" for row in range(ROWS)]})
    months = months.assign(when=["20" + text[-2:] + "-" + text[:2] for text in months["when"]], y=np.arange(ROWS) / 7)
    names = load_rows(TableRows(frame=months)).spec.feature_names
    assert names == ("when_year", "when_month", "when_month_sin", "when_month_cos", "when_elapsed")


def test_rare_categories_are_those_of_the_training_rows() -> None:
    towns = np.array(["Basel", "Bern"] * 20, dtype=object)
    plain = load_rows(TableRows(frame=pd.DataFrame({"town": towns, "y": np.arange(ROWS) / 7})))
    towns[plain.train.rows[:2]] = ["Chur", "Wil"]
    towns[held_out(plain)[:9]] = "Olten"  # frequent in held-out rows alone
    rows = pd.DataFrame({"town": towns, "y": np.arange(ROWS) / 7})
    assert load_rows(TableRows(frame=rows, rare=2)).spec.feature_names == ("town_(rare)", "town_Basel", "town_Bern")
    assert load_rows(TableRows(frame=rows, rare=0.2)).spec.feature_names == ("town_(rare)", "town_Basel", "town_Bern")
    data = load_rows(TableRows(frame=rows, rare=2))
    inputs = data.plugin.apply(data.preprocessing.inputs, pd.DataFrame({"town": ["Chur", "Olten", "new", "Bern"]}))
    np.testing.assert_array_equal(inputs, [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1]])
    assert categories.rare([("a", 1), (None, 1), ("b", 9)], 2) == set()  # one alone would only be renamed


def test_categories_are_trimmed_and_what_that_merges_is_reported() -> None:
    rows = pd.DataFrame({"town": ["Basel", "Basel ", "bern", "Bern"] * 10, "y": np.arange(ROWS) / 7})
    data = load_rows(TableRows(frame=rows))
    assert data.spec.feature_names == ("town_Basel", "town_Bern", "town_bern")
    assert [COMMAND_LINE.text(note) for note in data.notes] == [
        "town: 'Basel' and 'Basel ' are one category, without the spaces around it",
        "town: bern and Bern differ in capitals only. Add data.fold_case=true to make them one",
    ]
    folded = load_rows(TableRows(frame=rows, fold_case=True))
    assert folded.spec.feature_names == ("town_basel", "town_bern")
    assert not folded.plugin.unseen(folded.preprocessing.inputs, pd.DataFrame({"town": [" BASEL", "bern"]}))


def test_units_that_differ_and_identifiers_stay_categories_and_are_reported() -> None:
    rows = pd.DataFrame({"w": ["12 kg", "500 g"] * 20, "id": [f"A{row}x" for row in range(ROWS)]})
    data = load_rows(TableRows(frame=rows.assign(y=np.arange(ROWS) / 7)))
    assert data.plugin.types == {}
    assert [COMMAND_LINE.text(note) for note in data.notes] == [
        "w: numbers of several units (kg, g) are categories. Give one unit to make them numbers",
        "id: 40 different texts in 40 rows, an identifier rather than categories. Add data.drop=[id]",
    ]


def test_identifiers_are_named_once_in_the_line_of_the_audit() -> None:
    ids = [f"A{row}x" for row in range(ROWS)]
    rows = pd.DataFrame({"id": ids, "ref": ids[::-1], "near": [*ids[:-1], ids[0]], "y": np.arange(ROWS) / 7})
    data = load(TableRows(frame=rows), "mine", "table", 0, audited=True)
    assert data.audit is not None
    assert data.audit.identifiers == ["id", "ref"]
    nearly = "near: 39 different texts in 40 rows, an identifier rather than categories. Add data.drop=[near]"
    assert [COMMAND_LINE.text(note) for note in data.notes] == [nearly]
    assert len(load(TableRows(frame=rows), "mine", "table", 0).notes) == 3  # without an audit


def test_too_many_identifiers_are_refused_with_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(categories, "MOST_CELLS", 1000)
    rows = pd.DataFrame({"id": [f"A{row}x" for row in range(ROWS)], "y": np.arange(ROWS) / 7})
    with pytest.raises(RequestError, match=r"rather than categories\. Add data\.drop=\[id\], or data\.types="):
        load_rows(TableRows(frame=rows))
    assert load_rows(TableRows(frame=rows, types={"id": "text"})).spec.feature_names[0] == "id_svd0"
    assert len(load_rows(TableRows(frame=rows, types={"id": "category"})).spec.feature_names) == 24


def test_texts_of_held_out_rows_move_no_word_and_no_component() -> None:
    def of(texts: list[str]) -> Any:
        return load_rows(TableRows(frame=pd.DataFrame({"note": texts, "y": np.arange(ROWS) / 7})))

    texts = [f"a flat near lake {row} with {row % 5} rooms" for row in range(ROWS)]
    before = of(texts)
    for row in held_out(before):
        texts[row] = f"castle on hill number {row} of the moon"
    after = of(texts)
    assert before.plugin.types == {"note": "text"}
    assert before.spec.feature_names[:2] == ("note_svd0", "note_svd1")
    np.testing.assert_array_equal(np.asarray(before.train.inputs), np.asarray(after.train.inputs))
    vocabulary = after.preprocessing.inputs.named_transformers_["texts0"][0].vocabulary_
    assert "castle" not in vocabulary
    assert "flat" in vocabulary


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_a_word_of_all_training_texts_makes_no_huge_number_where_it_is_absent(scaling: str) -> None:
    texts = pd.Series([f"a note {row}" for row in range(120)])
    columns = Columns(numbers=[], texts=["note"])
    transformer = steps.learn(pd.DataFrame({"note": texts}), columns, scaling)
    for rows in (texts, pd.Series(["castle", "", "note", "a note 300"])):
        assert np.abs(steps.apply(transformer, pd.DataFrame({"note": rows}), columns)).max() < 10


def test_times_of_held_out_rows_move_no_part_and_no_statistic() -> None:
    when = pd.Series(pd.date_range("2021-03-01", periods=ROWS, freq="D")).dt.strftime("%d/%m/%Y")
    rows = pd.DataFrame({"when": when, "y": np.arange(ROWS) / 7})
    before = load_rows(TableRows(frame=rows))
    rows.loc[held_out(before), "when"] = "31/12/1999"
    after = load_rows(TableRows(frame=rows))
    assert before.spec == after.spec
    np.testing.assert_array_equal(np.asarray(before.train.inputs), np.asarray(after.train.inputs))


def test_a_target_of_amounts_is_a_value_and_its_name_of_classes_stays(tmp_path: Path) -> None:
    rows = pd.DataFrame({"x": np.arange(ROWS), "y": ["50 EUR", "40 EUR"] * 20})
    data = load_rows(TableRows(frame=rows))
    assert data.spec.task == "regression"
    assert set(np.asarray(data.train.labels)) == {50.0, 40.0}
    assert load_rows(TableRows(frame=rows, task="classification")).spec.class_names == ("40 EUR", "50 EUR")
    assert load_rows(TableRows(frame=rows.assign(y=["yes", "no"] * 20))).spec.class_names == ("no", "yes")
    declared = TableRows(frame=rows.assign(y=[1, 2] * 20), types={"y": "number"})
    assert load_rows(declared).spec.task == "regression"


def test_a_prediction_of_another_unit_is_refused_by_its_row() -> None:
    data = load_rows(TableRows(frame=pd.DataFrame({"w": ["12 kg", "5 kg"] * 20, "y": np.arange(ROWS) / 7})))
    assert data.plugin.samples(pd.DataFrame({"w": ["7 kg", "8", None]})).inputs["w"].tolist()[:2] == [7.0, 8.0]
    with pytest.raises(RequestError, match=r"^column w holds numbers in kg, got 7 lb in row 1\. Fix the value\.$"):
        data.plugin.samples(pd.DataFrame({"w": ["7 kg", "7 lb"]}))
