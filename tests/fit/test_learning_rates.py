"""The search of a learning rate, compared with a plain loop of PyTorch whose rate rises."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lifecycle.api.model import Model
from lifecycle.errors import RequestError
from lifecycle.fit.rising_rates import suggested
from tests.conftest import Command

X = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
Y = (X[:, 0] - X[:, 1]).astype(np.float32)


def test_the_losses_are_those_of_a_plain_loop() -> None:
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    model = Model(net).compile("sgd", "mse")
    options: dict[str, Any] = {"batch_size": 32, "shuffle": False, "scaling": "none", "scale_target": False}
    found = model.find_lr(X, Y, lowest=1e-3, highest=1.0, steps=40, **options)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    mean, wanted = 0.0, []
    for step, rate in enumerate(found.rates, start=1):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(torch.from_numpy(X))[:, 0], torch.from_numpy(Y))
        loss.backward()
        optimizer.step()
        mean = 0.98 * mean + 0.02 * loss.item()
        wanted.append(mean / (1 - 0.98**step))
    np.testing.assert_allclose(found.losses, wanted, rtol=1e-4)
    # Lightning's rates leave out the second one.
    np.testing.assert_allclose(np.diff(np.log(found.rates))[1:], np.log(1000) / 40, rtol=0.05)
    slopes = np.gradient(np.array(found.losses), np.log(found.rates))[10:-1]
    assert found.suggestion == found.rates[10 + int(slopes.argmin())]
    assert Image.open(io.BytesIO(found.plot().content)).width > 500
    assert len(found.frame) == len(found.rates)
    with pytest.raises(RequestError, match="not fitted"):
        model.predict(X)


def test_the_model_stays_as_it_is() -> None:
    model = Model("mlp", hidden=[4])
    model.fit(X, Y, epochs=1, verbose=0)
    before = model.predict(X)
    model.find_lr(X, Y, batch_size=8, steps=40)
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.history is not None
    assert len(model.history.rows) == 1


def test_nothing_is_suggested_where_the_loss_does_not_fall() -> None:
    assert suggested([10.0**k for k in range(-20, 0)], [1.0] * 20) is None
    assert suggested([0.1] * 5, [1.0, 0.5, 0.4, 0.3, 0.2]) is None


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "rates": ({"lowest": 2.0}, "lowest must be above 0 and below highest=1, got 2.0"),
    "steps": ({"steps": 9}, "steps must be 40 or more, got 9. The default is 100"),
    "argument": ({"epoch": 3}, "epoch is not a field of fit"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_searched_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Model("mlp", hidden=[2]).find_lr(X, Y, **options)


def test_the_command_writes_a_picture_and_a_table(lifecycle: Command, tmp_path: Path) -> None:
    ended = lifecycle("find_lr", "data=iris", "model.hidden=[4]", "optimizer=sgd")
    assert ended.code == 0
    *_, last = ended.out.splitlines()
    assert last.startswith("Next      lifecycle data=iris 'model.hidden=[4]' optimizer=sgd optimizer.lr=0.")
    assert "the loss falls most steeply at 0." in ended.out
    table = np.genfromtxt(tmp_path / "learning_rates.csv", delimiter=",", names=True)
    assert len(table) > 40
    assert Image.open(tmp_path / "learning_rates.png").width > 500
    assert not (tmp_path / "mlruns").exists()
    assert lifecycle("find_lr", "data=iriss").code == 2
    (tmp_path / "learning_rates.csv").unlink()
    (tmp_path / "learning_rates.csv").mkdir()
    ended = lifecycle("find_lr", "data=iris")
    assert ended.code == 2
    assert ended.err.endswith("learning_rates.csv cannot be written here. Change to another folder.\n")
