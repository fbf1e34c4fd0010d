"""The jobs of a multirun: the combinations that Hydra's own sweeper makes, and a run for each seed and fold."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.config.compose import compose
from lifecycle.errors import RequestError
from lifecycle.sweeps import grid


def parsed(words: Iterable[str]) -> list[Any]:
    return OverridesParser.create().parse_overrides(list(words))


def of_hydra(words: Iterable[str]) -> list[list[str]]:
    (batch,) = BasicSweeper.split_arguments(parsed(words), None)
    return batch


SWEEPS = [
    ("optimizer.lr=0.1",),
    ("optimizer.lr=0.1,0.01",),
    ("a=1,2", "b=3,4,5", "c=6"),
    ("model.hidden=[16],[64,32]",),
    ("seed=range(1,11)",),
    ("seed=range(0,10,3)", "a=x,y"),
    ("a=range(3)",),
    ("a=range(0.5,2,0.5)",),
    ("a=choice(1,x,true)",),
    ("a=choice('b c',\"d,e\")",),
    ("a=sort(3,1,2)",),
    ("a=sort(choice(3,1,2),reverse=true)",),
    ("a=tag(small,choice(1,2))",),
    ("a=shuffle(range(1,2))",),
    ("a=str(1,2)",),
    ("a={b: 1},{b: 2}",),
    ("a='b,c'", "d=null,''"),
    ("+new=1,2", "++set=3"),
    ("model=mlp,cnn", "optimizer@other=sgd,adam"),
    ("a=1,2", "b=4", "a=3,4"),
    ("a=${b},${c}",),
    (),
]


@pytest.mark.parametrize("words", SWEEPS, ids=" ".join)
def test_the_jobs_are_those_of_hydras_own_sweeper(words: tuple[str, ...]) -> None:
    assert grid.combinations(parsed(words)) == of_hydra(words)


@given(
    st.dictionaries(
        st.sampled_from("abcd"), st.lists(st.sampled_from(["1", "0.5", "x", "[1,2]", "null", "'q r'"]), min_size=1)
    )
)
def test_combinations_are_in_the_order_of_nested_loops(swept: dict[str, list[str]]) -> None:
    words = [f"{key}={','.join(values)}" for key, values in swept.items()]
    expected = [list(job) for job in itertools.product(*([f"{k}={v}" for v in values] for k, values in swept.items()))]
    found = grid.combinations(parsed(words))
    assert found == expected == of_hydra(words)
    assert len(found) == math.prod(map(len, swept.values()))


def test_a_deletion_is_part_of_each_job() -> None:
    """Hydra's sweeper writes ~metrics=null, which deletes it only where it is null."""
    assert grid.combinations(parsed(["~metrics", "a=1,2"])) == [["~metrics", "a=1"], ["~metrics", "a=2"]]


