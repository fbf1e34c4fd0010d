"""The conformance tests: a plugin that follows the contract passes, and each broken rule is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from lifecycle import registry
from lifecycle.data.kinds.table import Table
from lifecycle.testing import check_data_plugin, check_model_plugin


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "sequential"])
def test_the_built_in_models_keep_the_contract(name: str) -> None:
    check_model_plugin(name)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("table", {"path": "sklearn:iris", "target": "species"}),
        ("images", {"path": "sklearn:digits", "target": "digit", "shape": [1, 8, 8]}),
        ("series", {"path": "lifecycle:sequence.csv", "target": "value", "window": 2}),
    ],
)
def test_the_built_in_kinds_of_data_keep_the_contract(name: str, fields: dict[str, Any]) -> None:
    check_data_plugin(name, **fields)


@dataclass
class Leaky(Table):
    """A table whose scale is learnt from all rows."""

    def learn(self, inputs: pd.DataFrame) -> Any:
        """Look at what should not be seen."""
        frame = self.read()
        return super().learn(frame[self.columns(frame)])


def test_a_kind_that_learns_from_held_out_rows_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._loaded, ("data", "table"), Leaky)
    with pytest.raises(AssertionError, match="data=table: what it learns depends on held-out rows"):
        check_data_plugin("table", path="sklearn:iris", target="species")
