"""Displays of a model in a notebook or at a prompt: its summary, history and pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.fit.history import History, Row
from lifecycle.fit.rising_rates import LearningRates

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.define.summary import Layer


@dataclass(frozen=True)
class Picture:
    """A picture that a notebook displays.

    Attributes:
        content: bytes of a PNG or SVG file.
        kind: ``"png"`` or ``"svg"``.

    >>> Picture(b"<svg/>", "svg")
    <svg picture of 6 bytes; .save(path) writes it>
    """

    content: bytes
    kind: str

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file; the extension :attr:`kind` is added if it is missing.

        Raises:
            OSError: the file cannot be written.

        >>> Picture(b"<svg/>", "svg").save("network").name
        'network.svg'
        """
        file = Path(path).expanduser()
        # with_suffix() would take ".5" of "dropout_0.5" for an extension.
        file = file if file.suffix == f".{self.kind}" else file.with_name(f"{file.name}.{self.kind}")
        file.write_bytes(self.content)
        return file

    def __repr__(self) -> str:
        return f"<{self.kind} picture of {len(self.content):,} bytes; .save(path) writes it>"

    def _repr_png_(self) -> bytes | None:
        return self.content if self.kind == "png" else None

    def _repr_svg_(self) -> str | None:
        return self.content.decode() if self.kind == "svg" else None


@dataclass(frozen=True)
class Summary:
    """The layers of a network, as a table at a prompt and in a notebook.

    Attributes:
        layers: in forward order.
        name: of the model.

    >>> from lifecycle.define.summary import Layer
    >>> Summary((Layer("0", "Linear", "(None, 1)", 9),), "mlp")
    layer   type     output shape   parameters
    0       Linear   (None, 1)               9
    <BLANKLINE>
    total parameters: 9
    """

    layers: tuple[Layer, ...]
    name: str

    @property
    def num_params(self) -> int:
        """Number of parameters of the network.

        >>> from lifecycle.define.summary import Layer
        >>> Summary((Layer("0", "Linear", "(None, 1)", 9),), "mlp").num_params
        9
        """
        return sum(layer.num_params for layer in self.layers)

    @property
    def num_frozen(self) -> int:
        """Number of parameters that fits leave as they are.

        >>> from lifecycle.define.summary import Layer
        >>> Summary((Layer("0", "Linear", "(None, 1)", 9, num_frozen=9),), "mlp").num_frozen
        9
        """
        return sum(layer.num_frozen for layer in self.layers)

    @property
    def num_trainable(self) -> int:
        """Number of parameters that fits train.

        >>> from lifecycle.define.summary import Layer
        >>> Summary((Layer("0", "Linear", "(None, 1)", 9, num_frozen=4),), "mlp").num_trainable
        5
        """
        return self.num_params - self.num_frozen

    def __repr__(self) -> str:
        from lifecycle.console.report import summary_text  # rich and Lightning, which a loaded model does not need

        return summary_text(list(self.layers)).rstrip()

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{name}</th>" for name in ("layer", "type", "output shape", "parameters"))
        rows = "".join(
            f"<tr><td>{escape(layer.name)}</td><td>{escape(layer.type)}</td><td>{escape(layer.output_shape)}</td>"
            f"<td style='text-align:right'>{layer.num_params:,}</td></tr>"
            for layer in self.layers
        )
        frozen = f", {self.num_trainable:,} trainable, {self.num_frozen:,} frozen" if self.num_frozen else ""
        title = f"{escape(self.name)}: {self.num_params:,} parameters{frozen}"
        table = f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
        return f"<table cellpadding='5'><caption>{title}</caption>{table}</table>"


class Columns(dict[str, list[float]]):
    """The columns of a history by name; ``loss`` and ``accuracy`` are those of training, as in Keras.

    >>> Columns(train_loss=[0.7], val_loss=[0.8])["loss"], "loss" in Columns(train_loss=[0.7])
    ([0.7], True)
    """

    def __missing__(self, name: str) -> list[float]:
        """Return the column of training of a name without a part."""
        if f"train_{name}" in self.keys():
            return self[f"train_{name}"]
        raise KeyError(f"{name!r}; columns: {', '.join(self)}")

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or super().__contains__(f"train_{name}")

    def get(self, name: str, default: Any = None) -> Any:
        """Return a column, or a default.

        >>> Columns(train_loss=[0.7]).get("loss"), Columns(train_loss=[0.7]).get("mae", [])
        ([0.7], [])
        """
        try:
            return self[name]
        except KeyError:
            return default


