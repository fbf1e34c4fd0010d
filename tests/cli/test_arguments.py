"""The arguments of a subcommand: typed fields, and a message for what does not fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.cli.arguments import read, read_known
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


def test_arguments_have_the_types_of_their_fields() -> None:
    assert read([], Fields, "use") == Fields()
    typed = ["run=12e4", "count=5", "name=null", "loud=true", "columns=[a,b]", "tracking.dir=x=y"]
    assert read(typed, Fields, "use") == Fields("12e4", 5, None, True, ["a", "b"], Inner("x=y"))


def test_other_arguments_are_returned_in_their_order() -> None:
    arguments = ["trainer.max_epochs=5", "run=latest", "data=iris"]
    assert read_known(arguments, Fields, "use") == (Fields("latest"), ["trainer.max_epochs=5", "data=iris"])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("latest", "use takes key=value arguments, got latest. Type for instance lifecycle use run=latest."),
        ("=latest", "use takes key=value arguments, got =latest."),
        ("rnu=latest", "rnu is not a field of lifecycle use, got latest. Did you mean run?"),
        ("count=many", "count must be a whole number, got many."),
        ("count=-1", "count must be 0 or more, got -1. The default is 3."),
        ("loud=perhaps", "loud must be true or false, got perhaps"),
        ("tracking.dri=a", "tracking.dri is not a field"),
        ("columns=[a", "columns=[a cannot be read as a list. Write columns=[a,b]."),
    ],
)
def test_the_message_for_an_argument_that_does_not_fit(argument: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        read([argument], Fields, "use")
    assert message in str(caught.value)


@given(st.text().filter(lambda text: text != "null" and not text.startswith(("[", "{"))))
def test_a_text_is_kept_as_typed(text: str) -> None:
    assert read([f"run={text}"], Fields, "use").run == text


def test_several_values_of_a_text_may_be_written_as_a_list() -> None:
    found = read(["run=[latest,0123]", "name=null", "columns=[a,b]"], Fields, "compare")
    assert (found.run, found.name, found.columns) == ("latest,0123", None, ["a", "b"])
