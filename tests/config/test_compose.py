"""Overrides, presets and the user's own YAML become a request, or an error with key, value and remedy."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
import pytest

from lifecycle.config.choices import TYPED
from lifecycle.config.compose import compose
from lifecycle.config.options import CHOICES, options
from lifecycle.config.resolve import resolve
from lifecycle.data.kinds.table import Table
from lifecycle.data.load import load
from lifecycle.errors import RequestError
from tests.packages import Site, fresh_site

site = pytest.fixture(fresh_site, name="site")

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of the user's into the working folder."""

    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write


def complaint(*words: str) -> str:
    with pytest.raises(RequestError) as caught:
        resolve(compose(list(words)))
    return str(caught.value)


def test_the_chosen_option_of_each_group_is_known() -> None:
    request = compose(["model=cnn", "data=digits", "optimizer=sgd", "schedule=cosine", "trainer=debug"])
    chosen = {group: request.choices[group] for group in CHOICES}
    assert chosen == {
        "model": "cnn",
        "data": "digits",
        "optimizer": "sgd",
        "schedule": "cosine",
        "trainer": "debug",
        "tracking": "default",
    }
    assert request.sweep is None


def test_a_preset_changes_what_it_names_and_nothing_else() -> None:
    debug, default = resolve(compose(["trainer=debug"])).trainer, resolve(compose([])).trainer
    assert debug.max_epochs == 2
    debug.max_epochs = default.max_epochs
    assert debug == default


def test_an_override_takes_precedence_over_a_preset() -> None:
    assert resolve(compose(["trainer=debug", "trainer.max_epochs=9"])).trainer.max_epochs == 9


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits", "diabetes", "sequence"])
def test_every_data_set_that_is_shipped_resolves(name: str) -> None:
    job = resolve(compose([f"data={name}"]))
    assert job.data_name == name
    assert job.data_kind in ("table", "images", "series")


def test_a_configuration_has_nothing_of_hydras_own() -> None:
    assert set(compose([]).config) == {
        "data",
        "model",
        "optimizer",
        "schedule",
        "loss",
        "class_weights",
        "label_smoothing",
        "metrics",
        "trainer",
        "tracking",
        "seed",
        "seeds",
        "cv",
        "sweep",
        "audit",
        "profile",
        "verbose",
    }


def test_the_command_is_kept_as_a_shell_would_read_it() -> None:
    assert compose(["model.hidden=[8, 4]"]).command == "lifecycle 'model.hidden=[8, 4]'"


def test_requests_can_be_composed_one_after_another() -> None:
    assert [compose([f"seed={seed}"]).config.seed for seed in (1, 2)] == [1, 2]


def test_a_data_set_of_the_users_is_five_lines_of_yaml(write: Write) -> None:
    write("houses.csv", "id,rooms,price\n" + "".join(f"{i},{i % 5},{i * 1000.5}\n" for i in range(40)))
    write(
        "conf/data/houses.yaml",
        "defaults: [table, _self_]\npath: houses.csv\ntarget: price\ndrop: [id]\ntest_size: 0.25\n",
    )
    job = resolve(compose(["data=houses"]))
    assert (job.data_name, job.data_kind) == ("houses", "table")
    assert job.data == Table(path="houses.csv", target="price", drop=["id"], test_size=0.25)
    data = load(job.data, job.data_name, job.data_kind, job.seed)
    assert (data.spec.task, data.spec.feature_names, len(data.test)) == ("regression", ("rooms",), 10)
    assert "houses" in options()["data"]


def test_a_preset_of_the_users_extends_a_plugin(write: Write) -> None:
    write("conf/model/mlp_wide.yaml", "defaults: [mlp, _self_]\nhidden: [512]\n")
    job = resolve(compose(["model=mlp_wide"]))
    assert job.model.hidden == [512]  # type: ignore[attr-defined]
    assert (job.model_name, job.request.choices["model"]) == ("mlp", "mlp_wide")


def test_a_file_of_the_users_named_like_what_is_shipped_is_not_passed_over_silently(write: Write) -> None:
    write("conf/data/iris.yaml", "defaults: [table, _self_]\npath: mine.csv\ntarget: z\n")
    try:
        job = resolve(compose(["data=iris"]))
    except RequestError as error:
        assert "iris" in str(error)  # noqa: PT017
    else:
        assert job.data.path == "mine.csv"  # type: ignore[attr-defined]


