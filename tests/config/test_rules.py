"""A configuration file names no code to run, sets only allowed keys of Hydra, and is of bounded size."""

from __future__ import annotations

import itertools
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.cli.arguments import read
from lifecycle.config import bounded_yaml, rules
from lifecycle.config.compose import compose
from lifecycle.config.options import options
from lifecycle.errors import RequestError
from tests.packages import Site, fresh_site

site = pytest.fixture(fresh_site, name="site")
CALLBACK = "{_target_: pandas.read_pickle, filepath_or_buffer: evil.pkl}"
SECONDS = 3
"""Of CPU time of a whole process, most of which its imports take; each of these files took more than 8 before."""


class _Canary:
    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("CANARY", "w")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(_Canary()))


def write(name: str, text: str) -> None:
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def complaint(*words: str) -> str:
    with pytest.raises(RequestError) as caught:
        compose(list(words))
    assert len(str(caught.value)) <= 400
    return str(caught.value)


def command(*words: str, seconds: int = SECONDS, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process that is killed when it uses more than so many seconds of CPU time."""
    return subprocess.run(
        [sys.executable, "-m", "lifecycle", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)),
    )


FILES = {
    "under the root": ("experiment/evil", f"# @package _global_\nhydra:\n  callbacks:\n    x: {CALLBACK}\n"),
    "by its package": ("experiment/evil", f"# @package hydra.callbacks\nx: {CALLBACK}\n"),
    "by a package with the key": ("experiment/evil", "# @package hydra.callbacks.x._target_\na: 1\n"),
    "by a package after another": ("experiment/evil", f"# @package data._global_.hydra.callbacks\nx: {CALLBACK}\n"),
    "a setting by a package after another": ("experiment/evil", "# @package data._global_.hydra.run\ndir: /tmp/x\n"),
    "moved by its defaults": (
        "experiment/evil",
        "# @package _global_\ndefaults: [/data@hydra.callbacks.x: other]\n",
    ),
    "moved into the root": ("experiment/evil", "# @package _global_\ndefaults: [/data@_global_.hydra: other]\n"),
    "in a list": ("experiment/evil", f"# @package _global_\nmodel: {{layers: [dense: {CALLBACK}]}}\n"),
    "by an alias": ("experiment/evil", "# @package _global_\nx: &t {a: {_target_: builtins.open}}\ny: {<<: *t}\n"),
    "written with an escape": ("experiment/evil", '# @package _global_\ndata: {"\\x5ftarget_": builtins.open}\n'),
    "chosen": ("experiment/evil", "# @package _global_\ndefaults: [override /hydra/job_logging: default]\n"),
    "chosen by an expression": (
        "experiment/evil",
        "# @package _global_\ndefaults: [{override /hydra/launcher: '${data.note}'}]\n",
    ),
}
SETTINGS = {
    "hydra.job_logging.handlers.h.class": "job_logging: {handlers: {h: {class: logging.FileHandler}}}",
    "hydra.hydra_logging.formatters.f.()": "hydra_logging: {formatters: {f: {(): builtins.open}}}",
    "hydra.searchpath.0": "searchpath: [file:///tmp]",
    "hydra.run.dir": "run: {dir: /tmp/elsewhere}",
    "hydra.sweep.dir": "sweep: {dir: /tmp/elsewhere}",
    "hydra.output_subdir": "output_subdir: x",
    "hydra.job.env_set.PYTHONPATH": "job: {env_set: {PYTHONPATH: /tmp}}",
    "hydra.job.env_copy.0": "job: {env_copy: [HOME]}",
    "hydra.job.chdir": "job: {chdir: true}",
    "hydra.launcher.setup.0": "launcher: {setup: [touch CANARY]}",
}


@pytest.mark.fault(39)
@pytest.mark.parametrize("case", FILES)
def test_no_file_puts_code_under_hydra(case: str) -> None:
    name, text = FILES[case]
    write(f"conf/{name}.yaml", text)
    write("conf/data/other.yaml", "defaults: [table, _self_]\nnote: x\n")
    said = complaint("+experiment=evil")
    assert "conf/experiment/evil.yaml" in said
    assert "_target_" in said or "hydra" in said
    assert not Path("CANARY").exists()


@pytest.mark.parametrize("key", SETTINGS)
def test_no_file_sets_what_changes_the_process(key: str) -> None:
    write("conf/experiment/evil.yaml", f"# @package _global_\nhydra:\n  {SETTINGS[key]}\n")
    said = complaint("+experiment=evil")
    assert said.startswith(
        f"{key} (conf/experiment/evil.yaml) cannot be set in a configuration file: it can run code or change where "
        "files are written. Remove it. Allowed are hydra.mode, "
    )


@pytest.mark.parametrize("word", ["hydra/launcher=evil", "hydra/callbacks=evil", "data=../hydra/callbacks/evil"])
def test_no_file_in_a_folder_hydra_has_code(word: str) -> None:
    for group in ("launcher", "callbacks"):
        write(f"conf/hydra/{group}/evil.yaml", f"x: {CALLBACK}\n")
    assert "names code to run, which no configuration may" in complaint(word)


def test_a_file_in_a_folder_hydra_takes_in_no_other() -> None:
    write("conf/hydra/launcher/evil.yaml", "defaults: [/data@x: other]\n")
    write("conf/data/other.yaml", "note: '${oc.create:{_target_: builtins.open, file: \"CANARY\"}}'\n")
    assert "defaults: /data@x (conf/hydra/launcher/evil.yaml) cannot choose" in complaint("hydra/launcher=evil")


@pytest.mark.fault(39)
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("+hydra.callbacks.x._target_=pandas.read_pickle", "names code to run"),
        ("+hydra.callbacks.x={_target_: builtins.open, file: CANARY}", "names code to run"),
        ("hydra.launcher._target_=builtins.open", "names code to run"),
        ("hydra.sweeper._target_=builtins.open", "names code to run"),
        ("+model.x={_target_: builtins.open}", "names code to run"),
        ("hydra.job_logging={version: 1}", "cannot be set"),
        ("++hydra.hydra_logging.root.handlers=[x]", "cannot be set"),
        ("hydra={callbacks: {}}", "cannot be set"),
        ("+data@hydra.callbacks=iris", "cannot be set"),
        ("hydra.sweeper.params='${oc.create:{a: 1}}'", "must be a plain value"),
        ("--experimental-rerun=x.pickle", "loads a pickle. Use lifecycle rerun"),
        ("--exp", "loads a pickle"),
        (f"model.hidden={'[' * 1000}{']' * 1000}", "has more than 50 levels of brackets. Write fewer"),
    ],
)
def test_no_override_names_code(word: str, said: str) -> None:
    assert said in complaint(word)


def test_a_value_may_contain_the_word_for_a_target() -> None:
    rules.check_arguments(["data.path=price_target_2024.csv", "data.drop=[my_target_]"])
    for argument in ("model._target_=x", "x={'_target_': y}", "x=[{_target_: y}]", "+a/_target_@b=c"):
        with pytest.raises(RequestError, match="names code to run"):
            rules.check_arguments([argument])


def test_what_a_file_may_set_of_hydras() -> None:
    write(
        "conf/experiment/mine.yaml",
        "# @package _global_\ndefaults: [override /hydra/sweeper: basic, override /hydra/launcher: basic]\n"
        "hydra: {mode: MULTIRUN, verbose: true, sweeper: {params: {seed: '1,2'}}}\nseed: 3\n",
    )
    assert compose(["+experiment=mine"]).config.seed == 3


def test_what_an_installed_package_brings_is_trusted(site: Site) -> None:
    module = site.folder / "hydra_plugins" / "ours.py"
    module.parent.mkdir()
    module.write_text(
        "from hydra.core.config_store import ConfigStore\n"
        "from hydra.plugins.launcher import Launcher\n"
        "class Ours(Launcher):\n"
        "    def __init__(self, n_jobs): self.n_jobs = n_jobs\n"
        "    def setup(self, *, hydra_context, task_function, config): self.task = task_function\n"
        "    def launch(self, job_overrides, initial_job_idx):\n"
        "        print('LAUNCHED', self.n_jobs, job_overrides)\n"
        "        return []\n"
        "ConfigStore.instance().store(group='hydra/launcher', name='ours', "
        "node={'_target_': 'hydra_plugins.ours.Ours', 'n_jobs': 1})\n",
    )
    write("conf/experiment/mine.yaml", "# @package _global_\nhydra: {launcher: {n_jobs: 3}}\n")
    words = ("-m", "hydra/launcher=ours", "+experiment=mine", "seed=1,2")
    ended = command(*words, seconds=60, PYTHONPATH=str(site.folder))
    assert "LAUNCHED 3" in ended.stdout, ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["+experiment=evil"],
        ["-m", "+experiment=evil", "seed=1,2"],
        ["+experiment=evil", "--cfg", "job"],
        ["--config-dir", "elsewhere", "+experiment=other"],
        ["--config-path", "elsewhere", "--config-name", "root"],
        ["data=iris", "hydra.searchpath=[file://elsewhere]", "+experiment=other"],
        ["hydra.searchpath=[pkg://strange]", "+experiment=other"],
        ["--config-path", "pkg://strange", "--config-name", "root"],
        ["evaluate", "run=latest", "data=evil"],
    ],
    ids=" ".join,
)
@pytest.mark.fault(39)
def test_no_way_to_a_file_runs_code(tmp_path: Path, words: list[str]) -> None:
    text = f"# @package _global_\nhydra:\n  callbacks:\n    x: {CALLBACK}\n"
    for name in ("conf/experiment/evil", "conf/data/evil"):
        write(f"{name}.yaml", text)
    for folder in ("elsewhere", "strange"):
        write(f"{folder}/experiment/other.yaml", text)
        write(f"{folder}/root.yaml", text)
        write(f"{folder}/__init__.py", "")
    ended = command(*[word.replace("elsewhere", f"{tmp_path}/elsewhere") for word in words])
    assert ended.returncode == 2, ended.stderr
    assert not Path("CANARY").exists()
    if words[0] != "evaluate":  # which has no run yet
        assert "names code to run, which no configuration may" in ended.stderr
        assert "Traceback" not in ended.stderr


LEVELS = "".join(
    f"{b}: &{b} [{','.join(f'*{a}' for _ in range(10))}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
BOMBS = {
    "ten levels of ten aliases": (f"a: &a [{','.join('x' * 10)}]\n{LEVELS}", "more than 10,000 values"),
    "a long chain of aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(90)),
        "more than 50 levels of nesting",
    ),
    "merged again and again": (
        "a: &a {x: 1}\n"
        + "".join(
            f"{b}: &{b} {{y: [{','.join(f'*{a}' for _ in range(9))}], <<: *{a}}}\n"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "more than 10,000 values",
    ),
    "an alias within itself": ("a: &a [*a]\n", "an alias *a within itself"),
    "a mapping within itself": ("a: &a\n  b:\n    c: *a\n", "an alias *a within itself"),
    "1,000 levels": (f"a: {'[' * 1000}{']' * 1000}", "more than 50 levels of nesting"),
    "1,000 mappings": (f"a: {'{b: ' * 1000}1{'}' * 1000}", "more than 50 levels of nesting"),
    "a long text": (f"a: {'x' * 5_000_000}", "more than 100,000 characters"),
    "a tag that calls": (
        "a: !!python/object/apply:os.system ['touch CANARY']\n",
        "the tag !!python/object/apply:os.system",
    ),
    "a tag of an own type": ("a: !mine 3\n", "the tag !mine"),
    "a key twice": ("seed: 1\nseed: 2\n", "found duplicate key seed"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_file_of_unbounded_size_is_refused(case: str) -> None:
    text, said = BOMBS[case]
    write("conf/data/bomb.yaml", text)
    assert said in complaint("data=bomb")
    assert "bomb.yaml" in complaint("data=bomb")


@pytest.mark.parametrize(
    "words", [["data=bomb"], ["-m", "data=bomb", "seed=1,2"], ["data=bomb", "--cfg", "job"]], ids=" ".join
)
@pytest.mark.fault(36)
def test_a_bomb_is_refused_in_little_time(words: list[str]) -> None:
    write("conf/data/bomb.yaml", BOMBS["ten levels of ten aliases"][0])
    ended = command(*words)
    assert ended.returncode == 2
    assert "conf/data/bomb.yaml has more than 10,000 values, aliases counted each time, in line 4." in ended.stderr


def test_an_option_of_a_subcommand_is_bounded_too() -> None:
    from lifecycle.cli.commands.serve import Serve

    nested = f"{'[' * 1000}{']' * 1000}"
    with pytest.raises(RequestError, match="more than 50 levels of nesting"):
        read([f"port={nested}"], Serve, "serve")
    assert read([f"run={nested}"], Serve, "serve").run == nested[1:-1]  # a text, which nothing parses


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.integers() | st.booleans() | st.none() | st.text("ab_: -#'\"\n&*!", max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_plain_yaml_is_read_as_before(value: Any) -> None:
    assert bounded_yaml.load(yaml.safe_dump(value), "x") == value


@given(st.integers(1, 8), st.integers(1, 8))
def test_aliases_are_counted_as_what_they_stand_for(width: int, levels: int) -> None:
    names = [f"n{number}" for number in range(levels + 1)]
    lines = [f"{names[0]}: &{names[0]} [{','.join('x' * width)}]"]
    lines += [f"{b}: &{b} [{','.join([f'*{a}'] * width)}]" for a, b in itertools.pairwise(names)]
    text = "\n".join(lines)
    sizes = [width + 1]
    for _ in range(levels):
        sizes.append(width * sizes[-1] + 1)
    nodes = 1 + len(names) + sum(sizes)  # the mapping, its keys, and each value
    if nodes > bounded_yaml.MOST_NODES:
        with pytest.raises(RequestError, match="more than 10,000 values"):
            bounded_yaml.check(text, "x")
    else:
        bounded_yaml.check(text, "x")


def test_another_hydra_program_keeps_its_sources() -> None:
    Plugins.instance()
    before = dict(SourcesRegistry.instance().types)
    compose(["data=iris"])
    options()
    assert {key: before[key] for key in ("file", "pkg")} == {
        key: SourcesRegistry.instance().types[key] for key in ("file", "pkg")
    }


def test_rules_of_a_file_that_is_no_mapping() -> None:
    rules.check_file([1], "data/x", None, "x.yaml")  # Hydra says what is wrong with it
