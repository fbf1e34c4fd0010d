"""Raw rows from files, scikit-learn and the package; files that would have to be changed are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets

from lifecycle.data.formats.text.dialect import Declared
from lifecycle.data.sources import files, sklearn_sets
from lifecycle.errors import RequestError

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and return its path."""

    def write(text: str, name: str = "a.csv", encoding: str = "utf-8") -> str:
        (tmp_path / name).write_text(text, encoding=encoding)
        return str(tmp_path / name)

    return write


def refused(path: str) -> str:
    with pytest.raises(RequestError) as caught:
        files.read(path)
    assert f"data.path={path}" in str(caught.value)
    return str(caught.value).replace(f"data.path={path} ", "", 1)


def test_a_csv_file_is_read_as_it_stands(write: Write) -> None:
    frame = files.read(write("n,x,word\n1,2.5,a\n2,,b\n"))
    assert list(frame) == ["n", "x", "word"]
    assert frame["n"].tolist() == [1, 2]
    assert frame["x"].isna().tolist() == [False, True]
    assert frame["word"].tolist() == ["a", "b"]


def test_a_parquet_file_is_read_as_it_stands(tmp_path: Path) -> None:
    wanted = pd.DataFrame({"n": [1, 2], "word": ["a", "b"]})
    wanted.to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(files.read(str(tmp_path / "a.parquet")), wanted)


def test_the_ending_may_be_in_capitals(write: Write) -> None:
    assert files.read(write("a\n1\n", name="A.CSV"))["a"].tolist() == [1]


def test_a_path_may_begin_with_the_home_folder(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a\n1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(files.read("~/a.csv")) == 1


@pytest.mark.parametrize("name", list(sklearn_sets.SKLEARN_TARGETS))
def test_a_data_set_of_scikit_learn_has_its_values_and_its_classes_names(name: str) -> None:
    frame = files.read(f"sklearn:{name}")
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    np.testing.assert_array_equal(frame.iloc[:, :-1].to_numpy(), bunch.data)
    target = frame[sklearn_sets.SKLEARN_TARGETS[name]].to_numpy()
    if name == "diabetes":
        np.testing.assert_array_equal(target, bunch.target)
    else:
        assert target.tolist() == [str(bunch.target_names[code]) for code in bunch.target]


def test_a_file_of_the_package_is_found_by_its_name() -> None:
    frame = files.read("lifecycle:sequence.csv")
    np.testing.assert_allclose(frame["value"], np.arange(10) / 10)


def test_a_data_set_that_is_not_known_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        RequestError,
        match=r"^data\.path=sklearn:irs is not known\. Did you mean iris\? "
        r"Choose from: iris, wine, breast_cancer, digits, diabetes, two_classes\.$",
    ):
        files.read("sklearn:irs")


def test_a_row_too_short_is_refused(write: Write) -> None:
    message = refused(write("a,b,c\n1,2,3\n4,5\n"))
    assert message == "cannot be read: line 3 has 2 cells, and the header has 3 (4,5). Fix the file."


@pytest.mark.parametrize("text", ["a,b\n1,2\n3,4,5\n", "a,b\n1,2,3\n4,5,6\n"], ids=["one row", "every row"])
def test_a_row_too_long_is_refused(write: Write, text: str) -> None:
    message = refused(write(text))
    assert re.match(r"cannot be read: line [23] has 3 cells, and the header has 2 \(.,.,.\)\. Fix the file\.", message)


def test_a_header_alone_is_refused(write: Write) -> None:
    assert refused(write("a,b\n")) == "has a header and no rows. Add rows."


EMPTY = "cannot be read: it is empty. Give a line with the names of the columns, and one row or more."


def test_an_empty_file_is_refused(write: Write) -> None:
    assert refused(write("")) == EMPTY


def test_a_column_that_stands_twice_is_refused(write: Write) -> None:
    message = refused(write("a,b,a\n1,2,3\n"))
    assert message == "cannot be read: it has the column a twice. Fix the file, or add data.names=[a,b,a_2]."


def test_a_column_without_a_name_is_refused(write: Write) -> None:
    message = refused(write("a,,b\n1,2,3\n"))
    assert message == (
        "cannot be read: column 2 has no name; an index is left out by to_csv(index=False). Fix the file, or add "
        "data.names=[a,c1,b]."
    )


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_a_header_that_is_separated_by_another_sign_than_the_declared_one_is_refused(write: Write, sign: str) -> None:
    file = write(f"a{sign}b\n1{sign}2\n")
    assert files.read(file).to_dict("list") == {"a": [1], "b": [2]}
    with pytest.raises(RequestError, match=f"its header is separated by {re.escape(repr(sign))} rather than a comma"):
        files.read(file, Declared(sep=","))