def test_a_plugin_that_is_installed_is_composed_with_typed_fields(site: Site) -> None:
    site.install("acme", {"my_net": "Net"})
    job = resolve(compose(["model=my_net", "model.width=32"]))
    assert (job.model_name, job.model.width) == ("my_net", 32)  # type: ignore[attr-defined]
    assert complaint("model=my_net", "model.width=wide").startswith("model.width must be a whole number, got wide.")
    assert complaint("model=my_net", "model.widht=3").startswith(
        "model.widht is not a field of model=my_net, got 3. Did you mean model.width?"
    )


def test_a_broken_plugin_is_reported_only_when_it_is_chosen(site: Site) -> None:
    site.install("bad", {"broken": "Net"}, code="raise RuntimeError('boom')\n")
    assert resolve(compose(["model=mlp"])).model_name == "mlp"
    assert complaint("model=broken") == (
        "model=broken from bad 1.0 could not be imported: RuntimeError: boom. Reinstall or remove it."
    )


def test_the_options_of_each_group_are_plugins_and_presets(write: Write, site: Site) -> None:
    site.install("bad", {"broken": "Net"}, code="raise RuntimeError('boom')\n")
    write("conf/trainer/long.yaml", "max_epochs: 5000\n")
    found = options()
    assert found["model"] == ["broken", "cnn", "lstm", "mlp", "sequential"]
    for group, kinds in TYPED.items():
        assert found[group] == sorted(kinds)
    assert found["trainer"] == ["debug", "default", "long"]
    assert {"iris", "table", "series", "images"} <= set(found["data"])


SENTENCES = {
    "model=mpl": "model=mpl is not known. Did you mean model=mlp? Choose one of: cnn, lstm, mlp, sequential.",
    "model=": "model= is not known. Choose one of: cnn, lstm, mlp, sequential.",
    "data=irys": "data=irys is not known. Did you mean data=iris? Choose one of: ",
    "optimizer=adm": "optimizer=adm is not known. Did you mean optimizer=adam? Choose one of: adadelta, adafactor, ",
    "trainer=debg": "trainer=debg is not known. Did you mean trainer=debug? Choose one of: debug, default.",
    "trainer=gpu": "trainer=gpu is not known. Did you mean trainer.accelerator=gpu? Choose one of: debug, default.",
    "model.hiden=[3]": "model.hiden is not a field of model=mlp, got [3]. Did you mean model.hidden? Fields: hidden, ",
    "data.pth=a": "data.pth is not a field of data=table, got a. Did you mean data.path? Fields: ",
    "optimizer.beta=1": "optimizer.beta is not a field of optimizer=adam, got 1. Did you mean optimizer.betas?",
    "trainer.epochs=5": "trainer.epochs is not a field of trainer, got 5. Write trainer.max_epochs=5.",
    "sed=1": "sed is not a field of a run, got 1. Did you mean seed? Fields: data, model, optimizer, schedule, loss, ",
    "trainer.max_epochs=abc": (
        "trainer.max_epochs must be a whole number, got abc. `lifecycle --cfg job` shows values that fit."
    ),
    "seed=1.5": "seed must be a whole number, got 1.5. `lifecycle --cfg job` shows values that fit.",
    "optimizer.lr=fast": "optimizer.lr must be a number, got fast. `lifecycle --cfg job` shows values that fit.",
    "trainer.early_stopping=perhaps": "trainer.early_stopping must be true or false, got perhaps. `lifecycle --cfg job",
    "trainer.early_stopping=3": "trainer.early_stopping must be true or false, got 3. Write true or false. "
    "trainer.patience=3 stops after so many epochs without improvement.",
    "trainer.early_stopping=-3": "trainer.early_stopping must be true or false, got -3. Write true or false.",
    "profile=-0.5": "profile must be true or false, got -0.5. Write true or false.",
    "tracking.figures=2": "tracking.figures must be true, false or svg, got 2.",
    "trainer.max_epochs=null": "trainer.max_epochs must have a value, got null. `lifecycle --cfg job` shows values",
    "model.hidden=[8,wide]": "model.hidden[1] must be a whole number, got [8,wide]. `lifecycle --cfg job` shows values",
    "model.hidden=8": "model.hidden must be a list, such as [a,b], got 8. Write model.hidden=[8].",
    "loss=[mse]": "loss is refused (Cannot convert 'list' to string: '['mse']'), got [mse]. `lifecycle --cfg job`",
    "model.hidden=[64": (
        "model.hidden=[64 cannot be read: no viable alternative at input '[64'. Write key=value, and quote what the "
        "shell would change, as in 'model.hidden=[64,32]'."
    ),
    "seed": "seed cannot be read: Error parsing override 'seed'. Write key=value, and quote what the shell would ",
    "seed=1,2": "the command cannot be composed: Ambiguous value for argument 'seed=1,2'",
}


