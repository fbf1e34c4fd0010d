"""What a wrong request gets: one sentence with key, value and cure; exit code 2; no run, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.conftest import Command

SENTENCES = {
    "model=mpl": "model=mpl is not known. Did you mean model=mlp? Choose one of: cnn, lstm, mlp, sequential.",
    "model=MLP": "model=MLP is not known. Did you mean model=mlp?",
    "data=irys": "data=irys is not known. Did you mean data=iris?",
    "optimizer=sdg": "optimizer=sdg is not known. Did you mean optimizer=sgd?",
    "model.hiden=[3]": "model.hiden is not a field of model=mlp, got [3]. Did you mean model.hidden?",
    "data.tset_size=0.1": "data.tset_size is not a field of data=table, got 0.1. Did you mean data.test_size?",
    "optimizer.momentum=0.3": "optimizer.momentum is not a field of optimizer=adam, got 0.3. Fields: lr,",
    "epochs=3": "epochs is not a field of a run, got 3. Write trainer.max_epochs=3.",
    "+trainer.typo=1": "trainer.typo is not a field of trainer, got 1. Fields: max_epochs,",
    "+model.x=1": "model.x is not a field of model, got 1. Fields: hidden,",
    "+typo=1": "typo is not a field of a run, got 1.",
    "trainer=gpu": "trainer=gpu is not known. Did you mean trainer.accelerator=gpu? Choose one of: debug, default.",
    "trainer.max_epochs=abc": "trainer.max_epochs must be a whole number, got abc. `lifecycle --cfg job` shows",
    "trainer.max_epochs=1.5": "trainer.max_epochs must be a whole number, got 1.5.",
    "trainer.max_epochs=0": "trainer.max_epochs must be 1 or more, got 0. The default is 300.",
    "trainer.patience=null": (
        "trainer.patience must have a value, got null. Write trainer.early_stopping=false to train for all epochs."
    ),
    "trainer.early_stopping=maybe": "trainer.early_stopping must be true or false, got maybe.",
    "trainer.accelerator=cuda": "trainer.accelerator must be one of auto, cpu, gpu, got cuda. The default is auto.",
    "trainer.devices=999 trainer.accelerator=cpu": "trainer.devices=999 but there are",
    "optimizer.lr=nan": "optimizer.lr must be above 0, got nan. The default is 0.001.",
    "optimizer.lr=inf": "optimizer.lr must be above 0 and finite, got inf.",
    "optimizer.lr=-1": "optimizer.lr must be above 0, got -1.0.",
    "optimizer.lr=fast": "optimizer.lr must be a number, got fast.",
    "model.hidden=[0]": "model.hidden must be 1 or more and below 1000001, got [0]. The default is [64, 32].",
    "model.hidden=[a]": "model.hidden[0] must be a whole number, got [a].",
    "model.hidden=[99999999999]": "model.hidden must be 1 or more and below 1000001, got [99999999999].",
    "model.activation=rellu": "model.activation must be one of relu, tanh,",
    "model=cnn data=iris": (
        "model=cnn needs samples of shape (channels, height, width), got (features) from data=iris. "
        "Use model=mlp, which takes any shape, or other data."
    ),
    "model=cnn data=digits model.kernel_size=2": "model.kernel_size must be odd, got 2. Use 3, or model.padding=valid.",
    "model=cnn data=digits model.channels=[8,8,8,8]": "model.channels has 4 blocks, too many for images of 8x8",
    "data.test_size=1.5": "data.test_size must be a share below 1 or a whole number of samples, got 1.5.",
    "data.test_size=-1": "data.test_size must be 0 or more, got -1.0. The default is 0.2.",
    "data.validation_split=0.1 data.val_size=0.3": "data.validation_split stands in place of data.val_size, got 0.1",
    "data.split=group": "data.group must be given with data.split=group, got nothing. Add data.group=<name of the",
    "audit=loud": "audit must be one of on, strict, off, got loud. The default is on.",
    "data.test_rows=last": "data.test_rows=last tests on the class virginica alone, in 30 rows. Use data.test_rows=ran",
    "schedule.gamma=1": "schedule.gamma is not a field of schedule=none, got 1. It has none.",
    "experiment=pima": "experiment=pima needs a plus before it, as it is not part of every run. Write +exper",
    "+experiment=pma": "+experiment=pma is not known. Did you mean +experiment=pima? Choose one of: boston_housing, ",
    "data.scaling=robust": "data.scaling must be one of standard, minmax, none, got robust. The default is standard.",
    "data.missing_zeros=[species]": "data.missing_zeros=species is the target. Columns of numbers: sepal length (cm)",
    "data=airline_passengers data.time=mnth": "data.time=mnth is no column of lifecycle:airline_passengers.csv. Did",
    "data=images data.path=pets": "data.path=pets is no folder. Give a folder with one sub-folder of images for each",
    "data=table data.path=download:mnst data.target=y": "data.path=download:mnst is not known. Did you mean mnist?",
    "data.test_size=0.7 data.val_size=0.3": "data.test_size and data.val_size must sum to less than 1, got 0.7",
    "data.test_size=0.001 data.split=stratified": "data.test_size and data.val_size cannot put each class",
    "data.target=specis": "data.target=specis is no column of sklearn:iris. Did you mean species?",
    "data.drop=species": "data.drop must be a list, such as [a,b], got species. Write data.drop=[species].",
    "data.path=sklearn:irs": "data.path=sklearn:irs is not known. Did you mean iris?",
    "data=table": "data.path must be given, got nothing. Add for instance data.path=houses.csv.",
    "trainer.max_epochs=99999999999999999999": "trainer.max_epochs must be 1 or more and at most 1,000,000,000, got 9",
    "trainer.batch_size=99999999999999999999": "trainer.batch_size must be 1 or more and at most 1,000,000,000, got 9",
    "trainer.patience=1000000001": "trainer.patience must be 1 or more and at most 1,000,000,000, got 1000000001. The",
    "seed=99999999999999999999": "seed must be from 0 to 4294967295, got 99999999999999999999. Use a seed such as 1.",
    "model.hidden=[99999999999999999999]": "model.hidden must be 1 or more and below 1000001, got [99999999999999999",
    "trainer.monitor=val_acc": "trainer.monitor=val_acc is not measured. Did you mean val_accuracy?",
    "data.split=none": "trainer.monitor=val_loss needs validation rows, got data.split=none.",
    "data.val_size=0": "trainer.monitor=val_loss needs validation rows, got data.val_size=0.",
    "loss=crossentropy": "loss=crossentropy is not known. Did you mean loss=categorical_crossentropy?",
    "loss=mse": "loss=mse is not for the task multiclass. Choose from: categorical_crossentropy.",
    "metrics=[acuracy]": "metrics=acuracy is not known. Did you mean metrics=accuracy?",
    "metrics=[mae]": "metrics=mae is not for the task multiclass.",
    "metrics=accuracy": "metrics must be a list, such as [a,b], got accuracy. Write metrics=[accuracy].",
    "schedule=cosine schedule.tmax=3": "schedule.tmax is not a field of schedule=cosine, got 3. Did you",
    "schedule=step schedule.gamma=0": "schedule.gamma must be above 0 and below 10, got 0.0. The default is 0.1.",
    "schedule=linear schedule.warmup_epochs=300": "schedule.warmup_epochs must be below trainer.max_epochs=300",
    "optimizer=sgd schedule=one_cycle schedule.cycle_momentum=true": "schedule.cycle_momentum needs an",
    "schedule=plateau schedule.monitor=val_acc": "schedule.monitor=val_acc is not measured. Did you mean val_accuracy?",
    "optimizer=sparse_adam": "optimizer=sparse_adam needs sparse gradients, such as those of",
    "optimizer=lbfgs trainer.devices=2 trainer.accelerator=cpu": "optimizer=lbfgs evaluates the loss a different",
    "class_weights={setosa:1}": "class_weights has no weight for versicolor, virginica. Name each",
    "data=diabetes class_weights=balanced": "class_weights=balanced needs classes, got a regression of progression.",
    "data=diabetes label_smoothing=0.1": "label_smoothing=0.1 is not for the task regression, whose loss is mse.",
    "data=diabetes loss=poisson": "loss=poisson needs counts as they are, got a standardised target.",
    "data=diabetes trainer.class_balanced=true": "trainer.class_balanced=true needs classes, got a regression of",
    "metrics=[confusion_matrix]": "metrics=confusion_matrix is not one number an epoch. Choose another",
    "metrics=[PearsonCorrCoef]": "metrics=PearsonCorrCoef is not for the task multiclass.",
    "seed=-1": "seed must be from 0 to 4294967295, got -1.",
    "seed=1,2": "the command cannot be composed: Ambiguous value for argument 'seed=1,2'. Add -m to run each.",
    "verbose=5": "verbose must be 0, 1 or 2, got 5.",
    "tracking.experiment=../x": "tracking.experiment must be a name of at most 200 characters, without slashes",
    "tracking.dir=": "tracking.dir must not be empty",
    "model=null": "model must be one name, got null. Choose one of: cnn, lstm, mlp, sequential.",
    "model=[mlp]": "model must be one name, got nothing. Write model=<name>.",
    "~seed": "~seed removes what every run needs. Set it instead: seed=...",
    "~model.hidden": "~model.hidden removes what every run needs.",
    "model.hidden=[3": "model.hidden=[3 cannot be read: no viable alternative at input '[3'. Write key=value",
    "optimizer.lr=${oc.env:HOME}": "optimizer.lr cannot be resolved: While dereferencing interpolation",
    "model=mlp --config-dir": "the command cannot be read: argument --config-dir/-cd: expected one argument. `",
    "--cfg jb data=iris": "argument --cfg/-c: invalid choice: 'jb' (choose from 'job', 'hydra', 'all'). `lifecycle",
    "data=iris --confg-dir x": "the command cannot be read: unrecognized arguments: --confg-dir",
    "data.path=${nothing}": "data.path cannot be resolved: Interpolation key 'nothing' not found. Give it",
}


@pytest.mark.parametrize(("words", "sentence"), SENTENCES.items(), ids=list(SENTENCES))
@pytest.mark.fault(34, 35)
def test_a_bad_request_is_one_sentence(lifecycle: Command, tmp_path: Path, words: str, sentence: str) -> None:
    ended = lifecycle(*words.split())
    assert ended.code == 2
    assert sentence in ended.err
    assert "Traceback" not in ended.err
    assert "Error executing job" not in ended.err
    assert ended.out == ""
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_one_sentence(lifecycle: Command, tmp_path: Path) -> None:
    ended = lifecycle("trainer.accelerator=gpu")
    assert ended.code == 2
    assert (
        ended.err == "lifecycle: trainer.accelerator=gpu but torch sees no GPU. Use trainer.accelerator=cpu or auto.\n"
    )
    assert not (tmp_path / "mlruns").exists()


def test_another_launchers_environment_is_named(lifecycle: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    ended = lifecycle("trainer.max_epochs=1")
    assert ended.code == 2
    assert (
        "LOCAL_RANK=1 is set in the environment, as if another launcher had started this process. Unset it" in ended.err
    )


FILES = {
    "data/mine.yaml": (
        "defaults: [table, _self_]\npath: a.csv\ntarget: y\nextra: 1\n",
        "data=mine",
        "(in data/mine.yaml)",
    ),
    "trainer/slow.yaml": (
        "max_epochs: abc\n",
        "trainer=slow",
        "trainer.max_epochs (in trainer/slow.yaml) must be a whole",
    ),
    "data/broken.yaml": ("path: [\n", "data=broken", "a configuration file cannot be read: while parsing"),
    "data/loop.yaml": ("defaults: [loop]\n", "data=loop", "names itself in its defaults list"),
    "data/near.yaml": ("defaults: [tabel]\n", "data=near", "data=tabel is not known. Did you mean data=table?"),
    "data/iris.yaml": ("defaults: [table]\n", "data=iris", "data=iris is built in, and hides conf/data/iris.yaml."),
    "data/untyped.yaml": (
        "path: a.csv\n",
        "data=untyped",
        "data has no plugin that defines its fields. Begin its YAML file with",
    ),
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_the_users_that_is_wrong_is_named(lifecycle: Command, tmp_path: Path, file: str) -> None:
    content, word, sentence = FILES[file]
    (tmp_path / "conf" / file).parent.mkdir(parents=True)
    (tmp_path / "conf" / file).write_text(content)
    ended = lifecycle(word)
    assert ended.code == 2
    assert sentence in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "mlruns").exists()