def test_an_index_with_a_name_in_parquet_is_a_column_and_one_without_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    frame = pd.DataFrame({"n": [1, 2]}, index=pd.Index([5, 7], name="id"))
    frame.to_parquet(file)
    assert files.read(str(file)).to_dict("list") == {"id": [5, 7], "n": [1, 2]}
    frame.rename_axis(None).to_parquet(file)
    assert refused(str(file)) == ("cannot be read: it has an index without a name. Fix the file.")


def test_a_word_such_as_na_is_kept_as_the_word_that_it_is(write: Write) -> None:
    frame = files.read(write("country,n\nNA,1\nUS,2\nNone,3\n"))
    assert frame["country"].tolist() == ["NA", "US", "None"]


@pytest.mark.parametrize("text", ["é,b\n1,2\n", "a,b\né,2\n", "a,b\n" + "x,1\n" * 300_000 + "é,2\n"], ids=len)
def test_text_that_is_not_utf_8_is_that_of_windows_unless_utf_8_is_declared(write: Write, text: str) -> None:
    file = write(text, encoding="latin-1")
    frame = files.read(file)
    assert frame.attrs["dialect"] == "comma, cp1252, header"
    assert "é" in [*frame.columns, *frame.iloc[:, 0]]
    with pytest.raises(RequestError, match=r"cannot be read: it is not UTF-8 (in column a|\(.* at byte \d+\))\. Fix"):
        files.read(file, Declared(encoding="utf-8"))


def test_a_missing_file_is_refused_with_the_nearest_next_to_it(write: Write, tmp_path: Path) -> None:
    write("a\n1\n", name="houses.csv")
    message = refused(str(tmp_path / "house.csv"))
    assert message == "is no file. Did you mean houses.csv? Give the path of a CSV, Parquet or JSON file."


def test_a_missing_file_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refused(str(tmp_path / "no" / "a.csv")) == "is no file. Give the path of a CSV, Parquet or JSON file."


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    assert refused(str(tmp_path)) == "is a folder without files. Give a file, or a folder of files of rows."


@pytest.mark.parametrize(("name", "ending"), [("a.xyz", ".xyz"), ("a", "nothing"), ("a.xyz.gz", ".xyz.gz")])
def test_an_unknown_ending_is_refused(write: Write, name: str, ending: str) -> None:
    message = refused(write("a\n1\n", name=name))
    assert message == (
        f"ends in {ending}. Give a file ending in .csv, .tsv, .txt, .data, .parquet, .feather, .json, .jsonl, .xlsx, "
        ".sqlite, .npz, .dta, .sas7bdat or .xpt; or one of these with .gz, .zip, .bz2, .xz, .zst."
    )


def test_a_parquet_file_that_is_none_is_refused(write: Write) -> None:
    assert re.match(r"cannot be read: .*\. Fix the file\.", refused(write("a\n1\n", name="a.parquet")))


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": []}).to_parquet(tmp_path / "a.parquet")
    assert refused(str(tmp_path / "a.parquet")) == "has a header and no rows. Add rows."


def test_codes_keep_their_zeros(write: Write) -> None:
    frame = files.read(write("zip,n\n01000,1\n02000,2\n90210,3\n"))
    assert frame["zip"].tolist() == ["01000", "02000", "90210"]
    assert frame["n"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("sep", [",", ";"])
@pytest.mark.parametrize("header", [True, False])
def test_next_to_a_column_of_codes_whole_numbers_may_have_gaps(write: Write, sep: str, header: bool) -> None:
    text = "n,zip,x,ok,word\n1,007,1.5,true,a\n,0101,,false,NA\n3,,-2,true,\n".replace(",", sep)
    frame = files.read(write(text if header else text.partition("\n")[2]), Declared(header=header))
    if not header:
        assert list(frame) == ["c0", "c1", "c2", "c3", "c4"]
        frame.columns = pd.Index(["n", "zip", "x", "ok", "word"])
    assert list(frame) == ["n", "zip", "x", "ok", "word"]
    assert frame["zip"].fillna("").tolist() == ["007", "0101", ""]
    np.testing.assert_array_equal(frame["n"], [1, np.nan, 3])
    np.testing.assert_array_equal(frame["x"], [1.5, np.nan, -2])
    assert frame["ok"].tolist() == [True, False, True]
    assert frame["word"].fillna("").tolist() == ["a", "NA", ""]
