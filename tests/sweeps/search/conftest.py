"""Plans searches as a multirun does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lifecycle.config.search_path import hydra_ready
from lifecycle.sweeps import run
from lifecycle.sweeps.plan import Plan

Make = Callable[..., Plan]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Plan a search of swept words, on iris with an mlp unless they say otherwise."""
    monkeypatch.chdir(tmp_path)

    def compose(words: list[str]) -> Any:
        return hydra.compose("config", words, return_hydra_config=True)

    def make(*words: str) -> Plan:
        parsed = OverridesParser.create().parse_overrides(
            [*(() if "sweep=default" in words else ("sweep=optuna",)), *words]
        )
        fixed = [one.input_line for one in parsed if not one.is_sweep_override()]
        return run.planned(parsed, compose, "lifecycle -m", compose(fixed))

    with hydra_ready():
        yield make
