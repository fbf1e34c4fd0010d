"""The words of a verb: typed fields, and what does not fit as one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.cli.arguments import read, read_some
from lifecycle.errors import RequestError


@dataclass
class Inner:
    dir: str = "mlruns"


@dataclass
class Fields:
    run: str = ""
    count: int = 3
    name: str | None = "a"
    loud: bool = False
    columns: list[str] = field(default_factory=list)
    tracking: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count must be 0 or more, got {self.count}. The default is 3.")


def test_words_are_of_their_fields_types() -> None:
    assert read([], Fields, "use") == Fields()
    typed = ["run=12e4", "count=5", "name=null", "loud=true", "columns=[a,b]", "tracking.dir=x=y"]
    assert read(typed, Fields, "use") == Fields("12e4", 5, None, True, ["a", "b"], Inner("x=y"))


def test_other_words_are_left_to_the_caller_in_their_order() -> None:
    words = ["trainer.max_epochs=5", "run=latest", "data=iris"]
    assert read_some(words, Fields, "use") == (Fields("latest"), ["trainer.max_epochs=5", "data=iris"])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("latest", "use takes key=value words, got latest. Type for instance lifecycle use run=latest."),
        ("=latest", "use takes key=value words, got =latest."),
        ("rnu=latest", "rnu is not a field of lifecycle use, got latest. Did you mean run?"),
        ("count=many", "count must be a whole number, got many."),
        ("count=-1", "count must be 0 or more, got -1. The default is 3."),
        ("loud=perhaps", "loud must be true or false, got perhaps"),
        ("tracking.dri=a", "tracking.dri is not a field"),
        ("columns=[a", "columns=[a cannot be read as a list. Write columns=[a,b]."),
    ],
)
def test_a_word_that_does_not_fit_is_one_sentence(word: str, told: str) -> None:
    with pytest.raises(RequestError) as caught:
        read([word], Fields, "use")
    assert told in str(caught.value)


@given(st.text().filter(lambda text: text != "null" and not text.startswith(("[", "{"))))
def test_a_text_is_taken_as_it_is_typed(text: str) -> None:
    assert read([f"run={text}"], Fields, "use").run == text
