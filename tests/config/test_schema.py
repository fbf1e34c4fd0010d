"""A composed configuration becomes a job, or an error that says why not."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from lifecycle.config.compose import compose
from lifecycle.config.resolve import check_sample_dims, resolve
from lifecycle.config.schema import RunConfig, TrackingConfig, TrainerConfig
from lifecycle.data.kinds.table import Table
from lifecycle.errors import RequestError, unknown_field
from lifecycle.optimizers import SGD, Adam
from lifecycle.plugins.cnn import CNN
from lifecycle.plugins.lstm import LSTM
from lifecycle.plugins.mlp import MLP
from lifecycle.schedules import Cosine, NoSchedule, OneCycle, Plateau
from tests.packages import HEAD, Site, fresh_site

site = pytest.fixture(fresh_site, name="site")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no conf/ of a developer's


REFUSED = [
    (TrainerConfig, {"max_epochs": 0}, "max_epochs must be 1 or more, got 0. The default is 300."),
    (TrainerConfig, {"batch_size": 0}, "batch_size must be 1 or more, got 0. Leave it out for the default."),
    (TrainerConfig, {"devices": 0}, "devices must be 1 or more, got 0. The default is 1."),
    (TrainerConfig, {"patience": 0}, "patience must be 1 or more, got 0. The default is 30."),
    (TrainerConfig, {"min_delta": -1e-3}, "min_delta must be 0 or more, got -0.001. The default is 0.0."),
    (TrainerConfig, {"accelerator": "gpus"}, "accelerator must be one of auto, cpu, gpu, got gpus. Did you mean gpu?"),
    (TrainerConfig, {"strategy": "dpp"}, "strategy must be one of auto, ddp, got dpp. Did you mean ddp?"),
    (TrainerConfig, {"strategy": "fsdp"}, "strategy must be one of auto, ddp, got fsdp. The default is auto."),
    (TrainerConfig, {"accelerator": "x"}, "accelerator must be one of auto, cpu, gpu, got x. The default is auto."),
    (
        TrainerConfig,
        {"gradient_clip_val": 0.0},
        "gradient_clip_val must be above 0, got 0.0. Leave it out for the default.",
    ),
    (
        TrainerConfig,
        {"gradient_clip_algorithm": "nrm"},
        "gradient_clip_algorithm must be one of norm, value, got nrm. Did you mean norm?",
    ),
    (
        TrainerConfig,
        {"class_balanced": True, "shuffle": False},
        "shuffle must be true with class_balanced, which draws rows at random, got false. Leave it out.",
    ),
    (TrackingConfig, {"dir": " "}, "dir must not be empty, got ' '. Leave it out."),
    (TrackingConfig, {"experiment": ""}, "experiment must not be empty, got ''. Leave it out."),
    (
        TrackingConfig,
        {"experiment": "a/b"},
        "experiment must be a name of at most 200 characters, without slashes and not beginning with a dot, or a path "
        "of Databricks such as /Users/me/iris, got a/b. "
        "The default is lifecycle.",
    ),
    (MLP, {"hidden": [8, 0]}, "hidden must be 1 or more and below 1000001, got [8, 0]. The default is [64, 32]."),
    (MLP, {"dropout": 1.0}, "dropout must be 0 or more and below 1, got 1.0. The default is 0.0."),
    (
        MLP,
        {"activation": "rlu"},
        "activation must be one of relu, tanh, sigmoid, gelu, elu, selu, silu, swish, mish, leaky_relu, "
        "relu6, celu, softplus, softsign, hard_sigmoid, hard_silu, hard_tanh, log_sigmoid, linear, got rlu. "
        "Did you mean relu?",
    ),
    (CNN, {"channels": [0]}, "channels must be 1 or more and below 1000001, got [0]. The default is [32]."),
    (CNN, {"kernel_size": 0}, "kernel_size must be 1 or more and below 1000001, got 0. The default is 3."),
    (CNN, {"kernel_size": 4}, "kernel_size must be odd, got 4. Use 5, or model.padding=valid."),
    (CNN, {"pool": 0}, "pool must be 1 or more and below 1000001, got 0. The default is 2."),
    (CNN, {"hidden": [0]}, "hidden must be 1 or more and below 1000001, got [0]. The default is [100]."),
    (CNN, {"dropout": -0.1}, "dropout must be 0 or more and below 1, got -0.1. The default is 0.0."),
    (LSTM, {"units": []}, "units must name at least one layer, got []. Use for instance [32]."),
    (LSTM, {"units": [0]}, "units must be 1 or more and below 1000001, got [0]. The default is [32]."),
    (LSTM, {"hidden": [0]}, "hidden must be 1 or more and below 1000001, got [0]. The default is []."),
    (LSTM, {"dropout": 1.5}, "dropout must be 0 or more and below 1, got 1.5. The default is 0.0."),
]


@pytest.mark.parametrize(("cls", "values", "sentence"), REFUSED)
@pytest.mark.fault(35)
def test_a_value_out_of_range_is_reported_with_field_value_and_remedy(
    cls: type, values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        cls(**values)


def test_the_bounds_themselves_are_allowed() -> None:
    trainer = TrainerConfig(max_epochs=1, batch_size=1, devices=1, patience=1, min_delta=0.0, strategy="ddp")
    assert dataclasses.asdict(trainer)["batch_size"] == 1


def test_a_request_becomes_a_job_of_the_chosen_objects() -> None:
    job = resolve(
        compose(
            [
                "model=mlp",
                "model.hidden=[8,4]",
                "data=iris",
                "data.test_size=0.3",
                "optimizer=sgd",
                "optimizer.momentum=0.9",
                "loss=categorical_crossentropy",
                "metrics=[f1,accuracy]",
                "trainer.max_epochs=7",
                "trainer.batch_size=16",
                "seed=5",
            ]
        )
    )
    assert job.model == MLP(hidden=[8, 4])
    card = {key: getattr(job.data, key) for key in ("source", "licence", "note")}
    card["keep_duplicates_together"] = False
    assert job.data == Table(path="sklearn:iris", target="species", test_size=0.3, **card)
    assert job.optimizer == SGD(momentum=0.9)
    assert job.trainer == TrainerConfig(max_epochs=7, batch_size=16)
    assert (job.model_name, job.data_name, job.data_kind, job.optimizer_name) == ("mlp", "iris", "table", "sgd")
    assert (job.loss, job.metrics, job.seed) == ("categorical_crossentropy", ["f1", "accuracy"], 5)


def test_the_defaults_are_those_of_the_dataclasses() -> None:
    job = resolve(compose([]))
    assert (job.model, job.optimizer, job.trainer) == (MLP(), Adam(), TrainerConfig())
    assert (job.loss, job.metrics, job.seed) == (None, None, RunConfig.seed)
    assert (job.schedule_name, job.schedule) == ("none", NoSchedule())
    assert (job.class_weights, job.label_smoothing) == (None, 0.0)
    assert job.request.tracking == TrackingConfig()


def test_a_run_is_named_after_model_data_and_seed_or_as_chosen() -> None:
    assert compose(["model=mlp", "data=wine", "seed=3"]).run_name == "mlp-wine-3"
    assert compose(["tracking.run_name=first"]).run_name == "first"
    assert compose(["+experiment=pima_best", "seed=3"]).run_name == "pima_best-3"


def test_a_schedule_is_completed_from_the_epochs_the_monitor_and_the_optimizer() -> None:
    job = resolve(compose(["schedule=cosine", "schedule.warmup_epochs=5", "trainer.max_epochs=20"]))
    assert (job.schedule_name, job.schedule) == ("cosine", Cosine(warmup_epochs=5, t_max=15))
    job = resolve(compose(["schedule=plateau", "trainer.monitor=val_accuracy"]))
    assert job.schedule == Plateau(monitor="val_accuracy")
    job = resolve(compose(["schedule=one_cycle", "optimizer.lr=0.5"]))
    assert job.schedule == OneCycle(max_lr=0.5, cycle_momentum=True)


def test_weights_of_classes_are_read_by_name_whatever_the_names_are() -> None:
    for typed, weights in {
        "{setosa: 1, versicolor: 2.5, virginica: 3}": {"setosa": 1.0, "versicolor": 2.5, "virginica": 3.0},
        "{0: 1, 1: 3}": {"0": 1.0, "1": 3.0},
        "{true: 1, false: 2}": {"True": 1.0, "False": 2.0},
        "balanced": "balanced",
        "null": None,
    }.items():
        assert resolve(compose([f"class_weights={typed}"])).class_weights == weights


WRONG = {
    "schedule=cosin": "schedule=cosin is not known. Did you mean schedule=cosine? Choose one of: constant, cosine, ",
    "schedule.warmup_epochs=3": "schedule.warmup_epochs is not a field of schedule=none, got 3. It has none.",
    "~schedule": "~schedule removes what every run needs. Set it instead: schedule=...",
    "+schedule.x=1": "schedule.x is not a field of schedule",
    "class_weights=balance": (
        "class_weights must be balanced or weights by class, got balance. Write class_weights=balanced, or a weight "
        "for each class as in 'class_weights={good: 1, bad: 3}'."
    ),
    "class_weights={good: 0, bad: 1}": "class_weights must be numbers above 0, got 0 for good. Write class_weights=",
    "class_weights={good: x, bad: 1}": "class_weights must be numbers above 0, got x for good. Write class_weights=",
    "class_weights=[1,2]": "class_weights must be balanced or weights by class, got [1, 2]. Write class_weights=",
    "label_smoothing=1": "label_smoothing must be 0 or more and below 1, got 1.0. The default is 0.0.",
    "label_smoothing=-0.1": "label_smoothing must be 0 or more and below 1, got -0.1. The default is 0.0.",
    "metrics=[cohen_kapa]": "metrics=cohen_kapa is not known. Did you mean metrics=cohen_kappa?",
    "seed=-1": "seed must be from 0 to 4294967295, got -1. Use a seed such as 1.",
    "seed=4294967296": "seed must be from 0 to 4294967295, got 4294967296. Use a seed such as 1.",
    "verbose=3": "verbose must be 0, 1 or 2, got 3. Use 0 silent, 1 bar, 2 a line an epoch.",
    "~model": "~model removes what every run needs. Set it instead: model=...",
    "~data": "~data removes what every run needs. Set it instead: data=...",
    "~optimizer": "~optimizer removes what every run needs. Set it instead: optimizer=...",
    "+model.typo=1": "model.typo is not a field of model, got 1. Fields: hidden, activation, dropout, batch_norm, "
    "initializer.",
    "+trainer.max_epoch=1": "trainer.max_epoch is not a field of trainer, got 1. Did you mean trainer.max_epochs?",
    "+tracking.dirs=x": "tracking.dirs is not a field of tracking, got x. Did you mean tracking.dir?",
    "loss=mes": "loss=mes is not known. Did you mean loss=mse?",
    "metrics=[accuracy,acuracy]": "metrics=acuracy is not known. Did you mean metrics=accuracy?",
    "model.dropout=1": "model.dropout must be 0 or more and below 1, got 1.0. The default is 0.0.",
    "optimizer.lr=0": "optimizer.lr must be above 0, got 0.0. The default is 0.001.",
    "optimizer.lr=nan": "optimizer.lr must be above 0, got nan. The default is 0.001.",
    "trainer.max_epochs=0": "trainer.max_epochs must be 1 or more, got 0. The default is 300.",
    "trainer.accelerator=tpu": "trainer.accelerator must be one of auto, cpu, gpu, got tpu.",
    "tracking.dir=''": "tracking.dir must not be empty, got ''. Leave it out.",
    "tracking.experiment=''": "tracking.experiment must not be empty, got ''. Leave it out.",
    "data.test_size=1.5": "data.test_size must be a share below 1 or a whole number of samples, got 1.5. Use for",
    "data=table": "data.path must be given, got nothing. Add for instance data.path=houses.csv.",
    "model=cnn": (
        "model=cnn needs samples of shape (channels, height, width), got (features) from data=iris. "
        "Use model=mlp, which takes any shape, or other data."
    ),
}


@pytest.mark.parametrize(("word", "sentence"), WRONG.items(), ids=list(WRONG))
def test_a_wrong_configuration_is_reported(word: str, sentence: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}"):
        resolve(compose([word]))


def test_a_key_added_to_the_root_is_refused() -> None:
    with pytest.raises(RequestError, match=r"^foo is not a field of a run, got 1\. Fields: data, model, optimizer"):
        resolve(compose(["+foo=1"]))


def test_the_largest_seed_is_allowed() -> None:
    assert resolve(compose(["seed=4294967295"])).seed == 2**32 - 1


def test_a_plugins_field_without_a_value_is_reported(site: Site) -> None:
    code = f"{HEAD}@dataclass\nclass Net:\n    'A net.'\n    width: int\n    def build(self, spec): ...\n"
    site.install("acme", {"my_net": "Net"}, code=code)
    with pytest.raises(RequestError, match=r"^model\.width .*Give it a value: model\.width=\.\.\.$"):
        resolve(compose(["model=my_net"]))


def test_the_error_of_a_plugins_own_check_has_its_key(site: Site) -> None:
    code = (
        f"{HEAD}@dataclass\nclass Net:\n    'A net.'\n    width: int = 1\n    def build(self, spec): ...\n"
        "    def __post_init__(self):\n"
        "        if self.width % 2 == 0: raise ValueError(f'width must be odd, got {self.width}. Use 3.')\n"
    )
    site.install("acme", {"my_net": "Net"}, code=code)
    with pytest.raises(RequestError, match=r"^model\.width must be odd, got 2\. Use 3\.$"):
        resolve(compose(["model=my_net", "model.width=2"]))
    assert resolve(compose(["model=my_net", "model.width=5"])).model_name == "my_net"


@pytest.mark.parametrize("word", ["seed=${nowhere}", "optimizer.lr=${nowhere}"])
def test_an_interpolation_of_an_unknown_key_is_reported(word: str) -> None:
    with pytest.raises(RequestError, match=r"nowhere"):
        resolve(compose([word]))


def test_a_plugin_that_names_no_shapes_takes_all() -> None:
    class Anything:
        """Says nothing of shapes."""

    for dims in (1, 2, 3):
        check_sample_dims("any", Anything, dims, "data=x")


def test_samples_of_a_wrong_shape_are_reported_with_shape_and_source() -> None:
    check_sample_dims("cnn", CNN, 3, "data=x")
    with pytest.raises(
        RequestError,
        match=r"^model=cnn needs samples of shape \(channels, height, width\), got \(4,\) from data=iris\. "
        r"Use model=mlp, which takes any shape, or other data\.$",
    ):
        check_sample_dims("cnn", CNN, 1, "data=iris", shape="(4,)")


def test_an_unknown_field_is_reported_with_its_owner_the_nearest_and_all() -> None:
    assert str(unknown_field("model.hiden", "[3]", ["hidden", "dropout"], "model=mlp")) == (
        "model.hiden is not a field of model=mlp, got [3]. Did you mean model.hidden? Fields: hidden, dropout."
    )
    assert str(unknown_field("sed", 1, ["seed", "hydra"])) == (
        "sed is not a field of a run, got 1. Did you mean seed? Fields: seed."
    )


def test_classes_are_not_balanced_twice() -> None:
    sentence = "class_weights=balanced and trainer.class_balanced=true would balance the classes twice. Leave one out."
    with pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        resolve(compose(["class_weights=balanced", "trainer.class_balanced=true"]))
    for words in (["class_weights=balanced"], ["trainer.class_balanced=true"]):
        assert resolve(compose(words)).data_name == "iris"
