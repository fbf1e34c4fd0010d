"""The space of a search: what is suggested, which values it contains, and all of its combinations."""

from __future__ import annotations

import json
from dataclasses import asdict

import optuna
import pytest

from lifecycle.sweeps.search import space
from lifecycle.sweeps.search.space import CATEGORICAL, FLOAT, INT, Base, Dimension, Objective, Search

RATE = Dimension("optimizer.lr", FLOAT, 1e-4, 0.1, log=True)
HIDDEN = Dimension("model.hidden", CATEGORICAL, choices=("[16]", "[64,32]"))
CHANNELS = Dimension("model.channels", CATEGORICAL, choices=("[4]", "[8]"))
MODEL = Dimension("model", CATEGORICAL, choices=("mlp", "cnn"), is_group=True)


def base(model: str, *fields: str) -> Base:
    return Base(
        {"model": model}, fields, {"config": {"seed": 0}}, ("data=iris", f"model={model}"), "data", {"torch": "2"}
    )


def search(*dimensions: Dimension) -> Search:
    bases = (
        base("mlp", *(one.key for one in dimensions if one.key not in ("model", "model.channels"))),
        base("cnn", *(one.key for one in dimensions if one.key not in ("model", "model.hidden"))),
    )
    return Search((MODEL, *dimensions), bases, (Objective("kept_val_loss", False, "val_loss"),), 3, 3)


def test_a_field_is_suggested_only_with_a_base_that_has_it() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = [search(RATE, HIDDEN, CHANNELS).suggest(study.ask()) for _ in range(30)]
    for values in found:
        assert set(values) == {
            "model",
            "optimizer.lr",
            "model.hidden" if values["model"] == "mlp" else "model.channels",
        }
        assert 1e-4 <= float(values["optimizer.lr"]) <= 0.1
    assert {values["model"] for values in found} == {"mlp", "cnn"}
    assert {values.get("model.hidden") for values in found} == {None, "[16]", "[64,32]"}
    # Half of the numbers are below the geometric mean of the ends.
    assert 8 <= sum(float(values["optimizer.lr"]) < 10**-2.5 for values in found) <= 22


@pytest.mark.parametrize(
    ("one", "values"),
    [
        (Dimension("a", INT, 2, 5), ["2", "3", "4", "5"]),
        (Dimension("a", INT, 2, 8, 3), ["2", "5", "8"]),
        (Dimension("a", FLOAT, 0.5, 1.5, 0.5), ["0.5", "1.0", "1.5"]),
        (Dimension("a", FLOAT, 0.5, 1.5), None),
        (HIDDEN, ["[16]", "[64,32]"]),
    ],
)
def test_values_that_can_be_listed_are_what_is_suggested(one: Dimension, values: list[str] | None) -> None:
    assert one.values == values
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [one.suggest(study.ask()) for _ in range(60)]
    assert all(one.contains(text) for text in drawn)
    assert values is None or set(drawn) == set(values)
    # What Optuna has is what the text says: it is given back when a search goes on.
    assert [one.value(text) for text in drawn] == [
        trial.params["a" if one is not HIDDEN else HIDDEN.key] for trial in study.trials
    ]


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (Dimension("a", INT, 2, 8, 3), "4"),
        (Dimension("a", INT, 2, 8), "2.5"),
        (Dimension("a", INT, 2, 8), "9"),
        (RATE, "0.2"),
        (Dimension("a", FLOAT, 0, 1, 0.25), "0.3"),
        (HIDDEN, "[32]"),
    ],
)
def test_other_values_are_not_contained(one: Dimension, text: str) -> None:
    assert not one.contains(text)


def test_all_combinations_of_a_finite_space() -> None:
    found = search(HIDDEN, CHANNELS, Dimension("seeds", INT, 1, 3))
    listed = list(found.combinations())
    assert found.size == len(listed) == 12
    assert listed[0] == {"model": "mlp", "model.hidden": "[16]", "seeds": "1"}
    assert listed[-1] == {"model": "cnn", "model.channels": "[8]", "seeds": "3"}
    assert len({json.dumps(one) for one in listed}) == 12
    assert search(HIDDEN, RATE).size is None


def test_a_search_is_read_as_it_was_written() -> None:
    found = search(RATE, HIDDEN, CHANNELS)
    fields = {name: getattr(found, name) for name in ("dimensions", "bases", "objectives", "seeds", "runs")}
    assert space.read(json.loads(json.dumps(fields, default=asdict))) == found


def test_the_values_of_a_trial_are_those_of_its_jobs_words() -> None:
    words = ("model=mlp", "optimizer.lr=0.00123456789", "model.hidden=[64,32]", "seed=2", "cv.fold=1")
    values = {"model": "mlp", "optimizer.lr": "0.00123456789", "model.hidden": "[64,32]"}
    assert search(RATE, HIDDEN).of_words(words) == values
    experiment = Dimension("experiment", CATEGORICAL, choices=("iris", "pima"), is_group=True, added=True)
    assert experiment.word("iris") == "+experiment=iris"
    assert Search((experiment,), (), ()).of_words(("+experiment=iris",)) == {"experiment": "iris"}