@pytest.mark.parametrize(("word", "sentence"), SENTENCES.items(), ids=list(SENTENCES))
@pytest.mark.fault(34)
def test_each_kind_of_error_has_key_value_and_remedy(word: str, sentence: str) -> None:
    said = complaint(word)
    assert said.startswith(sentence)
    assert "patience=-" not in said
    assert "\n" not in said


def test_the_value_that_is_shown_is_the_last_one_typed() -> None:
    assert complaint("seed=3", "seed=x").startswith("seed must be a whole number, got x.")
    assert complaint("++seed=x").startswith("seed must be a whole number, got x.")


def test_several_values_for_one_key_get_the_remedy() -> None:
    assert re.search(r"seed=1,2.*(-m|multirun)", complaint("seed=1,2"))


@pytest.mark.parametrize(
    ("word", "named"), [("model=null", "model"), ("=5", "=5"), ("model.hidden.x=1", "model.hidden")]
)
def test_what_hydra_itself_trips_over_is_a_sentence_too(word: str, named: str) -> None:
    assert word.split("=", maxsplit=1)[0] in complaint(word)


@pytest.mark.parametrize("word", ["trainer={epochs:5}", "model={hiden:[3]}"])
def test_the_value_within_a_typed_mapping_is_shown(word: str) -> None:
    assert "got ." not in complaint(word)


def test_a_misspelt_field_in_the_users_yaml_is_named_with_the_file_and_the_nearest(write: Write) -> None:
    write("conf/data/houses.yaml", "defaults: [table, _self_]\npth: houses.csv\ntarget: price\n")
    assert re.search(r"data/houses.*pth.*path|pth.*path.*data/houses|pth.*data\.path", complaint("data=houses"))


def test_a_wrong_type_in_the_users_yaml_is_named(write: Write) -> None:
    write("conf/trainer/long.yaml", "max_epochs: many\n")
    assert re.search(r"max_epochs.*many", complaint("trainer=long"))


def test_yaml_that_cannot_be_read_is_reported_with_its_file(write: Write) -> None:
    write("conf/data/houses.yaml", "path: [a\n")
    assert "houses.yaml" in complaint("data=houses")


def test_a_misspelt_kind_in_the_users_yaml_gets_the_kinds_to_choose_from(write: Write) -> None:
    write("conf/data/houses.yaml", "defaults: [tabel, _self_]\npath: houses.csv\ntarget: price\n")
    said = complaint("data=houses")
    assert said.startswith("data=tabel is not known. Did you mean data=table?")
    assert "images, " in said


def test_yaml_without_a_kind_gets_the_remedy(write: Write) -> None:
    write("conf/data/houses.yaml", "path: houses.csv\n")
    assert complaint("data=houses") == (
        "data has no plugin that defines its fields. Begin its YAML file with defaults: [<plugin>, _self_]."
    )


HEAVY = ("torch", "pytorch_lightning", "mlflow", "sklearn", "pandas", "torchmetrics")


def modules_after(code: str, folder: Path) -> set[str]:
    """Run code in a new process; return the heavy packages that it has imported."""
    code += f"\nimport sys\nprint('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    assert "LOADED" in ended.stdout
    return set(ended.stdout.rpartition("LOADED")[2].split())


def test_the_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys\nfrom lifecycle.cli.main import main\nsys.argv = ['lifecycle', '--help']\nassert main() == 0"
    assert modules_after(code, tmp_path) == set()


def test_resolving_a_request_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "from lifecycle.config.compose import compose\nfrom lifecycle.config.resolve import resolve\n"
        "assert resolve(compose(['model=mlp', 'data=iris'])).model.hidden == [64, 32]"
    )
    assert modules_after(code, tmp_path) == set()


def test_a_bad_request_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys\nfrom lifecycle.cli.main import main\nsys.argv = ['lifecycle', 'model=mpl']\nassert main() == 2"
    assert modules_after(code, tmp_path) == set()


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    assert modules_after("import lifecycle", tmp_path) == set()


def test_a_hydra_that_the_caller_uses_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("mine: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        compose(["model=cnn", "data=digits"])
        options()
        assert hydra.compose("own").mine == 1
