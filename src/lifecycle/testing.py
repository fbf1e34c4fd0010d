"""Conformance tests for plugins, which the built-in ones pass too.

In a plugin's own tests::

    from lifecycle.testing import check_model_plugin

    def test_my_net():
        check_model_plugin("my_net")
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from lifecycle import layout, registry
from lifecycle.contract import BINARY, MULTICLASS, MULTILABEL, REGRESSION, DataSpec, Samples
from lifecycle.data.dataset import Dataset
from lifecycle.data.load import load
from lifecycle.define.network import define

SHAPES = {1: (5,), 2: (4, 3), 3: (1, 8, 8)}
OUTPUTS = {BINARY: 1, MULTICLASS: 3, MULTILABEL: 3, REGRESSION: 1}


def check_model_plugin(name: str, **fields: Any) -> None:
    """Check that an installed model plugin follows the contract, for each task and each shape of sample it accepts.

    It has a docstring and default fields; the same seed gives the same weights; outputs are ``(batch, num_outputs)``
    for batches of 1 and 7; every trainable parameter gets a gradient; and saved weights give the same outputs.

    Args:
        name: the name under which it is declared.
        fields: hyper-parameters, for instance small ones.

    Raises:
        AssertionError: names the broken rule.

    >>> check_model_plugin("mlp", hidden=[4])
    """
    cls = registry.load("model", name)
    _check(bool(inspect.getdoc(cls)), f"model={name} has no docstring, which `lifecycle plugins` shows")
    plugin = cls(**fields)
    for dims in getattr(cls, "sample_dims", SHAPES):
        for task, num_outputs in OUTPUTS.items():
            spec = DataSpec(task, SHAPES[dims], num_outputs)
            _check_network(
                define(plugin, name, spec, seed=1), define(plugin, name, spec, seed=1), spec, f"model={name} for {spec}"
            )


def _check_network(network: nn.Module, twin: nn.Module, spec: DataSpec, what: str) -> None:
    pairs = zip(network.state_dict().values(), twin.state_dict().values(), strict=True)
    _check(all(torch.equal(a, b) for a, b in pairs), f"{what}: the same seed gave other weights")
    # A batch of 1 shows a squeeze() that removes the axis of the batch.
    for batch in (1, 7):
        outputs = network.eval()(torch.rand(batch, *spec.input_shape))
        _check(tuple(outputs.shape) == (batch, spec.num_outputs), f"{what}: outputs of shape {tuple(outputs.shape)}")
    network.train()
    loss: Tensor = network(torch.rand(7, *spec.input_shape)).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    for key, parameter in network.named_parameters():
        _check(not parameter.requires_grad or parameter.grad is not None, f"{what}: {key} gets no gradient")
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / layout.WEIGHTS)
        safetensors.torch.save_model(network, file)
        # So that equal outputs can only come from the file.
        for parameter in twin.parameters():
            nn.init.zeros_(parameter)
        safetensors.torch.load_model(twin, file)
    inputs = torch.rand(3, *spec.input_shape)
    _check(torch.equal(network.eval()(inputs), twin.eval()(inputs)), f"{what}: other outputs after saving and loading")


def check_data_plugin(name: str, **fields: Any) -> None:
    """Check that an installed data plugin follows the contract on the rows that ``fields`` name.

    Its parts are disjoint and together all samples; the same seed gives the same parts; and what it learns depends on
    the training samples only.

    Args:
        name: the name under which it is declared.
        fields: where the rows are, and how they are read.

    Raises:
        AssertionError: names the broken rule.

    >>> check_data_plugin("table", path="sklearn:iris", target="species")
    """
    cls = registry.load("data", name)
    _check(bool(inspect.getdoc(cls)), f"data={name} has no docstring, which `lifecycle plugins` shows")
    plugin = cls(**fields)
    data = load(plugin, name, name, seed=1)
    dims = len(data.spec.input_shape)
    _check(dims == plugin.sample_dim, f"data={name}: sample_dim is {plugin.sample_dim}, samples have {dims} axes")
    parts = [part.rows for part in (data.train, data.val, data.test) if part is not None]
    rows = np.concatenate(parts)
    samples: Samples = plugin.samples(plugin.read())
    _check(sorted(rows) == sorted(samples.rows), f"data={name}: the parts are not all samples, each once")
    again = load(plugin, name, name, seed=1)
    _check(np.array_equal(data.train.rows, again.train.rows), f"data={name}: the same seed gave another split")
    _check(data.digest == again.digest, f"data={name}: the same rows gave another digest")
    _check_what_is_learnt(plugin, name, data)


def _check_what_is_learnt(plugin: Any, name: str, data: Dataset) -> None:
    """Replace all held-out rows by a training row, and check that the training samples do not change."""
    if hasattr(plugin, "keep_duplicates_together"):
        # Held-out rows that become copies of a training row would move to it.
        plugin = dataclasses.replace(plugin, keep_duplicates_together=False)
        data = load(plugin, name, name, seed=1)
    frame = plugin.read()
    held_out = np.concatenate([[], *(part.rows for part in (data.val, data.test) if part is not None)]).astype(int)
    altered = frame.copy()
    features = [column for column in plugin.columns(frame) if column != data.spec.target_name or frame.shape[1] == 1]
    altered.loc[altered.index[held_out], features] = frame.loc[frame.index[data.train.rows[0]], features].to_numpy()
    other = copy.copy(plugin)
    # The same plugin, but for the rows that it reads.
    other.__class__ = type(type(plugin).__name__, (type(plugin),), {"read": lambda _self: altered})
    moved = load(other, name, name, seed=1)
    before, after = data.train.inputs[:], moved.train.inputs[:]
    _check(torch.equal(before, after), f"data={name}: what it learns depends on held-out rows")


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
