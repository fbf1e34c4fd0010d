"""The recorded request of a run gives the same request again, from any folder, with overrides or an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.config.compose import compose
from lifecycle.config.records.request_record import record_of, request_of
from lifecycle.config.resolve import resolve
from lifecycle.errors import RequestError, SavedModelError
from tests.packages import Site, fresh_site

PRESETS = sorted(file.stem for file in (Path(__file__).parents[2] / "conf" / "experiment").glob("*.yaml"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Have a folder of installed packages."""
    yield from fresh_site(tmp_path, monkeypatch)


def stored(*words: str) -> dict[str, Any]:
    """Return the record of a request as a file gives it back."""
    found: dict[str, Any] = json.loads(json.dumps(record_of(compose(list(words)))))
    return found


@pytest.mark.parametrize("name", PRESETS)
def test_a_record_gives_back_the_request_of_each_worked_example(name: str) -> None:
    words = [f"+experiment={name}", "seed=3", "trainer.max_epochs=7"]
    asked, back = compose(words), request_of(stored(*words), command="again")
    assert back.config == asked.config
    assert resolve(back).model == resolve(asked).model
    assert resolve(back).data == resolve(asked).data
    assert (resolve(back).optimizer, resolve(back).trainer) == (resolve(asked).optimizer, resolve(asked).trainer)
    assert (back.choices, back.run_name, back.command) == (asked.choices, asked.run_name, "again")
    assert (back.sweep, back.overrides) == (None, ())


def test_a_plugin_of_another_package_is_found_again_and_reported_when_it_is_missing(site: Site) -> None:
    site.install("acme-nets", {"acme": "Net"})
    record = stored("model=acme", "data=iris", "model.width=5")
    back = resolve(request_of(record))
    assert (back.model_name, back.model.width) == ("acme", 5)  # type: ignore[attr-defined]
    record["types"]["model"] = "acme_gone"
    with pytest.raises(
        SavedModelError, match=r"the run needs something that is not installed: model=acme_gone is not installed"
    ):
        request_of(record)


def test_a_file_is_found_from_the_recorded_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("then", "now"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "then")
    Path("a.csv").write_text("x,y\n1,2\n")
    record = stored("data=table", "data.path=a.csv", "data.target=y")
    assert request_of(record).config.data.path == "a.csv"
    monkeypatch.chdir(tmp_path / "now")
    assert request_of(record).config.data.path == str(tmp_path / "then" / "a.csv")
    (tmp_path / "then" / "a.csv").unlink()
    assert request_of(record).config.data.path == "a.csv"  # it exists nowhere: as typed, for the message
    assert request_of(stored("data=iris")).config.data.path == "sklearn:iris"


def test_overrides_change_values_of_their_type(tmp_path: Path) -> None:
    words = ["trainer.max_epochs=500", "model.hidden=[8,4]", "optimizer.lr=1e-2", "trainer.patience=null"]
    back = request_of(stored("model=mlp", "data=iris"), words[:3])
    assert back.config == compose(["model=mlp", "data=iris", *words[:3]]).config
    assert back.overrides == tuple(words[:3])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epoch=5", "trainer.max_epoch is not a field of trainer, got 5. Did you mean trainer.max_epochs?"),
        ("trainer.max_epochs=many", "trainer.max_epochs must be a whole number, got many."),
        ("model=cnn", "model=cnn cannot change a recorded run. Write field=value with one value, such as"),
        ("seed=1,2", "seed=1,2 cannot change a recorded run."),
        ("+new=1", "+new=1 cannot change a recorded run."),
        ("~seed", "~seed cannot change a recorded run."),
    ],
)
def test_overrides_that_do_not_fit_are_refused(override: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        request_of(stored("model=mlp", "data=iris"), [override])
    assert message in str(caught.value)


def test_a_record_of_another_format_is_refused() -> None:
    with pytest.raises(SavedModelError, match=r"in format 2, and this version reads 1\. Update nn-lifecycle\.$"):
        request_of({**stored(), "format": 2})


@settings(max_examples=15, deadline=None)  # each composes anew
@given(
    st.fixed_dictionaries(
        {
            "seed": st.integers(0, 2**31),
            "trainer.max_epochs": st.integers(1, 10**6),
            "optimizer.lr": st.floats(1e-9, 1e3),
            "trainer.shuffle": st.sampled_from(["true", "false"]),
            "model.hidden": st.lists(st.integers(1, 999), max_size=4).map(lambda sizes: str(sizes).replace(" ", "")),
        }
    )
)
def test_overrides_of_the_record_and_of_the_resume_give_the_same_request(values: dict[str, object]) -> None:
    words = [f"{key}={value}" for key, value in values.items()]
    assert request_of(PLAIN, words).config == request_of(stored(*words)).config


PLAIN = stored()
