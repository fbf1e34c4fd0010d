"""The table of docs/tracking.md."""

from __future__ import annotations

from pathlib import Path

from tests.tracking import table
from tests.tracking.catalogue import ACTIONS, PLACES

DOCS = Path(__file__).parents[2] / "docs" / "tracking.md"
MARKED = table.actions_of(DOCS.parents[1] / "tests")


def test_each_mark_names_a_place_and_actions_of_the_catalogue_and_each_place_has_a_run() -> None:
    assert {case.place for case in MARKED} == set(PLACES)
    assert {action for actions in MARKED.values() for action in actions} == set(ACTIONS)
    for place in PLACES:
        assert any("run" in actions for case, actions in MARKED.items() if case.place == place), place


def test_the_page_is_what_is_written_from_its_outcomes_and_none_has_failed() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert table.page(text, {}) == text
    written = text.partition(table.BEGIN)[2].partition(table.END)[0]
    assert {outcome for *_, outcome in table.TEST.findall(written)} == {"passed"}
    assert len(table.TEST.findall(written)) == len(MARKED)


def test_a_session_that_runs_a_part_keeps_the_other_outcomes() -> None:
    one, other = sorted(case for case in MARKED if case.place == "sqlite")[:2]
    first = table.page(f"above\n{table.BEGIN}{table.END}below\n", {one: "passed", other: "passed"})
    again = table.page(first, {other: "failed"})
    assert f"`{one.test}` passed" in again
    assert f"`{other.test}` failed" in again
    assert (again.startswith("above\n"), again.endswith("below\n")) == (True, True)
    (row,) = [line for line in again.splitlines() if line.startswith("| 1 |")]
    assert "**failed**" in row