@dataclass(frozen=True, repr=False)
class FitHistory(History):
    """The history that :meth:`lifecycle.Model.fit` returns: a :class:`History` that can be plotted.

    Attributes:
        logged: what callbacks logged: ``{"step": ..., "lr-Adam": ...}``, a row for each time.

    >>> rows = ({"epoch": 1.0, "train_loss": 0.7}, {"epoch": 2.0, "train_loss": 0.5})
    >>> history = FitHistory(rows, best_epoch=None, weights_epoch=2, stopped="max_epochs=2 was reached")
    >>> history.history
    {'train_loss': [0.7, 0.5]}
    >>> history.frame
       epoch  train_loss
    0      1         0.7
    1      2         0.5
    """

    logged: tuple[Row, ...] = ()

    @property
    def history(self) -> dict[str, list[float]]:
        """The columns by name, a value for each epoch; ``history["loss"]`` is ``train_loss``, as in Keras."""
        return Columns(super().history)

    @property
    def params(self) -> dict[str, int]:
        """The number of epochs, as in Keras.

        >>> FitHistory(({"epoch": 1.0, "train_loss": 0.7},), None, 1, "max_epochs=1 was reached").params
        {'epochs': 1}
        """
        return {"epochs": len(self.rows)}

    def __getitem__(self, name: str) -> list[float]:
        """Return a column: ``history["loss"]``, ``history["val_accuracy"]``."""
        return self.history[name]

    def plot(self) -> Picture:
        """Return the learning curves: the loss and each metric over the epochs, the best epoch marked.

        >>> FitHistory(({"epoch": 1.0, "train_loss": 0.7},), None, 1, "max_epochs=1 was reached").plot()
        <png picture of ... bytes; .save(path) writes it>
        """
        from lifecycle.plots import curves

        return _png(lambda file: curves.draw(self, file))

    def __repr__(self) -> str:
        # A notebook shows it after each call of fit(), so it has one line.
        last = self.rows[-1]
        scores = "  ".join(f"{name} {last[name]:.4f}" for name in last if name.startswith(("train_", "val_")))
        return f"{len(self.rows)} epochs, weights of epoch {self.weights_epoch}; the last: {scores}"

    def _repr_html_(self) -> str:
        # The last rows alone: a fit has up to 300 epochs by default.
        return f"<p>{escape(repr(self))}</p>{self.frame.tail().to_html(index=False)}"


class FoundRates(LearningRates):
    """The losses that :meth:`lifecycle.Model.find_lr` returns; they can be plotted.

    >>> FoundRates((0.001, 0.01, 0.1), (0.7, 0.5, 0.6), 0.01, used=0.001)
    the loss falls most steeply at 0.01; the optimizer has 0.001
    """

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each step: ``lr`` and ``loss``.

        >>> FoundRates((0.001, 0.01), (0.7, 0.5), 0.01, used=0.001).frame.shape
        (2, 2)
        """
        import pandas as pd

        return pd.DataFrame({"lr": self.rates, "loss": self.losses})

    def plot(self) -> Picture:
        """Return the loss over the learning rate, with the suggestion marked.

        >>> FoundRates((0.001, 0.01), (0.7, 0.5), 0.01, used=0.001).plot()
        <png picture of ... bytes; .save(path) writes it>
        """
        from lifecycle.plots import learning_rates

        return _png(lambda file: learning_rates.draw(self, file))

    def __repr__(self) -> str:
        return self.sentence


def _png(draw: Callable[[io.BytesIO], object]) -> Picture:
    # In memory: a picture has no file until save() names one.
    stream = io.BytesIO()
    draw(stream)
    return Picture(stream.getvalue(), "png")
