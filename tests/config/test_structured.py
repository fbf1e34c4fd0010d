"""What is kept of a dataclass is what OmegaConf makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from omegaconf import OmegaConf

from lifecycle import registry
from lifecycle.config.choices import TYPED
from lifecycle.config.schema import RunConfig, TrackingConfig, TrainerConfig
from lifecycle.config.structured import structured, template
from tests.config.test_loader import leaves

CLASSES = [
    *(RunConfig, TrainerConfig, TrackingConfig),
    *(cls for classes in TYPED.values() for cls in classes.values()),
    *(registry.load(kind, name) for kind in registry.GROUPS for name in registry.plugins(kind)),
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_it_is_omegaconfs_own_each_time(cls: type) -> None:
    for _ in range(2):
        assert leaves(structured(cls)) == leaves(OmegaConf.structured(cls))


def test_what_a_caller_changes_is_not_in_the_next() -> None:
    structured(TrainerConfig).max_epochs = 3
    assert structured(TrainerConfig).max_epochs == TrainerConfig().max_epochs


def test_a_default_that_is_made_by_a_call_is_made_each_time() -> None:
    numbers = iter(range(10))

    @dataclass
    class Counted:
        number: int = field(default_factory=lambda: next(numbers))

    assert structured(Counted).number < structured(Counted).number
    assert template(Counted) is not template(Counted)
