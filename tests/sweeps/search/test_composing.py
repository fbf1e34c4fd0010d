"""Plans of searches: spaces in Hydra's syntax, conditional fields, their names, and what is refused before a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle.config.compose import compose
from lifecycle.errors import RequestError
from lifecycle.sweeps import plan as plans
from lifecycle.sweeps.planning import Signatures
from lifecycle.sweeps.search import composing
from lifecycle.sweeps.search.space import CATEGORICAL, FLOAT, INT, Dimension
from tests.sweeps.search.conftest import Make

RATE = "optimizer.lr=tag(log,interval(1e-4,0.1))"
N = "sweep.trials=5"


def test_each_kind_of_range_is_a_dimension(make: Make) -> None:
    plan = make(
        N,
        RATE,
        "model.dropout=interval(0,0.9)",
        "trainer.batch_size=interval(8.5,64)",
        "trainer.patience=tag(log,int(interval(2,9)))",
        "trainer.max_epochs=range(2,9,3)",
        "optimizer.weight_decay=range(0,0.3,0.1)",
        "model.hidden=[16],[64,32]",
        "model.activation=choice(relu,tanh)",
        "model.batch_norm=choice(true)",
    )
    assert plan.search is not None
    assert plan.search.dimensions == (
        Dimension("optimizer.lr", FLOAT, 1e-4, 0.1, log=True),
        Dimension("model.dropout", FLOAT, 0, 0.9),
        # The field takes integers only.
        Dimension("trainer.batch_size", INT, 9, 64),
        Dimension("trainer.patience", INT, 2, 9, log=True),
        Dimension("trainer.max_epochs", INT, 2, 8, 3),
        Dimension("optimizer.weight_decay", FLOAT, 0, pytest.approx(0.2), pytest.approx(0.1)),
        Dimension("model.hidden", CATEGORICAL, choices=("[16]", "[64,32]")),
        Dimension("model.activation", CATEGORICAL, choices=("relu", "tanh")),
        Dimension("model.batch_norm", CATEGORICAL, choices=("True",)),
    )
    assert (plan.jobs, plan.total, plan.search.size, plan.search.runs) == ((), 5, None, 1)


def test_a_field_is_searched_with_the_models_that_have_it(make: Make) -> None:
    plan = make(N, "data=digits", "model=mlp,cnn", RATE, "model.channels=[4],[8]", "model.kernel_size=choice(5)")
    assert plan.search is not None
    assert [(base.names, base.fields) for base in plan.search.bases] == [
        ({"model": "mlp"}, ("optimizer.lr",)),
        ({"model": "cnn"}, ("optimizer.lr", "model.channels", "model.kernel_size")),
    ]
    values = {"model": "cnn", "optimizer.lr": "0.01", "model.channels": "[8]", "model.kernel_size": "5"}
    (job,) = composing.jobs_of(plan, values, Signatures())
    assert job.words == ("model=cnn", "optimizer.lr=0.01", "model.channels=[8]", "model.kernel_size=5")
    assert job.record["types"]["model"] == "cnn"
    assert job.record["config"]["model"]["channels"] == [8]
    (job,) = composing.jobs_of(plan, {"model": "mlp", "optimizer.lr": "0.01"}, Signatures())
    assert "channels" not in job.record["config"]["model"]


def test_a_job_is_the_run_that_its_words_compose(make: Make) -> None:
    plan = make(N, "data=iris", "trainer.max_epochs=3", RATE, "model.hidden=[16],[64,32]", "seeds=2", "seed=4")
    values = {"optimizer.lr": "0.0123", "model.hidden": "[64,32]"}
    jobs = composing.jobs_of(plan, values, Signatures())
    assert [dict(job.varied) for job in jobs] == [{"seed": 4}, {"seed": 5}]
    assert len({job.configuration for job in jobs}) == 1
    assert plan.total == 10
    for job in jobs:
        request = job.request(plan)
        assert request.sweep is not None
        alone = compose(list(request.overrides))
        assert alone.recorded == request.recorded
        assert alone.recorded["optimizer"]["lr"] == 0.0123
        assert request.config.data.split_seed == 4


def test_the_name_is_that_of_the_space_and_not_of_the_budget(make: Make, tmp_path: Path) -> None:
    first = make(N, RATE)
    assert make("sweep.trials=9", "sweep.minutes=3", "sweep.workers=2", "verbose=0", RATE).name == first.name
    for words in (
        (N, "optimizer.lr=tag(log,interval(1e-4,0.2))"),
        (N, RATE, "model.hidden=[8]"),
        (N, RATE, "sweep.sampler=random"),
        (N, RATE, "sweep.prune=asha"),
        (N, RATE, "sweep.metric=test_accuracy"),
        (N, RATE, "seeds=2"),
        (N, RATE, "seed=1"),
    ):
        assert make(*words).name != first.name, words
    # Typed again, it has the jobs that it had.
    jobs = tuple(composing.jobs_of(first, {"optimizer.lr": "0.001"}, Signatures()))
    plans.write(replace(first, jobs=jobs))
    again = make("sweep.trials=9", RATE)
    assert (again.jobs, again.total) == (jobs, 9)
    assert again.search is not None
    assert first.search is not None
    assert again.search.dimensions == first.search.dimensions
    assert plans.read(first.folder) == replace(first, jobs=jobs)


@pytest.mark.parametrize(
    ("words", "metrics"),
    [
        ((), [("kept_val_loss", False, "val_loss")]),
        (("cv=5",), [("test_loss", False, "val_loss")]),
        (("sweep.metric=val_accuracy",), [("kept_val_accuracy", True, "val_accuracy")]),
        (("sweep.metric=test_f1", "metrics=[accuracy,f1]"), [("test_f1", True, "val_f1")]),
        (
            ("sweep.metric=test_hamming_distance", "metrics=[HammingDistance]"),
            [("test_hamming_distance", False, "val_hamming_distance")],
        ),
        (
            ("data=diabetes", "sweep.metric=[test_r2,val_mae]", "metrics=[r2,mae]"),
            [("test_r2", True, "val_r2"), ("kept_val_mae", False, "val_mae")],
        ),
    ],
)
def test_the_direction_of_an_objective_is_that_of_its_metric(
    make: Make, words: tuple[str, ...], metrics: list[tuple[str, bool, str]]
) -> None:
    plan = make(N, RATE, *(word.replace("cv=", "cv.folds=") for word in words))
    assert plan.search is not None
    assert [(one.metric, one.higher, one.monitor) for one in plan.search.objectives] == metrics


BAD = {
    "no trials": (
        (RATE,),
        "sweep.trials must be set in a search, or sweep.minutes, or it would never end, got null. Add sweep.trials=50.",
    ),
    "nothing to search": (
        (
            N,
            "optimizer.lr=0.1",
        ),
        "sweep=optuna has no setting to search: each setting has one value. Add for instance 'optimizer.lr=",
    ),
    "no such sampler": (
        (
            N,
            RATE,
            "sweep.sampler=tpa",
        ),
        "sweep.sampler must be one of tpe, random, gp, cmaes, nsga2, nsga3, qmc, grid, got tpa. Did you mean tpe?",
    ),
    "no such pruner": (
        (
            N,
            RATE,
            "sweep.prune=hyper",
        ),
        "sweep.prune must be one of none, median, percentile, hyperband, asha, got hyper. Did you mean hyperband?",
    ),
    "several with a pruner": (
        (
            N,
            RATE,
            "sweep.metric=[val_loss,test_accuracy]",
            "sweep.prune=asha",
        ),
        "sweep.prune cannot be used with several objectives, sweep.metric=[val_loss,test_accuracy], got asha.",
    ),
    "several that end early": (
        (
            N,
            RATE,
            "sweep.metric=[val_loss,test_accuracy]",
            "sweep.terminate=true",
        ),
        "sweep.terminate cannot be used with several objectives",
    ),
    "several with cmaes": (
        (
            N,
            RATE,
            "sweep.metric=[val_loss,test_accuracy]",
            "sweep.sampler=cmaes",
        ),
        "sweep.sampler cannot be used with several objectives, "
        "sweep.metric=[val_loss,test_accuracy], got cmaes. Use sweep.sampler=nsga2, tpe or "
        "gp.",
    ),
    "one twice": (
        (
            N,
            RATE,
            "sweep.metric=[val_loss,val_loss]",
        ),
        "sweep.metric must name each score once, got [val_loss,val_loss].",
    ),
    "no name": (
        (
            N,
            RATE,
            "sweep.metric=[]",
        ),
        "sweep.metric must be a score or a list of scores, got [].",
    ),
    "no such score": (
        (
            N,
            RATE,
            "sweep.metric=val_acuracy",
        ),
        "sweep.metric=val_acuracy is a score that no run logs. Did you mean val_accuracy? "
        "Scores: loss, accuracy; metrics=[...] adds others.",
    ),
    "a score of another task": (
        (
            N,
            RATE,
            "sweep.metric=test_mae",
        ),
        "sweep.metric=test_mae is a score that no run logs. Scores: loss, accuracy;",
    ),
    "a score without rows": (
        (
            N,
            RATE,
            "sweep.metric=accuracy",
        ),
        "sweep.metric=accuracy is a score that no run logs. Did you mean kept_val_accuracy? "
        "They begin with val_ (validation rows) or test_.",
    ),
    "again": (
        (
            N,
            RATE,
            "sweep.again=true",
        ),
        "sweep.again repeats the finished jobs of a grid, and a search adds trials, got true.",
    ),
    "a launcher": (
        (
            N,
            RATE,
            "sweep.launcher=joblib",
        ),
        "sweep.launcher runs jobs that are known in advance",
    ),
    "an interval on a grid": (
        (
            RATE,
            "sweep.sampler=grid",
        ),
        "sweep.sampler=grid needs values that can be listed, and optimizer.lr is an interval.",
    ),
    "the wrong way round": (
        (
            N,
            "optimizer.lr=interval(0.1,0.01)",
        ),
        "optimizer.lr must begin below its end, got interval(0.1,0.01).",
    ),
    "the logarithm of 0": (
        (
            N,
            "optimizer.lr=tag(log,interval(0,0.01))",
        ),
        "optimizer.lr must begin above 0 with tag(log, ...), got tag(log,interval(0,0.01)).",
    ),
    "a mixture": (
        (
            N,
            "optimizer.lr=interval(0,1),3",
        ),
        "optimizer.lr mixes a range with other values",
    ),
    "an end out of range": (
        (
            N,
            "optimizer.lr=interval(-1,0.1)",
        ),
        "optimizer.lr must be above 0, got -1.0.",
    ),
    "a choice that does not fit": (
        (
            N,
            "model.hidden=[16],wide,[8]",
        ),
        "model.hidden must be a list, such as [a,b], got wide.",
    ),
    "an unknown field": (
        (
            N,
            "model.hiden=[16],[8]",
        ),
        "model.hiden is not a field of model=mlp, got [16]. Did you mean model.hidden?",
    ),
    "a field of no model": (
        (
            N,
            "model=mlp,lstm",
            "model.channels=[16],[8]",
        ),
        "model.channels is not a field of model=mlp",
    ),
    "an unknown name": (
        (
            N,
            "model=mlp,cmm",
        ),
        "model=cmm is not known.",
    ),
    "seeds as a setting": (
        (
            N,
            RATE,
            "seed=1,2,3",
        ),
        "seed is no setting to search: its best value is luck, got 1,2,3. Use seeds=3 or cv=5",
    ),
    "other data": (
        (
            N,
            RATE,
            "data=iris,wine",
        ),
        "data cannot be searched: scores of other rows are not comparable, got iris,wine.",
    ),
    "tracking": (
        (
            N,
            RATE,
            "tracking.run_name=a,b",
        ),
        "tracking.run_name is no setting of a model that could be searched, got a,b.",
    ),
    "a new key": (
        (
            N,
            "+model.rate=interval(0,1)",
        ),
        "model.rate cannot be searched with + or @",
    ),
    "several devices": (
        (
            N,
            RATE,
            "trainer.devices=2",
            "trainer.strategy=ddp",
        ),
        "trainer.devices=2 cannot be used in a multirun",
    ),
    "an expression": (
        (
            N,
            RATE,
            "optimizer.weight_decay=${optimizer.lr}",
        ),
        "optimizer.weight_decay follows from a searched setting by an expression.",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_search_that_cannot_be_is_refused_before_its_first_job(make: Make, what: str, tmp_path: Path) -> None:
    words, message = BAD[what]
    with pytest.raises(RequestError) as refused:
        make(*words)
    assert str(refused.value).startswith(message)
    assert not list(tmp_path.rglob("sweeps"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sweep.trials=5", "seed=1,2"), "sweep.trials is an option of a search, got 5. Add sweep=optuna."),
        (("sweep.prune=asha", "seed=1,2"), "sweep.prune is an option of a search, got asha. Add sweep=optuna."),
        (
            ("sweep.metric=[val_loss,test_loss]", "seed=1,2"),
            "sweep.metric must be one score, as only a search has several objectives, "
            "got [val_loss,test_loss]. Add sweep=optuna, or name one.",
        ),
    ],
)
def test_an_option_of_a_search_is_refused_in_a_grid(make: Make, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(RequestError) as refused:
        make("sweep=default", *words)
    assert str(refused.value).startswith(message)


def test_changed_data_are_not_searched_further(make: Make, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n" + "\n".join(f"{at},{at % 2}" for at in range(40)))
    plan = make(N, RATE, "data=table", "data.path=rows.csv", "data.target=b", "data.task=classification")
    composing.check_unchanged(plan, Signatures())
    (tmp_path / "rows.csv").write_text("a,b\n" + "\n".join(f"{at},{at % 3 % 2}" for at in range(40)))
    with pytest.raises(RequestError, match=f"^data has changed since search {plan.name} was planned. Type its command"):
        composing.check_unchanged(plan, Signatures())
