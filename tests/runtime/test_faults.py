"""Errors outside our code have a message: errors of a plugin, too little memory, names that are too long."""

from __future__ import annotations

import contextlib
import errno
import resource
import sys
from collections.abc import Callable
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pytest
import torch

import lifecycle
from lifecycle.api.model import Model
from lifecycle.checks import TOO_MANY
from lifecycle.errors import LifecycleError, OutOfMemoryError, PluginError, RequestError, Setting
from lifecycle.plugins.mlp import MLP
from lifecycle.runtime import memory
from lifecycle.runtime.faults import Cures, explanation, largest
from tests.conftest import Command, artifacts
from tests.packages import HEAD, Site, fresh_site

Runs = Callable[[], list[mlflow.entities.Run]]
site = pytest.fixture(fresh_site)
NOT_THERE = "no_such_package_anywhere"


def net(build: str = "return Network(spec)", forward: str = "return self.layer(inputs)") -> str:
    return f"""{HEAD}
import torch

class Network(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.layer = nn.Linear(spec.input_shape[0], spec.num_outputs)

    def forward(self, inputs):
        {forward}

@dataclass
class Net:
    width: int = 64

    def build(self, spec):
        {build}
"""


INSTALL = "Install what it needs, or remove it."
REPORT = "Report it to its author, or use another."
FAULTS = {
    "an import in build": (
        net(f"import {NOT_THERE}"),
        2,
        f"build(): ModuleNotFoundError: No module named '{NOT_THERE}'. {INSTALL}",
    ),
    "a name that is not there": (
        net("from torch import nothing"),
        2,
        "build(): ImportError: cannot import name 'nothing' from 'torch'",
    ),
    "an error in build": (net("return spec.nothing"), 1, "build(): AttributeError: 'DataSpec' object has no attribute"),
    "an error without a text": (net("raise KeyError"), 1, f"build(): KeyError. {REPORT}"),
    "an error of several lines": (net(r"raise OSError('one\ntwo')"), 1, f"build(): OSError: one. {REPORT}"),
    "an error in forward": (net(forward="return inputs.nothing"), 1, "forward(): AttributeError: 'Tensor' object has"),
    "an import in forward": (net(forward=f"import {NOT_THERE}"), 1, "forward(): ModuleNotFoundError: No module named"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_of_a_model_plugin_names_plugin_package_and_version(
    site: Site, job: Command, runs: Runs, fault: str
) -> None:
    code, exit_code, sentence = FAULTS[fault]
    site.install("lifecycle-net", {"net": "Net"}, code, version="0.3")
    ended = job("model=net", "data=iris")
    assert (ended.code, ended.out) == (exit_code, "")
    assert ended.err.startswith(f"lifecycle: model=net from lifecycle-net 0.3 failed in {sentence}")
    assert ended.err.count("\n") == 1
    assert [run.info.status for run in runs()] == (["FAILED"] if exit_code == 1 else [])


def test_an_error_while_it_is_fitted_fails_the_run_and_leaves_the_trace_with_it(
    site: Site, job: Command, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = "return self.layer(inputs) if not self.training else inputs.nothing"
    site.install("lifecycle-net", {"net": "Net"}, net(forward=forward))
    ended = job("model=net", "data=iris")
    sentence = "model=net from lifecycle-net 1.0 failed in forward(): AttributeError: 'Tensor' object has no attribute "
    assert (ended.code, ended.err) == (1, f"lifecycle: {sentence}'nothing'. {REPORT}\n")
    (run,) = runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["lifecycle.error"] == ended.err.removeprefix("lifecycle: ").strip()
    assert "in forward\n    return self.layer(inputs)" in (artifacts(run) / "error.txt").read_text()
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    err = job("model=net", "data=iris").err
    assert "Traceback" in err
    assert "in forward\n    return self.layer(inputs)" in err


def test_an_error_in_layers_of_another_package_is_the_plugins(site: Site, job: Command) -> None:
    code = net("return nn.Sequential(nn.Linear(spec.input_shape[0], 3), nn.Bilinear(3, 3, 3))")
    site.install("lifecycle-net", {"net": "Net"}, code)
    ended = job("model=net", "data=iris")
    assert ended.code == 1
    assert ended.err.startswith("lifecycle: model=net from lifecycle-net 1.0 failed in forward(): TypeError: Bilinear")


DATA = """{head}
import numpy as np
from lifecycle.data.kinds.table import Table

@dataclass
class Birds(Table):
    path: str = "sklearn:iris"
    target: str = "species"

    def {verb}(self, *arguments):
        return [][0]
"""


@pytest.mark.parametrize(
    "verb", ["read", "describe_target", "columns", "samples", "split", "learn", "apply", "feature_names"]
)
def test_an_error_of_a_data_plugin_names_plugin_package_version_and_method(
    site: Site, job: Command, runs: Runs, verb: str
) -> None:
    code = DATA.format(head=HEAD, verb=verb)
    site.install("lifecycle-birds", {"birds": "Birds"}, code, version="2.1", group="lifecycle.data")
    ended = job("data=birds", "model=mlp")
    sentence = f"data=birds from lifecycle-birds 2.1 failed in {verb}(): IndexError: list index out of range. {REPORT}"
    assert (ended.code, ended.err) == (1, f"lifecycle: {sentence}\n")
    assert [run.data.tags["lifecycle.error"] for run in runs()] == [sentence]


def test_from_python_too(site: Site) -> None:
    site.install("lifecycle-net", {"net": "Net"}, net("return spec.nothing"))
    rows = np.arange(20.0).reshape(10, 2)
    with pytest.raises(PluginError, match=r"from lifecycle-net 1\.0 failed in build\(\): AttributeError") as caught:
        Model("net").fit(rows, rows[:, 0], verbose=0)
    assert isinstance(caught.value.__cause__, AttributeError)


def test_an_error_of_a_users_own_callback_stays_as_it_is() -> None:
    import pytorch_lightning as pl

    class Broken(pl.Callback):
        def on_train_start(self, *_: Any) -> None:
            raise ZeroDivisionError("mine")

    rows = np.arange(20.0).reshape(10, 2)
    with pytest.raises(ZeroDivisionError, match="mine"):
        Model("mlp").fit(rows, rows[:, 0], verbose=0, callbacks=Broken())


# Memory.


@pytest.mark.parametrize(
    ("words", "size", "cure"),
    [
        (["model.hidden=[900000,900000]"], "3.24 TB", "Lower model.hidden=[900000,900000]."),
        (["model.hidden=[60000,60000,60000,60000,60000]"], "14.4 GB", "Lower model.hidden=[60000,60000,60000,6"),
        (["model=lstm", "data=airline_passengers", "model.units=[900000]"], "13 TB", "Lower model.units=[900000]."),
    ],
    ids=["more than a machine has", "in several steps", "lstm"],
)
@pytest.mark.fault(43)
def test_a_network_that_memory_has_no_room_for_is_refused_with_its_size(
    job: Command, runs: Runs, words: list[str], size: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.define.network.free_memory", lambda: 8_000_000_000)  # also on a machine with a TB
    ended = job("data=iris", *words)
    assert (ended.code, ended.out, runs()) == (2, "", [])
    assert ended.err.startswith(f"lifecycle: memory does not suffice, {size} were requested. {cure}")
    assert all(width < TOO_MANY for width in (900_000, 60_000))


def test_a_network_whose_gradients_have_no_room_is_refused(
    job: Command, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifecycle.fit.preflight.free_memory", lambda: 1_000_000)
    ended = job("data=iris", "model.hidden=[300,300]")
    assert (ended.code, runs()) == (2, [])
    assert ended.err == (
        "lifecycle: memory does not suffice to fit 92,703 parameters: it takes 0.00148 GB more, and 0.001 GB are free. "
        "Use a smaller network, or optimizer=sgd.\n"
    )
    assert job("data=iris", "model.hidden=[300,300]", "optimizer=sgd", "trainer.max_epochs=1").code == 0


@pytest.mark.fault(43)
def test_memory_that_runs_out_while_it_is_fitted_fails_the_run(site: Site, job: Command, runs: Runs) -> None:
    forward = "return self.layer(inputs) if not self.training else torch.empty(2**47)"  # what torch itself raises
    site.install("lifecycle-net", {"net": "Net"}, net(forward=forward))
    ended = job("model=net", "data=iris")
    sentence = "memory does not suffice, 563 TB were requested. Lower trainer.batch_size, or use a smaller network."
    assert (ended.code, ended.out, ended.err) == (1, "", f"lifecycle: {sentence}\n")
    assert [(run.info.status, run.data.tags["lifecycle.error"]) for run in runs()] == [("FAILED", sentence)]


def test_data_that_memory_has_no_room_for_are_refused(site: Site, job: Command, runs: Runs) -> None:
    code = DATA.format(head=HEAD, verb="read").replace("[][0]", "np.zeros(10**15)")
    site.install("lifecycle-birds", {"birds": "Birds"}, code, group="lifecycle.data")
    ended = job("data=birds", "model=mlp")
    assert (ended.code, runs()) == (2, [])
    assert ended.err == (
        "lifecycle: memory does not suffice, 7.11 PiB were requested. Set data.memory_gb, or use fewer rows or "
        "columns.\n"
    )


def raised(call: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the library raises
        call()
    return caught.value


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (raised(lambda: torch.empty(2**47)), "memory does not suffice, 563 TB were requested."),
        (raised(lambda: np.empty(2**50)), "memory does not suffice, 8.00 PiB were requested."),
        (raised(lambda: pa.allocate_buffer(2**50)), "memory does not suffice, 1,126 TB were requested."),
        (MemoryError(), "memory does not suffice."),
        (
            torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79 GiB"
            ),
            "the GPU's memory does not suffice, 20.00 GiB were requested.",
        ),
    ],
    ids=["torch", "numpy", "pyarrow", "python", "cuda"],
)
def test_what_libraries_raise_of_memory_is_known_with_its_size(error: Exception, sentence: str) -> None:
    said = explanation(error)
    assert isinstance(said, OutOfMemoryError)
    assert str(said) == f"{sentence} Use fewer rows, or a smaller network."
    assert isinstance(explanation(error, Cures(refused=True)), RequestError)


def test_memory_is_bounded_while_a_network_is_built_and_not_afterwards() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory.bounded(200_000_000), pytest.raises(RuntimeError, match="allocate memory"):
        torch.empty(100_000_000)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with memory.bounded(200_000_000):
        assert torch.zeros(10_000_000).sum() == 0
    with memory.bounded(None):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_the_largest_field_of_a_plugin_is_named_as_it_is_typed() -> None:
    assert largest(MLP(hidden=[12, 500])) == Setting("model.hidden", [12, 500])
    assert largest(object.__new__(type("Plain", (), {}))) == "the sizes of the model"


# Names, and what is nobody's fault but ours.


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(RequestError, match=r"^the name of a file is too long, got .*k\. Use a shorter one\.$"):
        lifecycle.run(["data=table", f"data.path={'k' * 300}", "data.target=y"])


def test_an_error_of_ours_is_none_of_these() -> None:
    for error in (ValueError("x"), KeyError("x"), RuntimeError("mat1 and mat2"), OSError(errno.EACCES, "no")):
        with contextlib.suppress(type(error)):
            raise error
        assert explanation(error) is None
    assert explanation(LifecycleError("a sentence")) is None
    assert sys.exc_info() == (None, None, None)
