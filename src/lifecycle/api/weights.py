"""Weights of a model from Python: building the network, reading and setting its weights, freezing layers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from lifecycle.api import definition, images, request, training_rows
from lifecycle.api.continuing import Before
from lifecycle.api.display import Picture, Summary
from lifecycle.api.messages import worded_for_python
from lifecycle.api.predictor import Predictor
from lifecycle.config.request import Start
from lifecycle.contract import REGRESSION, DataSpec
from lifecycle.define.network import begin, check_weights, define
from lifecycle.define.own_network import OwnNetwork
from lifecycle.errors import RequestError
from lifecycle.runtime import process_state
from lifecycle.runtime.seeds import seed_all

if TYPE_CHECKING:
    from lifecycle.api.request import Compiled

Weights = Mapping[str, Any] | Sequence[Any]
"""Arrays or tensors by name, or in the order of the names."""


class WithWeights(Predictor):
    """Builds the network of a model before a fit, and reads, sets and freezes its weights."""

    name: str
    _plugin: Any
    _compiled_with: Compiled
    _built: tuple[nn.Module, DataSpec] | None = None
    _start: Start = Start()
    _before: Before | None = None

    def build(self, X: Any, y: Any = None, *, seed: int = 0, channels_last: bool = False, **data: Any) -> Self:  # noqa: N803
        """Build the network for rows, without training it: then :meth:`summary` and :meth:`get_weights` work.

        Args:
            X: rows as :meth:`fit` takes them, or the shape of inputs, ``(None, 4)``.
            y: targets as :meth:`fit` takes them; ``None``: the network has one output, or those it was given with.
            seed: of the initial weights.
            channels_last: as in :meth:`fit`.
            data: ``task``, ``scaling`` or ``types`` as in :meth:`fit`.

        Returns:
            The model itself.

        Raises:
            RequestError: the rows cannot be used, or the network does not fit them.

        >>> Model("mlp", hidden=[4]).build((None, 3)).summary().num_params
        21
        """
        from lifecycle.runs import pipeline

        with worded_for_python(), process_state.preserved():
            X = _of_shape(X)  # noqa: N806
            X = images.channels_first(X, channels_last)  # noqa: N806
            known = y is not None
            targets = y if known else np.linspace(0.0, 1.0, len(X))
            task = data.get("task") or (self._compiled_with.task if known else REGRESSION)
            rows = training_rows.read(X, targets, 0.0, None, None, None, task)
            plugin = request.data(rows, task, data.get("scaling", "standard"), True, None, data.get("types"))
            trainer = request.trainer({"epochs": 1, "early_stopping": False})
            compiled = replace(self._compiled_with, loss=None, metrics=None) if not known else self._compiled_with
            steps = request.FitArguments(self.name, self._plugin, compiled, trainer)
            job = definition.job(request.compose(steps, plugin, None, seed, 0, audited=False), self._plugin, compiled)
            spec = pipeline.loaded(job, rows.rows).spec
            if known or not isinstance(self._plugin, OwnNetwork):
                network = define(job.model, self.name, spec, seed, source="X")
            else:  # any number of outputs
                seed_all(seed)
                network = job.model.build(spec)
            begin(network, self._start.weights, self._start.frozen)
        self._built = network, spec
        return self

    def summary(self) -> Summary:
        """Return the layers with their output shapes and parameters, as a table for a terminal or a notebook.

        Raises:
            RequestError: the model is neither fitted nor built, so there is no network.

        >>> model.summary()
        layer   type     output shape   parameters
        0       Linear   (None, 8)              24
        1       ReLU     (None, 8)               0
        2       Linear   (None, 1)               9
        <BLANKLINE>
        total parameters: 33
        """
        from lifecycle.define.summary import summarize

        network, spec = self._network()
        return Summary(tuple(summarize(network, spec)), self.name)

    def plot(self) -> Picture:
        """Return a diagram of the network, from input to output.

        Raises:
            RequestError: the model is neither fitted nor built, so there is no network.

        >>> model.plot()
        <svg picture of ... bytes; .save(path) writes it>
        """
        from lifecycle.plots import diagram

        network, spec = self._network()
        return Picture(diagram.draw(network, self.name, spec).encode(), "svg")

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return the weights and the running statistics of the network, in the order of its layers.

        Raises:
            RequestError: the model is neither fitted nor built.

        >>> [weights.shape for weights in model.get_weights()]
        [(8, 2), (8,), (1, 8), (1,)]
        """
        return [value.detach().cpu().numpy().copy() for value in self._network()[0].state_dict().values()]

    def set_weights(self, weights: Weights) -> None:
        """Set the weights: those of the fitted network, and those that later fits begin with.

        Args:
            weights: a list as :meth:`get_weights` returns it, or a mapping of names, such as a ``state_dict()``.

        Raises:
            RequestError: the model is neither fitted nor built, or the weights are those of another network.

        >>> model.set_weights(model.get_weights())
        """
        with worded_for_python():
            network, _ = self._network()
            named = _named(weights, network)
            check_weights(network, named)
        self._start = replace(self._start, weights=named)
        fresh = copy.deepcopy(network)
        fresh.load_state_dict(named)
        if self._trained is not None:
            self._trained = replace(self._trained, network=fresh)
            self._before = Before(self._trained)
        if self._built is not None:
            self._built = fresh, self._built[1]

    def save_weights(self, path: str | Path) -> Path:
        """Write the weights into a file of safetensors; the extension ``.safetensors`` is added if it is missing.

        Raises:
            RequestError: the model is neither fitted nor built.

        >>> model.save_weights("weights").name
        'weights.safetensors'
        """
        file = Path(path).expanduser()
        file = file if file.suffix == ".safetensors" else file.with_name(f"{file.name}.safetensors")
        state = {
            name: value.detach().cpu().contiguous().clone() for name, value in self._network()[0].state_dict().items()
        }
        safetensors.torch.save_file(state, str(file))
        return file

    def load_weights(self, path: str | Path) -> None:
        """Set the weights of a file that :meth:`save_weights`, a saved model or a checkpoint of a fit has.

        :meth:`set_weights` says what they are used for. A checkpoint is that of a run, or of a ``ModelCheckpoint``.

        Raises:
            RequestError: there is no such file, it is of another kind, or holds those of another network.
            SavedModelError: a checkpoint is missing or altered.

        >>> model.load_weights(model.save_weights("weights"))
        """
        file = Path(path).expanduser()
        if file.suffix == ".ckpt":
            from lifecycle.fit import checkpoints  # imports Lightning

            self.set_weights(checkpoints.network_weights(file))
            return
        if file.suffix != ".safetensors":
            remedy = "Of PyTorch's files: set_weights(torch.load(file, weights_only=True))."
            raise RequestError([str(path)], "is no file of safetensors", remedy=remedy)
        try:
            state = safetensors.torch.load_file(str(file))
        except (OSError, safetensors.SafetensorError) as error:
            problem = "cannot be read" if file.is_file() else "is missing"
            raise RequestError([str(path)], problem, remedy="Give a file that save_weights wrote.") from error
        self.set_weights(state)

    def freeze(self, *layers: str) -> Self:
        """Keep the weights of layers as they are in later fits; batch normalisation keeps its statistics too.

        Args:
            layers: names as :meth:`summary` has them, ``"0"``; a name of a group stands for all layers in it.

        Returns:
            The model itself.

        Raises:
            RequestError: there is no such layer, or none is left to train.

        >>> model.freeze("0").summary().num_frozen, model.unfreeze().summary().num_frozen
        (24, 0)
        """
        if not layers or not all(isinstance(name, str) for name in layers):
            raise RequestError("freeze", "needs names of layers", repr(layers), 'Such as freeze("0", "2").')
        frozen = tuple(dict.fromkeys([*self._start.frozen, *layers]))
        if self._trained is not None or self._built is not None:
            self._mark(frozen)
        self._start = replace(self._start, frozen=frozen)
        return self

    def unfreeze(self) -> Self:
        """Train all layers again in later fits, and return the model itself.

        >>> model.unfreeze().trainable
        True
        """
        self._start = replace(self._start, frozen=())
        if self._trained is not None or self._built is not None:
            self._mark(())
        return self

    @property
    def trainable(self) -> bool:
        """Whether all layers are trained; it cannot be set.

        >>> model.trainable
        True
        """
        return not self._start.frozen

    @trainable.setter
    def trainable(self, value: Any) -> None:
        """Refuse: layers are frozen by name."""
        remedy = 'Call model.freeze("0", "2") with names of layers, or model.unfreeze().'
        raise RequestError("trainable", "cannot be set", repr(value), remedy)

    def _mark(self, frozen: Sequence[str]) -> None:
        network, _ = self._network()
        for parameter in network.parameters():
            parameter.requires_grad = True
        with worded_for_python():
            begin(network, None, frozen)

    def _network(self) -> tuple[nn.Module, DataSpec]:
        """Return the network that is fitted or built."""
        if self._trained is not None:
            return self._trained.network, self._trained.spec
        if self._built is None:
            remedy = "Call fit(X, y) or build(X, y), or Model.load(folder)."
            raise RequestError("the model", "is neither fitted nor built", remedy=remedy)
        return self._built


def _of_shape(X: Any) -> Any:  # noqa: N803
    """Return rows of zeros for a shape ``(None, 4)``; rows as they are."""
    is_shape = isinstance(X, tuple) and X and all(isinstance(size, int) for size in X[1:]) and len(X) > 1
    if is_shape and (X[0] is None or isinstance(X[0], int)):
        rows = np.zeros((2, *X[1:]), dtype=np.float32)
        rows[1] = 1  # a constant column cannot be scaled
        return rows
    return X


def _named(weights: Weights, network: nn.Module) -> dict[str, Tensor]:
    """Return weights as tensors by name."""
    own = network.state_dict()
    if not isinstance(weights, Mapping):
        values = list(weights)
        if len(values) != len(own):
            problem, remedy = (
                f"are {len(values)} arrays, and the network has {len(own)}",
                "Give all, as get_weights does.",
            )
            raise RequestError(["the weights"], problem, remedy=remedy)
        weights = dict(zip(own, values, strict=True))
    return {
        str(name): torch.as_tensor(value).detach().cpu().clone().to(own[name].dtype if name in own else torch.float32)
        for name, value in weights.items()
    }
