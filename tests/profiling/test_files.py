"""The page of a profile: seconds by hand, no network, and no text that could run as a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lifecycle.profiling import files
from lifecycle.profiling.clock import Profile

LOAD, READ, FIT = "load\0/x/dataset.py\x0076", "Rows.read\0/y/my_rows.py\x0012", "<module>\0/z/torch.py\x001"
SECONDS = {"fit": 3.9, "data": 6.0, "save": 0.1}
STACKS = {("fit", (FIT,)): 0.3, ("data", (LOAD, READ)): 2.0, ("fit", ()): 0.1, ("data", (LOAD,)): 1.0}


def data(page: str) -> Any:
    """Return what a page draws."""
    return json.loads(page.partition("const sessionData = ")[2].partition(";\n")[0])


def frames(page: str) -> dict[str, float]:
    """Return the seconds of each function and phase of a page, by its name; those of one name are added up."""
    found: dict[str, float] = {}
    waiting = [data(page)["frame_tree"]]
    while waiting:
        frame = waiting.pop()
        name = frame["identifier"].split("\0")[0]
        found[name] = found.get(name, 0.0) + frame["time"]
        waiting += frame["children"]
    return found


def phases(page: str) -> dict[str, float]:
    """Return the seconds of each phase of a page, in their order."""
    return {frame["identifier"].split("\0")[0]: frame["time"] for frame in data(page)["frame_tree"]["children"]}


@pytest.fixture
def profile() -> Profile:
    found = Profile(began=0.0)
    found.seconds, found.stacks, found._since = dict(SECONDS), dict(STACKS), 10.0
    return found


def test_the_samples_of_a_phase_are_scaled_to_its_measured_seconds(profile: Profile) -> None:
    # pyinstrument adds a frame [self] where the time of a frame is not that of its children: 10 in all.
    wanted = {"all": 10, **SECONDS, "load": 6, "Rows.read": 4, "<module>": 3.9 * 0.75, "[self]": 10}
    assert frames(files.page("first", profile)) == pytest.approx(wanted)


def test_the_phases_are_in_the_order_of_the_run(profile: Profile) -> None:
    assert list(phases(files.page("first", profile))) == ["data", "fit", "save"]


def test_the_page_loads_nothing_from_the_network(profile: Profile) -> None:
    page = files.page("first", profile)
    assert "googleapis" not in page
    assert page.count("http") == page.count("http://www.w3.org/2000/svg")


def test_no_name_ends_the_script_of_the_page(profile: Profile) -> None:
    hostile = "</script><script>alert(1)</script>"
    profile.stacks["fit", (f"{hostile}\0/z/<b>.py\x001",)] = 1.0
    page = files.page(hostile, profile)
    assert page.count("</script>") == page.count("<script>") == 2
    assert data(page)["session"]["target_description"] == f"lifecycle: {hostile}"
    assert hostile in frames(page)


def test_the_table_has_seconds_and_shares(profile: Profile, tmp_path: Path) -> None:
    files.write(tmp_path / "new", "first", profile)
    assert (tmp_path / "new" / "profile.csv").read_text().splitlines() == [
        "phase,seconds,share",
        "data,6.000000,0.600000",
        "fit,3.900000,0.390000",
        "save,0.100000,0.010000",
    ]
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["profile.csv", "profile.html"]
