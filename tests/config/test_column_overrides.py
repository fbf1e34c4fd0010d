"""Names of columns in overrides are those of the file, whatever Hydra's grammar makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from lifecycle.config.column_overrides import quoted
from lifecycle.config.compose import compose, compose_many
from lifecycle.config.records import request_record
from lifecycle.config.resolve import resolve

PARSER = OverridesParser.create()
TABLE = ["data=table", "data.path=a.csv"]

TARGETS = [
    "price",
    "24.00",
    "1e5",
    "-1",
    "c3",
    "Price (CHF)",
    "x=y",
    "a<b",
    "size %",
    "100%",
    "k.l",
    "true",
    "it's",
    "a;b",
    "Größe",
    "#id",
    "[x]",
    "abs(x)",
    "back\\",
    'the "width"',
    "a'b\\'c",
]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_the_name_that_is_typed(name: str) -> None:
    assert PARSER.parse_override(quoted(f"data.target={name}")).value() == name
    assert compose([*TABLE, f"data.target={name}"]).config.data.target == name


@settings(deadline=None, max_examples=200)
@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters=",'\"\\$[]{}()"), min_size=1)
)
def test_any_name_of_visible_signs_is_the_name_that_is_typed(name: str) -> None:
    found = PARSER.parse_override(quoted(f"data.target={name}")).value()
    assert found == name or name == "null"
    assert PARSER.parse_override(quoted(f"data.drop=[x,{name}]")).value() == ["x", name]


LISTS: dict[str, list[Any]] = {
    "data.drop=[0]": ["0"],
    'data.drop=[a.b, "x=y", 24.00,Price (CHF), it\'s]': ["a.b", "x=y", "24.00", "Price (CHF)", "it's"],
    "data.drop=['a, b',\"c, d\"]": ["a, b", "c, d"],
    "data.drop=[]": [],
    "data.drop=[a\\,b]": ["a,b"],
    "data.missing=[?,-,-999]": ["?", "-", "-999"],
    "data.names=[1,2.50,true]": ["1", "2.50", "true"],
}


@pytest.mark.parametrize(("word", "names"), LISTS.items())
def test_a_list_holds_the_names_that_are_typed(word: str, names: list[Any]) -> None:
    assert PARSER.parse_override(quoted(word)).value() == names


MAPPINGS: dict[str, dict[str, str]] = {
    "{a: b}": {"a": "b"},
    "{predicted: predicted_}": {"predicted": "predicted_"},
    "{24.00: price}": {"24.00": "price"},
    "{Price (CHF): price, a<b: c d}": {"Price (CHF)": "price", "a<b": "c d"},
    "{'a, b': c, \"d: e\": f}": {"a, b": "c", "d: e": "f"},
    "{a\\:b: c}": {"a:b": "c"},
}


@pytest.mark.parametrize(("typed", "names"), MAPPINGS.items())
def test_a_mapping_has_the_names_that_are_typed(typed: str, names: dict[str, str]) -> None:
    request = compose([*TABLE, "data.target=y", f"data.rename={typed}"])
    assert OmegaConf.to_container(request.config.data.rename) == names
    record = request_record.record_of(request)
    assert record["config"]["data"]["rename"] == names
    again = request_record.request_of(record, [f"data.rename={typed}", "data.target=24.00"])
    assert resolve(again).data.rename == names
    assert again.config.data.target == "24.00"


@pytest.mark.parametrize(
    "word",
    [
        "data.weight=null",
        "data.target=a,b",
        "data.target=${oc.env:X}",
        "data.target='24.00'",
        "data.drop=[a],[b]",
        "data.target=choice(a,b)",
        "data.rename={a: b},{a: c}",
        "data.test_size=0.5",
        "data=iris",
        "model.target=24.00",
        "+experiment=iris",
        "-m",
    ],
)
def test_other_words_stay_as_they_are(word: str) -> None:
    assert quoted(word) == word


def test_a_sweep_is_of_names() -> None:
    assert quoted("data.target=24.00,Price (CHF),a") == "data.target='24.00','Price (CHF)',a"
    with compose_many([*TABLE, "data.target=24.00,Price (CHF)"]) as (parsed, composed, _):
        (target,) = [one for one in parsed if one.key_or_group == "data.target"]
        words = [f"data.target={value}" for value in target.sweep_string_iterator()]
        assert [composed([*TABLE, word]).data.target for word in words] == ["24.00", "Price (CHF)"]


@pytest.mark.parametrize("sign", [";", ",", "|", "\\t", "tab"])
def test_a_separator_is_typed_as_a_sign(sign: str) -> None:
    assert compose([*TABLE, "data.target=y", f"data.sep={sign}"]).config.data.sep == sign