def test_a_deletion_of_one_value_keeps_that_value() -> None:
    assert grid.combinations(parsed(["~loss=mse", "a=1,2"])) == of_hydra(["~loss=mse", "a=1,2"])


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("optimizer.lr=interval(0.001,0.1)", "optimizer.lr", "interval(0.001,0.1)"),
        ("+model.rate=tag(log,interval(1e-4,0.1))", "+model.rate", "tag(log,interval(1e-4,0.1))"),
    ],
)
def test_an_interval_is_refused_with_what_to_write(word: str, key: str, value: str) -> None:
    sentence = (
        f"{key} is an interval, whose values cannot be listed, got {value}. List values, as in {key}=0.001,0.01, "
        "or add sweep=optuna sweep.trials=50 to search it."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        grid.combinations(parsed(["a=1,2", word]))


def runs(*words: str) -> list[tuple[dict[str, Any], dict[str, int]]]:
    """Return for each run what its configuration has of seeds and folds, and the values that are named."""
    found = []
    for request, values in grid.runs_of(compose(["data=iris", *words])):
        config = request.config
        places = {"seed": config.seed, "seeds": config.seeds, "split_seed": config.data.get("split_seed")}
        found.append((places | {"fold": config.cv.fold, "repeat": config.cv.repeat}, values))
    return found


def place(seed: int, split_seed: int | None = None, fold: int | None = None, repeat: int = 0) -> dict[str, Any]:
    return {"seed": seed, "seeds": None, "split_seed": split_seed, "fold": fold, "repeat": repeat}


def test_without_seeds_and_folds_there_is_one_run() -> None:
    assert runs() == [(place(0), {})]
    assert runs("seed=7", "data.split_seed=3") == [(place(7, 3), {})]


def test_seeds_are_counted_from_the_seed_on_one_split() -> None:
    assert runs("seeds=3") == [(place(seed, 0), {"seed": seed}) for seed in (0, 1, 2)]
    assert runs("seeds=2", "seed=7") == [(place(seed, 7), {"seed": seed}) for seed in (7, 8)]
    assert runs("seeds=2", "data.split_seed=4") == [(place(seed, 4), {"seed": seed}) for seed in (0, 1)]
    assert runs("seeds=1") == [(place(0, 0), {"seed": 0})]


def test_a_series_has_seeds_and_no_seed_of_its_split() -> None:
    words = ("data=airline_passengers", "model=lstm", "seeds=2")
    assert runs(*words) == [(place(0), {"seed": 0}), (place(1), {"seed": 1})]


def test_folds_are_a_run_each() -> None:
    assert runs("cv.folds=3") == [(place(0, None, fold), {"fold": fold}) for fold in (0, 1, 2)]


def test_repetitions_are_the_folds_again() -> None:
    found = runs("cv.folds=2", "cv.repeats=3")
    expected = [(repeat, fold) for repeat in range(3) for fold in range(2)]
    assert found == [(place(0, None, fold, rep), {"repeat": rep, "fold": fold}) for rep, fold in expected]


def test_seeds_run_the_same_folds() -> None:
    found = runs("cv.folds=2", "seeds=2", "seed=5")
    assert found == [
        (place(seed, 5, fold), {"seed": seed, "fold": fold}) for seed, fold in itertools.product((5, 6), (0, 1))
    ]


def test_one_fold_alone_is_one_run() -> None:
    assert runs("cv.folds=5", "cv.fold=3") == [(place(0, None, 3), {})]
    assert runs("cv.folds=5", "cv.fold=3", "cv.repeats=2", "cv.repeat=1") == [(place(0, None, 3, 1), {})]


def test_the_request_that_is_expanded_stays_as_it_is() -> None:
    request = compose(["data=iris", "seeds=2", "cv.folds=2"])
    first, last = grid.runs_of(request)[0][0], grid.runs_of(request)[-1][0]
    assert (request.config.seed, request.config.seeds, request.config.cv.fold) == (0, 2, None)
    assert (first.config.seed, last.config.seed) == (0, 1)
    assert first.recorded["cv"] == {"folds": 2, "repeats": 1, "fold": 0, "repeat": 0}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("seeds=0",), "seeds must be 1 or more, got 0. Use for instance seeds=10."),
        (("seeds=-3",), "seeds must be 1 or more, got -3. Use for instance seeds=10."),
        (
            ("seeds=2", "seed=4294967295"),
            "seeds would go beyond the largest seed, 4294967295, got 2. Begin with a lower seed.",
        ),
        (("cv.folds=1",), "cv.folds must be 2 or more, got 1. Leave it out for the default."),
        (("cv.folds=5", "cv.repeats=0"), "cv.repeats must be 1 or more, got 0. The default is 1."),
        (("cv.repeats=2",), "cv.repeats needs the number of folds, got 2. Add cv.folds=5, for instance."),
        (("cv.folds=3", "cv.fold=3"), "cv.fold must be below cv.folds=3, got 3. The first one is 0."),
        (("cv.folds=3", "cv.repeat=1"), "cv.repeat must be below cv.repeats=1, got 1. The first is 0."),
    ],
)
def test_seeds_and_folds_that_cannot_be_are_refused(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        grid.runs_of(compose(["data=iris", *words]))


def test_the_largest_seed_is_a_seed() -> None:
    assert [found["seed"] for found, _ in runs("seeds=2", "seed=4294967294")] == [4294967294, 4294967295]


def test_several_devices_are_refused() -> None:
    sentence = (
        "trainer.devices=2 cannot be used in a multirun: each process would start the whole sweep. "
        "Run the jobs one by one."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        grid.check([compose(["data=iris", "trainer.devices=2"])])
    grid.check([compose(["data=iris"])])


@pytest.mark.parametrize("word", ["tracking.dir=elsewhere", "tracking.experiment=other", "sweep.workers=3"])
def test_where_and_how_jobs_run_is_the_same_for_all(word: str) -> None:
    key, _, value = word.partition("=")
    with pytest.raises(RequestError, match=f"^{re.escape(key)} must be the same in all jobs of a sweep, got .*{value}"):
        grid.check([compose(["data=iris"]), compose(["data=iris", word])])
