"""Messages: at most 400 characters for any value; the key and the remedy are kept."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lifecycle.api.model import Model
from lifecycle.errors import (
    COMMAND_LINE,
    MOST_CHARACTERS,
    FieldError,
    LifecycleError,
    RequestError,
    SavedModelError,
    Setting,
    Wording,
    did_you_mean_setting,
    field_error,
    shortened,
    unknown_field,
)
from lifecycle.runs.rerun import NotReproducedError
from tests.conftest import Command

TEXTS = st.one_of(
    st.text(max_size=600),
    st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=30), st.integers(1, 2000)),
    st.lists(st.integers(), max_size=2000).map(str),
    st.lists(st.floats(), max_size=2000).map(lambda values: str(np.array(values))),
)


@given(TEXTS, st.sampled_from([LifecycleError, RequestError, SavedModelError]))
@example("é" * 10_000, RequestError)
@example("a b " * 10_000, RequestError)
@example("\n" * 10_000, RequestError)
def test_a_message_has_its_key_and_its_remedy_and_at_most_400_characters(value: str, cls: type[LifecycleError]) -> None:
    before, after = "data.target must be the name of a column, got ", ". Name a column with data.target=price."
    said = str(cls(before + value + after))
    assert len(said) <= MOST_CHARACTERS
    assert said.startswith(before.strip())
    assert said.endswith(after.strip())
    assert str(cls(said)) == said


@given(st.lists(TEXTS, min_size=2, max_size=5))
def test_several_long_values_too(values: list[str]) -> None:
    said = shortened("loss must be mse, got " + " or ".join(values) + ". Use loss=mse.")
    assert len(said) <= MOST_CHARACTERS
    assert said.startswith("loss must be mse, got ")
    assert said.endswith(" Use loss=mse.")


def test_a_message_that_is_short_enough_stays_as_it_is() -> None:
    message = "a" * 150 + "\n  " + "b" * (MOST_CHARACTERS - 153)
    assert (str(RequestError(message)), str(LifecycleError())) == (message, "")


def test_a_long_value_is_cut_and_a_path_and_a_command_are_not() -> None:
    path, command = "/data/" + "p" * 90, "lifecycle resume run=" + "0" * 32
    said = shortened(f"{path} has a column {'c' * 5000} twice. Type {command}")
    assert path in said
    assert command in said
    assert len(said) <= MOST_CHARACTERS
    assert said.count("c") > MOST_CHARACTERS - 250


def test_a_report_of_several_lines_is_as_long_as_these_are() -> None:
    lines = "\n".join(f"  test_accuracy: {number}" for number in range(100))
    assert str(NotReproducedError(lines)) == lines


X = np.arange(40.0).reshape(20, 2)
LONG = "k" * 10_000
Y = np.where(np.arange(20) % 2 == 0, LONG, "short")
NUMBERS = np.linspace(0, 1, 5000)


def fit(X: Any = X, y: Any = Y, **options: Any) -> None:  # noqa: N803
    Model("mlp").fit(X, y, epochs=1, verbose=0, **options)


CALLS = {
    "an array as a number": lambda: fit(batch_size=NUMBERS),
    "an array as a seed": lambda: fit(seed=NUMBERS),
    "an array as a share": lambda: fit(validation_split=NUMBERS),
    "an array as a callback": lambda: fit(callbacks=NUMBERS),
    "an array as a folder": lambda: fit(tracking=NUMBERS),
    "an array as a field that is not there": lambda: fit(sample_weights=NUMBERS),
    "an array as widths": lambda: Model("mlp", hidden=-NUMBERS),
    "an array as an optimizer": lambda: Model("mlp").compile(NUMBERS),
    "a list of metrics": lambda: Model("mlp").compile(metrics=[LONG, "mse"]),
    "a class": lambda: Model("mlp").compile(class_weights={f"{LONG}x": 1.0, "short": 2.0}).fit(X, Y, verbose=0),
    "a class that was not seen": lambda: (
        Model("mlp").fit(X, np.array(Y, object), epochs=1, verbose=0)
        and fitted_on_long().evaluate(X, np.full(20, f"{LONG}x"))
    ),
    "a column": lambda: fit({LONG: ["a text"] * 19 + [object()], "b": range(20)}),
    "a name": lambda: Model(LONG),
    "a path": lambda: Model.load(f"/nowhere/{LONG}"),
    "a run": lambda: Model.from_run(LONG),
    "a text among numbers": lambda: fit([[1.0, 2.0]] * 19 + [[1.0, LONG]]),
}


def fitted_on_long() -> Model:
    model = Model("mlp")
    model.fit(X, Y, epochs=1, verbose=0)
    return model


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_call_is_reported_in_400_characters(call: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LifecycleError) as caught:
        CALLS[call]()
    assert 20 < len(str(caught.value)) <= MOST_CHARACTERS


@pytest.mark.parametrize(
    "word",
    [
        f"data.target={LONG}",
        f"data.path={LONG}.csv",
        f"data.drop=[{','.join(map(str, range(600)))}]",
        f"model.hidden=[{','.join(['-1'] * 600)}]",
        f"metrics=[{LONG}]",
        f"+{LONG}=1",
        f"seed={'9' * 3000}",
        f"trainer.max_epochs={'9' * 400}",
        f"trainer.max_epochs={'9' * 5000}",
        f"tracking.experiment={LONG}",
    ],
    ids=lambda word: word[:20],
)
def test_a_request_that_cannot_be_met_is_reported_in_400_characters(lifecycle: Command, word: str) -> None:
    ended = lifecycle("data=iris", word)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("lifecycle: ")
    assert 20 < len(ended.err.removeprefix("lifecycle: ").strip()) <= MOST_CHARACTERS


class Shouting(Wording):
    """An interface that writes keys in capitals."""

    def setting(self, setting: Setting) -> str:
        return super().setting(setting).upper()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ValueError("lr must be above 0, got -1.5. The default is 0.1."),
            "A.LR must be above 0, got -1.5. The default",
        ),
        (ValueError("name must not be x. y, got x. y. Leave it out."), "A.NAME must not be x. y, got x. y. Leave it"),
        (ValueError("units must be even"), "A.UNITS must be even."),
        (ValueError("layers[2] conv: filters must be 1 or more."), "A.LAYERS[2] conv: filters must be 1 or more."),
        (
            FieldError("rate", "must be 0", 1, ["Add ", Setting("b.c", False), "."]),
            "A.RATE must be 0, got 1. Add B.C=FALSE.",
        ),
    ],
)
def test_the_error_of_a_field_has_its_group_and_is_worded_by_each_interface(error: ValueError, message: str) -> None:
    found = field_error("a", error)
    assert str(found.worded(Shouting())).startswith(message)
    assert str(found) == f"a.{error}".removesuffix(".") + "."


def test_a_key_at_the_root_has_no_group() -> None:
    assert str(field_error("", FieldError("seed", "must be 0", 1))) == "seed must be 0, got 1."


def test_the_error_of_an_unknown_field_names_the_nearest_as_each_interface_writes_it() -> None:
    error = unknown_field("a.hiden", 3, ["hidden", "rate", "hydra"], ["the fields of ", Setting("a", "b")])
    assert (
        str(error) == "a.hiden is not a field of the fields of a=b, got 3. Did you mean a.hidden? Fields: hidden, rate."
    )
    assert "A.HIDEN is not a field of the fields of A=B" in str(error.worded(Shouting()))
    assert "Did you mean A.HIDDEN?" in str(error.worded(Shouting()))
    assert str(unknown_field("sed", "", [])) == "sed is not a field of a run. It has none."


def test_a_suggestion_is_a_setting() -> None:
    assert COMMAND_LINE.text(did_you_mean_setting("loss", "hubert", ["mse", "huber"])) == "Did you mean loss=huber? "
    assert COMMAND_LINE.text(did_you_mean_setting("loss", "x", ["mse", "huber"])) == ""


def test_an_error_is_worded_again_after_it_was_pickled() -> None:
    error = pickle.loads(
        pickle.dumps(RequestError(Setting("a.b", 1), "is wrong", 2, ["Use ", Setting("a.b", None), "."]))
    )
    assert str(error) == "a.b=1 is wrong, got 2. Use a.b=null."
    assert str(error.worded(Shouting())) == "A.B=1 is wrong, got 2. Use A.B=NULL."
