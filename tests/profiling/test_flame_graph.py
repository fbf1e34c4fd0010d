"""The flame graph: widths by hand, names as they are imported, colours by whose they are."""

from __future__ import annotations

import itertools
import sysconfig
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from lifecycle.profiling import flame_graph
from lifecycle.runs import pipeline

SVG = "{http://www.w3.org/2000/svg}"
LOAD = f"load\0{flame_graph.OURS / 'data' / 'dataset.py'}\x0076"
READ = "Rows.read\0/somewhere/my_rows.py\x0012"
MODULE = f"<module>\0{torch.__file__}\x001"
SECONDS = {"data": 6.0, "fit": 3.9, "save": 0.1}
STACKS = {("data", (LOAD,)): 1.0, ("data", (LOAD, READ)): 2.0, ("fit", (MODULE,)): 0.3, ("fit", ()): 0.1}


def boxes(drawn: str) -> dict[str, tuple[float, float, float, str, str]]:
    """Return (left, top, width, fill, text) of each box by its title up to the comma."""
    found = {}
    for group in ElementTree.fromstring(drawn).iter(f"{SVG}g"):
        title, rect, text = (group.find(f"{SVG}{tag}") for tag in ("title", "rect", "text"))
        assert title is not None
        assert rect is not None
        left, top, width = (float(rect.attrib[key]) for key in ("x", "y", "width"))
        name = (title.text or "").partition(",")[0]
        found[name] = left, top, width, rect.attrib["fill"], "" if text is None else text.text or ""
    return found


def test_width_is_time_and_each_phase_is_stretched_to_what_the_clock_says() -> None:
    drawn = boxes(flame_graph.draw("A run", SECONDS, STACKS))
    second = (flame_graph.WIDTH - 2 * flame_graph.MARGIN) / 10
    widths = {name: width / second for name, (_, _, width, _, _) in drawn.items()}
    wanted = {"all": 10, "data": 6, "fit": 3.9, "save": 0.1, "lifecycle.data.load:load": 6, "my_rows:Rows.read": 4}
    assert widths == pytest.approx({**wanted, "torch": 3.9 * 0.75}, abs=0.001)
    lefts = {name: (left - flame_graph.MARGIN) / second for name, (left, _, _, _, _) in drawn.items()}
    assert lefts == pytest.approx(
        {
            "all": 0,
            "data": 0,
            "fit": 6,
            "save": 9.9,
            "lifecycle.data.load:load": 0,
            "my_rows:Rows.read": 0,
            "torch": 6,
        },
        abs=0.001,
    )
    tops = [drawn[name][1] for name in ("all", "data", "lifecycle.data.load:load", "my_rows:Rows.read")]
    assert [above - below for below, above in itertools.pairwise(tops)] == [-flame_graph.ROW] * 3


def test_it_says_seconds_and_shares_and_its_title() -> None:
    drawn = flame_graph.draw("Where 10 s of a<b went", SECONDS, STACKS)
    assert "<title>my_rows:Rows.read, 4.000 s, 40.0%</title>" in drawn
    assert "Where 10 s of a&lt;b went" in drawn
    assert "<script" not in drawn
    assert "href" not in drawn


def test_a_colour_tells_whose_a_function_is() -> None:
    comprehension = f"<listcomp>\0{sysconfig.get_path('stdlib')}/json/decoder.py\x003"
    frozen = "<module>\0<frozen runpy>\x001"
    for function, name, kind in (
        (LOAD, "lifecycle.data.load:load", "lifecycle"),
        (READ, "my_rows:Rows.read", "yours"),
        (MODULE, "torch", "library"),
        (comprehension, "json.decoder:<listcomp>", "python"),
        (frozen, "frozen runpy:<module>", "python"),
        (f"run\0{pipeline.__file__}\x0080", "lifecycle.runs.pipeline:run", "lifecycle"),
    ):
        assert flame_graph.named(function) == (name, kind)
        drawn = boxes(flame_graph.draw("", {"fit": 1.0}, {("fit", (function,)): 1.0}))
        assert drawn[name][3] == flame_graph.FILLS[kind]
    assert len(set(flame_graph.FILLS.values())) == len(flame_graph.FILLS)


def test_what_is_too_narrow_is_left_out_and_a_name_is_cut_to_its_box() -> None:
    room = flame_graph.WIDTH - 2 * flame_graph.MARGIN
    stacks = {("fit", (f"{'long_' * 10}name\0/x/of_mine.py\x001",)): 120.0, ("fit", (READ,)): 2.0}
    drawn = boxes(flame_graph.draw("", {"fit": room, "data": room * 9.0}, {**stacks, ("fit", ()): room - 122.0}))
    assert set(drawn) == {"all", "fit", "data", f"of_mine:{'long_' * 10}name"}
    _, _, width, _, text = drawn[f"of_mine:{'long_' * 10}name"]
    assert width == pytest.approx(12, abs=0.1)
    assert text == ""  # no room for any
    drawn = boxes(flame_graph.draw("", {"fit": room}, {**stacks, ("fit", ()): room - 122.0}))
    assert set(drawn) == {"all", "fit", f"of_mine:{'long_' * 10}name"}
    assert drawn[f"of_mine:{'long_' * 10}name"][4].startswith("long_long_")
    assert drawn[f"of_mine:{'long_' * 10}name"][4].endswith("…")


def test_calls_of_any_depth_have_an_end() -> None:
    deep = tuple(f"f{number}\0/x/deep.py\x001" for number in range(200))
    drawn = flame_graph.draw("", {"fit": 1.0}, {("fit", deep): 1.0})
    assert len(boxes(drawn)) == flame_graph.MOST_ROWS
    height = float(ElementTree.fromstring(drawn).attrib["height"])
    assert min(top for _, top, _, _, _ in boxes(drawn).values()) >= flame_graph.HEAD
    assert height < flame_graph.HEAD + (flame_graph.MOST_ROWS + 2) * flame_graph.ROW + flame_graph.MARGIN


def test_the_name_of_a_module_is_the_one_it_is_imported_by() -> None:
    file = Path(torch.__file__).parent / "nn" / "__init__.py"
    assert flame_graph.named(f"f\0{file}\x001") == ("torch.nn:f", "library")
